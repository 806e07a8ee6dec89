"""The sky of one frame, fitted to its cells.

The surface climbs from a constant over a plane to ever finer splines until what it leaves is
white: its scatter is that of neighbouring cells among themselves, which photon noise and the
residuals of moving stars explain. The finest has one segment per cell. The columns, which carry
an offset of their own in every frame, are measured on the column cells between two fits of the
surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from numba import njit

from tasoc_kit.numerics.splines import Ladder
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, median_of_some, order_statistic
from tasoc_kit.photometry.skies.cell_noise import stand_offs, usual_cell
from tasoc_kit.photometry.skies.straps import Straps

__all__ = ["CellTables", "FrameFitter", "FrameSky", "SeenCells"]

USED_SHARE = 0.3
"""A cell with a smaller share of its pixels left is no measurement."""
QUARTER = 4
"""A quarter of the cells tells the medians of a frame as well as all of them."""
COLUMN_LEVEL = 2
"""Level of the surface under which the columns are first measured."""
STEEP = 6.0
"""Pixels spread evenly over a clip of 6.5 sigma have 14 times their usual variance."""
WHOLE_SHARE = 0.9
"""Columns are measured in bands that hold this share of the pixels they have at most."""
LOST_SHARE = 0.3
"""Nor are they where a cell of the band has lost this share of the pixels it has at most."""
OUTLIER, OUTLIER_SHARE = 8.0, 0.02
INNER, INNER_SIGMA = 0.9, 1.6449
"""The scatter is read off at the 90 % of the cells nearest to the surface, at 1.645 sigma if white."""
FREEDOM, SAMPLING = 0.2, 2.0
FEWEST_CELLS, FEWEST_DIFFERENCES, FEWEST_LOST = 4, 30, 5


class CellTables(NamedTuple):
    """What the stream keeps of the sky of one frame."""

    cells: np.ndarray
    cell_used: np.ndarray
    cell_variance: np.ndarray
    column_cells: np.ndarray
    column_used: np.ndarray


class _Fit(NamedTuple):
    """One surface, and how well it describes the cells."""

    level: int
    coefficients: np.ndarray
    residual: float
    left: np.ndarray
    """What it leaves in the cells, over their noise; if it follows every cell, what the one below leaves."""


@dataclass(frozen=True)
class FrameSky:
    """The sky of one frame."""

    level: int
    coefficients: np.ndarray
    column_noise: np.ndarray
    column_err: float
    median: float
    residual: float
    error: float
    cell_error: float
    """The error that the noise of a usual cell brings into the sky under it."""
    systematic: float
    rough: bool
    """True if no smooth surface describes the sky."""


class SeenCells(NamedTuple):
    """What the cells of one frame say of its sky; arrays (cell rows, cell columns)."""

    left: np.ndarray
    """What the model leaves in them, electron/s, or NaN."""
    kept: np.ndarray
    """Pixels in them."""
    variance: np.ndarray | None
    """Variance over that of a usual cell; None where there is no sky."""


class FrameFitter:
    """Fits one frame after another; holds what they share."""

    def __init__(self, stream: xr.Dataset, ladder: Ladder, straps: Straps, white: float, finest: int) -> None:
        self.ladder, self.straps, self.white = ladder, straps, white
        self.top = min(finest, len(ladder.surfaces) - 1)
        self.first = min(COLUMN_LEVEL, self.top)
        self.cell, self.band = int(stream.attrs["cell"]), int(stream.attrs["band"])
        self.sky_column = ladder.sky_columns
        self.most_used = stream["cell_used"].max("time").values.astype(float)
        self.whole_cells = np.minimum((1 - LOST_SHARE) * self.most_used, self.most_used - FEWEST_LOST)
        self.whole_columns = WHOLE_SHARE * stream["column_used"].max("time").values.astype(float)
        starts = np.arange(0, self.sky_column.size, self.cell)
        self.cell_columns = np.maximum(np.add.reduceat(self.sky_column.astype(float), starts), 1.0)
        self.column_starts = starts
        rows = ladder.shape[0]
        self.cell_rows = np.diff(np.append(np.arange(0, rows, self.cell), rows))
        self.band_rows = [
            np.add.reduceat(s.rows.pixels, np.arange(0, rows, self.band), axis=0)
            / np.diff(np.append(np.arange(0, rows, self.band), rows))[:, None]
            for s in ladder.surfaces
        ]

    def fit(self, tables: CellTables, frame: int) -> tuple[FrameSky, SeenCells]:
        """Fit one frame from its tables; return its sky and what the cells say of that."""
        cells = tables.cells.astype(float)
        used = tables.cell_used.astype(float)
        full = self.cell_rows[:, None] * self.cell_columns[None, :]
        known = np.isfinite(cells) & (used >= USED_SHARE * full)
        known |= self._is_steep(tables, used, USED_SHARE * full)
        if not known.any():
            known = np.isfinite(cells) & (used > 0)
        if not known.any():
            return self._nothing()
        weight = np.where(known, used / full, 0.0)
        noise = np.sqrt(tables.cell_variance / np.maximum(used, 1))
        variance, white = (median_of_some(x[known][::QUARTER]) for x in (tables.cell_variance, noise))
        gain = 1 + self.straps.scale[frame] * self.straps.gain
        first = self.ladder.fit(cells, weight, self.first)
        tables = tables._replace(column_used=self._whole(tables, used))
        column, column_err = self._columns(tables, self.first, first, gain, variance, np.zeros(gain.size))
        flat = cells - self._on_cells(column)
        level, coefficients, residual, rough = self._climb(flat, weight, noise, first)
        off = stand_offs(np.where(known, rough * noise, np.nan))
        white = max(white, usual_cell(off))
        freedom = float(min(1.0, coefficients.size / known.sum()))
        smooth = self.ladder.surfaces[level].on_cells(coefficients)
        more, _ = self._columns(tables, level, coefficients, gain, variance, column)
        column = column + more
        left = np.where(known, cells - self._on_cells(column) - smooth, np.nan)
        seen = SeenCells(left, np.where(known, used, 0), off / max(white, 1e-9) ** 2)
        sky = FrameSky(
            level,
            coefficients,
            column.astype(np.float32),
            column_err,
            median_of_some(smooth[::2, ::2].ravel()),
            residual,
            white * float(np.sqrt(freedom)),
            white * freedom,
            white * float(np.sqrt(max(0.0, residual**2 - 1))),
            residual > self._limit(int(known.sum())) and not self._is_of_cells(level),
        )
        return sky, seen

    def most_kept(self) -> np.ndarray:
        """Return the most pixels that a cell has in any frame, 0 where it never measures the sky."""
        full = self.cell_rows[:, None] * self.cell_columns[None, :]
        measures = self.most_used >= USED_SHARE * full
        return np.where(measures, self.most_used, 0) if measures.any() else self.most_used

    def _is_steep(self, tables: CellTables, used: np.ndarray, enough: np.ndarray) -> np.ndarray:
        """
        Return True for the cells that lost their pixels to a steep slope of light.

        The few that are left lie about the median of their cell, as far apart as the clip lets them, and
        measure it all the same. What a star takes away leaves the others as quiet as they were.
        """
        lost = (used > 0) & (used < enough) & (self.most_used >= enough)
        if not lost.any():
            return lost
        usual = median_of_some(tables.cell_variance[used >= enough][::QUARTER])
        return lost & (tables.cell_variance > STEEP * usual)

    def _is_of_cells(self, level: int) -> bool:
        """Return True for the surface that follows every cell: what it leaves is a matter of single cells."""
        return level == len(self.ladder.surfaces) - 1 > COLUMN_LEVEL

    def _nothing(self) -> tuple[FrameSky, SeenCells]:
        columns, cells = np.full(self.ladder.shape[1], np.nan, np.float32), np.zeros(self.most_used.shape)
        sky = FrameSky(0, np.full((1, 1), np.nan), columns, *[np.nan] * 6, False)
        return sky, SeenCells(cells * np.nan, cells, None)

    def _on_cells(self, column: np.ndarray) -> np.ndarray:
        """Return the mean of the column noise over the sky columns of each cell."""
        total = np.add.reduceat(np.where(self.sky_column, column, 0.0), self.column_starts)
        return (total / self.cell_columns)[None, :]

    def _whole(self, tables: CellTables, used: np.ndarray) -> np.ndarray:
        """
        Return the pixels (band, column) of the columns that compare with the surface.

        It stands for all rows of a band, so where an edge took some of them a column is not measured,
        nor any beside it: no surface follows the edge through the cells that lost pixels to it.
        """
        lost = np.logical_or.reduceat(
            used < self.whole_cells, np.arange(0, len(used), self.band // self.cell), axis=0
        )
        whole = ~np.repeat(lost, self.cell, axis=1)[:, : self.sky_column.size]
        whole &= tables.column_used >= self.whole_columns
        return np.where(whole, tables.column_used, 0)

    def _columns(
        self,
        tables: CellTables,
        level: int,
        coefficients: np.ndarray,
        gain: np.ndarray,
        variance: float,
        known: np.ndarray,
    ) -> tuple[np.ndarray, float]:
        """
        Return the offset of every column that the surface and known offsets leave.

        ``variance`` is that of a pixel. Offsets are drawn towards zero as far as their own noise
        explains their scatter.
        """
        surface = self.ladder.surfaces[level]
        smooth = self.band_rows[level] @ coefficients @ surface.columns.pixels.T
        offset, amount = _column_offsets(tables.column_cells, tables.column_used, smooth, gain, known)
        error = np.sqrt(variance / np.maximum(amount, 1))
        sample = offset[self.sky_column & (amount > 0)]
        typical = median_of_some(error)
        real = 0.0
        if sample.size > 2:
            scatter = MAD_TO_SIGMA * median_of_some(np.abs(sample - median_of_some(sample)))
            real = max(0.0, scatter**2 - typical**2)
        share = np.where(self.sky_column, real / (real + error**2), 1.0) if real else (~self.sky_column) * 1.0
        if amount.max(initial=0) < 2 * self.cell:
            share = np.zeros(amount.size)
        return offset * share, float(np.sqrt(real * typical**2 / (real + typical**2))) if real else 0.0

    def _climb(self, cells: np.ndarray, weight: np.ndarray, noise: np.ndarray, first: np.ndarray) -> _Fit:
        """
        Climb the ladder, from the level of ``first`` on, until what is left is white.

        The level with the smallest expected error is kept: the structure that it leaves, plus
        the noise that its coefficients bring in.
        """
        weight = weight.copy()
        known = max(1, int((weight > 0).sum()))
        best, least, coefficients = _Fit(self.first, first, 0.0, np.zeros_like(cells)), np.inf, first
        rough = best.left
        for level in range(self.first, self.top + 1):
            below = coefficients if level == self.first else self.ladder.refine(level - 1, coefficients)
            coefficients = self.ladder.improve(cells, weight, level, below)
            left = self._left(cells, noise, level, coefficients)
            if level >= COLUMN_LEVEL and self._drop_outliers(left, weight):
                coefficients = self.ladder.improve(cells, weight, level, below)
                left = self._left(cells, noise, level, coefficients)
            rough = rough if self._is_of_cells(level) else left
            fit = _Fit(level, coefficients, self._judge(left, weight, level), rough)
            score = max(0.0, fit.residual**2 - 1) + self.ladder.surfaces[level].size / known
            if score < least:
                best, least = fit, score
            if fit.residual <= self._limit(known) or self._noise_above(level, known) >= least:
                break
        return best

    def _limit(self, known: int) -> float:
        """Return the residual that is white enough; few cells cannot tell it better than this."""
        return self.white * (1 + SAMPLING / np.sqrt(known))

    def _noise_above(self, level: int, known: int) -> float:
        """Return the noise that the next level would bring in, over that of a cell."""
        return self.ladder.surfaces[level + 1].size / known if level < self.top else np.inf

    def _left(self, cells: np.ndarray, noise: np.ndarray, level: int, coefficients: np.ndarray) -> np.ndarray:
        return (cells - self.ladder.surfaces[level].on_cells(coefficients)) / np.maximum(noise, 1e-9)

    def _judge(self, left: np.ndarray, weight: np.ndarray, level: int) -> float:
        """
        Judge a fit by its residuals: return their scatter over the white level.

        Their scatter is that of the inner 90 % of the cells; the others may hold something that no
        surface describes, such as a sharp edge.
        """
        kept = weight > 0
        if kept.sum() < FEWEST_CELLS:
            return 0.0
        white, distance = _white_level(left, kept), np.abs(left[kept])
        inner = int(INNER * (distance.size - 1))
        residual = order_statistic(distance, inner) / INNER_SIGMA / white
        # Where the coefficients are nearly as many as the cells, the residuals themselves are compared.
        freedom = 1 - self.ladder.surfaces[level].size / kept.sum()
        if freedom > FREEDOM:
            residual /= np.sqrt(freedom)
        return residual

    def _drop_outliers(self, left: np.ndarray, weight: np.ndarray) -> bool:
        """Take weight from a few cells far off the surface (an asteroid, a variable star)."""
        kept = weight > 0
        distance = np.abs(left[kept])
        far = distance > OUTLIER * max(1.0, MAD_TO_SIGMA * median_of_some(distance[::QUARTER]))
        if not far.any() or far.sum() > OUTLIER_SHARE * far.size:
            return False
        weight[kept] = np.where(far, 0.0, weight[kept])
        return True


@njit(nogil=True, cache=True)
def _column_offsets(cells, used, smooth, gain, known):
    """Return the mean over the bands of what surface and known offsets leave, and the pixels in it."""
    total, amount = np.zeros(cells.shape[1]), np.zeros(cells.shape[1])
    for b in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            if used[b, c] > 0:
                total[c] += used[b, c] * (cells[b, c] - gain[c] * smooth[b, c] - known[c])
                amount[c] += used[b, c]
    return total / np.maximum(amount, 1.0), amount


@njit(nogil=True, cache=True)
def _white_level(left, kept):
    """Return by how much neighbouring cells differ, over the noise of their pixels; at least 1."""
    rows, columns = left.shape
    differences = np.empty(left.size)
    count = 0
    for i in range(1, rows - 1):
        for j in range(1, columns - 1):
            around = kept[i - 1, j] and kept[i + 1, j] and kept[i, j - 1] and kept[i, j + 1]
            if around and kept[i, j]:
                mean = (left[i - 1, j] + left[i + 1, j] + left[i, j - 1] + left[i, j + 1]) / 4
                differences[count] = abs(left[i, j] - mean)
                count += 1
    if count < FEWEST_DIFFERENCES:
        return 1.0
    return max(1.0, MAD_TO_SIGMA * median_of_some(differences[:count]) * np.sqrt(4 / 5))
