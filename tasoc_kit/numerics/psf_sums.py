"""Sums of pixels weighted with the PSF, one stamp of eight by eight pixels a star.

A stamp that crosses the border of a row of cells is cut in two. A row of a stamp is one vector:
loaded, multiplied and added at once, without a branch. The few instructions are written out for
LLVM, as those of the apertures are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["NO_PROFILES", "SIDE", "Profiles", "add_profiles", "make_profiles"]

SIDE = 8
"""Rows and columns of a stamp."""


class Profiles(NamedTuple):
    """The weights of all stars, piece of a stamp by piece, row of cells by row of cells."""

    start: np.ndarray
    """(row of cells + 1) first piece of each."""
    row: np.ndarray
    """(piece) first row, counted from that of its row of cells."""
    column: np.ndarray
    """(piece) first column."""
    rows: np.ndarray
    """(piece) number of rows."""
    line: np.ndarray
    """(piece) which line of ``weight`` its first row has."""
    star: np.ndarray
    """(piece) which column of the table it adds to."""
    weight: np.ndarray
    """float32 (line, SIDE)"""


NO_PROFILES = Profiles(
    np.zeros(0, np.int64),
    *(np.zeros(0, np.uint16) for _ in range(3)),
    *(np.zeros(0, np.uint32) for _ in range(2)),
    np.zeros((0, SIDE), np.float32),
)
"""No PSF photometry: costs nothing."""


def make_profiles(weight: np.ndarray, top: np.ndarray, left: np.ndarray, cell: int, rows: int) -> Profiles:
    """
    Cut stamps into pieces.

    Parameters
    ----------
    weight
        (stamp, SIDE, SIDE) weights of the pixels.
    top, left
        (stamp) first row and column; the whole stamp lies in the frame.
    cell
        Rows in a row of cells, at least :data:`SIDE`.
    rows
        Rows of the frame.
    """
    band = top // cell
    above = np.minimum((band + 1) * cell - top, SIDE)
    crossing = np.flatnonzero(above < SIDE)
    every = np.arange(top.size)
    which = np.concatenate([every, crossing])
    first = np.concatenate([np.zeros(top.size, np.int64), above[crossing]])
    bands = np.concatenate([band, band[crossing] + 1])
    height = np.concatenate([above, SIDE - above[crossing]])
    order = np.lexsort((left[which], bands))
    which, first, bands, height = which[order], first[order], bands[order], height[order]
    start = np.concatenate([[0], np.cumsum(height)])
    lines = np.repeat(which * SIDE + first - start[:-1], height) + np.arange(start[-1])
    return Profiles(
        np.searchsorted(bands, np.arange(-(-rows // cell) + 1)),
        (top[which] + first - bands * cell).astype(np.uint16),
        left[which].astype(np.uint16),
        height.astype(np.uint16),
        start[:-1].astype(np.uint32),
        which.astype(np.uint32),
        # Copied in the order of use, so that memory is read from front to back.
        np.ascontiguousarray(weight.reshape(-1, SIDE)[lines], np.float32),
    )


@intrinsic
def _weighted_sum(typingctx: Any, pixels: Any, stride: Any, weights: Any, rows: Any) -> Any:
    """Return the weighted sum of some rows of eight pixels; addresses and distances are in bytes."""
    number = ir.FloatType()
    vector = ir.VectorType(number, SIDE)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, stride, weights, rows = arguments
        nothing = ir.Constant(vector, [ir.Constant(number, 0.0)] * SIDE)
        total = cgutils.alloca_once_value(builder, nothing)
        with cgutils.for_range(builder, rows) as loop:
            place = builder.add(first, builder.mul(stride, loop.index))
            line = builder.load(builder.inttoptr(place, vector.as_pointer()))
            place = builder.add(weights, builder.mul(loop.index, ir.Constant(loop.index.type, 4 * SIDE)))
            weight = builder.load(builder.inttoptr(place, vector.as_pointer()))
            line.align = weight.align = 4
            # A pixel that does not count may hold anything, also no number at all.
            counts = builder.fcmp_unordered("!=", weight, nothing)
            product = builder.fmul(builder.select(counts, line, nothing), weight, flags=("contract",))
            builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        value, sum_of_all = builder.load(total), ir.Constant(ir.DoubleType(), 0.0)
        for lane in range(SIDE):
            one = builder.extract_element(value, ir.Constant(ir.IntType(32), lane))
            sum_of_all = builder.fadd(sum_of_all, builder.fpext(one, ir.DoubleType()))
        return sum_of_all

    return types.float64(types.uintp, types.uintp, types.uintp, types.uintp), generate


@njit(nogil=True, cache=True)
def add_profiles(frame, profiles, band, sums):
    """
    Add the stamps of one row of cells to the sums of their stars.

    Parameters
    ----------
    frame
        float32 (row, column), C-contiguous: the rows of that row of cells.
    profiles
        The stamps.
    band
        Which row of cells.
    sums
        float32 (star), added to.
    """
    start, rows, columns, heights, lines, stars, weight = profiles
    if start.size == 0:
        return
    pixels, weights = np.uintp(frame.ctypes.data), np.uintp(weight.ctypes.data)
    item, width = np.uintp(4), np.uintp(frame.shape[1])
    for k in range(np.uintp(start[band]), np.uintp(start[band + 1])):
        first = pixels + (np.uintp(rows[k]) * width + np.uintp(columns[k])) * item
        line = weights + np.uintp(lines[k]) * np.uintp(SIDE) * item
        total = _weighted_sum(first, width * item, line, np.uintp(heights[k]))
        sums[np.uintp(stars[k])] += total
