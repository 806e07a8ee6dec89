"""Apertures as patches: what an aperture has of eight neighbouring columns in one row of cells.

A bit for each pixel says whether it belongs to the aperture, so that one load, one selection and
two additions serve eight pixels at once, whatever the shape. numba cannot be made to do this with
plain loops; the few instructions are therefore written out for LLVM.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from tasoc_kit.numerics.runs import Runs

__all__ = ["LANES", "Patches", "add_patches", "make_patches"]

LANES = 8
"""Columns of a patch; rows must be readable so far beyond their last pixel."""


class Patches(NamedTuple):
    """
    The patches of all apertures, row of cells by row of cells.

    Within a row of cells they go by their number of rows: a loop that has the same length as the
    one before is foreseen by the processor.
    """

    start: np.ndarray
    """(row of cells + 1) first patch of each."""
    row: np.ndarray
    """(patch) its first row, counted from that of its row of cells."""
    column: np.ndarray
    """(patch) its first column."""
    rows: np.ndarray
    """(patch) number of rows."""
    row_offset: np.ndarray
    column_offset: np.ndarray
    """(patch) place of its first pixel, from the star's own pixel."""
    aperture: np.ndarray
    """(patch) which aperture it belongs to; apertures are in the order of their first rows."""
    bits: np.ndarray
    """(patch) index of its first row in ``lit``."""
    lit: np.ndarray
    """(row of a patch) uint8, lowest bit first: which of the eight pixels belong to the aperture."""
    star: np.ndarray
    """(aperture) which star of the tables it belongs to."""


def make_patches(runs: Runs, cell: int, rows: int) -> Patches:
    """
    Cut apertures into patches.

    Parameters
    ----------
    runs
        The apertures; those without pixels are left out.
    cell
        Rows in a row of cells.
    rows
        Rows of the frame.
    """
    (used,) = np.nonzero(np.diff(runs.start))
    used = used[np.argsort(runs.row[runs.start[used]], kind="stable")]
    band, row, column, height, aperture, bits, lit = _cut(runs, used, cell)
    key = band * (cell + 1) + height
    order = np.argsort(key.astype(np.min_scalar_type(rows + 2 * cell + rows // cell)), kind="stable")
    band, row, column, height, aperture, bits = (
        values[order] for values in (band, row, column, height, aperture, bits)
    )
    star = used[aperture]
    return Patches(
        np.searchsorted(band, np.arange(-(-rows // cell) + 1)),
        # In small numbers, for all of them are read for every frame.
        (row - band * cell).astype(np.uint16),
        column.astype(np.uint16),
        height.astype(np.uint16),
        (row - runs.centre_row[star]).astype(np.int16),
        (column - runs.centre_column[star]).astype(np.int16),
        aperture.astype(np.uint32),
        bits.astype(np.uint32),
        lit,
        used,
    )


@njit(nogil=True, cache=True)
def _piece(runs, first, end, cell):
    """Return the end of the runs that share a row of cells with ``first``, and the columns they span."""
    behind, k = (runs.row[first] // cell + 1) * cell, first
    low, high = runs.first[first], runs.stop[first]
    while k < end and runs.row[k] < behind:
        low, high = min(low, runs.first[k]), max(high, runs.stop[k])
        k += 1
    return k, low, high


@njit(nogil=True, cache=True)
def _cut(runs, stars, cell):
    patches, lines = 0, 0
    for s in stars:
        k, end = runs.start[s], runs.start[s + 1]
        while k < end:
            following, low, high = _piece(runs, k, end, cell)
            across = (high - low + LANES - 1) // LANES
            patches += across
            lines += across * (runs.row[following - 1] - runs.row[k] + 1)
            k = following
    band, row = np.empty(patches, np.int32), np.empty(patches, np.int32)
    column, height = np.empty(patches, np.int32), np.empty(patches, np.int32)
    aperture, bits = np.empty(patches, np.int32), np.empty(patches, np.int32)
    lit = np.zeros(lines, np.uint8)
    p, line = 0, 0
    for a in range(stars.size):
        k, end = runs.start[stars[a]], runs.start[stars[a] + 1]
        while k < end:
            following, low, high = _piece(runs, k, end, cell)
            top, tall = runs.row[k], runs.row[following - 1] - runs.row[k] + 1
            for run in range(k, following):
                first, behind = np.uint32(runs.first[run] - low), np.uint32(runs.stop[run] - low)
                place = line + runs.row[run] - top
                for patch in range(first // LANES, (behind + LANES - 1) // LANES):
                    start = patch * LANES
                    bits_set = (1 << min(behind - start, LANES)) - (1 << max(first, start) - start)
                    lit[place + patch * tall] |= np.uint8(bits_set)
            for patch in range((high - low + LANES - 1) // LANES):
                band[p], row[p], column[p], height[p] = top // cell, top, low + patch * LANES, tall
                aperture[p], bits[p] = a, line
                p, line = p + 1, line + tall
            k = following
    return band, row, column, height, aperture, bits, lit


@intrinsic
def _patch_sums(typingctx: Any, pixels: Any, stride: Any, lit: Any, rows: Any) -> Any:
    """
    Return the sum over a patch and its moments by row and column, from the patch's first pixel.

    Addresses and distances are in bytes. The sums are in double precision, for the pixels of a
    bright star differ by five orders of magnitude.
    """
    number, real, whole = ir.FloatType(), ir.DoubleType(), ir.IntType(32)
    vector, wide = ir.VectorType(number, LANES), ir.VectorType(real, LANES)

    def same(value: float) -> ir.Constant:
        return ir.Constant(wide, [ir.Constant(real, value)] * LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, stride, lit, rows = arguments
        total, down, y = (cgutils.alloca_once_value(builder, same(0.0)) for _ in range(3))
        with cgutils.for_range(builder, rows) as loop:
            place = builder.add(first, builder.mul(stride, loop.index))
            line = builder.load(builder.inttoptr(place, vector.as_pointer()))
            line.align = 4
            byte = builder.load(builder.inttoptr(builder.add(lit, loop.index), ir.IntType(8).as_pointer()))
            ours = builder.bitcast(byte, ir.VectorType(ir.IntType(1), LANES))
            none = ir.Constant(vector, [ir.Constant(number, 0.0)] * LANES)
            light = builder.fpext(builder.select(ours, line, none), wide)
            builder.store(builder.fadd(builder.load(total), light), total)
            moment = builder.fmul(light, builder.load(y), flags=("contract",))
            builder.store(builder.fadd(builder.load(down), moment, flags=("contract",)), down)
            builder.store(builder.fadd(builder.load(y), same(1.0)), y)
        lanes = ir.Constant(wide, [ir.Constant(real, float(lane)) for lane in range(LANES)])
        across = builder.fmul(builder.load(total), lanes)
        sums = [fold(builder, value) for value in (builder.load(total), builder.load(down), across)]
        return context.make_tuple(builder, signature.return_type, sums)

    def fold(builder: Any, value: Any) -> Any:
        size = LANES // 2
        while size:
            halves = (
                builder.shuffle_vector(
                    value,
                    value,
                    ir.Constant(
                        ir.VectorType(whole, size), [ir.Constant(whole, k + start) for k in range(size)]
                    ),
                )
                for start in (0, size)
            )
            value, size = builder.fadd(*halves), size // 2
        return builder.extract_element(value, ir.Constant(whole, 0))

    return types.UniTuple(types.float64, 3)(types.uintp, types.uintp, types.uintp, types.uintp), generate


@njit(nogil=True, cache=True)
def add_patches(frame, patches, band, sums):
    """
    Add the patches of one row of cells to sum and first moments of their apertures.

    Parameters
    ----------
    frame
        float32 (row, column), C-contiguous: the rows of that row of cells. Memory must go on for
        :data:`LANES` pixels behind the last.
    patches
        The apertures.
    band
        Which row of cells.
    sums
        float (aperture, 3), added to.
    """
    # Taken out of their tuple once: a loop that does so again pays for it in every turn.
    start, rows, columns, heights, row_offset, column_offset, aperture, bits, lit, _ = patches
    pixels, masks = np.uintp(frame.ctypes.data), np.uintp(lit.ctypes.data)
    item, width = np.uintp(4), np.uintp(frame.shape[1])
    for i in range(np.uintp(start[band]), np.uintp(start[band + 1])):
        first = pixels + (np.uintp(rows[i]) * width + np.uintp(columns[i])) * item
        total, down, across = _patch_sums(
            first, width * item, masks + np.uintp(bits[i]), np.uintp(heights[i])
        )
        k = np.uintp(aperture[i])
        sums[k, 0] += total
        sums[k, 1] += down + total * row_offset[i]
        sums[k, 2] += across + total * column_offset[i]
