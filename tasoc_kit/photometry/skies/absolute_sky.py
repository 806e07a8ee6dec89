"""The sky under a star image: how much of its light is no star.

Only the reference needs this, once a sector; every other frame is compared with the
reference. The mode of each tile is found on its sorted pixels, the scatter from the side that
stars do not reach, and the surface through the tiles is fitted so that tiles full of star
light bend it little.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation

from tasoc_kit.numerics.splines import Ladder
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, half_sample_mode, mad_sigma

__all__ = ["absolute_sky", "star_light"]

TILE = 32
SMALLEST_TILE = 16
ROUNDS = 3
STAR_SIGMA = 3.0
RESOLVED = 0.7
"""
electron/s; light of stars that is fainter in a pixel, twice the noise of half an hour, counts as sky.

So the sky is the same however deep the reference is: without a limit one of 48 frames masks ever fainter
stars and sinks 0.09 electron/s below the median of what stars beyond T = 16 add. On fields of 3,000 and
12,000 stars brighter than T = 15 to a CCD any limit from 0.6 to 0.8 leaves 0.03, and 1.5 up to 0.11;
on 36,000, where the crowd itself decides, none of them matters and 0.1 is left.
"""
LEVEL = 3
STRUCTURE, TILES_PER_SPLINE = 0.5, 1.5
"""A finer surface is taken if it halves the scatter of the tiles, and has tiles enough."""
ROBUST_ROUNDS = 5
MINIMUM_PIXELS = 40
DARK, REACH = 0.3, 16
"""Columns are compared at this quantile of their pixels, with those this near."""


def _tile_statistics(values: np.ndarray) -> tuple[float, float]:
    """Return the mode and the scatter below it of the finite values of a tile."""
    ordered = np.sort(values[np.isfinite(values)])
    if ordered.size < MINIMUM_PIXELS:
        return np.nan, np.nan
    mode = float(half_sample_mode(_thinned(ordered)))
    below = ordered[ordered <= mode]
    scatter = MAD_TO_SIGMA * float(np.median(mode - below)) if below.size else np.nan
    return mode, scatter


def _thinned(ordered: np.ndarray) -> np.ndarray:
    """Drop the bright half of a tile: the mode is never there, and halving finds it sooner."""
    return ordered[: max(MINIMUM_PIXELS, ordered.size * 3 // 4)].astype(float)


def _tiles(image: np.ndarray, tile: int, masked: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return level and scatter of each tile: its mode, or the median of its unmasked pixels."""
    shape = tuple(-(-size // tile) for size in image.shape)
    level, scatter = np.full(shape, np.nan), np.full(shape, np.nan)
    for place in np.ndindex(*shape):
        box = tuple(slice(i * tile, (i + 1) * tile) for i in place)
        if masked is None:
            level[place], scatter[place] = _tile_statistics(image[box].ravel())
            continue
        values = image[box][~masked[box] & np.isfinite(image[box])]
        if values.size >= MINIMUM_PIXELS:
            level[place], scatter[place] = float(np.median(values)), float(mad_sigma(values))
    return level, scatter


def _fit_tiles(ladder: Ladder, level: np.ndarray) -> np.ndarray:
    """Return the sky at each pixel: a smooth surface through the tiles, a finer one where that has edges."""
    top = min(LEVEL, len(ladder.surfaces) - 1)
    if not np.isfinite(level).any():
        return np.zeros(ladder.shape)
    coefficients, scatter = _fit_surface(ladder, level, top)
    for surface in ladder.surfaces[top + 1 : top + 2]:
        splines = TILES_PER_SPLINE * np.array(surface.coefficient_shape)
        if np.all(splines <= level.shape):
            finer, left = _fit_surface(ladder, level, top + 1)
            if left < STRUCTURE * scatter:
                return surface.on_pixels(finer)
    return ladder.surfaces[top].on_pixels(coefficients)


def _fit_surface(ladder: Ladder, level: np.ndarray, top: int) -> tuple[np.ndarray, float]:
    """
    Fit the tiles with little weight for those above the surface, where stars crowd a tile.

    Returns the coefficients, and the scatter of the tiles about the surface.
    """
    known = np.isfinite(level)
    weight = known.astype(float)
    values = np.where(known, level, 0.0)
    for _ in range(ROBUST_ROUNDS):
        coefficients = ladder.fit(values, weight, top)
        residual = values - ladder.surfaces[top].on_cells(coefficients)
        scale = max(float(mad_sigma(residual[known])), 1e-6)
        excess = residual / (2.0 * scale)
        weight = known / np.maximum(1.0, np.where(excess > 0, excess, -excess / 2)) ** 2
    return coefficients, scale


def star_light(image: np.ndarray, sky: np.ndarray, scatter: np.ndarray, tile: int) -> np.ndarray:
    """Return True for pixels with star light, and for their neighbours."""
    spread = np.repeat(np.repeat(scatter, tile, axis=0), tile, axis=1)[: image.shape[0], : image.shape[1]]
    spread = np.where(np.isfinite(spread), spread, np.nanmedian(scatter))
    return np.asarray(binary_dilation(image - sky > STAR_SIGMA * spread))


def _lift_columns(image: np.ndarray, sky: np.ndarray, lifted: np.ndarray) -> np.ndarray:
    """
    Return the sky with some columns raised to what they show: a strap answers more than its neighbours.

    The dark third of a column's pixels is compared with that of the columns around it, so that
    no mask is needed, which would hold a bright column for one long star.
    """
    places = np.arange(lifted.size)
    share = np.where(sky > 0, image / np.where(sky > 0, sky, 1.0), np.nan)
    seen = np.isfinite(share).any(axis=0)
    dark = np.full(lifted.size, np.nan)
    dark[seen] = np.nanquantile(share[:, seen], DARK, axis=0)
    ratio = np.ones(lifted.size)
    for column in np.flatnonzero(lifted):
        around = dark[(np.abs(places - column) <= REACH) & ~lifted & seen]
        if around.size and seen[column]:
            ratio[column] = dark[column] / np.median(around)
    return sky * ratio[None, :]


def absolute_sky(image: np.ndarray, lifted: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """
    Separate the sky from the stars of one deep image.

    Parameters
    ----------
    image
        float32 (rows, columns), electron/s; NaN where unknown.
    lifted
        bool (columns): columns whose sky may differ from that of their neighbours.

    Returns
    -------
    sky
        float32 (rows, columns), electron/s; a constant for frames under 32 pixels.
    star_mask
        bool (rows, columns): pixels with star light above the noise, and their neighbours.
    """
    smallest = min(image.shape)
    if smallest < 2 * SMALLEST_TILE:
        ordered = np.sort(image[np.isfinite(image)]).astype(float)
        level = half_sample_mode(_thinned(ordered)) if ordered.size else np.nan
        sky = np.full(image.shape, level, np.float32)
        spread = MAD_TO_SIGMA * np.median(np.abs(ordered[ordered <= level] - level)) if ordered.size else 0
        return sky, image - sky > STAR_SIGMA * max(float(spread), 1e-6)
    tile = TILE if smallest >= 16 * TILE else SMALLEST_TILE
    ladder = Ladder(image.shape, tile)
    masked: np.ndarray | None = None
    sky = np.zeros(image.shape)
    for _ in range(ROUNDS):
        # Over the sky known so far, for in a tile across a steep sky faint stars would hide in its slope.
        level, scatter = _tiles(image - sky, tile, masked)
        sky = sky + _fit_tiles(ladder, level)
        if lifted is not None and lifted.any() and not lifted.all():
            sky = _lift_columns(image, sky, lifted)
        masked = star_light(image, sky, np.maximum(scatter, RESOLVED / STAR_SIGMA), tile)
    return sky.astype(np.float32), star_light(image, sky, scatter, tile)
