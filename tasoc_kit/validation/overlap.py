"""Stars that several CCDs of a sector measured: whether they tell the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit.validation.star_flags import measured_stars

__all__ = ["compare_overlap"]


def compare_overlap(diagnostics: xr.Dataset, others: xr.Dataset) -> xr.Dataset:
    """
    Compare the stars of a CCD with the same stars on other CCDs.

    Parameters
    ----------
    diagnostics
        (star) ``tic``, ``status``, ``mean_flux`` and ``rms_hour``; its ``camera`` and ``ccd`` are attributes.
    others
        The same of other CCDs in one table, with ``star_camera`` and ``star_ccd``, as of ``read_neighbours``;
        rows of the CCD itself are passed over.

    Returns
    -------
    (overlap) a row for each CCD that has a star in common: ``overlap_camera``, ``overlap_ccd``,
    ``overlap_stars``, and the medians over these stars of flux and noise of one hour, here over there,
    ``overlap_flux`` and ``overlap_rms``.
    """
    here, there = _table(diagnostics), _table(others)
    own = tuple(int(diagnostics.attrs.get(name) or 0) for name in ("camera", "ccd"))
    there = there[(there["star_camera"] != own[0]) | (there["star_ccd"] != own[1])]
    both = here.merge(there, on="tic", suffixes=("", "_there"))
    both["flux"] = both["mean_flux"] / both["mean_flux_there"]
    both["rms"] = both["rms_hour"] / both["rms_hour_there"]
    groups = both.groupby(["star_camera", "star_ccd"], sort=True)
    found = groups.agg(stars=("tic", "size"), flux=("flux", "median"), rms=("rms", "median")).reset_index()
    found = found.rename(columns={"star_camera": "camera", "star_ccd": "ccd"})
    types = {"camera": np.int8, "ccd": np.int8, "stars": np.int32, "flux": float, "rms": float}
    return xr.Dataset(
        {f"overlap_{name}": ("overlap", found[name].to_numpy(kind)) for name, kind in types.items()}
    )


def _table(stars: xr.Dataset) -> pd.DataFrame:
    """Return the stars that have a number, a flux and a noise; one that stands twice is left out."""
    names = ("tic", "mean_flux", "rms_hour", "star_camera", "star_ccd")
    table = pd.DataFrame({name: stars[name].values for name in names if name in stars.variables})
    known = measured_stars(stars) & (table["tic"] > 0) & (table["mean_flux"] > 0) & (table["rms_hour"] > 0)
    place = [name for name in table if name in ("tic", "star_camera", "star_ccd")]
    return table[known].drop_duplicates(place, keep=False)
