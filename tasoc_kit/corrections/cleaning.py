"""Principal components that all stars share, and none that a few stars make.

A component that comes from a handful of stars has scores that are nearly all zero but for theirs: their
entropy is far below that of normal numbers of the same scatter (Smith+ 2012, PASP 124 1000; Lund+ 2021,
ApJS 257 53). Such stars are taken away until no component is of that kind. The products of all pairs of
stars are made once; without a star they are the same but for a row and a column, so nothing but small
eigenproblems is solved anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from tasoc_kit.numerics.statistics import MAD_TO_SIGMA

__all__ = ["Components", "clean_components", "entropy_excess"]

BINS, SPAN = 1024, 1.5
"""Bins of a density, which reaches over the scores by this share of their range on both sides together."""
FAR = 5.0
"""Scatters, of the scores of a component, at which a star stands out of it."""


class Components(NamedTuple):
    """Principal components of some stars."""

    kept: np.ndarray
    """(star) True for those that they are made of."""
    series: np.ndarray
    """(component, time), each with unit length, the strongest first."""
    entropy: np.ndarray
    """(component) entropy of the scores over that of normal numbers with their scatter."""
    variance: np.ndarray
    """(component) share of the variance of the stars."""


def entropy_excess(scores: np.ndarray) -> np.ndarray:
    """
    Return the differential entropy of the scores of each component less that of normal numbers.

    Parameters
    ----------
    scores
        (star, component).

    Returns
    -------
    (component), nats; 0 for normal scores, negative where few stars have most of the scatter. The density is
    a Gaussian kernel estimate with Scott's width, on a grid.
    """
    stars, count = scores.shape
    sigma = scores.std(axis=0)
    excess = np.zeros(count)
    frequency = np.fft.rfftfreq(BINS)
    for k in np.flatnonzero(sigma > 0):
        low, high = scores[:, k].min(), scores[:, k].max()
        margin = 0.5 * (SPAN - 1) * (high - low) + 3 * sigma[k]
        step = (high - low + 2 * margin) / BINS
        density = np.bincount(((scores[:, k] - low + margin) / step).astype(int), minlength=BINS) / stars
        width = sigma[k] * stars**-0.2 / step
        smooth = np.fft.irfft(np.fft.rfft(density) * np.exp(-2 * (np.pi * frequency * width) ** 2), BINS)
        smooth = np.maximum(smooth, 1e-300)
        entropy = -(smooth * np.log(smooth / step)).sum()
        excess[k] = entropy - 0.5 * np.log(2 * np.pi * np.e * sigma[k] ** 2)
    return excess


def clean_components(flux: np.ndarray, number: int, lowest: float, most: int) -> Components:
    """
    Return the principal components of all stars but those that have one for themselves.

    Parameters
    ----------
    flux
        (star, time): finite, zero on average, of equal scatter.
    number
        Components.
    lowest
        Entropy below which the stars that stand out of a component are taken away.
    most
        Stars that may be taken away; where more would have to be, cleaning ends with these.
    """
    products = flux @ flux.T
    kept = np.arange(len(flux))
    while True:
        power, scores = _strongest(products[np.ix_(kept, kept)], number)
        entropy = entropy_excess(scores)
        bad = np.flatnonzero(entropy < lowest)
        spared = most - (len(flux) - kept.size)
        if not bad.size or spared <= 0 or kept.size <= number + 1:
            break
        far = _standing_out(scores[:, bad[0]])[:spared]
        kept = np.delete(kept, far)
    series = (scores / np.sqrt(np.maximum(power, 1e-300))).T @ flux[kept]
    series /= np.maximum(np.linalg.norm(series, axis=1, keepdims=True), 1e-300)
    chosen = np.zeros(len(flux), bool)
    chosen[kept] = True
    return Components(chosen, series, entropy, power / products[kept, kept].sum())


def _strongest(products: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues of a symmetric matrix, and their vectors as columns."""
    size = len(products)
    first = max(0, size - number)
    power, vectors = eigh(products, subset_by_index=(first, size - 1))
    return power[::-1], vectors[:, ::-1]


def _standing_out(score: np.ndarray) -> np.ndarray:
    """Return the stars that stand out of a component, the farthest first; one at least."""
    distance = np.abs(score - np.median(score))
    far = distance > FAR * MAD_TO_SIGMA * np.median(distance)
    return np.argsort(-distance)[: max(1, int(far.sum()))]
