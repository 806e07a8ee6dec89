"""Apertures as runs: pixels side by side in one row of the frame, star after star.

Whatever is summed over an aperture (a frame, a model of the sky, the offsets of columns) is
summed run by run: few numbers describe many pixels, and the ends of a run look up a cumulative sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tasoc_kit.numerics.splines import Surface

__all__ = [
    "NO_RUNS",
    "ColumnSums",
    "Runs",
    "SurfaceSums",
    "column_sums",
    "find_runs",
    "image_moments",
    "some_stars",
    "surface_sums",
]


class Runs(NamedTuple):
    """The pixels of all apertures."""

    start: np.ndarray
    """(star + 1) first run of each star."""
    row: np.ndarray
    """(run) row index in the frame."""
    first: np.ndarray
    """(run) index of the first column."""
    stop: np.ndarray
    """(run) index of the column behind the last one."""
    centre_row: np.ndarray
    """(star) row index of the star's own pixel, which moments are counted from."""
    centre_column: np.ndarray
    """(star) column index of the star's own pixel."""


NO_RUNS = Runs(np.zeros(1, np.int64), *(np.empty(0, np.int32) for _ in range(5)))
"""No aperture at all."""


class ColumnSums(NamedTuple):
    """What each column of the frame brings into an aperture; a star covers a range of columns."""

    start: np.ndarray
    """(star + 1) first entry of each star."""
    first: np.ndarray
    """(star) column index of the first entry."""
    centre: np.ndarray
    """(star) column index that moments are counted from."""
    count: np.ndarray
    """(entry) pixels of the aperture in the column."""
    row_moment: np.ndarray
    """(entry) the same, weighted by row − centre row."""


class SurfaceSums(NamedTuple):
    """What each spline of a surface brings into an aperture: a block of row × column splines a star."""

    start: np.ndarray
    """(star + 1) first entry of each star."""
    corner: np.ndarray
    """(star) index of the first coefficient of the block, in C order."""
    width: np.ndarray
    """(star) column splines in the block."""
    stride: int
    """Column splines of the whole surface."""
    plain: np.ndarray
    """(entry, 3) sum over the aperture, and its moments by row and column."""
    gained: np.ndarray
    """(entry, 3) the same, weighted by the gain of each column."""
    has_gain: np.ndarray
    """(star) False where all gains are zero."""


def find_runs(
    row_size: np.ndarray, row: np.ndarray, column: np.ndarray, centre: tuple[np.ndarray, np.ndarray]
) -> Runs:
    """
    Return apertures as runs.

    Parameters
    ----------
    row_size
        (star) pixels in each aperture.
    row, column
        (aperture pixel) indices in the frame, star after star; any order within a star.
    centre
        Row and column index (star) that moments are counted from.
    """
    pixels = np.concatenate([[0], np.cumsum(row_size)]).astype(np.int64)
    row, column = (np.ascontiguousarray(values, np.int32) for values in (row, column))
    if not _in_order(pixels, row, column):
        order = np.lexsort((column, row, np.repeat(np.arange(len(row_size)), row_size)))
        row, column = row[order], column[order]
    return Runs(*_join(pixels, row, column), *(values.astype(np.int32) for values in centre))


@njit(nogil=True, cache=True)
def _in_order(pixels, row, column):
    for s in range(pixels.size - 1):
        for k in range(pixels[s] + 1, pixels[s + 1]):
            if row[k] < row[k - 1] or (row[k] == row[k - 1] and column[k] <= column[k - 1]):
                return False
    return True


@njit(nogil=True, cache=True)
def _join(pixels, row, column):
    """Return the first run of each star, and row, first column and end of every run."""
    start, rows = np.zeros(pixels.size, np.int64), np.empty(row.size, np.int32)
    first, stop = np.empty(row.size, np.int32), np.empty(row.size, np.int32)
    runs = 0
    for s in range(pixels.size - 1):
        for k in range(pixels[s], pixels[s + 1]):
            if k == pixels[s] or row[k] != row[k - 1] or column[k] != column[k - 1] + 1:
                rows[runs], first[runs] = row[k], column[k]
                runs += 1
            stop[runs - 1] = column[k] + 1
        start[s + 1] = runs
    return start, rows[:runs].copy(), first[:runs].copy(), stop[:runs].copy()


def some_stars(runs: Runs, stars: np.ndarray) -> Runs:
    """Return the runs of some stars (indices), in the order asked for."""
    size = np.diff(runs.start)[stars]
    start = np.concatenate([[0], np.cumsum(size)])
    chosen = np.repeat(runs.start[:-1][stars] - start[:-1], size) + np.arange(start[-1])
    pieces = (runs.row[chosen], runs.first[chosen], runs.stop[chosen])
    return Runs(start, *pieces, runs.centre_row[stars], runs.centre_column[stars])


@njit(nogil=True, cache=True)
def image_moments(image, runs):
    """
    Return moments of an image over every aperture.

    Parameters
    ----------
    image
        (rows, columns), finite where apertures are.
    runs
        The apertures.

    Returns
    -------
    float64 (5, star): sum, then weighted by y, by x, by y² and by x², the offsets from the
    star's own pixel.
    """
    out = np.zeros((5, runs.centre_row.size))
    for s in range(runs.centre_row.size):
        for k in range(runs.start[s], runs.start[s + 1]):
            r, y = runs.row[k], float(runs.row[k] - runs.centre_row[s])
            total, first, second = 0.0, 0.0, 0.0
            for c in range(runs.first[k], runs.stop[k]):
                value, x = float(image[r, c]), float(c - runs.centre_column[s])
                total += value
                first += value * x
                second += value * x * x
            out[0, s] += total
            out[1, s] += total * y
            out[2, s] += first
            out[3, s] += total * y * y
            out[4, s] += second
    return out


@njit(nogil=True, cache=True)
def _span(runs, s):
    """Return first and last row, first and last column of an aperture that has pixels."""
    a, b = runs.start[s], runs.start[s + 1]
    return runs.row[a], runs.row[b - 1], runs.first[a:b].min(), runs.stop[a:b].max() - 1


@njit(nogil=True, cache=True)
def column_sums(runs):
    """Return what each column brings into every aperture, as :class:`ColumnSums`."""
    stars = runs.centre_row.size
    start, first = np.zeros(stars + 1, np.int64), np.zeros(stars, np.int64)
    for s in range(stars):
        width = 0
        if runs.start[s + 1] > runs.start[s]:
            _, _, low, high = _span(runs, s)
            first[s], width = low, high + 1 - low
        start[s + 1] = start[s] + width
    count, moment = np.zeros(start[stars]), np.zeros(start[stars])
    for s in range(stars):
        for k in range(runs.start[s], runs.start[s + 1]):
            y = runs.row[k] - runs.centre_row[s]
            for c in range(runs.first[k], runs.stop[k]):
                count[start[s] + c - first[s]] += 1.0
                moment[start[s] + c - first[s]] += y
    return ColumnSums(start, first, runs.centre_column, count, moment)


def surface_sums(surface: Surface, runs: Runs, gain: np.ndarray) -> SurfaceSums:
    """
    Return what each spline of a surface brings into every aperture.

    Parameters
    ----------
    surface
        Tensor product of splines on the frame.
    runs
        The apertures.
    gain
        (column) weights of the second set of sums.
    """
    across = surface.columns.pixels
    index = np.arange(len(across))[:, None]
    kinds = np.stack([across, across * index, across * gain[:, None], across * gain[:, None] * index], axis=2)
    cumulative = np.concatenate([np.zeros((1, *kinds.shape[1:])), np.cumsum(kinds, axis=0)])
    gained = np.concatenate([[0], np.cumsum(gain != 0)])
    spans = (*_reach(surface.rows.pixels), *_reach(across))
    start, corner, width, *sums = _surface_sums(runs, surface.rows.pixels, cumulative, gained, *spans)
    return SurfaceSums(start, corner, width, across.shape[1], *sums)


def _reach(splines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last spline that is not zero at every pixel."""
    lit = splines != 0
    return lit.argmax(axis=1), splines.shape[1] - 1 - lit[:, ::-1].argmax(axis=1)


@njit(nogil=True, cache=True)
def _surface_sums(runs, down, cumulative, gained, row_low, row_high, column_low, column_high):
    stars, splines = runs.centre_row.size, cumulative.shape[1]
    start, corner, width = np.zeros(stars + 1, np.int64), np.zeros(stars, np.int64), np.zeros(stars, np.int64)
    has_gain = np.zeros(stars, np.bool_)
    for s in range(stars):
        size = 0
        if runs.start[s + 1] > runs.start[s]:
            r0, r1, c0, c1 = _span(runs, s)
            corner[s] = row_low[r0] * splines + column_low[c0]
            width[s] = column_high[c1] - column_low[c0] + 1
            has_gain[s] = gained[c1 + 1] > gained[c0]
            size = width[s] * (row_high[r1] - row_low[r0] + 1)
        start[s + 1] = start[s] + size
    sums, more = np.zeros((start[stars], 3)), np.zeros((start[stars], 3))
    for s in range(stars):
        low_i, low_j = corner[s] // splines, corner[s] % splines
        for k in range(runs.start[s], runs.start[s + 1]):
            r, a, b = runs.row[k], runs.first[k], runs.stop[k]
            y, x = float(r - runs.centre_row[s]), float(runs.centre_column[s])
            for i in range(row_low[r], row_high[r] + 1):
                weight, line = down[r, i], start[s] + (i - low_i) * width[s] - low_j
                for j in range(column_low[a], column_high[b - 1] + 1):
                    total = weight * (cumulative[b, j, 0] - cumulative[a, j, 0])
                    moment = weight * (cumulative[b, j, 1] - cumulative[a, j, 1])
                    sums[line + j, 0] += total
                    sums[line + j, 1] += total * y
                    sums[line + j, 2] += moment - x * total
                    if has_gain[s]:
                        total = weight * (cumulative[b, j, 2] - cumulative[a, j, 2])
                        moment = weight * (cumulative[b, j, 3] - cumulative[a, j, 3])
                        more[line + j, 0] += total
                        more[line + j, 1] += total * y
                        more[line + j, 2] += moment - x * total
    return start, corner, width, sums, more, has_gain
