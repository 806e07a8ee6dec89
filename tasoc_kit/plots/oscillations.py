"""νmax and Δν of the stars of a CCD."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr
from bokeh.models import HoverTool

from tasoc_kit.numerics.oscillation_model import expected_separation
from tasoc_kit.plots.theme import GOOD, MODEL, MUTED, series_options

__all__ = ["oscillations"]

_LIKELY = 0.5
_SPAN = (5.0, 250.0)
"""µHz that are shown where no star oscillates."""


def oscillations(measured: xr.Dataset) -> hv.Overlay:
    """
    Draw Δν of every star against its νmax, with what stars on average have.

    Parameters
    ----------
    measured
        The product ``oscillations``; stars whose detection is unlikely are grey.
    """
    names = ("numax", "dnu", "detection_probability")
    columns = {name: measured[name].values.astype(float) for name in names}
    columns["tic"] = measured["tic"].values.astype(str)
    columns["star"] = np.arange(measured.sizes["star"])
    known = np.isfinite(columns["numax"]) & np.isfinite(columns["dnu"])
    likely = columns["detection_probability"] >= _LIKELY
    hover = [("TIC", "@tic"), ("νmax", "@numax{0.0} µHz"), ("Δν", "@dnu{0.00} µHz")]
    hover += [("probability", "@detection_probability{0.00}")]
    drawn = [
        hv.Scatter(
            {name: values[known & some] for name, values in columns.items()},
            ["numax"],
            ["dnu", "detection_probability", "tic", "star"],
            label=label,
        ).opts(color=colour, size=5, alpha=0.8, tools=[HoverTool(tooltips=hover)])
        for label, some, colour in (("unlikely", ~likely, MUTED), ("detected", likely, GOOD))
    ]
    shown = columns["numax"][known]
    at = np.geomspace(*((shown.min(), shown.max()) if shown.size > 1 else _SPAN), 100)
    line = hv.Curve((at, expected_separation(at)), "numax", "dnu", label="0.263 νmax^0.772")
    return hv.Overlay([*drawn, line.opts(color=MODEL["total"], line_width=1.5)]).opts(
        xlabel="frequency of maximum power (µHz)",
        ylabel="large separation (µHz)",
        logx=True,
        logy=True,
        **series_options(height=320),
    )
