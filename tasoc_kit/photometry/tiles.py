"""Masks from a threshold map of the whole frame: one division of all light at once.

Each tile of 64 pixels has the threshold mode + k · MAD, with the half-sample mode (Bickel &
Frühwirth 2006) of its pixels; the map is interpolated between tile centres. Clusters and watershed then
cover the whole frame, so every pixel belongs to at most one star.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numba
import numpy as np
from scipy import ndimage

from tasoc_kit.numerics.clusters import core_pixels, flood
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, half_sample_mode
from tasoc_kit.photometry.k2p2 import CORE_NEIGHBOURS, SATURATES, Scene, add_bleed_columns
from tasoc_kit.photometry.masks import Masks

__all__ = ["TILE", "grower", "threshold_map"]

TILE = 64
"""Rows and columns of a tile, in pixels."""


def _tile_threshold(tile: np.ndarray, factor: float) -> float:
    """Return mode + factor · MAD of one tile, from the pixels below the mode; NaN without pixels."""
    values = np.sort(tile[np.isfinite(tile)].astype(np.float64))
    if not values.size:
        return np.nan
    mode = half_sample_mode(values)
    below = mode - values[: np.searchsorted(values, mode)]
    return mode + factor * MAD_TO_SIGMA * (np.median(below) if below.size else 0.0)


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
    tiles = np.array(
        [
            [_tile_threshold(image[top:bottom, left:right], factor) for left, right in pairwise(columns)]
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


def _add_bleeds(scene: Scene, lit: np.ndarray, basins: np.ndarray, bleeds: np.ndarray) -> None:
    """Extend the basins of saturated stars along their columns, the brightest last."""
    light = np.bincount(basins.ravel(), weights=scene.light.ravel())
    light[0] = 0
    bright = np.flatnonzero(light >= 10 ** (-0.4 * SATURATES))
    boxes = ndimage.find_objects(basins, max_label=int(basins.max()))
    for basin in bright[np.argsort(light[bright])]:
        across = (slice(None), boxes[basin - 1][1])
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
    order = np.argsort(basins, axis=None, kind="stable")
    size = np.bincount(basins.ravel(), minlength=bleeds.size)
    first = np.cumsum(size) - size
    rows, columns = np.divmod(order.astype(np.int32), np.int32(basins.shape[1]))
    is_edge = (rows == scene.box[0]) | (rows == scene.box[1] - 1)
    is_edge |= (columns == scene.box[2]) | (columns == scene.box[3] - 1)
    on_edge = np.where(is_edge, scene.image.ravel()[order], 0)
    edge_flux = np.bincount(basins.ravel()[order], weights=np.nan_to_num(on_edge), minlength=size.size)
    size[0] = 0
    size[size < minimum_pixels] = 0

    def grow(stars: np.ndarray) -> Masks:
        basin = basins[tuple(pixel[stars].T)]
        row_size = size[basin].astype(np.int32)
        inside = np.arange(row_size.sum()) - np.repeat(np.cumsum(row_size) - row_size, row_size)
        where = np.repeat(first[basin], row_size) + inside
        lit = row_size > 0
        return Masks(
            row_size,
            rows[where].astype(np.int16),
            columns[where].astype(np.int16),
            np.where(lit, edge_flux[basin], 0.0),
            bleeds[basin] & lit,
            filled[basin] & lit,
            np.zeros(stars.size, dtype=bool),
        )

    return grow
