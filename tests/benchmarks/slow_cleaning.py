"""Entropy cleaning as TASOC does it, for comparison.

For each star that is taken away a whole principal component analysis is made anew, and a kernel density of
1,000 points for each component (Lund+ 2021, ApJS 257 53).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import gaussian_kde

__all__ = ["clean_slowly"]

POINTS = 1000


def _excess(scores: np.ndarray) -> float:
    density = gaussian_kde(scores)
    margin = 3 * scores.std()
    grid = np.linspace(scores.min() - margin, scores.max() + margin, POINTS)
    values = np.maximum(density(grid), 1e-300)
    entropy = -(values * np.log(values)).sum() * (grid[1] - grid[0])
    return float(entropy - 0.5 * np.log(2 * np.pi * np.e * scores.var()))


def clean_slowly(flux: np.ndarray, number: int, lowest: float, most: int) -> tuple[np.ndarray, int]:
    """Return the stars kept, and how many analyses that took; see ``clean_components``."""
    kept, analyses = np.arange(len(flux)), 0
    while True:
        scores = np.linalg.svd(flux[kept], full_matrices=False)[0][:, :number]
        analyses += 1
        bad = np.flatnonzero([_excess(one) < lowest for one in scores.T])
        if not bad.size or len(flux) - kept.size >= most:
            return kept, analyses
        score = scores[:, bad[0]]
        kept = np.delete(kept, np.argmax(np.abs(score - np.median(score))))
