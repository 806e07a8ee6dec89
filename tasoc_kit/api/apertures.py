"""The aperture of one star: its pixels, and the reference image around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from tasoc_kit.api.formats import Table
from tasoc_kit.api.opened import Opened
from tasoc_kit.api.problems import Problem
from tasoc_kit.exports.stamp import stamp_around
from tasoc_kit.vocabulary import Status

__all__ = ["aperture_table"]

_TOLD = ("contamination", "aperture_flags", "star_row", "star_column")


def aperture_table(opened: Opened, star: int) -> tuple[Table, dict[str, Any] | None]:
    """
    Return the pixels of an aperture, and the stamp around it.

    Returns
    -------
    ``pixel_row``, ``pixel_column`` and, where pixels do not all count the same, ``pixel_weight``; and the
    stamp: first row and column, ``reference`` (row, column) in electron/s, and which pixels are in the
    aperture. None for a star without pixels, or where the reference is gone.

    Raises
    ------
    Problem
        If the apertures are not in the store any more, or there is no such star.
    """
    apertures = opened.family.parents.get("apertures")
    if apertures is None:
        raise Problem(
            404,
            f"apertures of {opened.ref.unit}: those of these light curves are not in the store; "
            "expected them beside the light curves. Make them again: tasoc run photometry.",
        )
    if not 0 <= star < apertures.sizes["star"]:
        raise Problem(
            404, f"star {star}: {opened.ref.unit} has {apertures.sizes['star']} stars. Ask /curated/objects."
        )
    first = int(apertures["row_size"].values[:star].sum())
    span = slice(first, first + int(apertures["row_size"].values[star]))
    columns = {
        name: apertures[name].values[span]
        for name in ("pixel_row", "pixel_column", "pixel_weight")
        if name in apertures.variables and apertures[name].dims == ("aperture_pixel",)
    }
    facts: dict[str, Any] = {"object": f"{opened.ref.id}-{star}", "unit": opened.ref.unit}
    facts |= {"id": str(apertures.attrs["provenance_id"]), "star": star}
    facts["tic"] = int(apertures["tic"].values[star])
    facts["status"] = Status(int(apertures["status"].values[star])).name
    facts |= {n: apertures[n].values[star].item() for n in _TOLD if n in apertures.variables}
    return Table(columns, facts), _stamp(opened.family.parents.get("reference"), columns)


def _stamp(reference: xr.Dataset | None, columns: dict[str, np.ndarray]) -> dict[str, Any] | None:
    rows, across = columns["pixel_row"].astype(int), columns["pixel_column"].astype(int)
    if reference is None or not rows.size:
        return None
    stamp = stamp_around(reference["reference"], rows, across)
    inside = np.zeros(stamp.shape, bool)
    inside[rows - stamp.rows[0], across - stamp.columns[0]] = True
    return {
        "first_row": int(stamp.rows[0]),
        "first_column": int(stamp.columns[0]),
        "reference": np.ascontiguousarray(stamp.cut(reference["reference"]), np.float32),
        "in_aperture": inside,
    }
