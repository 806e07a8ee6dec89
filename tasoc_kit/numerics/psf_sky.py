"""What the sky brings into sums that are weighted with the PSF.

The surfaces are products of splines along rows and columns, so a stamp of weights meets few of
them; the offsets of the columns meet the stamp column by column.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tasoc_kit.numerics.psf_sums import SIDE
from tasoc_kit.numerics.splines import Surface

__all__ = ["StampSurface", "add_columns", "add_surface", "stamp_surface"]


class StampSurface(NamedTuple):
    """What each spline of a surface brings into a stamp: a block of row × column splines a stamp."""

    start: np.ndarray
    """(stamp + 1) first entry of each stamp."""
    corner: np.ndarray
    """(stamp) index of the first coefficient of the block, in C order."""
    width: np.ndarray
    """(stamp) column splines in the block."""
    stride: int
    """Column splines of the whole surface."""
    plain: np.ndarray
    """(entry) weighted sum of the spline over the stamp."""
    gained: np.ndarray
    """(entry) the same, weighted by the gain of each column."""
    has_gain: np.ndarray
    """(stamp) False where all gains are zero."""


def stamp_surface(
    surface: Surface, weight: np.ndarray, top: np.ndarray, left: np.ndarray, gain: np.ndarray
) -> StampSurface:
    """
    Return what each spline of a surface brings into every stamp.

    Parameters
    ----------
    surface
        Tensor product of splines on the frame.
    weight, top, left
        (stamp, SIDE, SIDE) weights, and the first pixel of each stamp.
    gain
        (column) weights of the second set of sums.
    """
    down, across = surface.rows.pixels, surface.columns.pixels
    parts = _stamp_surface(down, across, np.asarray(gain, float), weight, top, left)
    return StampSurface(*parts[:3], across.shape[1], *parts[3:])


@njit(nogil=True, cache=True)
def _lit(splines, first):
    """Return the first and the last spline that is not zero on all of SIDE pixels."""
    low, high = splines.shape[1], -1
    for j in range(splines.shape[1]):
        for i in range(first, first + SIDE):
            if splines[i, j] != 0:
                low, high = min(low, j), max(high, j)
    return low, high


@njit(nogil=True, cache=True)
def _stamp_surface(down, across, gain, weight, top, left):
    stamps, stride = top.size, across.shape[1]
    start, corner, width = (
        np.zeros(stamps + 1, np.int64),
        np.zeros(stamps, np.int64),
        np.zeros(stamps, np.int64),
    )
    has_gain = np.zeros(stamps, np.bool_)
    for s in range(stamps):
        i0, i1 = _lit(down, top[s])
        j0, j1 = _lit(across, left[s])
        corner[s], width[s] = i0 * stride + j0, j1 - j0 + 1
        has_gain[s] = gain[left[s] : left[s] + SIDE].any()
        start[s + 1] = start[s] + (i1 - i0 + 1) * width[s]
    plain, gained = np.zeros(start[stamps]), np.zeros(start[stamps])
    line = np.empty(SIDE)
    for s in range(stamps):
        i0, j0, e = corner[s] // stride, corner[s] % stride, start[s]
        for i in range(i0, i0 + (start[s + 1] - start[s]) // width[s]):
            line[:] = 0.0
            for r in range(SIDE):
                for c in range(SIDE):
                    line[c] += down[top[s] + r, i] * weight[s, r, c]
            for j in range(j0, j0 + width[s]):
                for c in range(SIDE):
                    value = line[c] * across[left[s] + c, j]
                    plain[e] += value
                    gained[e] += value * gain[left[s] + c]
                e += 1
    return start, corner, width, plain, gained, has_gain


@njit(nogil=True, cache=True)
def add_surface(out, sums, plain, scaled):
    """
    Add a surface to the sky of every stamp.

    Parameters
    ----------
    out
        float64 (stamp, time), added to.
    sums
        :class:`StampSurface`.
    plain, scaled
        (coefficient, time) coefficients, and the same times the scale of the straps.
    """
    for s in range(out.shape[0]):
        row, line = 0, sums.corner[s]
        for e in range(sums.start[s], sums.start[s + 1]):
            index, weight, gained = line + row, sums.plain[e], sums.gained[e]
            for t in range(out.shape[1]):
                out[s, t] += weight * plain[index, t]
            if sums.has_gain[s]:
                for t in range(out.shape[1]):
                    out[s, t] += gained * scaled[index, t]
            row += 1
            if row == sums.width[s]:
                line, row = line + sums.stride, 0


@njit(nogil=True, cache=True)
def add_columns(out, weight, left, columns):
    """Add offsets (column, time) to the sky (stamp, time); ``weight`` (stamp, SIDE) is that of a column."""
    for s in range(out.shape[0]):
        for c in range(SIDE):
            share = weight[s, c]
            for t in range(out.shape[1]):
                out[s, t] += share * columns[left[s] + c, t]
