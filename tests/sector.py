"""A small simulated sector and its products, made once for the tests of the photometry."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.halo_light_curves import make_halo_light_curves
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.pointing import estimate_pointing
from tasoc_kit.photometry.psf import fit_psf
from tasoc_kit.photometry.psf_light_curves import make_psf_light_curves
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.photometry.reference import make_reference
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stars import locate_stars
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.simulation.sector import Sector
from tasoc_kit.simulation.settings import SectorSettings
from tasoc_kit.simulation.write import write_sector
from tasoc_kit.sources.ffi import open_ffi, science
from tasoc_kit.sources.overrides import read_overrides
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


def make_every_method(made: SimpleNamespace, faint: int = 2) -> SimpleNamespace:
    """Return products of all methods: the first two stars have halo photometry, some faint ones PSF."""
    tic, size = (made.light_curves[name].values for name in ("tic", "row_size"))
    chosen = np.flatnonzero((size > 0) & (made.light_curves["tmag"].values > 12.5))[:faint]
    every = SimpleNamespace(**vars(made), faint=[int(star) for star in chosen])
    overrides = [*(f"{number}:halo" for number in tic[:2]), *(f"{tic[star]}:psf" for star in chosen)]
    every.apertures = make_apertures(made.reference, made.stars, read_overrides(overrides))
    every.psf = fit_psf(made.reference, every.apertures)
    every.stream = stream_frames(
        made.cube, made.reference, every.apertures, made.quality, every.psf
    ).compute()
    every.sky = fit_sky(every.stream, made.reference, made.quality)
    last = every.apertures, made.reference, made.quality
    every.light_curves = make_light_curves(every.stream, every.sky, *last)
    every.psf_light_curves = make_psf_light_curves(every.stream, every.sky, every.psf, *last)
    every.halo_light_curves = make_halo_light_curves(every.stream, every.sky, *last)
    return every


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
