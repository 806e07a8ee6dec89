"""Steps in a light curve where the spacecraft moved, and what they are multiplied away by.

Steps are looked for where one is to be expected: after attitude tweaks, momentum dumps, drops of the
sensitivity and gaps. Beside such a place a line is fitted to either side; the Bayesian information criterion
says whether the two sides are one line, two that differ by a step, or two that differ in slope as well.
"""

from __future__ import annotations

import numpy as np

from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, median_of_rows
from tasoc_kit.vocabulary import KitQuality, TessQuality

__all__ = ["correct_jumps", "jump_places"]

MOVES = int(TessQuality.ATTITUDE_TWEAK | TessQuality.DESAT | TessQuality.SENSITIVITY_DROPOUT)
LONGEST_STEADY = 0.3
"""Days without a good cadence after which a step may have come."""
REACH = 1.0
"""Days on either side that tell of a step; half as much to the next place ends them sooner."""
FEWEST_BESIDE = 8
CLIP, CLIPS = 4.0, 3
SURE = 10.0
"""Difference of the criterion from which on a step is believed (Kass & Raftery 1995, JASA 90 773)."""


def jump_places(time: np.ndarray, good: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """
    Return the numbers of the cadences at which a step may have come: the first good one after its cause.

    Parameters
    ----------
    time
        (time) days.
    good
        (time) True for the cadences that are used.
    quality
        (time) bits of the mission.
    """
    used = np.flatnonzero(good)
    if used.size < 2:
        return np.empty(0, np.int64)
    moves = np.cumsum((quality & MOVES) != 0)
    moved = np.diff(moves[used]) > 0
    return used[1:][moved | (np.diff(time[used]) > LONGEST_STEADY)]


def correct_jumps(flux: np.ndarray, time: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what light curves have to be divided by, and the bits of the steps that were found.

    Parameters
    ----------
    flux
        float64 (star, time) over its median; NaN where it is not used.
    time
        (time) days.
    places
        Numbers of cadences, from :func:`jump_places`.

    Returns
    -------
    float64 and int32 (star, time): factors, 1 where there is no step, of median 1 for each star; and
    ``JUMP_MULTIPLICATIVE_CONSTANT`` or ``JUMP_MULTIPLICATIVE_LINEAR`` at the places where one was found.
    """
    factor, bits = np.ones(flux.shape), np.zeros(flux.shape, np.int32)
    edges = np.concatenate([[0], places, [time.size]])
    for k, place in enumerate(places, start=1):
        before = _within(time, edges[k - 1], place, time[place] - REACH, np.inf)
        after = _within(time, place, edges[k + 1], -np.inf, time[place] + REACH)
        columns = np.concatenate([before, after])
        # Earlier steps are gone from what the next one is measured on.
        ratio, kind = _step(flux[:, columns] / factor[:, columns], time[columns] - time[place], before.size)
        factor[:, place:] *= ratio[:, None]
        bits[:, place] = kind
    return factor / median_of_rows(np.where(np.isfinite(flux), factor, np.nan))[:, None], bits


def _within(time: np.ndarray, first: int, stop: int, start: float, end: float) -> np.ndarray:
    inside = np.arange(first, stop)
    return inside[(time[inside] >= start) & (time[inside] <= end)]


def _step(flux: np.ndarray, offset: np.ndarray, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Return flux after over flux before the place, 1 where no step is believed; and its bit."""
    after = np.arange(offset.size) >= before
    terms = np.stack([np.ones(offset.size), offset, after, after * offset], axis=1)
    kept = np.isfinite(flux)
    for _ in range(CLIPS):
        coefficient = _fit(flux, terms, kept)
        left = np.where(kept, flux - coefficient @ terms.T, np.nan)
        limit = CLIP * MAD_TO_SIGMA * median_of_rows(np.abs(left))
        kept = kept & ~(np.abs(left) > np.maximum(limit, 1e-12)[:, None])
    criterion, at_place = [], []
    number = kept.sum(axis=1)
    for count in (2, 3, 4):
        coefficient = _fit(flux, terms[:, :count], kept)
        left = np.where(kept, flux - coefficient @ terms[:, :count].T, 0.0)
        power = np.maximum((left**2).sum(axis=1) / np.maximum(number, 1), 1e-24)
        criterion.append(number * np.log(power) + count * np.log(np.maximum(number, 1)))
        step = coefficient[:, 2] if count > 2 else np.zeros(len(flux))
        at_place.append(1 + step / np.where(coefficient[:, 0] == 0, np.inf, coefficient[:, 0]))
    best = np.argmin(criterion, axis=0)
    told = np.minimum(kept[:, :before].sum(axis=1), kept[:, before:].sum(axis=1)) >= FEWEST_BESIDE
    ratio = np.choose(best, at_place)
    sure = told & (best > 0) & (criterion[0] - np.min(criterion, axis=0) > SURE) & (ratio > 0)
    kinds = (0, KitQuality.JUMP_MULTIPLICATIVE_CONSTANT, KitQuality.JUMP_MULTIPLICATIVE_LINEAR)
    return np.where(sure, ratio, 1.0), np.where(sure, np.array(kinds, np.int32)[best], 0).astype(np.int32)


def _fit(flux: np.ndarray, terms: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the least-squares coefficients (star, term) of the values that are kept."""
    count = terms.shape[1]
    products = (terms[:, :, None] * terms[:, None, :]).reshape(len(terms), count**2)
    normal = (kept @ products).reshape(-1, count, count)
    right = np.where(kept, flux, 0.0) @ terms
    return np.asarray((np.linalg.pinv(normal, hermitian=True) @ right[:, :, None])[:, :, 0])
