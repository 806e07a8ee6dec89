"""Stars, their light curves and their apertures: by number, by place, by name of the object, by chance."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from tasoc_kit.api import formats
from tasoc_kit.api.access import Reads
from tasoc_kit.api.apertures import aperture_table
from tasoc_kit.api.curves import COLUMNS, light_curve, tasoc_file
from tasoc_kit.api.formats import Format, Table
from tasoc_kit.api.opened import open_curves
from tasoc_kit.api.paging import Cursor, Limit, decode, encode
from tasoc_kit.api.problems import Problem
from tasoc_kit.api.queries import Tic, Which, parameters_of, read_query
from tasoc_kit.records import objects
from tasoc_kit.records.engine import is_near
from tasoc_kit.records.objects import Found, Wanted, find_objects

__all__ = ["answered", "as_table", "find_one", "router"]

router = APIRouter(prefix="/curated")

_QUICK_ROWS, _QUICK_FORMATS = 100, (Format.JSON, Format.NDJSON, Format.VOTABLE)
_TIC = re.compile(r"(?:TIC[\s-]*)?([0-9]{1,12})", re.IGNORECASE)

Method = Literal["best", "aperture", "psf", "halo"]
Correction = Literal["best", "none", "cbv", "ensemble", "filter"]
Star = Annotated[
    str,
    Path(
        max_length=40,
        description="TIC number, as 261136679 or TIC 261136679; or the name of an object, as 0123456789ab-17",
    ),
]


class _Objects(Which):
    """What objects are asked for."""

    tic: Tic = None
    object: Annotated[str | None, Query(max_length=24, description="Name, as 0123456789ab-17.")] = None
    ra: Annotated[float | None, Query(ge=-360, le=360, description="Middle of a circle, degrees.")] = None
    dec: Annotated[float | None, Query(ge=-90, le=90, description="Degrees, ICRS.")] = None
    radius: Annotated[float | None, Query(ge=0, le=180, description="Degrees.")] = None
    tmag_min: Annotated[float | None, Query(ge=-50, le=50, description="TESS magnitude.")] = None
    tmag_max: Annotated[float | None, Query(ge=-50, le=50, description="TESS magnitude.")] = None
    random: Annotated[int | None, Query(ge=1, le=100, description="So many by chance.")] = None
    stream: Annotated[bool, Query(description="All in one answer: ndjson, csv, parquet, votable.")] = False
    limit: Limit = 50
    cursor: Cursor = None

    def wanted(self) -> Wanted:
        """Return them as the index takes them."""
        circle = (self.ra, self.dec, self.radius)
        if None in circle and circle != (None, None, None):
            raise Problem(
                422,
                f"ra, dec, radius={circle}: some are missing; expected all three or none. Give all three.",
            )
        named = None
        if self.object is not None:
            named = objects.parse_object(self.object)
            if named is None:
                raise Problem(
                    422,
                    f"object={self.object!r}: it is no name; expected one as 0123456789ab-17. "
                    "Names are in the column 'object' of /curated/objects.",
                )
        same = ("tic", "tmag_min", "tmag_max", "sector", "camera", "ccd", "unit", "tag", "id")
        return Wanted(
            object=named,
            cone=None if None in circle else circle,  # type: ignore[arg-type]
            **{name: getattr(self, name) for name in same},
        )


def as_table(found: list[Found], cone: bool = False) -> Table:
    """Return objects as columns."""
    names = ("object", *objects.COLUMNS, *(["distance"] if cone else []))
    rows = [
        (objects.object_name(one.id, one.star), *one[:10], *([one.distance] if cone else [])) for one in found
    ]
    columns: Any = zip(*rows, strict=True) if rows else [()] * len(names)
    return Table(dict(zip(names, map(list, columns), strict=True)))


@router.get(
    "/objects",
    response_class=Response,
    responses=formats.documented(),
    openapi_extra=parameters_of(_Objects),
)
async def list_objects(
    asked: Annotated[_Objects, Depends(read_query(_Objects))], request: Request, who: Reads
) -> Response:
    """
    List stars that have light curves.

    Of several products of one unit that count which open unasked; `tag` or `id` names others. Rows of a
    circle come in the order of the cells of the sky, not of distance.
    """
    wanted, kind = asked.wanted(), formats.chosen_format(request, asked.format)
    quick = asked.random is None and not asked.stream and asked.limit <= _QUICK_ROWS
    if quick and kind in _QUICK_FORMATS:
        return await answered(wanted, partial(_objects, asked, wanted, kind))
    return await run_in_threadpool(_objects, asked, wanted, kind)


async def answered(wanted: Wanted, work: Callable[[], Response]) -> Response:
    """
    Return what some work gives; where it is done in a millisecond, a thread would take longer to begin.

    So it is where an index leads straight to the rows, in a database that is a file of this machine.
    """
    if wanted.short and is_near():
        return work()
    return await run_in_threadpool(work)


def _objects(asked: _Objects, wanted: Wanted, kind: Format) -> Response:
    cone = wanted.cone is not None
    if asked.random is not None:
        found = objects.random_objects(wanted, asked.random)
        return formats.answer(as_table(found, cone), kind, name="objects", next=None)
    after = decode(asked.cursor, *([float, int, int] if len(wanted.order) == 3 else [int, int]))
    if asked.stream:
        pages = objects.each_object(wanted)
        first = next(pages, [])
        return formats.stream(_tables(first, pages, cone), kind, "objects")
    found, following = find_objects(wanted, after=after, limit=asked.limit)
    return formats.answer(as_table(found, cone), kind, name="objects", next=encode(following))


def _tables(first: list[Found], pages: Any, cone: bool) -> Any:
    yield as_table(first, cone)
    for page in pages:
        yield as_table(page, cone)


class _Curve(Which):
    method: Annotated[Method, Query(description="Photometry; by default what serves the star best.")] = "best"
    correction: Annotated[Correction, Query(description="What flux_corr is.")] = "best"
    columns: Annotated[
        str | None, Query(max_length=200, description="Some columns, with commas; by default all there are.")
    ] = None


def find_one(star: str, asked: Which) -> Found:
    """
    Return the one object that a name or number stands for.

    Raises
    ------
    Problem
        If there is none, or several units have the star.
    """
    named, number = objects.parse_object(star), _TIC.fullmatch(star.strip())
    if named is None and number is None:
        raise Problem(
            422,
            f"star={star!r}: it is no star; expected a TIC number, or an object as 0123456789ab-17. "
            "Look for one at /curated/objects.",
        )
    same = ("sector", "camera", "ccd", "unit", "tag", "id")
    tic = None if named or number is None else int(number[1])
    found, _ = find_objects(
        Wanted(object=named, tic=tic, **{name: getattr(asked, name) for name in same}), limit=50
    )
    if not found:
        raise Problem(
            404,
            f"star={star!r}: no light curves have it; expected one of the stars that were measured. "
            "Look for one at /curated/objects, or run 'tasoc database rebuild'.",
        )
    if len(found) > 1:
        units = sorted({one.unit for one in found})
        raise Problem(
            409,
            f"star={star!r}: it is in {len(found)} light curves, of {', '.join(units[:12])}; expected one. "
            f"Name the unit, as ?unit={units[0]}",
        )
    return found[0]


def _columns(text: str | None) -> list[str]:
    wanted = [name.strip() for name in (text or "").split(",") if name.strip()]
    unknown = [name for name in wanted if name not in COLUMNS]
    if unknown:
        raise Problem(
            422, f"columns={unknown[0]!r}: there is none; expected some of {', '.join(COLUMNS)}. Correct it."
        )
    return wanted


_AT_ONCE = 2
_places = RunVar[CapacityLimiter]("places of light curves")
"""
A series is hundreds of small reads, and each hands Python's lock to another thread: with thirty of them
most of the time would go into that. So few read at once, in the order in which they came.
"""


@router.get("/light_curves/{star}", response_class=Response, responses=formats.documented(by_column=True))
async def get_light_curve(
    star: Star, asked: Annotated[_Curve, Query()], request: Request, who: Reads
) -> Response:
    """
    Return the light curve of one star of one unit.

    FITS is TASOC's file, gzipped, where the photometry is the best one and the star has a number; else a
    plain table.
    """
    places = _places.get(None)
    if places is None:
        places = CapacityLimiter(_AT_ONCE)
        _places.set(places)
    return await run_sync(_light_curve, star, asked, request, limiter=places)


def _light_curve(star: str, asked: _Curve, request: Request) -> Response:
    columns, kind = _columns(asked.columns), formats.chosen_format(request, asked.format)
    found = find_one(star, asked)
    opened = open_curves(found.unit, found.id)
    if kind is Format.FITS and found.tic and asked.method == "best" and not columns:
        name, content = tasoc_file(opened, found.star, asked.correction)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="application/gzip", headers=headers)
    table = light_curve(opened, found.star, method=asked.method, correction=asked.correction, columns=columns)
    name = f"tic{found.tic}-{found.unit}" if found.tic else f"{found.id}-{found.star}-{found.unit}"
    return formats.answer(table, kind, by_column=True, name=name)


class _Aperture(Which):
    image: Annotated[bool, Query(description="Pixels of the reference around the star, too; JSON.")] = True


@router.get("/apertures/{star}", response_class=Response, responses=formats.documented(by_column=True))
def get_aperture(star: Star, asked: Annotated[_Aperture, Query()], request: Request, who: Reads) -> Response:
    """Return the pixels of a star's aperture, and the stamp of the reference image around them."""
    kind = formats.chosen_format(request, asked.format)
    found = find_one(star, asked)
    table, stamp = aperture_table(open_curves(found.unit, found.id), found.star)
    more = {"stamp": stamp} if asked.image and stamp is not None else {}
    name = f"aperture-{found.id}-{found.star}"
    if kind is Format.JSON:
        return formats.answer(table, kind, by_column=True, name=name, **more)
    return formats.answer(table, kind, name=name)
