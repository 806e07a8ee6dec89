"""Apertures: the outlines of pixel masks, and one star's stamp.

An outline is the set of pixel edges between a mask and what is not the same mask.
"""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.plots.frame import image, mark_stars
from tasoc_kit.plots.shown_star import no_star
from tasoc_kit.plots.theme import SELECTED, STAR, place_options

__all__ = ["aperture_of", "mark_apertures", "outline", "stamp"]

_STRIDE = 1 << 14  # more than any row or column label with its neighbours
_NEIGHBOURS = (
    # row step, column step, and the edge between as offsets of its two ends
    (1, 0, (-0.5, 0.5, 0.5, 0.5)),
    (-1, 0, (-0.5, -0.5, 0.5, -0.5)),
    (0, 1, (0.5, -0.5, 0.5, 0.5)),
    (0, -1, (-0.5, -0.5, -0.5, 0.5)),
)


def outline(rows: np.ndarray, columns: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """
    Return the edges of masks.

    Parameters
    ----------
    rows, columns
        (n,) labels of the pixels.
    owners
        (n,) the mask that each pixel belongs to.

    Returns
    -------
    (edges, 4): column and row of one end, column and row of the other.
    """
    rows, columns, owners = (np.asarray(a, dtype=np.int64) for a in (rows, columns, owners))
    key = (owners * _STRIDE + rows + 1) * _STRIDE + columns + 1
    edges = [np.empty((0, 4))]
    for row_step, column_step, ends in _NEIGHBOURS:
        bare = ~np.isin(key + row_step * _STRIDE + column_step, key)
        place = np.column_stack([columns[bare], rows[bare], columns[bare], rows[bare]])
        edges.append(place + np.asarray(ends))
    return np.concatenate(edges)


def _bounds(apertures: xr.Dataset) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(apertures["row_size"].values)])


def aperture_of(apertures: xr.Dataset, star: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and column labels of one star's aperture; both empty where it has none."""
    bounds = _bounds(apertures)
    span = slice(int(bounds[star]), int(bounds[star + 1]))
    return apertures["pixel_row"].values[span], apertures["pixel_column"].values[span]


def mark_apertures(
    apertures: xr.Dataset, chosen: np.ndarray | None = None, *, colour: str = STAR, width: float = 1.0
) -> hv.Segments:
    """
    Draw the outlines of apertures.

    Parameters
    ----------
    apertures
        The product: contiguous ragged masks, ``row_size`` pixels per star.
    chosen
        Indices of stars; by default all.
    colour, width
        Of the lines.
    """
    sizes = apertures["row_size"].values
    owners = np.repeat(np.arange(sizes.size), sizes)
    keep = np.ones(owners.size, bool) if chosen is None else np.isin(owners, chosen)
    edges = outline(apertures["pixel_row"].values[keep], apertures["pixel_column"].values[keep], owners[keep])
    segments = hv.Segments(edges, kdims=["column", "row", "column_end", "row_end"])
    return segments.opts(color=colour, line_width=width, apply_ranges=False)


def stamp(
    reference: xr.Dataset,
    apertures: xr.Dataset,
    star: int,
    *,
    margin: int = 5,
    stretch: str = "log",
    colours: str = "magma",
    width: int = 330,
    height: int = 300,
) -> hv.Overlay:
    """
    Draw one star's aperture on the reference image, with its neighbours.

    Parameters
    ----------
    reference
        The product with ``reference`` (row, column).
    apertures
        The product with the masks and the stars' positions; without any star the figure says so.
    star
        Index of the star.
    margin
        Pixels shown around the aperture.
    stretch, colours
        As of ``frame.image``; ``log`` shows the wings that an aperture ends in.
    width, height
        The figure is as large as fits into these, in screen pixels.
    """
    if not apertures.sizes["star"]:
        return no_star(width=width)
    one = apertures.isel(star=star)
    rows, columns = aperture_of(apertures, star)
    centre = round(float(one["star_row"])), round(float(one["star_column"]))
    spans = []
    for labels, middle in zip((rows, columns), centre, strict=True):
        inside = [*labels.tolist(), middle]
        spans.append(slice(min(inside) - margin, max(inside) + margin))
    cut = reference["reference"].sel(row=spans[0], column=spans[1]).load()
    near = _stars_within(apertures, cut)
    picture = image(cut, stretch=stretch, colours=colours, title="").opts(colorbar=False)
    mask = mark_apertures(apertures, np.array([star]), colour=SELECTED, width=2.5)
    shown = picture * mark_stars(apertures, near) * mask
    frame_x = (float(cut["column"].min()) - 0.5, float(cut["column"].max()) + 0.5)
    frame_y = (float(cut["row"].min()) - 0.5, float(cut["row"].max()) + 0.5)
    size = place_options(*cut.shape, width=width, height=height)
    return shown.opts(xlim=frame_x, ylim=frame_y, **size)


def _stars_within(apertures: xr.Dataset, cut: xr.DataArray) -> np.ndarray:
    inside = np.ones(apertures.sizes["star"], bool)
    for name in ("row", "column"):
        place, labels = apertures[f"star_{name}"].values, cut[name].values
        inside &= (place >= labels[0] - 0.5) & (place <= labels[-1] + 0.5)
    return np.flatnonzero(inside)
