"""Sky cells of one frame, a row of cells at a time, and the columns beneath them.

The frame is compared with a template (the star image plus the sky that was under it), so
that nearly every pixel is a sky pixel. Each cell of 16×16 pixels finds its own level: the
median of a sample of its pixels, then the mean of all pixels within ``clip`` sigma of it. No
guess comes from outside the cell, for a guess that is wrong clips the real sky away.
Columns with a strap are kept out of the cells and find their own level column by column.

The loops are compiled (numba, without the GIL); :func:`measure_cells_numpy` is the same in plain
NumPy and serves as the oracle of the tests.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["add_columns", "fill_columns", "mark_used", "measure_cells", "measure_cells_numpy"]

SAMPLE_STRIDE = 16
SPARSE_FROM = 128
"""Every pixel of a row of cells is sampled if one of its cells has fewer pixels than this."""
FEW_ROWS = 16
"""Every second pixel of a strap is sampled in cells of so many rows or more."""


@njit(nogil=True, cache=True)
def _power_of_two(size):
    """Return the smallest power of two that is not below ``size``."""
    power = 1
    while power < size:
        power *= 2
    return power


@njit(nogil=True, cache=True)
def _sort_rows(values):
    """
    Sort every column of a table whose number of rows is a power of two.

    Batcher's odd-even merge sort exchanges whole rows, so one instruction serves many columns:
    the medians of many small samples come ten times cheaper than one by one.
    """
    rows, columns = values.shape
    merged = 1
    while merged < rows:
        gap = merged
        while gap >= 1:
            for start in range(gap % merged, rows - gap, 2 * gap):
                for i in range(start, min(start + gap, rows - gap)):
                    if i // (2 * merged) == (i + gap) // (2 * merged):
                        for c in range(columns):
                            x, y = values[i, c], values[i + gap, c]
                            values[i, c] = y if y < x else x
                            values[i + gap, c] = x if y < x else y
            gap //= 2
        merged *= 2


@njit(nogil=True, cache=True)
def _lower_medians(sample, rows, count):
    """Return the lower median of every column of ``sample``, infinite where unused; NaN if all is."""
    columns = count.size
    sample[rows:] = np.inf
    _sort_rows(sample)
    medians = np.empty(columns, np.float32)
    for c in range(columns):
        medians[c] = sample[(count[c] - 1) // 2, c] if count[c] > 0 else np.float32(np.nan)
    return medians


@njit(nogil=True, cache=True)
def _cell_levels(frame, template, strap, cell, level):
    """Give the columns of a row of cells the median of a sample of their cell, straps left out."""
    rows, columns = frame.shape
    cells = (columns - 1) // cell + 1
    smallest = rows * (columns - (cells - 1) * cell)
    stride = SAMPLE_STRIDE if smallest >= SPARSE_FROM else 1
    sample = np.empty((_power_of_two(rows * ((cell - 1) // stride + 1)), cells), np.float32)
    count = np.zeros(cells, np.int32)
    k = 0
    for r in range(rows):
        # The start moves from row to row, so that the sample is no set of columns.
        for first in range((3 * r) % stride, cell, stride):
            for j in range(cells):
                c = min(first + j * cell, columns - 1)
                d = frame[r, c] - template[r, c]
                usable = d == d and not strap[c] and first + j * cell < columns
                sample[k, j] = d if usable else np.float32(np.inf)
                count[j] += usable
            k += 1
    medians = _lower_medians(sample, k, count)
    for j in range(cells):
        level[j * cell : min((j + 1) * cell, columns)] = medians[j]


@njit(nogil=True, cache=True)
def _strap_levels(frame, template, straps, level):
    """Give every column with a strap its own median in a row of cells."""
    rows = frame.shape[0]
    step = 2 if rows >= FEW_ROWS else 1
    sample = np.empty((_power_of_two((rows - 1) // step + 1), straps.size), np.float32)
    count = np.zeros(straps.size, np.int32)
    k = 0
    for r in range(0, rows, step):
        for j in range(straps.size):
            d = frame[r, straps[j]] - template[r, straps[j]]
            usable = d == d
            sample[k, j] = d if usable else np.float32(np.inf)
            count[j] += usable
        k += 1
    medians = _lower_medians(sample, k, count)
    for j in range(straps.size):
        level[straps[j]] = medians[j]


@njit(nogil=True, cache=True)
def _accumulate(frame, template, limit, level, total, square, count):
    """Sum, column by column, the pixels within the clip of the level of their column."""
    zero, one = np.float32(0.0), np.float32(1.0)
    floor, slope = np.float32(limit[0]), np.float32(limit[1])
    total[:] = zero
    square[:] = zero
    count[:] = zero
    for r in range(frame.shape[0]):
        for c in range(total.size):
            t = template[r, c]
            e = frame[r, c] - t - level[c]
            bright = max(t + level[c], zero)
            kept = e * e <= floor + slope * bright
            total[c] += e if kept else zero
            square[c] += e * e if kept else zero
            count[c] += one if kept else zero


@njit(nogil=True, cache=True)
def _fill_cells(strap, cell, level, total, square, count, cells, used, variance):
    """Turn the column sums of one row of cells into the mean, count and variance of each cell."""
    for j in range(cells.size):
        n, s, q, guess = 0.0, 0.0, 0.0, np.nan
        for c in range(j * cell, min((j + 1) * cell, total.size)):
            if not strap[c]:
                n += count[c]
                s += total[c]
                q += square[c]
                guess = level[c]
        used[j] = np.uint16(n)
        if n > 0:
            cells[j] = guess + s / n
            variance[j] = q / n - (s / n) ** 2


@njit(nogil=True, cache=True)
def measure_cells(frame, template, strap, straps, limit, cell, columns, cells, used, variance):
    """
    Measure one row of cells.

    Parameters
    ----------
    frame
        float32 (row, column), electron/s, the rows of these cells; NaN where there is no value.
    template
        float32 (row, column): star image plus its sky; NaN marks pixels that are no sky.
    strap, straps
        bool (column): columns with a strap; and their indices.
    limit
        (a, b): pixels with a squared distance of more than ``a + b · flux`` from the level of their
        cell are left out.
    cell
        Size of a cell.
    columns
        float32 (4, column), filled in: of each column the level, and the sum, the sum of squares and
        the number of its pixels, counted from that level.
    cells, used, variance
        (cell) filled in where a cell has any pixels: its mean, their number and variance.
    """
    level, total, square, count = columns[0], columns[1], columns[2], columns[3]
    _cell_levels(frame, template, strap, cell, level)
    _strap_levels(frame, template, straps, level)
    _accumulate(frame, template, limit, level, total, square, count)
    _fill_cells(strap, cell, level, total, square, count, cells, used, variance)


@njit(nogil=True, cache=True)
def mark_used(frame, template, strap, limit, cell, used):
    """
    Add one wherever a pixel of a frame enters the mean of its cell, or of its column with a strap.

    Parameters
    ----------
    frame, template, strap, limit, cell
        As of :func:`measure_cells`, for all rows of the frame.
    used
        Whole numbers (row, column), added to.
    """
    zero = np.float32(0.0)
    floor, slope = np.float32(limit[0]), np.float32(limit[1])
    straps, level = np.flatnonzero(strap), np.empty(frame.shape[1], np.float32)
    for top in range(0, frame.shape[0], cell):
        rows = slice(top, min(top + cell, frame.shape[0]))
        _cell_levels(frame[rows], template[rows], strap, cell, level)
        _strap_levels(frame[rows], template[rows], straps, level)
        for r in range(rows.start, rows.stop):
            for c in range(level.size):
                e = frame[r, c] - template[r, c] - level[c]
                bright = max(template[r, c] + level[c], zero)
                used[r, c] += e * e <= floor + slope * bright


@njit(nogil=True, cache=True)
def add_columns(columns, total, count):
    """Add the columns of one row of cells, as :func:`measure_cells` fills them, to float64 sums."""
    for c in range(total.size):
        if columns[3, c] > 0:
            total[c] += columns[1, c] + columns[0, c] * columns[3, c]
            count[c] += columns[3, c]


@njit(nogil=True, cache=True)
def fill_columns(total, count, column_cells, column_used):
    """Turn the sums of a band into the means of its columns, and set the sums to zero."""
    for c in range(total.size):
        column_used[c] = np.uint16(count[c])
        if count[c] > 0:
            column_cells[c] = total[c] / count[c]
        total[c] = 0.0
        count[c] = 0.0


def _clipped_mean(values: np.ndarray, level: float, limit: np.ndarray) -> tuple[float, int, float]:
    kept = (values - level) ** 2 <= limit
    if not kept.any():
        return np.nan, 0, np.nan
    return float(values[kept].mean()), int(kept.sum()), float(values[kept].var())


def measure_cells_numpy(
    frame: np.ndarray,
    template: np.ndarray,
    strap: np.ndarray,
    noise: tuple[float, float],
    clip: float,
    cell: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return cells, used pixels and variances of one frame, computed cell by cell with NumPy.

    The level is the median of all pixels of the cell rather than of a sample; the means agree
    to a small part of the pixel noise.
    """
    rows, columns = frame.shape
    shape = (-(-rows // cell), -(-columns // cell))
    cells, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    used = np.zeros(shape, int)
    difference = frame.astype(float) - template
    for i, j in np.ndindex(*shape):
        place = (slice(i * cell, (i + 1) * cell), slice(j * cell, (j + 1) * cell))
        keep = np.isfinite(difference[place]) & ~strap[place[1]]
        values = difference[place][keep]
        if values.size:
            level = float(np.median(values))
            bright = np.maximum(template[place][keep] + level, 0)
            limit = clip**2 * (noise[0] + noise[1] * bright)
            cells[i, j], used[i, j], variance[i, j] = _clipped_mean(values, level, limit)
    return cells, used, variance
