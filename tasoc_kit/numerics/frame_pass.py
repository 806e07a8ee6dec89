"""One pass over the pixels of some frames: sky cells, column cells, aperture sums, stamps, sum image.

A few frames at once, row of cells by row of cells: a frame's rows are read, swapped and measured
while they are in the cache, and so are the template and the sum image, which these frames share.
No frame is ever whole in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tasoc_kit.numerics.cells import add_columns, fill_columns, measure_cells
from tasoc_kit.numerics.patches import LANES, add_patches
from tasoc_kit.numerics.psf_sums import add_profiles
from tasoc_kit.numerics.stamps import copy_stamps
from tasoc_kit.numerics.stored_rows import copy_rows

__all__ = ["FrameTables", "empty_tables", "measure_frames", "some_frames"]


AT_ONCE = 4
"""Frames that share what is read of template, apertures and sum image."""


class FrameTables(NamedTuple):
    """What frames leave behind, time first; every array is filled in place."""

    cells: np.ndarray
    cell_used: np.ndarray
    cell_variance: np.ndarray
    column_cells: np.ndarray
    column_used: np.ndarray
    aperture_sum: np.ndarray
    moment_row: np.ndarray
    moment_column: np.ndarray
    stamp_flux: np.ndarray
    psf_sum: np.ndarray
    finite_pixels: np.ndarray
    zero_pixels: np.ndarray


def empty_tables(
    frames: int,
    shape: tuple[int, int],
    stars: int,
    cell: int,
    band: int,
    stamp_pixels: int = 0,
    psf_stars: int = 0,
) -> FrameTables:
    """Return tables for a number of frames of ``shape`` (rows, columns), to be filled."""
    cell_rows, cell_columns = -(-shape[0] // cell), -(-shape[1] // cell)
    bands = -(-shape[0] // band)
    return FrameTables(
        np.full((frames, cell_rows, cell_columns), np.nan, np.float32),
        np.zeros((frames, cell_rows, cell_columns), np.uint16),
        np.full((frames, cell_rows, cell_columns), np.nan, np.float32),
        np.full((frames, bands, shape[1]), np.nan, np.float32),
        np.zeros((frames, bands, shape[1]), np.uint16),
        *(np.empty((frames, stars), np.float32) for _ in range(3)),
        np.empty((frames, stamp_pixels), np.float32),
        np.zeros((frames, psf_stars), np.float32),
        np.zeros(frames, np.int32),
        np.zeros(frames, np.int32),
    )


def some_frames(tables: FrameTables, frames: slice) -> FrameTables:
    """Return a view of the tables of some frames."""
    return FrameTables(*(table[frames] for table in tables))


@njit(nogil=True, cache=True)
def _census(frame):
    """Return how many pixels are finite, and how many of them are exactly zero."""
    finite, zeros = 0, 0
    for r in range(frame.shape[0]):
        # Counted in numbers as wide as a pixel, so that eight are counted at once.
        some, none = np.int32(0), np.int32(0)
        for c in range(frame.shape[1]):
            some += np.isfinite(frame[r, c])
            none += frame[r, c] == 0
        finite += some
        zeros += none
    return finite, zeros


@njit(nogil=True, cache=True)
def _add(frame, image):
    for r in range(frame.shape[0]):
        for c in range(frame.shape[1]):
            image[r, c] += frame[r, c]


@njit(nogil=True, cache=True)
def _hand_over(sums, star, aperture_sum, moment_row, moment_column):
    """Give every star with an aperture its sum and moments, and leave zeros for the next frame."""
    for k in range(star.size):
        s = np.uintp(star[k])
        aperture_sum[s], moment_row[s], moment_column[s] = sums[k, 0], sums[k, 1], sums[k, 2]
        sums[k, 0], sums[k, 1], sums[k, 2] = 0.0, 0.0, 0.0


@njit(nogil=True, cache=True)
def _without_aperture(stars, star):
    """Return the stars that none of the apertures belongs to."""
    dark = np.ones(stars, np.bool_)
    dark[star] = False
    return np.flatnonzero(dark)


@njit(nogil=True, cache=True)
def measure_frames(
    windows, template, strap, noise, clip, cell, band, patches, stamps, profiles, out, image, added, sky
):
    """
    Measure some frames in one pass over their pixels.

    Parameters
    ----------
    windows
        The frames (:class:`tasoc_kit.sources.frame_files.Windows`), electron/s; NaN where there is no value.
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
    patches
        The apertures; stars without one are NaN.
    stamps
        Pixels that are kept as they are.
    profiles
        Weights of the PSF photometry (:class:`tasoc_kit.numerics.psf_sums.Profiles`).
    out
        :class:`FrameTables` of as many frames.
    image
        float32 (rows, columns) that frames are added to.
    added
        bool (frame): those that are.
    sky
        False leaves the cells out; only for measuring what they cost.

    Returns
    -------
    Index of the first frame that could not be read to its end; −1 if all could.
    """
    frames, (rows, columns) = windows.handle.size, template.shape
    limit = clip * clip * noise[0], clip * clip * noise[1]
    straps = np.flatnonzero(strap)
    work = np.empty((4, columns), np.float32)
    total, count = np.zeros((AT_ONCE, columns)), np.zeros((AT_ONCE, columns))
    dark = _without_aperture(out.aperture_sum.shape[1], patches.star)
    # Patches are summed in double precision; between them single is enough, as it is for the result.
    sums = np.zeros((AT_ONCE, patches.star.size, 3), np.float32)
    # Whole vectors are loaded from every place, so memory goes on behind the last pixel.
    pixels = np.zeros(cell * columns + LANES, np.float32)
    for start in range(0, frames, AT_ONCE):
        stop = min(start + AT_ONCE, frames)
        for i in range(out.cells.shape[1]):
            r0, r1 = i * cell, min((i + 1) * cell, rows)
            b = r0 // band
            frame = pixels[: (r1 - r0) * columns].reshape(r1 - r0, columns)
            for t in range(start, stop):
                k = t - start
                if not copy_rows(windows, t, r0, frame):
                    return t
                if sky:
                    measure_cells(
                        frame, template[r0:r1], strap, straps, limit, cell, work,
                        out.cells[t, i], out.cell_used[t, i], out.cell_variance[t, i],
                    )  # fmt: skip
                    add_columns(work, total[k], count[k])
                    if r1 == rows or r1 % band == 0:
                        fill_columns(total[k], count[k], out.column_cells[t, b], out.column_used[t, b])
                add_patches(frame, patches, i, sums[k])
                copy_stamps(frame, stamps, i, out.stamp_flux[t])
                add_profiles(frame, profiles, i, out.psf_sum[t])
                if added[t]:
                    _add(frame, image[r0:r1])
                finite, zeros = _census(frame)
                out.finite_pixels[t] += finite
                out.zero_pixels[t] += zeros
        for t in range(start, stop):
            stars = out.aperture_sum[t], out.moment_row[t], out.moment_column[t]
            _hand_over(sums[t - start], patches.star, stars[0], stars[1], stars[2])
            for s in dark:
                stars[0][s], stars[1][s], stars[2][s] = np.nan, np.nan, np.nan
    return -1
