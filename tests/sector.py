"""A small simulated sector and its products, made once for the tests of the photometry."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import xarray as xr

from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.pointing import estimate_pointing
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.photometry.reference import make_reference
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stars import locate_stars
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.simulation.sector import Sector
from tasoc_kit.simulation.settings import SectorSettings
from tasoc_kit.simulation.write import write_sector
from tasoc_kit.sources.ffi import open_ffi, science
from tasoc_kit.sources.star_catalog import read_stars

SETTINGS = {"rows": 256, "columns": 256, "frames": 48, "seed": 11}


def make_products(
    cube: xr.Dataset, catalogue: xr.Dataset | None, **aperture_options: object
) -> SimpleNamespace:
    """Run every step on a cube, in memory."""
    quality = make_quality(cube)
    pointing = estimate_pointing(cube, quality)
    reference = make_reference(cube, quality, pointing)
    stars = locate_stars(reference, catalogue)
    apertures = make_apertures(reference, stars, **aperture_options)
    stream = stream_frames(cube, reference, apertures, quality).compute()
    sky = fit_sky(stream, reference, quality)
    light_curves = make_light_curves(stream, sky, apertures, reference, quality).compute()
    return SimpleNamespace(
        cube=cube, quality=quality, pointing=pointing, reference=reference, stars=stars,
        apertures=apertures, stream=stream, sky=sky, light_curves=light_curves,
    )  # fmt: skip


def in_memory(cube: xr.Dataset, flux: xr.DataArray) -> xr.Dataset:
    """Return a cube whose frames are these arrays and no longer those of its files."""
    bare = cube.drop_vars(["flux", "file_offset", "file"], errors="ignore")
    return bare.assign(flux=(flux.dims, da.from_array(flux.values, chunks=(1, -1, -1))))


def make_sector(folder: Path, **changes: object) -> SimpleNamespace:
    """Simulate a sector, run every step on it, and keep the truth beside the products."""
    settings = SETTINGS | changes
    write_sector(folder, **settings)
    cube = science(open_ffi(str(folder)))
    made = make_products(cube, read_stars(folder / "stars.parquet"))
    made.truth = Sector(SectorSettings(**settings))
    made.folder = folder
    return made
