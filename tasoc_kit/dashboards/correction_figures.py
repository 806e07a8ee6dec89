"""The light curve of a star with each correction, one below the other on one axis of time.

Drawn once: another star replaces the numbers in the panels and nothing else.
"""

from __future__ import annotations

from typing import Any

import holoviews as hv
import pandas as pd
import panel as pn
import xarray as xr
from bokeh.layouts import column
from bokeh.models import BoxAnnotation

from tasoc_kit.plots.light_curve import one_star, parts, quality_spans, series
from tasoc_kit.plots.theme import SELECTED, series_options

__all__ = ["CorrectionPanels"]

HEIGHT, LEGEND, AXIS = 135, 40, 45
"""Screen pixels of a panel, of the legend above the first and of the axis below the last."""
BORDER = 76
"""Screen pixels left of every panel, so that times stand below each other."""


class CorrectionPanels:
    """As many panels as there are light curves, on one axis of time."""

    def __init__(self, light_curves: xr.Dataset, corrected: dict[str, xr.Dataset]) -> None:
        """
        Take the light curves.

        Parameters
        ----------
        light_curves
            As they were measured.
        corrected
            Name of a correction → ``flux_corr`` of the same stars and cadences.
        """
        plain = light_curves[["flux", "pixel_quality"]]
        self.tables = {"as measured": plain} | {
            name: plain.assign(
                flux=one["flux_corr"].variable.transpose("star", "time"),
                pixel_quality=one["pixel_quality"].variable.transpose("star", "time"),
            )
            for name, one in corrected.items()
        }
        self._sources: list[list[Any]] = []
        self._figures: list[Any] = []
        self.frames: dict[str, BoxAnnotation] = {}
        """Name of a light curve → what marks its panel; the outline of a figure is the theme's."""
        last = len(self.tables) - 1
        height = LEGEND + AXIS + HEIGHT * (last + 1)
        self.pane = pn.pane.Bokeh(None, sizing_mode="stretch_width", margin=(0, 0, 6, 0), min_height=height)

    def show(self, star: int, one_scale: bool, best: str) -> None:
        """
        Show a star.

        Parameters
        ----------
        star
            Its index.
        one_scale
            All panels over the range of the widest; else each over its own.
        best
            Name of the light curve that is marked.
        """
        tables = {name: one_star(table, star, quantity="flux") for name, table in self.tables.items()}
        if not self._sources:
            self._draw(tables)
        limits = []
        for sources, table in zip(self._sources, tables.values(), strict=True):
            split, _axis, limit = parts(table, "flux", relative=True)
            for source, part in zip(sources, split.values(), strict=True):
                source.data = {name: part[name].to_numpy() for name in source.data}
            limits.append(limit)
        if one_scale:
            known = [limit for limit in limits if limit[0] == limit[0]]
            widest = (min(low for low, _ in known), max(high for _, high in known)) if known else (0.0, 1.0)
            limits = [widest] * len(limits)
        for name, figure, (low, high) in zip(tables, self._figures, limits, strict=True):
            figure.y_range.update(start=low, end=high, reset_start=low, reset_end=high)
            figure.yaxis.axis_label = f"{name} (ppm)"
            self.frames[name].visible = name == best

    def _draw(self, tables: dict[str, pd.DataFrame]) -> None:
        first = next(iter(self.tables.values()))
        ours = first.get("frame_quality")
        time, quality = first["time"].values, first["quality"].values
        for place, (name, table) in enumerate(tables.items()):
            spans = quality_spans(time, quality, None if ours is None else ours.values)
            top, bottom = place == 0, place == len(tables) - 1
            figure = series(table, "flux", relative=True, spans=spans).opts(
                xticks=5,
                title="",
                show_legend=top,
                ylabel=f"{name} (ppm)",
                **series_options(height=HEIGHT + LEGEND * top + AXIS * bottom),
            )
            drawn = hv.renderer("bokeh").get_plot(figure)
            self._sources.append([layer.handles["source"] for layer in drawn.subplots.values()][-2:])
            state = drawn.state
            state.min_border_left, state.min_border_bottom, state.min_border_top = BORDER, 4, 4
            state.yaxis.ticker.desired_num_ticks = 4
            if self._figures:
                state.x_range = self._figures[0].x_range
            if not bottom:
                state.xaxis.visible = False
            self.frames[name] = BoxAnnotation(
                fill_alpha=0.0, line_color=SELECTED, line_width=4, line_alpha=1.0, visible=False
            )
            state.add_layout(self.frames[name])
            self._figures.append(state)
        self.pane.object = column(*self._figures, sizing_mode="stretch_width", spacing=0)
