"""The large separation Δν of solar-like oscillations, from how a spectrum repeats itself.

The spectrum about νmax, over its background, is correlated with itself shifted; modes of one degree stand
Δν apart, so that the correlation is highest there (Huber+ 2009, CoAs 160 74; Mosser & Appourchaux 2009, A&A
508 877). The highest peak is looked for about the Δν that νmax lets expect. How far it would scatter with
other luck is found by giving every frequency other luck.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from tasoc_kit.numerics.oscillation_model import expected_separation

__all__ = ["find_separation"]

WIDE = 3.0
"""Scatters of the envelope on either side of νmax that are looked at."""
EITHER_WAY = 0.25
"""Share by which Δν may differ from what νmax lets expect."""
LIKELY = 0.10
"""Scatter, in the logarithm, of Δν about that (Stello+ 2009, MNRAS 400 L80; Huber+ 2011, ApJ 743 143)."""
SMOOTHED = 0.02
"""Of Δν: the scatter of the kernel that brings modes of one degree together."""
PAD = 8
DRAWS = 40
NARROWER = 0.4
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
    step, expected = frequency[1] - frequency[0], expected_separation(numax)
    if near.sum() < FEWEST or EITHER_WAY * expected < 2 * step:
        return np.nan, np.nan, np.nan
    window = np.exp(-0.25 * ((frequency[near] - numax) / width) ** 2)
    own = ratio[near]
    found = _highest(own, window, step, expected)
    smooth = gaussian_filter1d(own, max(1.0, SMOOTHED * expected / step))
    drawn = [
        _highest(smooth * random.exponential(size=smooth.size), window, step, expected) for _ in range(DRAWS)
    ]
    off = np.asarray(drawn) - np.median(drawn)
    low, high = NARROWER * np.quantile(off, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return found, found + low, found + high


def _highest(ratio: np.ndarray, window: np.ndarray, step: float, expected: float) -> float:
    """Return the shift at which a spectrum is most like itself."""
    smooth = gaussian_filter1d(ratio, max(0.5, SMOOTHED * expected / step))
    values = (smooth - smooth.mean()) * window
    size = 1 << int(np.ceil(np.log2(2 * values.size)))
    alike = np.fft.irfft(np.abs(np.fft.rfft(values, size)) ** 2, PAD * size)[: PAD * values.size]
    shift = np.arange(alike.size) * step / PAD
    log = np.log(np.maximum(shift, step / PAD) / expected)
    # Fewer frequencies overlap at larger shifts.
    told = alike / alike[0] - 0.5 * (log / LIKELY) ** 2 * 0.1
    told[(np.abs(log) > EITHER_WAY)] = -np.inf
    place = int(np.argmax(told))
    if not 0 < place < told.size - 1 or not np.isfinite(told[place - 1 : place + 2]).all():
        return float(shift[place])
    left, middle, right = told[place - 1 : place + 2]
    bend = left - 2 * middle + right
    return float(shift[place] + (0.5 * (left - right) / bend if bend < 0 else 0.0) * step / PAD)
