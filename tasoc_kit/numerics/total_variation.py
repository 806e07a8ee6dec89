"""Weights that make a sum of series as quiet as it can be (TV-min).

Each series is one part of the light about a star, divided by its mean; with weights that sum to one
the star's own variation, common to all, stays as it is, while motion and sky, which differ from part to
part, cancel. The total variation, the sum of the steps' sizes, is convex in the weights (White et al. 2017,
MNRAS 471, 2882; Pope et al. 2019, ApJS 245, 8). The papers descend on the softmax of
free numbers, which no longer moves once a weight is next to nothing; here the weights have a bound
at zero and are divided by their sum, so that every place from which no way leads down is a minimum.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

__all__ = ["equal_shares", "quietest_weights"]

ROUNDING = 0.01
"""Steps smaller than this, over the mean step, are rounded off so that a slope exists."""
ROUNDS, ITERATIONS = 2, 500
"""The second round begins where the first one ended, and rounds off as little as fits there."""


def quietest_weights(series: np.ndarray, start: np.ndarray) -> np.ndarray:
    """
    Return the weights whose sum of series has the least total variation.

    Parameters
    ----------
    series
        (time, part), each with a mean near one.
    start
        (part) positive weights to start from; their scale does not matter.

    Returns
    -------
    (part) weights, none negative, that sum to one.
    """
    steps = np.diff(series, axis=0)
    if steps.shape[0] == 0 or steps.shape[1] == 1:
        return np.asarray(start) / np.sum(start)
    weights = np.asarray(start, float) / np.sum(start)
    for _ in range(ROUNDS):
        scale = float(np.abs(steps @ weights).mean())
        if scale > 0:
            weights = _descend(steps / scale, weights)
    return weights


def _descend(steps: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Return the weights that are reached from some others by going down."""

    def variation(amounts: np.ndarray) -> tuple[float, np.ndarray]:
        total = amounts.sum()
        step = steps @ (amounts / total)
        size = np.hypot(step, ROUNDING)
        slope = (step / size) @ steps / step.size
        return float(size.mean()), (slope - slope @ amounts / total) / total

    options = {"maxiter": ITERATIONS, "maxfun": 3 * ITERATIONS, "ftol": 1e-12, "gtol": 1e-10, "maxcor": 20}
    found = minimize(
        variation, begin * begin.size, jac=True, method="L-BFGS-B", bounds=[(0, None)] * begin.size,
        options=options,
    ).x  # fmt: skip
    return np.asarray(found / found.sum())


def equal_shares(light: np.ndarray, variance: np.ndarray, parts: int) -> np.ndarray:
    """
    Gather pixels into parts that know the flux of the star about equally well.

    Pixels go by brightness: the brightest stand alone, the faint come together. With one weight for
    every pixel there would be as many unknowns as cadences; the weights then find noise that
    undoes whatever varies fast, the star's own oscillations as well.

    Parameters
    ----------
    light
        (pixel) mean light of the star.
    variance
        (pixel) variance of its noise.
    parts
        How many parts at most.

    Returns
    -------
    (pixel) number of its part, from 0 on without a gap.
    """
    order = np.argsort(-light, kind="stable")
    known = light[order] ** 2 / variance[order]
    middle = (np.cumsum(known) - known / 2) / known.sum()
    part = np.empty(light.size, np.int64)
    part[order] = np.unique((middle * parts).astype(np.int64), return_inverse=True)[1]
    return part
