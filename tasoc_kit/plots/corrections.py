"""Light curves before and after corrections, and what these did to the noise of a CCD."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.plots.shown_star import no_star
from tasoc_kit.plots.theme import GOOD, MUTED, SELECTED, STAR, series_options
from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, DEFAULT_BAD_KIT_BITS, Correction

__all__ = ["before_and_after", "corrections"]

_COLOURS = {
    Correction.NONE: MUTED,
    Correction.CBV: GOOD,
    Correction.ENSEMBLE: SELECTED,
    Correction.FILTER: STAR,
}
_NAMES = {
    Correction.NONE: "as measured",
    Correction.CBV: "vectors",
    Correction.ENSEMBLE: "neighbours",
    Correction.FILTER: "filtered",
}


def _ppm(table: xr.Dataset, name: str, star: int, good: np.ndarray) -> np.ndarray:
    """Return a series over its median, ppm; NaN where a bit sets the cadence apart."""
    one = table[[name, "pixel_quality"]].isel(star=star).compute()
    used = good & ((one["pixel_quality"].values & DEFAULT_BAD_KIT_BITS) == 0)
    flux = np.where(used, one[name].values, np.nan).astype(float)
    middle = np.nanmedian(flux) if np.isfinite(flux).any() else np.nan
    return np.asarray(1e6 * (flux / middle - 1))


def before_and_after(light_curves: xr.Dataset, star: int, **corrected: xr.Dataset) -> hv.Overlay:
    """
    Draw the flux of a star over its median, as it was and with each correction, one below the other.

    Parameters
    ----------
    light_curves
        ``flux`` (star, time); without any star the figure says so.
    star
        Its number in the tables.
    corrected
        ``flux_corr`` of the same stars, by the name that stands in the legend.
    """
    if not light_curves.sizes["star"]:
        return no_star()
    good = (light_curves["quality"].values & DEFAULT_BAD_BITS) == 0
    good &= (light_curves["frame_quality"].values & DEFAULT_BAD_KIT_BITS) == 0
    time = light_curves["time"].values
    before = _ppm(light_curves, "flux", star, good)
    known = before[np.isfinite(before)]
    apart = 1.2 * float(np.ptp(np.percentile(known, (1, 99)))) if known.size else 1.0
    series = {_NAMES[Correction.NONE]: before} | {
        name.replace("_", " "): _ppm(table, "flux_corr", star, good) for name, table in corrected.items()
    }
    drawn = [
        hv.Scatter((time, values - place * apart), "time", "ppm", label=name).opts(
            color=colour, size=4, tools=["hover"]
        )
        for place, ((name, values), colour) in enumerate(zip(series.items(), _COLOURS.values(), strict=False))
    ]
    return hv.Overlay(drawn).opts(
        title=f"TIC {int(light_curves['tic'].values[star])}",
        xlabel="time (BTJD)",
        ylabel="flux (ppm, one below the other)" if corrected else "flux (ppm)",
        **series_options(height=140 + 100 * len(drawn)),
    )


def corrections(chosen: xr.Dataset, diagnostics: xr.Dataset) -> hv.Overlay:
    """
    Draw the hourly scatter of every star against its magnitude, before and with its best correction.

    Parameters
    ----------
    chosen
        The product ``corrections``.
    diagnostics
        Scatter of the same stars before.
    """
    tmag, before = chosen["tmag"].values, 1e6 * diagnostics["rms_hour"].values
    best = chosen["best_correction"].values
    drawn = [
        hv.Scatter((tmag, before), "tmag", "rms", label=_NAMES[Correction.NONE]).opts(
            color=MUTED, size=4, alpha=0.6, tools=["hover"]
        )
    ]
    for kind in (Correction.CBV, Correction.ENSEMBLE):
        after = 1e6 * chosen["rms_hour_corr"].sel(correction=int(kind)).values
        some = best == int(kind)
        drawn.append(
            hv.Scatter((tmag[some], after[some]), "tmag", "rms", label=_NAMES[kind]).opts(
                color=_COLOURS[kind], size=4, tools=["hover"]
            )
        )
    return hv.Overlay(drawn).opts(
        xlabel="TESS magnitude",
        ylabel="scatter of hourly means (ppm)",
        logy=True,
        **series_options(height=320),
    )
