"""The large separation Δν of solar-like oscillations, from how a spectrum repeats itself.

The spectrum about νmax, over its background, is correlated with itself shifted; modes of one degree stand
Δν apart, so that the correlation is highest there (Huber+ 2009, CoAst 160 74; Mosser & Appourchaux 2009, A&A
508 877). The highest peak is looked for about the Δν that νmax lets expect. How far it would scatter with
other luck is found by giving every frequency other luck.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d

from tasoc_kit.numerics.oscillation_model import expected_separation

__all__ = ["find_separation"]

WIDE = 3.0
"""Scatters of the envelope on either side of νmax that are looked at."""
EITHER_WAY = 0.3
"""Difference, in the logarithm, of Δν and what νmax lets expect, up to which it is looked for."""
LIKELY, PULL = 0.10, 0.1
"""Scatter, in the logarithm, of Δν about that (Stello+ 2009, MNRAS 400 L80; Huber+ 2011, ApJ 743 143), and
what being one scatter off costs, in halves of the correlation."""
SMOOTHED = 0.02
"""Of Δν: the scatter of the kernel that brings modes of one degree together."""
FINER = 4
"""Shifts in one step of the frequencies."""
DRAWS = 40
NARROWER = 0.42
"""A draw has the luck of the spectrum beside its own and broader modes: so much of its scatter is that of Δν,
as simulated giants tell."""
SHARE = 0.6827
FEWEST = 32


def find_separation(
    frequency: np.ndarray, ratio: np.ndarray, numax: float, width: float, random: np.random.Generator
) -> tuple[float, float, float]:
    """
    Return Δν of one star in µHz and the ends of its 68 % interval; NaN where too few frequencies tell.

    Parameters
    ----------
    frequency
        µHz, evenly spaced.
    ratio
        Power over the background.
    numax, width
        Middle and scatter of the envelope, µHz.
    random
        Luck of the draws.
    """
    near = np.abs(frequency - numax) < WIDE * width
    expected = float(expected_separation(numax))
    if near.sum() < FEWEST or EITHER_WAY * expected < 2 * (frequency[1] - frequency[0]):
        return np.nan, np.nan, np.nan
    step = frequency[1] - frequency[0]
    window = np.exp(-0.25 * ((frequency[near] - numax) / width) ** 2)
    own = ratio[near]
    smooth = gaussian_filter1d(own, max(1.0, SMOOTHED * expected / step))
    drawn = smooth * random.exponential(size=(DRAWS, smooth.size))
    found, *others = _highest(np.concatenate([own[None], drawn]), window, step, expected)
    low, high = NARROWER * (np.quantile(others, [(1 - SHARE) / 2, (1 + SHARE) / 2]) - np.median(others))
    return float(found), float(found + low), float(found + high)


def _highest(ratio: np.ndarray, window: np.ndarray, step: float, expected: float) -> np.ndarray:
    """Return the shifts (spectrum) at which spectra are most like themselves."""
    smooth = gaussian_filter1d(ratio, max(0.5, SMOOTHED * expected / step), axis=1)
    values = (smooth - smooth.mean(axis=1, keepdims=True)) * window
    size = next_fast_len(2 * window.size, real=True)
    finer = next_fast_len(FINER * size, real=True)
    alike = irfft(np.abs(rfft(values, size, axis=1)) ** 2, finer, axis=1)
    fine = step * size / finer
    log = np.log(fine * np.arange(1, finer // 2) / expected)
    some = 1 + np.flatnonzero(np.abs(log) < EITHER_WAY)
    some = some[some < finer * window.size // size - 1]
    told = alike[:, some] / alike[:, :1] - 0.5 * PULL * (log[some - 1] / LIKELY) ** 2
    place = np.clip(told.argmax(axis=1), 1, some.size - 2)
    left, middle, right = (told[np.arange(len(told)), place + k] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    between = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, -1), 0)
    return np.asarray((some[place] + np.clip(between, -1, 1)) * fine)
