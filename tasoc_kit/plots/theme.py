"""What every figure shares: colours, sizes, and the way it becomes live without a network.

Colours are told apart by colour-blind readers (Okabe & Ito 2008) on light and on dark pages;
the colour maps are perceptually uniform.
"""

from __future__ import annotations

from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # noqa: F401  registers the backend without loading it into a page
from bokeh.models import NumeralTickFormatter

__all__ = [
    "COLOUR_MAPS",
    "FLAG_COLOURS",
    "GOOD",
    "MODEL",
    "MUTED",
    "SELECTED",
    "STAR",
    "live",
    "place_options",
    "plain_numbers",
    "series_options",
]

GOOD = "#2f7fb8"
MUTED = "#8a97a5"
SELECTED = "#e4572e"
STAR = "#3fd0c9"
MODEL = {"total": "#d1495b", "star": "#2a9d8f", "zodiacal light": "#e9a23b", "read-out": "#7d6bb0"}
FLAG_COLOURS = ("#e69f00", "#56b4e9", "#cc79a7", "#009e73", "#d55e00", "#8c7ae6", "#b8a200", "#0072b2")
COLOUR_MAPS = ("magma", "viridis", "cividis", "gray", "gray_r")

# Without a graphics card a browser copies WebGL figures slowly: 0.7 s of the page of a CCD with 20,000 stars.
hv.renderer("bokeh").webgl = False

_SHARED: dict[str, Any] = {
    "backend_opts": {"toolbar.logo": None, "toolbar.autohide": True},
    "fontsize": {"title": "11pt", "labels": "10pt", "ticks": "9pt", "legend": "9pt"},
}


def live() -> None:
    """
    Make the figures of this notebook live, with nothing asked from the network.

    The scripts travel inside the notebook. End a cell in ``pn.pane.HoloViews(figure)`` or in
    ``tasoc_kit.explore(cube)``: a bare figure still asks for style sheets elsewhere.
    """
    import panel as pn

    pn.extension(inline=True)
    hv.extension("bokeh", inline=True, logo=False)


def series_options(*, columns: int = 6, **options: Any) -> dict[str, Any]:
    """Return the options of a figure along time; ``columns`` of its legend."""
    shared = {
        "responsive": True,
        "height": 300,
        "show_grid": True,
        "gridstyle": _GRID,
        "legend_position": "top",
        "legend_offset": (0, 10),
        "legend_opts": _LEGEND | {"ncols": columns},
    }
    return _SHARED | shared | options


def plain_numbers(plot: Any, element: Any) -> None:
    """Write 1,245,800 along the vertical axis, not 1.2458e+6; a hook of a figure."""
    plot.handles["yaxis"].formatter = NumeralTickFormatter(format="0,0.[0000]")


def place_options(
    rows: int, columns: int, *, width: int = 480, height: int = 440, **options: Any
) -> dict[str, Any]:
    """
    Return the options of a figure in pixels: square ones, row up, column to the right.

    Parameters
    ----------
    rows, columns
        Pixels of the image.
    width, height
        The figure is as large as fits into these, in screen pixels.
    options
        Further options of the figure.
    """
    scale = min(width / max(columns, 1), height / max(rows, 1))
    frame = {"frame_width": max(60, round(scale * columns)), "frame_height": max(60, round(scale * rows))}
    return _SHARED | frame | options


_LEGEND = {
    "label_text_font_size": "9pt",
    "spacing": 6,
    "padding": 2,
    "background_fill_alpha": 0.0,
    "border_line_alpha": 0.0,
    "click_policy": "mute",
    # A page states sizes relative to this.
    "styles": {"font-size": "13px"},
}
_GRID = {"grid_line_alpha": 0.25, "minor_grid_line_alpha": 0.0}
