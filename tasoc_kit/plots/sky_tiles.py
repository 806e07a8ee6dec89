"""The sky of one frame in pictures: cells, what the model leaves, corner glow, columns, coefficients."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.plots.theme import GOOD, MUTED, SELECTED, place_options, plain_numbers, series_options

__all__ = ["coefficient_grid", "columns", "glow", "tile_image"]

_RINGS = 24
_SIGMA = 5.0


def tile_image(tiles: xr.Dataset, name: str, *, width: int = 240, height: int = 240) -> hv.Image:
    """
    Draw one quantity of the cells of a frame.

    Parameters
    ----------
    tiles
        (cell_row, cell_column) with the labels of the middles of the cells; attrs ``cell``.
    name
        ``sky`` (electron/s), ``left`` (sigma; blue below the model, red above) or ``used`` (share).
    width, height
        The figure is as large as fits into these, in screen pixels.
    """
    values, half = tiles[name].values, tiles.attrs["cell"] / 2
    rows, columns = tiles["cell_row"].values, tiles["cell_column"].values
    bounds = (columns[0] - half, rows[0] - half, columns[-1] + half, rows[-1] + half)
    drawn = hv.Image(values[::-1], bounds=bounds, kdims=["column", "row"], vdims=[name])
    looks = {
        "sky": {"cmap": "viridis", "clim": _limits(values)},
        "left": {"cmap": "coolwarm", "clim": (-_SIGMA, _SIGMA)},
        "used": {"cmap": "cividis", "clim": (0.0, 1.0)},
    }[name]
    bar = {"bar_line_color": None, "width": 10, "padding": 6}
    return drawn.opts(
        colorbar=True,
        clabel="",
        colorbar_opts=bar,
        clipping_colors={"NaN": "#00000000"},
        tools=["hover"],
        xticks=4,
        yticks=4,
        framewise=True,
        **looks,
        **place_options(rows.size, columns.size, width=width, height=height),
    )


def _limits(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, (0.5, 99.5))
    return float(low), float(max(high, low + 1e-3))


def glow(tiles: xr.Dataset) -> hv.Overlay:
    """Draw the sky of the cells, and its median in rings, against the distance from the camera's centre."""
    radius, value = tiles["radius"].values.ravel(), tiles["sky"].values.ravel()
    known = np.isfinite(radius) & np.isfinite(value)
    radius, value = radius[known], value[known]
    rings: list[tuple[float, float]] = []
    if radius.size:
        edges = np.linspace(radius.min(), radius.max() + 1e-6, _RINGS + 1)
        ring = np.digitize(radius, edges) - 1
        rings = [
            (float(np.median(radius[ring == k])), float(np.median(value[ring == k])))
            for k in range(_RINGS)
            if (ring == k).any()
        ]
    dots = hv.Scatter((radius, value), kdims=["radius"], vdims=["sky"], label="cells")
    line = hv.Curve(rings, kdims=["radius"], vdims=["sky"], label="median of a ring")
    return (
        dots.opts(color=MUTED, size=2, alpha=0.35) * line.opts(color=SELECTED, line_width=2.5, framewise=True)
    ).opts(
        xlabel="distance from the camera's centre (pix)",
        ylabel="sky (e⁻/s)",
        framewise=True,
        hooks=[plain_numbers],
        **series_options(height=260),
    )


def columns(labels: np.ndarray, noise: np.ndarray, gain: np.ndarray, scale: float) -> hv.Layout:
    """
    Draw the offset of every column of a frame, and the straps' answer to scattered light.

    Parameters
    ----------
    labels
        (column) labels.
    noise
        (column) offsets of this frame, electron/s.
    gain
        (column) extra response of the straps, over the sector.
    scale
        Answer of the straps in this frame.
    """
    shared = {"xlabel": "column", "framewise": True}
    offset = hv.Scatter((labels, noise), kdims=["column"], vdims=["offset"]).opts(
        color=GOOD, size=2.5, ylabel="offset (e⁻/s)", tools=["hover"], **shared, **series_options(height=210)
    )
    straps = hv.Scatter((labels, scale * gain), kdims=["column"], vdims=["gain"]).opts(
        color=SELECTED,
        size=2.5,
        ylabel="straps (share)",
        xlim=(labels[0], labels[-1]),
        **shared,
        **series_options(height=210),
    )
    return (offset + straps).cols(1).opts(toolbar=None)


def coefficient_grid(coefficients: np.ndarray, *, width: int = 280) -> hv.Image:
    """Draw the coefficients of a surface, (splines along rows, splines along columns), electron/s."""
    rows, splines = coefficients.shape
    bounds = (-0.5, -0.5, splines - 0.5, rows - 0.5)
    drawn = hv.Image(
        coefficients[::-1], bounds=bounds, kdims=["spline along columns", "spline along rows"], vdims=["e⁻/s"]
    )
    return drawn.opts(
        cmap="viridis",
        clim=_limits(coefficients),
        colorbar=True,
        clabel="",
        colorbar_opts={"bar_line_color": None, "width": 10, "padding": 6},
        tools=["hover"],
        framewise=True,
        **place_options(max(rows, 1), max(splines, 1), width=width, height=width),
    )
