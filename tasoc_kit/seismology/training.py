"""Learn the classes of variability anew: ``python -m tasoc_kit.seismology.training [FILE]``.

Light curves are simulated (:mod:`tasoc_kit.simulation.variability`), their features measured, trees
boosted, and the temperature set on light curves with another seed. Needs scikit-learn, which using the
trees does not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from tasoc_kit.seismology.boosted_trees import SHIPPED, Forest, class_scores
from tasoc_kit.seismology.curve_features import FEATURES, curve_features
from tasoc_kit.simulation.variability import simulate_variability

__all__ = ["forest_of", "train_forest", "write_forest"]

STARS, TURNS, SEED = 600, 90, 20260701
"""Light curves of each class, trees of each class, seed."""
HELD = 5
"""The temperature is set on one light curve for so many that trees are made from."""
BOOSTING: dict[str, Any] = {
    "learning_rate": 0.1, "max_leaf_nodes": 12, "min_samples_leaf": 15, "max_features": 0.4,
    "l2_regularization": 1.0, "early_stopping": False,
}  # fmt: skip


def _examples(stars: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and classes of simulated light curves."""
    made = simulate_variability(stars, seed=seed)
    cadence = float(made.time[1] - made.time[0])
    return curve_features(made.flux, made.error, made.time, cadence), made.kind


def forest_of(model: Any, temperature: float = 1.0) -> Forest:
    """Return the trees of a fitted ``HistGradientBoostingClassifier`` as plain arrays."""
    nodes, roots, first = [], np.empty((len(model._predictors), len(model.classes_)), np.int32), 0
    for turn, trees in enumerate(model._predictors):
        for place, tree in enumerate(trees):
            roots[turn, place] = first
            nodes.append((tree.nodes, first))
            first += len(tree.nodes)
    told = np.concatenate([tree for tree, _ in nodes])
    start = np.concatenate([np.full(len(tree), number) for tree, number in nodes])
    leaf = told["is_leaf"] == 1
    return Forest(
        feature=np.where(leaf, -1, told["feature_idx"]).astype(np.int16),
        threshold=np.where(leaf, 0.0, told["num_threshold"]),
        left=np.where(leaf, 0, told["left"] + start).astype(np.int32),
        right=np.where(leaf, 0, told["right"] + start).astype(np.int32),
        value=np.where(leaf, told["value"], 0.0).astype(np.float32),
        root=roots,
        baseline=np.asarray(model._baseline_prediction, float).ravel(),
        temperature=np.array(temperature),
        feature_name=np.array(FEATURES),
        class_value=np.asarray(model.classes_, np.int8),
    )


def train_forest(stars: int = STARS, turns: int = TURNS, seed: int = SEED) -> tuple[Forest, Any]:
    """
    Return the trees, and the classifier of scikit-learn that they are from.

    Parameters
    ----------
    stars
        Light curves of each class.
    turns
        Trees of each class.
    seed
        Of every random number.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=turns, random_state=seed, **BOOSTING)
    model.fit(*_examples(stars, seed))
    forest = forest_of(model)
    features, kind = _examples(max(1, stars // HELD), seed + 1)
    scores, place = class_scores(forest, features), np.searchsorted(forest.class_value, kind)

    def surprise(log_temperature: float) -> float:
        told = log_softmax(scores / np.exp(log_temperature), axis=1)
        return float(-told[np.arange(len(told)), place].mean())

    best = minimize_scalar(surprise, bounds=(-2.0, 2.0), method="bounded")
    return forest._replace(temperature=np.array(np.exp(best.x))), model


def write_forest(forest: Forest, path: Path) -> None:
    """Write trees as arrays, without pickles."""
    np.savez_compressed(path, **forest._asdict())


if __name__ == "__main__":
    write_forest(train_forest()[0], Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name(SHIPPED))
