"""What a vector does within a few cadences, apart from what it does over hours and days.

A momentum dump or a change of the pointing moves a few cadences and nothing beside them, and answers to the
position of a star otherwise than the slow trends do. TASOC's recipe (Lund+ 2021, ApJS 257 53): smooth by
Savitzky and Golay, set apart what stands out by three scatters, bridge it, and do so again with a shorter
window.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.signal import find_peaks, savgol_filter

from tasoc_kit.numerics.statistics import mad_sigma

__all__ = ["bridge", "split_spikes"]

WINDOWS = (31, 29, 27, 25, 23)
ORDER = 2
MIRRORED = 50
"""Cadences of either end that are mirrored, so that the smoothing does not bend there."""
PROMINENCE = 3.0
SURE = 5.0
"""Scatters of what is no spike from which on one is believed: by chance, none in a sector is."""


def bridge(series: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return a series with its NaN bridged by monotone cubics, held at its ends; 0 if nothing is known."""
    known = np.isfinite(series)
    if known.all():
        return series
    if known.sum() < 2:
        return np.where(known, series, series[known].mean() if known.any() else 0.0)
    inner = PchipInterpolator(time[known], series[known], extrapolate=False)(time)
    inner[time < time[known][0]] = series[known][0]
    inner[time > time[known][-1]] = series[known][-1]
    return np.where(known, series, inner)


def split_spikes(series: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Split a series without gaps into what is slow and its spikes, which add up to it.

    Parameters
    ----------
    series
        (time)
    time
        Days, increasing.

    Returns
    -------
    The slow series, and the spikes: zero nearly everywhere. A series shorter than the widest window has none.
    """
    if series.size < max(WINDOWS):
        return series.copy(), np.zeros_like(series)
    slow = series.copy()
    ends = min(MIRRORED, series.size - 1)
    for window in WINDOWS:
        mirrored = np.pad(slow, ends, mode="reflect")
        off = slow - savgol_filter(mirrored, window, ORDER)[ends:-ends]
        limit = PROMINENCE * float(mad_sigma(off))
        if limit == 0:
            continue
        # An end is no maximum of its own.
        high = np.concatenate([[-np.inf], off, [-np.inf]]), np.concatenate([[-np.inf], -off, [-np.inf]])
        peaks = np.concatenate([find_peaks(one, prominence=limit)[0] - 1 for one in high])
        peaks = peaks[np.abs(off[peaks]) > limit]
        slow = bridge(np.where(np.isin(np.arange(series.size), peaks), np.nan, slow), time)
    spikes = series - slow
    # Whatever is within the noise goes back, so that a vector without spikes costs a light curve no term.
    noise = mad_sigma(
        series - savgol_filter(np.pad(slow, ends, mode="reflect"), WINDOWS[-1], ORDER)[ends:-ends]
    )
    spikes[np.abs(spikes) <= SURE * float(noise)] = 0.0
    return series - spikes, spikes
