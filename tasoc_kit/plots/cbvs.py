"""Co-trending vectors, and light curves before and after them."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.plots.frame import title_of
from tasoc_kit.plots.theme import FLAG_COLOURS, GOOD, MUTED, SELECTED, STAR, series_options

__all__ = ["before_and_after", "cbvs"]

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
    chosen = int(names[np.argmax([(of_stars == name).sum() for name in names])]) if area is None else area
    of_area = vectors.sel(area=chosen)
    numbers = np.flatnonzero(np.isfinite(of_area["cbv_snr"].values))
    series = (of_area["cbv"] + of_area["spike_cbv"]).values
    curves = [
        hv.Scatter(
            (vectors["time"].values, series[k] - _APART * place), "time", "value", label=f"vector {k + 1}"
        ).opts(color=colour, size=3, tools=["hover"])
        for place, (k, colour) in enumerate(zip(numbers, _COLOURS, strict=False))
    ]
    return hv.Overlay(curves).opts(
        title=f"{title_of(vectors)} · area {chosen}",
        xlabel="time (BTJD)",
        ylabel="vector (scatters)",
        **series_options(height=90 + 50 * len(curves)),
    )


def before_and_after(light_curves: xr.Dataset, corrected: xr.Dataset, star: int) -> hv.Overlay:
    """
    Draw the flux of a star over its median, as it was and corrected.

    Parameters
    ----------
    light_curves, corrected
        ``flux``, and ``flux_corr`` of the same stars.
    star
        Its number in the tables.
    """
    good = (light_curves["quality"].values == 0) & (light_curves["frame_quality"].values == 0)
    time = light_curves["time"].values[good]
    drawn = []
    for name, table, colour in (("flux", light_curves, MUTED), ("flux_corr", corrected, GOOD)):
        flux = table[name].isel(star=star).values[good]
        ppm = 1e6 * (flux / np.nanmedian(flux) - 1) if np.isfinite(flux).any() else flux
        label = "corrected" if name == "flux_corr" else "as measured"
        drawn.append(
            hv.Scatter((time, ppm), "time", "ppm", label=label).opts(color=colour, size=4, tools=["hover"])
        )
    return hv.Overlay(drawn).opts(
        title=f"TIC {int(light_curves['tic'].values[star])}",
        xlabel="time (BTJD)",
        ylabel="flux (ppm about the median)",
        **series_options(height=260),
    )
