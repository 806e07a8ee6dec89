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

from tasoc_kit.numerics.runs import Runs, some_stars

__all__ = [
    "BandedRuns",
    "FrameTables",
    "banded_runs",
    "empty_tables",
    "measure_frame",
    "measure_frame_numpy",
]

SAMPLE_STRIDE = 16
SPARSE_FROM = 128
"""Every pixel of a row of cells is sampled if one of its cells has fewer pixels than this."""
FEW_ROWS = 16
"""Every second pixel of a strap is sampled in cells of so many rows or more."""


class BandedRuns(NamedTuple):
    """
    The runs of all apertures in the order in which a frame is summed.

    They go band by band, and by length within a band: a loop that always has the same length is
    foreseen by the processor, and runs then cost half as much.
    """

    start: np.ndarray
    """(band + 1) first run of each row of cells."""
    row: np.ndarray
    first: np.ndarray
    stop: np.ndarray
    """(run) row index, first column index, and the one behind the last."""
    row_offset: np.ndarray
    column_offset: np.ndarray
    """(run) place of the first pixel, from the star's own pixel."""
    aperture: np.ndarray
    """(run) which aperture it belongs to; apertures are in the order of their first rows."""
    star: np.ndarray
    """(aperture) which star of the tables it belongs to."""


def banded_runs(runs: Runs, cell: int, rows: int) -> BandedRuns:
    """
    Put the runs of apertures in the order in which a frame is summed.

    Parameters
    ----------
    runs
        The apertures; those without pixels are left out.
    cell
        Rows in a row of cells.
    rows
        Rows of the frame.
    """
    (lit,) = np.nonzero(np.diff(runs.start))
    lit = lit[np.argsort(runs.row[runs.start[lit]], kind="stable")]
    ours = some_stars(runs, lit)
    aperture = np.repeat(np.arange(lit.size), np.diff(ours.start))
    band = ours.row // cell
    order = np.lexsort((ours.stop - ours.first, band))
    aperture = aperture[order]
    row, first, stop = (values[order] for values in (ours.row, ours.first, ours.stop))
    return BandedRuns(
        np.searchsorted(band[order], np.arange(-(-rows // cell) + 1)),
        # In small numbers, for all of them are read for every frame.
        row.astype(np.int16),
        first.astype(np.int16),
        stop.astype(np.int16),
        (row - ours.centre_row[aperture]).astype(np.int16),
        (first - ours.centre_column[aperture]).astype(np.int16),
        aperture.astype(np.int32),
        lit,
    )


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
def _cell_levels(frame, template, strap, r0, r1, cell, level):
    """Give the columns of a row of cells the median of a sample of their cell, straps left out."""
    columns = strap.size
    cells = (columns - 1) // cell + 1
    smallest = (r1 - r0) * (columns - (cells - 1) * cell)
    stride = SAMPLE_STRIDE if smallest >= SPARSE_FROM else 1
    sample = np.empty((_power_of_two((r1 - r0) * ((cell - 1) // stride + 1)), cells), np.float32)
    count = np.zeros(cells, np.int32)
    k = 0
    for r in range(r0, r1):
        # The start moves from row to row, so that the sample is no set of columns.
        for first in range((3 * (r - r0)) % stride, cell, stride):
            for j in range(cells):
                c = min(first + j * cell, columns - 1)
                d = frame[r, c] - template[r, c]
                usable = d == d and not strap[c] and first + j * cell < columns
                sample[k, j] = d if usable else np.float32(np.inf)
                count[j] += usable
            k += 1
    medians = _lower_medians(sample, k, count)
    for c in range(columns):
        level[c] = medians[c // cell]


@njit(nogil=True, cache=True)
def _strap_levels(frame, template, straps, r0, r1, level):
    """Give every column with a strap its own median in a row of cells."""
    step = 2 if r1 - r0 >= FEW_ROWS else 1
    sample = np.empty((_power_of_two((r1 - r0 - 1) // step + 1), straps.size), np.float32)
    count = np.zeros(straps.size, np.int32)
    k = 0
    for r in range(r0, r1, step):
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
def _add_runs(frame, runs, band, sums):
    """Add the runs of one row of cells to sum and first moments (aperture, 3) of their apertures."""
    # Taken out of their tuple once: a loop that does so again pays for it in every turn.
    start, rows, firsts, stops, row_offset, column_offset, aperture, _ = runs
    for i in range(start[band], start[band + 1]):
        r, first = rows[i], firsts[i]
        total, moment, x = 0.0, 0.0, 0.0
        for c in range(first, stops[i]):
            value = float(frame[r, c])
            total += value
            moment += value * x
            x += 1.0
        k = aperture[i]
        sums[k, 0] += total
        sums[k, 1] += total * row_offset[i]
        sums[k, 2] += total * column_offset[i] + moment


@njit(nogil=True, cache=True)
def _add_image(frame, image, r0, r1):
    for r in range(r0, r1):
        for c in range(frame.shape[1]):
            image[r, c] += frame[r, c]


@njit(nogil=True, cache=True)
def _census(frame, r0, r1):
    """Return how many pixels of some rows are finite, and how many of them are exactly zero."""
    finite, zeros = 0, 0
    for r in range(r0, r1):
        for c in range(frame.shape[1]):
            value = frame[r, c]
            finite += np.isfinite(value)
            zeros += value == 0
    return finite, zeros


@njit(nogil=True, cache=True)
def measure_frame(frame, template, strap, noise, clip, cell, band, runs, out, image, add_image, sky):
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
    runs
        The apertures as :class:`BandedRuns`; stars without one are not written.
    out
        One frame of :class:`FrameTables`.
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
    straps = np.flatnonzero(strap)
    finite, zeros = 0, 0
    # In double precision, for a bright star's pixels differ by five orders of magnitude.
    sums = np.zeros((runs.star.size, 3))
    for i in range(out.cells.shape[0]):
        r0, r1 = i * cell, min((i + 1) * cell, rows)
        if sky:
            _cell_levels(frame, template, strap, r0, r1, cell, level)
            _strap_levels(frame, template, straps, r0, r1, level)
            _accumulate(frame, template, level, floor2, slope2, r0, r1, total, square, count)
            _fill_cells(
                level, total, square, count, strap, cell,
                out.cells[i], out.cell_used[i], out.cell_variance[i],
            )  # fmt: skip
            k = r0 // band
            last = r1 == rows or r1 % band == 0
            used = out.column_used[k]
            _fill_band(level, total, count, band_total, band_count, last, out.column_cells[k], used)
        _add_runs(frame, runs, i, sums)
        if add_image:
            _add_image(frame, image, r0, r1)
        some, none = _census(frame, r0, r1)
        finite, zeros = finite + some, zeros + none
    for k in range(runs.star.size):
        s = runs.star[k]
        out.aperture_sum[s], out.moment_row[s], out.moment_column[s] = sums[k, 0], sums[k, 1], sums[k, 2]
    return finite, zeros


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
