"""The figures of one star, drawn once: another star replaces the numbers in them and nothing else.

HoloViews draws them as in a notebook; what it made is kept, because drawing them anew for each
star takes half a second, and sending the new numbers a hundredth of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import xarray as xr
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, Plot

from tasoc_kit import plots
from tasoc_kit.plots.light_curve import one_star, parts, quality_spans, series
from tasoc_kit.plots.theme import SELECTED, series_options

__all__ = ["NoiseFigure", "SeriesFigure", "StampFigure"]

STAMP_SIZE = 270
_TAP_REACH = 0.04
"""Share of the figure by which a finger may miss a point."""


def _drawn(figure: hv.Overlay) -> tuple[Any, list[Any]]:
    """Return what HoloViews makes of a figure, and the columns of numbers of each of its layers."""
    drawn = hv.renderer("bokeh").get_plot(figure)
    return drawn, [layer.handles["source"] for layer in drawn.subplots.values()]


def _pane(figure: Plot, **options: Any) -> pn.pane.Bokeh:
    return pn.pane.Bokeh(figure, **({"sizing_mode": "stretch_width", "margin": (0, 0, 10, 0)} | options))


class SeriesFigure:
    """One quantity of one star along time, over the flagged spans."""

    def __init__(self, light_curves: xr.Dataset) -> None:
        self.light_curves = light_curves
        self._asked: tuple[str, bool] | None = None
        self.pane = _pane(None, min_height=290)

    def show(self, star: int, quantity: str, relative: bool, of: xr.Dataset | None = None) -> None:
        """
        Show a quantity of a star; another quantity, with its axis, is a new figure.

        Parameters
        ----------
        star
            Index of the star.
        quantity, relative
            As of ``plots.light_curve``.
        of
            Light curves of the same cadences by another method; the star is that of them.
        """
        table = one_star(self.light_curves if of is None else of, star, quantity=quantity)
        if self._asked != (quantity, relative):
            self._asked = (quantity, relative)
            self._draw(table, quantity, relative)
            return
        split, _axis, limits = parts(table, quantity, relative=relative)
        for source, part in zip(self._sources, split.values(), strict=True):
            source.data = {name: part[name].to_numpy() for name in source.data}
        self._range.update(start=limits[0], end=limits[1], reset_start=limits[0], reset_end=limits[1])

    def _draw(self, table: pd.DataFrame, quantity: str, relative: bool) -> None:
        time, quality = (self.light_curves[name].values for name in ("time", "quality"))
        ours = self.light_curves.get("frame_quality")
        spans = quality_spans(time, quality, None if ours is None else ours.values)
        figure = series(table, quantity, relative=relative, spans=spans)
        drawn, sources = _drawn(figure.opts(xticks=5, **series_options(height=290)))
        self._sources, self._range = sources[-2:], drawn.handles["y_range"]
        self.pane.object = drawn.state


class NoiseFigure:
    """Noise against magnitude of every star, with a ring around the chosen one."""

    def __init__(self, light_curves: xr.Dataset, measured: xr.Dataset, on_tap: Callable[[int], None]) -> None:
        """
        Draw the figure.

        Parameters
        ----------
        light_curves, measured
            As of ``plots.noise``.
        on_tap
            Called with the index of the star that was tapped.
        """
        self._tmag, self._ptp = light_curves["tmag"].values, measured["ptp"].values
        drawn, _sources = _drawn(
            plots.noise(light_curves, measured).opts(**series_options(height=STAMP_SIZE + 75))
        )
        self._ring = ColumnDataSource({"tmag": [], "ptp": []})
        drawn.state.scatter(
            "tmag", "ptp", source=self._ring, size=13, fill_color=None, line_color=SELECTED, line_width=2.5
        )
        self._ranges = drawn.handles["x_range"], drawn.handles["y_range"]
        drawn.state.on_event(Tap, lambda event: self._tapped(event.x, event.y, on_tap))
        self.pane = _pane(drawn.state)

    def _tapped(self, tmag: float, ptp: float, on_tap: Callable[[int], None]) -> None:
        """Take the nearest star on the screen; the browser need not tell twenty thousand points apart."""
        (across, up), shown = self._ranges, np.flatnonzero(self._ptp > 0)
        if ptp is None or ptp <= 0 or not shown.size:
            return
        aside = (self._tmag[shown] - tmag) / (across.end - across.start)
        above = np.log(self._ptp[shown] / ptp) / np.log(up.end / up.start)
        distance = np.hypot(aside, above)
        if distance.min() < _TAP_REACH:
            on_tap(int(shown[distance.argmin()]))

    def show(self, star: int) -> None:
        """Move the ring."""
        self._ring.data = {"tmag": [float(self._tmag[star])], "ptp": [float(self._ptp[star])]}


class StampFigure:
    """One star's aperture on the reference image."""

    def __init__(self, reference: xr.Dataset, apertures: xr.Dataset) -> None:
        self.reference, self.apertures = reference, apertures
        self._plot: Any = None
        self.pane = pn.pane.Bokeh(None, margin=0, min_height=STAMP_SIZE + 70)

    def show(self, star: int) -> None:
        """Show another star."""
        drawn, sources = _drawn(
            plots.stamp(self.reference, self.apertures, star, width=STAMP_SIZE, height=STAMP_SIZE)
        )
        if self._plot is None:
            self._plot, self._sources = drawn, sources
            self.pane.object = drawn.state
            return
        for mine, new in zip(self._sources, sources, strict=True):
            mine.data = dict(new.data)
        for name in ("x_range", "y_range"):
            new = drawn.handles[name]
            self._plot.handles[name].update(
                start=new.start, end=new.end, reset_start=new.start, reset_end=new.end
            )
        size = {"frame_width": drawn.state.frame_width, "frame_height": drawn.state.frame_height}
        self._plot.state.update(**size)
