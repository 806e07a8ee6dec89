"""The stars of one CCD as a table that can be searched, filtered, ordered and turned page by page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit.vocabulary import Status

__all__ = [
    "COLUMNS",
    "VERDICTS",
    "Wanted",
    "add_noise",
    "add_reviews",
    "make_star_list",
    "page_rows",
    "select_stars",
]

COLUMNS = {
    "tic": "TIC",
    "tmag": "Tmag",
    "ptp": "Noise/ppm",
    "contamination": "Contam./%",
    "status": "Status",
    "verdict": "Review",
}
VERDICTS = ("open", "accept", "reject")


@dataclass(frozen=True)
class Wanted:
    """What a person asks of the table."""

    search: str = ""
    """Digits anywhere in the TIC number."""
    tmag: tuple[float, float] = (-np.inf, np.inf)
    statuses: tuple[str, ...] = ()
    """Empty for all."""
    verdicts: tuple[str, ...] = ()
    """Of ``VERDICTS``; empty for all."""
    order: str = "tmag"
    descending: bool = False


def _status_names(codes: np.ndarray) -> np.ndarray:
    names = {int(status): status.name for status in Status}
    return np.array([names.get(int(code), str(code)) for code in codes], dtype=object)


def make_star_list(light_curves: xr.Dataset) -> pd.DataFrame:
    """
    Return one row per star, indexed by its place in the product; its noise is not yet known.

    Parameters
    ----------
    light_curves
        The product, (star, time).
    """
    stars = light_curves.sizes["star"]

    def known(name: str, default: float) -> np.ndarray:
        return light_curves[name].values if name in light_curves.variables else np.full(stars, default)

    return pd.DataFrame(
        {
            "tic": light_curves["tic"].values.astype(np.int64),
            "tmag": light_curves["tmag"].values.astype(float),
            "ptp": np.nan,
            "mean_flux": np.nan,
            "contamination": known("contamination", np.nan).astype(float),
            "status": _status_names(known("status", 0)),
            "has_flux": known("row_size", 1) > 0,
            "verdict": "open",
            "comment": "",
        },
        index=pd.RangeIndex(stars, name="star"),
    )


def add_noise(stars: pd.DataFrame, measured: xr.Dataset) -> pd.DataFrame:
    """Return the table with ``ptp`` (ppm) and ``mean_flux`` of every star, as of ``plots.measure_noise``."""
    return stars.assign(ptp=measured["ptp"].values, mean_flux=measured["mean_flux"].values)


def add_reviews(stars: pd.DataFrame, reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the last verdict and the last comment on each star."""
    table = stars.assign(verdict="open", comment="")
    for review in reviews.sort_values("review").itertuples():
        if review.star in table.index:
            table.at[review.star, "verdict"] = review.verdict or "open"
            table.at[review.star, "comment"] = review.comment
    return table


def select_stars(stars: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
    """Return the rows that are wanted, in the wanted order; stars without a value come last."""
    keep = stars["tmag"].between(*wanted.tmag) | stars["tmag"].isna()
    if wanted.search.strip():
        digits = "".join(character for character in wanted.search if character.isdigit())
        keep &= stars["tic"].astype(str).str.contains(digits or "none", regex=False)
    if wanted.statuses:
        keep &= stars["status"].isin(wanted.statuses)
    if wanted.verdicts:
        keep &= stars["verdict"].isin(wanted.verdicts)
    return stars[keep].sort_values(
        wanted.order, ascending=not wanted.descending, kind="stable", na_position="last"
    )


def _shown(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "–"


def page_rows(stars: pd.DataFrame, page: int, length: int) -> list[dict[str, str | int]]:
    """Return the rows of one page, as text; ``page`` counts from 0."""
    return [
        {
            "star": int(row.Index),
            "tic": str(row.tic),
            "tmag": _shown(row.tmag, ".2f"),
            "ptp": _shown(row.ptp, ",.0f"),
            "contamination": _shown(100 * row.contamination, ".1f"),
            "status": str(row.status),
            "verdict": str(row.verdict),
        }
        for row in stars.iloc[page * length : (page + 1) * length].itertuples()
    ]
