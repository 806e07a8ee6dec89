"""Probabilities of classes from boosted decision trees that are stored as plain arrays.

The trees are those of gradient boosting (Friedman 2001, Ann. Stat. 29 1189); their leaves sum to one score
for each class, and the softmax of the scores over a temperature (Guo+ 2017, arXiv 1706.04599) is the
probability.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

__all__ = ["Forest", "class_probabilities", "class_scores", "shipped_forest"]

SHIPPED = "variability_forest.npz"
AT_ONCE = 500


class Forest(NamedTuple):
    """The nodes of all trees, one tree after the other."""

    feature: np.ndarray
    """(node) number of the feature that a node asks for; −1 for a leaf."""
    threshold: np.ndarray
    """(node) up to it a star goes to the left."""
    left: np.ndarray
    right: np.ndarray
    """(node) numbers of the nodes that follow."""
    value: np.ndarray
    """(node) score of a leaf."""
    root: np.ndarray
    """(turn, class) number of the first node of a tree."""
    baseline: np.ndarray
    """(class) score before any tree."""
    temperature: np.ndarray
    """() what scores are divided by."""
    feature_name: np.ndarray
    class_value: np.ndarray
    """(class) :class:`~tasoc_kit.vocabulary.VariabilityClass`."""


@cache
def shipped_forest() -> Forest:
    """Return the trees that come with the package."""
    with (files("tasoc_kit.seismology") / SHIPPED).open("rb") as file, np.load(file) as stored:
        return Forest(**{name: stored[name] for name in Forest._fields})


def class_scores(forest: Forest, features: np.ndarray) -> np.ndarray:
    """Return the scores (star, class) of stars with these features (star, feature), none of them NaN."""
    scores = np.tile(forest.baseline, (len(features), 1))
    roots = forest.root.ravel()
    for first in range(0, len(features), AT_ONCE):
        some = features[first : first + AT_ONCE]
        node = np.tile(roots, (len(some), 1))
        while True:
            asked = forest.feature[node]
            if (asked < 0).all():
                break
            value = np.take_along_axis(some, np.maximum(asked, 0), axis=1)
            after = np.where(value <= forest.threshold[node], forest.left[node], forest.right[node])
            node = np.where(asked < 0, node, after)
        leaves = forest.value[node].reshape(len(some), *forest.root.shape)
        scores[first : first + AT_ONCE] += leaves.sum(axis=1)
    return scores


def class_probabilities(forest: Forest, features: np.ndarray) -> np.ndarray:
    """Return the probabilities (star, class), which sum to 1; NaN for a star without features."""
    found = np.full((len(features), forest.baseline.size), np.nan)
    known = np.isfinite(features).all(axis=1)
    if known.any():
        found[known] = softmax(class_scores(forest, features[known]) / float(forest.temperature), axis=1)
    return found
