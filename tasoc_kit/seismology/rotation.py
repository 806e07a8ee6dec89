"""Rotation: the period at which the light curve of a star repeats itself, and how much it varies.

Two ways tell it (:mod:`~tasoc_kit.seismology.repetition`): autocorrelation and spectrum. A period is stated
where the autocorrelation has a peak that noise has not; bits say whether the spectrum agrees. Whatever
repeats itself has such a period, a pulsating star too: the class of a star is told by ``variability``.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr

from tasoc_kit.seismology.best_flux import NEEDS, BestFlux, ChosenMethod
from tasoc_kit.seismology.repetition import Repetition, find_repetition
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import RotationFlag

__all__ = ["measure_rotation", "photometric_activity"]

MEASURED = ("rotation_period", "rotation_period_err", "acf_period", "acf_height", "spectrum_period",
            "spectrum_period_err", "variation_range", "photometric_activity")  # fmt: skip
AGREE = 0.15
"""Share by which two periods may differ."""
OF_WIDTH = 0.3
"""Of the half width of the spectrum's peak: the error that spots which move and fade leave, so that 68 of 100
simulated rotators are within the error."""
ROTATIONS = 5
"""In each of the pieces whose scatter is the photometric activity."""
RANGE = (5, 95)
NOISE = 6.0
"""Over the root of the number of cadences: noise alone has no peak as high."""


@step(
    version=1,
    product="rotation",
    needs=NEEDS,
    gives=(*MEASURED, "rotation_flags"),
    libraries=("numpy", "scipy", "astropy", "finufft"),
)
def measure_rotation(
    light_curves: xr.Dataset,
    corrections: xr.Dataset | None = None,
    cbv_light_curves: xr.Dataset | None = None,
    ensemble_light_curves: xr.Dataset | None = None,
    filtered_light_curves: xr.Dataset | None = None,
    *,
    method: ChosenMethod = "best",
    height: Annotated[
        float,
        Parameter("height of the peak of the autocorrelation from which a period is stated", ge=0, le=2),
    ] = 0.2,
) -> xr.Dataset:
    """
    Measure the period of rotation of every star.

    Parameters
    ----------
    light_curves
        ``flux`` (star, time) with ``time`` and bits.
    corrections
        Which correction serves each star best; without it the flux is taken as it was measured.
    cbv_light_curves, ensemble_light_curves, filtered_light_curves
        ``flux_corr`` of the same stars and cadences.
    method
        The correction that is taken for all stars, or the best of each.
    height
        Peaks that are lower over the troughs beside them are not taken for a rotation; nor are those below 6
        over the root of the number of cadences, which noise may have.

    Returns
    -------
    (star): ``rotation_period`` and its error (d), NaN where none is stated; ``acf_period``, ``acf_height``,
    ``spectrum_period`` and its error, whatever they are worth; ``variation_range`` (ppm), between the 5th and
    95th percentile (Basri+ 2011, AJ 141 20); ``photometric_activity`` (ppm), the mean scatter over five
    rotations (Mathur+ 2014, A&A 562 A124); ``rotation_flags``; and the star table of the light curves.

    Raises
    ------
    StepInputError
        If corrected light curves that are needed are not given, or are of other stars or cadences.
    """
    kinds = cbv_light_curves, ensemble_light_curves, filtered_light_curves
    series = BestFlux.of("measure_rotation", light_curves, corrections, *kinds, method=method)
    time, sampling = series.time, series.sampling
    stars = light_curves.sizes["star"]
    columns = {name: np.full(stars, np.nan, np.float32) for name in MEASURED}
    bits = np.zeros(stars, np.int32)
    for some, flux in series.blocks():
        told, bits[some] = _measured(flux, time, sampling, height)
        for name, values in told.items():
            columns[name][some] = values
    return xr.Dataset(
        {name: ("star", values) for name, values in columns.items()} | {"rotation_flags": ("star", bits)},
        coords=series.star_table,
    )


def _measured(
    flux: np.ndarray, time: np.ndarray, cadence: float, height: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the columns and the bits of some stars."""
    found = find_repetition(flux, time, cadence)
    cadences = np.isfinite(flux).sum(axis=1)
    bits = _bits(found, np.maximum(height, NOISE / np.sqrt(np.maximum(cadences, 1))))
    stated = (bits & RotationFlag.NOT_FOUND) == 0
    error = np.hypot(found.acf_period_err, OF_WIDTH * found.spectrum_period_err)
    period = np.where(stated, found.acf_period, np.nan)
    told = {
        "rotation_period": period,
        "rotation_period_err": np.where(stated, error, np.nan),
        "variation_range": _range(flux),
        "photometric_activity": photometric_activity(flux, time, period),
    }
    return told | {name: getattr(found, name) for name in MEASURED if name in Repetition._fields}, bits


def _bits(found: Repetition, height: np.ndarray) -> np.ndarray:
    """Return the flags (star)."""
    ratio = found.acf_period / found.spectrum_period
    known = np.isfinite(ratio)
    same, twice = (known & (np.abs(ratio / k - 1) <= AGREE) for k in (1, 2))
    bits = np.zeros(ratio.size, np.int32)
    for flag, there in (
        (RotationFlag.NOT_FOUND, ~(np.nan_to_num(found.acf_height) >= height)),
        (RotationFlag.DISAGREE, known & ~same & ~twice),
        (RotationFlag.TWICE, twice),
        (RotationFlag.LONG, found.long),
    ):
        bits |= np.where(there, int(flag), 0).astype(np.int32)
    return bits


def _range(flux: np.ndarray) -> np.ndarray:
    """Return the distance of two percentiles (star); NaN where nothing is known."""
    found, some = np.full(len(flux), np.nan), np.isfinite(flux).any(axis=1)
    if some.any():
        found[some] = np.ptp(np.nanpercentile(flux[some], RANGE, axis=1), axis=0)
    return found


def photometric_activity(flux: np.ndarray, time: np.ndarray, period: np.ndarray) -> np.ndarray:
    """
    Return the mean of the scatters of pieces of five rotations.

    Parameters
    ----------
    flux
        (star, time) ppm; NaN where nothing is known.
    time
        (time) days.
    period
        (star) days; NaN gives NaN. A light curve shorter than five rotations is one piece.
    """
    found = np.full(len(flux), np.nan)
    for star in np.flatnonzero(np.isfinite(period)):
        known = np.isfinite(flux[star])
        piece = ((time[known] - time[0]) / (ROTATIONS * period[star])).astype(int)
        count = np.maximum(np.bincount(piece), 1)
        values = flux[star, known]
        left = values - (np.bincount(piece, values) / count)[piece]
        scatter = np.sqrt(np.bincount(piece, left**2) / count)
        # A last piece of less than half the length says too little.
        full = count >= 0.5 * count.max()
        found[star] = scatter[full].mean()
    return found
