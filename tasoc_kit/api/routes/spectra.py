"""Power density of stars, and the stars that oscillate: what the pipeline ``seismology`` made."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import xarray as xr
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from tasoc_kit import database
from tasoc_kit.api import formats
from tasoc_kit.api.access import Reads
from tasoc_kit.api.formats import Table
from tasoc_kit.api.opened import open_one
from tasoc_kit.api.paging import Cursor, Limit, decode, encode
from tasoc_kit.api.problems import Problem
from tasoc_kit.api.queries import Which
from tasoc_kit.products import open_sibling
from tasoc_kit.provenance import lineage
from tasoc_kit.storage.units import parse_unit, product_unit

__all__ = ["router"]

router = APIRouter(prefix="/spectra")

_MEASURED = ("numax", "numax_low", "numax_high", "dnu", "dnu_low", "dnu_high", "detection_probability")
_TOLD = (*_MEASURED, "envelope_height", "white_noise", "mass", "radius", "logg", "oscillation_flags")
_OPENED = 24
"""Products that one page looks into; the next page goes on behind them."""


class _Which(Which):
    """Which spectra."""

    def units(self, product: str) -> list[tuple[str, str]]:
        """Return unit and id of the products that fit."""
        place = {"sector": self.sector, "camera": self.camera, "ccd": self.ccd}
        return [
            (unit, id)
            for unit, id in database.chosen_products(product, tag=self.tag, id=self.id)
            if (self.unit in (None, unit))
            and all(value is None or parse_unit(unit).get(name) == value for name, value in place.items())
        ]


class _Oscillators(_Which):
    numax_min: Annotated[float | None, Query(ge=0, le=10_000, description="µHz")] = None
    numax_max: Annotated[float | None, Query(ge=0, le=10_000, description="µHz")] = None
    probability: Annotated[float, Query(ge=0, le=1, description="Least probability of a detection.")] = 0.5
    limit: Limit = 50
    cursor: Cursor = None


@router.get("", response_class=Response, responses=formats.documented())
def list_oscillators(asked: Annotated[_Oscillators, Query()], request: Request, who: Reads) -> Response:
    """
    List stars that oscillate like the Sun, by their frequency of maximum power (µHz).

    A page may hold fewer rows than were asked for while `next` still leads on.
    """
    after = decode(asked.cursor, str, int)
    kind = formats.chosen_format(request, asked.format)
    rows: list[dict[str, Any]] = []
    following, seen, last = None, 0, ("", 0)
    for unit, id_ in asked.units("oscillations"):
        if after is not None and unit < after[0]:
            continue
        if seen == _OPENED:
            following = last
            break
        found = open_one("oscillations", unit, id_)
        for star in _chosen(found, asked):
            if after is not None and (unit, star) <= after:
                continue
            rows.append(_row(found, unit, id_, star))
        seen, last = seen + 1, (unit, 2**31)
        if len(rows) > asked.limit:
            rows = rows[: asked.limit]
            following = rows[-1]["unit"], rows[-1]["star"]
            break
    names = ("tic", "unit", "id", "star", "tmag", *_TOLD)
    table = Table({name: [row.get(name) for row in rows] for name in names})
    return formats.answer(table, kind, name="oscillations", next=encode(following))


def _chosen(found: xr.Dataset, asked: _Oscillators) -> list[int]:
    """Return the stars of a product that are asked for, rising."""
    keep = found["detection_probability"].values >= asked.probability
    numax = found["numax"].values
    if asked.numax_min is not None:
        keep &= numax >= asked.numax_min
    if asked.numax_max is not None:
        keep &= numax <= asked.numax_max
    return [int(star) for star in np.flatnonzero(keep)]


def _row(found: xr.Dataset, unit: str, id: str, star: int) -> dict[str, Any]:
    names = [name for name in ("tic", "tmag", *_TOLD) if name in found.variables]
    return {"unit": unit, "id": id, "star": star} | {name: found[name].values[star].item() for name in names}


@router.get("/{tic}", response_class=Response, responses=formats.documented(by_column=True))
def get_spectrum(
    tic: Annotated[int, Path(description="TESS Input Catalog number.", examples=[261136600])],
    asked: Annotated[_Which, Query()],
    request: Request,
    who: Reads,
) -> Response:
    """Return the power density of one star (ppm²/µHz), and what is known of its oscillations."""
    kind = formats.chosen_format(request, asked.format)
    found = []
    for unit, id_ in asked.units("spectra")[: 16 * _OPENED]:
        spectra = open_one("spectra", unit, id_)
        stars = np.flatnonzero(spectra["tic"].values == tic) if tic > 0 else ()
        found += [(spectra, int(star)) for star in stars]
    if not found:
        raise Problem(
            404, f"TIC {tic}: no spectra have it; expected a star of seismology. Run 'tasoc run seismology'."
        )
    if len(found) > 1:
        units = sorted({product_unit(spectra) for spectra, _ in found})
        raise Problem(
            409,
            f"TIC {tic}: {len(found)} spectra have it, of {', '.join(units[:12])}; expected one. "
            f"Name the unit, as ?unit={units[0]}",
        )
    spectra, star = found[0]
    columns = {"frequency": spectra["frequency"].values, "power": np.asarray(spectra["power"][star].values)}
    unit, id_ = product_unit(spectra), str(spectra.attrs["provenance_id"])
    facts = {"tic": tic, "unit": unit, "id": id_, "star": star}
    facts["noise_level"] = float(spectra["noise_level"].values[star])
    oscillations = open_sibling(spectra, "oscillations")
    if oscillations is not None and id_ in lineage(oscillations):
        facts |= {name: oscillations[name].values[star].item() for name in _TOLD if name in oscillations}
    return formats.answer(Table(columns, facts), kind, by_column=True, name=f"tic{tic}-{unit}-power")
