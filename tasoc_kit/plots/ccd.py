"""All stars of a CCD at once: on the reference image, and one quantity of each against magnitude.

Twenty thousand stars stand in half a dozen figures. They are sent to the browser once, in one table
that every figure draws from; HoloViews has the axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
from bokeh.models import CDSView, ColumnDataSource, HoverTool, IndexFilter

from tasoc_kit.plots.theme import SELECTED, series_options

__all__ = ["against_magnitude", "draw_stars", "ring", "star_source"]

_TOOLTIPS = [("TIC", "@tic{0}"), ("Tmag", "@tmag{0.00}"), ("", "@group")]
_ROUND_TICKS = [m * 10**k for k in range(5) for m in (1, 2, 5)]
_CROWDED = 1000
"""Stars on an image whose rings have their whole size."""
_DECADES = 2.5
"""A logarithmic axis over fewer decades than these has ticks between the powers of ten."""


def star_source(stars: pd.DataFrame) -> ColumnDataSource:
    """
    Return the table that the figures draw from.

    Parameters
    ----------
    stars
        ``column``, ``row``, ``tic``, ``tmag``, ``group``, ``colour`` and the quantities of every star; the
        index is that of the star.
    """
    numbers = stars.drop(columns=["tic", "group", "colour"])
    table: dict[str, Any] = {str(name): numbers[name].to_numpy(np.float32) for name in numbers}
    shrink = min(1.0, (_CROWDED / max(len(stars), 1)) ** 0.25)
    table["size"] = shrink * np.clip(19.0 - 1.05 * np.nan_to_num(table["tmag"], nan=15.0), 3.5, 15.0)
    table["tic"] = stars["tic"].to_numpy(float)
    return ColumnDataSource(table | {name: stars[name].tolist() for name in ("group", "colour")})


def draw_stars(
    source: ColumnDataSource,
    x: str,
    y: str,
    *,
    shown: np.ndarray | None = None,
    tooltips: tuple[tuple[str, str], ...] = (),
    **look: Any,
) -> Callable[[Any, Any], None]:
    """
    Return a hook that draws the stars into a figure.

    Parameters
    ----------
    source
        As of ``star_source``.
    x, y
        Columns of the table.
    shown
        Indices of the stars that are drawn; by default all.
    tooltips
        What is said of a star beside its number, magnitude and group.
    look
        Of the marks.
    """
    view = CDSView() if shown is None else CDSView(filter=IndexFilter(shown.tolist()))

    def hook(plot: Any, element: Any) -> None:
        if "stars" in plot.handles:  # hooks are called again whenever the figure changes
            return
        marks = plot.state.scatter(x, y, source=source, view=view, **look)
        plot.state.add_tools(HoverTool(tooltips=[*_TOOLTIPS, *tooltips], renderers=[marks]))
        plot.handles["stars"] = marks

    return hook


def against_magnitude(
    stars: pd.DataFrame,
    name: str,
    source: ColumnDataSource,
    *,
    title: str,
    log: bool = True,
    shown: np.ndarray | None = None,
    **options: Any,
) -> hv.Scatter:
    """
    Draw one quantity of every star against its magnitude.

    Parameters
    ----------
    stars, source
        As of ``star_source``, with the quantity.
    name
        Of the quantity; where it is NaN, or on a logarithmic axis not positive, a star is left out.
    title
        Of the axis, with its unit.
    log
        Whether the axis is logarithmic.
    shown
        Indices of the stars that are drawn; by default all.
    options
        Of the figure, as of ``series_options``.
    """
    values, tmag = stars[name].to_numpy(dtype=float), stars["tmag"].to_numpy(dtype=float)
    known = np.isfinite(values) & ((values > 0) | (not log)) & np.isfinite(tmag)
    low, high = _limits(values[known], log)
    looks: dict[str, Any] = {"xlim": _limits(tmag[known], False), "ylim": (low, high), "logy": log}
    ticks = [tick for tick in _ROUND_TICKS if low <= tick <= high]
    if log and ticks and np.log10(high / low) < _DECADES:
        looks["yticks"] = ticks
    hook = draw_stars(
        source, "tmag", name, shown=shown, tooltips=((title, f"@{name}{{0,0.[000]}}"),),
        fill_color="colour", line_color=None, size=5, alpha=0.7,
    )  # fmt: skip
    return hv.Scatter([], kdims=["tmag"], vdims=[name]).opts(
        xlabel="TESS magnitude", ylabel=title, hooks=[hook], **looks,
        **series_options(**({"height": 280} | options)),
    )  # fmt: skip


def _limits(values: np.ndarray, log: bool) -> tuple[float, float]:
    """Return a range with all values and a margin; around 1 to 10 where there is none."""
    low, high = (float(values.min()), float(values.max())) if values.size else (1.0, 10.0)
    if log:
        margin = max((high / low) ** 0.05, 1.1)
        return low / margin, high * margin
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def ring(x: float, y: float, x_name: str, y_name: str) -> hv.Points:
    """Draw a ring about the chosen star; NaN draws none."""
    return hv.Points([(x, y)], kdims=[x_name, y_name]).opts(
        marker="circle", size=16, fill_color=None, line_color=SELECTED, line_width=3, apply_ranges=False
    )
