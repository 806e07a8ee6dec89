"""Dips that come back: box least squares (Kovács+ 2002, A&A 391 369) over periods and durations.

Trial periods are even in the cube root of the frequency and durations follow the period, as a central
transit of a star like the Sun lets expect (Ofir 2014, A&A 561 A138). What rises is looked for as what falls
is: a star whose brightenings are as good as its dips has no eclipses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = ["BoxSearch", "search_boxes", "trial_periods"]

SHORTEST = 0.5
"""Days."""
DURATION = 0.076
"""Of the period, at one day; it goes with the period to the power −2/3."""
OVERSAMPLING = 1.5
BINS = 128
WIDEST = 0.16
"""Of the period: the longest dip that is looked for."""
MEASURES = 8


class BoxSearch(NamedTuple):
    """The best dips (star), NaN where there is no light curve; depths in the unit of the flux."""

    period: np.ndarray
    """Days."""
    duration: np.ndarray
    """Share of the period."""
    depth: np.ndarray
    snr: np.ndarray
    bump_snr: np.ndarray
    """That of the best brightening, at whatever period."""
    odd_even: np.ndarray
    """Difference of the depths of odd and even dips over their mean."""
    secondary: np.ndarray
    """Depth half a period later over that of the dip."""
    dips: np.ndarray
    """Number of dips that have a cadence."""


def trial_periods(span: float) -> np.ndarray:
    """Return the periods, days, that are tried for a light curve of so many days, the longest first."""
    low, high = 2.0 / span, 1.0 / SHORTEST
    if high <= low:
        return np.empty(0)
    # df = q(f) / (oversampling · span) with q = DURATION · f^(2/3) is even in f^(1/3).
    step = DURATION / (3 * OVERSAMPLING * span)
    return 1.0 / np.arange(low ** (1 / 3), high ** (1 / 3), step) ** 3


@njit(nogil=True, cache=True)
def _best_boxes(time, flux, periods, sums, counts, found):
    """Fill in (period, start, width, score of the dip, score of the bump) for one star."""
    bins = sums.size // 2
    total = time.size
    for period in periods:
        sums[:] = 0.0
        counts[:] = 0.0
        rate = 1.0 / period
        for k in range(total):
            turn = time[k] * rate
            b = int((turn - int(turn)) * bins)
            sums[b] += flux[k]
            counts[b] += 1.0
        # The folded curve stands there twice, so that no dip is cut at its end.
        sums[bins:] = sums[:bins]
        counts[bins:] = counts[:bins]
        width = max(1, int(0.5 * DURATION * period ** (-2.0 / 3.0) * bins))
        while width <= WIDEST * bins:
            s, n = 0.0, 0.0
            for b in range(width):
                s += sums[b]
                n += counts[b]
            for b in range(bins):
                most = found[3] if s < 0 else found[4]
                # Where all cadences fold into the box nothing is beside it.
                if 2.0 < n < total and s * s * total > most * n * (total - n):
                    score = s * s * total / (n * (total - n))
                    if s < 0:
                        found[0], found[1], found[2], found[3] = period, b, width, score
                    else:
                        found[4] = score
                s += sums[b + width] - sums[b]
                n += counts[b + width] - counts[b]
            width = max(width + 1, int(1.6 * width))


def _depths(time: np.ndarray, flux: np.ndarray, period: float, middle: float, width: float) -> np.ndarray:
    """Return depth, those of odd and even dips and of the secondary, and the number of dips."""
    turn = time / period - middle
    number = np.round(turn)
    inside = np.abs(turn - number) <= 0.5 * width
    beside = np.abs(turn - np.floor(turn) - 0.5) <= 0.5 * width
    level = float(np.median(flux[~inside & ~beside])) if (~inside & ~beside).any() else 0.0

    def depth(some: np.ndarray) -> float:
        return level - float(flux[some].mean()) if some.any() else np.nan

    odd = number % 2 == 1
    dips = np.unique(number[inside]).size
    return np.array([depth(inside), depth(inside & odd), depth(inside & ~odd), depth(beside), dips])


def search_boxes(flux: np.ndarray, time: np.ndarray, noise: np.ndarray) -> BoxSearch:
    """
    Return the dips that fit each light curve best.

    Parameters
    ----------
    flux
        (star, time) about zero, without slow variation; NaN where nothing is known.
    time
        (time) days.
    noise
        (star) scatter of a cadence, in the unit of the flux.
    """
    result = np.full((MEASURES, len(flux)), np.nan)
    days = time - time[0] if time.size else time
    periods = trial_periods(float(days[-1])) if time.size else days
    sums, counts = np.empty(2 * BINS), np.empty(2 * BINS)
    for star in np.flatnonzero((noise > 0) & (np.isfinite(flux).sum(axis=1) > 0)) if periods.size else ():
        known = np.isfinite(flux[star])
        at, values = days[known], flux[star, known] - flux[star, known].mean()
        best = np.zeros(5)
        _best_boxes(at, values, periods, sums, counts, best)
        if not best[3] > 0:
            continue
        period, first, width, dip, bump = best
        depth, odd, even, secondary, dips = _depths(
            at, values, period, (first + 0.5 * width) / BINS, width / BINS
        )
        size = max(abs(depth), 1e-9 * noise[star])
        differ = abs(odd - even) / size if np.isfinite(odd - even) else 0.0
        beside = secondary / size if np.isfinite(secondary) else 0.0
        snr = np.sqrt([dip, bump]) / noise[star]
        result[:, star] = period, width / BINS, depth, *snr, differ, beside, dips
    return BoxSearch(*result)
