"""The flux of stars that their spectra are made of: the correction that serves each best, in ppm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import dask
import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.statistics import median_of_rows
from tasoc_kit.star_series import good_cadences, star_blocks
from tasoc_kit.vocabulary import DEFAULT_BAD_KIT_BITS, Correction

__all__ = ["METHODS", "best_flux", "chosen_corrections", "sampling_of"]

METHODS = {
    "measured": Correction.NONE,
    "cbv": Correction.CBV,
    "ensemble": Correction.ENSEMBLE,
    "filtered": Correction.FILTER,
}
"""The names of the corrections; ``best`` takes that of each star."""


def sampling_of(light_curves: xr.Dataset) -> float:
    """Return the days from one cadence to the next; NaN where fewer than two are known."""
    time = light_curves["time"].values
    known = time[np.isfinite(time)]
    return float(np.median(np.diff(known))) if known.size > 1 else np.nan


def chosen_corrections(
    step: str,
    light_curves: xr.Dataset,
    corrections: xr.Dataset | None,
    corrected: Mapping[Correction, xr.Dataset | None],
    method: str,
) -> np.ndarray:
    """
    Return the number of the correction (star) whose flux is taken.

    Parameters
    ----------
    step
        Who asks, for its messages.
    light_curves
        The stars.
    corrections
        ``best_correction`` of the same stars; without it the best is the flux as it was measured.
    corrected
        ``flux_corr`` by correction.
    method
        ``best``, or a name of :data:`METHODS`.

    Raises
    ------
    StepInputError
        If light curves that are needed are not given, or are of other stars or cadences.
    """
    stars = light_curves.sizes["star"]
    if method == "best":
        chosen = np.zeros(stars, np.int8) if corrections is None else corrections["best_correction"].values
    else:
        chosen = np.full(stars, int(METHODS[method]), np.int8)
    if chosen.size != stars:
        raise StepInputError(
            f"{step}: corrections of {chosen.size} stars, light curves of {stars}; expected the same. "
            "Open both by the ids in one lineage."
        )
    for number in np.unique(chosen[chosen != Correction.NONE]):
        kind = Correction(int(number))
        table = corrected.get(kind)
        sizes = None if table is None else (table.sizes["star"], table.sizes["time"])
        if sizes != (stars, light_curves.sizes["time"]):
            raise StepInputError(
                f"{step}: {kind.name} light curves (star, time) are {sizes}; expected "
                f"{(stars, light_curves.sizes['time'])}, those of the light curves. Open all by the ids in "
                "one lineage, or take method='measured'."
            )
    return np.asarray(chosen, np.int8)


def best_flux(
    light_curves: xr.Dataset, corrected: Mapping[Correction, xr.Dataset | None], chosen: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """
    Yield numbers of stars, and their flux in good cadences.

    Parameters
    ----------
    light_curves, corrected
        ``flux``, and ``flux_corr`` by correction (star, time).
    chosen
        (star) as of :func:`chosen_corrections`.

    Yields
    ------
    Numbers of the stars; float64 (star, good cadence) in ppm about the median, NaN where a bit sets a
    cadence apart, and for a star whose median is not positive.
    """
    good = good_cadences(light_curves)
    for some in star_blocks(light_curves):
        flux = np.full((some.size, int(good.sum())), np.nan)
        for number in np.unique(chosen[some]):
            mine = np.flatnonzero(chosen[some] == number)
            table = light_curves if number == Correction.NONE else corrected[Correction(int(number))]
            name = "flux" if number == Correction.NONE else "flux_corr"
            flux[mine] = _good_flux(table, name, some[mine], good)
        level = median_of_rows(flux)
        level = np.where(level > 0, level, np.nan)
        yield some, 1e6 * (flux / level[:, None] - 1)


def _good_flux(table: xr.Dataset, name: str, stars: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return a series (star, good cadence), NaN where a bit of the star sets a cadence apart."""
    names = [n for n in (name, "pixel_quality") if n in table.variables]
    values = dask.compute(*(table[n].transpose("star", "time").isel(star=stars).data for n in names))
    flux = np.compress(good, values[0], axis=1).astype(float)
    if len(values) > 1:
        flux[(np.compress(good, values[1], axis=1) & DEFAULT_BAD_KIT_BITS) != 0] = np.nan
    flux[~np.isfinite(flux)] = np.nan
    return flux
