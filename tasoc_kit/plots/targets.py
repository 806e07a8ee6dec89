"""Who is a star of the frame, who is a target, who is neither, and why."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit.vocabulary import Fate

__all__ = ["tally"]


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
