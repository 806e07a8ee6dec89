"""The skies of the plan frames over one another, and the places where a frame has no usable sky.

A frame that is crossed by an edge of Earth light is spoiled there and good elsewhere. So the frames are
judged cell by cell: the level of every frame in a cell comes from the (frame, pixel) table of that cell
alone, by medians along both ways, so that neither stars nor spoiled frames decide it. What is smooth in the
levels of a frame is its sky over the darkest; where it is brighter than others, or not smooth, the frame
is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numba import njit
from scipy.ndimage import binary_dilation

from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.numerics.splines import Ladder, Surface
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, median_of_some
from tasoc_kit.sources.frame_reader import open_frames

__all__ = ["PlanSkies", "fit_plan_skies", "read_bands"]

CELL = 16
LEVEL = 3
"""Level of the surface that brings the plan frames to one sky."""
BAND_BYTES = 128 * 2**20
USED_SHARE = 0.3
"""A cell with a smaller share of its pixels left is no measurement."""
SPARSE_FROM = 256
"""In frames of this many pixels every second row and column decides the level of a cell."""
FEWEST_SHARE, FEWEST = 8, 3
"""Every cell keeps at least an eighth of the frames, or three: those that deviate least."""
ROUNDS, SMALLEST_SCATTER = 4, 1e-6
OUTLIER = 8.0
"""A cell this many sigma off the sky of its frame is spoiled there, and so are its neighbours."""
WHOLE_SHARE = 0.9
"""Frames with this share of good cells decide the sky that all are brought to."""


@dataclass(frozen=True)
class PlanSkies:
    """The sky of every plan frame over the common one, and where that is known."""

    surface: Surface
    coefficients: list[np.ndarray]
    """Of the surface, one array a frame."""
    good: np.ndarray
    """bool (frame, cell row, cell column): False where a frame is to be left out."""

    def flatten(self, stack: np.ndarray, band: slice) -> None:
        """
        Bring frames to the common sky, in place; what is spoiled becomes NaN.

        Parameters
        ----------
        stack
            float32 (frame, row, column): some rows of all frames, electron/s.
        band
            Those rows; the first is the first of a cell.
        """
        rows, columns = stack.shape[1:]
        cells = slice(band.start // CELL, -(-band.stop // CELL))
        for image, coefficients, good in zip(stack, self.coefficients, self.good[:, cells], strict=True):
            image -= self.surface.rows.pixels[band] @ coefficients @ self.surface.columns.pixels.T
            if not good.all():
                pixels = np.repeat(np.repeat(good, CELL, axis=0), CELL, axis=1)
                image[~pixels[:rows, :columns]] = np.nan


def read_bands(cube: xr.Dataset, frames: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """
    Read some frames a band of rows at a time, so that all of them fit into memory.

    Yields
    ------
    The rows, whole cells of them, and float32 (frame, row, column) that the next band overwrites.
    """
    rows, columns = cube.sizes["row"], cube.sizes["column"]
    height = max(1, BAND_BYTES // (4 * columns * max(1, len(frames)) * CELL)) * CELL
    stack = np.empty((len(frames), min(height, rows), columns), np.float32)
    for start in range(0, rows, height):
        band = slice(start, min(start + height, rows))
        # A reader of some rows asks the files for those rows alone.
        reader = open_frames(cube.isel(row=band))
        part = stack[:, : band.stop - band.start]
        for k, i in enumerate(frames):
            reader.read(int(i), part[k])
        yield band, part


@njit(nogil=True, cache=True)
def _median_over(line, offsets, values):
    """Return the median by which a line of a table lies over some offsets; NaN where none is known."""
    count = 0
    for k in range(line.size):
        if np.isfinite(line[k] - offsets[k]):
            values[count] = line[k] - offsets[k]
            count += 1
    return median_of_some(values[:count])


@njit(nogil=True, cache=True)
def _polish(table, levels, pixels):
    """Give each frame of a (frame, pixel) table its level: table ≈ level + pixel, by medians."""
    values = np.empty(max(table.shape), np.float32)
    pixels[:] = 0.0
    for turn in range(2):
        for k in range(table.shape[0]):
            levels[k] = _median_over(table[k], pixels, values)
        if turn == 0:
            for p in range(table.shape[1]):
                pixels[p] = _median_over(table[:, p], levels, values)


@njit(nogil=True, cache=True)
def _cell_levels(stack, usable, cell, stride, levels, used):
    """Fill levels and used pixels (frame, cell row, cell column) of a band of frames."""
    frames, rows, columns = stack.shape
    table = np.empty((frames, cell * cell), np.float32)
    pixels = np.empty(cell * cell, np.float32)
    for i in range(levels.shape[1]):
        for j in range(levels.shape[2]):
            n = 0
            for r in range(i * cell, min((i + 1) * cell, rows), stride):
                # Every column takes part, for the columns of a cell need not be alike.
                for c in range(j * cell + (r // stride) % stride, min((j + 1) * cell, columns), stride):
                    if usable[c]:
                        for k in range(frames):
                            table[k, n] = stack[k, r, c]
                        n += 1
            _polish(table[:, :n], levels[:, i, j], pixels[:n])
            for k in range(frames):
                used[k, i, j] = np.isfinite(table[k, :n]).sum()


def _measure_levels(cube: xr.Dataset, frames: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Return the level of each frame in each cell, NaN where too few pixels tell it."""
    shape = (cube.sizes["row"], cube.sizes["column"])
    stride = 2 if min(shape) >= SPARSE_FROM else 1
    grid = (len(frames), *(-(-size // CELL) for size in shape))
    levels, used = np.empty(grid, np.float32), np.zeros(grid, np.int32)
    for band, stack in read_bands(cube, frames):
        cells = slice(band.start // CELL, -(-band.stop // CELL))
        _cell_levels(stack, usable, CELL, stride, levels[:, cells], used[:, cells])
    return np.where(used >= USED_SHARE * used.max(), levels, np.nan).astype(float)


def _with_enough(good: np.ndarray, deviation: np.ndarray, fewest: int) -> np.ndarray:
    """Return the good frames of each cell, filled up with those that deviate least where they are too few."""
    least = np.zeros_like(good)
    np.put_along_axis(least, np.argsort(deviation, axis=0, kind="stable")[:fewest], True, axis=0)
    return good | (least & (good.sum(axis=0) < fewest))


def fit_plan_skies(cube: xr.Dataset, frames: np.ndarray, darkness: float) -> PlanSkies:
    """
    Fit the sky of each of some frames over one that all share, and find where they are spoiled.

    Parameters
    ----------
    cube
        Frames of one CCD or cutout.
    frames
        Indices of the frames to compare.
    darkness
        Sky over that of the darkest frames of a cell which is still dark, electron/s.
    """
    strap = is_strap(cube["column"].values)
    usable = ~strap if not strap.all() else np.ones_like(strap)
    ladder = Ladder((cube.sizes["row"], cube.sizes["column"]), CELL, usable)
    top = min(LEVEL, len(ladder.surfaces) - 1)
    surface = ladder.surfaces[top]
    levels = _measure_levels(cube, frames, usable)
    known = np.isfinite(levels)
    fewest = min(len(frames), max(FEWEST, -(-len(frames) // FEWEST_SHARE)))
    # The common level starts as the darkest that more than a stray frame has.
    common = np.sort(np.where(known, levels, np.inf), axis=0)[fewest - 1]
    over = np.where(known & np.isfinite(common), levels - common, 0.0)
    dark = _with_enough(over <= darkness, over, fewest)
    weight = (dark & known).astype(float)
    for _ in range(ROUNDS):
        coefficients = [ladder.fit(o, w, top) for o, w in zip(over, weight, strict=True)]
        residual = over - np.stack([surface.on_cells(c) for c in coefficients])
        scatter = MAD_TO_SIGMA * np.nanmedian(np.abs(np.where(dark, residual, np.nan)), axis=0)
        # A cell on the wing of a bright star scatters with the pointing, which is no fault of a frame.
        sigmas = np.abs(residual) / np.maximum(np.maximum(scatter, np.median(scatter)), SMALLEST_SCATTER)
        # No cell is left out for good, or the surface could leave those beside it too.
        weight = (dark & known) / np.maximum(1.0, sigmas / 2.0) ** 2
        over -= (weight * residual).sum(axis=0) / np.maximum(weight.sum(axis=0), SMALLEST_SCATTER)
    spoiled = binary_dilation(known & ~(dark & (sigmas <= OUTLIER)), np.ones((1, 3, 3), bool))
    good = _with_enough(~spoiled, np.where(known, np.abs(residual) + over, np.inf), fewest)
    whole = good.mean(axis=(1, 2)) >= WHOLE_SHARE
    if whole.any():
        # The darkest levels are noisy, and all frames would share that noise; those of real frames are not.
        middle = np.mean([c for c, w in zip(coefficients, whole, strict=True) if w], axis=0)
        coefficients = [c - middle for c in coefficients]
    return PlanSkies(surface, coefficients, good)
