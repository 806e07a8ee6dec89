"""What the areas of a CCD have in common, so that all of its stars tell of it.

A vector made of N stars has the noise of a star over √N, and a light curve corrected with K of them gets √K
times that. Most of what moves the stars of one area moves those of the others too. So the components of all
areas are put together, each with the power that it has, and those that are more than noise span what is
common. The part of a vector that lies there has the noise of all stars; of the rest as much is kept as it
varies more than noise, which is told by its differences (the filter of Wiener for one number).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasoc_kit.numerics.statistics import mad_sigma

__all__ = ["common_basis", "with_less_noise"]

FAR = 5.0
"""Scatters at which a single cadence of the rest is no noise."""


def common_basis(series: Sequence[np.ndarray], power: Sequence[np.ndarray], number: int) -> np.ndarray:
    """
    Return the components of all areas together.

    Parameters
    ----------
    series
        For each area (component, time), of unit length.
    power
        For each area (component): the sum of squares over its stars.
    number
        Components, at most.

    Returns
    -------
    (component, time) of unit length, orthogonal, the strongest first.
    """
    weighted = [np.sqrt(np.maximum(p, 0.0))[:, None] * s for s, p in zip(series, power, strict=True)]
    return np.linalg.svd(np.concatenate(weighted), full_matrices=False)[2][:number]


def with_less_noise(series: np.ndarray, power: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """
    Return the vectors of one area with less noise.

    Parameters
    ----------
    series
        (component, time) of unit length.
    power
        (component): the sum of squares over the stars of the area.
    basis
        (component, time) orthonormal: what the areas have in common.
    """
    # Times their power, vectors have the same noise, and what is not common has directions of its own.
    weight = np.sqrt(np.maximum(power, 1e-300))[:, None]
    common = (series @ basis.T) @ basis
    left, size, rest = np.linalg.svd(weight * (series - common), full_matrices=False)
    kept = np.stack([_filtered(one) for one in rest])
    return np.asarray(common + (left * size) @ kept / weight)


def _filtered(series: np.ndarray) -> np.ndarray:
    """Return as much of a series as is more than noise, and all of what stands out for single cadences."""
    variance = series.var()
    share = max(0.0, 1.0 - 0.5 * float(np.diff(series).var() / variance)) if variance > 0 else 0.0
    far = np.abs(series - np.median(series)) > FAR * float(mad_sigma(series))
    return np.where(far, series, share * series)
