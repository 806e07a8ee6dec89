"""The PSF over a CCD: every region's, its width and elongation, its profile, and what it leaves of a star."""

from __future__ import annotations

from typing import Any

import holoviews as hv
import numpy as np
import xarray as xr
from bokeh.models import HoverTool

from tasoc_kit.plots.frame import colour_image, pixel_image
from tasoc_kit.plots.stretch import make_stretch
from tasoc_kit.plots.theme import GOOD, MUTED, SELECTED, place_options, series_options

__all__ = ["STAMPS", "light_within", "mosaic", "profile", "shape_map", "star_stamp", "star_stamps"]

STAMPS = {
    "data": "Reference (e⁻/s)",
    "model": "PSF of all stars (e⁻/s)",
    "left": "What is left (σ)",
}
"""Stamps of a star → what they show."""

_FLOOR, _CEILING = 1e-5, 0.3
"""Shares of a star's light in a pixel that are drawn darkest and brightest."""
_GAP = 0.06
_BAR: dict[str, Any] = {"bar_line_color": None, "width": 10, "padding": 6}
_LEFT = 5.0


def mosaic(stamps: xr.DataArray, *, width: int = 420, height: int = 420) -> hv.Image:
    """
    Draw the PSF of every node at its place in a grid, on a logarithmic scale.

    Parameters
    ----------
    stamps
        (node_row, node_column, row_offset, column_offset).
    width, height
        The figure is as large as fits into these, in screen pixels.
    """
    rows, columns, tall, wide = stamps.shape
    gap = max(1, round(_GAP * tall))
    whole = np.full((rows * (tall + gap) - gap, columns * (wide + gap) - gap), np.nan)
    for i in range(rows):
        for j in range(columns):
            place = np.s_[i * (tall + gap) :, j * (wide + gap) :]
            whole[place][:tall, :wide] = np.maximum(stamps.values[i, j], _FLOOR)
    margin = gap / (tall + gap)
    bounds = (0.0, 0.0, columns - margin, rows - margin)
    drawn = hv.Image(
        whole[::-1], bounds=bounds, kdims=["column of the CCD", "row of the CCD"], vdims=["share"]
    )
    ticks = {
        axis: [(k + 0.5 - margin / 2, f"{label:.0f}") for k, label in enumerate(stamps[name].values)]
        for axis, name in (("xticks", "node_column"), ("yticks", "node_row"))
    }
    return drawn.opts(
        cmap="magma",
        logz=True,
        clabel="",
        clim=(_FLOOR, _CEILING),
        colorbar=True,
        colorbar_opts=_BAR,
        clipping_colors={"NaN": "#00000000"},
        tools=[HoverTool(tooltips=[("share of the light in a pixel", "@image{0.000000}")])],
        **ticks,
        **place_options(*whole.shape, width=width, height=height),
    )


def shape_map(shape: xr.Dataset, *, width: int = 420, height: int = 420) -> hv.Overlay:
    """
    Draw the width of the PSF over the CCD, and along its longer axis a line: the longest where least round.

    Parameters
    ----------
    shape
        (row, column) with ``fwhm``, ``elongation`` and ``angle``.
    width, height
        The figure is as large as fits into these, in screen pixels.
    """
    rows, columns = shape["row"].values, shape["column"].values
    step = [(labels[-1] - labels[0]) / (labels.size - 1) for labels in (rows, columns)]
    bounds = (
        columns[0] - step[1] / 2, rows[0] - step[0] / 2, columns[-1] + step[1] / 2, rows[-1] + step[0] / 2
    )  # fmt: skip
    values = [shape[name].values[::-1] for name in ("fwhm", "elongation", "middle")]
    drawn = hv.Image(
        np.dstack(values), bounds=bounds, kdims=["column", "row"], vdims=["fwhm", "elongation", "middle"]
    )
    hover = HoverTool(
        tooltips=[
            ("FWHM", "@fwhm{0.00} pix"), ("elongation", "@elongation{0.000}"),
            ("in the middle pixel", "@middle{0.0%}"),
        ]
    )  # fmt: skip
    drawn = drawn.opts(cmap="viridis", colorbar=True, clabel="", colorbar_opts=_BAR, tools=[hover])
    y, x = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    long = shape["elongation"].values.ravel()
    long = 0.85 * min(step) * long / max(long.max(), 1e-9)
    angle = shape["angle"].values.ravel()
    dx, dy = 0.5 * long * np.cos(angle), 0.5 * long * np.sin(angle)
    whiskers = hv.Segments((x - dx, y - dy, x + dx, y + dy), kdims=["column", "row", "to_column", "to_row"])
    extent = place_options(
        round(bounds[3] - bounds[1]), round(bounds[2] - bounds[0]), width=width, height=height
    )
    lines = whiskers.opts(color="white", line_width=2, apply_ranges=False)
    return (drawn * lines).opts(xlim=(bounds[0], bounds[2]), ylim=(bounds[1], bounds[3]), **extent)


def profile(here: xr.Dataset, middle: xr.Dataset, **options: Any) -> hv.Overlay:
    """
    Draw the PSF against the distance from the star, on a logarithmic scale.

    Parameters
    ----------
    here
        (radius) with ``mean``, ``low``, ``high`` of the chosen place.
    middle
        The same in the middle of the CCD, to compare with.
    options
        Of the figure, as of ``series_options``.
    """
    radius = here["radius"].values
    low, high = (np.maximum(here[name].values, _FLOOR / 10) for name in ("low", "high"))
    band = hv.Area((radius, low, high), kdims=["radius"], vdims=["low", "high"], label="over all directions")
    mean = hv.Curve((radius, np.maximum(here["mean"], _FLOOR / 10)), ["radius"], ["share"], label="mean")
    usual = hv.Curve(
        (radius, np.maximum(middle["mean"], _FLOOR / 10)), ["radius"], ["share"], label="middle of the CCD"
    )
    drawn = (
        band.opts(color=GOOD, alpha=0.25, line_alpha=0)
        * usual.opts(color=MUTED, line_dash="dashed")
        * mean.opts(color=SELECTED, line_width=2)
    )
    return drawn.opts(
        logy=True, ylim=(_FLOOR / 3, 1.0), xlim=(0, 12), xlabel="distance from the star (pix)",
        ylabel="share of the light in a pixel", **series_options(**({"height": 280} | options)),
    )  # fmt: skip


def light_within(here: xr.Dataset, middle: xr.Dataset, **options: Any) -> hv.Overlay:
    """Draw the share of a star's light within a distance; parameters as of ``profile``."""
    lines = [
        hv.Curve((one["radius"], one["within"]), ["radius"], ["share"], label=name).opts(**look)
        for name, one, look in (
            ("middle of the CCD", middle, {"color": MUTED, "line_dash": "dashed"}),
            ("here", here, {"color": SELECTED, "line_width": 2}),
        )
    ]
    return hv.Overlay(lines).opts(
        ylim=(0, 1.05), xlim=(0, 12), xlabel="distance from the star (pix)",
        ylabel="share of the light within", **series_options(**({"height": 280} | options)),
    )  # fmt: skip


def star_stamp(stamp: xr.Dataset, name: str, *, width: int = 215, height: int = 215) -> hv.Image:
    """
    Draw one of the stamps of a star.

    Parameters
    ----------
    stamp
        (row, column) with ``data``, ``model`` and ``left``.
    name
        Which; data and model have one stretch, that of the data; ``left`` is in sigma, blue where the model
        has more than the data, red where less.
    width, height
        The figure is as large as fits into these, in screen pixels.
    """
    rows, columns = stamp["row"].values, stamp["column"].values
    size = place_options(rows.size, columns.size, width=width, height=height, xticks=4, yticks=4)
    pixels = pixel_image(stamp[name].values.astype(np.float32), rows, columns)
    if name != "left":
        shade = make_stretch(stamp["data"].values.astype(np.float32), "asinh")
        return colour_image(pixels, shade, framewise=True, **size)
    hover = HoverTool(tooltips=[("data − model", "@flux{0.0} σ")])
    return pixels.opts(
        cmap="coolwarm", clim=(-_LEFT, _LEFT), colorbar=True, clabel="", colorbar_opts=_BAR, tools=[hover],
        framewise=True, clipping_colors={"NaN": "#00000000"}, **size,
    )  # fmt: skip


def star_stamps(stamp: xr.Dataset, *, side: int = 185) -> hv.Layout:
    """Draw what the reference shows of a star, what the PSF makes of it, and what is left, side by side."""
    drawn = [
        star_stamp(stamp, name, width=side, height=side).opts(title=title) for name, title in STAMPS.items()
    ]
    return hv.Layout(drawn).opts(toolbar=None, shared_axes=False)
