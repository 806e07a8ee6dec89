"""The effective PSF of a CCD: tensor-product splines on a grid that is fine in the core.

What a pixel at offset (y, x) from a star holds of its light is ``Σ_ij c_ij B(u(y) − i) B(u(x) − j)``
with cubic B-splines B and ``u(d) = DENSITY · asinh(d / SCALE)``: four splines to a pixel in the
core, one in the wings. The integral over the pixel is part of it (the *effective* PSF of Anderson
& King 2000, PASP 112, 1360), so it is evaluated, never integrated. Coefficients are known at the
nodes of a grid over the CCD and go from one to the next along cubic splines. All derivatives
are analytic and by the *position of the star*.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.interpolate import make_interp_spline
from scipy.linalg import solve_banded

__all__ = [
    "KNOTS",
    "MOVES",
    "REACH",
    "SPLINES",
    "EffectivePsf",
    "add_light",
    "add_moved",
    "collocate",
    "draw_stamp",
    "from_samples",
    "node_weights",
    "psf_at",
    "reach_of",
    "sample",
    "secants",
    "spline_axis",
    "unit_light",
]

SCALE, DENSITY = 1.5, 6.0
REACH = 20
"""Pixels from a star beyond which the PSF holds nothing."""
_LAST = int(np.ceil(DENSITY * np.arcsinh(REACH / SCALE)))
SPLINES = 2 * _LAST + 1
"""Splines along each axis."""
KNOTS = SCALE * np.sinh(np.arange(-_LAST, _LAST + 1) / DENSITY)
"""Offsets, in pixels, at which the splines have their peaks."""
EMPTY = 4.0
"""Pixels without light on each side of a PSF that ends within the reach of the splines."""
STEP = 0.2
"""Pixels over which differences are taken: as far as stars move in a sector."""
MOVES = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1))
"""Steps in row and column, one for each of the images that :func:`secants` wants."""


class EffectivePsf(NamedTuple):
    """The PSF of a CCD."""

    row: np.ndarray
    """(node row) labels of the nodes."""
    column: np.ndarray
    """(node column)"""
    coefficients: np.ndarray
    """(node row, node column, SPLINES, SPLINES)"""


def collocate(shape: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """
    Return the coefficients of a PSF that is a function of the offset.

    Parameters
    ----------
    shape
        Gives the share of the light at offsets (row, 1) and (1, column) from the star.
    """
    band = np.zeros((3, SPLINES))
    band[0], band[1], band[2] = 1 / 6, 4 / 6, 1 / 6
    values = shape(KNOTS[:, None], KNOTS[None, :])
    return np.asarray(solve_banded((1, 1), band, solve_banded((1, 1), band, values).T).T)


def from_samples(values: np.ndarray, d_row: np.ndarray, d_column: np.ndarray) -> np.ndarray:
    """
    Return the coefficients of a PSF that is known on a grid of offsets.

    Parameters
    ----------
    values
        (row, column) share of the light; nothing is taken to be outside.
    d_row, d_column
        Offsets (pixel − star) of the grid, pixels; two to each spline or more.
    """
    (down, rows, above), (across, columns, beside) = (
        _with_empty(np.asarray(offset, float)) for offset in (d_row, d_column)
    )
    outside = np.pad(values, ((above, above), (beside, beside)))
    half = np.linalg.lstsq(down[:, rows], outside, rcond=None)[0]
    found = np.linalg.lstsq(across[:, columns], half.T, rcond=None)[0].T
    out = np.zeros((SPLINES, SPLINES))
    out[np.ix_(rows, columns)] = found
    return out


def _with_empty(offset: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """
    Return the splines of one axis at some offsets and beyond, which of them serve, and the offsets beyond.

    The outermost splines reach beyond the samples; that nothing is there has to be told to them.
    """
    step = float(np.median(np.diff(offset)))
    count = int(np.ceil(EMPTY / step))
    beyond = step * np.arange(1, count + 1)
    every = np.concatenate([offset[0] - beyond[::-1], offset, offset[-1] + beyond])
    return _matrix(every), np.abs(KNOTS) <= np.abs(offset).max(), count


def _matrix(offset: np.ndarray) -> np.ndarray:
    """Return the splines of one axis at some offsets, (offset, SPLINES)."""
    u = DENSITY * np.arcsinh(np.asarray(offset, float) / SCALE)
    return _spline(np.abs(u[:, None] - np.arange(-_LAST, _LAST + 1)))


def _spline(distance: np.ndarray) -> np.ndarray:
    """Return the cubic B-spline at a distance, in knots, from its peak."""
    near = 2 / 3 - distance**2 + distance**3 / 2
    return np.asarray(np.where(distance < 1, near, np.clip(2 - distance, 0, 1) ** 3 / 6))


@lru_cache(maxsize=1)
def _spline_light() -> np.ndarray:
    """Return the integral of every spline over all offsets, pixels."""
    u = np.linspace(-_LAST - 2, _LAST + 2, 64 * (SPLINES + 3) + 1)
    step = u[1] - u[0]
    stretch = SCALE / DENSITY * np.cosh(u / DENSITY)
    spline = _spline(np.abs(u[:, None] - np.arange(-_LAST, _LAST + 1)))
    return np.asarray((spline * stretch[:, None]).sum(axis=0) * step)


def unit_light() -> np.ndarray:
    """Return what each coefficient adds to the light of a star: its PSF is normalised if that gives 1."""
    return np.outer(_spline_light(), _spline_light())


def node_weights(nodes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """
    Return by how much each node counts at some places: a spline through the nodes.

    Parameters
    ----------
    nodes
        Labels, ascending.
    places
        Labels; those outside the nodes are taken to the nearest.
    """
    nodes = np.asarray(nodes, float)
    if nodes.size == 1:
        return np.ones((np.size(places), 1))
    inside = np.clip(places, nodes[0], nodes[-1])
    return np.asarray(make_interp_spline(nodes, np.eye(nodes.size), k=min(3, nodes.size - 1))(inside))


def psf_at(psf: EffectivePsf, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return the coefficients at some places of the CCD, float32 (place, SPLINES, SPLINES)."""
    down, across = node_weights(psf.row, row), node_weights(psf.column, column)
    weight = (down[:, :, None] * across[:, None, :]).astype(np.float32)
    weight = weight.reshape(len(down), psf.row.size * psf.column.size)
    table = psf.coefficients.reshape(weight.shape[1], -1).astype(np.float32)
    return (weight @ table).reshape(-1, SPLINES, SPLINES)


def reach_of(psf: EffectivePsf, flux: np.ndarray, floor: float) -> np.ndarray:
    """Return the half-width in pixels beyond which each star gives less than ``floor`` to any pixel."""
    mean = psf.coefficients.mean(axis=(0, 1), dtype=float)
    steps = np.arange(REACH + 1.0)
    still = np.zeros_like(steps)
    sides = [
        sample(mean, y, x) for y, x in ((steps, still), (-steps, still), (still, steps), (still, -steps))
    ]
    profile = np.maximum.accumulate(np.max(sides, axis=0)[::-1])[::-1]
    needed = floor / np.maximum(np.asarray(flux, float), 1e-9)
    return np.clip(np.searchsorted(-profile, -needed), 2, REACH).astype(np.int32)


@njit(nogil=True, cache=True)
def _splines(offset, out):
    """Fill out[0..2, :4] with splines and derivatives by the star's position; return the first index."""
    u = DENSITY * np.arcsinh(offset / SCALE)
    whole = np.floor(u)
    t = u - whole
    r = 1.0 - t
    slope = DENSITY / np.sqrt(SCALE * SCALE + offset * offset)
    bend = -offset * slope / (SCALE * SCALE + offset * offset)
    value = (r * r * r / 6, 2 / 3 - t * t + t * t * t / 2, 2 / 3 - r * r + r * r * r / 2, t * t * t / 6)
    first = (-r * r / 2, -2 * t + 1.5 * t * t, 2 * r - 1.5 * r * r, t * t / 2)
    second = (r, 3 * t - 2, 3 * r - 2, t)
    for k in range(4):
        out[0, k] = value[k]
        out[1, k] = -first[k] * slope
        out[2, k] = second[k] * slope * slope + first[k] * bend
    return int(whole) - 1 + _LAST


@njit(nogil=True, cache=True)
def spline_axis(start, count, centre, splines, index):
    """Fill the splines of ``count`` pixels from ``start`` on: (pixel, 3, 4), and their first indices."""
    for i in range(count):
        index[i] = _splines(start + i - centre, splines[i])


@njit(nogil=True, cache=True)
def _tensor(table, row, column, along, across):
    """Return the sum of a block of four by four coefficients, weighted along rows and columns."""
    total = 0.0
    for a in range(4):
        i = row + a
        if i < 0 or i >= table.shape[0]:
            continue
        line = 0.0
        for b in range(4):
            j = column + b
            if 0 <= j < table.shape[1]:
                line += across[b] * table[i, j]
        total += along[a] * line
    return total


@njit(nogil=True, cache=True)
def sample(table, d_row, d_column):
    """Return the PSF with coefficients ``table`` at offsets (pixel centre − star), two 1-D arrays."""
    out = np.empty(d_row.size)
    along, across = np.empty((3, 4)), np.empty((3, 4))
    for k in range(d_row.size):
        i, j = _splines(d_row[k], along), _splines(d_column[k], across)
        out[k] = _tensor(table, i, j, along[0], across[0])
    return out


@njit(nogil=True, cache=True)
def draw_stamp(table, top, left, row, column, out):
    """
    Fill a stamp with a star of flux 1.

    Parameters
    ----------
    table
        Coefficients of its PSF.
    top, left
        Place of the stamp's first pixel.
    row, column
        Place of the star, in the same count.
    out
        float (rows, columns).
    """
    rows, columns = out.shape
    along, across = np.empty((rows, 3, 4)), np.empty((columns, 3, 4))
    i, j = np.empty(rows, np.int64), np.empty(columns, np.int64)
    spline_axis(top, rows, row, along, i)
    spline_axis(left, columns, column, across, j)
    for r in range(rows):
        for c in range(columns):
            out[r, c] = _tensor(table, i[r], j[c], along[r, 0], across[c, 0])


@njit(nogil=True, cache=True)
def add_light(images, flux, row, column, tables, radius, moved=(0.0, 0.0)):
    """
    Add stars to images: their light and, where there are more, its derivatives by position.

    Parameters
    ----------
    images
        float (1 to 6, rows, columns), changed in place, in the order of ``numerics.prf.TERMS``.
    flux, row, column
        Flux and place of each star, in pixels of the images.
    tables
        (star, SPLINES, SPLINES) coefficients.
    radius
        Half-width of each star's stamp, pixels.
    moved
        Rows and columns by which every star is moved inside its stamp, which stays where it is.
    """
    terms, height, width = images.shape
    along, across = np.empty((2 * REACH + 1, 3, 4)), np.empty((2 * REACH + 1, 3, 4))
    i, j = np.empty(2 * REACH + 1, np.int64), np.empty(2 * REACH + 1, np.int64)
    for s in range(flux.size):
        y, x = int(np.floor(row[s] + 0.5)), int(np.floor(column[s] + 0.5))
        top, left = max(y - radius[s], 0), max(x - radius[s], 0)
        rows, columns = min(y + radius[s] + 1, height) - top, min(x + radius[s] + 1, width) - left
        if rows <= 0 or columns <= 0:
            continue
        spline_axis(top, rows, row[s] + moved[0], along, i)
        spline_axis(left, columns, column[s] + moved[1], across, j)
        for r in range(rows):
            for c in range(columns):
                p, q = along[r], across[c]
                images[0, top + r, left + c] += flux[s] * _tensor(tables[s], i[r], j[c], p[0], q[0])
                for term, down, over in ((1, 1, 0), (2, 0, 1), (3, 2, 0), (4, 0, 2), (5, 1, 1)):
                    if term >= terms:
                        break
                    value = _tensor(tables[s], i[r], j[c], p[down], q[over])
                    images[term, top + r, left + c] += flux[s] * value


def add_moved(
    images: np.ndarray,
    flux: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    tables: np.ndarray,
    radius: np.ndarray,
) -> None:
    """
    Add stars to images, moved in each by one of :data:`MOVES`.

    Parameters
    ----------
    images
        float (7, rows, columns), changed in place.
    flux, row, column, tables, radius
        As for :func:`add_light`.
    """
    for image, (down, across) in zip(images, MOVES, strict=True):
        add_light(image[None], flux, row, column, tables, radius, (STEP * down, STEP * across))


def secants(images: np.ndarray) -> np.ndarray:
    """
    Return light and its first and second differences by position, in the order of ``numerics.prf.TERMS``.

    What they give for a motion of one step along an axis is exact, where derivatives leave out the third
    order; and they share none of the ripples that a fitted PSF has between its knots.

    Parameters
    ----------
    images
        (7, rows, columns) from :func:`add_moved`.
    """
    here, below, above, right, left, forth, back = images
    return np.stack([
        here,
        (below - above) / (2 * STEP),
        (right - left) / (2 * STEP),
        (below + above - 2 * here) / STEP**2,
        (right + left - 2 * here) / STEP**2,
        (forth + back - below - above - right - left + 2 * here) / (2 * STEP**2),
    ])  # fmt: skip
