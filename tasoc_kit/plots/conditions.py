"""The sector over time: sky level, pointing, and which frames are flagged."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr
from bokeh.models import FixedTicker, HoverTool

from tasoc_kit.plots.frame import image, pixel_image, title_of
from tasoc_kit.plots.light_curve import quality_spans
from tasoc_kit.plots.theme import FLAG_COLOURS, GOOD, SELECTED, STAR, place_options, series_options
from tasoc_kit.vocabulary import KitQuality, TessQuality

__all__ = ["flags", "masks", "pointing", "sky", "sky_share", "timeline"]


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
        **series_options(height=260),
    )


def sky(sky: xr.Dataset) -> hv.Overlay:
    """Draw the median sky of each frame over that of the reference, from the sky product."""
    return timeline(sky, {"sky_median": "sky over the reference"}, ylabel="e⁻/s per pixel")


def pointing(pointing: xr.Dataset) -> hv.Overlay:
    """Draw the offset of each frame from the reference at the CCD centre, from the pointing product."""
    return timeline(pointing, {"motion_row": "rows", "motion_column": "columns"}, ylabel="offset (pix)")


def flags(quality: xr.Dataset) -> hv.Points:
    """
    Draw which cadences have which flag: a row for each flag that is set, of the mission and our own.

    Parameters
    ----------
    quality
        With ``time``, ``cadenceno``, ``quality`` and, where there is one, ``frame_quality``.
    """
    rows = []
    for name, bits, whose in (("quality", TessQuality, "mission"), ("frame_quality", KitQuality, "ours")):
        for flag in bits if name in quality.variables else ():
            for index in np.flatnonzero(quality[name].values & flag.value if flag.value else []):
                label = str(flag.name).replace("_", " ").lower()
                rows.append((float(quality["time"][index]), label, whose, int(quality["cadenceno"][index])))
    names = sorted({row[1] for row in rows}, reverse=True) or ["no flag"]
    time = quality["time"].values
    flag = hv.Dimension("flag", values=names)
    points = hv.Points(rows, kdims=["time", flag], vdims=["whose", "cadenceno"])
    hover = HoverTool(tooltips=[("cadence", "@cadenceno"), ("BTJD", "@time{0.0000}"), ("flag of", "@whose")])
    return points.opts(
        title=title_of(quality),
        xlabel="time (BTJD)",
        ylabel="",
        color="whose",
        cmap={"mission": SELECTED, "ours": GOOD},
        marker="dash",
        angle=90,
        size=14,
        line_width=2,
        tools=[hover],
        xlim=(float(time[0]), float(time[-1])) if time.size else (None, None),
        **series_options(height=110 + 26 * len(names)),
    )


def masks(reference: xr.Dataset) -> hv.Layout:
    """Draw the reference image and, beside it, what is sky, star light and saturated."""
    kinds = reference["star_mask"].values.astype(np.float32)
    if "saturated" in reference:
        kinds = kinds + reference["saturated"].values.astype(np.float32)
    size = place_options(*kinds.shape, width=320, height=320)
    light = reference["reference"].copy(data=kinds).assign_attrs(reference.attrs)
    ticks = {"ticker": FixedTicker(ticks=[0, 1, 2])}
    names = {0: "sky", 1: "star light", 2: "saturated"}
    rows, columns = reference["row"].values, reference["column"].values
    flagged = pixel_image(light.values, rows, columns).opts(
        cmap=["#20242b", STAR, SELECTED],
        clim=(-0.5, 2.5),
        colorbar=True,
        clabel="",
        colorbar_opts=ticks | {"major_label_overrides": names, "width": 10, "bar_line_color": None},
        title="star light and saturation",
        **size,
    )
    return image(reference["reference"].assign_attrs(reference.attrs)).opts(**size) + flagged


def sky_share(used: xr.DataArray) -> hv.Image:
    """Draw in which share of the frames each pixel counted as sky, as :func:`tasoc_kit.sky_pixels` tells."""
    return pixel_image(used.values, used["row"].values, used["column"].values).opts(
        cmap="cividis",
        clim=(0.0, 1.0),
        colorbar=True,
        clabel="",
        colorbar_opts={"width": 10, "bar_line_color": None},
        title="share of frames in which a pixel is sky",
        **place_options(*used.shape),
    )
