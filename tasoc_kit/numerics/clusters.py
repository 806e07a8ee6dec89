"""Clusters of lit pixels: DBSCAN on the pixel grid, and small local maxima.

On a grid DBSCAN with a radius of √2 (Ester+ 1996) needs no neighbour search: the neighbours of a
pixel are the eight around it, a *core* pixel has enough lit ones (itself counted), clusters are the
8-connected components of core pixels, and a lit pixel beside several clusters belongs to the first
of them. The labels equal those of ``sklearn.cluster.DBSCAN`` on the same pixels in raster order.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy import ndimage

__all__ = ["claim_peaks", "core_pixels", "dbscan_labels", "find_maxima"]

_EIGHT = np.ones((3, 3), dtype=bool)


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
    # Lit pixels of three rows, with a dark column on either side: sums that the processor makes in parallel.
    beneath = np.zeros(columns + 2, np.uint8)
    for i in range(rows):
        beneath[1:-1] = lit[i]
        if i > 0:
            for j in range(columns):
                beneath[j + 1] += lit[i - 1, j]
        if i + 1 < rows:
            for j in range(columns):
                beneath[j + 1] += lit[i + 1, j]
        for j in range(columns):
            core[i, j] = lit[i, j] & (beneath[j] + beneath[j + 1] + beneath[j + 2] >= minimum)
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
def _smooth_row(
    image: np.ndarray, kernel: np.ndarray, row: int, column_sum: np.ndarray, out: np.ndarray
) -> None:
    """Write one row of the image smoothed along both axes; what is not finite or not there counts as 0."""
    rows, columns = image.shape
    reach = kernel.size // 2
    column_sum[:] = 0
    for k in range(max(row - reach, 0), min(row + reach + 1, rows)):
        weight, line = kernel[k - row + reach], image[k]
        for j in range(columns):
            value = line[j]
            column_sum[reach + j] += weight * (value if abs(value) < np.inf else np.float32(0))
    out[:] = 0
    for m in range(kernel.size):
        weight, line = kernel[m], column_sum[m : m + columns]
        for j in range(columns):
            out[j] += weight * line[j]


@numba.njit(cache=True, nogil=True)
def _find_maxima(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    rows, columns = image.shape
    maxima = np.zeros(image.shape, dtype=np.bool_)
    column_sum = np.zeros(columns + kernel.size - 1, np.float32)
    # The rows above, here and below, with a column of 0 on either side.
    smooth = np.zeros((3, columns + 2), np.float32)
    _smooth_row(image, kernel, 0, column_sum, smooth[0, 1:-1])
    for i in range(rows):
        above, here, below = smooth[(i + 2) % 3], smooth[i % 3], smooth[(i + 1) % 3]
        below[:] = 0
        if i + 1 < rows:
            _smooth_row(image, kernel, i + 1, column_sum, below[1:-1])
        for j in range(columns):
            highest = max(above[j], above[j + 1], above[j + 2], here[j], here[j + 2])
            highest = max(highest, below[j], below[j + 1], below[j + 2])
            maxima[i, j] = (here[j + 1] > 0) & (here[j + 1] >= highest)
    return maxima


def find_maxima(image: np.ndarray, smoothing: float) -> np.ndarray:
    """
    Return True where a smoothed image is positive and not below any of its eight neighbours.

    Parameters
    ----------
    image
        Flux (row, column); what is not finite counts as 0.
    smoothing
        Standard deviation of the Gaussian, in pixels; it is cut at four of them.
    """
    reach = int(4 * smoothing + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / smoothing) ** 2)
    return np.asarray(_find_maxima(np.asarray(image, np.float32), (kernel / kernel.sum()).astype(np.float32)))


@numba.njit(cache=True, nogil=True)
def _number_patch(
    markers: np.ndarray, maxima: np.ndarray, patches: np.ndarray, place: np.ndarray, number: int
) -> None:
    """Number all maxima of the patch that a place lies in; ``place`` becomes the last of them."""
    seen, waiting = {(place[0], place[1])}, [(place[0], place[1])]
    while len(waiting):
        i, j = waiting.pop()
        if maxima[i, j]:
            markers[i, j] = number
            if (i, j) > (place[0], place[1]):
                place[0], place[1] = i, j
        for k in range(max(i - 1, 0), min(i + 2, patches.shape[0])):
            for m in range(max(j - 1, 0), min(j + 2, patches.shape[1])):
                if patches[k, m] and (k, m) not in seen:
                    seen.add((k, m))
                    waiting.append((k, m))


@numba.njit(cache=True, nogil=True)
def claim_peaks(
    maxima: np.ndarray, patches: np.ndarray, row: np.ndarray, column: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Number the maxima that are the nearest one to a star, and near enough.

    A saturated star has a flat, ragged top, hundreds of rows long where it bleeds: the many maxima of one
    8-connected patch are one peak, and have one number.

    Parameters
    ----------
    maxima
        Boolean image of the maxima.
    patches
        Boolean image of the patches.
    row, column
        Positions of the stars, as fractional indices into the image; NaN where one is not known.
    reach
        Pixels within which a star looks for its maximum.

    Returns
    -------
    Image with the number of each claimed maximum, else 0, int32; row and column of the (last) maximum with
    each number, int32 (number, 2), those of 0 meaning nothing.
    """
    rows, columns = maxima.shape
    markers, peaks = np.zeros((rows, columns), np.int32), np.zeros((row.size + 1, 2), np.int32)
    count = 0
    for star in range(row.size):
        if not (abs(row[star]) < np.inf and abs(column[star]) < np.inf):
            continue
        nearest, found = reach[star] ** 2, np.array([-1, -1])
        top, left = int(np.ceil(row[star] - reach[star])), int(np.ceil(column[star] - reach[star]))
        bottom, right = int(row[star] + reach[star]), int(column[star] + reach[star])
        for i in range(max(top, 0), min(bottom + 1, rows)):
            for j in range(max(left, 0), min(right + 1, columns)):
                distance = (i - row[star]) ** 2 + (j - column[star]) ** 2
                if maxima[i, j] and distance < nearest:
                    nearest, found[0], found[1] = distance, i, j
        if found[0] < 0 or markers[found[0], found[1]] > 0:
            continue
        count += 1
        markers[found[0], found[1]] = count
        if patches[found[0], found[1]]:
            _number_patch(markers, maxima, patches, found, count)
        peaks[count, 0], peaks[count, 1] = found[0], found[1]
    return markers, peaks[: count + 1]
