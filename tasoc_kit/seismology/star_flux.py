"""The flux of some stars as the steps of seismology take it, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from tasoc_kit.seismology.best_flux import best_flux, chosen_corrections
from tasoc_kit.star_series import good_cadences
from tasoc_kit.vocabulary import Correction, label

__all__ = ["star_flux"]


def star_flux(
    stars: Sequence[int] | np.ndarray,
    light_curves: xr.Dataset,
    corrections: xr.Dataset | None = None,
    cbv_light_curves: xr.Dataset | None = None,
    ensemble_light_curves: xr.Dataset | None = None,
    filtered_light_curves: xr.Dataset | None = None,
    *,
    method: str = "best",
) -> xr.Dataset:
    """
    Return the flux of some stars about its median, in good cadences.

    Parameters
    ----------
    stars
        Their numbers in the tables.
    light_curves, corrections, cbv_light_curves, ensemble_light_curves, filtered_light_curves, method
        As the steps take them.

    Returns
    -------
    ``relative_flux`` (star, time) in ppm, NaN where a bit sets a cadence apart, and the star table.
    """
    tables = (light_curves, corrections, cbv_light_curves, ensemble_light_curves, filtered_light_curves)
    curves, chosen_by, *kinds = (
        None if table is None else table.isel(star=np.asarray(stars, int)) for table in tables
    )
    corrected = dict(zip((Correction.CBV, Correction.ENSEMBLE, Correction.FILTER), kinds, strict=True))
    chosen = chosen_corrections("star_flux", curves, chosen_by, corrected, method)
    found = [flux for _, flux in best_flux(curves, corrected, chosen)]
    time = curves["time"].values[good_cadences(curves)]
    flux = np.concatenate(found) if found else np.empty((0, time.size))
    return label(
        xr.Dataset(
            {"relative_flux": (("star", "time"), flux)},
            coords={"time": time} | {n: v.variable for n, v in curves.coords.items() if v.dims == ("star",)},
        )
    )
