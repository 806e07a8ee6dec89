"""Light curves of every star: algebra on the tables of the stream, no pixel is read.

``flux = A·D − A·B − (A·Φ + scale · A·G·Φ)·c − N·κ`` with the aperture matrix A, the sky of the
reference B, the surface Φ·c, the strap gains G, and the pixels N of each aperture in each
column with its offset κ. Centroids are the first moments without those of the sky; those of
bright stars say how far each frame is displaced, and what that changes is taken out of the fluxes.
Errors follow from the noise model and the raw sum, which holds the sky of its own frame:

``var = a·n + b·A·D + n²·(σ_sky² + excess·σ_cell² + σ_structure²) + Σ_column n²·σ_κ²``

with what the cells about a star err more than others do (excess).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit.photometry.curves.guides import guide_motion, make_guides
from tasoc_kit.photometry.curves.motion import make_motion_table
from tasoc_kit.photometry.curves.series import (
    SERIES,
    SKY_NEEDS,
    SKY_TABLES,
    STAR_SUMS,
    check_stars,
    make_series,
    sky_series,
    some_frames,
    star_tables,
)
from tasoc_kit.photometry.psfs.psf_scene import shown_stars
from tasoc_kit.photometry.quality import carry_quality
from tasoc_kit.photometry.skies.anomalies import carry_anomalies
from tasoc_kit.photometry.stream import aperture_runs
from tasoc_kit.step import Parameter, step

__all__ = ["STAR_TABLE", "make_light_curves"]

MOTION = ("motion_row", "motion_column")
STAR_TABLE = ("tic", "ra", "dec", "tmag", "star_row", "star_column", "status", "contamination", "row_size",
         "aperture_flags", "skipped_by", "edge_flux")  # fmt: skip
"""What light curves keep of the stars."""


@step(
    version=5,
    product="light_curves",
    needs={
        "stream": STAR_SUMS,
        "sky": (*SKY_NEEDS, *SKY_TABLES, "sky_anomaly"),
        "apertures": ("row_size", "pixel_row", "pixel_column", "star_row", "star_column"),
        "reference": ("reference", "reference_sky", "noise_floor", "noise_slope"),
        "quality": ("quality",),
        "psf": ("psf_coefficient", "psf_row", "psf_column", "psf_flux"),
    },
    gives=tuple(SERIES),
    libraries=("numpy", "scipy", "numba"),
)
def make_light_curves(
    stream: xr.Dataset,
    sky: xr.Dataset,
    apertures: xr.Dataset,
    reference: xr.Dataset,
    quality: xr.Dataset,
    psf: xr.Dataset | None = None,
    *,
    steady: Annotated[bool, Parameter("take the motion of the stars out of the fluxes")] = True,
    systematic: Annotated[
        float, Parameter("error added in quadrature, as a share of the flux", unit="", ge=0)
    ] = 0.0,
) -> xr.Dataset:
    """
    Make flux, error, background and centroids of every star in every cadence.

    Parameters
    ----------
    stream
        Raw aperture sums and first moments.
    sky
        Sky model of every frame.
    apertures
        Pixels of every star.
    reference
        Sky and noise model of the reference.
    quality
        Bits of the mission.
    psf
        PSF that the stars are drawn with to tell how their fluxes answer to motion. Without one, or
        with the nominal one, it is the nominal one as wide as the guide stars are.
    steady
        Take the motion of the stars out of the fluxes; needs at least eight bright, lone stars.
    systematic
        Error added in quadrature, as a share of the flux.

    Returns
    -------
    Lazy (star, time) series with the star table of the apertures; a star without pixels and a
    cadence without data are NaN. ``motion_row`` and ``motion_column`` (time) are the measured
    displacements at the middle of the stars, NaN where too few stars could tell.

    Raises
    ------
    StepInputError
        If the apertures are not those of the stream, or the PSF is of other stars.
    """
    check_stars("make_light_curves", apertures, stream=stream, psf=psf)
    tables, steadiness, guides = _tables(apertures, reference, sky, psf, steady)
    measure, make, prepare = map(dask.delayed, (guide_motion, make_series, sky_series))
    size, stars = int(stream.attrs.get("block", 64)), apertures.sizes["star"]
    pieces: dict[str, list[da.Array]] = {name: [] for name in (*SERIES, *MOTION)}
    for start in range(0, stream.sizes["time"], size):
        part = slice(start, min(start + size, stream.sizes["time"]))
        frames = part.stop - part.start
        sums = dask.delayed(tuple)([some_frames(stream[name], part) for name in STAR_SUMS])
        below = prepare({name: some_frames(sky[name], part) for name in SKY_NEEDS})
        motion = measure(guides, sums, below, systematic)
        made = make(tables, sums, below, systematic, steadiness, motion)
        for name, dtype in SERIES.items():
            pieces[name].append(da.from_delayed(made[name], (stars, frames), dtype))
        for axis, name in enumerate(MOTION):
            pieces[name].append(da.from_delayed(motion[:, axis, 0], (frames,), float))
    dims = dict.fromkeys(SERIES, ("star", "time")) | dict.fromkeys(MOTION, ("time",))
    variables = {name: (dims[name], da.concatenate(p, axis=-1)) for name, p in pieces.items()}
    parts = ((apertures, STAR_TABLE), (stream, ("time", "cadenceno")))
    coords = {name: part[name].variable for part, names in parts for name in names if name in part.variables}
    coords |= {"frame_quality": sky["frame_quality"].variable}
    series = carry_quality(xr.Dataset(variables, coords, {"block": size}), quality, apertures)
    return carry_anomalies(series, sky, apertures)


def _tables(
    apertures: xr.Dataset, reference: xr.Dataset, sky: xr.Dataset, psf: xr.Dataset | None, steady: bool
) -> tuple[Any, ...]:
    """Return, for every task, the tables of all stars, how they answer to motion, and the guides."""
    runs = aperture_runs(apertures, reference["row"].values, reference["column"].values)
    column = np.clip(runs.centre_column, 0, reference.sizes["column"] - 1)
    noise = reference["noise_floor"].values[column], reference["noise_slope"].values[column]
    with ThreadPoolExecutor(1) as thread:
        tables = thread.submit(star_tables, sky, reference, runs, noise)
        # A nominal PSF is not known better than by the width that the guides show here.
        known = psf is not None and psf.attrs.get("shape", "nominal") != "nominal"
        shown = shown_stars(psf, apertures) if psf is not None and known else None
        motion = make_motion_table(apertures, reference, runs, shown) if steady else None
        guides = make_guides(motion, sky, reference, runs, noise)
        made = (tables.result(), motion.steadiness if motion else None, guides)
    return tuple(dask.delayed(one, traverse=False) for one in made)
