"""Robust statistics: scatter, the mode of a skewed sample, clipped means along an axis."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "MAD_TO_SIGMA",
    "clipped_mean",
    "half_sample_mode",
    "mad_sigma",
    "median_of_rows",
    "median_of_some",
    "order_statistic",
    "point_to_point",
]

MAD_TO_SIGMA = 1.482602218505602


def mad_sigma(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return 1.4826 × the median distance from the median; NaN is left out."""
    centre = np.nanmedian(values, axis=axis, keepdims=True)
    return np.asarray(MAD_TO_SIGMA * np.nanmedian(np.abs(values - centre), axis=axis))


def median_of_rows(values: np.ndarray) -> np.ndarray:
    """Return what ``np.nanmedian`` along the second axis does, float64; a sort is ten times as fast."""
    ordered = np.sort(values, axis=1)  # NaN comes last
    count = np.isfinite(ordered).sum(axis=1)
    rows = np.flatnonzero(count)
    median = np.full(len(values), np.nan)
    low, high = ordered[rows, (count[rows] - 1) // 2], ordered[rows, count[rows] // 2]
    median[rows] = 0.5 * (low.astype(float) + high)
    return median


@njit(nogil=True, cache=True)
def _part(values: np.ndarray, rank: int) -> np.ndarray:
    """
    Return the values so ordered that none before ``rank`` is larger than it and none after is smaller.

    Hoare's FIND (1961, CACM 4, 321): as fast as ``np.partition``, which takes seven times as long to compile.
    """
    parted, low, high = values.copy(), 0, values.size - 1
    while low < high:
        pivot, i, j = parted[rank], low, high
        while i <= j:
            while parted[i] < pivot:
                i += 1
            while parted[j] > pivot:
                j -= 1
            if i <= j:
                parted[i], parted[j] = parted[j], parted[i]
                i += 1
                j -= 1
        low, high = (i if j < rank else low), (j if rank < i else high)
    return parted


@njit(nogil=True, cache=True)
def order_statistic(values: np.ndarray, rank: int) -> float:
    """Return the value that has ``rank`` others before it in order; several times as fast as NumPy does."""
    return _part(values, rank)[rank]


@njit(nogil=True, cache=True)
def median_of_some(values: np.ndarray) -> float:
    """Return the median of finite values as ``np.median`` does, faster for thousands; NaN where none are."""
    if values.size == 0:
        return np.nan
    middle = (values.size - 1) // 2
    parted = _part(values, middle)
    if values.size % 2:
        return float(parted[middle])
    return 0.5 * (parted[middle] + parted[middle + 1 :].min())


def point_to_point(flux: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the white scatter of a series from the differences of its neighbours (MDV / √2 as σ)."""
    steps = np.diff(flux, axis=axis)
    return np.asarray(MAD_TO_SIGMA * np.nanmedian(np.abs(steps), axis=axis) / np.sqrt(2))


@njit(cache=True)
def half_sample_mode(ordered: np.ndarray) -> float:
    """
    Return the mode of sorted values by halving (Bickel & Frühwirth 2006).

    Of all runs that hold half of the values the shortest is kept, again and again.
    """
    low, high = 0, ordered.size
    while high - low > 3:
        half = (high - low + 1) // 2
        best, start = np.inf, low
        for i in range(low, high - half + 1):
            width = ordered[i + half - 1] - ordered[i]
            if width < best:
                best, start = width, i
        low, high = start, start + half
    return ordered[low:high].mean()


@njit(nogil=True, cache=True)
def clipped_mean(stack: np.ndarray, floor: float, slope: float, offset: float, clip: float) -> np.ndarray:
    """
    Return the mean over frames of the values within ``clip`` sigma of their median.

    Parameters
    ----------
    stack
        float32 (frames, rows, columns), reordered in place; NaN is left out.
    floor, slope
        ``var = floor + slope · (value + offset)``.
    clip
        Limit in sigma; sigma is the larger of the noise model's and that of the sample.

    Returns
    -------
    float32 (rows, columns); NaN where no frame has a value.
    """
    frames, rows, columns = stack.shape
    result = np.empty((rows, columns), np.float32)
    values, distance = np.empty(frames, np.float32), np.empty(frames, np.float32)
    for r in range(rows):
        for c in range(columns):
            n = 0
            for k in range(frames):
                if np.isfinite(stack[k, r, c]):
                    values[n] = stack[k, r, c]
                    n += 1
            if n == 0:
                result[r, c] = np.nan
                continue
            median = median_of_some(values[:n])
            for k in range(n):
                distance[k] = abs(values[k] - median)
            spread = MAD_TO_SIGMA * median_of_some(distance[:n])
            variance = floor + slope * max(median + offset, 0.0)
            limit = clip * max(np.sqrt(variance), spread)
            total, kept = 0.0, 0
            for k in range(n):
                if abs(values[k] - median) <= limit:
                    total += values[k]
                    kept += 1
            result[r, c] = total / kept
    return result
