"""Light curves over what the stars nearest to them do together.

The median of some neighbours, each scaled to the star, is what they share. TASOC lets every neighbour have
an additive offset (Lund+ 2021, ApJS 257 53); as that only scales what the neighbour varies by, the scale is
the one of least squares. So many neighbours are taken as leave the least scatter from cadence to cadence,
each number tried on the light curve as it was.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import dask.array as da
import numpy as np
import xarray as xr
from numba import njit
from scipy.spatial import cKDTree

from tasoc_kit.config import settings
from tasoc_kit.corrections.nearest_stars import nearest_others
from tasoc_kit.corrections.relative_flux import (
    check_same_stars,
    lazy_series,
    quiet_stars,
    read_flux,
    relative_flux,
)
from tasoc_kit.star_series import good_cadences, star_blocks
from tasoc_kit.step import Parameter, step

__all__ = ["make_ensemble_light_curves"]

SERIES = ("flux", "flux_err", "pixel_quality")
CELL = 32.0
"""Pixels of a cell, of which the quietest star alone is asked: so all of a CCD are at hand at once."""
FEWEST = 5
NUMBERS = np.array([5, 10, 20, 40])
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
        value = (1 + flux[t]) / (1 + shared[t]) if shared[t] > -1 else np.nan
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
def _medians(references, chosen, scales, numbers, shared):
    """
    Fill in, for each number, the median of so many neighbours, each with its scale; NaN where none is known.

    One neighbour after the other takes its place among those before it, in all cadences at once.
    """
    if not numbers.size:
        return
    cadences, most = shared.shape[1], numbers[-1] // 2 + 1
    ordered = np.full((most, cadences), np.inf, np.float32)
    known, pushed = np.zeros(cadences, np.int64), np.empty(cadences, np.float32)
    told = 0
    for k in range(numbers[-1]):
        neighbour, scale = references[chosen[k]], scales[k]
        for t in range(cadences):
            here = np.isfinite(neighbour[t])
            known[t] += here
            pushed[t] = scale * neighbour[t] if here else np.inf
        for j in range(min(k + 1, most)):
            row = ordered[j]
            for t in range(cadences):
                low, high = row[t], pushed[t]
                row[t] = high if high < low else low
                pushed[t] = low if high < low else high
        if k + 1 == numbers[told]:
            for t in range(cadences):
                n = known[t]
                middle = 0.5 * (ordered[(n - 1) // 2, t] + ordered[n // 2, t])
                shared[told, t] = middle if n else np.nan
            told += 1


@njit(nogil=True, cache=True)
def _choose_number(flux, references, near, rough, members, scales):
    """Fill in the neighbours of a star and their scales; return how many are taken, 0 for none."""
    chosen = _choose(flux, references, near, rough, scales)
    numbers = NUMBERS[chosen.size >= NUMBERS]
    shared = np.empty((numbers.size, flux.size))
    _medians(references, chosen, scales, numbers, shared)
    least, number = np.inf, 0
    for k in range(numbers.size):
        now = _roughness(flux, shared[k])
        if now < least:
            least, number = now, numbers[k]
    members[:number] = chosen[:number]
    scales[number:] = np.nan
    return number


@njit(nogil=True, cache=True)
def _share(references, members, scales):
    """Return what stars share with their neighbours, float64 (star, time); NaN for one that has none."""
    shared = np.full((len(members), references.shape[1]), np.nan)
    for star in range(len(members)):
        chosen = members[star][members[star] >= 0]
        if chosen.size:
            _medians(references, chosen, scales[star], np.array([chosen.size]), shared[star : star + 1])
    return shared


@step(
    version=3,
    product="ensemble_light_curves",
    needs={
        "light_curves": (*SERIES, "quality", "frame_quality", "time", "star_row", "star_column"),
        "diagnostics": ("status", "rms_hour"),
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
        Status and hourly scatter of the same stars.
    nearest
        Of so many, the nearest that are quiet enough are tried.

    Returns
    -------
    ``flux_corr`` and ``flux_corr_err`` (star, time), lazy, electron/s, at the level of the star;
    ``ensemble_size`` (star), neighbours that were taken; ``ensemble_star`` and ``ensemble_scale`` (star,
    neighbour), their numbers in the star table, −1 where there are no more, and what each was multiplied
    by. NaN in bad cadences, and for a star that has fewer than five. Bits and star table are those of the
    light curves.

    Raises
    ------
    StepInputError
        If diagnostics are not of these stars.
    """
    check_same_stars("make_ensemble_light_curves", light_curves, diagnostics)
    asked, references = _references(light_curves, diagnostics)
    members, scales = _members(light_curves, asked, references, nearest)
    shared = _shared(light_curves["flux"], references, members, scales)
    corrected = {
        f"{name}_corr": (("star", "time"), _divided(light_curves[name], shared))
        for name in ("flux", "flux_err")
    }
    return xr.Dataset(
        {
            "flux_corr": corrected["flux_corr"],
            "flux_corr_err": corrected["flux_err_corr"],
            "pixel_quality": light_curves["pixel_quality"].variable,
            "ensemble_size": ("star", (members >= 0).sum(axis=1).astype(np.int16)),
            "ensemble_star": (("star", "neighbour"), np.append(asked, -1)[members].astype(np.int32)),
            "ensemble_scale": (("star", "neighbour"), scales.astype(np.float32)),
        },
        coords={n: v.variable for n, v in light_curves.coords.items()},
    )


def _references(light_curves: xr.Dataset, diagnostics: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the stars that are asked, and what they vary by, float32 (star, time)."""
    quiet, good = quiet_stars(light_curves, diagnostics, CELL), good_cadences(light_curves)
    references, steady = np.empty((quiet.size, good.size), np.float32), np.zeros(quiet.size, bool)
    for some in star_blocks(light_curves.isel(star=quiet)):
        flux = relative_flux(read_flux(light_curves, quiet[some]), good)[0]
        known = np.flatnonzero(np.isfinite(flux).any(axis=1))
        low, high = np.nanpercentile(flux[known], (5, 95), axis=1) if known.size else np.empty((2, 0))
        known = known[high - low < LARGEST_RANGE]
        first = int(steady.sum())
        references[first : first + known.size] = flux[known]
        steady[some[known]] = True
    return quiet[steady], references[: int(steady.sum())]


def _members(
    light_curves: xr.Dataset, asked: np.ndarray, references: np.ndarray, nearest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the neighbours (star, neighbour) by their place among those asked, −1 for none; and scales."""
    members = np.full((light_curves.sizes["star"], NUMBERS[-1]), -1)
    scales = np.full(members.shape, np.nan)
    if asked.size < FEWEST:
        return members, scales
    good, nothing = good_cadences(light_curves), np.zeros(references.shape[1])
    rough = np.array([_roughness(one.astype(float), nothing) for one in references])
    places = np.stack([light_curves[name].values for name in ("star_row", "star_column")], axis=1)
    tree = cKDTree(places[asked])
    for stars in star_blocks(light_curves):
        flux = relative_flux(read_flux(light_curves, stars), good)[0]
        near = nearest_others(tree, asked, places[stars], stars, nearest)

        def some(first: int, flux=flux, near=near, stars=stars) -> None:
            for k in range(first, min(first + STARS_AT_ONCE, stars.size)):
                _choose_number(flux[k], references, near[k], rough, members[stars[k]], scales[stars[k]])

        with ThreadPoolExecutor(settings().threads) as pool:
            list(pool.map(some, range(0, stars.size, STARS_AT_ONCE)))
    return members, scales


def _shared(flux: xr.DataArray, references: np.ndarray, members: np.ndarray, scales: np.ndarray) -> da.Array:
    """Return what stars share with their neighbours, lazy, in the blocks of their flux."""
    of_stars, in_time = lazy_series(flux).chunks
    whole = da.from_array(references, chunks=(-1, in_time), name=False)
    each = [da.from_array(table, chunks=(of_stars, -1), name=False) for table in (members, scales)]
    return da.blockwise(
        _share, "st", whole, "rt", each[0], "sn", each[1], "sn",
        concatenate=True, dtype=float, meta=np.empty((0, 0)),
    )  # fmt: skip


def _divided(flux: xr.DataArray, shared: da.Array) -> da.Array:
    """Return lazy series (star, time) over what they share with others; NaN where that is not known."""

    def divide(block: np.ndarray, common: np.ndarray) -> np.ndarray:
        told = common > -1
        return np.where(told, block / np.where(told, 1 + common, 1.0), np.nan).astype(np.float32)

    return da.map_blocks(
        divide, lazy_series(flux), shared, dtype=np.float32, meta=np.empty((0, 0), np.float32)
    )
