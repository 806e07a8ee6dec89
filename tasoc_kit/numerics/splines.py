"""Smooth surfaces on a frame: tensor products of cubic B-splines, fitted to cells with gaps.

A surface with S segments has S + 3 splines along each axis. The levels of a :class:`Ladder`
(a constant, a plane, then 8, 24, 48, 144 segments on a full frame) share their knots, so a
finer level holds every coarser one. A fit takes the coarser surface away first and then solves
for what is left, so that where there is no data the surface stays the coarser one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import BSpline

__all__ = ["Axis", "Ladder", "Surface", "spline_matrix"]

# Pulls coefficients that no cell decides towards the coarser surface; on what that surface leaves, 0.1 %
RIDGE = 1e-3
TOLERANCE, PRECISION = 1e-8, 1e-5
"""A fit is found when its error, over the cells, is this part of what was to be fitted, or so small."""
MAX_ITERATIONS = 200
SEEN = 1e-6
"""Strength of a mode, over that of the strongest, from which on the cells see it."""
SEGMENT = 256
"""Pixels of the widest segment."""
CONSTANT_BELOW, PLANE_BELOW = 32, 64
"""Frames smaller than this many pixels get only a constant, or only a plane."""


def spline_matrix(positions: np.ndarray, size: int, segments: int) -> np.ndarray:
    """
    Return the splines of one axis at some positions.

    Parameters
    ----------
    positions
        Pixel positions, 0 … size − 1.
    size
        Pixels along the axis; the knots run from −0.5 to size − 0.5.
    segments
        0 for a constant, −1 for a straight line, else cubic segments.

    Returns
    -------
    float64 (positions, 1 | 2 | segments + 3)
    """
    positions = np.asarray(positions, dtype=float)
    if segments == 0:
        return np.ones((positions.size, 1))
    if segments < 0:
        slope = (positions - (size - 1) / 2) / max(size / 2, 1)
        return np.stack([np.ones(positions.size), slope], axis=1)
    inner = np.linspace(-0.5, size - 0.5, segments + 1)
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    clipped = np.clip(positions, inner[0], inner[-1])
    return np.asarray(BSpline.design_matrix(clipped, knots, 3).toarray())


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a surface: its pixels, its cells, its segments."""

    size: int
    cell: int
    segments: int
    used: np.ndarray | None = None
    """(size) False for pixels that enter no cell; a cell then stands for its other pixels."""

    @cached_property
    def pixels(self) -> np.ndarray:
        """Splines at every pixel, float64 (size, splines)."""
        return spline_matrix(np.arange(self.size), self.size, self.segments)

    @cached_property
    def cells(self) -> np.ndarray:
        """Mean of the splines over the pixels in every cell, float64 (cells, splines)."""
        starts = np.arange(0, self.size, self.cell)
        weight = np.ones(self.size) if self.used is None else self.used.astype(float)
        empty = np.repeat(np.add.reduceat(weight, starts) == 0, np.diff(np.append(starts, self.size)))
        weight[empty] = 1.0
        total = np.add.reduceat(self.pixels * weight[:, None], starts, axis=0)
        return total / np.add.reduceat(weight, starts)[:, None]

    @cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray]:
        """
        What the cells know of the splines one by one: the singular vectors of ``cells``.

        Returns the modes on the cells, float64 (cells, modes), orthogonal and as long as they are strong,
        and in splines, (modes, splines), of length 1. Combinations that no cell sees are none of them.
        """
        on_cells, strength, in_splines = np.linalg.svd(self.cells, full_matrices=False)
        seen = strength > SEEN * strength[0]
        return on_cells[:, seen] * strength[seen], in_splines[seen]

    def change_from(self, coarse: Axis) -> np.ndarray:
        """Return the matrix that puts coefficients of a coarser axis on these knots."""
        # A few points a segment decide a spline; all pixels would give the same more slowly.
        points = np.linspace(0, self.size - 1, min(self.size, 4 * self.pixels.shape[1]))
        fine, rough = (spline_matrix(points, self.size, axis.segments) for axis in (self, coarse))
        return np.linalg.lstsq(fine, rough, rcond=None)[0]


@dataclass(frozen=True, eq=False)
class Surface:
    """A smooth surface over a frame; its coefficients are an array (row splines, column splines)."""

    shape: tuple[int, int]
    cell: int
    segments: tuple[int, int]
    sky_columns: np.ndarray | None = None
    """(columns) False for columns that enter no cell."""

    @cached_property
    def rows(self) -> Axis:
        """The axis down the frame."""
        return Axis(self.shape[0], self.cell, self.segments[0])

    @cached_property
    def columns(self) -> Axis:
        """The axis along the frame."""
        return Axis(self.shape[1], self.cell, self.segments[1], self.sky_columns)

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return self.rows.pixels.shape[1] * self.columns.pixels.shape[1]

    @property
    def coefficient_shape(self) -> tuple[int, int]:
        """Splines along rows and columns."""
        return self.rows.pixels.shape[1], self.columns.pixels.shape[1]

    def on_cells(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the mean of the surface over each cell."""
        return np.asarray(self.rows.cells @ coefficients @ self.columns.cells.T)

    def on_pixels(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the surface at each pixel."""
        return np.asarray(self.rows.pixels @ coefficients @ self.columns.pixels.T)

    def fit(self, cells: np.ndarray, weight: np.ndarray, ridge: float = RIDGE) -> np.ndarray:
        """
        Fit the cells by weighted least squares (conjugate gradients, preconditioned by the
        fit of a frame without gaps, which is exact in one step where there are none).

        Parameters
        ----------
        cells
            (cell rows, cell columns); not read where ``weight`` is 0.
        weight
            Weights of the same shape, about 1.
        ridge
            Pull of every coefficient towards 0.
        """
        (down, rows), (across, columns) = self.rows.modes, self.columns.modes
        known = np.where(weight > 0, weight * cells, 0.0)
        found = _conjugate_gradients(down, across, known, weight.astype(float), ridge)
        return np.asarray(rows.T @ found @ columns)


def _conjugate_gradients(
    down: np.ndarray, across: np.ndarray, known: np.ndarray, weight: np.ndarray, ridge: float
) -> np.ndarray:
    """Solve the normal equations for the strength of each pair of modes; see :meth:`Surface.fit`."""
    # Under even weights no pair of modes knows of another: each is divided by its own power.
    even = np.outer((down**2).sum(axis=0), (across**2).sum(axis=0)) * weight.mean() + ridge
    residual = down.T @ known @ across
    if not residual.any():
        return residual
    solution = np.zeros_like(residual)
    search = residual / even
    power = np.vdot(residual, search)
    start = power
    for _ in range(MAX_ITERATIONS):
        if power <= max(TOLERANCE**2 * start, PRECISION**2 * known.size) or power == 0.0:
            break
        image = down.T @ (weight * (down @ search @ across.T)) @ across + ridge * search
        step = power / np.vdot(search, image)
        solution += step * search
        residual -= step * image
        direction = residual / even
        previous, power = power, np.vdot(residual, direction)
        search = direction + (power / previous) * search
    return solution


@dataclass(frozen=True, eq=False)
class Ladder:
    """The surfaces of a frame, from a constant to one segment per cell."""

    shape: tuple[int, int]
    cell: int
    sky_columns: np.ndarray | None = None
    """(columns) False for columns that enter no cell."""

    @cached_property
    def segments(self) -> list[int]:
        """Segments of each level along a full axis of the frame; 0 a constant, −1 a plane."""
        smallest = min(self.shape)
        if smallest < CONSTANT_BELOW:
            return [0]
        if smallest < PLANE_BELOW:
            return [0, -1]
        return [0, -1, 1, 3, 6, 18]

    @cached_property
    def surfaces(self) -> list[Surface]:
        """One surface a level; a factor of 1 stands for one segment per 256 pixels."""
        return [self._surface(factor) for factor in self.segments]

    def _surface(self, factor: int) -> Surface:
        if factor <= 0:
            return Surface(self.shape, self.cell, (factor, factor), self.sky_columns)
        rows, columns = (factor * max(1, round(size / SEGMENT)) for size in self.shape)
        return Surface(self.shape, self.cell, (rows, columns), self.sky_columns)

    @cached_property
    def _changes(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [
            (fine.rows.change_from(coarse.rows), fine.columns.change_from(coarse.columns))
            for coarse, fine in itertools.pairwise(self.surfaces)
        ]

    def refine(self, level: int, coefficients: np.ndarray) -> np.ndarray:
        """Return the coefficients of a level on the knots of the next one."""
        rows, columns = self._changes[level]
        return np.asarray(rows @ coefficients @ columns.T)

    def fit(self, cells: np.ndarray, weight: np.ndarray, level: int) -> np.ndarray:
        """Return the coefficients of one level, fitted level by level from a plane up to it."""
        lowest = min(1, level)
        coefficients = self.surfaces[lowest].fit(cells, weight, ridge=0.0)
        for step in range(lowest + 1, level + 1):
            coefficients = self.climb(cells, weight, step, coefficients)
        return coefficients

    def climb(self, cells: np.ndarray, weight: np.ndarray, level: int, below: np.ndarray) -> np.ndarray:
        """Return the coefficients of a level, given those of the level below it."""
        return self.improve(cells, weight, level, self.refine(level - 1, below))

    def improve(self, cells: np.ndarray, weight: np.ndarray, level: int, start: np.ndarray) -> np.ndarray:
        """Return the coefficients of a level; where no cell decides they stay those of ``start``."""
        surface = self.surfaces[level]
        ridge = 0.0 if self.segments[level] <= 0 else RIDGE
        return start + surface.fit(cells - surface.on_cells(start), weight, ridge)
