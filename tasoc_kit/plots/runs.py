"""When the notebooks of a run ran: a bar for each, side by side where they ran at the same time."""

from __future__ import annotations

import holoviews as hv
import pandas as pd
from bokeh.models import HoverTool

from tasoc_kit.plots.theme import FLAG_COLOURS, series_options

__all__ = ["runs"]


def runs(table: pd.DataFrame) -> hv.Overlay:
    """
    Draw when each notebook ran, a colour a unit.

    Parameters
    ----------
    table
        As ``run_pipeline`` returns it; what did not start is left out.
    """
    ran = table[table["start"].notna()]
    order = [f"{row.unit}  {row.notebook}" for row in ran.itertuples()][::-1]
    name = hv.Dimension("name", label=" ", values=order)
    hover = HoverTool(tooltips=[("notebook", "@name"), ("s", "@seconds{0.0}")])
    bars = []
    for number, (unit, part) in enumerate(ran.groupby("unit")):
        names = part["unit"] + "  " + part["notebook"]
        ends = part["start"] + part["seconds"]
        drawn = hv.Segments(
            (part["start"], names, ends, names, part["seconds"]), ["start", name, "end", "until"], "seconds",
            label=str(unit),
        )  # fmt: skip
        bars.append(drawn.opts(color=FLAG_COLOURS[number % len(FLAG_COLOURS)], line_width=11, tools=[hover]))
    return hv.Overlay(bars or [hv.Segments([], ["start", name, "end", "until"], "seconds")]).opts(
        xlabel="time since the start (s)", ylabel="", **series_options(height=90 + 26 * max(len(order), 1))
    )
