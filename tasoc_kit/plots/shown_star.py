"""Which star a figure shows, and what stands in its place where there is none."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

__all__ = ["no_star", "star_of_least"]


def star_of_least(values: xr.DataArray) -> int:
    """
    Return the number of the star that has the least value; 0 where none has one.

    A table without any star gives 0 as well: the figures of a star say that there is none.

    Parameters
    ----------
    values
        (star); NaN leaves a star out.
    """
    known = np.where(np.isnan(values), np.inf, values)
    return int(known.argmin()) if known.size else 0


def no_star(words: str = "There is no star to show", *, width: int = 360) -> hv.Overlay:
    """Return what stands in the place of a figure of a star, in a table that has none."""
    text = hv.Text(0.5, 0.5, words).opts(text_font_size="11pt")
    return hv.Overlay([text]).opts(xaxis=None, yaxis=None, frame_width=width, frame_height=width // 4)
