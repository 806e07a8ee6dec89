"""Power density spectra of light curves with gaps.

The periodogram of Lomb (1976, Ap&SS 39 447) and Scargle (1982, ApJ 263 835) with a floating mean (Zechmeister
& Kürster 2009, A&A 496 577), in power density: its integral over frequency, up to that of half the sampling,
is the variance of the light curve, and white noise of σ in a cadence of Δt has a mean of 2 σ² Δt.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np

__all__ = ["frequency_grid", "power_density", "spectral_window"]

MICROHERTZ = 1e6 / 86400
"""Microhertz in one cycle a day."""
FEWEST = 8
WINDOW_AT_ONCE = 4_000_000


def frequency_grid(time: np.ndarray, cadence: float, oversampling: float) -> np.ndarray:
    """
    Return frequencies in µHz, from one step to just below half the sampling, where no phase can be told.

    Parameters
    ----------
    time
        Days of the cadences; the step is one over their span, over ``oversampling``.
    cadence
        Days from one cadence to the next.
    """
    span = float(np.ptp(time)) + cadence
    step = 1 / (oversampling * span)
    return MICROHERTZ * step * np.arange(1, int(0.5 / cadence / step - 0.5 * oversampling) + 1)


def power_density(flux: np.ndarray, time: np.ndarray, frequency: np.ndarray, cadence: float) -> np.ndarray:
    """
    Return power density spectra.

    Parameters
    ----------
    flux
        float64 (star, time) in ppm; NaN where nothing is known.
    time
        (time) days, the barycentric ones.
    frequency
        µHz, evenly spaced, from one step on.
    cadence
        Days from one cadence to the next.

    Returns
    -------
    float64 (star, frequency), ppm²/µHz; NaN for a star with fewer than eight cadences. The work is nifty-ls'
    (Garrison+ 2024, RNAAS 8 250) where that is installed, ten and more times as fast as astropy.
    """
    found = np.full((len(flux), frequency.size), np.nan)
    known = np.isfinite(flux)
    # Stars with the same cadences share what depends on time alone.
    which, same = np.unique(np.packbits(known, axis=1), axis=0, return_inverse=True)
    compute = _periodogram()
    for group in range(len(which)):
        stars = np.flatnonzero(same.ravel() == group)
        used = known[stars[0]]
        if used.sum() < FEWEST:
            continue
        values = flux[stars][:, used]
        values = values - values.mean(axis=1, keepdims=True)
        power = compute(time[used], values, frequency / MICROHERTZ)
        scale = (values**2).mean(axis=1, keepdims=True) * used.sum() * cadence / MICROHERTZ
        found[stars] = np.nan_to_num(power) * scale
    return found


def _periodogram() -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    return _by_nifty if importlib.util.find_spec("nifty_ls") else _by_astropy


def _by_nifty(time: np.ndarray, flux: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return normalised periodograms (star, frequency), 1 at most; frequency in cycles a day."""
    import nifty_ls

    # The band ends are given, and its steps are those of linspace.
    found = nifty_ls.lombscargle(
        time - time[0], flux, fmin=frequency[0], fmax=frequency[-1], Nf=frequency.size, nthreads=1
    )
    return np.asarray(found.power)


def _by_astropy(time: np.ndarray, flux: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    from astropy.timeseries import LombScargle

    return np.stack(
        [
            LombScargle(time - time[0], one).power(frequency, method="fast", assume_regular_frequency=True)
            for one in flux
        ]
    )


def spectral_window(time: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """
    Return the power that a sine wave of unit power puts at these distances from its frequency.

    Parameters
    ----------
    time
        Days of the cadences that are known.
    frequency
        µHz.
    """
    found = np.empty(frequency.size)
    at_once = max(1, WINDOW_AT_ONCE // max(time.size, 1))
    for first in range(0, frequency.size, at_once):
        some = slice(first, first + at_once)
        turn = 2 * np.pi * np.outer(frequency[some] / MICROHERTZ, time - time[0])
        found[some] = np.abs(np.exp(1j * turn).mean(axis=1)) ** 2
    return found
