"""The flux of some stars as the steps of seismology take it, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from tasoc_kit.seismology.best_flux import BestFlux
from tasoc_kit.vocabulary import label

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
    some = (None if table is None else table.isel(star=np.asarray(stars, int)) for table in tables)
    series = BestFlux.of("star_flux", *some, method=method)
    found = [flux for _, flux in series.blocks()]
    flux = np.concatenate(found) if found else np.empty((0, series.time.size))
    return label(
        xr.Dataset(
            {"relative_flux": (("star", "time"), flux)},
            coords={"time": series.time} | series.star_table,
        )
    )
