"""The stars nearest to each star, of those that are asked, without the star itself."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["nearest_others"]


def nearest_others(
    tree: cKDTree, asked: np.ndarray, place: np.ndarray, stars: np.ndarray, count: int
) -> np.ndarray:
    """
    Return which of the stars that are asked stand nearest to each star, the nearest first.

    Parameters
    ----------
    tree, asked
        Places of the stars that are asked, and their numbers.
    place, stars
        (star, dimension) of the others, NaN where none is known, and their numbers.
    count
        So many, or fewer where fewer are asked.

    Returns
    -------
    int64 (star, count): indices of ``asked``, −1 where there are no more, and for a star without a place.
    """
    known = np.isfinite(place).all(axis=1)
    near = np.full((len(place), count + 1), -1)
    most = min(count + 1, asked.size)
    if not most:
        return near[:, :count]
    near[known, :most] = tree.query(place[known], most)[1].reshape(-1, most)
    near[(near >= 0) & (asked[near] == stars[:, None])] = -1
    # One more was asked for than is wanted: the star itself, or the farthest.
    return np.take_along_axis(near, np.argsort(near < 0, axis=1, kind="stable"), axis=1)[:, :count]
