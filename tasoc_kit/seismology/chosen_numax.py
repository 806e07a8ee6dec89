"""What the spectrum of one star says where a person puts νmax: quick enough for a line that is dragged."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit import vocabulary
from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.oscillation_model import ENVELOPE, PARTS, model_of
from tasoc_kit.seismology.envelope import Trials, fit_at, make_trials
from tasoc_kit.seismology.scaling import scale_stars
from tasoc_kit.seismology.separation import find_separation

__all__ = ["chosen_trials", "oscillations_at"]

ENDS = ("", "_low", "_high")


def _every(spectra: xr.Dataset) -> int:
    """Return how many frequencies stand in one over the time span."""
    frequency = spectra["frequency"].values
    return max(1, round(float(spectra.attrs["resolution"]) / frequency[0])) if frequency.size else 1


def chosen_trials(spectra: xr.Dataset) -> Trials | None:
    """Return what :func:`oscillations_at` asks of a grid of frequencies; None where it is too short."""
    every = _every(spectra)
    return make_trials(spectra["frequency"].values[every - 1 :: every], float(spectra.attrs["nyquist"]))


def oscillations_at(spectra: xr.Dataset, star: int, numax: float, trials: Trials | None = None) -> xr.Dataset:
    """
    Return the oscillations of one star with νmax where it is put.

    Parameters
    ----------
    spectra
        The product.
    star
        Its number in the table.
    numax
        µHz; the nearest trial is taken, 0.6 % off at most.
    trials
        As of :func:`chosen_trials`, where they are at hand.

    Returns
    -------
    The variables of the product ``oscillations`` that follow from νmax, for this star alone. Its interval
    has no width, so those of mass, radius and log g are of Δν and the temperature alone.

    Raises
    ------
    StepInputError
        If νmax is not within the spectrum, or the star has none.
    """
    grid = chosen_trials(spectra) if trials is None else trials
    low, high = (np.nan, np.nan) if grid is None else (float(grid.numax[0]), float(grid.numax[-1]))
    if grid is None or not low <= numax <= high:
        raise StepInputError(
            f"oscillations_at: numax={numax:g} µHz; expected {low:.1f} to {high:.1f}. Choose one within."
        )
    every, nyquist = _every(spectra), float(spectra.attrs["nyquist"])
    frequency = spectra["frequency"].values[every - 1 :: every]
    power = spectra["power"].isel(star=star).values[every - 1 :: every].astype(float)
    if not np.isfinite(power).all() or not (power > 0).any():
        raise StepInputError(f"oscillations_at: star {star} has no spectrum. Choose another.")
    taken, width, heights = fit_at(power, grid, numax)
    background = model_of(frequency, taken, heights, nyquist, frequency[0])[:ENVELOPE].sum(axis=0)
    dnu = find_separation(frequency, power / background, taken, width, np.random.default_rng(star))
    told = {"numax" + end: np.array([taken]) for end in ENDS}
    told |= {"dnu" + end: np.array([value]) for end, value in zip(ENDS, dnu, strict=True)}
    teff = spectra["teff"].values[[star]].astype(float) if "teff" in spectra.variables else np.array([np.nan])
    told |= scale_stars(told, teff)
    told["envelope_height"], told["white_noise"] = heights[[ENVELOPE]], heights[[0]]
    told["envelope_width"] = np.array([width])
    return vocabulary.label(
        xr.Dataset(
            {name: ("star", values.astype(np.float32)) for name, values in told.items()}
            | {"part_height": (("star", "part"), heights[None].astype(np.float32))},
            coords={"part_name": ("part", np.array(PARTS, object))}
            | {n: v.variable[[star]] for n, v in spectra.coords.items() if v.dims == ("star",)},
            attrs={name: spectra.attrs[name] for name in ("nyquist", "resolution")},
        )
    )
