"""The flux of stars that their spectra are made of: the correction that serves each best, in ppm."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import dask
import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.statistics import median_of_rows
from tasoc_kit.star_series import good_cadences, star_blocks
from tasoc_kit.step import Parameter
from tasoc_kit.vocabulary import DEFAULT_BAD_KIT_BITS, Correction

__all__ = ["METHODS", "NEEDS", "BestFlux", "ChosenMethod"]

METHODS = {
    "measured": Correction.NONE,
    "cbv": Correction.CBV,
    "ensemble": Correction.ENSEMBLE,
    "filtered": Correction.FILTER,
}
"""The names of the corrections, in the order in which steps take their light curves."""
ChosenMethod = Annotated[
    Literal["best", "measured", "cbv", "ensemble", "filtered"],
    Parameter("correction of the flux, or the best of each star"),
]
NEEDS = {
    "light_curves": ("flux", "time", "quality"),
    "corrections": ("best_correction",),
    "cbv_light_curves": ("flux_corr",),
    "ensemble_light_curves": ("flux_corr",),
    "filtered_light_curves": ("flux_corr",),
}
"""What a step reads that takes the best flux."""


@dataclass(frozen=True)
class BestFlux:
    """The flux of all stars of some tables, each corrected as it is best, or as was asked."""

    tables: Mapping[Correction, xr.Dataset | None]
    """Light curves by what they were corrected by; those that were measured by ``NONE``."""
    chosen: np.ndarray
    """int8 (star) whose flux is taken."""
    good: np.ndarray
    """bool (time) cadences that no bit of the frame sets apart."""
    time: np.ndarray
    """(good cadence) days."""
    sampling: float
    """Days from one cadence to the next; NaN where fewer than two are known."""

    @classmethod
    def of(
        cls, step: str, light_curves: xr.Dataset, corrections: xr.Dataset | None,
        *corrected: xr.Dataset | None, method: str,
    ) -> BestFlux:  # fmt: skip
        """
        Choose whose flux is taken.

        Parameters
        ----------
        step
            Who asks, for its messages.
        light_curves
            The stars.
        corrections
            ``best_correction`` of the same stars; without it the best is the flux as it was measured.
        corrected
            ``flux_corr`` by vectors, by neighbours, by the filter.
        method
            ``best``, or a name of :data:`METHODS`.

        Raises
        ------
        StepInputError
            If light curves that are needed are not given, or are of other stars or cadences.
        """
        tables = dict(zip(METHODS.values(), (light_curves, *corrected), strict=True))
        chosen = _chosen(step, light_curves.sizes["star"], corrections, method)
        _check(step, tables, chosen)
        good = good_cadences(light_curves)
        time = light_curves["time"].values[good]
        return cls(tables, chosen, good, time, _sampling(light_curves["time"].values))

    @property
    def star_table(self) -> dict[Hashable, xr.Variable]:
        """What is known of the stars beside their flux."""
        coords = self.tables[Correction.NONE].coords
        return {name: value.variable for name, value in coords.items() if value.dims == ("star",)}

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """
        Yield numbers of stars, and their flux.

        Yields
        ------
        Numbers of the stars; float64 (star, good cadence) in ppm about the median, NaN where a bit sets a
        cadence apart, and for a star whose median is not positive.
        """
        for some in star_blocks(self.tables[Correction.NONE]):
            flux = np.full((some.size, self.time.size), np.nan)
            for number in np.unique(self.chosen[some]):
                mine = np.flatnonzero(self.chosen[some] == number)
                name = "flux" if number == Correction.NONE else "flux_corr"
                flux[mine] = _good_flux(self.tables[Correction(int(number))], name, some[mine], self.good)
            level = median_of_rows(flux)
            level = np.where(level > 0, level, np.nan)
            yield some, 1e6 * (flux / level[:, None] - 1)


def _sampling(time: np.ndarray) -> float:
    known = time[np.isfinite(time)]
    return float(np.median(np.diff(known))) if known.size > 1 else np.nan


def _chosen(step: str, stars: int, corrections: xr.Dataset | None, method: str) -> np.ndarray:
    """Return the number of the correction (star) whose flux is taken."""
    if method != "best":
        return np.full(stars, int(METHODS[method]), np.int8)
    chosen = np.zeros(stars, np.int8) if corrections is None else corrections["best_correction"].values
    if chosen.size != stars:
        raise StepInputError(
            f"{step}: corrections of {chosen.size} stars, light curves of {stars}; expected the same. "
            "Open both by the ids in one lineage."
        )
    return np.asarray(chosen, np.int8)


def _check(step: str, tables: Mapping[Correction, xr.Dataset | None], chosen: np.ndarray) -> None:
    """Raise where light curves that are needed are not there, or are of other stars or cadences."""
    expected = tuple(tables[Correction.NONE].sizes[name] for name in ("star", "time"))
    for number in np.unique(chosen):
        kind = Correction(int(number))
        table = tables[kind]
        sizes = None if table is None else (table.sizes["star"], table.sizes["time"])
        if sizes != expected:
            raise StepInputError(
                f"{step}: {kind.name} light curves (star, time) are {sizes}; expected {expected}, those of "
                "the light curves. Open all by the ids in one lineage, or take method='measured'."
            )


def _good_flux(table: xr.Dataset, name: str, stars: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return a series (star, good cadence), NaN where a bit of the star sets a cadence apart."""
    names = [n for n in (name, "pixel_quality") if n in table.variables]
    values = dask.compute(*(table[n].transpose("star", "time").isel(star=stars).data for n in names))
    flux = np.compress(good, values[0], axis=1).astype(float)
    if len(values) > 1:
        flux[(np.compress(good, values[1], axis=1) & DEFAULT_BAD_KIT_BITS) != 0] = np.nan
    flux[~np.isfinite(flux)] = np.nan
    return flux
