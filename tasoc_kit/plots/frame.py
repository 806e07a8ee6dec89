"""Images on the CCD: a frame of a cube, the reference, a mask, with stars and apertures on top.

An image larger than the screen is rasterised by datashader for the part in view, so a full
frame of 2078 × 2136 pixels is drawn with the pixels of the figure and sharpens as one zooms in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import holoviews as hv
import numpy as np
import xarray as xr
from bokeh.models import CustomJSHover, FixedTicker, HoverTool
from holoviews.operation.datashader import rasterize

from tasoc_kit.numerics.detector import SCIENCE_COLUMNS, SCIENCE_ROWS
from tasoc_kit.plots.stretch import Stretch, make_stretch
from tasoc_kit.plots.theme import STAR, place_options

__all__ = [
    "colour_image",
    "frame",
    "image",
    "mark_stars",
    "pixel_image",
    "science_pixels",
    "title_of",
]

SCREEN_PIXELS = 640 * 640
_RASTER = {"aggregator": "mean", "interpolation": "nearest"}
_TICKS = np.linspace(0.0, 1.0, 7)


def title_of(dataset: xr.Dataset | xr.DataArray) -> str:
    """Return ``Sector 1 · camera 1 · CCD 2``, as far as the attrs know it."""
    names = (("sector", "Sector"), ("camera", "camera"), ("ccd", "CCD"), ("field", "field"))
    parts = [
        f"{word} {dataset.attrs[key]}" for key, word in names if dataset.attrs.get(key) not in (None, "")
    ]
    return " · ".join(parts)


def pixel_image(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> hv.Image:
    """Return the raw pixels as an image whose pixel centres are the row and column labels."""
    bounds = (columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5)
    # Image counts rows from the top of its bounds
    return hv.Image(values[::-1], bounds=bounds, kdims=["column", "row"], vdims=["flux"])


def science_pixels(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the pixels that see the sky, for the limits of a stretch; all where none does."""
    seen_rows = (rows >= SCIENCE_ROWS.start) & (rows < SCIENCE_ROWS.stop)
    seen_columns = (columns >= SCIENCE_COLUMNS.start) & (columns < SCIENCE_COLUMNS.stop)
    if not seen_rows.any() or not seen_columns.any():
        return values
    inside = values[seen_rows.argmax() : seen_rows.nonzero()[0][-1] + 1]
    return inside[:, seen_columns.argmax() : seen_columns.nonzero()[0][-1] + 1]


def _flux_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _flux_bar(stretch: Stretch) -> Callable[[Any, Any], None]:
    """Return the hook that writes flux beside the colours of a stretched image."""
    labels = {float(t): _flux_text(v) for t, v in zip(_TICKS, stretch.inverse(_TICKS), strict=True)}
    labels[1.0] += " e⁻/s"  # a title of the bar would stand on its side, and be cut

    def write(plot: Any, element: Any) -> None:
        bar = plot.handles.get("colorbar")
        if bar is not None:
            bar.ticker = FixedTicker(ticks=[float(tick) for tick in _TICKS])
            bar.major_label_overrides = labels

    return write


def _hover() -> HoverTool:
    whole = CustomJSHover(code="return Math.round(value).toString()")
    return HoverTool(
        tooltips=[("row", "$y{custom}"), ("column", "$x{custom}"), ("flux", "@flux{0,0.0} e⁻/s")],
        formatters={"$x": whole, "$y": whole},
    )


def colour_image(pixels: hv.Image, stretch: Stretch, colours: str = "magma", **options: Any) -> hv.Image:
    """
    Return the image with its brightness stretched; the flux stays for the hover and the bar.

    Parameters
    ----------
    pixels
        Raw flux, as of ``pixel_image``.
    stretch, colours
        Flux to brightness, and brightness to colour.
    options
        Of the figure, as ``place_options`` returns them.
    """
    flux = pixels.dimension_values("flux", flat=False)
    shade = hv.Image(
        (
            pixels.dimension_values("column", False),
            pixels.dimension_values("row", False),
            stretch(flux),
            flux,
        ),
        kdims=["column", "row"],
        vdims=[
            hv.Dimension("shade", range=(0.0, 1.0)),
            hv.Dimension("flux", range=(stretch.low, stretch.high)),
        ],
        bounds=pixels.bounds,
    )
    return shade.opts(
        cmap=colours,
        clim=(0.0, 1.0),
        colorbar=True,
        clabel="",
        colorbar_opts={"bar_line_color": None, "width": 10, "padding": 6},
        clipping_colors={"NaN": "#00000000"},
        hooks=[_flux_bar(stretch)],
        tools=[_hover()],
        **options,
    )


def image(
    values: xr.DataArray,
    *,
    stretch: str = "asinh",
    colours: str = "magma",
    limits: tuple[float, float] | None = None,
    title: str | None = None,
) -> hv.Image | hv.DynamicMap:
    """
    Draw one image.

    Parameters
    ----------
    values
        (row, column), with their labels.
    stretch
        ``asinh``, ``linear``, ``log`` or ``eq_hist``.
    colours
        Name of a colour map.
    limits
        Flux shown darkest and brightest; by default percentiles 1 and 99.8.
    title
        By default what the attrs say of sector, camera and CCD.

    Returns
    -------
    An image, or for one larger than the screen a live one that draws the part in view.
    """
    array = np.asarray(values.transpose("row", "column").values, dtype=np.float32)
    rows, columns = values["row"].values, values["column"].values
    pixels = pixel_image(array, rows, columns)
    shade = make_stretch(science_pixels(array, rows, columns), stretch, limits=limits)
    heading = title_of(values) if title is None else title
    options = place_options(*array.shape, title=heading)
    if array.size <= SCREEN_PIXELS:
        return colour_image(pixels, shade, colours, **options)
    shown = rasterize(pixels, **_RASTER)
    return shown.apply(colour_image, stretch=shade, colours=colours, **options)


def frame(cube: xr.Dataset, index: int = 0, **options: Any) -> hv.Image | hv.DynamicMap:
    """
    Draw one frame of a cube; no other frame is read.

    Parameters
    ----------
    cube
        (time, row, column) with ``flux``.
    index
        Which frame, counted from 0; negative from the end.
    options
        As of ``image``.
    """
    one = cube["flux"].isel(time=index)
    heading = f"{title_of(cube)} · cadence {int(one['cadenceno'])} · BTJD {float(one['time']):.4f}"
    return image(one, **({"title": heading.strip(" ·")} | options))


def mark_stars(
    stars: xr.Dataset, chosen: np.ndarray | None = None, *, brightest: int = 1000, colour: str = STAR
) -> hv.Points:
    """
    Draw stars as circles whose size follows their magnitude.

    Parameters
    ----------
    stars
        (star) with ``star_row``, ``star_column``, ``tmag``, ``tic``.
    chosen
        Indices of stars; by default all.
    brightest
        Draw no more than these.
    colour
        Of the circles.
    """
    index = np.arange(stars.sizes["star"]) if chosen is None else np.asarray(chosen, dtype=int)
    tmag = stars["tmag"].values[index].astype(float)
    order = np.argsort(tmag)[:brightest]
    index, tmag = index[order], tmag[order]
    table = {
        "column": stars["star_column"].values[index],
        "row": stars["star_row"].values[index],
        "tic": stars["tic"].values[index].astype(str),
        "tmag": tmag,
        "star": index,
        "size": np.clip(22.0 - 1.25 * tmag, 4.0, 18.0),
    }
    points = hv.Points(table, kdims=["column", "row"], vdims=["tic", "tmag", "star", "size"])
    hover = HoverTool(tooltips=[("TIC", "@tic"), ("Tmag", "@tmag{0.00}")])
    return points.opts(
        size="size",
        fill_color=None,
        line_color=colour,
        line_width=1.2,
        line_alpha=0.9,
        tools=[hover],
        apply_ranges=False,
    )
