"""How alike a light curve is to itself some time later, gaps left out."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

__all__ = ["FEWEST_PAIRS", "autocorrelation", "even_grid"]

FEWEST_PAIRS = 0.25
"""Share of the cadences of a light curve that must have a partner, or nothing is said of a lag."""


def even_grid(flux: np.ndarray, time: np.ndarray, cadence: float) -> np.ndarray:
    """Return the light curves (star, step) one value a cadence from the first one on, NaN in gaps."""
    step = np.round((time - time[0]) / cadence).astype(int)
    even = np.full((len(flux), int(step.max(initial=0)) + 1), np.nan)
    even[:, step] = flux
    return even


def autocorrelation(even: np.ndarray) -> np.ndarray:
    """
    Return the autocorrelation of light curves, over that at no lag.

    Parameters
    ----------
    even
        (star, step) as of :func:`even_grid`.

    Returns
    -------
    (star, lag), lags of 0 to half the steps; NaN where too few pairs of cadences tell.
    """
    known = np.isfinite(even)
    count = known.sum(axis=1, keepdims=True)
    mean = np.where(known, even, 0).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    size, lags = next_fast_len(2 * even.shape[1], real=True), even.shape[1] // 2 + 1
    spectrum = rfft(np.where(known, even - mean, 0.0), size, axis=1)
    pairs = irfft(np.abs(rfft(known.astype(float), size, axis=1)) ** 2, size, axis=1)[:, :lags]
    sums = irfft(np.abs(spectrum) ** 2, size, axis=1)[:, :lags]
    told = pairs > np.maximum(FEWEST_PAIRS * count, 1)
    product = np.where(told, sums / np.where(told, pairs, 1), np.nan)
    zero = product[:, :1]
    return np.asarray(np.where(zero > 0, product / np.where(zero > 0, zero, 1), np.nan))
