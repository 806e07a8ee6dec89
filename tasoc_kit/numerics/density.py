"""The mode of a kernel density: what the sky is among pixels that are part sky and part stars."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["kernel_mode", "sorted_quantile"]

_GRID_POINTS = 128
_BISECTIONS = 40


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
    kernel, density = np.empty(_GRID_POINTS), np.zeros(_GRID_POINTS)
    for k in range(_GRID_POINTS):
        kernel[k] = np.exp(-0.5 * (k * step / width) ** 2)
    for k in range(_GRID_POINTS):
        if counts[k] > 0:
            for m in range(_GRID_POINTS):
                density[m] += counts[k] * kernel[abs(m - k)]
    return density


@numba.njit(cache=True, nogil=True)
def _slope(values: np.ndarray, width: float, at: float) -> float:
    """Derivative of the kernel density, up to a positive factor."""
    total = 0.0
    for value in values:
        offset = (value - at) / width
        total += offset * np.exp(-0.5 * offset * offset)
    return total


@numba.njit(cache=True, nogil=True)
def kernel_mode(values: np.ndarray) -> float:
    """
    Return the mode of the Gaussian kernel density with Scott's bandwidth.

    The best of 128 grid points, on linearly binned values, is refined by bisection on the slope of
    the exact density.

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
    best = low + step * np.argmax(_binned_density(values, width, low, step))
    left, right = best - step, best + step
    for _ in range(_BISECTIONS):
        middle = 0.5 * (left + right)
        if _slope(values, width, middle) > 0:
            left = middle
        else:
            right = middle
    return 0.5 * (left + right)
