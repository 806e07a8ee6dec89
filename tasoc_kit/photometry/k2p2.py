"""K2P2 masks, stamp by stamp: what TASOC calls the aperture of a star.

In a stamp around the star the sky is the mode of the positive pixels; pixels above mode + k · MAD
are lit, those in the thick of clusters (DBSCAN) stay, and a watershed whose markers come from the
star catalogue divides them among the stars. The star has the basin that its pixel lies in, without
holes, with its bleed columns, and on a larger stamp when it met the border (Lund+ 2015, ApJ 806 30;
Handberg+ 2021, AJ 162 170, section 4). Markers are those of the whole frame, so that neighbouring
stamps divide the same two stars alike.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
from scipy.spatial import cKDTree

from tasoc_kit.numerics.clusters import core_pixels, find_maxima, flood, number_peaks
from tasoc_kit.numerics.density import kernel_mode, sorted_quantile
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.photometry.masks import Masks

__all__ = ["Scene", "grower", "make_scene", "mask_threshold", "stamp_size"]

SATURATES = 7.0
"""TESS magnitude of the faintest star whose light bleeds."""

_SMOOTHING = 0.5
_REACH = 2.0 * np.sqrt(2.0)
_REACH_SATURATED = 5.0 * np.sqrt(2.0)
CORE_NEIGHBOURS = 4
_TRIMMED = 0.15
_LINEAR_BELOW = 70000.0
_ENLARGE_BY = 10
_MANY_TRIES_BELOW = 6.0
_FLAT = 0.01

# Sizes of TASOC's first stamp against TESS magnitude, interpolated in the logarithm.
_STAMP_TMAG = np.array([0.0, 3.16, 4.74, 5.8, 9.0])
_STAMP_ROWS = np.array([832.0, 68.0, 28.0, 20.0, 15.0])
_STAMP_COLUMNS = np.array([158.0, 45.0, 28.0, 20.0, 15.0])


@dataclass(frozen=True)
class Scene:
    """The images that masks are grown on; all (row, column), C-ordered."""

    image: np.ndarray
    """Star light in electron/s, float32; NaN where there is none."""
    markers: np.ndarray
    """Number > 0 of each catalogued peak, else 0; int32."""
    saturated: np.ndarray
    """True where pixels reached full well; bool."""
    light: np.ndarray
    """Catalogue flux of the stars whose centre lies in the pixel, 10^(−0.4 tmag); float64."""
    box: tuple[int, int, int, int]
    """First row, row after the last, first column, column after the last with a finite pixel."""


def stamp_size(tmag: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the first stamp of stars of these TESS magnitudes."""
    faint = np.nan_to_num(np.asarray(tmag, dtype=float), nan=_STAMP_TMAG[-1])
    rows = np.exp(np.interp(faint, _STAMP_TMAG, np.log(_STAMP_ROWS)))
    columns = np.exp(np.interp(faint, _STAMP_TMAG, np.log(_STAMP_COLUMNS)))
    return np.rint(rows).astype(np.int64), np.rint(columns).astype(np.int64)


def make_scene(
    image: np.ndarray,
    saturated: np.ndarray,
    star_row: np.ndarray,
    star_column: np.ndarray,
    tmag: np.ndarray,
) -> Scene:
    """
    Find the markers of the whole frame and lay the catalogue's light on the pixel scene.

    Parameters
    ----------
    image
        Star light (row, column) in electron/s; NaN where there is none.
    saturated
        Boolean image: a connected saturated patch holds one peak only.
    star_row, star_column
        Positions of all catalogue stars, as fractional indices into the image.
    tmag
        Their TESS magnitudes; a star without one gives no light.
    """
    image = np.array(image, dtype=np.float32, order="C")
    finite = np.isfinite(image)
    image[~finite] = np.nan
    rows, columns = np.flatnonzero(finite.any(1)), np.flatnonzero(finite.any(0))
    box = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if rows.size else (0, 0, 0, 0)
    maxima = find_maxima(image, _SMOOTHING) & finite
    places, peak = number_peaks(maxima, saturated)
    markers = np.zeros(image.shape, dtype=np.int32)
    markers[tuple(places.T)] = _claimed_peaks(places, peak, star_row, star_column, tmag)
    light = np.zeros(image.shape)
    i, j = (np.rint(np.nan_to_num(place, nan=-1.0)).astype(int) for place in (star_row, star_column))
    on = (i >= 0) & (j >= 0) & (i < image.shape[0]) & (j < image.shape[1]) & np.isfinite(tmag)
    np.add.at(light, (i[on], j[on]), 10 ** (-0.4 * tmag[on].astype(float)))
    return Scene(image, markers, saturated, light, tuple(int(edge) for edge in box))


def _claimed_peaks(
    places: np.ndarray,
    peak: np.ndarray,
    star_row: np.ndarray,
    star_column: np.ndarray,
    tmag: np.ndarray,
) -> np.ndarray:
    """Return for each maximum a number > 0 if its peak is the nearest one to a star and near enough."""
    known = np.isfinite(star_row) & np.isfinite(star_column)
    if not places.size or not known.any():
        return np.zeros(len(places), dtype=np.int32)
    distance, nearest = cKDTree(places).query(np.column_stack([star_row[known], star_column[known]]))
    reach = np.where(tmag[known] <= SATURATES, _REACH_SATURATED, _REACH)
    number = np.zeros(peak.max() + 1, dtype=np.int32)
    claimed = np.unique(peak[nearest[distance < reach]])
    number[claimed] = np.arange(1, claimed.size + 1)
    return number[peak]


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
    flat = stamp.ravel()
    flux = np.sort(flat[flat > 0].astype(np.float64))
    flux = flux[: np.searchsorted(flux, np.inf)]
    if flux.size < 4:
        return np.nan
    faint = flux[: flux.size - int(_TRIMMED * flux.size)]
    linear = faint[: np.searchsorted(faint, _LINEAR_BELOW)]
    mode = kernel_mode(linear if linear.size >= 4 else faint)
    below = flux[: np.searchsorted(flux, mode)]
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
    if not saturated or _sum_inside(light, longer) < 10 ** (-0.4 * SATURATES):
        return False
    mask |= longer
    return True


@numba.njit(cache=True, nogil=True)
def _grow_in_stamp(
    image: np.ndarray,
    markers: np.ndarray,
    light: np.ndarray,
    row: int,
    column: int,
    factor: float,
    minimum: int,
) -> tuple[np.ndarray, bool, bool]:
    """Return the mask of the star at this pixel of a stamp, and whether it was filled or bleeds."""
    empty = np.zeros(image.shape, dtype=np.bool_)
    lit = image > mask_threshold(image, factor)
    core = core_pixels(lit, CORE_NEIGHBOURS)
    if not core[row, column]:
        return empty, False, False
    flood(image, core, markers)
    if markers[row, column] == 0:
        return empty, False, False
    mask = markers == markers[row, column]
    if mask.sum() < minimum:
        return empty, False, False
    filled = fill_holes(image, mask)
    return mask, filled, add_bleed_columns(image, lit, light, mask)


@numba.njit(cache=True, nogil=True)
def _enlarge(stamp: np.ndarray, box: np.ndarray, mask: np.ndarray) -> bool:
    """Move the sides that the mask touches outward, as far as there is data; tell whether any moved."""
    touched = (mask[0].any(), mask[-1].any(), mask[:, 0].any(), mask[:, -1].any())
    moved = False
    for side in range(4):
        if touched[side] and stamp[side] != box[side]:
            stamp[side] += _ENLARGE_BY if side % 2 else -_ENLARGE_BY
            moved = True
    return moved


@numba.njit(cache=True, nogil=True)
def _clip(stamp: np.ndarray, box: np.ndarray) -> None:
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
def _follow_bleeds(
    image: np.ndarray,
    light: np.ndarray,
    box: np.ndarray,
    stamp: np.ndarray,
    mask: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Return the mask with its bleed columns past the stamp, which then spans all rows with data."""
    columns = image[box[0] : box[1], stamp[2] : stamp[3]].copy()
    whole = np.zeros(columns.shape, dtype=np.bool_)
    for i in range(mask.shape[0]):
        for j in range(mask.shape[1]):
            whole[stamp[0] - box[0] + i, j] = mask[i, j]
    catalogue = light[box[0] : box[1], stamp[2] : stamp[3]].copy()
    add_bleed_columns(columns, columns > threshold, catalogue, whole)
    stamp[0], stamp[1] = box[0], box[1]
    return whole


@numba.njit(cache=True, nogil=True)
def _grow_one(
    image: np.ndarray,
    markers: np.ndarray,
    light: np.ndarray,
    box: np.ndarray,
    place: np.ndarray,
    tries: int,
    factor: float,
    minimum: int,
    marks: np.ndarray,
) -> tuple[np.ndarray, int, int]:
    """
    Grow one mask, on a stamp that is enlarged where the mask touches its border.

    ``place`` holds row, column, rows and columns of the first stamp. Returned are the mask and its
    first row and column; ``marks`` receives edge flux, bleeds, filled.
    """
    row, column, high, wide = place[0], place[1], place[2], place[3]
    stamp = np.array([row - high // 2, row + high // 2 + 1, column - wide // 2, column + wide // 2 + 1])
    mask = np.zeros((0, 0), dtype=np.bool_)
    if not (box[0] <= row < box[1] and box[2] <= column < box[3]):
        return mask, stamp[0], stamp[2]
    for attempt in range(tries + 1):
        _clip(stamp, box)
        pixels = image[stamp[0] : stamp[1], stamp[2] : stamp[3]].copy()
        mask, filled, bleeds = _grow_in_stamp(
            pixels,
            markers[stamp[0] : stamp[1], stamp[2] : stamp[3]].copy(),
            light[stamp[0] : stamp[1], stamp[2] : stamp[3]].copy(),
            row - stamp[0],
            column - stamp[2],
            factor,
            minimum,
        )
        marks[0], marks[1], marks[2] = _border_flux(pixels, mask), bleeds, filled
        if attempt == tries or not _enlarge(stamp, box, mask):
            break
    if bleeds:
        mask = _follow_bleeds(image, light, box, stamp, mask, mask_threshold(pixels, factor))
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
    image: np.ndarray,
    markers: np.ndarray,
    light: np.ndarray,
    box: np.ndarray,
    places: np.ndarray,
    tries: np.ndarray,
    factor: float,
    minimum: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grow the masks of many stars; return sizes, (row, column) of all pixels, and the three marks."""
    sizes = np.zeros(places.shape[0], dtype=np.int32)
    marks = np.zeros((places.shape[0], 3))
    pixels = np.empty((64 * places.shape[0] + 64, 2), dtype=np.int16)
    used = 0
    for star in range(places.shape[0]):
        mask, top, left = _grow_one(
            image, markers, light, box, places[star], tries[star], factor, minimum, marks[star]
        )
        pixels = _append(pixels, used, mask, top, left)
        sizes[star] = mask.sum()
        used += sizes[star]
    return sizes, pixels[:used], marks


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
    tries = np.where(tmag < _MANY_TRIES_BELOW, 10, 5)
    box = np.array(scene.box)

    def grow_part(stars: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _grow_many(
            scene.image,
            scene.markers,
            scene.light,
            box,
            places[stars],
            tries[stars],
            threshold,
            minimum_pixels,
        )

    def grow(stars: np.ndarray) -> Masks:
        parts = np.array_split(stars, 4 * threads)
        with ThreadPoolExecutor(threads) as pool:
            grown = list(pool.map(grow_part, parts))
        sizes, pixels, marks = (np.concatenate(arrays) for arrays in zip(*grown, strict=True))
        edge_flux, bleeds, filled = marks.T
        return Masks(sizes, pixels[:, 0], pixels[:, 1], edge_flux, bleeds > 0, filled > 0, sizes < 0)

    return grow
