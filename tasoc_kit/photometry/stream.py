"""The one pass over the pixels: every frame is read once and leaves small tables behind.

A frame is compared with the reference. What stays are the sky cells, the column cells, the
raw sums and first moments of every aperture, and the mean image of each block of frames. All
that follows (the sky, its smoothing, errors, light curves) is algebra on these tables.

The result is lazy: one Dask chunk holds one block of frames, made of tasks of a few frames
each. Within a task frames are added in order, and tasks in order within a block, so the bits
do not depend on threads, on the scheduler, or on where a run was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.cells import BandedRuns, FrameTables, banded_runs, empty_tables, measure_frame
from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.numerics.runs import Runs, find_runs
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.sources.ffi import FrameReader, open_frames
from tasoc_kit.step import Parameter, step

__all__ = ["aperture_runs", "stream_blocks", "stream_frames"]

FRAMES_PER_TASK = 16
ROWS_AT_ONCE = 32
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
}


@dataclass(frozen=True)
class _Plan:
    """What every task needs beside its frames."""

    template: np.ndarray
    strap: np.ndarray
    noise: tuple[float, float]
    runs: BandedRuns
    stars: int
    clip: float
    cell: int
    band: int
    sky: bool


@step(
    version=2,
    product="stream",
    needs={
        "cube": ("flux",),
        "reference": ("reference", "reference_sky", "saturated", "noise_floor", "noise_slope"),
        "apertures": ("row_size", "pixel_row", "pixel_column", "star_row", "star_column"),
        "quality": ("quality", "frame_quality"),
    },
    gives=("cells", "column_cells", "aperture_sum", "block_image"),
    libraries=("numpy", "numba"),
)
def stream_frames(
    cube: xr.Dataset,
    reference: xr.Dataset,
    apertures: xr.Dataset,
    quality: xr.Dataset,
    *,
    clip: Annotated[float, Parameter("distance from its cell's level that a sky pixel may have", ge=2)] = 6.5,
    cell: Annotated[int, Parameter("size of a sky cell", unit="pix", ge=4, le=64)] = 16,
    band: Annotated[int, Parameter("rows over which a column is averaged, in cells", ge=1)] = 16,
    block: Annotated[int, Parameter("cadences stored together", ge=8)] = 64,
) -> xr.Dataset:
    """
    Read every frame once and keep sky cells, column cells, aperture sums and block images.

    Parameters
    ----------
    cube
        Frames of one CCD or cutout, float32 electron/s.
    reference
        Star image, its sky and the noise model.
    apertures
        Pixels of every star.
    quality
        Bits of every cadence; only good ones enter the block images.
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
    plan = _make_plan(cube, reference, apertures, clip, cell, band)
    variables = _blocks(reader, dask.delayed(plan, traverse=False), plan, good_cadences(quality), block)
    return xr.Dataset(
        variables,
        coords={name: cube[name].variable for name in ("time", "cadenceno", "row", "column")}
        | {"tic": apertures["tic"].variable},
        attrs={"cell": cell, "band": band * cell, "block": block, "clip": clip},
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
        block = stream[names].isel(time=slice(start, start + size)).compute()
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
    cube: xr.Dataset, reference: xr.Dataset, apertures: xr.Dataset, clip: float, cell: int, band: int
) -> _Plan:
    rows, columns = cube["row"].values, cube["column"].values
    star, sky = reference["reference"].values, reference["reference_sky"].values
    noise = float(reference["noise_floor"].mean()), float(reference["noise_slope"].mean())
    limit = BRIGHT_OVER_SKY * (noise[0] + noise[1] * np.maximum(sky, 0))
    template = (star + sky).astype(np.float32)
    # A cutout may be filled by one star; its difference still is the best sky there is.
    if min(template.shape) >= 2 * cell:
        template[(noise[1] * star > limit) | reference["saturated"].values] = np.nan
    strap = is_strap(columns)
    if strap.all():
        strap[:] = False
    runs = banded_runs(aperture_runs(apertures, rows, columns), cell, rows.size)
    return _Plan(template, strap, noise, runs, apertures.sizes["star"], clip, cell, band * cell, True)


def _measure_frames(reader: FrameReader, plan: _Plan, frames: range, good: np.ndarray) -> dict[str, Any]:
    """Read and measure some frames in order; the task that Dask runs."""
    tables = empty_tables(len(frames), reader.shape, plan.stars, plan.cell, plan.band)
    census = np.zeros((len(frames), 2), np.int32)
    frame, image = np.empty(reader.shape, np.float32), np.zeros(reader.shape, np.float32)
    for k, i in enumerate(frames):
        reader.read(i, frame)
        out = FrameTables(*(table[k] for table in tables))
        finite, zeros = measure_frame(
            frame, plan.template, plan.strap, plan.noise, plan.clip, plan.cell, plan.band,
            plan.runs, out, image, bool(good[k]), plan.sky,
        )  # fmt: skip
        census[k] = finite, zeros
        if finite == 0 or zeros == finite:
            _forget(out)
    return tables._asdict() | {
        "finite_pixels": census[:, 0],
        "zero_pixels": census[:, 1],
        "image": image,
        "count": int(good.sum()),
    }


def _forget(out: FrameTables) -> None:
    """Leave nothing of a frame that holds no data: a sky of exactly zero is no measurement."""
    for name, table in out._asdict().items():
        table[...] = 0 if name.endswith("used") else np.nan


def _join(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the tasks of one block together, in order."""
    count = sum(part["count"] for part in parts)
    mean = np.empty_like(parts[0]["image"])
    # Some rows at a time, so that the sums in double precision stay in the cache.
    for start in range(0, mean.shape[0], ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        total = parts[0]["image"][rows].astype(np.float64)
        for part in parts[1:]:
            total += part["image"][rows]
        mean[rows] = total / count if count else np.nan
    joined = {
        name: np.concatenate([part[name] for part in parts])
        for name in (*FrameTables._fields, "finite_pixels", "zero_pixels")
    }
    return joined | {
        "block_image": mean[None],
        "block_frames": np.asarray([count], np.int32),
    }


def _blocks(
    reader: FrameReader, shared: Any, plan: _Plan, good: np.ndarray, block: int
) -> dict[str, tuple[tuple[str, ...], da.Array]]:
    """Return every table as a lazy array with one chunk a block of frames."""
    measure, join = dask.delayed(_measure_frames), dask.delayed(_join)
    frames = good.size
    one = empty_tables(1, reader.shape, plan.stars, plan.cell, plan.band)
    kinds = {name: (table.shape[1:], table.dtype) for name, table in one._asdict().items()}
    kinds |= {"finite_pixels": ((), np.dtype(np.int32)), "zero_pixels": ((), np.dtype(np.int32))}
    pieces: dict[str, list[da.Array]] = {name: [] for name in (*kinds, "block_image", "block_frames")}
    lazy_reader = dask.delayed(reader)
    for start in range(0, frames, block):
        stop = min(start + block, frames)
        tasks = [range(i, min(i + FRAMES_PER_TASK, stop)) for i in range(start, stop, FRAMES_PER_TASK)]
        joined = join([measure(lazy_reader, shared, t, good[t.start : t.stop]) for t in tasks])
        for name, (shape, dtype) in kinds.items():
            pieces[name].append(da.from_delayed(joined[name], (stop - start, *shape), dtype))
        pieces["block_image"].append(da.from_delayed(joined["block_image"], (1, *reader.shape), np.float32))
        pieces["block_frames"].append(da.from_delayed(joined["block_frames"], (1,), np.int32))
    dims = _DIMS | {
        "finite_pixels": ("time",),
        "zero_pixels": ("time",),
        "block_image": ("block", "row", "column"),
        "block_frames": ("block",),
    }
    return {name: (dims[name], da.concatenate(arrays)) for name, arrays in pieces.items()}
