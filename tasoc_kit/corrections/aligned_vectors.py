"""Vectors in the cadences of light curves, whatever the cadences are that they were made of.

A cadence is known by its number, never by its place. One that the vectors do not have is unknown: light
curves are neither fitted nor corrected there.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.corrections.star_areas import NOWHERE, nearest_area, star_areas
from tasoc_kit.errors import StepInputError

__all__ = ["align_vectors", "areas_of"]

PLACE = ("sector", "camera", "ccd", "cadence")
LEAST_COMMON = 0.5
"""Share of the cadences of the light curves that vectors have to have."""


def align_vectors(cbvs: xr.Dataset, light_curves: xr.Dataset) -> xr.Dataset:
    """
    Return the vectors in the cadences of light curves, by their numbers.

    Parameters
    ----------
    cbvs
        ``cbv`` and ``spike_cbv`` (area, vector, time) and ``cadenceno`` (time).
    light_curves
        ``cadenceno`` (time).

    Returns
    -------
    The vectors along the time of the light curves, NaN in cadences that they do not have.

    Raises
    ------
    StepInputError
        If the two are of another sector, CCD or cadence, a number stands twice, or fewer than half of the
        cadences of the light curves have vectors.
    """
    for name in PLACE:
        ours, theirs = (table.attrs.get(name) for table in (light_curves, cbvs))
        if ours and theirs and float(ours) != float(theirs):
            raise StepInputError(
                f"make_cbv_light_curves: vectors of {name} {theirs}, light curves of {name} {ours}; expected "
                "the same. Take the vectors that were made of this CCD and sector."
            )
    have, want = (table["cadenceno"].values.astype(np.int64) for table in (cbvs, light_curves))
    if np.unique(have).size != have.size:
        raise StepInputError(
            f"make_cbv_light_curves: {have.size - np.unique(have).size} cadence numbers of the vectors stand "
            "twice; expected each once. Make the vectors anew."
        )
    order = np.argsort(have)
    place = order[np.clip(np.searchsorted(have[order], want), 0, have.size - 1)]
    common = have[place] == want
    if common.sum() < LEAST_COMMON * want.size:
        raise StepInputError(
            f"make_cbv_light_curves: vectors have {common.sum()} of the {want.size} cadences of the light "
            f"curves, by number ({_span(have)}; {_span(want)}); expected half of them or more. Take "
            "vectors of this sector and this cadence."
        )
    moved = cbvs[["cbv", "spike_cbv"]].isel(time=place).drop_vars("time", errors="ignore")
    return cbvs.drop_dims("time").assign(
        {name: (v.dims, np.where(common, v.values, np.nan)) for name, v in moved.data_vars.items()}
    )


def areas_of(cbvs: xr.Dataset, light_curves: xr.Dataset) -> np.ndarray:
    """
    Return the area (star) whose vectors correct a star; 0 where its place is not known.

    Vectors that know no stars, as those of files, are of rings: a star has those of its ring, or of the next.

    Raises
    ------
    StepInputError
        If the vectors are of other stars.
    """
    stars = light_curves.sizes["star"]
    if cbvs.sizes["star"] not in (0, stars):
        raise StepInputError(
            f"make_cbv_light_curves: vectors for {cbvs.sizes['star']} stars, {stars} light curves; expected "
            "those of the same stars. Open both by the ids in one lineage."
        )
    known = cbvs["area"].values
    if cbvs.sizes["star"]:
        area = cbvs["star_area"].values
        return np.where(np.isin(area, known), area, NOWHERE)
    places = (light_curves[name].values for name in ("star_row", "star_column"))
    unit = (int(light_curves.attrs[name]) for name in ("camera", "ccd"))
    return nearest_area(star_areas(*places, *unit), known)


def _span(numbers: np.ndarray) -> str:
    return f"{numbers.min()} to {numbers.max()}" if numbers.size else "none"
