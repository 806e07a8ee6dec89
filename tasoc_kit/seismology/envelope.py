"""Where a star oscillates like the Sun, and how surely: νmax, height of the envelope, detection.

For a trial νmax only the heights of the parts of a spectrum are unknown, and none of them is negative
(:mod:`~tasoc_kit.numerics.oscillation_model`). Heights of greatest likelihood, for power that scatters as χ²
with two degrees of freedom about the model, come from the multiplicative rule of Févotte+ (2009, Neural
Comput. 21 793). What is read from the likelihood over all trials are νmax, its interval and the odds of a
detection. A coarse pass over all trials tells whether, and where, a fine one is worth its time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.special import expit, logsumexp

from tasoc_kit.numerics.oscillation_model import (
    ENVELOPE,
    GRANULATION,
    PARTS,
    envelope_height,
    envelope_width,
    expected_separation,
    granulation_rates,
    part_shapes,
)

__all__ = ["Envelope", "Trials", "find_envelope", "fit_at", "make_trials"]

TRIALS_PER_E, COARSE = 80, 8
"""Trials for each factor of e in frequency; from one of the coarse pass to the next."""
MOST_FINE = 48
"""Trials of the fine pass, which leaves some out where it must look far."""
LOWEST, HIGHEST = 3.0, 0.95
"""µHz of the lowest trial, and that of the highest over half the sampling."""
BINS_PER_E = 30
FEWEST_BINS = 12
COARSE_TURNS, TURNS = 40, 60
WIDTHS = (0.8, 1.0, 1.3)
"""Times the width that giants have on average: all are as probable."""
WHITER = 1e-6
"""A part is never less than this share of the mean power, from where the rule could not raise it again."""
AGAIN = 0.05
"""Share of an even start in that of the fine pass, so that a part can rise again."""
WORTH = 8.0
"""Difference of log-likelihood from the best coarse trial up to which the fine pass looks."""
PROMISING = 2.0
"""Gain of log-likelihood in the coarse pass from which there is a fine one."""
SHARE = 0.6827
ODDS = 7.0
"""Gain of log-likelihood at which an envelope is as probable as none: of 7,000 simulated stars without
oscillations, of white noise or granulation, three reach it."""
ONE_PEAK, HALF_PEAK = 0.5, 1
"""Share of the power of an envelope above which one peak, with so many frequencies on either side, is no mode
of a star like the Sun: it would have 0.1 to 0.4."""
TALLEST = 4.0
"""Times the height that giants have at this νmax: classical pulsators, binaries and deep transits are above;
giants reach twice of it."""
MODES = 2.7
"""Modes in one Δν that the power is spread over, as those of degree 0 to 3 are seen by TESS."""
LINEWIDTH = 0.1
"""µHz of the modes of giants (Corsaro+ 2012, ApJ 757 190)."""
LUCK = 1.1
"""Scatter of νmax, beside that of the likelihood, over what as many independent modes would give it;
simulated giants tell."""


class Trials(NamedTuple):
    """What is the same for all stars of a grid of frequencies."""

    numax: np.ndarray
    """(trial) µHz, even in the logarithm."""
    start: np.ndarray
    """(bin) first frequency of each bin."""
    weight: np.ndarray
    """(bin) frequencies in it."""
    shapes: np.ndarray
    """float32 (trial, part, bin), with the envelope of the middle width."""
    envelope: np.ndarray
    """float32 (width, trial, bin)"""
    granulation: np.ndarray
    """(trial, granulation) ppm² of each for one ppm²/µHz."""
    resolution: float
    """µHz from one frequency to the next."""


class Envelope(NamedTuple):
    """What is known of some stars: (star, 3), a value and the ends of its 68 % interval; NaN for nothing."""

    numax: np.ndarray
    """µHz."""
    height: np.ndarray
    """Power density of the oscillations at νmax, smoothed over modes, ppm²/µHz."""
    white: np.ndarray
    """That of white noise."""
    granulation: np.ndarray
    """Rms of the granulation, ppm."""
    probability: np.ndarray
    """That there are oscillations."""
    width: np.ndarray
    """(star) scatter of the envelope, µHz."""
    heights: np.ndarray
    """(star, part) of the model at νmax, ppm²/µHz."""
    fine: np.ndarray
    """(star) bool: there was a fine pass."""
    coherent: np.ndarray
    """(star) bool: one peak has most of the power of the envelope."""
    too_high: np.ndarray
    """(star) bool: the envelope is far higher than those of stars like the Sun."""


@njit(nogil=True, cache=True, fastmath=True)
def _fit(power, weight, shapes, parts, turns, height):
    """Raise and lower the heights of the first parts; return the log-likelihood."""
    bins = power.size
    model, above, below = np.empty_like(power), np.empty_like(power), np.empty_like(power)
    floor = np.float32(WHITER) * power[-1]
    for turn in range(turns + 1):
        model[:] = 0
        for k in range(parts):
            for b in range(bins):
                model[b] += height[k] * shapes[k, b]
        if turn == turns:
            break
        for b in range(bins):
            below[b] = weight[b] / model[b]
            above[b] = below[b] * power[b] / model[b]
        for k in range(parts):
            more, less = np.float32(0), np.float32(1e-30)
            for b in range(bins):
                more += shapes[k, b] * above[b]
                less += shapes[k, b] * below[b]
            height[k] = max(height[k] * more / less, floor)
    total = 0.0
    for b in range(bins):
        total -= weight[b] * (np.log(model[b]) + power[b] / model[b])
    return total


@njit(nogil=True, cache=True)
def _fit_all(power, weight, shapes, envelope, parts, turns, heights):
    """Fit every trial, with its own envelope; return the log-likelihoods (trial)."""
    found = np.empty(len(shapes))
    for trial in range(len(shapes)):
        of_trial = shapes[trial].copy()
        of_trial[-1] = envelope[trial]
        found[trial] = _fit(power, weight, of_trial, parts, turns, heights[trial])
    return found


def make_trials(frequency: np.ndarray, nyquist: float) -> Trials | None:
    """
    Return the trials for spectra on a grid, or None where it is too short for any.

    Parameters
    ----------
    frequency
        µHz, evenly spaced by one over the length of the light curves, from one step on.
    nyquist
        Half the sampling, µHz.
    """
    if not frequency.size:
        return None
    low, high = max(LOWEST, 10 * frequency[0]), HIGHEST * nyquist
    number = np.floor(BINS_PER_E * np.log(frequency / frequency[0])).astype(int)
    start = np.flatnonzero(np.diff(number, prepend=-1))
    if start.size < FEWEST_BINS or high <= low:
        return None
    weight = np.diff(np.append(start, frequency.size)).astype(np.float32)
    at = np.add.reduceat(frequency, start) / weight
    trials = np.geomspace(low, high, max(2, int(TRIALS_PER_E * np.log(high / low))))
    shapes = [[part_shapes(at, t, nyquist, frequency[0], w) for t in trials] for w in WIDTHS]
    every = np.asarray(shapes, np.float32)
    area = np.pi / (2 * np.sqrt(2)) * np.stack([granulation_rates(t) for t in trials])
    middle = WIDTHS.index(1.0)
    return Trials(
        trials, start, weight, every[middle], every[:, :, ENVELOPE].copy(), area, float(frequency[0])
    )


def find_envelope(power: np.ndarray, trials: Trials | None, share: np.ndarray | None = None) -> Envelope:
    """
    Return νmax of many stars, with intervals and odds.

    Parameters
    ----------
    power
        (star, frequency) ppm²/µHz; NaN for a star without a spectrum.
    trials
        Those of the grid.
    share
        (star) of the cadences that are known: of as many frequencies the power is independent. By default
        all are.
    """
    stars = len(power)
    found = Envelope(
        *(np.full((stars, 3), np.nan) for _ in range(5)),
        np.full(stars, np.nan),
        np.full((stars, len(PARTS)), np.nan),
        *(np.zeros(stars, bool) for _ in range(3)),
    )
    if trials is None:
        return found
    for star in np.flatnonzero(np.isfinite(power).all(axis=1) & (power > 0).any(axis=1)):
        binned = np.add.reduceat(power[star], trials.start) / trials.weight
        told = 1.0 if share is None else min(1.0, float(share[star]))
        _measure(found, int(star), binned, trials._replace(weight=trials.weight * np.float32(told)))
    _refuse(found, power, trials.resolution)
    return found


def _refuse(found: Envelope, power: np.ndarray, resolution: float) -> None:
    """Take the probability from what has an envelope, but not one of a star like the Sun."""
    found.too_high[:] = found.height[:, 0] > TALLEST * envelope_height(found.numax[:, 0])
    frequency = resolution * np.arange(1, power.shape[1] + 1)
    for star in np.flatnonzero(found.fine):
        near = np.abs(frequency - found.numax[star, 0]) < 2 * found.width[star]
        peak = resolution * np.convolve(power[star, near], np.ones(2 * HALF_PEAK + 1), "same").max()
        whole = np.sqrt(2 * np.pi) * found.width[star] * found.heights[star, ENVELOPE]
        found.coherent[star] = peak > ONE_PEAK * whole
    found.probability[found.coherent | found.too_high] = 0


def _measure(found: Envelope, star: int, binned: np.ndarray, trials: Trials) -> None:
    """Enter what the spectrum of one star tells."""
    # In units of its mean, so that single precision serves spectra of any height.
    scale = float(binned @ trials.weight / trials.weight.sum())
    power = np.maximum(binned / scale, 1e-9).astype(np.float32)
    coarse = slice(COARSE // 2, None, COARSE)
    some = trials.shapes[coarse], trials.envelope[WIDTHS.index(1.0), coarse]
    start = np.full((len(some[0]), len(PARTS)), power.mean() / len(PARTS), np.float32)
    heights, without = start.copy(), start.copy()
    told = _fit_all(power, trials.weight, *some, len(PARTS), COARSE_TURNS, heights)
    quiet = _fit_all(power, trials.weight, *some, ENVELOPE, COARSE_TURNS, without)
    best = int(np.argmax(quiet))
    none = _fit(power, trials.weight, some[0][best], ENVELOPE, TURNS, without[best])
    gain = told.max() - quiet[best]
    if gain < PROMISING:
        found.probability[star] = _odds(gain)
        return
    near = np.flatnonzero(told >= told.max() - WORTH)
    first, last = COARSE * int(near[0]), min(COARSE * int(near[-1] + 1), len(trials.numax) - 1)
    which = np.arange(first, last + 1, max(1, -(-(last - first) // MOST_FINE)))
    nearest = np.minimum(which // COARSE, len(told) - 1)
    again = (1 - AGAIN) * heights[nearest] + AGAIN * start[0]
    fine = np.repeat(again[None], len(WIDTHS), axis=0)
    likelihood = np.stack(
        [
            _fit_all(power, trials.weight, trials.shapes[which], envelope[which], len(PARTS), TURNS, one)
            for envelope, one in zip(trials.envelope, fine, strict=True)
        ]
    )
    _read(found, star, trials, which, likelihood, none, scale * fine.astype(float))
    found.fine[star] = True


def _odds(gain: float) -> np.ndarray:
    """
    Return the probability of oscillations, and where it would be for two of three stars that are alike.

    Twice the gain scatters as χ² that is not central, which two halves of simulated light curves bear out.
    """
    off = np.sqrt(max(2 * gain - 1, 0.3))
    return np.asarray(expit(np.array([gain, gain - off, gain + off]) - ODDS))


def _read(
    found: Envelope,
    star: int,
    trials: Trials,
    which: np.ndarray,
    likelihood: np.ndarray,
    without: float,
    heights: np.ndarray,
) -> None:
    """Enter what the likelihood (width, trial) and the heights (width, trial, part) tell of one star."""
    # Which width it is does not matter for νmax: all are summed over.
    summed = logsumexp(likelihood, axis=0) - np.log(len(WIDTHS))
    found.probability[star] = _odds(summed.max() - without)
    width, trial = np.unravel_index(np.argmax(likelihood), likelihood.shape)
    found.heights[star] = heights[width, trial]
    numax = trials.numax[which[trial]]
    found.width[star] = WIDTHS[width] * envelope_width(numax)
    shapes = trials.shapes[which[trial]].astype(float)
    shapes[ENVELOPE] = trials.envelope[width, which[trial]]
    # What adds up to each quantity, and its luck beside that of the power: modes are few.
    modes = MODES * 2 * np.sqrt(np.pi) * found.width[star] / float(expected_separation(numax))
    modes *= 1 + np.pi * LINEWIDTH / trials.resolution
    spread = LUCK * found.width[star] / numax / np.sqrt(modes)
    found.numax[star] = _interval(np.log(trials.numax[which]), summed, spread)
    sums = np.zeros((3, len(which), len(PARTS)))
    sums[0, :, 0], sums[1, :, ENVELOPE], sums[2, :, GRANULATION] = 1, 1, trials.granulation[which]
    chance = np.exp(likelihood - likelihood.max())
    covariance = _covariance(trials.weight, shapes, heights[width, trial])
    luck = (0.0, 1 / modes, 0.0)
    for target, parts, own in zip((found.white, found.height, found.granulation), sums, luck, strict=True):
        values = (heights * parts).sum(axis=2)
        middle = np.average(values, weights=chance)
        variance = np.average((values - middle) ** 2, weights=chance) + own * middle**2
        off = np.sqrt(variance + parts[trial] @ covariance @ parts[trial])
        target[star] = middle, max(middle - off, 0), middle + off
    found.granulation[star] = np.sqrt(found.granulation[star])


def _interval(log: np.ndarray, likelihood: np.ndarray, spread: float) -> np.ndarray:
    """Return the median and the ends of the interval, of what is even in the logarithm beforehand."""
    chance = np.exp(likelihood - likelihood.max())
    total = np.concatenate([[0], np.cumsum(0.5 * (chance[1:] + chance[:-1]))])
    middle, low, high = np.interp([0.5, (1 - SHARE) / 2, (1 + SHARE) / 2], total / total[-1], log)
    off = np.array([0.0, -np.hypot(middle - low, spread), np.hypot(high - middle, spread)])
    return np.asarray(np.exp(middle + off))


def _covariance(weight: np.ndarray, shapes: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Return the covariance (part, part) of heights from the curvature of the likelihood."""
    found = np.zeros((len(PARTS), len(PARTS)))
    free = heights > 10 * WHITER * heights.max()
    free[[0, ENVELOPE, GRANULATION.start + int(np.argmax(heights[GRANULATION]))]] = True
    some = shapes[free] * heights.max()
    curved = (some * (weight / (heights @ shapes) ** 2)) @ some.T
    found[np.ix_(free, free)] = np.linalg.pinv(curved, hermitian=True) * heights.max() ** 2
    return found


def fit_at(power: np.ndarray, trials: Trials, numax: float) -> tuple[float, float, np.ndarray]:
    """
    Return the model of one star for a νmax that is given, whether oscillations are likely there or not.

    Parameters
    ----------
    power
        (frequency) ppm²/µHz.
    trials
        Those of the grid; the one nearest to ``numax`` is taken.
    numax
        µHz.

    Returns
    -------
    The νmax that was taken and the scatter of the envelope, µHz; and the heights (part), ppm²/µHz.
    """
    at = int(np.argmin(np.abs(np.log(trials.numax / numax))))
    binned = np.add.reduceat(power, trials.start) / trials.weight
    scale = float(binned @ trials.weight / trials.weight.sum())
    relative = np.maximum(binned / scale, 1e-9).astype(np.float32)
    shapes = np.repeat(trials.shapes[at : at + 1], len(WIDTHS), axis=0)
    heights = np.full((len(WIDTHS), len(PARTS)), relative.mean() / len(PARTS), np.float32)
    turns = COARSE_TURNS + TURNS
    told = _fit_all(relative, trials.weight, shapes, trials.envelope[:, at], len(PARTS), turns, heights)
    best, taken = int(np.argmax(told)), float(trials.numax[at])
    return taken, float(WIDTHS[best] * envelope_width(taken)), scale * heights[best].astype(float)
