"""The filter of Handberg & Lund (2014, MNRAS 445 2698): what is slow goes, transits and oscillations stay.

A moving median of days follows the star and the spacecraft. Where one of hours stands far off it, as after a
momentum dump, that one is followed instead. Transits of known periods are taken out before either is made,
as the median of the folded light curve, so that neither follows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bottleneck
import numpy as np
from scipy.special import ndtr

from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, median_of_rows

__all__ = ["clip_outliers", "kasoc_filter", "moving_median", "phase_curve"]

TURNS = 3
"""How often the phase curves of a star are made anew from what the filter leaves."""
SMOOTHED = 200
"""Part of a period over which a phase curve is smoothed."""
FEWEST_IN_PHASE = 5
MOST_CLIPS = 10


def moving_median(values: np.ndarray, width: int) -> np.ndarray:
    """
    Return the median of the finite values in a window about each cadence; NaN where it holds none.

    Parameters
    ----------
    values
        float64 (star, time), all cadences one after another, NaN where nothing is known.
    width
        Cadences of the window; an even number is one less. At the ends it is cut off.
    """
    half = max(0, (min(width, 2 * values.shape[1]) - 1) // 2)
    padded = np.pad(values, ((0, 0), (half, half)), constant_values=np.nan)
    moved = bottleneck.move_median(padded, 2 * half + 1, min_count=1, axis=1)
    return np.asarray(moved[:, 2 * half :])


def phase_curve(flux: np.ndarray, time: np.ndarray, period: float) -> np.ndarray:
    """
    Return what one light curve does with a period: the moving median of the folded flux, about 1.

    Parameters
    ----------
    flux
        (time) over what is slow in it; NaN where nothing is known.
    time
        Days.
    period
        Days.
    """
    known = np.flatnonzero(np.isfinite(flux))
    if known.size < FEWEST_IN_PHASE:
        return np.ones(flux.size)
    phase = (time[known] / period) % 1
    order = np.argsort(phase, kind="stable")
    width = min(max(FEWEST_IN_PHASE, known.size // SMOOTHED), known.size) | 1
    # The ends of a phase lie side by side.
    around = np.pad(flux[known][order], width, mode="wrap")
    smooth = moving_median(around[None], width)[0, width:-width]
    found = np.interp(
        (time / period) % 1,
        np.concatenate([phase[order] - 1, phase[order], phase[order] + 1]),
        np.tile(smooth, 3),
    )
    return np.asarray(found / np.median(smooth))


def kasoc_filter(
    flux: np.ndarray,
    time: np.ndarray,
    *,
    long: int,
    short: int,
    turnover: float,
    softness: float,
    periods: Mapping[int, Sequence[float]],
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what light curves have to be divided by, and what they do with their periods.

    Parameters
    ----------
    flux
        float64 (star, time) over its median, without steps; NaN where nothing is known.
    time
        (time) days.
    long, short
        Cadences of the two windows.
    turnover, softness
        Where the two differ by so many scatters of that difference, half of each is followed; and how far
        from there the one gives way to the other.
    periods
        Days, of the transits of some stars, by their number.

    Returns
    -------
    float64 (star, time) twice; the second is 1 for stars without a period.
    """
    found, repeated = _two_scales(flux, long, short, turnover, softness), np.ones(flux.shape)
    for star, known in periods.items():
        one = flux[star : star + 1]
        # A long deep transit is followed by the fast median, so the slow one alone shows it first.
        ratio = flux[star] / moving_median(one, long)[0]
        curves = np.ones((len(known), flux.shape[1]))
        for _ in range(TURNS):
            for k, period in enumerate(known):
                others = np.prod(np.delete(curves, k, axis=0), axis=0)
                curves[k] = phase_curve(ratio / others, time, period)
            found[star] = _two_scales(one / curves.prod(axis=0), long, short, turnover, softness)[0]
            ratio = flux[star] / found[star]
        repeated[star] = curves.prod(axis=0)
    return found, repeated


def _two_scales(flux: np.ndarray, long: int, short: int, turnover: float, softness: float) -> np.ndarray:
    slow, fast = moving_median(flux, long), moving_median(flux, short)
    off = np.abs(fast / slow - 1)
    sigma = MAD_TO_SIGMA * median_of_rows(off)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = ndtr((np.where(sigma > 0, off / sigma, 0.0) - turnover) / softness)
    share = np.nan_to_num(share)
    return np.where(np.isfinite(fast), share * fast + (1 - share) * slow, slow)


def clip_outliers(flux: np.ndarray, limit: float) -> np.ndarray:
    """
    Return bool (star, time): what is more than so many scatters above the median, again and again.

    What is below it stays: a transit or an eclipse is no outlier.

    Parameters
    ----------
    flux
        (star, time), NaN where nothing is known.
    limit
        Scaled median absolute deviations.
    """
    left, out = flux.copy(), np.zeros(flux.shape, bool)
    for _ in range(MOST_CLIPS):
        off = left - median_of_rows(left)[:, None]
        far = off > limit * MAD_TO_SIGMA * median_of_rows(np.abs(off))[:, None]
        if not far.any():
            break
        out |= far
        left[far] = np.nan
    return out
