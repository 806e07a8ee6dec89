"""Stamps: single pixels about some stars, kept as they are in every frame.

Halo photometry weighs the pixels about a saturated star after all frames are known, so these few
pixels are gathered in the pass, row of cells by row of cells, while their rows are in the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = ["Stamps", "copy_stamps", "find_stamps", "make_stamps"]


class Stamps(NamedTuple):
    """The pixels of all stamps, row of cells by row of cells."""

    start: np.ndarray
    """(row of cells + 1) first pixel of each."""
    row: np.ndarray
    """(pixel) its row, counted from that of its row of cells."""
    column: np.ndarray
    """(pixel) its column."""
    place: np.ndarray
    """(pixel) where it stands in the table."""


def make_stamps(row: np.ndarray, column: np.ndarray, cell: int, rows: int) -> Stamps:
    """
    Sort pixels by their rows of cells.

    Parameters
    ----------
    row, column
        (stamp pixel) indices in the frame, in any order; a pixel may come more than once.
    cell
        Rows in a row of cells.
    rows
        Rows of the frame.
    """
    band = np.asarray(row) // cell
    order = np.argsort(band, kind="stable")
    start = np.searchsorted(band[order], np.arange(-(-rows // cell) + 1))
    return Stamps(start, *(values[order].astype(np.uint32) for values in (row - band * cell, column)), order)


@njit(nogil=True, cache=True)
def copy_stamps(frame, stamps, band, out):
    """
    Copy the pixels of one row of cells into their places.

    Parameters
    ----------
    frame
        float32 (row, column): the rows of that row of cells.
    stamps
        The pixels.
    band
        Which row of cells.
    out
        float32 (stamp pixel), filled where this row of cells has pixels.
    """
    for k in range(stamps.start[band], stamps.start[band + 1]):
        out[stamps.place[k]] = frame[stamps.row[k], stamps.column[k]]


def find_stamps(
    row: np.ndarray, column: np.ndarray, radius: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return the pixels whose centres lie within ``radius`` of some stars: star, row, column.

    Parameters
    ----------
    row, column
        (star) places of the stars in the frame, pixels.
    radius
        Pixels.
    shape
        Rows and columns of the frame.

    Returns
    -------
    Index of the star, row and column index of every pixel, star after star, row after row.
    """
    steps = np.arange(-int(radius) - 1, int(radius) + 2)
    row, column = np.asarray(row, float)[:, None, None], np.asarray(column, float)[:, None, None]
    i, j = np.broadcast_arrays(np.rint(row) + steps[:, None], np.rint(column) + steps)
    inside = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
    inside &= (i - row) ** 2 + (j - column) ** 2 <= radius**2
    return np.nonzero(inside)[0], i[inside].astype(np.int64), j[inside].astype(np.int64)
