"""Variability: the class that every star belongs to, with its probability.

Features of light curves (:mod:`~tasoc_kit.seismology.curve_features`) go through boosted trees
(:mod:`~tasoc_kit.seismology.boosted_trees`) that learned from simulated light curves of one sector and come
with the package; shorter exposures are averaged over half hours, as those were. Classes are those of
TASOC's starclass (Audenaert+ 2021, AJ 162 209). Where none is probable enough, the star is UNKNOWN.
"""

from __future__ import annotations

from typing import Annotated

import dask
import numpy as np
import xarray as xr

from tasoc_kit.numerics.statistics import median_of_rows
from tasoc_kit.seismology.best_flux import NEEDS, BestFlux, ChosenMethod
from tasoc_kit.seismology.boosted_trees import class_probabilities, shipped_forest
from tasoc_kit.seismology.curve_features import curve_features
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import VariabilityClass

__all__ = ["classify_stars", "clearest_stars"]

SERIES = ("flux", "flux_err")
SHORTEST = 12.0
"""Days: the trees learned from sectors of 27; of half a one they tell nine stars of ten, of four days six."""
HALF_HOUR = 1800 / 86400
"""Days: the cadence of the light curves that the trees learned from."""


@step(
    version=1,
    product="variability",
    needs=NEEDS,
    gives=("variability_class", "class_probability", "class", "features", "feature_name"),
    libraries=("numpy", "scipy", "numba", "bottleneck", "astropy", "finufft"),
)
def classify_stars(
    light_curves: xr.Dataset,
    corrections: xr.Dataset | None = None,
    cbv_light_curves: xr.Dataset | None = None,
    ensemble_light_curves: xr.Dataset | None = None,
    filtered_light_curves: xr.Dataset | None = None,
    *,
    method: ChosenMethod = "best",
    least: Annotated[float, Parameter("probability below which a star is UNKNOWN", ge=0, le=1)] = 0.5,
) -> xr.Dataset:
    """
    Tell the class of variability of every star.

    Parameters
    ----------
    light_curves
        ``flux`` (star, time) with ``time`` and bits, and ``flux_err``, which noise is held against.
    corrections
        Which correction serves each star best; without it the flux is taken as it was measured.
    cbv_light_curves, ensemble_light_curves, filtered_light_curves
        ``flux_corr`` of the same stars and cadences.
    method
        The correction that is taken for all stars, or the best of each.
    least
        A star none of whose classes is as probable is UNKNOWN.

    Returns
    -------
    (star): ``variability_class``, a ``tasoc_kit.vocabulary.VariabilityClass``. ``class_probability``
    (star, class), which sum to 1; ``features`` (star, feature), by ``feature_name``; and the star table of
    the light curves. A star with fewer than a hundred good cadences, or without any scatter, is UNKNOWN, its
    probabilities NaN; so are all stars of light curves shorter than 12 days, which the trees cannot tell.

    Raises
    ------
    StepInputError
        If corrected light curves that are needed are not given, or are of other stars or cadences.
    """
    kinds = cbv_light_curves, ensemble_light_curves, filtered_light_curves
    series = BestFlux.of("classify_stars", light_curves, corrections, *kinds, method=method)
    forest, stars = shipped_forest(), light_curves.sizes["star"]
    features = np.full((stars, forest.feature_name.size), np.nan)
    for some, flux in series.blocks():
        error = _stated_error(light_curves, some, series.good)
        features[some] = curve_features(*_half_hours(flux, error, series.time, series.sampling))
    long_enough = series.time.size > 0 and np.ptp(series.time) >= SHORTEST
    probability = class_probabilities(forest, features if long_enough else np.full_like(features, np.nan))
    best = forest.class_value[np.nan_to_num(probability).argmax(axis=1)]
    sure = np.nan_to_num(probability).max(axis=1) >= max(least, 1e-9)
    return xr.Dataset(
        {
            "variability_class": ("star", np.where(sure, best, VariabilityClass.UNKNOWN).astype(np.int8)),
            "class_probability": (("star", "class"), probability.astype(np.float32)),
            "features": (("star", "feature"), features.astype(np.float32)),
        },
        coords={"class": forest.class_value, "feature_name": ("feature", forest.feature_name)}
        | series.star_table,
    )


def _stated_error(light_curves: xr.Dataset, stars: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return the median uncertainty (star) of a good cadence in ppm; NaN where none is stated."""
    if "flux_err" not in light_curves.variables:
        return np.full(stars.size, np.nan)
    series = (light_curves[name].transpose("star", "time").isel(star=stars).data for name in SERIES)
    flux, error = (np.compress(good, values, axis=1).astype(float) for values in dask.compute(*series))
    level = median_of_rows(np.where(np.isfinite(flux), flux, np.nan))
    return (
        1e6 * median_of_rows(np.where(np.isfinite(error), error, np.nan)) / np.where(level > 0, level, np.nan)
    )


def _half_hours(
    flux: np.ndarray, error: np.ndarray, time: np.ndarray, cadence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return flux, error, time and cadence of means over half hours; as they are if they are no shorter."""
    if not cadence < 0.75 * HALF_HOUR or not time.size:
        return flux, error, time, cadence
    number = np.floor((time - time[0] + 0.5 * cadence) / HALF_HOUR)
    first = np.flatnonzero(np.diff(number, prepend=-1))
    known = np.isfinite(flux)
    count = np.add.reduceat(known, first, axis=1, dtype=np.int64)
    total = np.add.reduceat(np.where(known, flux, 0), first, axis=1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    middle = np.add.reduceat(time, first) / np.diff(np.append(first, time.size))
    return mean, error * np.sqrt(cadence / HALF_HOUR), middle, HALF_HOUR


def clearest_stars(variability: xr.Dataset) -> np.ndarray:
    """
    Return the number of the most probable star of each class that has one, in the order of the classes.

    Parameters
    ----------
    variability
        The product.
    """
    kinds = variability["variability_class"].values
    sure = np.nan_to_num(variability["class_probability"].values).max(axis=1)
    there = np.unique(kinds[kinds != VariabilityClass.UNKNOWN])
    return np.array([np.flatnonzero(kinds == kind)[sure[kinds == kind].argmax()] for kind in there], int)
