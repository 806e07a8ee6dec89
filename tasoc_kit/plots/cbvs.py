"""Co-trending vectors."""

from __future__ import annotations

from itertools import cycle

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.plots.frame import title_of
from tasoc_kit.plots.theme import FLAG_COLOURS, GOOD, SELECTED, STAR, series_options

__all__ = ["cbvs"]

_APART = 6.0
"""Scatters from one vector to the next."""
_COLOURS = (GOOD, SELECTED, STAR, *FLAG_COLOURS)


def cbvs(vectors: xr.Dataset, area: int | None = None) -> hv.Overlay:
    """
    Draw the vectors of an area, the strongest on top, each with its spikes.

    Parameters
    ----------
    vectors
        The product ``cbvs``.
    area
        By default the one that most stars are corrected with.
    """
    names, of_stars = vectors["area"].values, vectors["star_area"].values
    most = [names[np.argmax([(of_stars == name).sum() for name in names])]] if names.size else []
    chosen = [area] if area is not None else most
    of_area = vectors.isel(area=np.isin(names, chosen))
    numbers = np.flatnonzero(np.isfinite(of_area["cbv_snr"].values).any(axis=0))
    series = (of_area["cbv"] + of_area["spike_cbv"]).values.sum(axis=0)
    curves = [
        hv.Scatter(
            (vectors["time"].values, series[k] - _APART * place), "time", "value", label=f"vector {k + 1}"
        ).opts(color=colour, size=3, tools=["hover"])
        for place, (k, colour) in enumerate(zip(numbers, cycle(_COLOURS), strict=False))
    ]
    where = f"area {int(chosen[0])}" if curves else "no vectors: too few stars that vary little"
    return hv.Overlay(curves or [hv.Scatter([], "time", "value")]).opts(
        title=f"{title_of(vectors)} · {where}",
        xlabel="time (BTJD)",
        ylabel="vector (scatters)",
        **series_options(height=140 + 50 * max(len(curves), 1)),
    )
