"""Where a star oscillates like the Sun, and how surely: νmax, height of the envelope, detection.

A power density spectrum is white noise, granulation, slow variation and the hump of the oscillations
(Kallinger+ 2014, A&A 570 A41). Widths and time scales follow νmax, so that for a trial νmax only the
heights of the parts are unknown, and none of them is negative. Heights of greatest likelihood, for power
that scatters as χ² with two degrees of freedom about the model, come from the multiplicative rule of
Févotte+ (2009, Neural Comput. 21 793). The likelihood over all trials is what νmax, its interval and the
odds of a detection are read from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.special import logsumexp

from tasoc_kit.numerics.oscillation_model import PARTS, part_shapes

__all__ = ["Envelope", "background_of", "find_envelope", "trial_frequencies"]

TRIALS_PER_E = 40
"""Trials for each factor of e in frequency."""
LOWEST, HIGHEST = 3.0, 0.95
"""µHz of the lowest trial, and that of the highest over half the sampling."""
BINS_PER_E = 30
FEWEST_BINS = 12
TURNS = 60
WIDTHS = (0.8, 1.0, 1.3)
"""Times the width that giants have on average: all are as probable."""
WHITER = 1e-6
"""A part is never less than this share of the mean power, from where the rule could not raise it again."""
TOLD = 0.9
"""Share of the likelihood that counts: modes are few, and each has its own luck."""
SHARE = 0.6827
ODDS = 8.0
"""Difference of log-likelihood at which an envelope is as probable as none."""


class Envelope(NamedTuple):
    """What is known of the oscillations of some stars; NaN where nothing is."""

    numax: np.ndarray
    """(star) µHz."""
    numax_low: np.ndarray
    numax_high: np.ndarray
    """(star) ends of the 68 % interval."""
    height: np.ndarray
    """(star) power density of the oscillations at νmax, smoothed over modes, ppm²/µHz."""
    probability: np.ndarray
    """(star) that there are oscillations."""
    heights: np.ndarray
    """(star, part) of the model at νmax."""


def trial_frequencies(nyquist: float, resolution: float) -> np.ndarray:
    """Return the trials of νmax, µHz, for spectra that end at ``nyquist`` with so many µHz a step."""
    low, high = max(LOWEST, 10 * resolution), HIGHEST * nyquist
    if high <= low:
        return np.empty(0)
    return np.geomspace(low, high, max(2, int(TRIALS_PER_E * np.log(high / low))))


@njit(nogil=True, cache=True)
def _heights(power, weight, shapes, height):
    """Raise and lower the heights of the parts; return the log-likelihood."""
    parts, bins = shapes.shape
    model, change = np.empty(bins), np.empty(parts)
    floor = 0.0
    for b in range(bins):
        floor += power[b] / bins
    floor *= WHITER
    for turn in range(TURNS + 1):
        for b in range(bins):
            model[b] = 0.0
            for k in range(parts):
                model[b] += height[k] * shapes[k, b]
        if turn == TURNS:
            break
        for k in range(parts):
            above, below = 0.0, 0.0
            for b in range(bins):
                above += weight[b] * shapes[k, b] * power[b] / (model[b] * model[b])
                below += weight[b] * shapes[k, b] / model[b]
            change[k] = above / below if below > 0 else 1.0
        for k in range(parts):
            height[k] = max(height[k] * change[k], floor) if height[k] > 0 else 0.0
    total = 0.0
    for b in range(bins):
        total -= weight[b] * (np.log(model[b]) + power[b] / model[b])
    return total


@njit(nogil=True, cache=True)
def _try_all(power, weight, shapes, likelihood, heights):
    """Fill in likelihood and heights of all trials (trial); return the likelihood without oscillations."""
    trials, parts = heights.shape
    mean = 0.0
    for b in range(power.size):
        mean += power[b] / power.size
    best_without = -np.inf
    for trial in range(trials):
        height = np.full(parts, mean / parts)
        likelihood[trial] = _heights(power, weight, shapes[trial], height)
        heights[trial] = height
        height = np.full(parts, mean / parts)
        height[parts - 1] = 0.0
        best_without = max(best_without, _heights(power, weight, shapes[trial], height))
    return best_without


def _bins(frequency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the bins of a spectrum start, in even steps of the logarithm, and their frequencies."""
    number = np.floor(BINS_PER_E * np.log(frequency / frequency[0])).astype(int)
    start = np.flatnonzero(np.diff(number, prepend=-1))
    count = np.diff(np.append(start, frequency.size))
    return start, np.add.reduceat(frequency, start) / count


def find_envelope(frequency: np.ndarray, power: np.ndarray, nyquist: float) -> Envelope:
    """
    Return νmax of many stars, with intervals and odds.

    Parameters
    ----------
    frequency
        µHz, evenly spaced by one over the length of the light curves.
    power
        (star, frequency) ppm²/µHz; NaN for a star without a spectrum.
    nyquist
        Half the sampling, µHz.
    """
    start, at = _bins(frequency)
    trials = trial_frequencies(nyquist, frequency[0])
    stars = len(power)
    nothing = Envelope(*(np.full(stars, np.nan) for _ in range(5)), np.full((stars, len(PARTS)), np.nan))
    if at.size < FEWEST_BINS or not trials.size:
        return nothing
    shapes = [np.stack([part_shapes(at, trial, nyquist, width) for trial in trials]) for width in WIDTHS]
    weight = np.diff(np.append(start, frequency.size)).astype(float)
    likelihood = np.empty((len(WIDTHS), trials.size))
    heights = np.empty((len(WIDTHS), trials.size, len(PARTS)))
    for star in np.flatnonzero(np.isfinite(power).all(axis=1) & (power > 0).any(axis=1)):
        binned = np.add.reduceat(power[star], start) / weight
        binned = np.maximum(binned, 1e-12 * binned.max())
        without = max(
            _try_all(binned, weight, *of_width) for of_width in zip(shapes, likelihood, heights, strict=True)
        )
        # Which width it is does not matter here: all are summed over.
        summed = logsumexp(TOLD * likelihood, axis=0) - np.log(len(WIDTHS))
        widest = heights[likelihood.max(axis=1).argmax()]
        _read(nothing, star, trials, summed, TOLD * without, widest)
    return nothing


def _read(
    found: Envelope,
    star: int,
    trials: np.ndarray,
    likelihood: np.ndarray,
    without: float,
    heights: np.ndarray,
) -> None:
    """Enter what the likelihood over all trials tells of one star."""
    best = int(np.argmax(likelihood))
    chance = np.exp(likelihood - likelihood[best])
    # Trials are even in the logarithm, so that is what is equally probable beforehand.
    total = np.concatenate([[0], np.cumsum(0.5 * (chance[1:] + chance[:-1]))]) / max(
        (0.5 * (chance[1:] + chance[:-1])).sum(), 1e-300
    )
    log = np.log(trials)
    low, middle, high = np.exp(np.interp([(1 - SHARE) / 2, 0.5, (1 + SHARE) / 2], total, log))
    found.numax[star], found.numax_low[star], found.numax_high[star] = middle, low, high
    found.height[star], found.heights[star] = heights[best, -1], heights[best]
    found.probability[star] = 1 / (1 + np.exp(np.clip(ODDS - (likelihood[best] - without), -700, 700)))


def background_of(frequency: np.ndarray, numax: float, heights: np.ndarray, nyquist: float) -> np.ndarray:
    """Return the model of one star without its oscillations, ppm²/µHz."""
    return np.asarray(heights[:-1] @ part_shapes(frequency, numax, nyquist)[:-1])
