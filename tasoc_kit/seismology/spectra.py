"""Spectra: the power density of every star of a CCD, on one grid of frequencies.

The flux is that of the correction which serves a star best, in ppm about its median, in cadences that no bit
sets apart; gaps stay gaps. It is not filtered: slow variation is a part of the model that is fitted to a
spectrum, and what a filter takes away nobody could see. Times are those at the middle of the CCD: by the
barycentric correction of its corners a frequency would change by 2 · 10⁻⁵ of itself.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr

from tasoc_kit.seismology.best_flux import NEEDS, BestFlux, ChosenMethod
from tasoc_kit.seismology.power_density import (
    MICROHERTZ,
    frequency_grid,
    power_density,
    spectral_window,
)
from tasoc_kit.step import Parameter, step

__all__ = ["make_spectra"]

FEWEST = 8
"""Cadences below which there is no spectrum."""
OFFSETS, PER_STEP = 64, 8
"""Resolutions that the spectral window reaches to, and its samples in each."""
WHITE = 0.1
"""Share of the frequencies, the highest, that tell the level of the noise."""


@step(
    version=1,
    product="spectra",
    needs=NEEDS,
    gives=("frequency", "power", "offset", "spectral_window", "noise_level", "known_cadences",
           "spectrum_correction"),
    libraries=("numpy", "astropy", "finufft"),
)  # fmt: skip
def make_spectra(
    light_curves: xr.Dataset,
    corrections: xr.Dataset | None = None,
    cbv_light_curves: xr.Dataset | None = None,
    ensemble_light_curves: xr.Dataset | None = None,
    filtered_light_curves: xr.Dataset | None = None,
    *,
    method: ChosenMethod = "best",
    oversampling: Annotated[int, Parameter("frequencies in one over the time span", ge=1, le=50)] = 1,
) -> xr.Dataset:
    """
    Make the power density spectrum of every star.

    Parameters
    ----------
    light_curves
        ``flux`` (star, time) with ``time`` and bits; those of one star from a file serve as well.
    corrections
        Which correction serves each star best; without it the flux is taken as it was measured.
    cbv_light_curves, ensemble_light_curves, filtered_light_curves
        ``flux_corr`` of the same stars and cadences.
    method
        The correction that is taken for all stars, or the best of each.
    oversampling
        Frequencies in one over the time span. One: neighbours are then nearly independent, as the
        statistics of the oscillations assume. More, for peaks read by eye.

    Returns
    -------
    ``power`` (star, frequency), ppm²/µHz, from one step of ``frequency`` (µHz) to just below half the
    sampling: its integral is the variance of the flux. NaN for a star with fewer than eight cadences.
    ``spectral_window`` (offset), that of all good cadences. (star): ``noise_level``, ``known_cadences``,
    ``spectrum_correction``, and the star table of the light curves. Attrs ``nyquist`` and ``resolution``,
    µHz, 0 where no cadence is good.

    Raises
    ------
    StepInputError
        If corrected light curves that are needed are not given, or are of other stars or cadences.
    """
    kinds = cbv_light_curves, ensemble_light_curves, filtered_light_curves
    series = BestFlux.of("make_spectra", light_curves, corrections, *kinds, method=method)
    time, sampling = series.time, series.sampling
    enough = time.size >= FEWEST
    frequency = frequency_grid(time, sampling, oversampling) if enough else np.empty(0)
    resolution = oversampling * frequency[0] if frequency.size else 0.0
    offset = resolution / PER_STEP * np.arange(PER_STEP * OFFSETS + 1) if frequency.size else np.empty(0)
    stars = light_curves.sizes["star"]
    power = np.full((stars, frequency.size), np.nan, np.float32)
    known = np.zeros(stars, np.int32)
    for some, flux in series.blocks():
        known[some] = np.isfinite(flux).sum(axis=1)
        if frequency.size:
            power[some] = power_density(flux, time, frequency, sampling)
    last = power[:, frequency.size - max(1, int(WHITE * frequency.size)) :]
    level = last.mean(axis=1) if frequency.size else np.full(stars, np.nan, np.float32)
    return xr.Dataset(
        {
            "power": (("star", "frequency"), power),
            "spectral_window": ("offset", spectral_window(time, offset)),
            "noise_level": ("star", level),
            "known_cadences": ("star", known),
            "spectrum_correction": ("star", series.chosen),
        },
        coords={"frequency": frequency, "offset": offset} | series.star_table,
        attrs={"nyquist": 0.5 * MICROHERTZ / sampling if enough else 0.0, "resolution": float(resolution)},
    )
