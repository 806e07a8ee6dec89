"""The Intake driver of simulated sectors: made when first opened, then read as any other FFIs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from tasoc_kit.config import settings as place_settings
from tasoc_kit.simulation.settings import SectorSettings
from tasoc_kit.simulation.write import write_sector
from tasoc_kit.sources.drivers import FFISource
from tasoc_kit.sources.ffi import open_ffi

__all__ = ["SimulationSource", "open_sector", "sector_folder"]


def sector_folder(settings: SectorSettings) -> Path:
    """Return the folder in the cache that holds the sector with these settings."""
    s = settings
    name = f"s{s.sector:04d}-{s.camera}-{s.ccd}-{s.digest}"
    return Path(place_settings().cache) / "simulation" / name


def open_sector(*, progress: Callable[[int, int], None] | None = None, **settings: Any) -> xr.Dataset:
    """
    Open a simulated sector as a lazy cube; simulate it first if the cache does not hold it.

    Parameters
    ----------
    progress
        Called with (frames done, frames in all) while the sector is made.
    **settings
        Any field of :class:`~tasoc_kit.simulation.settings.SectorSettings`.

    Returns
    -------
    The cube of its FFIs; the star catalogue and the truth lie beside them.
    """
    chosen = SectorSettings.validated(**settings)
    folder = sector_folder(chosen)
    write_sector(folder, progress=progress, **settings)
    return open_ffi(str(folder), sector=chosen.sector, camera=chosen.camera, ccd=chosen.ccd)


class SimulationSource(FFISource):
    """A simulated sector of one CCD."""

    name = "tess_simulation"

    def __init__(
        self,
        sector: int = 1,
        camera: int = 1,
        ccd: int = 2,
        seed: int = 1,
        frames: int = 64,
        first: int = 0,
        every: int = 1,
        cadence: int = 1800,
        rows: int = 256,
        columns: int = 256,
        star_density: float = 12_000.0,
        scattered: float = 180.0,
        structure: float = 0.0,
        structure_scale: float = 300.0,
        earth_edge: float = 0.0,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.settings = SectorSettings.validated(
            sector=sector,
            camera=camera,
            ccd=ccd,
            seed=seed,
            frames=frames,
            first=first,
            every=every,
            cadence=cadence,
            rows=rows,
            columns=columns,
            star_density=star_density,
            scattered=scattered,
            structure=structure,
            structure_scale=structure_scale,
            earth_edge=earth_edge,
        )
        super().__init__(str(sector_folder(self.settings)), sector, camera, ccd, metadata=metadata)

    def _open(self) -> xr.Dataset:
        return open_sector(**self.settings.model_dump())
