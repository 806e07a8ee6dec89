"""Which correction serves a star best, and the numbers that say so.

``underfit`` is what a star still has in common with others: the mean absolute correlation of its hourly means
with those of the quiet stars nearest to it, equally corrected, over what independent noise has.
``overfit`` is what was added: the relative rise of the scatter from cadence to cadence. Both are 0 at best.

The best of the corrections that leave a star its own slow variation, vectors and neighbours, is the one
with the least sum of the two; vectors are preferred to neighbours that are no better by a hundredth. Where
neither is better than the light curve as it is, none is. The filter is never the best: it takes rotation and
slow pulsation away, and is for those who look for transits.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from tasoc_kit.corrections.nearest_stars import nearest_others
from tasoc_kit.corrections.relative_flux import (
    check_same_stars,
    quiet_stars,
    read_flux,
    relative_flux,
)
from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.curve_measures import MEASURES, hourly_means, measure_curves
from tasoc_kit.star_series import good_cadences, star_blocks
from tasoc_kit.step import step
from tasoc_kit.vocabulary import Correction

__all__ = ["choose_corrections"]

CELL = 64.0
"""Pixels of a cell, the quietest star of which is held against the others."""
NEIGHBOURS = 20
ENOUGH = 0.01
"""Difference of the sums below which two corrections are as good as each other."""
TOLD = ("variance", "rms_hour", "ptp")
SLOW_KEPT = (Correction.CBV, Correction.ENSEMBLE)


@step(
    version=3,
    product="corrections",
    needs={
        "light_curves": ("flux", "flux_err", "pixel_quality", "quality", "frame_quality", "time",
                         "star_row", "star_column"),
        "diagnostics": ("status", "rms_hour", "ptp"),
        "cbv_light_curves": ("flux_corr", "flux_corr_err", "pixel_quality"),
        "ensemble_light_curves": ("flux_corr", "flux_corr_err", "pixel_quality"),
        "filtered_light_curves": ("flux_corr", "flux_corr_err", "pixel_quality"),
    },
    gives=("variance_corr", "rms_hour_corr", "ptp_corr", "underfit", "overfit", "shared", "best_correction"),
    libraries=("numpy", "scipy"),
)  # fmt: skip
def choose_corrections(
    light_curves: xr.Dataset,
    diagnostics: xr.Dataset,
    cbv_light_curves: xr.Dataset,
    ensemble_light_curves: xr.Dataset,
    filtered_light_curves: xr.Dataset,
) -> xr.Dataset:
    """
    Measure every correction of every star, and choose one.

    Parameters
    ----------
    light_curves, diagnostics
        As they were before, and their measures.
    cbv_light_curves, ensemble_light_curves, filtered_light_curves
        ``flux_corr`` of the same stars and cadences.

    Returns
    -------
    (correction, star): ``variance_corr``, ``rms_hour_corr`` and ``ptp_corr``, as in the diagnostics;
    ``underfit`` and ``overfit``. (star): ``shared``, the underfit before any correction; ``best_correction``;
    and the star table of the light curves.

    Raises
    ------
    StepInputError
        If the tables are not of the same stars and cadences.
    """
    kinds = {
        Correction.CBV: cbv_light_curves,
        Correction.ENSEMBLE: ensemble_light_curves,
        Correction.FILTER: filtered_light_curves,
    }
    check_same_stars("choose_corrections", light_curves, diagnostics)
    for kind, table in kinds.items():
        _check(light_curves, table, kind.name)
    good = good_cadences(light_curves)
    near = _neighbours(light_curves, diagnostics)
    shared, _ = _measured(light_curves, "flux", good, near)
    sizes = len(kinds), light_curves.sizes["star"]
    underfit, measures = np.full(sizes, np.nan), np.full((len(MEASURES), *sizes), np.nan)
    for k, table in enumerate(kinds.values()):
        underfit[k], measures[:, k] = _measured(table, "flux_corr", good, near, light_curves)
    told = dict(zip(MEASURES, measures, strict=True))
    before = diagnostics["ptp"].values
    overfit = np.maximum(told["ptp"] / np.where(before > 0, before, np.nan) - 1, 0)
    found = {f"{name}_corr": told[name] for name in TOLD} | {"underfit": underfit, "overfit": overfit}
    return xr.Dataset(
        {name: (("correction", "star"), values.astype(np.float32)) for name, values in found.items()}
        | {
            "shared": ("star", shared.astype(np.float32)),
            "best_correction": ("star", _best(list(kinds), underfit + overfit, shared)),
        },
        coords={"correction": np.array([int(kind) for kind in kinds], np.int8)}
        | {n: v.variable for n, v in light_curves.coords.items() if v.dims == ("star",)},
    )


def _check(light_curves: xr.Dataset, table: xr.Dataset, kind: str) -> None:
    for name in ("star", "time"):
        if table.sizes[name] != light_curves.sizes[name]:
            raise StepInputError(
                f"choose_corrections: {kind} has {table.sizes[name]} along {name}, the light curves "
                f"{light_curves.sizes[name]}; expected the same. Open both by the ids in one lineage."
            )


def _neighbours(light_curves: xr.Dataset, diagnostics: xr.Dataset) -> np.ndarray:
    """Return the numbers (star, neighbour) of quiet stars about each star; −1 where there are no more."""
    asked = quiet_stars(light_curves, diagnostics, CELL)
    places = np.stack([light_curves[name].values for name in ("star_row", "star_column")], axis=1)
    near = nearest_others(cKDTree(places[asked]), asked, places, np.arange(len(places)), NEIGHBOURS)
    return np.append(asked, -1)[near]


def _measured(
    table: xr.Dataset, name: str, good: np.ndarray, near: np.ndarray, carrier: xr.Dataset | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is still shared with neighbours (star), and the measures (measure, star)."""
    time = (table if carrier is None else carrier)["time"].values[good]
    asked = np.unique(near[near >= 0])
    place = np.full(near.shape[0] + 1, -1)
    place[asked] = np.arange(asked.size)
    shared, measures = np.full(len(near), np.nan), np.full((len(MEASURES), len(near)), np.nan)
    if not time.size:
        return shared, measures
    others = _unit(relative_flux(read_flux(table, asked, name), good)[0][:, good], time)
    others = others if asked.size else np.zeros((1, others.shape[1]), np.float32)
    for stars in star_blocks(table):
        series = read_flux(table, stars, name)
        relative, level = relative_flux(series, good)
        flux, error = (relative[:, good] + 1) * level[:, None], series["flux_err"][:, good].astype(float)
        measures[:, stars] = measure_curves(flux, np.where(np.isfinite(flux), error, np.nan), time)
        mine, which = _unit(relative[:, good], time), place[near[stars]]
        alike = np.abs(np.einsum("skt,st->sk", others[which], mine))
        known = (which >= 0) & np.isfinite(alike)
        number = np.maximum(known.sum(axis=1), 1)
        chance = np.sqrt(2 / (np.pi * mine.shape[1]))
        excess = (np.where(known, alike, 0).sum(axis=1) / number - chance) / (1 - chance)
        told = known.any(axis=1) & np.isfinite(level)
        shared[stars] = np.where(told, np.clip(excess, 0, 1), np.nan)
    return shared, measures


def _unit(relative: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return hourly means of zero mean and unit length, 0 where nothing is known."""
    hourly = hourly_means(relative, time)
    known = np.maximum(np.isfinite(hourly).sum(axis=1, keepdims=True), 1)
    hourly = np.nan_to_num(hourly - np.nansum(hourly, axis=1, keepdims=True) / known)
    length = np.linalg.norm(hourly, axis=1, keepdims=True)
    return (hourly / np.where(length > 0, length, 1)).astype(np.float32)


def _best(kinds: list[Correction], sums: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return the correction (star) that the rule takes."""
    best, least = np.full(before.size, int(Correction.NONE), np.int8), before.copy()
    for kind in SLOW_KEPT:
        here = sums[kinds.index(kind)]
        better = here < np.where(np.isfinite(least), least, np.inf) - (ENOUGH if kind != SLOW_KEPT[0] else 0)
        best[better], least[better] = int(kind), here[better]
    return best
