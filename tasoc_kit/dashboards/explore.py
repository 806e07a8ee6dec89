"""A cube, live in a notebook: a slider over its frames, and the series of the pixel that is tapped."""

from __future__ import annotations

import ipywidgets
import panel as pn
import xarray as xr
from bokeh.document import Document
from bokeh.models import UIElement
from jupyter_bokeh import BokehModel
from panel.io.notebook import patch_inline_stylesheets

from tasoc_kit.dashboards.frame_viewer import FrameViewer
from tasoc_kit.plots.theme import live

__all__ = ["explore"]

_PLAY_MILLISECONDS = 500


def explore(
    cube: xr.Dataset, stars: xr.Dataset | None = None, light_curves: xr.Dataset | None = None
) -> ipywidgets.VBox:
    """
    Show a cube with widgets; end a cell with it.

    Only the frames that are shown are read. A tap on the image draws the series of that pixel, or
    of the star there where ``light_curves`` are given.

    Parameters
    ----------
    cube
        (time, row, column), as ``open_cube`` returns it.
    stars
        The stars or the apertures of this CCD, to be marked.
    light_curves
        The product of this CCD, in the order of ``stars``.

    Returns
    -------
    Widgets: ``.viewer`` is the view behind them, whose ``frame``, ``stretch``, ``place`` can be set.
    """
    live()
    viewer = FrameViewer(cube, stars, light_curves)
    last = len(viewer.reader) - 1
    wide = ipywidgets.Layout(width="360px")
    slider = ipywidgets.IntSlider(0, 0, last, description="frame", continuous_update=False, layout=wide)
    play = ipywidgets.Play(min=0, max=last, interval=_PLAY_MILLISECONDS)
    ipywidgets.jslink((play, "value"), (slider, "value"))
    stretch = ipywidgets.Dropdown(options=viewer.param.stretch.objects, description="stretch")
    colours = ipywidgets.Dropdown(options=viewer.param.colours.objects, description="colours")
    fixed = ipywidgets.Checkbox(description="same scale for all frames", indent=False)
    for name, widget in {"frame": slider, "stretch": stretch, "colours": colours, "fixed": fixed}.items():
        widget.observe(lambda change, name=name: viewer.param.update(**{name: change["new"]}), "value")
    where = ipywidgets.HTML(_caption(viewer))
    viewer.param.watch(lambda _event: setattr(where, "value", _caption(viewer)), ["frame", "place", "star"])
    figures = pn.Row(
        pn.pane.HoloViews(viewer.image(width=400, height=400), linked_axes=False),
        pn.pane.HoloViews(viewer.series(height=300, width=380, responsive=False), linked_axes=False),
    )
    box = ipywidgets.VBox(
        [
            ipywidgets.HBox([play, slider]),
            ipywidgets.HBox([stretch, colours, fixed]),
            where,
            _as_widget(figures),
        ]
    )
    box.viewer = viewer
    return box


def _as_widget(content: pn.viewable.Viewable) -> BokehModel:
    """Return what ``pn.ipywidget`` does, with the style sheets inside: that asks for them elsewhere."""
    model = content.get_root(Document())
    for part in model.select({"type": UIElement}):
        patch_inline_stylesheets(part)
    return BokehModel(model, combine_events=True)


def _caption(viewer: FrameViewer) -> str:
    facts = viewer.facts(viewer.frame)
    parts = (viewer.title(), f"cadence {facts['cadence']}", facts["time"], f"flags: {facts['flags']}")
    return " · ".join([*parts, viewer.series_title()])
