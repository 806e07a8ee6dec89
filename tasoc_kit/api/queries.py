"""What stands in addresses more than once: places, products, dates, bits; all are compared exactly."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from tasoc_kit.api.formats import Format
from tasoc_kit.api.problems import Problem
from tasoc_kit.records.tables import in_utc
from tasoc_kit.storage.units import UNIT_PATTERN

Model = TypeVar("Model", bound=BaseModel)

__all__ = [
    "Bits",
    "Camera",
    "Ccd",
    "Id",
    "Kind",
    "Moment",
    "Sector",
    "Tag",
    "Tic",
    "Unit",
    "Which",
    "exact",
    "parameters_of",
    "read_query",
    "second_of",
]

Tic = Annotated[int | None, Query(ge=1, le=10**12, description="TESS Input Catalog number.")]
Sector = Annotated[int | None, Query(ge=0, le=9999, description="Sector.")]
Camera = Annotated[int | None, Query(ge=1, le=4, description="Camera.")]
Ccd = Annotated[int | None, Query(ge=1, le=4, description="CCD.")]
Kind = Annotated[Format | None, Query(description="What it is sent as; else the header Accept says.")]
Unit = Annotated[
    str | None,
    Query(pattern=UNIT_PATTERN, description="As s0001-1-2."),
]
Tag = Annotated[
    str | None, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Products with this tag.")
]
Id = Annotated[str | None, Query(pattern="^[0-9a-f]{12}$", description="The product with this id.")]
Bits = Annotated[int | None, Query(ge=0, lt=2**31)]


def _date(value: Any) -> Any:
    """Refuse what pydantic would take as seconds since 1970, as a Julian date."""
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("expected a date as 2018-07-25 or 2018-07-25T19:29:00, UTC")
    return value


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
Moment = Annotated[
    datetime.datetime | None,
    BeforeValidator(_date),
    Query(description="UTC, as 2018-07-25 or 2018-07-25T19:29:00."),
]


class Which(BaseModel):
    """Which products, in which format; whatever else stands in the address is refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    sector: Sector = None
    camera: Camera = None
    ccd: Ccd = None
    unit: Unit = None
    tag: Tag = None
    id: Id = None
    format: Kind = None


_FIRST, _LAST = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (1960, 2100))


def parameters_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return what OpenAPI tells of the fields of a model, as parameters of an address."""
    schema = model.model_json_schema()
    defined = schema.get("$defs", {})
    made = []
    for name, told in schema["properties"].items():
        options = [
            defined.get(one.get("$ref", "").rpartition("/")[2], one) for one in told.get("anyOf", [told])
        ]
        (kind,) = (one for one in options if one.get("type") != "null")
        known = {key: told[key] for key in ("default", "description") if told.get(key) is not None}
        plain = {key: value for key, value in (kind | known).items() if key != "title"}
        made.append({"name": name, "in": "query", "required": False, "schema": plain})
    return {"parameters": made}


async def exact(request: Request) -> None:
    """
    Refuse a parameter that is given twice, or that is none of those that OpenAPI lists for a route.

    Routes that tell of their parameters themselves judge them themselves, too, and one that takes none
    answers the same whatever is asked.

    Raises
    ------
    Problem
        If there is one.
    """
    route, given = request.scope["route"], [name for name, _ in request.query_params.multi_items()]
    if not given or not route.include_in_schema or "parameters" in (route.openapi_extra or {}):
        return
    listed = request.app.openapi()["paths"][route.path_format][request.method.lower()].get("parameters", ())
    known = [one["name"] for one in listed if one["in"] == "query"]
    if not known:
        return
    _refuse_twice(given)
    for name in given:
        if name not in known:
            raise Problem(
                422,
                f"{ascii(name)[1:-1][:80]}: this route has no such parameter; expected one of "
                f"{', '.join(known)}. Correct it.",
            )


def _refuse_twice(given: list[str]) -> None:
    if len(set(given)) < len(given):
        name = next(one for one in given if given.count(one) > 1)
        raise Problem(
            422, f"{ascii(name)[1:-1][:80]}: it is given more than once; expected one value. Leave one."
        )


def read_query(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """
    Return what reads a model from the address of a request, all of it at once.

    FastAPI does the same field by field, which takes as long as a query of the database.
    """

    async def read(request: Request) -> Model:
        given = request.query_params.multi_items()
        try:
            _refuse_twice([name for name, _ in given])
            return model.model_validate(dict(given))
        except ValidationError as error:
            told = [dict(one) | {"loc": ("query", *one["loc"])} for one in error.errors(include_url=False)]
            raise RequestValidationError(told) from None

    return read


def second_of(name: str, moment: datetime.datetime | None) -> int | None:
    """
    Return the first whole second since 1970 that is not before a moment; None for none.

    Raises
    ------
    Problem
        If it is out of the time in which UTC is told.
    """
    if moment is None:
        return None
    try:
        utc = in_utc(moment)
    except OverflowError:
        utc = _LAST
    if not _FIRST <= utc < _LAST:
        raise Problem(422, f"{name}={moment}: expected a date from 1960 to 2099. Correct it.")
    return math.ceil(utc.timestamp())
