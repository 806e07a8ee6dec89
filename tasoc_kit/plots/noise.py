"""Noise against magnitude: every star of a CCD beside what TASOC's noise model expects."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr
from bokeh.models import HoverTool

from tasoc_kit.numerics.noise import expected_noise, field_latitude
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, median_of_rows
from tasoc_kit.plots.theme import GOOD, MODEL, series_options
from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, DEFAULT_BAD_KIT_BITS

__all__ = ["measure_noise", "noise", "noise_model"]

_STARS_AT_ONCE = 2048


def measure_noise(light_curves: xr.Dataset, *, bad_bits: int = DEFAULT_BAD_BITS) -> xr.Dataset:
    """
    Return the point-to-point noise and the level of every star on its good cadences.

    Parameters
    ----------
    light_curves
        The product, (star, time).
    bad_bits
        TESS bits of a cadence that is left out.

    Returns
    -------
    (star): ``ptp``, the white scatter (1 sigma, from the differences of neighbours) in ppm of the median
    flux ``mean_flux`` (electron / s). NaN for a star without a light curve or with no positive flux.
    """
    good = (light_curves["quality"].values & bad_bits) == 0
    if "frame_quality" in light_curves.variables:
        good &= (light_curves["frame_quality"].values & DEFAULT_BAD_KIT_BITS) == 0
    flux = light_curves["flux"].transpose("star", "time")
    stars = light_curves.sizes["star"]
    ptp, level = np.full(stars, np.nan), np.full(stars, np.nan)
    for first in range(0, stars, _STARS_AT_ONCE):
        some = slice(first, min(first + _STARS_AT_ONCE, stars))
        # cadences are chosen in memory: of chunks on disk it would cost more than the reading
        values = np.compress(good, flux.isel(star=some).values, axis=1)
        level[some] = median_of_rows(values)
        ptp[some] = MAD_TO_SIGMA / np.sqrt(2) * median_of_rows(np.abs(np.diff(values, axis=1)))
    ptp *= 1e6 / level
    ptp[~(level > 0)] = np.nan
    return xr.Dataset({"ptp": ("star", ptp), "mean_flux": ("star", level)})


def noise_model(faintest: float, brightest: float, seconds: float, latitude: float = 45.0) -> hv.Overlay:
    """
    Draw the expected point-to-point noise of one exposure and its parts.

    Parameters
    ----------
    faintest, brightest
        Magnitudes between which the lines run.
    seconds
        Of collected light in one exposure.
    latitude
        Ecliptic, of the field, degrees: zodiacal light is brightest on the ecliptic.
    """
    tmag = np.linspace(brightest, faintest, 200)
    expected = expected_noise(tmag, seconds=seconds, ecliptic_latitude=latitude)
    parts = {
        "total": expected.total,
        "star": expected.shot,
        "zodiacal light": expected.zodiacal,
        "read-out": expected.read,
    }
    lines = [
        hv.Curve((tmag, values), kdims=["tmag"], vdims=["ptp"], label=name).opts(
            color=MODEL[name],
            line_width=2.2 if name == "total" else 1.2,
            alpha=0.95 if name == "total" else 0.8,
        )
        for name, values in parts.items()
    ]
    return hv.Overlay(lines)


def noise(light_curves: xr.Dataset, measured: xr.Dataset | None = None, *, title: str = "") -> hv.Overlay:
    """
    Draw the point-to-point noise of every star against its magnitude, with the noise model.

    Parameters
    ----------
    light_curves
        The product, (star, time), with ``tmag`` and ``tic``.
    measured
        As of ``measure_noise``, where it is at hand.
    title
        Of the figure.
    """
    measured = measure_noise(light_curves) if measured is None else measured
    tmag, ptp = light_curves["tmag"].values.astype(float), measured["ptp"].values
    shown = np.flatnonzero(np.isfinite(ptp) & (ptp > 0) & np.isfinite(tmag))
    table = {
        "tmag": tmag[shown],
        "ptp": ptp[shown],
        "tic": light_curves["tic"].values[shown].astype(str),
        "star": shown,
    }
    hover = HoverTool(tooltips=[("TIC", "@tic"), ("Tmag", "@tmag{0.00}"), ("noise", "@ptp{0,0} ppm")])
    points = hv.Scatter(table, kdims=["tmag"], vdims=["ptp", "tic", "star"], label="measured")
    points = points.opts(color=GOOD, size=4, alpha=0.55, tools=[hover])
    limits = (float(tmag[shown].min()) - 0.5, float(tmag[shown].max()) + 0.5) if shown.size else (6.0, 16.0)
    seconds = float(light_curves.attrs.get("exposure", 0.0)) or 1425.6
    position = (light_curves[name].values for name in ("ra", "dec") if name in light_curves.variables)
    drawn = points * noise_model(limits[1], limits[0], seconds, field_latitude(*position))
    return drawn.opts(
        title=title,
        xlabel="TESS magnitude",
        ylabel="noise of one exposure (ppm)",
        logy=True,
        xlim=limits,
        **series_options(height=320),
    )
