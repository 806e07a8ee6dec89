"""How often a light curve repeats itself: from its autocorrelation, and from its spectrum.

Spots come and go and sit on either side of a star, so that its spectrum may be highest at half the period
of rotation; the autocorrelation has its highest peak at the whole one (McQuillan+ 2013, MNRAS 432 1203;
2014, ApJS 211 24). Its peaks stand at multiples of the period, which all of them tell together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelmax, argrelmin

from tasoc_kit.numerics.autocorrelation import autocorrelation, even_grid
from tasoc_kit.seismology.power_density import MICROHERTZ, frequency_grid, power_density
from tasoc_kit.seismology.waves import highest_peak

__all__ = ["Repetition", "find_repetition"]

SHORTEST = 4
"""Cadences in the shortest period that is looked for."""
SMOOTHED = 0.08
"""Of the period of the spectrum: scatter of the kernel that the autocorrelation is smoothed with."""
MULTIPLES = 12
"""Peaks that a period is told from, at most."""
HIGHER = 1.1
"""The second peak is taken before the first if it is so many times as high."""
ALIKE = 0.15
"""Share of a period that its multiples may be off the peaks."""
OVERSAMPLING = 8.0
HALF_WIDTH = 0.443
"""Of a peak of a spectrum at half its height, over one over the length of the light curve."""
FEWEST = 24


class Repetition(NamedTuple):
    """Periods in days, (star); NaN where there is none."""

    acf_period: np.ndarray
    acf_period_err: np.ndarray
    """Standard error of the slope of peaks over their number; of one peak alone, a cadence."""
    acf_height: np.ndarray
    """Of the peak over the mean of the troughs beside it."""
    spectrum_period: np.ndarray
    spectrum_period_err: np.ndarray
    """Half width of the peak at half its height."""
    long: np.ndarray
    """True where the spectrum is highest at a period longer than half the light curve."""


def find_repetition(flux: np.ndarray, time: np.ndarray, cadence: float) -> Repetition:
    """
    Return periods up to half the length of the light curves.

    Parameters
    ----------
    flux
        (star, time) about the level; NaN where nothing is known.
    time
        (time) days.
    cadence
        Days from one cadence to the next.
    """
    stars = len(flux)
    found = Repetition(*(np.full(stars, np.nan) for _ in range(5)), np.zeros(stars, bool))
    some = np.flatnonzero(np.isfinite(flux).sum(axis=1) >= FEWEST)
    if not some.size or np.ptp(time) <= 2 * SHORTEST * cadence:
        return found
    _from_spectra(found, some, flux[some], time, cadence)
    acf = autocorrelation(even_grid(flux[some], time, cadence))
    for star, one in zip(some, acf, strict=True):
        guess = found.spectrum_period[star]
        if np.isfinite(guess) and np.isfinite(one).any():
            told = _from_acf(one, SMOOTHED * guess / cadence)
            found.acf_period[star], found.acf_period_err[star] = (cadence * lag for lag in told[:2])
            found.acf_height[star] = told[2]
    return found


def _from_spectra(
    found: Repetition, some: np.ndarray, flux: np.ndarray, time: np.ndarray, cadence: float
) -> None:
    """Enter the periods at which spectra are highest."""
    span = float(np.ptp(time)) + cadence
    frequency = frequency_grid(time, cadence, OVERSAMPLING)
    power = power_density(flux, time, frequency, cadence)
    per_day = frequency / MICROHERTZ
    short = (per_day >= 2 / span) & (per_day <= 1 / (SHORTEST * cadence))
    _, best = highest_peak(frequency, power, np.broadcast_to(short, power.shape))
    period = MICROHERTZ / best
    found.spectrum_period[some] = period
    found.spectrum_period_err[some] = period**2 * HALF_WIDTH / span
    found.long[some] = per_day[np.nan_to_num(power).argmax(axis=1)] < 2 / span


def _from_acf(acf: np.ndarray, width: float) -> tuple[float, float, float]:
    """Return period and its error in cadences, and the height of its peak; NaN without a peak."""
    known = np.isfinite(acf)
    smooth = gaussian_filter1d(np.where(known, acf, 0.0), max(width, 0.5), mode="mirror")
    last = acf.size if known.all() else int(known.argmin())
    peaks, troughs = argrelmax(smooth[:last])[0], argrelmin(smooth[:last])[0]
    peaks = peaks[(peaks >= SHORTEST) & (smooth[peaks] > 0)] if troughs.size else peaks[:0]
    # What is alike a cadence later is no repetition: the curve has to fall first.
    peaks = peaks[peaks > troughs[0]] if troughs.size else peaks
    if not peaks.size:
        return np.nan, np.nan, np.nan
    heights = [_height(smooth, troughs, peak) for peak in peaks[:2]]
    first = int(len(peaks) > 1 and smooth[peaks[1]] > HIGHER * smooth[peaks[0]])
    lags = np.array([_between(smooth, peak) for peak in peaks])
    lag, lag_err = _slope(lags[first], lags)
    return lag, lag_err, heights[first]


def _height(smooth: np.ndarray, troughs: np.ndarray, peak: int) -> float:
    """Return how far a peak stands over the troughs beside it."""
    after = troughs[troughs > peak]
    beside = [smooth[troughs[troughs < peak][-1]], *([smooth[after[0]]] if after.size else [])]
    return float(smooth[peak] - np.mean(beside))


def _between(smooth: np.ndarray, peak: int) -> float:
    """Return where a peak is between the lags."""
    low, middle, high = smooth[peak - 1 : peak + 2]
    return peak + 0.5 * (low - high) / (low - 2 * middle + high)


def _slope(period: float, lags: np.ndarray) -> tuple[float, float]:
    """Return the period that peaks at its multiples tell together, and its standard error."""
    numbers, places = [1], [period]
    for number in range(2, MULTIPLES + 1):
        nearest = int(np.abs(lags - number * period).argmin())
        off = abs(lags[nearest] - number * period)
        if off > ALIKE * period:
            break
        numbers.append(number)
        places.append(lags[nearest])
        period = float(np.dot(numbers, places) / np.dot(numbers, numbers))
    n, at = np.array(numbers), np.array(places)
    if n.size == 1:
        return period, 1.0
    left = at - period * n
    scatter = np.sqrt(max((left**2).sum() / (n.size - 1), 1 / 12))
    return period, float(scatter / np.sqrt((n**2).sum()))
