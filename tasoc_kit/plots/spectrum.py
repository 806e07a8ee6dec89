"""The power density spectrum of a star, with what it is made of."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.numerics.oscillation_model import ENVELOPE, GRANULATION, model_of
from tasoc_kit.plots.shown_star import no_star
from tasoc_kit.plots.theme import FLAG_COLOURS, GOOD, MODEL, MUTED, SELECTED, series_options

__all__ = ["FREQUENCY_TICKS", "smooth_spectrum", "spectral_window", "spectrum", "spectrum_model"]

_BINS_PER_E = 40
FREQUENCY_TICKS = [factor * 10.0**power for power in range(5) for factor in (1, 2, 5)]
"""µHz, even on a logarithmic axis, where the usual ones crowd at its end."""
_DRAWN = 400
_COLOURS = {
    "white noise": MODEL["read-out"],
    "slow variation": FLAG_COLOURS[1],
    "granulation": MODEL["star"],
    "oscillations": MODEL["zodiacal light"],
    "all of it": MODEL["total"],
}
_LEAST_SHARE = 1e-8
_DEEPEST = 0.1
"""Of the low end of the smoothed power: so far down a part is drawn."""


def smooth_spectrum(frequency: np.ndarray, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean frequencies and powers of bins that are even in the logarithm."""
    if not frequency.size:
        return frequency, power
    number = np.floor(_BINS_PER_E * np.log(frequency / frequency[0])).astype(int)
    start = np.flatnonzero(np.diff(number, prepend=-1))
    count = np.diff(np.append(start, frequency.size))
    return np.add.reduceat(frequency, start) / count, np.add.reduceat(power, start) / count


def spectrum_model(oscillations: xr.Dataset, star: int, frequency: np.ndarray) -> dict[str, np.ndarray]:
    """
    Return the parts of the model of a spectrum, ppm²/µHz, by name; empty for a star without one.

    Parameters
    ----------
    oscillations
        The product.
    star
        Its number in the table.
    frequency
        µHz.
    """
    one = oscillations.isel(star=star)
    heights, numax = one["part_height"].values.astype(float), float(one["numax"])
    if not (np.isfinite(numax) and np.isfinite(heights).all()):
        return {}
    limits = oscillations.attrs["nyquist"], oscillations.attrs["resolution"]
    parts = model_of(frequency, numax, heights, *limits, float(one["envelope_width"]))
    return {
        "white noise": parts[0],
        "slow variation": parts[1],
        "granulation": parts[GRANULATION].sum(axis=0),
        "oscillations": parts[ENVELOPE],
        "all of it": parts.sum(axis=0),
    }


def spectrum(spectra: xr.Dataset, star: int, oscillations: xr.Dataset | None = None) -> hv.Overlay:
    """
    Draw the spectrum of a star, as it is and smoothed, both axes logarithmic.

    Parameters
    ----------
    spectra
        The product; without any star the figure says so.
    star
        Its number in the table.
    oscillations
        The product; its model of the star is drawn, where it has one, and the interval of νmax.
    """
    if not spectra.sizes["star"]:
        return no_star()
    frequency = spectra["frequency"].values
    power = spectra["power"].isel(star=star).values.astype(float)
    power = np.where(power > 0, power, np.nan)
    axes = "frequency", "power"
    drawn: list[hv.Element] = [
        hv.Curve((frequency, power), *axes, label="power density").opts(
            color=MUTED, line_width=0.7, alpha=0.6
        )
    ]
    known = np.isfinite(power).any()
    at, smooth = smooth_spectrum(frequency, np.nan_to_num(power))
    drawn.append(
        hv.Curve((at, np.where(smooth > 0, smooth, np.nan)), *axes, label="smoothed").opts(
            color=GOOD, line_width=1.6
        )
    )
    if oscillations is not None and known:
        drawn += _model(oscillations, star, frequency, _DEEPEST * float(np.percentile(smooth[smooth > 0], 5)))
    return hv.Overlay(drawn).opts(
        title=f"TIC {int(spectra['tic'].values[star])}" if "tic" in spectra.variables else "",
        xlabel="frequency (µHz)",
        ylabel="power density (ppm²/µHz)",
        logx=True,
        logy=True,
        xticks=FREQUENCY_TICKS,
        **series_options(height=380),
    )


def _model(oscillations: xr.Dataset, star: int, frequency: np.ndarray, lowest: float) -> list[hv.Element]:
    """Return the parts of the model as curves, and the interval of νmax."""
    at = np.geomspace(frequency[0], frequency[-1], _DRAWN)
    drawn: list[hv.Element] = []
    for name, values in spectrum_model(oscillations, star, at).items():
        shown = np.where(values > lowest, values, np.nan)
        if np.isfinite(shown).any():
            drawn.append(
                hv.Curve((at, shown), "frequency", "power", label=name).opts(
                    color=_COLOURS[name],
                    line_width=2.0 if name == "all of it" else 1.4,
                    line_dash="solid" if name == "all of it" else "dashed",
                )
            )
    one = oscillations[["numax_low", "numax_high"]].isel(star=star)
    if drawn:
        drawn.append(
            hv.VSpan(float(one["numax_low"]), float(one["numax_high"])).opts(color=SELECTED, alpha=0.15)
        )
    return drawn


def spectral_window(spectra: xr.Dataset) -> hv.Overlay:
    """Draw what the gaps make of a single wave: the power that it has beside its frequency."""
    at, power = spectra["offset"].values, np.maximum(spectra["spectral_window"].values, _LEAST_SHARE)
    return hv.Overlay([hv.Curve((at, power), "offset", "power").opts(color=GOOD)]).opts(
        xlabel="distance from the frequency of a wave (µHz)",
        ylabel="share of its power",
        logy=True,
        **series_options(height=220),
    )
