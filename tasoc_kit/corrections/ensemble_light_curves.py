"""Light curves over what the stars nearest to them do together.

The median of some neighbours, each scaled to the star, is what they share. TASOC lets every neighbour have
an additive offset (Lund+ 2021, ApJS 257 53); as that only scales what the neighbour varies by, the scale is
the one of least squares. So many neighbours are taken as leave the least scatter from cadence to cadence,
each number tried on the light curve as it was.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import numpy as np
import xarray as xr
from numba import njit
from scipy.spatial import cKDTree

from tasoc_kit.config import settings
from tasoc_kit.corrections.relative_flux import (
    check_same_stars,
    quiet_stars,
    read_flux,
    relative_flux,
)
from tasoc_kit.numerics.statistics import median_of_some
from tasoc_kit.star_series import good_cadences, star_blocks
from tasoc_kit.step import Parameter, step

__all__ = ["make_ensemble_light_curves"]

SERIES = ("flux", "flux_err", "pixel_quality")
CELL = 32.0
"""Pixels of a cell, of which the quietest star alone is asked: so all of a CCD are at hand at once."""
FEWEST = 5
NUMBERS = (5, 10, 20, 40)
"""Neighbours that are tried."""
LARGEST_RANGE = 0.4
"""Share of its level over which the middle 90 % of a neighbour may range."""
NOISIEST = 10.0
"""How much more than the star, from cadence to cadence, a neighbour may scatter."""
CLIP, CLIPS = 2.0, 3
LEAST_KNOWN = 0.8
STARS_AT_ONCE = 32


@njit(nogil=True, cache=True)
def _scale(flux, neighbour, used):
    """Return the factor that makes a neighbour most like a star, by least squares without outliers."""
    scale = 1.0
    limit = np.inf
    for _ in range(CLIPS):
        product, square, total, n = 0.0, 0.0, 0.0, 0
        for t in used:
            if abs(flux[t] - scale * neighbour[t]) <= limit:
                product += flux[t] * neighbour[t]
                square += neighbour[t] * neighbour[t]
        scale = product / square if square > 0 and product > 0 else 0.0
        for t in used:
            off = abs(flux[t] - scale * neighbour[t])
            if off <= limit:
                total += off * off
                n += 1
        limit = CLIP * np.sqrt(total / max(n, 1))
    return scale


@njit(nogil=True, cache=True)
def _roughness(flux, shared):
    """Return the mean difference of one cadence and the next, without what is shared."""
    total, n, last = 0.0, 0, np.nan
    for t in range(flux.size):
        value = (1 + flux[t]) / (1 + shared[t])
        if np.isfinite(value):
            if np.isfinite(last):
                total += abs(value - last)
                n += 1
            last = value
    return total / n if n else np.inf


@njit(nogil=True, cache=True)
def _choose(flux, references, near, rough, scales):
    """Return the neighbours that are asked, the nearest first; fill in the scale of each."""
    own, known = NOISIEST * _roughness(flux, np.zeros(flux.size)), np.isfinite(flux).sum()
    chosen, count = np.empty(scales.size, np.int64), 0
    for k in near:
        if k < 0 or rough[k] >= own or count == scales.size:
            continue
        used = np.flatnonzero(np.isfinite(flux + references[k]))
        if used.size >= LEAST_KNOWN * known:
            chosen[count], scales[count] = k, _scale(flux, references[k], used)
            count += 1
    return chosen[:count]


@njit(nogil=True, cache=True)
def _median_neighbour(references, chosen, scales, shared):
    """Fill in the median of some neighbours, each with its scale; NaN where none is known."""
    values = np.empty(chosen.size)
    for t in range(shared.size):
        n = 0
        for k in range(chosen.size):
            values[n] = scales[k] * references[chosen[k], t]
            n += np.isfinite(values[n])
        shared[t] = median_of_some(values[:n])


@njit(nogil=True, cache=True)
def _correct(flux, references, near, rough, best, members, scales):
    """Fill in what a star shares with its neighbours, and these; return how many tell, 0 for none."""
    shared = np.empty(flux.size)
    chosen = _choose(flux, references, near, rough, scales)
    least, number = np.inf, 0
    for wanted in NUMBERS:
        if wanted <= chosen.size:
            _median_neighbour(references, chosen[:wanted], scales, shared)
            now = _roughness(flux, shared)
            if now < least:
                least, number = now, wanted
                for t in range(flux.size):
                    best[t] = shared[t]
    members[:number] = chosen[:number]
    scales[number:] = np.nan
    return number


@step(
    version=2,
    product="ensemble_light_curves",
    needs={
        "light_curves": (*SERIES, "quality", "frame_quality", "time", "star_row", "star_column"),
        "diagnostics": ("status", "rms_hour", "mean_flux"),
    },
    gives=("flux_corr", "flux_corr_err", "pixel_quality", "ensemble_size", "ensemble_star",
           "ensemble_scale"),
    libraries=("numpy", "scipy", "numba"),
)  # fmt: skip
def make_ensemble_light_curves(
    light_curves: xr.Dataset,
    diagnostics: xr.Dataset,
    *,
    nearest: Annotated[int, Parameter("stars about a star that may be asked", ge=FEWEST)] = 100,
) -> xr.Dataset:
    """
    Divide every light curve by what its neighbours share.

    Parameters
    ----------
    light_curves
        ``flux``, ``flux_err`` and ``pixel_quality`` (star, time).
    diagnostics
        Status, level and hourly scatter of the same stars.
    nearest
        Of so many, the nearest that are quiet enough are tried.

    Returns
    -------
    ``flux_corr`` and ``flux_corr_err`` (star, time), electron/s, at the level of the star; ``ensemble_size``
    (star), neighbours that were taken; ``ensemble_star`` and ``ensemble_scale`` (star, neighbour), their
    numbers in the star table, −1 where there are no more, and what each was multiplied by. NaN in bad
    cadences, and for a star that has fewer than five. Bits and star table are those of the light curves.

    Raises
    ------
    StepInputError
        If diagnostics are not of these stars.
    """
    check_same_stars("make_ensemble_light_curves", light_curves, diagnostics)
    good = good_cadences(light_curves)
    places = np.stack([light_curves[name].values for name in ("star_row", "star_column")], axis=1)
    asked, references = _references(light_curves, diagnostics, good)
    rough = np.nanmean(np.abs(np.diff(references, axis=1)), axis=1) if asked.size else np.empty(0)
    tree = cKDTree(places[asked]) if asked.size >= FEWEST else None
    shape = light_curves.sizes["star"], light_curves.sizes["time"]
    corrected, error = np.full((2, *shape), np.nan, np.float32)
    size = np.zeros(shape[0], np.int16)
    members = np.full((shape[0], NUMBERS[-1]), -1)
    scales = np.full(members.shape, np.nan)
    for stars in star_blocks(light_curves) if tree is not None else ():
        series = read_flux(light_curves, stars)
        flux = relative_flux(series, good)[0]
        near = _nearest(tree, asked, places[stars], stars, nearest)
        shared = np.zeros(flux.shape)

        def some(first: int, flux=flux, near=near, shared=shared, stars=stars) -> None:
            for k in range(first, min(first + STARS_AT_ONCE, stars.size)):
                told = members[stars[k]], scales[stars[k]]
                size[stars[k]] = _correct(flux[k], references, near[k], rough, shared[k], *told)

        with ThreadPoolExecutor(settings().threads) as pool:
            list(pool.map(some, range(0, stars.size, STARS_AT_ONCE)))
        told = (size[stars] > 0)[:, None] & (shared > -1)
        for target, name in ((corrected, "flux"), (error, "flux_err")):
            target[stars] = np.where(told, series[name] / np.where(told, 1 + shared, 1.0), np.nan)
    return xr.Dataset(
        {
            "flux_corr": (("star", "time"), corrected),
            "flux_corr_err": (("star", "time"), error),
            "pixel_quality": light_curves["pixel_quality"].variable,
            "ensemble_size": ("star", size),
            "ensemble_star": (("star", "neighbour"), _numbers(members, asked)),
            "ensemble_scale": (("star", "neighbour"), scales.astype(np.float32)),
        },
        coords={n: v.variable for n, v in light_curves.coords.items()},
    )


def _numbers(members: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return members by their number in the star table, −1 where there are none."""
    known = members >= 0
    return np.where(known, asked[np.where(known, members, 0)] if asked.size else -1, -1).astype(np.int32)


def _references(
    light_curves: xr.Dataset, diagnostics: xr.Dataset, good: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the stars that are asked, and what they vary by, float64 (star, time)."""
    asked = quiet_stars(light_curves, diagnostics, CELL)
    flux = relative_flux(read_flux(light_curves, asked), good)[0] if asked.size else np.empty((0, good.size))
    with np.errstate(invalid="ignore"):
        low, high = np.nanpercentile(flux, (5, 95), axis=1) if asked.size else np.empty((2, 0))
    steady = high - low < LARGEST_RANGE
    return asked[steady], flux[steady]


def _nearest(
    tree: cKDTree, asked: np.ndarray, places: np.ndarray, stars: np.ndarray, number: int
) -> np.ndarray:
    """Return the places, among those asked, of the nearest other stars; −1 where there are no more."""
    known = np.isfinite(places).all(axis=1)
    near = np.full((stars.size, number + 1), -1)
    count = min(number + 1, asked.size)
    near[known, :count] = tree.query(places[known], count)[1].reshape(-1, count)
    itself = (near >= 0) & (asked[near] == stars[:, None])
    return np.where(itself, -1, near)
