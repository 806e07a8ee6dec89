"""Halo photometry: the light curve of a saturated star, and which pixels about it that is made of."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr
from bokeh.models import HoverTool

from tasoc_kit.plots.frame import mark_stars
from tasoc_kit.plots.light_curve import light_curve
from tasoc_kit.plots.shown_star import no_star
from tasoc_kit.plots.theme import place_options

__all__ = ["halo"]

NO_STAR = "No star of this CCD needs its halo measured"
FAINTEST = 1e-5
"""Smallest weight that has a colour of its own, over the largest."""


def halo(
    light_curves: xr.Dataset, star: int = 0, *, segment: int = 0, colours: str = "viridis", size: int = 360
) -> hv.Overlay | hv.Layout:
    """
    Draw the weights of the pixels about one star, those left out empty, and its light curve beneath.

    Parameters
    ----------
    light_curves
        The product of halo photometry; where it has no star the figure says so.
    star
        Index of the star.
    segment
        Part of the sector that the weights hold for.
    colours
        Name of a colour map.
    size
        The figure is as large as fits into so many screen pixels.
    """
    if light_curves.sizes["star"] == 0:
        return no_star(NO_STAR, width=size)
    mine = np.flatnonzero(light_curves["stamp_star"].values == star)
    row, column = (light_curves[f"stamp_{axis}"].values[mine].astype(int) for axis in ("row", "column"))
    weight = light_curves["halo_weight"].values[segment, mine]
    labels = [np.arange(values.min(), values.max() + 1) for values in (column, row)]
    grid = np.full((labels[1].size, labels[0].size), np.nan)
    grid[row - labels[1][0], column - labels[0][0]] = np.where(weight > 0, weight, np.nan)
    limits = (FAINTEST * float(weight.max()), float(weight.max()))
    picture = hv.Image((*labels, grid), kdims=["column", "row"], vdims="weight").opts(
        cmap=colours,
        cnorm="log",
        clim=limits,
        colorbar=True,
        clabel="weight",
        clipping_colors={"NaN": "#00000000"},
        tools=[HoverTool(tooltips=[("row", "$y{0}"), ("column", "$x{0}"), ("weight", "@image{0.000000}")])],
        **place_options(*grid.shape, width=size, height=size),
    )
    weights = (picture * mark_stars(light_curves, np.array([star]))).opts(title="weights of the pixels")
    curve = light_curve(light_curves, star, relative=True)
    return hv.Layout([weights, curve]).cols(1).opts(shared_axes=False, toolbar=None)
