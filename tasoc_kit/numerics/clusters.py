"""Clusters of lit pixels: DBSCAN on the pixel grid, the watershed, small local maxima.

On a grid DBSCAN with a radius of √2 (Ester+ 1996) needs no neighbour search: the neighbours of a
pixel are the eight around it, a *core* pixel has enough lit ones (itself counted), clusters are the
8-connected components of core pixels, and a lit pixel beside several clusters belongs to the first
of them. The labels equal those of ``sklearn.cluster.DBSCAN`` on the same pixels in raster order.

The watershed (Meyer 1994) floods from markers down from the brightest pixel, as
``skimage.segmentation.watershed`` does on minus the flux.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy import ndimage

__all__ = ["core_pixels", "dbscan_labels", "find_maxima", "flood", "number_peaks"]

_EIGHT = np.ones((3, 3), dtype=bool)
_FOUR = np.array([(-1, 0), (0, -1), (0, 1), (1, 0)])


@numba.njit(cache=True, nogil=True)
def core_pixels(lit: np.ndarray, minimum: int) -> np.ndarray:
    """
    Return True for lit pixels with at least ``minimum`` lit ones among their 3 × 3.

    Parameters
    ----------
    lit
        Boolean image (row, column).
    minimum
        Lit pixels, the pixel itself counted; ``min_samples`` of DBSCAN.
    """
    rows, columns = lit.shape
    core = np.zeros((rows, columns), dtype=np.bool_)
    for i in range(rows):
        for j in range(columns):
            if not lit[i, j]:
                continue
            count = 0
            for k in range(max(i - 1, 0), min(i + 2, rows)):
                for m in range(max(j - 1, 0), min(j + 2, columns)):
                    count += lit[k, m]
            core[i, j] = count >= minimum
    return core


@numba.njit(cache=True, nogil=True)
def _add_border_pixels(lit: np.ndarray, core: np.ndarray, labels: np.ndarray) -> None:
    """Give each lit pixel that is not core the smallest label of a core pixel beside it."""
    rows, columns = lit.shape
    for i in range(rows):
        for j in range(columns):
            if core[i, j] or not lit[i, j]:
                continue
            smallest = -1
            for k in range(max(i - 1, 0), min(i + 2, rows)):
                for m in range(max(j - 1, 0), min(j + 2, columns)):
                    if core[k, m] and (smallest < 0 or labels[k, m] < smallest):
                        smallest = labels[k, m]
            labels[i, j] = smallest


def dbscan_labels(lit: np.ndarray, minimum: int = 4) -> np.ndarray:
    """
    Label the clusters of lit pixels as DBSCAN(eps=√2, min_samples=minimum) does.

    Parameters
    ----------
    lit
        Boolean image (row, column).
    minimum
        Lit pixels among the 3 × 3 that make a pixel a core one.

    Returns
    -------
    Image of int32: 0, 1, … in raster order of the first core pixel; −1 for dark pixels and noise.
    """
    lit = np.ascontiguousarray(lit, dtype=bool)
    core = core_pixels(lit, minimum)
    labels = ndimage.label(core, structure=_EIGHT, output=np.int32)[0] - np.int32(1)
    _add_border_pixels(lit, core, labels)
    return labels


@numba.njit(cache=True, nogil=True)
def _comes_first(flux: np.ndarray, age: np.ndarray, a: int, b: int) -> bool:
    """Tell whether queue entry a is flooded before b: the brighter, and of equals the older."""
    return flux[a] > flux[b] or (flux[a] == flux[b] and age[a] < age[b])


@numba.njit(cache=True, nogil=True)
def _swap(flux: np.ndarray, age: np.ndarray, pixel: np.ndarray, a: int, b: int) -> None:
    flux[a], flux[b] = flux[b], flux[a]
    age[a], age[b] = age[b], age[a]
    pixel[a], pixel[b] = pixel[b], pixel[a]


@numba.njit(cache=True, nogil=True)
def _rise(flux: np.ndarray, age: np.ndarray, pixel: np.ndarray, entry: int) -> None:
    """Bring a new last entry of the binary heap to its place."""
    while entry > 0:
        parent = (entry - 1) // 2
        if not _comes_first(flux, age, entry, parent):
            return
        _swap(flux, age, pixel, entry, parent)
        entry = parent


@numba.njit(cache=True, nogil=True)
def _sink(flux: np.ndarray, age: np.ndarray, pixel: np.ndarray, size: int) -> None:
    """Bring a new first entry of the binary heap to its place."""
    entry = 0
    while True:
        child = 2 * entry + 1
        if child >= size:
            return
        if child + 1 < size and _comes_first(flux, age, child + 1, child):
            child += 1
        if not _comes_first(flux, age, child, entry):
            return
        _swap(flux, age, pixel, entry, child)
        entry = child


@numba.njit(cache=True, nogil=True)
def _queue_markers(
    image: np.ndarray,
    allowed: np.ndarray,
    labels: np.ndarray,
    flux: np.ndarray,
    age: np.ndarray,
    pixel: np.ndarray,
) -> int:
    """Queue the pixels of the markers, clear those that are not allowed, return how many there are."""
    size = 0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if labels[i, j] != 0 and not allowed[i, j]:
                labels[i, j] = 0
            if labels[i, j] != 0:
                flux[size], pixel[size] = image[i, j], i * image.shape[1] + j
                size += 1
                _rise(flux, age, pixel, size - 1)
    return size


@numba.njit(cache=True, nogil=True)
def flood(image: np.ndarray, allowed: np.ndarray, labels: np.ndarray) -> None:
    """
    Grow the markers in ``labels`` over the allowed pixels, from bright to faint, in place.

    Each pixel joins the basin that reaches it first; basins meet along the faint valleys. Pixels
    are neighbours along rows and columns. Allowed pixels that no marker reaches stay 0.

    Parameters
    ----------
    image
        Flux (row, column), finite where allowed.
    allowed
        Boolean image: what may be flooded.
    labels
        Markers > 0, else 0; markers outside ``allowed`` are cleared.
    """
    rows, columns = image.shape
    capacity = allowed.sum()
    flux = np.empty(capacity, dtype=np.float64)
    age = np.zeros(capacity, dtype=np.int64)
    pixel = np.empty(capacity, dtype=np.int64)
    size = _queue_markers(image, allowed, labels, flux, age, pixel)
    clock = 0
    while size > 0:
        i, j = pixel[0] // columns, pixel[0] % columns
        size -= 1
        _swap(flux, age, pixel, 0, size)
        _sink(flux, age, pixel, size)
        for step in range(4):
            k, m = i + _FOUR[step, 0], j + _FOUR[step, 1]
            if k < 0 or m < 0 or k >= rows or m >= columns:
                continue
            if not allowed[k, m] or labels[k, m] != 0:
                continue
            clock += 1
            labels[k, m] = labels[i, j]
            flux[size], age[size], pixel[size] = image[k, m], clock, k * columns + m
            size += 1
            _rise(flux, age, pixel, size - 1)


def find_maxima(image: np.ndarray, smoothing: float) -> np.ndarray:
    """
    Return True where a smoothed image is positive and not below any of its eight neighbours.

    Parameters
    ----------
    image
        Flux (row, column); NaN counts as 0.
    smoothing
        Standard deviation of the Gaussian, in pixels.
    """
    smooth = ndimage.gaussian_filter(np.nan_to_num(image, nan=0.0), smoothing, mode="constant")
    highest = ndimage.maximum_filter(smooth, size=3, mode="constant")
    return (smooth == highest) & (smooth > 0)


def number_peaks(maxima: np.ndarray, patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Number the maxima of an image, those of one 8-connected patch alike.

    A saturated star has a flat, ragged top, hundreds of rows long where it bleeds: its many maxima
    are one peak.

    Parameters
    ----------
    maxima
        Boolean image of the maxima.
    patches
        Boolean image of the patches.

    Returns
    -------
    Row and column of each maximum (maximum, 2), and the number of its peak, from 0.
    """
    places = np.argwhere(maxima)
    labels, count = ndimage.label(patches, structure=_EIGHT)
    patch = labels[tuple(places.T)]
    own = count + 1 + np.arange(len(places))
    return places, np.unique(np.where(patch > 0, patch, own), return_inverse=True)[1]
