"""The light curve of one star over many sectors: a colour a sector."""

from __future__ import annotations

from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
from bokeh.models import HoverTool, NumeralTickFormatter

from tasoc_kit.plots.theme import FLAG_COLOURS, series_options

__all__ = ["star"]

MOST_POINTS = 40_000
"""More than these are averaged: a browser draws no more at once, and a screen shows fewer."""
_AVERAGED = 1800.0 / 86400


def star(
    curve: pd.DataFrame,
    title: str = "",
    *,
    normalised: bool = True,
    most_points: int = MOST_POINTS,
    **options: Any,
) -> hv.Overlay:
    """
    Draw the good cadences of a star, each sector in its colour; a tap on the legend hides a sector.

    Parameters
    ----------
    curve
        ``time``, ``flux``, ``sector``, ``camera``, ``ccd``, ``cadenceno`` and ``good`` of every cadence.
    title
        Of the figure.
    normalised
        The flux is relative; it is drawn in parts per million about 1.
    most_points
        A curve with more good cadences is averaged over half hours.
    options
        Of the figure, as ``height``.
    """
    good = curve[curve["good"]]
    if len(good) > most_points:
        good = _averaged(good)
    axis = "flux (ppm about the median)" if normalised else "flux (e⁻/s)"
    value = hv.Dimension("shown", label=axis)
    hover = HoverTool(tooltips=[("sector", "@sector"), ("cadence", "@cadenceno"), ("BTJD", "@time{0.0000}"),
                                ("flux", "@shown{0,0.0}")])  # fmt: skip
    layers = []
    for place, (sector, part) in enumerate(good.groupby("sector", sort=True)):
        shown = 1e6 * (part["flux"] - 1) if normalised else part["flux"]
        points = hv.Scatter(
            part.assign(shown=shown),
            kdims=["time"],
            vdims=[value, "sector", "cadenceno"],
            label=f"sector {sector}",
        )
        colour = FLAG_COLOURS[place % len(FLAG_COLOURS)]
        layers.append(points.opts(color=colour, size=3, alpha=0.85, tools=[hover], muted_alpha=0.0))
    drawn = hv.Overlay(layers or [hv.Scatter([], kdims=["time"], vdims=[value])])
    return drawn.opts(
        title=title, xlabel="time (BTJD)", ylabel=axis, ylim=_limits(good, normalised),
        yformatter=NumeralTickFormatter(format="0,0.[0000]"), **series_options(**options),
    )  # fmt: skip


def _averaged(good: pd.DataFrame) -> pd.DataFrame:
    """Return means over half hours within a sector."""
    bins = np.floor(good["time"] / _AVERAGED)
    return (
        good.groupby([good["sector"], bins.rename("bin")])[["time", "flux", "cadenceno"]].mean().reset_index()
    )


def _limits(good: pd.DataFrame, normalised: bool) -> tuple[float, float]:
    """Return the range of all but the wildest points."""
    flux = 1e6 * (good["flux"] - 1) if normalised else good["flux"]
    if not len(flux):
        return 0.0, 1.0
    low, high = np.percentile(flux, [0.05, 99.95])
    margin = 0.06 * (high - low) or 1.0
    return float(low - margin), float(high + margin)
