"""Light curves as the corrections see them: relative, and only where they are good."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.statistics import median_of_rows
from tasoc_kit.vocabulary import DEFAULT_BAD_KIT_BITS, Method, Status

__all__ = ["check_same_stars", "lazy_series", "quiet_stars", "read_flux", "relative_flux"]

FRAMES_AT_ONCE = 64
"""Cadences of a block of series that have no blocks of their own."""


def check_same_stars(step: str, light_curves: xr.Dataset, diagnostics: xr.Dataset) -> None:
    """Raise a StepInputError where there are not as many diagnostics as light curves."""
    stars, told = light_curves.sizes["star"], diagnostics.sizes["star"]
    if told != stars:
        raise StepInputError(
            f"{step}: {told} stars in the diagnostics, {stars} light curves; expected those of the same "
            "stars. Open both by the ids in one lineage."
        )


def quiet_stars(light_curves: xr.Dataset, diagnostics: xr.Dataset, cell: float) -> np.ndarray:
    """Return the numbers of good stars: the one with the least hourly scatter in each cell, pixels wide."""
    scatter = diagnostics["rms_hour"].values
    places = np.stack([light_curves[name].values for name in ("star_row", "star_column")], axis=1)
    fit = (diagnostics["status"].values == Status.OK) & np.isfinite(scatter) & np.isfinite(places).all(axis=1)
    # A light curve that never changes was not measured.
    fit &= scatter > 0
    if "method" in diagnostics.variables:
        fit &= diagnostics["method"].values == Method.APERTURE
    known = np.flatnonzero(fit)
    order = known[np.argsort(scatter[known], kind="stable")]
    first = np.unique(np.floor(places[order] / cell), axis=0, return_index=True)[1]
    return np.sort(order[first])


def lazy_series(series: xr.DataArray) -> da.Array:
    """Return a series (star, time) as a lazy array, in its own blocks if it has some."""
    values = series.transpose("star", "time").data
    return values if isinstance(values, da.Array) else da.from_array(values, chunks=(-1, FRAMES_AT_ONCE))


def read_flux(light_curves: xr.Dataset, stars: np.ndarray, name: str = "flux") -> dict[str, np.ndarray]:
    """Return flux and error of some stars, of one kind, float32, and ``pixel_quality`` (star, time)."""
    series = [light_curves[n].transpose("star", "time") for n in (name, f"{name}_err", "pixel_quality")]
    values = dask.compute(*(one.isel(star=stars).data for one in series))
    return dict(zip(("flux", "flux_err", "pixel_quality"), values, strict=True))


def relative_flux(series: dict[str, np.ndarray], good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return what stars vary by, and their level.

    Parameters
    ----------
    series
        As of :func:`read_flux`.
    good
        (time) True for the cadences that are used.

    Returns
    -------
    Flux over its median less 1, float64 (star, time), NaN in what is not used; and the median (star), NaN
    where it is not positive.
    """
    used = good & ((series["pixel_quality"] & DEFAULT_BAD_KIT_BITS) == 0)
    flux = np.where(used & np.isfinite(series["flux"]), series["flux"], np.nan).astype(float)
    level = median_of_rows(flux)
    level = np.where(level > 0, level, np.nan)
    return flux / level[:, None] - 1, level
