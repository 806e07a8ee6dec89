"""Classes of variability: how many stars each has, and what they look like."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.plots.folded import folded
from tasoc_kit.plots.theme import GOOD, MUTED, series_options
from tasoc_kit.vocabulary import VariabilityClass

__all__ = ["CLASS_NAMES", "class_examples", "classes"]

CLASS_NAMES = {
    VariabilityClass.UNKNOWN: "unknown",
    VariabilityClass.SOLARLIKE: "solar-like",
    VariabilityClass.ECLIPSE: "transit or eclipse",
    VariabilityClass.RRLYR_CEPHEID: "RR Lyrae or Cepheid",
    VariabilityClass.DSCT_BCEP: "δ Scuti or β Cephei",
    VariabilityClass.GDOR_SPB: "γ Doradus or SPB",
    VariabilityClass.CONTACT_ROT: "contact binary or spots",
    VariabilityClass.APERIODIC: "aperiodic",
    VariabilityClass.CONSTANT: "constant",
}
_PERIODIC = (VariabilityClass.RRLYR_CEPHEID, VariabilityClass.DSCT_BCEP, VariabilityClass.GDOR_SPB)


def classes(classified: xr.Dataset) -> hv.Bars:
    """
    Draw how many stars belong to each class.

    Parameters
    ----------
    classified
        The product ``variability``.
    """
    kinds = list(CLASS_NAMES)
    count = [int((classified["variability_class"].values == kind).sum()) for kind in kinds]
    return hv.Bars((list(CLASS_NAMES.values()), count), "class", "stars").opts(
        color=GOOD, xlabel="", ylabel="stars", invert_axes=True, tools=["hover"], **series_options(height=300)
    )


def _period(one: xr.Dataset, kind: VariabilityClass) -> float:
    """Return the period, days, that shows what a star of this class does; NaN for none."""
    told = dict(zip(one["feature_name"].values, one["features"].values, strict=True))
    if not np.isfinite(one["features"].values).all():
        return float("nan")
    if kind == VariabilityClass.ECLIPSE:
        return float(10 ** told["log_dip_period"])
    first = float(10 ** -told["log_frequency_1"])
    if kind == VariabilityClass.CONTACT_ROT:
        # Two unlike minima: what explains them is twice the period of the strongest wave.
        return 2 * first if told["explained_half"] > 0.5 else first
    return first if kind in _PERIODIC else float("nan")


def class_examples(classified: xr.Dataset, flux: xr.Dataset, *, columns: int = 2) -> hv.Layout:
    """
    Draw light curves, folded where their class has a period.

    Parameters
    ----------
    classified
        The product ``variability``, of the stars that are drawn.
    flux
        ``relative_flux`` of the same stars.
    columns
        Figures beside each other.
    """
    figures = []
    for star in range(classified.sizes["star"]):
        one = classified.isel(star=star)
        kind = VariabilityClass(int(one["variability_class"]))
        sure = float(np.nan_to_num(one["class_probability"].values).max())
        name = f"TIC {int(one['tic'])} · " if "tic" in one.coords else ""
        values = flux["relative_flux"].values[star]
        drawn = folded(
            flux["time"].values, values, _period(one, kind), title=f"{name}{CLASS_NAMES[kind]} · {sure:.0%}"
        )
        figures.append(drawn.opts(color=MUTED if kind == VariabilityClass.UNKNOWN else GOOD))
    if not figures:
        empty = np.empty(0)
        figures.append(folded(empty, empty, float("nan"), title="no star has a class"))
    return hv.Layout(figures).opts(shared_axes=False).cols(columns)
