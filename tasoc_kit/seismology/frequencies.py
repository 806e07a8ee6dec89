"""Frequencies: the waves that a pulsating star's light curve is made of, strongest first.

The list is made by prewhitening (:mod:`~tasoc_kit.seismology.prewhitening`). Stars whose spectrum has no
peak that stands out of its noise have none; most stars are done after one spectrum. Combinations and
harmonics are not named: whether a frequency is one depends on errors that stand beside it.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr

from tasoc_kit.seismology.best_flux import NEEDS, BestFlux, ChosenMethod
from tasoc_kit.seismology.power_density import MICROHERTZ
from tasoc_kit.seismology.prewhitening import WaveList, prewhiten
from tasoc_kit.step import Parameter, step

__all__ = ["extract_frequencies"]

PEAKS = ("peak_frequency", "peak_amplitude", "peak_phase", "peak_snr", "peak_frequency_err",
         "peak_amplitude_err", "peak_phase_err")  # fmt: skip
PRECISE = ("peak_frequency", "peak_frequency_err")


@step(
    version=1,
    product="frequencies",
    needs=NEEDS,
    gives=(*PEAKS, "peak_number", "residual_scatter", "phase_time"),
    libraries=("numpy", "astropy", "finufft"),
)
def extract_frequencies(
    light_curves: xr.Dataset,
    corrections: xr.Dataset | None = None,
    cbv_light_curves: xr.Dataset | None = None,
    ensemble_light_curves: xr.Dataset | None = None,
    filtered_light_curves: xr.Dataset | None = None,
    *,
    method: ChosenMethod = "best",
    number: Annotated[int, Parameter("frequencies of a star at most", ge=1, le=200)] = 20,
    false_alarm: Annotated[
        float, Parameter("share of stars without pulsation in which noise may pass for one", gt=0, le=0.5)
    ] = 0.001,
) -> xr.Dataset:
    """
    Extract the frequencies of every star that varies.

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
    number
        Frequencies at most.
    false_alarm
        It sets the signal-to-noise ratio at which a list ends: 4.5 for 0.001 in a sector of 30 min, never
        below 4 (Breger+ 1993).

    Returns
    -------
    (star, rank), in the order in which they were found, NaN where there are no more: ``peak_frequency``
    (µHz), ``peak_amplitude`` (ppm), ``peak_phase`` (of a sine, radians, at ``phase_time``), ``peak_snr``,
    and the errors of the first three. (star): ``peak_number``, ``residual_scatter`` (ppm), ``phase_time``
    (BTJD), and the star table of the light curves.

    Raises
    ------
    StepInputError
        If corrected light curves that are needed are not given, or are of other stars or cadences.
    """
    kinds = cbv_light_curves, ensemble_light_curves, filtered_light_curves
    series = BestFlux.of("extract_frequencies", light_curves, corrections, *kinds, method=method)
    time, sampling = series.time, series.sampling
    stars, middle = light_curves.sizes["star"], 0.5 * (time[0] + time[-1]) if time.size else np.nan
    columns = {name: np.full((stars, number), np.nan) for name in PEAKS}
    residual = np.full(stars, np.nan)
    for some, flux in series.blocks():
        found = prewhiten(flux, time - middle, sampling, number=number, false_alarm=false_alarm)
        residual[some] = found.residual
        for name, values in zip(PEAKS, _with_errors(found, time, sampling), strict=True):
            columns[name][some] = values
    count = np.isfinite(columns["peak_frequency"]).sum(axis=1)
    return xr.Dataset(
        {
            name: (("star", "rank"), values.astype(np.float64 if name in PRECISE else np.float32))
            for name, values in columns.items()
        }
        | {
            "peak_number": ("star", count.astype(np.int16)),
            "residual_scatter": ("star", residual.astype(np.float32)),
            "phase_time": ("star", np.full(stars, middle)),
        },
        coords=series.star_table,
    )


def _with_errors(found: WaveList, time: np.ndarray, cadence: float) -> tuple[np.ndarray, ...]:
    """
    Return the columns of the list (Montgomery & O'Donoghue 1999, eq. 10 to 12).

    Their σ(a) = √(2/N) σ is √(2/π) times the mean amplitude of the spectrum that white noise has, so that the
    ratio of a peak to the noise about it stands for σ.
    """
    share = np.sqrt(2 / np.pi) / found.snr
    span = float(np.ptp(time)) + cadence if time.size else np.nan
    errors = np.sqrt(3) / np.pi / span * MICROHERTZ * share, share * found.amplitude, share
    return found.frequency, found.amplitude, found.phase, found.snr, *errors
