"""The corrected series of light curves: of the correction that serves each star best, or of one by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from tasoc_kit.chunks import compute
from tasoc_kit.errors import StoreError
from tasoc_kit.exports.family import Family
from tasoc_kit.products import open_ancestor, open_sibling
from tasoc_kit.provenance import lineage
from tasoc_kit.star_series import good_cadences
from tasoc_kit.storage.units import product_unit
from tasoc_kit.vocabulary import DEFAULT_BAD_KIT_BITS, Correction, Method

__all__ = ["BEST", "CHOICES", "PLAIN", "Corrected", "in_ppm", "open_corrected"]

BEST, PLAIN = "best", "none"
PRODUCTS = {
    Correction.CBV: "cbv_light_curves",
    Correction.ENSEMBLE: "ensemble_light_curves",
    Correction.FILTER: "filtered_light_curves",
}
CHOICES = (BEST, PLAIN, *(kind.name.lower() for kind in PRODUCTS))
"""What may be asked for by name."""
_SERIES = ("flux_corr", "flux_corr_err", "pixel_quality")


@dataclass(frozen=True)
class Corrected:
    """Corrected light curves of one unit, lazy."""

    tables: dict[Correction, xr.Dataset]
    kind: np.ndarray
    """(star) The correction that is taken; NONE too where another photometry is taken for the star."""
    area: np.ndarray | None = None
    """(star) whose vectors it was corrected with, if it was by vectors that are still in the store."""

    @cached_property
    def told(self) -> dict[Correction, xr.Dataset]:
        """What is told of each star, without its series, in memory."""
        return {
            kind: compute(table[[n for n, v in table.data_vars.items() if "time" not in v.dims]])
            for kind, table in self.tables.items()
        }

    def identity(self, star: int) -> str:
        """Return the id of the product that the corrected series of a star comes from; empty for none."""
        kind = Correction(int(self.kind[star]))
        return str(self.tables[kind].attrs["provenance_id"]) if kind else ""

    def read(self, stars: np.ndarray) -> xr.Dataset:
        """
        Return ``flux_corr``, ``flux_corr_err`` and ``pixel_quality`` (star, time) of some stars in memory.

        NaN, and no bits, for stars that no correction serves.
        """
        shape = stars.size, next(iter(self.tables.values())).sizes["time"] if self.tables else 0
        made = {name: np.full(shape, np.nan) for name in _SERIES[:2]}
        made["pixel_quality"] = np.zeros(shape, np.int32)
        for kind, table in self.tables.items():
            mine = np.flatnonzero(self.kind[stars] == kind)
            if mine.size:
                found = compute(table[list(_SERIES)].isel(star=stars[mine]).transpose("star", "time"))
                for name in _SERIES:
                    made[name][mine] = found[name].values
        return xr.Dataset({name: (("star", "time"), values) for name, values in made.items()})


def open_corrected(
    family: Family, correction: str = BEST, *, method: Method | None = None, store: str | None = None
) -> Corrected:
    """
    Open the corrections that were made of some light curves.

    Parameters
    ----------
    family
        The light curves; those of apertures are what is corrected.
    correction
        ``best`` takes what the product ``corrections`` says of each star, and nothing where the store has no
        such product; ``none`` takes nothing; or one of ``cbv``, ``ensemble``, ``filter`` for all.
    method
        Photometry that is taken for all stars; by default the one that serves each.

    Raises
    ------
    StoreError
        If there is no such choice, or the store has no product of the correction that was named.
    """
    if correction not in CHOICES:
        raise StoreError(
            f"corrections: {correction!r}; expected one of {', '.join(CHOICES)}. Choose one of them."
        )
    kinds, best, told = _wanted(family, correction, store)
    served = (family.method if method is None else method) == Method.APERTURE
    tables = {}
    for kind in kinds:
        name = PRODUCTS[kind]
        # What was chosen from is what the choice is of, whatever was made since.
        table = _of(family, name, store) if told is None else open_ancestor(told, name, store=store)
        if table is None:
            raise StoreError(
                f"corrections: the store has no {name} of {product_unit(family.light_curves)} made "
                f"from these light curves{' and chosen from' if told is not None else ''}; expected one. "
                "Make it: tasoc run corrections."
            )
        tables[kind] = table
    vectors = open_ancestor(tables[Correction.CBV], "cbvs", store=store) if Correction.CBV in tables else None
    area = None if vectors is None or not vectors.sizes["star"] else vectors["star_area"].values
    return Corrected(tables, np.where(served, best, Correction.NONE).astype(np.int8), area)


def _wanted(
    family: Family, correction: str, store: str | None
) -> tuple[list[Correction], np.ndarray, xr.Dataset | None]:
    """Return the corrections that are needed, the one (star) that is taken, and the product that chose it."""
    none = np.zeros(family.stars, np.int8)
    if correction == PLAIN:
        return [], none, None
    if correction != BEST:
        kind = Correction[correction.upper()]
        return [kind], np.full(family.stars, kind, np.int8), None
    told = _of(family, "corrections", store)
    if told is None:
        return [], none, None
    best = told["best_correction"].values
    return [kind for kind in PRODUCTS if (best == kind).any()], best, told


def _of(family: Family, product: str, store: str | None) -> xr.Dataset | None:
    """Return the product that was made from these very light curves; None where there is none."""
    found = open_sibling(family.light_curves, product, store=store)
    made_from = found is not None and family.light_curves.attrs["provenance_id"] in lineage(found)
    return found if made_from else None


def in_ppm(light_curves: xr.Dataset, corrected: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """
    Return flux and error (star, time) in ppm of the median of the good cadences, which is at 0.

    Parameters
    ----------
    light_curves
        ``time``, ``quality`` and ``frame_quality`` (time) of the same cadences.
    corrected
        As ``Corrected.read`` gives it.
    """
    flux, error = (corrected[name].values for name in _SERIES[:2])
    good = np.isfinite(flux) & good_cadences(light_curves)
    good &= (corrected["pixel_quality"].values & DEFAULT_BAD_KIT_BITS) == 0
    level = np.full((len(flux), 1), np.nan)
    for k in np.flatnonzero(good.any(axis=1)):
        level[k] = np.median(flux[k, good[k]])
    level = np.where(level > 0, level, np.nan)
    return 1e6 * (flux / level - 1), 1e6 * error / level
