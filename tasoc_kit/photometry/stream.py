"""The one pass over the pixels: every frame is read once and leaves small tables behind.

A frame is compared with the reference. What stays are the sky cells, the column cells, the
raw sums and first moments of every aperture, the pixels about the stars that halo photometry
serves, and the mean image of each block of frames. All that follows (the sky, its smoothing,
errors, light curves) is algebra on these tables.

The result is lazy: one Dask chunk holds one block of frames, made by threads that take a few
frames each. Each adds its frames in order, and what they add is added in order, so the bits do not
depend on threads, on the scheduler, or on where a run was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit import chunks
from tasoc_kit.config import settings
from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.numerics.frame_pass import FrameTables, empty_tables, measure_frames, some_frames
from tasoc_kit.numerics.patches import Patches, make_patches
from tasoc_kit.numerics.psf_sums import NO_PROFILES, SIDE, Profiles, make_profiles
from tasoc_kit.numerics.runs import Runs, find_runs
from tasoc_kit.numerics.stamps import Stamps, find_stamps, make_stamps
from tasoc_kit.photometry.psfs.psf_scene import scene_of
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.sources.frame_reader import FrameReader, open_frames
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import Method

__all__ = ["aperture_runs", "halo_stars", "sky_template", "stream_blocks", "stream_frames"]

FRAMES_PER_SUM = 16
"""Frames whose sum a thread makes in single precision."""
ROWS_AT_ONCE = 32
HALO_RADIUS = 20.0
"""Pixels about a halo star that are kept (TASOC)."""
BRIGHT_OVER_SKY = 1.0
"""A pixel is no sky where the stars alone bring more variance than this times the sky's."""

_DIMS = {
    "cells": ("time", "cell_row", "cell_column"),
    "cell_used": ("time", "cell_row", "cell_column"),
    "cell_variance": ("time", "cell_row", "cell_column"),
    "column_cells": ("time", "band", "column"),
    "column_used": ("time", "band", "column"),
    "aperture_sum": ("time", "star"),
    "moment_row": ("time", "star"),
    "moment_column": ("time", "star"),
    "stamp_flux": ("time", "stamp_pixel"),
    "psf_sum": ("time", "psf_star"),
    "finite_pixels": ("time",),
    "zero_pixels": ("time",),
    "block_image": ("block", "row", "column"),
    "block_frames": ("block",),
}


@dataclass(frozen=True)
class _Plan:
    """What the pass needs beside the frames."""

    template: np.ndarray
    strap: np.ndarray
    noise: tuple[float, float]
    patches: Patches
    stamps: Stamps
    stars: int
    clip: float
    cell: int
    band: int
    sky: bool
    profiles: Profiles = NO_PROFILES
    psf_stars: int = 0

    def empty(self, frames: int) -> FrameTables:
        """Return tables for a number of frames, to be filled."""
        sizes = self.stars, self.cell, self.band, self.stamps.place.size, self.psf_stars
        return empty_tables(frames, self.template.shape, *sizes)


@step(
    version=4,
    product="stream",
    needs={
        "cube": ("flux",),
        "reference": ("reference", "reference_sky", "saturated", "noise_floor", "noise_slope"),
        "apertures": ("row_size", "pixel_row", "pixel_column", "star_row", "star_column"),
        "quality": ("quality", "frame_quality"),
        "psf": ("psf_coefficient", "psf_row", "psf_column", "psf_flux", "psf_source"),
    },
    gives=("cells", "column_cells", "aperture_sum", "stamp_flux", "block_image"),
    libraries=("numpy", "numba"),
)
def stream_frames(
    cube: xr.Dataset,
    reference: xr.Dataset,
    apertures: xr.Dataset,
    quality: xr.Dataset,
    psf: xr.Dataset | None = None,
    *,
    clip: Annotated[float, Parameter("distance from its cell's level that a sky pixel may have", ge=2)] = 6.5,
    cell: Annotated[int, Parameter("size of a sky cell", unit="pix", ge=4, le=64)] = 16,
    band: Annotated[int, Parameter("rows over which a column is averaged, in cells", ge=1)] = 16,
    block: Annotated[int, Parameter("cadences stored together", ge=8)] = 64,
) -> xr.Dataset:
    """
    Read every frame once and keep sky cells, column cells, aperture sums, stamps and block images.

    Parameters
    ----------
    cube
        Frames of one CCD or cutout, float32 electron/s.
    reference
        Star image, its sky and the noise model.
    apertures
        Pixels of every star; the stars whose ``method`` is HALO leave stamps too.
    quality
        Bits of every cadence; only good ones enter the block images.
    psf
        The PSF and its stars, whose weighted sums are kept too; None keeps none.
    clip
        Distance from the level of its cell, in sigma, that a sky pixel may have.
    cell
        Size of a sky cell, pixels.
    band
        Rows over which a column is averaged, in cells.
    block
        Cadences that are stored together.

    Returns
    -------
    Lazy tables (time, …), one chunk a block; see the vocabulary for their names.

    Raises
    ------
    StepInputError
        If the reference has another shape than the frames.
    """
    reader = open_frames(cube)
    if reader.shape != reference["reference"].shape:
        raise StepInputError(
            f"stream_frames: frames of {reader.shape} pixels, reference of {reference['reference'].shape}; "
            "expected the same rows and columns. Make the reference from this cube."
        )
    stamps = _halo_stamps(cube, apertures)
    plan = _make_plan(cube, reference, apertures, stamps, clip, cell, band)
    if psf is not None:
        plan = _with_psf(plan, psf, reference)
    variables = _blocks(reader, plan, good_cadences(quality), block)
    return xr.Dataset(
        variables,
        coords={name: cube[name].variable for name in ("time", "cadenceno", "row", "column")}
        | {"tic": apertures["tic"].variable}
        | {name: stamps[name].variable for name in stamps},
        attrs={"cell": cell, "band": band * cell, "block": block, "clip": clip},
    )


def halo_stars(apertures: xr.Dataset) -> np.ndarray:
    """Return the indices of the stars that halo photometry serves; none where no method is named."""
    if "method" not in apertures.variables:
        return np.zeros(0, np.int64)
    return np.flatnonzero(apertures["method"].values == Method.HALO)


def _halo_stamps(cube: xr.Dataset, apertures: xr.Dataset) -> xr.Dataset:
    """Return star, row and column (stamp_pixel) of the pixels about the halo stars; maybe none."""
    halo = halo_stars(apertures)
    origin = [int(cube[axis].values[0]) for axis in ("row", "column")]
    place = (
        apertures[f"star_{axis}"].values[halo] - low
        for axis, low in zip(("row", "column"), origin, strict=True)
    )
    star, row, column = find_stamps(*place, HALO_RADIUS, (cube.sizes["row"], cube.sizes["column"]))
    return xr.Dataset(
        {
            "stamp_star": ("stamp_pixel", halo[star].astype(np.int32)),
            "stamp_row": ("stamp_pixel", (row + origin[0]).astype(np.int16)),
            "stamp_column": ("stamp_pixel", (column + origin[1]).astype(np.int16)),
        }
    )


def aperture_runs(apertures: xr.Dataset, rows: np.ndarray, columns: np.ndarray) -> Runs:
    """
    Return the pixels of all apertures as runs in a frame.

    Parameters
    ----------
    apertures
        ``row_size`` (star), ``pixel_row`` and ``pixel_column`` (aperture_pixel).
    rows, columns
        Labels of the frame; apertures must lie inside.
    """
    origin = {"row": int(rows[0]), "column": int(columns[0])}
    pixels = (apertures[f"pixel_{axis}"].values.astype(np.int64) - low for axis, low in origin.items())
    centre = [np.rint(apertures[f"star_{axis}"].values) - low for axis, low in origin.items()]
    return find_runs(apertures["row_size"].values, *pixels, (centre[0], centre[1]))


def stream_blocks(stream: xr.Dataset, names: Iterable[str]) -> Iterator[dict[str, np.ndarray]]:
    """Yield variables of a stream block by block; the next one is read while one is in use."""
    size, names = int(stream.attrs.get("block", 64)), list(names)

    def read(start: int) -> dict[str, np.ndarray]:
        block = chunks.compute(stream[names].isel(time=slice(start, start + size)))
        return {name: block[name].values for name in names}

    starts = range(0, stream.sizes["time"], size)
    with ThreadPoolExecutor(1, "next-block") as thread:
        ahead = thread.submit(read, 0)
        for following in (*starts[1:], None):
            block = ahead.result()
            if following is not None:
                ahead = thread.submit(read, following)
            yield block


def _make_plan(
    cube: xr.Dataset,
    reference: xr.Dataset,
    apertures: xr.Dataset,
    stamps: xr.Dataset,
    clip: float,
    cell: int,
    band: int,
) -> _Plan:
    rows, columns = cube["row"].values, cube["column"].values
    template, strap, noise = sky_template(cube, reference, cell)
    patches = make_patches(aperture_runs(apertures, rows, columns), cell, rows.size)
    kept = make_stamps(
        stamps["stamp_row"].values.astype(np.int64) - rows[0],
        stamps["stamp_column"].values.astype(np.int64) - columns[0],
        cell,
        rows.size,
    )
    return _Plan(
        template, strap, noise, patches, kept, apertures.sizes["star"], clip, cell, band * cell, True
    )


def sky_template(
    cube: xr.Dataset, reference: xr.Dataset, cell: int
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """
    Return what the sky of a frame is measured against.

    Parameters
    ----------
    cube
        The frames, for their columns.
    reference
        Star image, its sky and the noise model.
    cell
        Size of a sky cell, pixels.

    Returns
    -------
    The template, float32 (row, column), NaN where a pixel never is sky; the columns with a strap; and a
    and b of ``var = a + b · flux``.
    """
    star, sky = reference["reference"].values, reference["reference_sky"].values
    noise = float(reference["noise_floor"].mean()), float(reference["noise_slope"].mean())
    limit = BRIGHT_OVER_SKY * (noise[0] + noise[1] * np.maximum(sky, 0))
    template = (star + sky).astype(np.float32)
    # A cutout may be filled by one star; its difference still is the best sky there is.
    if min(template.shape) >= 2 * cell:
        template[(noise[1] * star > limit) | reference["saturated"].values] = np.nan
    strap = is_strap(cube["column"].values)
    if strap.all():
        strap[:] = False
    return template, strap, noise


def _with_psf(plan: _Plan, psf: xr.Dataset, reference: xr.Dataset) -> _Plan:
    """Return the plan with the stamps of the stars that PSF photometry serves."""
    if plan.cell < SIDE:
        raise StepInputError(
            f"stream_frames: cell={plan.cell} with a psf; expected at least {SIDE}, the rows of "
            "a star's stamp. Take larger cells, or leave the psf out."
        )
    scene = scene_of(psf, reference)
    profiles = make_profiles(scene.weight, scene.top, scene.left, plan.cell, len(plan.template))
    return replace(plan, profiles=profiles, psf_stars=scene.star.size)


def _measure_some(
    reader: FrameReader, plan: _Plan, frames: range, good: np.ndarray, out: FrameTables, image: np.ndarray
) -> None:
    """Measure some frames in order, and add the good ones to an image."""
    # Frames without a file that compiled code can read are held in memory, one at a time.
    at_once = len(frames) if all(map(reader.is_direct, frames)) else 1
    for start in range(0, len(frames), at_once):
        part = slice(start, start + at_once)
        with reader.windows(frames[part]) as windows:
            unread = measure_frames(
                windows, plan.template, plan.strap, plan.noise, plan.clip, plan.cell, plan.band,
                plan.patches, plan.stamps, plan.profiles, some_frames(out, part), image, good[part], plan.sky,
            )  # fmt: skip
        if unread >= 0:
            raise reader.unread(frames[part][unread])


def _forget_empty(tables: FrameTables) -> None:
    """Leave nothing of frames that hold no data: a sky of exactly zero is no measurement."""
    for k in np.flatnonzero((tables.finite_pixels == 0) | (tables.zero_pixels == tables.finite_pixels)):
        for name, table in tables._asdict().items():
            if not name.endswith("_pixels"):
                table[k] = 0 if name.endswith("used") else np.nan


def _mean(sums: np.ndarray, count: int) -> np.ndarray:
    """Return the mean of the frames whose sums are given; NaN if there are none."""
    mean = np.empty_like(sums[0])
    # Some rows at a time, so that the sums in double precision stay in the cache.
    for start in range(0, mean.shape[0], ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        mean[rows] = sums[:, rows].sum(axis=0, dtype=np.float64) / count if count else np.nan
    return mean


def _measure_block(reader: FrameReader, plan: _Plan, frames: range, good: np.ndarray) -> dict[str, Any]:
    """Read and measure one block of frames; the task that Dask runs."""
    tables = plan.empty(len(frames))
    sums = np.zeros((-(-len(frames) // FRAMES_PER_SUM), *reader.shape), np.float32)

    def measure(k: int) -> None:
        part = slice(k * FRAMES_PER_SUM, (k + 1) * FRAMES_PER_SUM)
        _measure_some(reader, plan, frames[part], good[part], some_frames(tables, part), sums[k])

    with ThreadPoolExecutor(settings().threads, "frames") as threads:
        list(threads.map(measure, range(len(sums))))
    _forget_empty(tables)
    count = int(good.sum())
    return tables._asdict() | {
        "block_image": _mean(sums, count)[None],
        "block_frames": np.asarray([count], np.int32),
    }


def _blocks(
    reader: FrameReader, plan: _Plan, good: np.ndarray, block: int
) -> dict[str, tuple[tuple[str, ...], da.Array]]:
    """Return every table as a lazy array with one chunk a block of frames."""
    measure, shared = dask.delayed(_measure_block), dask.delayed((reader, plan), traverse=False)
    one = plan.empty(1)
    per_frame = {name: (table.shape[1:], table.dtype) for name, table in one._asdict().items()}
    per_block = {"block_image": (reader.shape, np.float32), "block_frames": ((), np.int32)}
    pieces: dict[str, list[da.Array]] = {name: [] for name in (*per_frame, *per_block)}
    for start in range(0, good.size, block):
        frames = range(start, min(start + block, good.size))
        made = measure(shared[0], shared[1], frames, good[frames.start : frames.stop])
        for kinds, length in ((per_frame, len(frames)), (per_block, 1)):
            for name, (shape, dtype) in kinds.items():
                pieces[name].append(da.from_delayed(made[name], (length, *shape), dtype))
    return {name: (_DIMS[name], da.concatenate(arrays)) for name, arrays in pieces.items()}
