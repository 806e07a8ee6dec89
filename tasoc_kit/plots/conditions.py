"""The sector over time: sky level, pointing, and which frames are flagged."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.plots.frame import image, title_of
from tasoc_kit.plots.light_curve import quality_spans
from tasoc_kit.plots.theme import FLAG_COLOURS, GOOD, SELECTED, STAR, series_options

__all__ = ["masks", "pointing", "sky", "timeline"]


def _spans(dataset: xr.Dataset) -> list[hv.VSpans]:
    if "quality" not in dataset.variables:
        return []
    ours = dataset["frame_quality"].values if "frame_quality" in dataset.variables else None
    return quality_spans(dataset["time"].values, dataset["quality"].values, ours)


def timeline(
    dataset: xr.Dataset, names: dict[str, str], *, ylabel: str, title: str | None = None
) -> hv.Overlay:
    """
    Draw variables along time over the flagged spans.

    Parameters
    ----------
    dataset
        With ``time`` and the variables.
    names
        Variable → how it is called in the legend.
    ylabel
        Name of the axis, with its unit.
    title
        By default what the attrs say of sector, camera and CCD.
    """
    colours = (GOOD, SELECTED, STAR, *FLAG_COLOURS)
    time = dataset["time"].values
    curves = [
        hv.Scatter(
            (time, np.asarray(dataset[name].values, float)), kdims=["time"], vdims=["value"], label=label
        ).opts(color=colour, size=3.5, alpha=0.9, tools=["hover"])
        for (name, label), colour in zip(names.items(), colours, strict=False)
    ]
    drawn = hv.Overlay([*_spans(dataset), *curves])
    heading = title_of(dataset) if title is None else title
    return drawn.opts(
        title=heading,
        xlabel="time (BTJD)",
        ylabel=ylabel,
        legend_position="right",
        **series_options(height=260),
    )


def sky(sky: xr.Dataset) -> hv.Overlay:
    """Draw the median sky of each frame over that of the reference, from the sky product."""
    return timeline(sky, {"sky_median": "sky over the reference"}, ylabel="e⁻/s per pixel")


def pointing(pointing: xr.Dataset) -> hv.Overlay:
    """Draw the offset of each frame from the reference at the CCD centre, from the pointing product."""
    return timeline(pointing, {"motion_row": "rows", "motion_column": "columns"}, ylabel="offset (pix)")


def masks(reference: xr.Dataset) -> hv.Layout:
    """Draw the reference image and, beside it, what is star light and what is saturated."""
    light = reference["star_mask"].astype(np.float32)
    if "saturated" in reference:
        light = light + reference["saturated"].astype(np.float32)
    light.attrs = {}
    flagged = image(
        light, stretch="linear", colours="viridis", limits=(0.0, 2.0), title="star light, saturation"
    )
    return image(reference["reference"].assign_attrs(reference.attrs)) + flagged
