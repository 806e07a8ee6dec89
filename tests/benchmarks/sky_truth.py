"""How far the sky of every frame is from the one that was simulated."""

from __future__ import annotations

import shutil
from pathlib import Path

import dask
import numpy as np
from photometry_plan import THREADS, sector_products, simulate

from tasoc_kit.numerics import prf
from tasoc_kit.numerics.detector import SCIENCE_COLUMNS
from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stars import locate_stars
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.simulation import open_truth
from tasoc_kit.simulation.sector import Sector
from tasoc_kit.simulation.settings import SectorSettings
from tasoc_kit.sources.star_catalog import read_stars

__all__ = ["SKIES", "sky_errors"]

SECTOR_FRAMES = 1280
_STRAPS: dict[str, object] = {"straps": True, "column_noise": 0.05, "glow_row": 12.0, "glow_column": 16.0}
SKIES: dict[str, dict[str, object]] = {
    "smooth": {"straps": False, "column_noise": 0.0},
    "straps": _STRAPS,
    "grf300": _STRAPS | {"structure": 5.0, "structure_scale": 300.0},
    "grf150": _STRAPS | {"structure": 5.0, "structure_scale": 150.0},
}
"""Skies over a whole sector, which brings 0.2 pixel of drift; the glow's centre is off by 20 pixels."""


class TemporalScatter:
    """The scatter in time of every pixel about its own mean, over images that come one by one."""

    def __init__(self) -> None:
        self.count, self.total, self.square = 0, 0.0, 0.0

    def add(self, image: np.ndarray) -> None:
        self.count += 1
        self.total = self.total + image
        self.square = self.square + image**2

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.total / self.count)

    @property
    def rms(self) -> float:
        left = self.square - self.count * self.mean**2
        return float(np.sqrt(np.mean(left) / (self.count - 1)))


def means_of_3(image: np.ndarray) -> np.ndarray:
    """Return the means of boxes of 3×3 pixels, side by side."""
    rows, columns = (size // 3 for size in image.shape)
    return image[: 3 * rows, : 3 * columns].reshape(rows, 3, columns, 3).mean(axis=(1, 3))


def unresolved(truth: Sector) -> np.ndarray:
    """Return the light of the stars below the limit of the catalogue, which counts as sky, electron/s."""
    stars, light = truth.stars, np.zeros((truth.settings.rows, truth.settings.columns), np.float32)
    faint = slice(stars.catalogued, None)
    column = stars.column[faint] - SCIENCE_COLUMNS.start
    prf.add_stars(light, stars.flux[faint], stars.row[faint], column, stars.parts[faint], stars.radius[faint])
    return light


def sky_errors(folder: Path, frames: int, name: str) -> dict[str, float]:
    """
    Simulate a sky, fit it, and return how far the fit is off, electron/s.

    Returns
    -------
    ``rms``: of the pixels, and ``ap3``: of means of 3×3 pixels, over all good frames, each place
    without its mean in time; ``absolute``: median of those means, the light of stars below the limit
    of the catalogue counted as sky; ``cpu``: CPU seconds to simulate a frame.
    """
    settings = {"rows": 2048, "columns": 2048, "seed": 3, "frames": frames, "every": SECTOR_FRAMES // frames}
    cpu = simulate(folder, **settings, **SKIES[name])
    cube, quality, _, reference = sector_products(folder)
    stars = locate_stars(reference, read_stars(str(folder / "stars.parquet")))
    apertures = make_apertures(reference, stars.isel(star=slice(0, 200)))
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        stream = stream_frames(cube, reference, apertures, quality).compute()
    sky = fit_sky(stream, reference, quality)
    truth = Sector(SectorSettings.model_validate_json(open_truth(folder).attrs["settings"]))
    pixels, boxes = TemporalScatter(), TemporalScatter()
    for i in np.flatnonzero(good_cadences(quality)):
        error = sky_image(sky, reference, int(i)) - truth.truth_sky(int(i))
        pixels.add(error)
        boxes.add(means_of_3(error))
    shutil.rmtree(folder)
    return {
        "rms": pixels.rms,
        "ap3": boxes.rms,
        "absolute": float(np.median(pixels.mean - unresolved(truth))),
        "levels": np.bincount(sky["sky_level"].values).tolist(),
        "cpu": cpu,
    }
