"""How well each cell knows the sky, as its neighbours tell.

The pixels of a cell say how much they scatter; they do not say how far all of them are off together. Where a
bright star moves within its mask, or took most pixels of a cell, or stands where the sky curves, the
mean of what is left is off by more. So every cell is held against what the cells around it let expect, in
all good frames: what it differs by is its own error and a known share of theirs.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numba import njit
from scipy.ndimage import distance_transform_edt, map_coordinates

from tasoc_kit.numerics.statistics import median_of_some

__all__ = ["CellNoise", "cell_excess_at", "stand_offs", "usual_cell"]

MOST = 100.0
"""Variance, over the white one, that a single frame can add: an asteroid is no noise of its cell."""
CHI_MEDIAN = 0.4549
"""Median of the square of a normal number."""
FEWEST_CELLS = 16
"""Fewer cells tell nothing of one another."""
MANY_CELLS = 4096
"""Of so many a quarter tells their median as well."""


@njit(nogil=True, cache=True)
def stand_offs(cells):
    """
    Return the variance of each cell, from how far it is off what those around it let expect.

    Cubic surfaces are followed where all twelve cells within two steps are known, else planes, else lines.

    Parameters
    ----------
    cells
        float64 (rows, columns); NaN where unknown.

    Returns
    -------
    float64 (rows, columns), the square of the difference less the share that the others have in it; NaN
    where too few of them are known.
    """
    rows, columns = cells.shape
    out = np.full((rows, columns), np.nan)
    for i in range(rows):
        for j in range(columns):
            down = across = far = slant = np.nan
            if 0 < i < rows - 1:
                down = cells[i - 1, j] + cells[i + 1, j]
            if 0 < j < columns - 1:
                across = cells[i, j - 1] + cells[i, j + 1]
            if 1 < i < rows - 2 and 1 < j < columns - 2:
                far = cells[i - 2, j] + cells[i + 2, j] + cells[i, j - 2] + cells[i, j + 2]
                slant = cells[i - 1, j - 1] + cells[i - 1, j + 1] + cells[i + 1, j - 1] + cells[i + 1, j + 1]
            off = cells[i, j] - (8 * (down + across) - 2 * slant - far) / 20
            share = 1 + 276 / 400
            if not np.isfinite(off):
                off, share = cells[i, j] - (down + across) / 4, 1 + 1 / 4
            if not np.isfinite(off):
                pair = down if np.isfinite(down) else across
                off, share = cells[i, j] - pair / 2, 1 + 1 / 2
            out[i, j] = off * off / share
    return out


def usual_cell(variance: np.ndarray) -> float:
    """Return the noise of a usual cell, from what :func:`stand_offs` gives; 0 where too few are known."""
    known = variance[np.isfinite(variance)]
    some = known[:: 4 if known.size >= MANY_CELLS else 1]
    return float(np.sqrt(median_of_some(some) / CHI_MEDIAN)) if known.size >= FEWEST_CELLS else 0.0


class CellNoise:
    """The noise of all cells, gathered frame by frame."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.total, self.count = np.zeros(shape), np.zeros(shape)

    def add(self, variance: np.ndarray) -> None:
        """Add the variance of the cells of a frame over that of its usual ones; NaN where unknown."""
        known = np.isfinite(variance)
        self.total[known] += np.minimum(variance[known], MOST)
        self.count += known

    def variance(self) -> np.ndarray:
        """
        Return the variance of each cell over that of a usual one, at least 1, float64 (rows, columns).

        What no frame tells is as in the nearest cell that is known.
        """
        known = self.count > 0
        if known.sum() < FEWEST_CELLS:
            return np.ones(known.shape)
        mean = np.maximum(self.total / np.maximum(self.count, 1), 1.0)
        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        return np.asarray(mean[tuple(nearest)])


def cell_excess_at(sky: xr.Dataset, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """
    Return ``cell_excess`` at some places, which lie between the middles of cells.

    Parameters
    ----------
    sky
        The product.
    row, column
        Labels; those off the frame, or NaN, are taken to its edge.
    """
    middle = (int(sky.attrs["cell"]) - 1) / 2
    places = [
        (np.nan_to_num(labels, nan=first) - first - middle) / sky.attrs["cell"]
        for labels, first in ((row, float(sky["row"].values[0])), (column, float(sky["column"].values[0])))
    ]
    excess = sky["cell_excess"].values.astype(float)
    return np.asarray(map_coordinates(excess, places, order=1, mode="nearest"))
