"""How far the noise of light curves is above what photons and reading allow."""

from __future__ import annotations

import warnings
from pathlib import Path

import dask
import numpy as np
import xarray as xr
from photometry_plan import THREADS, open_plan

from tasoc_kit.numerics.detector import SCIENCE_COLUMNS, output_of_columns
from tasoc_kit.numerics.noise import expected_noise
from tasoc_kit.numerics.statistics import point_to_point
from tasoc_kit.photometry.diagnostics import make_diagnostics
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.simulation import open_truth
from tasoc_kit.simulation.ffi_cards import READ_NOISES
from tasoc_kit.simulation.sector import Sector
from tasoc_kit.simulation.settings import SectorSettings

__all__ = ["FAINTEST_FLOOR", "noise_ratios"]

MAGNITUDES = ((7, 9), (9, 10), (10, 11), (11, 12), (12, 13), (13, 14), (14, 15))
FAINTEST_FLOOR = 13
"""Magnitude up to which noise is held against the floor, which knows no light of unseen neighbours."""
CONTAMINATED = 0.1
FEWEST_STARS = 8


def noise_floor(
    apertures: xr.Dataset, flux: np.ndarray, background: np.ndarray, sector: Sector, column: int
) -> np.ndarray:
    """
    Return the photon and read noise of every star in every frame, electron/s.

    It is that of the simulation, not of the fitted noise model: Poisson noise of all electrons in
    the mask, sky of the frame included, and the read noise of the outputs that its columns belong to.
    """
    columns = SCIENCE_COLUMNS.start + np.arange(sector.settings.columns)
    outputs = np.array(READ_NOISES)[output_of_columns(columns)]
    star = np.repeat(np.arange(apertures.sizes["star"]), apertures["row_size"].values)
    reads = round(sector.settings.cadence / 2 * 0.8)
    square = outputs[apertures["pixel_column"].values - column] ** 2 * reads / sector.live**2
    reading = np.bincount(star, square, minlength=apertures.sizes["star"])
    return np.sqrt(reading[:, None] + (flux + background) / sector.live)


def hour_over_model(
    curves: xr.Dataset, apertures: xr.Dataset, sector: Sector
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the noise of one hour of every star ÷ what the model of TASOC's data validation expects, twice.

    The model has the pixels and the sky that each star really has and a systematic floor of 5 ppm. The
    first ratio is to that of a whole hour of light, as data validation has it. The second is to that of the
    light that is collected in an hour: exposures are shorter than the cadence, and cosmic rays
    take their share of what is left.
    """
    measured = make_diagnostics(curves, apertures)["rms_hour"].values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # stars without a light curve
        sky = np.nanmedian(curves["background"].values, axis=1)
    mask = {"pixels": curves["row_size"].values.astype(float), "sky": sky, "systematic": 5.0}
    share = sector.live / sector.settings.cadence
    whole, collected = (
        1e6 * measured / expected_noise(curves["tmag"].values, seconds=seconds, **mask).total
        for seconds in (3600.0, 3600.0 * share)
    )
    return whole, collected


def noise_ratios(folder: Path) -> dict[tuple[int, int], tuple[float, float, float, int]]:
    """
    Return for each range of magnitudes three medians, and the number of stars.

    Point-to-point noise ÷ the floor of photons and reading; noise of one hour ÷ TASOC's model of an hour
    of light, and of the light that is collected in it. Only stars that do not vary, with contamination
    below 0.1, in cadences without a bad bit.
    """
    plan = open_plan(folder)
    apertures = plan.apertures
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        stream = stream_frames(plan.cube, plan.reference, apertures, plan.quality).compute()
        sky = fit_sky(stream, plan.reference, plan.quality)
        curves = make_light_curves(stream, sky, apertures, plan.reference, plan.quality).compute()
    truth = open_truth(folder)
    sector = Sector(SectorSettings.model_validate_json(truth.attrs["settings"]))
    flux = np.where(good_cadences(plan.quality), curves["flux"].values.astype(float), np.nan)
    column = int(plan.cube["column"].values[0])
    floor = noise_floor(apertures, flux, curves["background"].values, sector, column)
    usable = (curves["row_size"].values > 0) & (curves["contamination"].values < CONTAMINATED)
    usable &= ~np.isin(curves["tic"].values, truth["tic"].values[truth["variable_star"].values])
    ratio = np.full(usable.size, np.nan)
    ratio[usable] = point_to_point(flux[usable]) / np.nanmedian(floor[usable], axis=1)
    hours = hour_over_model(curves, apertures, sector)
    tmag, found = curves["tmag"].values, {}
    for low, high in MAGNITUDES:
        inside = usable & (tmag >= low) & (tmag < high)
        if inside.sum() < FEWEST_STARS:
            raise RuntimeError(f"only {inside.sum()} stars of T {low} to {high}; expected {FEWEST_STARS}")
        ratios = (float(np.nanmedian(values[inside])) for values in (ratio, *hours))
        found[low, high] = (*ratios, int(inside.sum()))
    return found
