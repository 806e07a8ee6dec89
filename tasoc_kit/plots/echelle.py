"""The échelle diagram of a star."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.numerics import echelle as orders
from tasoc_kit.plots.shown_star import no_star
from tasoc_kit.plots.spectrum import spectrum_model
from tasoc_kit.plots.theme import series_options

__all__ = ["echelle", "over_background"]

_WIDE = 3.0
"""Scatters of the envelope on either side of νmax that are shown."""
_NOTHING = (np.arange(2.0), np.arange(2.0), np.zeros((2, 2)))
_MODEL_PARTS = ("white noise", "slow variation", "granulation")


def over_background(spectra: xr.Dataset, oscillations: xr.Dataset, star: int) -> np.ndarray:
    """Return the spectrum (frequency) of a star over its background; as it is where there is no model."""
    frequency = spectra["frequency"].values
    power = spectra["power"].isel(star=star).values.astype(float)
    parts = spectrum_model(oscillations, star, frequency)
    return power / np.sum([parts[name] for name in _MODEL_PARTS], axis=0) if parts else power


def echelle(
    spectra: xr.Dataset,
    oscillations: xr.Dataset,
    star: int,
    dnu: float | None = None,
    *,
    ratio: np.ndarray | None = None,
    smooth: float = 0.02,
) -> hv.Image | hv.Overlay:
    """
    Draw the spectrum of a star in orders of one Δν, over its background.

    Parameters
    ----------
    spectra, oscillations
        The products; without any star the figure says so.
    star
        Its number in the tables.
    dnu
        µHz; by default that of the star. For one that changes, as a slider does, bind this function to it.
    ratio
        As of :func:`over_background`, where it is at hand: then another Δν takes a millisecond.
    smooth
        Scatter of the kernel, over Δν.
    """
    if not oscillations.sizes["star"]:
        return no_star()
    one = oscillations[["numax", "dnu", "envelope_width"]].isel(star=star)
    numax, width = float(one["numax"]), float(one["envelope_width"])
    chosen = float(one["dnu"]) if dnu is None else dnu
    values = over_background(spectra, oscillations, star) if ratio is None else ratio
    made = orders.echelle(
        spectra["frequency"].values,
        values,
        chosen,
        low=numax - _WIDE * width if np.isfinite(numax) else 0.0,
        high=numax + _WIDE * width if np.isfinite(numax) else np.inf,
        smooth=smooth,
    )
    shown = made.order.size > 1 and made.modulo.size > 1
    image = (made.modulo, made.order + 0.5 * chosen, made.power) if shown else _NOTHING
    return hv.Image(image, ["modulo", "order"], "power").opts(
        title=f"Δν = {chosen:.3f} µHz" if np.isfinite(chosen) else "Δν is not known",
        xlabel="frequency modulo Δν (µHz)",
        ylabel="frequency (µHz)",
        cmap="viridis",
        alpha=float(shown),
        colorbar=True,
        clabel="power over background",
        **{k: v for k, v in series_options(height=380).items() if not k.startswith("legend")},
    )
