"""The frequencies of pulsating stars, and what is left of a spectrum without them."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr
from astropy.timeseries import LombScargle

from tasoc_kit.plots.shown_star import no_star
from tasoc_kit.plots.theme import GOOD, MUTED, SELECTED, plain_numbers, series_options

__all__ = ["frequencies", "prewhitening"]

_MICROHERTZ = 1e6 / 86400
_OVERSAMPLING = 5
_FEWEST = 8


def _amplitudes(time: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies, µHz, and the amplitudes of waves there; nothing of too few cadences."""
    known = np.isfinite(flux)
    if known.sum() < _FEWEST:
        return np.empty(0), np.empty(0)
    span, step = np.ptp(time[known]), np.median(np.diff(time[known]))
    per_day = np.arange(1, int(0.5 / step * span * _OVERSAMPLING)) / span / _OVERSAMPLING
    power = LombScargle(time[known], flux[known]).power(per_day, normalization="psd")
    return per_day * _MICROHERTZ, np.sqrt(4 * np.maximum(power, 0) / known.sum())


def _waves(one: xr.Dataset, time: np.ndarray) -> np.ndarray:
    """Return the sum of the waves of a star, ppm."""
    listed = np.isfinite(one["peak_frequency"].values)
    frequency, amplitude, phase = (
        one[name].values[listed].astype(float) for name in ("peak_frequency", "peak_amplitude", "peak_phase")
    )
    turn = 2 * np.pi * np.outer(frequency / _MICROHERTZ, time - float(one["phase_time"]))
    return np.asarray(amplitude @ np.sin(turn + phase[:, None]))


def prewhitening(found: xr.Dataset, star: int, flux: xr.Dataset) -> hv.Overlay:
    """
    Draw the spectrum of a star before and after its waves are taken away, and these.

    Parameters
    ----------
    found
        The product ``frequencies``; without any star the figure says so.
    star
        Its number in the table.
    flux
        ``relative_flux`` of this star alone.
    """
    if not found.sizes["star"]:
        return no_star()
    one, time = found.isel(star=star), flux["time"].values
    before = flux["relative_flux"].values[0]
    after = before - _waves(one, time)
    listed = np.isfinite(one["peak_frequency"].values)
    peaks = one["peak_frequency"].values[listed], one["peak_amplitude"].values[listed]
    curves = [
        hv.Curve(_amplitudes(time, values), "frequency", "amplitude", label=name).opts(
            color=colour, line_width=1
        )
        for name, values, colour in (("before", before, MUTED), ("after", after, GOOD))
    ]
    stems = hv.Spikes(peaks, "frequency", "amplitude").opts(color=SELECTED, line_width=1.5)
    heads = hv.Scatter(peaks, "frequency", "amplitude", label="frequencies").opts(
        color=SELECTED, size=6, tools=["hover"]
    )
    name = f"TIC {int(one['tic'])}" if "tic" in one.coords else f"star {star}"
    return hv.Overlay([*curves, stems, heads]).opts(
        title=f"{name} · {int(listed.sum())} frequencies",
        xlabel="frequency (µHz)",
        ylabel="amplitude (ppm)",
        hooks=[plain_numbers],
        **series_options(height=320),
    )


def frequencies(found: xr.Dataset) -> hv.Overlay:
    """
    Draw the amplitude of every frequency of every star; the strongest of each star stand out.

    Parameters
    ----------
    found
        The product ``frequencies``.
    """
    frequency, amplitude = found["peak_frequency"].values, found["peak_amplitude"].values
    parts = [
        hv.Scatter((x, y), "peak_frequency", "peak_amplitude", label=name).opts(
            color=colour, size=size, tools=["hover"], alpha=0.8
        )
        for name, x, y, colour, size in (
            ("further ones", frequency[:, 1:].ravel(), amplitude[:, 1:].ravel(), MUTED, 3),
            ("the first of a star", frequency[:, 0], amplitude[:, 0], SELECTED, 6),
        )
    ]
    return hv.Overlay(parts).opts(
        xlabel="frequency (µHz)", ylabel="amplitude (ppm)", logy=True, **series_options(height=300)
    )
