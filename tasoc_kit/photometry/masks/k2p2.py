"""K2P2 masks, stamp by stamp: what TASOC calls the aperture of a star.

In a stamp around the star the sky is the mode of the positive pixels; pixels above mode + k · MAD
are lit, those in the thick of clusters (DBSCAN) stay, and a watershed whose markers come from the
star catalogue divides them among the stars. The star has the basin that its pixel lies in, without
holes, with its bleed columns, and on a larger stamp when it met the border (Lund+ 2015, ApJ 806 30;
Handberg+ 2021, AJ 162 170, section 4).

The flood runs once, over the whole frame: basins of bright pixels do not depend on how deep it goes,
so a stamp needs no more than its threshold and a walk over the pixels of its star that are above it.
Neighbouring stamps then divide the same two stars alike. A stamp is flooded on its own where light enters
whose peak lies outside it, for that light falls to somebody inside; and the few that reach deeper than the
flood of the frame, which is so shallow that the frame falls apart into many lakes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np

from tasoc_kit.numerics.density import kernel_mode, sort_positive, sorted_quantile
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.numerics.watershed import flood
from tasoc_kit.photometry.masks.ragged import Masks
from tasoc_kit.photometry.masks.scene import SATURATED_LIGHT, Scene

__all__ = ["grower", "mask_threshold", "most_resizes", "stamp_size"]

CORE_NEIGHBOURS = 4
_TRIMMED = 0.15
_LINEAR_BELOW = 70000.0
_ENLARGE_BY = 10
_FLAT = 0.01
_SAMPLE, _DEEPER = 400, 1.0
"""Stamps that tell how deep the frame is flooded, and the percentage of them that reach deeper."""

# Sizes of TASOC's first stamp against TESS magnitude, interpolated in the logarithm.
_STAMP_TMAG = np.array([0.0, 3.16, 4.74, 5.8, 9.0])
_STAMP_ROWS = np.array([832.0, 68.0, 28.0, 20.0, 15.0])
_STAMP_COLUMNS = np.array([158.0, 45.0, 28.0, 20.0, 15.0])


class Lakes(NamedTuple):
    """The frame, flooded once."""

    basins: np.ndarray
    """(row, column) number of the marker whose light a pixel is, 0 below the floor."""
    floor: float
    """electron/s above which the frame is flooded."""


def stamp_size(tmag: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the first stamp of stars of these TESS magnitudes."""
    faint = np.nan_to_num(np.asarray(tmag, dtype=float), nan=_STAMP_TMAG[-1])
    rows = np.exp(np.interp(faint, _STAMP_TMAG, np.log(_STAMP_ROWS)))
    columns = np.exp(np.interp(faint, _STAMP_TMAG, np.log(_STAMP_COLUMNS)))
    return np.rint(rows).astype(np.int64), np.rint(columns).astype(np.int64)


def most_resizes(tmag: np.ndarray) -> np.ndarray:
    """Return how often the stamps of stars of these TESS magnitudes are enlarged at most."""
    return np.where(tmag < 6.0, 10, 5)


@numba.njit(cache=True, nogil=True)
def mask_threshold(stamp: np.ndarray, factor: float) -> float:
    """
    Return the flux above which pixels of a stamp are lit: mode + factor · MAD.

    Mode and MAD are those of the positive pixels: the kernel density of their fainter 85 %, and
    the median distance below the mode. NaN where fewer than 4 pixels are positive.

    Parameters
    ----------
    stamp
        Star light (row, column) in electron/s.
    factor
        Scaled median absolute deviations above the mode.
    """
    flux, used = np.empty(stamp.size, np.float32), 0
    for i in range(stamp.shape[0]):
        for j in range(stamp.shape[1]):
            value = stamp[i, j]
            flux[used] = value
            used += 0 < value < np.inf
    if used < 4:
        return np.nan
    ordered = sort_positive(flux[:used])
    faint = ordered[: used - int(_TRIMMED * used)]
    linear = faint[: np.searchsorted(faint, _LINEAR_BELOW)]
    mode = kernel_mode(linear if linear.size >= 4 else faint)
    below = ordered[: np.searchsorted(ordered, mode)]
    if below.size == 0:
        return mode
    return mode + factor * MAD_TO_SIGMA * (mode - sorted_quantile(below, 0.5))


@numba.njit(cache=True, nogil=True)
def fill_holes(image: np.ndarray, mask: np.ndarray) -> bool:
    """Add the single pixels with a value whose four neighbours are all in the mask; tell of any."""
    rows, columns = mask.shape
    holes = np.zeros(mask.shape, dtype=np.bool_)
    for i in range(1, rows - 1):
        for j in range(1, columns - 1):
            around = mask[i - 1, j] and mask[i + 1, j] and mask[i, j - 1] and mask[i, j + 1]
            holes[i, j] = around and not mask[i, j] and np.isfinite(image[i, j])
    found = holes.any()
    if found:
        mask |= holes
    return found


@numba.njit(cache=True, nogil=True)
def _is_flat(flux: np.ndarray, brightest: float) -> bool:
    """Tell whether the pixels of a column look like a bleed: as bright as the star, and level."""
    ordered = np.sort(flux)
    if flux.size < 2 or sorted_quantile(ordered, 0.5) < 0.5 * brightest:
        return False
    steps = np.sort(flux[1:] - flux[:-1])
    return abs(sorted_quantile(steps, 0.5)) < _FLAT * ordered[-1]


@numba.njit(cache=True, nogil=True)
def _sum_inside(image: np.ndarray, mask: np.ndarray) -> float:
    total = 0.0
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j]:
                total += image[i, j]
    return total


@numba.njit(cache=True, nogil=True)
def _brightest_inside(image: np.ndarray, mask: np.ndarray) -> float:
    brightest = 0.0
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j]:
                brightest = max(brightest, image[i, j])
    return brightest


@numba.njit(cache=True, nogil=True)
def add_bleed_columns(image: np.ndarray, lit: np.ndarray, light: np.ndarray, mask: np.ndarray) -> bool:
    """
    Extend a mask along its saturated columns, if the stars in it are bright enough to saturate.

    A column is saturated where the pixels of the mask are level and at least half as bright as the
    brightest; all lit pixels connected to its peak along the column are added.

    Parameters
    ----------
    image
        Star light (row, column) in electron/s.
    lit
        Boolean image: pixels above the threshold.
    light
        Catalogue flux in each pixel, 10^(−0.4 tmag).
    mask
        Boolean image, changed in place.

    Returns
    -------
    True if the mask has saturated columns.
    """
    longer, saturated = mask.copy(), False
    brightest = _brightest_inside(image, mask)
    for j in range(mask.shape[1]):
        rows = np.flatnonzero(mask[:, j])
        flux = np.empty(rows.size)
        for k in range(rows.size):
            flux[k] = image[rows[k], j]
        if not _is_flat(flux, brightest):
            continue
        saturated = True
        peak = rows[np.argmax(flux)]
        for way in (-1, 1):
            i = peak
            while 0 <= i < mask.shape[0] and lit[i, j]:
                longer[i, j] = True
                i += way
    if not saturated or _sum_inside(light, longer) < SATURATED_LIGHT:
        return False
    mask |= longer
    return True


@numba.njit(cache=True, nogil=True)
def _is_core(image: np.ndarray, threshold: float, i: int, j: int) -> bool:
    """Tell whether a pixel is lit and has enough lit pixels around it."""
    if not image[i, j] > threshold:
        return False
    count = 0
    for k in range(max(i - 1, 0), min(i + 2, image.shape[0])):
        for m in range(max(j - 1, 0), min(j + 2, image.shape[1])):
            count += image[k, m] > threshold
    return count >= CORE_NEIGHBOURS


@numba.njit(cache=True, nogil=True)
def _is_inside(place: np.ndarray, stamp: np.ndarray) -> bool:
    return stamp[0] <= place[0] < stamp[1] and stamp[2] <= place[1] < stamp[3]


@numba.njit(cache=True, nogil=True)
def _cut(image: np.ndarray, stamp: np.ndarray) -> np.ndarray:
    # A copy is laid out like a whole frame; for a view everything below would be compiled once more.
    return image[stamp[0] : stamp[1], stamp[2] : stamp[3]].copy()


@numba.njit(cache=True, nogil=True)
def _spread(
    scene: Scene, lakes: Lakes, stamp: np.ndarray, threshold: float, row: int, column: int
) -> tuple[np.ndarray, int]:
    """
    Return the core pixels of the star's basin that hang together with its pixel, and how many they are.

    None are returned where no marker of the basin is among the pixels, and −1 of them where only a flood of
    the stamp can tell: below the floor, or where light is met whose peak lies outside the stamp, for it falls
    to somebody inside.
    """
    image, basins, markers = _cut(scene.image, stamp), _cut(lakes.basins, stamp), _cut(scene.markers, stamp)
    mask, basin = np.zeros(image.shape, dtype=np.bool_), basins[row, column]
    if threshold < lakes.floor:
        return mask, -1
    if basin == 0 or not _is_core(image, threshold, row, column):
        return mask, 0
    stack = np.empty((image.size, 2), dtype=np.int64)
    stack[0, 0], stack[0, 1] = row, column
    mask[row, column], waiting, count, marked = True, 1, 1, False
    while waiting:
        waiting -= 1
        i, j = stack[waiting, 0], stack[waiting, 1]
        marked |= markers[i, j] == basin
        for k, m in ((i - 1, j), (i, j - 1), (i, j + 1), (i + 1, j)):
            if k < 0 or m < 0 or k >= image.shape[0] or m >= image.shape[1] or mask[k, m]:
                continue
            here = basins[k, m]
            if here == 0 or not _is_core(image, threshold, k, m):
                continue
            if here == basin:
                mask[k, m] = True
                stack[waiting, 0], stack[waiting, 1] = k, m
                waiting += 1
                count += 1
            elif not _is_inside(scene.peaks[here], stamp):
                return mask, -1
    if not marked:
        mask[:] = False
    return mask, count if marked else 0


@numba.njit(cache=True, nogil=True)
def _flood_stamp(
    scene: Scene, stamp: np.ndarray, threshold: float, row: int, column: int
) -> tuple[np.ndarray, int]:
    """Return the basin of a pixel, and its size, when the stamp is flooded with its own markers alone."""
    image = _cut(scene.image, stamp)
    core = np.zeros(image.shape, dtype=np.bool_)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            core[i, j] = _is_core(image, threshold, i, j)
    basins = _cut(scene.markers, stamp)
    flood(image, core, basins)
    mask = (basins == basins[row, column]) & (basins > 0)
    return mask, mask.sum()


@numba.njit(cache=True, nogil=True)
def _enlarge(stamp: np.ndarray, box: tuple[int, int, int, int], mask: np.ndarray) -> bool:
    """Move the sides that the mask touches outward, as far as there is data; tell whether any moved."""
    touched = (mask[0].any(), mask[-1].any(), mask[:, 0].any(), mask[:, -1].any())
    moved = False
    for side in range(4):
        if touched[side] and stamp[side] != box[side]:
            stamp[side] += _ENLARGE_BY if side % 2 else -_ENLARGE_BY
            moved = True
    return moved


@numba.njit(cache=True, nogil=True)
def _first_stamp(place: np.ndarray) -> np.ndarray:
    """Return first and last row and column, the last ones not included, of ``place``: middle and size."""
    row, column, high, wide = place[0], place[1], place[2], place[3]
    return np.array([row - high // 2, row + high // 2 + 1, column - wide // 2, column + wide // 2 + 1])


@numba.njit(cache=True, nogil=True)
def _clip(stamp: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Keep the stamp inside the pixels that hold data."""
    for side in (0, 2):
        stamp[side] = max(stamp[side], box[side])
        stamp[side + 1] = min(stamp[side + 1], box[side + 1])


@numba.njit(cache=True, nogil=True)
def _border_flux(image: np.ndarray, mask: np.ndarray) -> float:
    """Return the flux of the mask on the outermost pixels of the stamp."""
    total = 0.0
    last_row, last_column = mask.shape[0] - 1, mask.shape[1] - 1
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j] and (i == 0 or j == 0 or i == last_row or j == last_column):
                total += image[i, j]
    return total


@numba.njit(cache=True, nogil=True)
def _follow_bleeds(scene: Scene, stamp: np.ndarray, mask: np.ndarray, threshold: float) -> np.ndarray:
    """Return the mask with its bleed columns past the stamp, which then spans all rows with data."""
    top = stamp[0] - scene.box[0]
    stamp[0], stamp[1] = scene.box[0], scene.box[1]
    columns = _cut(scene.image, stamp)
    whole = np.zeros(columns.shape, dtype=np.bool_)
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            whole[top + i, j] = mask[i, j]
    add_bleed_columns(columns, columns > threshold, _cut(scene.light, stamp), whole)
    return whole


@numba.njit(cache=True, nogil=True)
def _grow_one(
    scene: Scene,
    lakes: Lakes,
    place: np.ndarray,
    tries: int,
    factor: float,
    minimum: int,
    marks: np.ndarray,
) -> tuple[np.ndarray, int, int]:
    """
    Grow one mask, on a stamp that is enlarged where the mask touches its border.

    ``place`` holds row, column, rows and columns of the first stamp. Returned are the mask and its
    first row and column; ``marks`` receives edge flux, bleeds, filled, height and width of the stamp,
    and how often it was enlarged.
    """
    box = scene.box
    row, column, stamp = place[0], place[1], _first_stamp(place)
    mask = np.zeros((0, 0), dtype=np.bool_)
    if not _is_inside(place, np.array(box)):
        return mask, stamp[0], stamp[2]
    for attempt in range(tries + 1):
        _clip(stamp, box)
        pixels, catalogue = _cut(scene.image, stamp), _cut(scene.light, stamp)
        marks[3], marks[4], marks[5] = pixels.shape[0], pixels.shape[1], attempt
        threshold = mask_threshold(pixels, factor)
        i, j = row - stamp[0], column - stamp[2]
        mask, count = _spread(scene, lakes, stamp, threshold, i, j)
        if count < 0:
            mask, count = _flood_stamp(scene, stamp, threshold, i, j)
        if count < minimum:
            mask[:] = False
            return mask, stamp[0], stamp[2]
        filled = fill_holes(pixels, mask)
        bleeds = catalogue.sum() >= SATURATED_LIGHT and add_bleed_columns(
            pixels, pixels > threshold, catalogue, mask
        )
        marks[0], marks[1], marks[2] = _border_flux(pixels, mask), bleeds, filled
        if attempt == tries or not _enlarge(stamp, box, mask):
            break
    if bleeds:
        mask = _follow_bleeds(scene, stamp, mask, threshold)
    return mask, stamp[0], stamp[2]


@numba.njit(cache=True, nogil=True)
def _append(pixels: np.ndarray, used: int, mask: np.ndarray, top: int, left: int) -> np.ndarray:
    """Write the places of the mask from entry ``used`` on; return the table, a longer one if need be."""
    needed = used + mask.sum()
    if needed > pixels.shape[0]:
        longer = np.empty((2 * needed, 2), dtype=np.int16)
        for k in range(used):
            longer[k, 0], longer[k, 1] = pixels[k, 0], pixels[k, 1]
        pixels = longer
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            if mask[i, j]:
                pixels[used, 0], pixels[used, 1] = top + i, left + j
                used += 1
    return pixels


@numba.njit(cache=True, nogil=True)
def _grow_many(
    scene: Scene, lakes: Lakes, places: np.ndarray, tries: np.ndarray, factor: float, minimum: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grow the masks of many stars; return sizes, (row, column) of all pixels, and the six marks."""
    sizes = np.zeros(places.shape[0], dtype=np.int32)
    marks = np.zeros((places.shape[0], 6))
    pixels = np.empty((64 * places.shape[0] + 64, 2), dtype=np.int16)
    used = 0
    for star in range(places.shape[0]):
        mask, top, left = _grow_one(scene, lakes, places[star], tries[star], factor, minimum, marks[star])
        pixels = _append(pixels, used, mask, top, left)
        sizes[star] = mask.sum()
        used += sizes[star]
    return sizes, pixels[:used], marks


@numba.njit(cache=True, nogil=True)
def _thresholds(scene: Scene, places: np.ndarray, factor: float) -> np.ndarray:
    """Return the thresholds of the first stamps of some stars; NaN for stars off the frame."""
    found = np.full(places.shape[0], np.nan)
    for star in range(places.shape[0]):
        stamp = _first_stamp(places[star])
        _clip(stamp, scene.box)
        if _is_inside(places[star], np.array(scene.box)):
            found[star] = mask_threshold(_cut(scene.image, stamp), factor)
    return found


def _flood_frame(scene: Scene, places: np.ndarray, factor: float) -> Lakes:
    """Flood the frame as deep as nearly all stamps need."""
    some = places[:: max(1, len(places) // _SAMPLE)]
    thresholds = _thresholds(scene, some, factor)
    known = thresholds[np.isfinite(thresholds)]
    floor = float(np.percentile(known, _DEEPER)) if known.size else 0.0
    basins = scene.markers.copy()
    flood(scene.image, scene.image > floor, basins)
    return Lakes(basins, floor)


def grower(
    scene: Scene,
    pixel: np.ndarray,
    tmag: np.ndarray,
    *,
    threshold: float,
    minimum_pixels: int,
    threads: int,
) -> Callable[[np.ndarray], Masks]:
    """
    Return the function that grows the masks of stars, each on its own stamp.

    Parameters
    ----------
    scene
        Image, markers and catalogue light of the whole frame.
    pixel
        Row and column of every catalogue star's pixel (star, 2).
    tmag
        TESS magnitudes, which set the first stamp (star).
    threshold
        Scaled median absolute deviations above the mode of the stamp.
    minimum_pixels
        Smaller masks are dropped.
    threads
        Stars are shared among so many threads; the masks do not depend on it.
    """
    places = np.column_stack([pixel, *stamp_size(tmag)]).astype(np.int64)
    tries = most_resizes(tmag)
    lakes = _flood_frame(scene, places, threshold)

    def grow_part(stars: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _grow_many(scene, lakes, places[stars], tries[stars], threshold, minimum_pixels)

    def grow(stars: np.ndarray) -> Masks:
        parts = np.array_split(stars, 4 * threads)
        with ThreadPoolExecutor(threads) as pool:
            grown = list(pool.map(grow_part, parts))
        sizes, pixels, marks = (np.concatenate(arrays) for arrays in zip(*grown, strict=True))
        edge_flux, bleeds, filled = marks[:, :3].T
        stamp = marks[:, 3:].astype(np.int16)
        return Masks(sizes, pixels[:, 0], pixels[:, 1], edge_flux, bleeds > 0, filled > 0, sizes < 0, stamp)

    return grow
