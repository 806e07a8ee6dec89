"""The stars of one CCD as a table, and in groups that have a name, a colour and a count."""

from __future__ import annotations

import html
from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit.dashboards.star_methods import method_name
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.plots.theme import FLAG_COLOURS, MUTED, STAR
from tasoc_kit.vocabulary import ApertureFlag, Method, Status

__all__ = ["GROUPS", "add_diagnostics", "count_flags", "group_stars", "legend_markup", "make_table"]

_CONTAMINATED = {"under 1 %": 0.01, "1 to 10 %": 0.1, "10 to 30 %": 0.3, "over 30 %": np.inf}
_COLOURS = (STAR, *FLAG_COLOURS)


def make_table(light_curves: xr.Dataset, apertures: xr.Dataset) -> pd.DataFrame:
    """
    Return one row per star; its noise is not yet known.

    Parameters
    ----------
    light_curves, apertures
        The products of one CCD.
    """
    stars = apertures.sizes["star"]

    def known(name: str, missing: float) -> np.ndarray:
        for dataset in (light_curves, apertures):
            if name in dataset.variables:
                return dataset[name].values
        return np.full(stars, missing)

    return pd.DataFrame(
        {
            "tic": known("tic", 0).astype(np.int64),
            "tmag": known("tmag", np.nan).astype(float),
            "row": known("star_row", np.nan).astype(float),
            "column": known("star_column", np.nan).astype(float),
            "pixels": known("row_size", 0).astype(float),
            "contamination": 100 * known("contamination", np.nan).astype(float),
            "status": known("status", Status.OK).astype(int),
            "method": known("method", Method.NONE).astype(int),
            "flags": known("aperture_flags", 0).astype(int),
            "noise": np.nan,
        },
        index=pd.RangeIndex(stars, name="star"),
    )


def add_diagnostics(stars: pd.DataFrame, diagnostics: xr.Dataset) -> pd.DataFrame:
    """Return the table with the noise of one exposure and of one hour in ppm, and the variability."""
    return stars.assign(
        # of the differences of two exposures, whose noise is independent, to that of one
        noise=1e6 * MAD_TO_SIGMA / np.sqrt(2) * diagnostics["ptp"].values,
        hour=1e6 * diagnostics["rms_hour"].values,
        variability=diagnostics["variability"].values,
    )


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


def _by_status(stars: pd.DataFrame) -> pd.Series:
    return stars["status"].map({int(status): status.name for status in Status})


def _by_method(stars: pd.DataFrame) -> pd.Series:
    return stars["method"].map({int(method): method_name(method) for method in Method})


def _by_contamination(stars: pd.DataFrame) -> pd.Series:
    share = stars["contamination"] / 100
    edges = [-np.inf, *_CONTAMINATED.values()]
    return pd.cut(share, edges, labels=list(_CONTAMINATED)).astype(object).fillna("not known")


def _by_flag(stars: pd.DataFrame) -> pd.Series:
    group = pd.Series("no flag", index=stars.index, dtype=object)
    for flag in reversed(ApertureFlag):  # the first that is set names the star
        group[(stars["flags"] & flag.value) != 0] = _words(str(flag.name))
    return group


GROUPS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "status": _by_status,
    "method": _by_method,
    "contamination": _by_contamination,
    "how the aperture was made": _by_flag,
}
"""What stars can be grouped by."""


def group_stars(stars: pd.DataFrame, by: str) -> pd.DataFrame:
    """
    Return the table with ``group`` and ``colour`` of every star; the largest group has the quiet colour.

    Parameters
    ----------
    stars
        As of ``make_table``.
    by
        One of ``GROUPS``.
    """
    group = GROUPS[by](stars)
    names = list(group.value_counts().index)
    colour = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}
    if "not known" in colour:
        colour["not known"] = MUTED
    return stars.assign(group=group, colour=group.map(colour))


def legend_markup(grouped: pd.DataFrame) -> str:
    """Return the markup of the groups: colour, name, how many, the largest first."""
    counts = grouped.groupby(["group", "colour"]).size().sort_values(ascending=False)
    items = "".join(
        f"<span style='white-space: nowrap'><span aria-hidden='true' style='color: {colour}'>⬤</span> "
        f"{html.escape(str(name))} {count:,}</span>"
        for (name, colour), count in counts.items()
    )
    return f"<p style='display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; font-size: 0.88rem'>{items}</p>"


def count_flags(stars: pd.DataFrame) -> dict[str, str]:
    """Return how many stars have each flag of their aperture, for ``theme.readout``."""
    bits = stars["flags"].to_numpy()
    counts = {flag: int(((bits & flag.value) != 0).sum()) for flag in ApertureFlag}
    return {_words(str(flag.name)): f"{count:,}" for flag, count in counts.items() if count}
