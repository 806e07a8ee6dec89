"""The stars of the other CCDs of a sector, as the store has them, to hold those of one CCD against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from tasoc_kit import store
from tasoc_kit.errors import SourceError
from tasoc_kit.provenance import with_content_id
from tasoc_kit.storage.units import ProductRef, parse_unit
from tasoc_kit.vocabulary import VARIABLES

__all__ = ["read_neighbours"]

_COLUMNS = ("tic", "status", "mean_flux", "rms_hour")
_PLACE = {"star_camera": "camera", "star_ccd": "ccd"}


def read_neighbours(sector: int | str, unit: str = "") -> xr.Dataset:
    """
    Read the diagnostics of the other CCDs of a sector, of each those that ``open_product`` opens.

    Parameters
    ----------
    sector
        Its number.
    unit
        Name of the unit that is compared with them. Its own CCD is left out, so that its diagnostics, which
        a run may be about to make again, have no part in the id.

    Returns
    -------
    (star) ``tic``, ``status``, ``mean_flux``, ``rms_hour``, ``star_camera`` and ``star_ccd``, CCD after CCD.
    Its id is that of this content, so diagnostics that were made again are another input.

    Raises
    ------
    SourceError
        If this is no sector, or the store has no diagnostics of another of its CCDs.
    """
    if not str(sector).isdigit():
        raise SourceError(
            f"neighbours: {sector!r} is no sector; expected its number, as 14. "
            "Correct it: --set validation.neighbours=14"
        )
    own = parse_unit(unit)
    found = [ref for ref in store.current_products("diagnostics") if _fits(ref, int(sector), own)]
    if not found:
        raise SourceError(
            f"neighbours: the store has no diagnostics of sector {sector}{f' beside {unit}' if own else ''}; "
            "expected those of its other CCDs. "
            "Run 'tasoc run photometry' on them first, without validation.neighbours."
        )
    names = (*_COLUMNS, *_PLACE)
    parts = [_read(ref) for ref in found]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in names}
    typed = {name: ("star", values.astype(VARIABLES[name].dtype)) for name, values in columns.items()}
    return with_content_id(xr.Dataset(typed), "neighbours")


def _fits(ref: ProductRef, sector: int, own: Mapping[str, Any]) -> bool:
    unit = parse_unit(ref.unit)
    another = any(unit[name] != own.get(name) for name in _PLACE.values())
    return unit["sector"] == sector and not unit["field"] and another


def _read(ref: ProductRef) -> dict[str, np.ndarray]:
    opened, unit = store.open_ref(ref), parse_unit(ref.unit)
    columns = {name: opened[name].values for name in _COLUMNS}
    stars = opened.sizes["star"]
    return columns | {name: np.full(stars, unit[of]) for name, of in _PLACE.items()}
