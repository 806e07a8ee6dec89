"""All stars of a CCD at once: on the reference image, and one quantity of each against magnitude."""

from __future__ import annotations

from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
from bokeh.models import HoverTool

from tasoc_kit.plots.theme import SELECTED, series_options

__all__ = ["against_magnitude", "ring", "stars_on_image"]

_TOOLTIPS = [("TIC", "@tic"), ("Tmag", "@tmag{0.00}"), ("", "@group")]


def stars_on_image(stars: pd.DataFrame) -> hv.Points:
    """
    Draw the stars at their places, each in the colour of its group.

    Parameters
    ----------
    stars
        ``column``, ``row``, ``tic``, ``tmag``, ``group``, ``colour``; the index is that of the star.
    """
    table = {name: stars[name].to_numpy() for name in ("column", "row", "tmag", "group", "colour")}
    table["tic"] = stars["tic"].astype(str).to_numpy()
    table["size"] = np.clip(19.0 - 1.05 * np.nan_to_num(table["tmag"], nan=15.0), 3.5, 15.0)
    names = ["tic", "tmag", "group", "colour", "size"]
    return hv.Points(table, kdims=["column", "row"], vdims=names).opts(
        size="size", fill_color=None, line_color="colour", line_width=1.6, apply_ranges=False,
        tools=[HoverTool(tooltips=_TOOLTIPS)],
    )  # fmt: skip


def against_magnitude(
    stars: pd.DataFrame, name: str, *, title: str, log: bool = True, **options: Any
) -> hv.Scatter:
    """
    Draw one quantity of every star against its magnitude.

    Parameters
    ----------
    stars
        As of ``stars_on_image``, with the quantity.
    name
        Of the quantity; where it is NaN, or on a logarithmic axis not positive, a star is left out.
    title
        Of the axis, with its unit.
    log
        Whether the axis is logarithmic.
    options
        Of the figure, as of ``series_options``.
    """
    values = stars[name].to_numpy(dtype=float)
    shown = stars[np.isfinite(values) & ((values > 0) | (not log)) & np.isfinite(stars["tmag"])]
    table = {key: shown[key].to_numpy() for key in ("tmag", name, "group", "colour")}
    table["tic"] = shown["tic"].astype(str).to_numpy()
    hover = HoverTool(tooltips=[*_TOOLTIPS, (title, f"@{name}{{0,0.[000]}}")])
    drawn = hv.Scatter(table, kdims=["tmag"], vdims=[name, "tic", "group", "colour"])
    return drawn.opts(
        color="colour", size=4, alpha=0.7, tools=[hover], logy=log, xlabel="TESS magnitude", ylabel=title,
        **series_options(**({"height": 280} | options)),
    )  # fmt: skip


def ring(x: float, y: float, x_name: str, y_name: str) -> hv.Points:
    """Draw a ring about the chosen star; NaN draws none."""
    return hv.Points([(x, y)], kdims=[x_name, y_name]).opts(
        marker="circle", size=16, fill_color=None, line_color=SELECTED, line_width=3, apply_ranges=False
    )
