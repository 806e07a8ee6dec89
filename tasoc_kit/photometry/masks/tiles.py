"""Masks from a threshold map of the whole frame: one division of all light at once.

Each tile of 64 pixels has the threshold of a K2P2 stamp, from every second pixel of every second
row; the map is interpolated between tile centres. Clusters and watershed then cover the whole frame, so
every pixel belongs to at most one star.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numba
import numpy as np
from scipy import ndimage

from tasoc_kit.numerics.clusters import core_pixels
from tasoc_kit.numerics.watershed import flood
from tasoc_kit.photometry.masks.k2p2 import CORE_NEIGHBOURS, add_bleed_columns, mask_threshold
from tasoc_kit.photometry.masks.ragged import Masks
from tasoc_kit.photometry.masks.scene import SATURATED_LIGHT, Scene

__all__ = ["TILE", "grower", "threshold_map"]

TILE = 64
"""Rows and columns of a tile, in pixels."""


def _tile_edges(pixels: int) -> np.ndarray:
    return np.linspace(0, pixels, max(1, round(pixels / TILE)) + 1).round().astype(int)


def _between_centres(edges: np.ndarray) -> np.ndarray:
    """Return the weights (pixel, tile) of linear interpolation between tile centres."""
    centres = 0.5 * (edges[:-1] + edges[1:] - 1)
    unit = np.eye(centres.size)
    return np.column_stack([np.interp(np.arange(edges[-1]), centres, row) for row in unit])


def threshold_map(image: np.ndarray, factor: float) -> np.ndarray:
    """
    Return for each pixel the flux above which it is lit.

    Parameters
    ----------
    image
        Star light (row, column) in electron/s; NaN where there is none, and where pixels are saturated,
        for the level of a bleed is no sky.
    factor
        Scaled median absolute deviations above the mode of the tile.

    Returns
    -------
    Map of float32 (row, column); a tile without data takes the threshold of the nearest one that has some.
    """
    rows, columns = (_tile_edges(n) for n in image.shape)
    every = 2 if min(image.shape) >= TILE else 1
    tiles = np.array(
        [
            [
                mask_threshold(image[top:bottom:every, left:right:every], factor)
                for left, right in pairwise(columns)
            ]
            for top, bottom in pairwise(rows)
        ]
    )
    empty = np.isnan(tiles)
    if empty.all():
        return np.full(image.shape, np.nan, dtype=np.float32)
    nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    return (_between_centres(rows) @ tiles[tuple(nearest)] @ _between_centres(columns).T).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _fill_holes(image: np.ndarray, basins: np.ndarray, filled: np.ndarray) -> None:
    """Give single unlit pixels with a value to the basin that holds their four neighbours."""
    for i in range(1, basins.shape[0] - 1):
        for j in range(1, basins.shape[1] - 1):
            around = basins[i - 1, j]
            if basins[i, j] != 0 or around <= 0 or not np.isfinite(image[i, j]):
                continue
            if basins[i + 1, j] == around and basins[i, j - 1] == around and basins[i, j + 1] == around:
                basins[i, j] = around
                filled[around] = True


@numba.njit(cache=True, nogil=True)
def _column_spans(basins: np.ndarray, count: int) -> np.ndarray:
    """Return the first column of every basin and the one after its last, (basin, 2)."""
    spans = np.zeros((count, 2), np.int64)
    spans[:, 0] = basins.shape[1]
    for i in range(basins.shape[0]):
        for j in range(basins.shape[1]):
            span = spans[basins[i, j]]
            span[0], span[1] = min(span[0], j), max(span[1], j + 1)
    return spans


def _add_bleeds(scene: Scene, lit: np.ndarray, basins: np.ndarray, bleeds: np.ndarray) -> None:
    """Extend the basins of saturated stars along their columns, the brightest last."""
    centres = np.flatnonzero(scene.light)
    light = np.bincount(basins.ravel()[centres], weights=scene.light.ravel()[centres], minlength=bleeds.size)
    light[0] = 0
    bright = np.flatnonzero(light >= SATURATED_LIGHT)
    spans = _column_spans(basins, bleeds.size)
    for basin in bright[np.argsort(light[bright])]:
        across = (slice(None), slice(*spans[basin]))
        mask = np.ascontiguousarray(basins[across] == basin)
        bleeds[basin] = add_bleed_columns(scene.image[across], lit[across], scene.light[across], mask)
        basins[across][mask] = basin


def _divide(scene: Scene, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the basin of every pixel, 0 where it has none, and which basins bleed and were filled."""
    lit = scene.image > threshold_map(np.where(scene.saturated, np.nan, scene.image), threshold)
    basins = scene.markers.copy()
    flood(scene.image, core_pixels(lit, CORE_NEIGHBOURS), basins)
    count = int(scene.markers.max()) + 1
    bleeds, filled = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    _fill_holes(scene.image, basins, filled)
    _add_bleeds(scene, lit, basins, bleeds)
    return basins, bleeds, filled


@numba.njit(cache=True, nogil=True)
def _gather(
    image: np.ndarray, basins: np.ndarray, box: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return size, rows and columns (basin after basin), and flux on the border, of all basins."""
    size, edge_flux = np.zeros(count, np.int64), np.zeros(count)
    for i in range(basins.shape[0]):
        for j in range(basins.shape[1]):
            size[basins[i, j]] += 1
    size[0] = 0
    free = np.cumsum(size) - size
    rows, columns = np.empty(size.sum(), np.int16), np.empty(size.sum(), np.int16)
    for i in range(basins.shape[0]):
        for j in range(basins.shape[1]):
            basin = basins[i, j]
            if basin == 0:
                continue
            rows[free[basin]], columns[free[basin]] = i, j
            free[basin] += 1
            if i == box[0] or i == box[1] - 1 or j == box[2] or j == box[3] - 1:
                edge_flux[basin] += image[i, j]
    return size, rows, columns, edge_flux


def grower(
    scene: Scene, pixel: np.ndarray, *, threshold: float, minimum_pixels: int
) -> Callable[[np.ndarray], Masks]:
    """
    Divide the frame, and return the function that gives stars the basin their pixel lies in.

    Parameters
    ----------
    scene
        Image, markers and catalogue light of the whole frame.
    pixel
        Row and column of every catalogue star's pixel (star, 2).
    threshold
        Scaled median absolute deviations above the mode of the tile.
    minimum_pixels
        Smaller basins are dropped.
    """
    basins, bleeds, filled = _divide(scene, threshold)
    size, rows, columns, edge_flux = _gather(scene.image, basins, np.array(scene.box), bleeds.size)
    first = np.cumsum(size) - size
    size[size < minimum_pixels] = 0

    def grow(stars: np.ndarray) -> Masks:
        basin = basins[tuple(pixel[stars].T)]
        row_size = size[basin].astype(np.int32)
        inside = np.arange(row_size.sum()) - np.repeat(np.cumsum(row_size) - row_size, row_size)
        where = np.repeat(first[basin], row_size) + inside
        lit = row_size > 0
        return Masks(
            row_size,
            rows[where],
            columns[where],
            np.where(lit, edge_flux[basin], 0.0),
            bleeds[basin] & lit,
            filled[basin] & lit,
            np.zeros(stars.size, dtype=bool),
            np.zeros((stars.size, 3), dtype=np.int16),
        )

    return grow
