"""Who is a star of the frame, who is a target, who is neither, and why; what became of each of a list."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.vocabulary import Fate

__all__ = ["fates", "tally"]


def tally(stars: xr.Dataset) -> pd.DataFrame:
    """
    Count the stars of a frame, those that are no targets or not there, and the targets of a list.

    Parameters
    ----------
    stars
        Product of ``locate_stars``.

    Returns
    -------
    One row for each thing that can become of a star or a target: what, why, number.
    """
    wanted = int((stars["priority"].values > 0).sum())
    rows = [("target", "", wanted)]
    rows += [("no target", why, number) for why, number in stars.attrs.get("no_targets", {}).items()]
    rows += [("left out", why, number) for why, number in stars.attrs.get("left_out", {}).items()]
    if "target_fate" in stars:
        fates, numbers = np.unique(stars["target_fate"].values, return_counts=True)
        rows += [
            ("on the list", Fate(fate).name.lower().replace("_", " "), number)
            for fate, number in zip(fates, numbers, strict=True)
        ]
    return pd.DataFrame(rows, columns=["what", "why", "number"])


def fates(stars: xr.Dataset) -> pd.DataFrame:
    """
    Tell what became of every target of a list.

    Parameters
    ----------
    stars
        Product of ``locate_stars`` with a list.

    Returns
    -------
    One row for each target, in the order of the list: ``tic``, ``ra``, ``dec`` and ``asked``, as they are on
    it; its ``fate``; and where it is a star of the frame its index ``star``, ``tmag`` and ``priority``.

    Raises
    ------
    StepInputError
        If the stars were located without a list.
    """
    if "target_fate" not in stars:
        raise StepInputError(
            "fates: these stars have no list of targets; expected those of locate_stars with one. "
            "Hand it what read_targets returns."
        )
    star = stars["target_star"].values
    there = star >= 0
    table = pd.DataFrame(
        {
            "tic": stars["target_tic"].values,
            "ra": stars["target_ra"].values,
            "dec": stars["target_dec"].values,
            "asked": stars["target_priority"].values,
            "fate": [Fate(fate).name.lower().replace("_", " ") for fate in stars["target_fate"].values],
        }
    )
    table["star"] = pd.array(np.where(there, star, 0), "Int64")
    table["tmag"] = stars["tmag"].values[star]
    table["priority"] = pd.array(stars["priority"].values[star], "Int64")
    table.loc[~there, ["star", "tmag", "priority"]] = pd.NA
    return table
