"""The mode of a kernel density: what the sky is among pixels that are part sky and part stars."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["kernel_mode", "sort_positive", "sorted_quantile"]

_GRID_POINTS = 128
_TRIES, _PRECISION = 40, 1e-4
_REACH = 5.0
"""Widths beyond which the kernel is nothing."""


@numba.njit(cache=True, nogil=True)
def sort_positive(values: np.ndarray) -> np.ndarray:
    """
    Return the sorted values, float64: a radix sort, for a stamp several times faster than by comparison.

    Parameters
    ----------
    values
        float32, all at least 0: the bits of such floats rise with them.
    """
    keys = values.view(np.uint32).copy()
    other, counts = np.empty_like(keys), np.zeros((4, 256), np.int64)
    for key in keys:
        for digit in range(4):
            counts[digit, (key >> np.uint32(8 * digit)) & np.uint32(255)] += 1
    for digit in range(4):
        total = 0
        for bucket in range(256):
            counts[digit, bucket], total = total, total + counts[digit, bucket]
        for key in keys:
            bucket = (key >> np.uint32(8 * digit)) & np.uint32(255)
            other[counts[digit, bucket]] = key
            counts[digit, bucket] += 1
        keys, other = other, keys
    return keys.view(np.float32).astype(np.float64)


@numba.njit(cache=True, nogil=True)
def sorted_quantile(values: np.ndarray, share: float) -> float:
    """Return the quantile of sorted values, linear between them; NaN where there are none."""
    if values.size == 0:
        return np.nan
    place = share * (values.size - 1)
    below = int(place)
    above = min(below + 1, values.size - 1)
    return values[below] + (place - below) * (values[above] - values[below])


@numba.njit(cache=True, nogil=True)
def _bandwidth(values: np.ndarray) -> float:
    """Scott's rule with the smaller of standard deviation and scaled interquartile range."""
    mean, squares = values.sum() / values.size, 0.0
    for value in values:
        squares += (value - mean) ** 2
    deviation = np.sqrt(squares / (values.size - 1))
    spread = (sorted_quantile(values, 0.75) - sorted_quantile(values, 0.25)) / 1.349
    scale = min(deviation, spread) if spread > 0 else deviation
    return 1.059 * scale * values.size**-0.2


@numba.njit(cache=True, nogil=True)
def _binned_density(values: np.ndarray, width: float, low: float, step: float) -> np.ndarray:
    """Gaussian kernel density on the grid, from linearly binned values, not normalised."""
    counts = np.zeros(_GRID_POINTS)
    for value in values:
        place = (value - low) / step
        k = min(int(place), _GRID_POINTS - 2)
        counts[k] += k + 1 - place
        counts[k + 1] += place - k
    kernel, density = np.empty(2 * _GRID_POINTS - 1), np.zeros(_GRID_POINTS)
    for k in range(_GRID_POINTS):
        kernel[_GRID_POINTS - 1 + k] = kernel[_GRID_POINTS - 1 - k] = np.exp(-0.5 * (k * step / width) ** 2)
    for k in range(_GRID_POINTS):
        if counts[k] > 0:
            shifted = kernel[_GRID_POINTS - 1 - k : 2 * _GRID_POINTS - 1 - k]
            for m in range(_GRID_POINTS):
                density[m] += counts[k] * shifted[m]
    return density


@numba.njit(cache=True, nogil=True)
def _slope_and_bend(values: np.ndarray, width: float, at: float) -> tuple[float, float]:
    """First and second derivative of the kernel density, up to one positive factor."""
    slope, bend = 0.0, 0.0
    for k in range(np.searchsorted(values, at - _REACH * width), values.size):
        offset = (values[k] - at) / width
        if offset > _REACH:
            break
        weight = np.exp(-0.5 * offset * offset)
        slope += offset * weight
        bend += (offset * offset - 1) * weight
    return slope, bend / width


@numba.njit(cache=True, nogil=True)
def kernel_mode(values: np.ndarray) -> float:
    """
    Return the mode of the Gaussian kernel density with Scott's bandwidth.

    The best of 128 grid points, on linearly binned values, is refined by Newton's method on the
    slope of the exact density, held between the neighbouring points of the grid.

    Parameters
    ----------
    values
        Sorted, finite, at least two.
    """
    width = _bandwidth(values)
    if not width > 0:
        return sorted_quantile(values, 0.5)
    low = values[0] - 3 * width
    step = (values[-1] + 3 * width - low) / (_GRID_POINTS - 1)
    density = _binned_density(values, width, low, step)
    k = min(max(np.argmax(density), 1), _GRID_POINTS - 2)
    left, right = low + (k - 1) * step, low + (k + 1) * step
    curve = 2 * density[k] - density[k - 1] - density[k + 1]
    shift = 0.5 * (density[k + 1] - density[k - 1]) / curve if curve > 0 else 0.0
    at = low + (k + min(max(shift, -0.9), 0.9)) * step
    for _ in range(_TRIES):
        slope, bend = _slope_and_bend(values, width, at)
        if slope > 0:
            left = at
        else:
            right = at
        # Newton's step where the density is a hill and the step stays between the known slopes.
        newton = at - slope / bend if bend < 0 else left
        last, at = at, newton if left < newton < right else 0.5 * (left + right)
        if abs(at - last) < _PRECISION * width:
            break
    return at
