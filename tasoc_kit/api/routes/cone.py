"""IVOA Simple Cone Search 1.03: the stars of a circle as VOTable, for TOPCAT, Aladin and pyvo.

Errors are VOTables, too, with the status 200, as the standard has it (section 2.3); names of parameters
are taken in any case, and what is not known is passed over (section 2.1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache, partial

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from tasoc_kit.api.access import Reads
from tasoc_kit.api.formats import head_of
from tasoc_kit.api.routes.curated import answered
from tasoc_kit.api.votable import votable_broken, votable_error, votable_head, votable_rows, votable_tail
from tasoc_kit.errors import DatabaseError
from tasoc_kit.records.objects import Found, Wanted, each_object, find_objects, object_name

__all__ = ["router"]

router = APIRouter()

MEDIA = "text/xml;content=x-votable"
_NAMES = (
    ("object", "ra", "dec"),
    ("tic", "tmag", "distance"),
    ("sector", "camera", "ccd", "unit", "id", "star"),
)
"""Columns by verbosity 1, 2 and 3; each has those before it, too."""
_UCD = {
    "object": "ID_MAIN",
    "ra": "POS_EQ_RA_MAIN",
    "dec": "POS_EQ_DEC_MAIN",
    "tic": "ID_CATALOG",
    "tmag": "PHOT_MAG_R",
    "distance": "POS_ANG_DIST_GENERAL",
}
_SMALL = 1000
"""Rows that are answered at once; more are streamed."""


@router.get(
    "/cone",
    response_class=Response,
    responses={
        200: {
            "description": "A VOTable, also of an error.",
            "content": {"text/xml": {"schema": {"type": "string"}}},
        }
    },
    openapi_extra={
        "parameters": [
            {"name": name, "in": "query", "required": needed, "description": told,
             "schema": {"type": "number"}}
            for name, needed, told in (
                ("RA", True, "Degrees, ICRS."), ("DEC", True, "Degrees."),
                ("SR", True, "Radius, degrees; 0 for the columns alone."), ("VERB", False, "1, 2 or 3."),
            )
        ]
    },
)  # fmt: skip
async def cone_search(request: Request, who: Reads) -> Response:
    """Return the stars of a circle that have light curves: IVOA Simple Cone Search 1.03."""
    given = {name.upper(): value for name, value in request.query_params.items()}
    try:
        ra = _number(given, "RA", -360, 360)
        dec, radius = _number(given, "DEC", -90, 90), _number(given, "SR", 0, 180)
        verbosity = int(_number(given, "VERB", 1, 3, "2"))
    except ValueError as error:
        return Response(votable_error(str(error)), media_type=MEDIA)
    names = [name for some in _NAMES[:verbosity] for name in some]
    if not radius:
        return Response(b"".join(_written(iter([[]]), names)), media_type=MEDIA)
    wanted = Wanted(cone=(ra, dec, radius))
    return await answered(wanted, partial(_search, wanted, names))


def _search(wanted: Wanted, names: list[str]) -> Response:
    found, after = find_objects(wanted, limit=_SMALL)
    if after is None:
        return Response(b"".join(_written(iter([found]), names)), media_type=MEDIA)
    return StreamingResponse(_written(each_object(wanted), names), media_type=MEDIA)


def _number(given: dict[str, str], name: str, low: float, high: float, usual: str | None = None) -> float:
    text = given.get(name, usual)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ValueError(f"cone: {name}={text}; expected a number from {low:g} to {high:g}. Correct it.")
    return value


@lru_cache(maxsize=4)
def _head(names: tuple[str, ...]) -> bytes:
    return votable_head([head_of(name, ()) for name in names], {}, _UCD)


def _written(pages: Iterator[list[Found]], names: list[str]) -> Iterator[bytes]:
    yield _head(tuple(names))
    try:
        for page in pages:
            yield votable_rows([[_value(one, name) for one in page] for name in names])
    except DatabaseError as error:
        # The head is sent, so the truth can only stand behind the rows.
        yield votable_broken(str(error))
        return
    yield votable_tail()


def _value(one: Found, name: str) -> object:
    return object_name(one.id, one.star) if name == "object" else getattr(one, name)
