"""What the coefficients of a star should be, as those of its neighbours say.

Systematics change slowly over the detector and with brightness, so the stars nearest in row, column and
magnitude tell what is expected, and how far single stars are from that (Smith+ 2012, PASP 124 1000; Lund+
2021, ApJS 257 53).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from tasoc_kit.corrections.nearest_stars import nearest_others
from tasoc_kit.corrections.vector_fit import VectorFit
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA

__all__ = ["expected_coefficients"]

NEIGHBOURS = 48
PIXELS_PER_MAGNITUDE = 150.0
"""A star as much brighter is as far away as one that stands so far off."""
LEAST_SHARE = 0.05
"""Stars are never more alike than this share of what is expected."""
STARS_AT_ONCE = 2048


def expected_coefficients(
    fit: VectorFit,
    size: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    tmag: np.ndarray,
    trusted: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what neighbours let expect of each coefficient, and how far single stars are from that.

    Parameters
    ----------
    fit
        Each star by itself.
    size
        (term) The root mean square of each term over the cadences that are used; 0 for one that is none.
    row, column, tmag
        Places and magnitudes of the stars.
    trusted
        Stars that are asked: those that vary little.

    Returns
    -------
    float64 (star, term) twice: median of the trusted neighbours without the star itself, and their scatter
    beyond their own errors. Where none is trusted, 0, and no limit.
    """
    place = np.nan_to_num(np.stack([row, column, PIXELS_PER_MAGNITUDE * tmag], axis=1).astype(float))
    asked = np.flatnonzero(trusted & np.isfinite(fit.coefficient).all(axis=1))
    mean = np.zeros_like(fit.coefficient)
    scatter = np.full(mean.shape, np.inf)
    if asked.size < 3:
        return mean, scatter
    tree, error = cKDTree(place[asked]), _errors(fit, size)
    for first in range(0, len(place), STARS_AT_ONCE):
        some = np.arange(first, min(first + STARS_AT_ONCE, len(place)))
        near = nearest_others(tree, asked, place[some], some, min(NEIGHBOURS, asked.size))
        lacking = (near < 0)[:, :, None]
        # Where few are asked, those among them have one neighbour less.
        median = np.nanmedian if lacking.any() else np.median
        values, errors = (np.where(lacking, np.nan, table[asked[near]]) for table in (fit.coefficient, error))
        mean[some] = median(values, axis=1)
        far = MAD_TO_SIGMA * median(np.abs(values - mean[some][:, None]), axis=1)
        noise = median(errors, axis=1)
        scatter[some] = np.sqrt(np.maximum(far**2 - noise**2, (LEAST_SHARE * mean[some]) ** 2))
    return mean, scatter


def _errors(fit: VectorFit, size: np.ndarray) -> np.ndarray:
    """Return the error (star, term) of the coefficients of terms of such a size."""
    alike = (1 + np.maximum(fit.correlation, 0)) / np.maximum(1 - fit.correlation, 1e-4)
    whole = np.sqrt(fit.variance * alike / np.maximum(fit.cadences, 1))
    return whole[:, None] / np.where(size > 0, size, np.inf)
