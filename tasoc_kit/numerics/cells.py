"""One pass over one frame: sky cells, column cells, aperture sums and the sum image.

The frame is compared with a template (the star image plus the sky that was under it), so
that nearly every pixel is a sky pixel. Each cell of 16×16 pixels finds its own level: the
median of a sample of its pixels, then the mean of all pixels within ``clip`` sigma of it. No
guess comes from outside the cell, for a guess that is wrong clips the real sky away.
Columns with a strap are kept out of the cells and find their own level column by column.

The loops are compiled (numba, without the GIL) and run band by band so that frame, template
and sum image stay in the cache; :func:`measure_frame_numpy` is the same in plain NumPy and
serves as the oracle of the tests.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = ["AperturePixels", "FrameTables", "empty_tables", "measure_frame", "measure_frame_numpy"]

SAMPLE_STRIDE = 8


class AperturePixels(NamedTuple):
    """Pixels of all apertures in the order in which a frame is stored."""

    row_start: np.ndarray
    """(rows + 1) first entry of each frame row."""
    column: np.ndarray
    """(pixels) column index in the frame."""
    star: np.ndarray
    """(pixels) star index."""
    row_offset: np.ndarray
    """(pixels) row minus the star's own pixel row, float32."""
    column_offset: np.ndarray
    """(pixels) column minus the star's own pixel column, float32."""


class FrameTables(NamedTuple):
    """What one frame leaves behind; every array is filled in place."""

    cells: np.ndarray
    cell_used: np.ndarray
    cell_variance: np.ndarray
    column_cells: np.ndarray
    column_used: np.ndarray
    aperture_sum: np.ndarray
    moment_row: np.ndarray
    moment_column: np.ndarray


def empty_tables(frames: int, shape: tuple[int, int], stars: int, cell: int, band: int) -> FrameTables:
    """Return tables for a number of frames of ``shape`` (rows, columns), time first."""
    cell_rows, cell_columns = -(-shape[0] // cell), -(-shape[1] // cell)
    bands = -(-shape[0] // band)
    return FrameTables(
        np.full((frames, cell_rows, cell_columns), np.nan, np.float32),
        np.zeros((frames, cell_rows, cell_columns), np.uint16),
        np.full((frames, cell_rows, cell_columns), np.nan, np.float32),
        np.full((frames, bands, shape[1]), np.nan, np.float32),
        np.zeros((frames, bands, shape[1]), np.uint16),
        np.full((frames, stars), np.nan, np.float32),
        np.full((frames, stars), np.nan, np.float32),
        np.full((frames, stars), np.nan, np.float32),
    )


@njit(nogil=True, cache=True)
def _median(values, count):
    """Return the lower median of the first ``count`` values, which are reordered."""
    k = (count - 1) // 2
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@njit(nogil=True, cache=True)
def _cell_level(frame, template, strap, r0, r1, c0, c1, sample):
    """Return the median of a sample of the pixels of a cell, straps left out; NaN if it has none."""
    stride = SAMPLE_STRIDE if (r1 - r0) * (c1 - c0) >= 128 else 1
    count = 0
    for r in range(r0, r1):
        # The start moves from row to row, so that the sample is no set of columns.
        for c in range(c0 + (3 * (r - r0)) % stride, c1, stride):
            if not strap[c]:
                d = frame[r, c] - template[r, c]
                if d == d:
                    sample[count] = d
                    count += 1
    if count == 0:
        return np.float32(np.nan)
    return _median(sample, count)


@njit(nogil=True, cache=True)
def _column_level(frame, template, r0, r1, c, sample):
    """Return the median of one column of one row of cells; NaN if it has no pixel."""
    count = 0
    for r in range(r0, r1):
        d = frame[r, c] - template[r, c]
        if d == d:
            sample[count] = d
            count += 1
    if count == 0:
        return np.float32(np.nan)
    return _median(sample, count)


@njit(nogil=True, cache=True)
def _column_levels(frame, template, strap, r0, r1, sample, level):
    for c in range(level.size):
        if strap[c]:
            level[c] = _column_level(frame, template, r0, r1, c, sample)


@njit(nogil=True, cache=True)
def _fill_band(level, total, count, band_total, band_count, last, column_cells, column_used):
    """Add one row of cells to the columns of its band; on the last one turn the sums into means."""
    for c in range(total.size):
        if count[c] > 0:
            band_total[c] += total[c] + level[c] * count[c]
            band_count[c] += count[c]
        if last:
            column_used[c] = np.uint16(band_count[c])
            if band_count[c] > 0:
                column_cells[c] = band_total[c] / band_count[c]
            band_total[c] = 0.0
            band_count[c] = 0.0


@njit(nogil=True, cache=True)
def _accumulate(frame, template, level, floor2, slope2, r0, r1, total, square, count):
    """Add the pixels within the clip of their level to the sums of their columns."""
    zero, one = np.float32(0.0), np.float32(1.0)
    for c in range(total.size):
        total[c] = zero
        square[c] = zero
        count[c] = zero
    for r in range(r0, r1):
        for c in range(total.size):
            t = template[r, c]
            e = frame[r, c] - t - level[c]
            bright = max(t + level[c], zero)
            kept = e * e <= floor2 + slope2 * bright
            total[c] += e if kept else zero
            square[c] += e * e if kept else zero
            count[c] += one if kept else zero


@njit(nogil=True, cache=True)
def _fill_cells(level, total, square, count, strap, cell, cells, used, variance):
    """Turn the column sums of one row of cells into the mean, count and variance of each cell."""
    columns = total.size
    for j in range(cells.size):
        c0, c1 = j * cell, min((j + 1) * cell, columns)
        n, s, q, guess = 0.0, 0.0, 0.0, np.nan
        for c in range(c0, c1):
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
def _aperture_sums(frame, r0, r1, row_start, column, star, row_offset, column_offset, sums, m_row, m_column):
    """Add the aperture pixels of some rows to the sums and first moments of their stars."""
    for r in range(r0, r1):
        for p in range(row_start[r], row_start[r + 1]):
            value = frame[r, column[p]]
            s = star[p]
            sums[s] += value
            m_row[s] += value * row_offset[p]
            m_column[s] += value * column_offset[p]


@njit(nogil=True, cache=True)
def _add_image(frame, image, r0, r1):
    for r in range(r0, r1):
        for c in range(frame.shape[1]):
            image[r, c] += frame[r, c]


@njit(nogil=True, cache=True)
def _census(frame):
    """Return how many pixels are finite, and how many of them are exactly zero."""
    finite, zeros = 0, 0
    for r in range(frame.shape[0]):
        for c in range(frame.shape[1]):
            value = frame[r, c]
            finite += np.isfinite(value)
            zeros += value == 0
    return finite, zeros


@njit(nogil=True, cache=True)
def measure_frame(
    frame, template, strap, noise, clip, cell, band, row_start, column, star, row_offset, column_offset,
    cells, used, variance, column_cells, column_used, sums, m_row, m_column, image, add_image, sky
):  # fmt: skip
    """
    Measure one frame in one pass over its pixels.

    Parameters
    ----------
    frame
        float32 (rows, columns), electron/s; NaN where there is no value.
    template
        float32 (rows, columns): star image plus its sky; NaN marks pixels that are no sky.
    strap
        bool (columns): columns with a strap.
    noise
        (a, b) of ``var = a + b · flux``.
    clip
        Pixels farther than this many sigma from the level of their cell are left out.
    cell, band
        Size of a cell, and rows in a band of column cells (a multiple of ``cell``).
    row_start, column, star, row_offset, column_offset
        The apertures, as :class:`AperturePixels`.
    cells, used, variance, column_cells, column_used, sums, m_row, m_column
        The outputs, one frame of :class:`FrameTables`.
    image
        float32 (rows, columns) the frame is added to if ``add_image``.
    sky
        False leaves the cells out; only for measuring what they cost.

    Returns
    -------
    (finite pixels, pixels that are exactly zero)
    """
    rows, columns = frame.shape
    floor2, slope2 = np.float32(clip * clip * noise[0]), np.float32(clip * clip * noise[1])
    level = np.empty(columns, np.float32)
    total, square = np.empty(columns, np.float32), np.empty(columns, np.float32)
    count = np.empty(columns, np.float32)
    band_total, band_count = np.zeros(columns), np.zeros(columns)
    sample = np.empty(max(cell * cell, 64), np.float32)
    # Summed in double precision, for a bright star's pixels differ by five orders of magnitude.
    star_sum, star_row, star_column = np.zeros(sums.size), np.zeros(sums.size), np.zeros(sums.size)
    for i in range(cells.shape[0]):
        r0, r1 = i * cell, min((i + 1) * cell, rows)
        if sky:
            for j in range(cells.shape[1]):
                c0, c1 = j * cell, min((j + 1) * cell, columns)
                level[c0:c1] = _cell_level(frame, template, strap, r0, r1, c0, c1, sample)
            _column_levels(frame, template, strap, r0, r1, sample, level)
            _accumulate(frame, template, level, floor2, slope2, r0, r1, total, square, count)
            _fill_cells(level, total, square, count, strap, cell, cells[i], used[i], variance[i])
            k = r0 // band
            last = r1 == rows or r1 % band == 0
            _fill_band(level, total, count, band_total, band_count, last, column_cells[k], column_used[k])
        _aperture_sums(
            frame, r0, r1, row_start, column, star, row_offset, column_offset, star_sum, star_row, star_column
        )
        if add_image:
            _add_image(frame, image, r0, r1)
    sums[:] = star_sum
    m_row[:] = star_row
    m_column[:] = star_column
    return _census(frame)


def _clipped_mean(values: np.ndarray, level: float, limit: np.ndarray) -> tuple[float, int, float]:
    kept = (values - level) ** 2 <= limit
    if not kept.any():
        return np.nan, 0, np.nan
    return float(values[kept].mean()), int(kept.sum()), float(values[kept].var())


def measure_frame_numpy(
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
