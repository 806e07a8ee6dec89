"""
The spectrum of a star with a line at νmax that can be dragged.

Drawn once: another star, or another place of the line, replaces the numbers in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import holoviews as hv
import numpy as np
import panel as pn
import xarray as xr
from bokeh.models import BoxAnnotation, ColumnDataSource, CustomJS, Span

from tasoc_kit.numerics.echelle import echelle as cut_into_orders
from tasoc_kit.plots.echelle import echelle, over_background
from tasoc_kit.plots.spectrum import FREQUENCY_TICKS, smooth_spectrum, spectrum_model
from tasoc_kit.plots.theme import FLAG_COLOURS, GOOD, MODEL, MUTED, SELECTED, series_options

__all__ = ["EchelleFigure", "SpectrumFigure"]

HEIGHT = 460
_LINES: dict[str, dict[str, Any]] = {
    "power density": {"color": MUTED, "line_width": 0.7, "alpha": 0.6},
    "smoothed": {"color": GOOD, "line_width": 1.8},
    "white noise": {"color": MODEL["read-out"], "line_width": 1.4, "line_dash": "dashed"},
    "slow variation": {"color": FLAG_COLOURS[1], "line_width": 1.4, "line_dash": "dotted"},
    "granulation": {"color": MODEL["star"], "line_width": 1.4, "line_dash": "dashdot"},
    "oscillations": {"color": MODEL["zodiacal light"], "line_width": 1.4, "line_dash": "dashed"},
    "background": {"color": MODEL["total"], "line_width": 1.6, "line_dash": "dotdash"},
    "model": {"color": MODEL["total"], "line_width": 2.2},
}
_BACKGROUND = ("white noise", "slow variation", "granulation")
_DRAWN = 400
_BELOW, _ABOVE = 0.02, 3.0
"""What is shown: from so much of the least smoothed power to so much of the greatest single one."""
_RELEASED = """
window.tasoc_moved = true
if (!window.tasoc_hears) {
  window.tasoc_hears = true
  const tell = () => {
    if (window.tasoc_moved) released.data = { numax: [line.location] }
    window.tasoc_moved = false
  }
  for (const kind of ["pointerup", "pointercancel"]) window.addEventListener(kind, tell)
}
"""
"""A line that was dragged says where it is when it is let go of."""
WIDE = 3.0
"""Scatters of the envelope on either side of νmax that the échelle diagram shows."""
SMOOTH = 0.02
"""Scatter of its kernel, over Δν."""


class SpectrumFigure:
    """Power density, its model, and νmax."""

    def __init__(self, on_release: Callable[[float], None]) -> None:
        """
        Make the figure.

        Parameters
        ----------
        on_release
            Called with the frequency, µHz, at which a person lets go of the line.
        """
        layers = [
            hv.Curve(([1.0, 10.0], [1.0, 10.0]), "frequency", "power", label=name).opts(**style)
            for name, style in _LINES.items()
        ]
        figure = hv.Overlay(layers).opts(
            title="",
            xlabel="frequency (µHz)",
            ylabel="power density (ppm²/µHz)",
            logx=True,
            logy=True,
            xticks=FREQUENCY_TICKS,
            **series_options(height=HEIGHT, columns=4),
        )
        drawn = hv.renderer("bokeh").get_plot(figure)
        names = [layer.current_frame.label for layer in drawn.subplots.values()]
        self._sources = dict(
            zip(names, (layer.handles["source"] for layer in drawn.subplots.values()), strict=True)
        )
        self._ranges = drawn.handles["x_range"], drawn.handles["y_range"]
        self.line = Span(
            location=10.0,
            dimension="height",
            editable=True,
            line_color=SELECTED,
            line_width=2.5,
            line_alpha=0.8,
            hover_line_width=6,
            hover_line_color=SELECTED,
        )
        self.interval = BoxAnnotation(
            left=1.0, right=1.0, fill_color=SELECTED, fill_alpha=0.14, line_alpha=0.0
        )
        self.released = ColumnDataSource({"numax": []})
        self.line.js_on_change(
            "location", CustomJS(args={"line": self.line, "released": self.released}, code=_RELEASED)
        )
        self.released.on_change("data", lambda _name, _old, new: on_release(float(new["numax"][0])))
        drawn.state.add_layout(self.interval)
        drawn.state.add_layout(self.line)
        # A source that no glyph draws would not be part of the document.
        drawn.state.tags = [self.released]
        self.pane = pn.pane.Bokeh(
            drawn.state, sizing_mode="stretch_width", min_height=HEIGHT, margin=(0, 0, 6, 0)
        )

    def show(self, spectrum: xr.Dataset) -> None:
        """Show the spectrum of a star; ``spectrum`` is the product with that star alone."""
        frequency = spectrum["frequency"].values
        power = spectrum["power"].values[0].astype(float)
        power = np.where(power > 0, power, np.nan)
        at, smooth = smooth_spectrum(frequency, np.nan_to_num(power))
        smooth = np.where(smooth > 0, smooth, np.nan)
        self._draw("power density", frequency, power)
        self._draw("smoothed", at, smooth)
        known = np.isfinite(smooth).any()
        low, high = (_BELOW * np.nanmin(smooth), _ABOVE * np.nanmax(power)) if known else (0.1, 10.0)
        ends = (frequency[0], frequency[-1]) if frequency.size > 1 else (1.0, 10.0)
        for shown, (start, end) in zip(self._ranges, (ends, (low, high)), strict=True):
            start, end = float(start), float(end)
            shown.update(start=start, end=end, reset_start=start, reset_end=end)

    def show_model(self, oscillations: xr.Dataset, spectrum: xr.Dataset) -> None:
        """Show the model of the star in view, as of ``oscillations`` of it alone, and νmax."""
        frequency = spectrum["frequency"].values
        at = np.geomspace(frequency[0], frequency[-1], _DRAWN) if frequency.size > 1 else np.empty(0)
        parts = spectrum_model(oscillations, 0, at) if at.size else {}
        lowest = float(self._ranges[1].start)
        if parts:
            parts["background"] = np.sum([parts[name] for name in _BACKGROUND], axis=0)
            parts["model"] = parts["background"] + parts["oscillations"]
        for name in [*_LINES][2:]:
            values = parts.get(name, np.full(at.size, np.nan))
            self._draw(name, at, np.where(values > lowest, values, np.nan))
        numax, low, high = (float(oscillations[name][0]) for name in ("numax", "numax_low", "numax_high"))
        known = np.isfinite(numax)
        middle = float(np.sqrt(frequency[0] * frequency[-1])) if frequency.size > 1 else 3.0
        self.line.update(location=numax if known else middle, line_dash="solid" if known else "dotted")
        self.interval.update(left=low if known else middle, right=high if known else middle)

    def _draw(self, name: str, at: np.ndarray, values: np.ndarray) -> None:
        self._sources[name].data = {"frequency": at, "power": values}


class EchelleFigure:
    """The échelle diagram of a star; another Δν replaces the image in a few milliseconds."""

    def __init__(self) -> None:
        self._drawn: Any = None
        self._frequency = self._ratio = np.empty(0)
        self._limits = 0.0, 0.0
        self._figure = pn.pane.Bokeh(None, sizing_mode="stretch_width", min_height=400, margin=(0, 0, 6, 0))
        # A pane that holds a figure of Bokeh is as visible as that is; what it stands in can be hidden.
        self.pane = pn.Column(self._figure, sizing_mode="stretch_width")

    def show(self, spectrum: xr.Dataset, oscillations: xr.Dataset, dnu: float) -> None:
        """Show a star, or another model of it; both Datasets hold that star alone."""
        numax, width = (float(oscillations[name][0]) for name in ("numax", "envelope_width"))
        self._frequency = spectrum["frequency"].values
        self._ratio = over_background(spectrum, oscillations, 0)
        self._limits = numax - WIDE * width, numax + WIDE * width
        if not np.isfinite(dnu):
            self.pane.visible = False
            return
        if self._drawn is None:
            figure = echelle(spectrum, oscillations, 0, dnu, ratio=self._ratio).opts(title="")
            self._drawn = hv.renderer("bokeh").get_plot(figure)
            self._figure.object = self._drawn.state
        self.pane.visible = True
        self.show_orders(dnu)

    def show_orders(self, dnu: float) -> None:
        """Cut the spectrum in view into orders of another Δν, µHz."""
        low, high = self._limits
        if self._drawn is None or not np.isfinite(low):
            return
        made = cut_into_orders(self._frequency, self._ratio, dnu, low=low, high=high, smooth=SMOOTH)
        if not made.order.size:
            return
        handles = self._drawn.handles
        bottom, top = float(made.order[0]), float(made.order[-1] + dnu)
        handles["source"].data = {
            "image": [made.power], "x": [0.0], "y": [bottom], "dw": [dnu], "dh": [top - bottom],
        }  # fmt: skip
        handles["color_mapper"].update(low=0.0, high=float(np.nanmax(made.power)))
        for name, start, end in (("x_range", 0.0, dnu), ("y_range", bottom, top)):
            handles[name].update(start=start, end=end, reset_start=start, reset_end=end)
