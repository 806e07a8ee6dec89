"""Rotation: the autocorrelation of a star, and the periods of all."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.numerics.autocorrelation import autocorrelation, even_grid
from tasoc_kit.plots.folded import folded
from tasoc_kit.plots.shown_star import no_star
from tasoc_kit.plots.theme import FLAG_COLOURS, GOOD, MUTED, SELECTED, STAR, series_options
from tasoc_kit.vocabulary import RotationFlag

__all__ = ["repetition", "rotation"]


def repetition(measured: xr.Dataset, star: int, flux: xr.Dataset) -> hv.Layout:
    """
    Draw the autocorrelation of a star with its periods marked, and its light curve folded with the period.

    Parameters
    ----------
    measured
        The product ``rotation``; without any star the figure says so.
    star
        Its number in the table.
    flux
        ``relative_flux`` of this star alone.
    """
    if not measured.sizes["star"]:
        return hv.Layout([no_star()])
    one, time, values = measured.isel(star=star), flux["time"].values, flux["relative_flux"].values
    lag, acf = np.empty(0), np.empty(0)
    if time.size > 1:
        cadence = float(np.median(np.diff(time)))
        acf = autocorrelation(even_grid(values, time, cadence))[0]
        lag = cadence * np.arange(acf.size)
    marks = [
        hv.VLine(float(one[name])).opts(color=colour, line_dash=dash, line_width=1.5)
        for name, colour, dash in (
            ("acf_period", SELECTED, "solid"),
            ("spectrum_period", FLAG_COLOURS[0], "dashed"),
        )
        if np.isfinite(one[name])
    ]
    curve = hv.Curve((lag, acf), "lag", "acf").opts(color=GOOD)
    name = f"TIC {int(one['tic'])}" if "tic" in one.coords else f"star {star}"
    drawn = hv.Overlay([curve, *marks]).opts(
        title=f"{name} · period of the autocorrelation solid, of the spectrum dashed",
        xlabel="lag (d)",
        ylabel="autocorrelation",
        **series_options(height=260),
    )
    return (
        hv.Layout([drawn, folded(time, values[0], float(one["rotation_period"]))])
        .opts(shared_axes=False)
        .cols(1)
    )


def rotation(measured: xr.Dataset) -> hv.Overlay:
    """
    Draw the range of variation of every star that has a period against it.

    Parameters
    ----------
    measured
        The product ``rotation``.
    """
    period, size, bits = (
        measured[name].values for name in ("rotation_period", "variation_range", "rotation_flags")
    )
    differ, twice = ((bits & flag) > 0 for flag in (RotationFlag.DISAGREE, RotationFlag.TWICE))
    groups = (
        ("spectrum agrees", ~differ & ~twice, GOOD),
        ("spectrum has half of it", twice, STAR),
        ("spectrum has another", differ, MUTED),
    )
    parts = [
        hv.Scatter((period[some], size[some]), "period", "range", label=label).opts(
            color=colour, size=5, tools=["hover"]
        )
        for label, some, colour in groups
    ]
    return hv.Overlay(parts).opts(
        xlabel="period of rotation (d)",
        ylabel="range of variation (ppm)",
        logx=True,
        logy=True,
        **series_options(height=320),
    )
