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
PRECISION = 1e-10
VALUES_AT_ONCE = 200_000
"""Powers in memory at once: so many stars are transformed together."""
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
    float64 (star, frequency), ppm²/µHz; NaN for a star with fewer than eight cadences.

    Notes
    -----
    The transform is that of finufft (Barnett+ 2019, SIAM J. Sci. Comput. 41 C479; extra ``seismology``), else
    that of astropy. Where nifty-ls (Garrison+ 2024, RNAAS 8 250) makes three complex transforms a star, here
    flux and weights are the real and the imaginary part of one, and stars with different gaps go together.
    """
    known = np.isfinite(flux)
    count = known.sum(axis=1)
    enough = np.flatnonzero(count >= FEWEST)
    found = np.full((len(flux), frequency.size), np.nan)
    compute, at_once = _periodogram(), max(1, VALUES_AT_ONCE // max(frequency.size, 1))
    for first in range(0, enough.size, at_once):
        some = enough[first : first + at_once]
        values = np.where(known[some], flux[some], 0)
        values = np.where(known[some], values - values.sum(axis=1, keepdims=True) / count[some, None], 0)
        variance = (values**2).sum(axis=1) / count[some]
        power = compute(time, values, known[some], frequency / MICROHERTZ)
        scale = variance * count[some] * cadence / MICROHERTZ
        found[some] = np.nan_to_num(power) * scale[:, None]
    return found


Periodogram = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _periodogram() -> Periodogram:
    return _by_finufft if importlib.util.find_spec("finufft") else _by_astropy


def _by_finufft(time: np.ndarray, flux: np.ndarray, known: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return normalised periodograms (star, frequency), 1 at most; frequency in cycles a day."""
    import finufft

    size, count = frequency.size, known.sum(axis=1, keepdims=True)
    scatter = np.sqrt((flux**2).sum(axis=1, keepdims=True) / count)
    unit = flux / np.where(scatter > 0, scatter, 1)
    plan = finufft.Plan(1, (4 * size + 1,), n_trans=len(flux), eps=PRECISION, isign=1, nthreads=1)
    plan.setpts(2 * np.pi * frequency[0] * (time - time[0]))
    both = np.atleast_2d(plan.execute(np.ascontiguousarray((unit + 1j * known) / count)))
    # Of a real series the negative frequencies have the conjugates of the positive ones.
    above, below = both[:, 2 * size + 1 :], both[:, 2 * size - 1 :: -1].conj()
    wave, weight = (above + below)[:, :size] / 2, (above - below) / 2j
    cosine, sine, twice = weight[:, :size].real, weight[:, :size].imag, weight[:, 1::2]
    # Zechmeister & Kürster, equations 5 and 10 to 15, with weights of 1 over the number and a mean flux of 0.
    cc = 0.5 * (1 + twice.real) - cosine**2
    ss = 0.5 * (1 - twice.real) - sine**2
    cs = 0.5 * twice.imag - cosine * sine
    yc, ys = wave.real, wave.imag
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((ss * yc**2 + cc * ys**2 - 2 * cs * yc * ys) / (cc * ss - cs**2))


def _by_astropy(time: np.ndarray, flux: np.ndarray, known: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    from astropy.timeseries import LombScargle

    return np.stack(
        [
            LombScargle(time[used] - time[0], one[used]).power(
                frequency, method="fast", assume_regular_frequency=True
            )
            for one, used in zip(flux, known, strict=True)
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
