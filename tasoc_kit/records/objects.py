"""The stars of all light curves: found by number, by place in the sky, by brightness, or by chance.

A mirror of the products, entered when light curves are recorded, taken out with them, and made anew
by ``tasoc database rebuild``. Of several light curves of one unit those count that open without being
asked for: the tag ``current``, else the newest. Pages are cut by the key that follows, never by a
number of rows, so the last one costs what the first one does.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tasoc_kit.errors import DatabaseError
from tasoc_kit.numerics.sky_cells import cell_of, cell_runs, chord2, unit_vectors
from tasoc_kit.records.engine import select
from tasoc_kit.records.tables import SkyObject, StarList, Tag
from tasoc_kit.storage.units import parse_unit

__all__ = [
    "COLUMNS",
    "Key",
    "Wanted",
    "choose_list",
    "each_object",
    "enter_stars",
    "find_objects",
    "object_name",
    "parse_object",
    "random_objects",
    "remove_stars",
    "star_rows",
]

PRODUCT, CURRENT = "light_curves", "current"
COLUMNS = ("tic", "ra", "dec", "tmag", "sector", "camera", "ccd", "unit", "id", "star")
"""What is told of an object."""
_AT_ONCE = 32
"""Runs of keys that one query looks into."""
_DRAWN = 8192
"""Stars that are drawn at most before all that meet the conditions are read."""
_SMALL = 2.0
"""Degrees up to which a circle is found in few queries."""
_NAME = re.compile(r"([0-9a-f]{12})-([0-9]{1,9})")

Key = tuple[float, ...]
"""Where a page ended."""


class Found(NamedTuple):
    """One star of one product."""

    tic: int
    ra: float | None
    dec: float | None
    tmag: float | None
    sector: int
    camera: int
    ccd: int
    unit: str
    id: str
    star: int
    star_list: int
    cell: int | None
    chord2: float | None

    @property
    def distance(self) -> float | None:
        """Degrees from the middle of the circle that was asked for."""
        if self.chord2 is None:
            return None
        return math.degrees(2 * math.asin(min(1.0, math.sqrt(max(self.chord2, 0.0)) / 2)))


@dataclass(frozen=True)
class Wanted:
    """What objects are asked for; what is None may be anything."""

    tic: int | None = None
    object: tuple[str, int] | None = None
    """Id of the product and index of the star."""
    cone: tuple[float, float, float] | None = None
    """Right ascension, declination and radius, degrees."""
    tmag_min: float | None = None
    tmag_max: float | None = None
    unit: str | None = None
    sector: int | None = None
    camera: int | None = None
    ccd: int | None = None
    tag: str | None = None
    id: str | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that the objects are listed by, the index that finds them first."""
        places = "star_list", "star"
        if self.object is not None or self.id is not None:
            return places
        if self.tic is not None:
            return "tic", *places
        if self.cone is not None:
            return "cell", *places
        placed = (self.unit, self.sector, self.camera, self.ccd, self.tag)
        if (self.tmag_min, self.tmag_max) != (None, None) and placed == (None,) * len(placed):
            return "tmag", *places
        return places

    @property
    def short(self) -> bool:
        """Whether an index leads straight to a page, whatever the stars are; else many may be passed over."""
        if self.object is not None or self.tic is not None:
            return True
        filters = (self.tmag_min, self.tmag_max, self.unit, self.sector, self.camera, self.ccd, self.tag)
        if self.cone is not None:
            return self.cone[2] <= _SMALL and filters == (None,) * len(filters)
        return self.order[0] != "star_list" or (self.tmag_min, self.tmag_max) == (None, None)

    @property
    def binds(self) -> dict[str, Any]:
        """The values that the conditions compare with."""
        named = ("tic", "tmag_min", "tmag_max", "unit", "sector", "camera", "ccd", "tag", "id")
        made = {name: value for name in named if (value := getattr(self, name)) is not None}
        if self.object is not None:
            made["id"], made["star"] = self.object
        if self.cone is not None:
            ra, dec, radius = self.cone
            made["cx"], made["cy"], made["cz"] = unit_vectors(ra, dec).tolist()
            made["chord2"] = chord2(radius)
        return made


def object_name(id: str, star: int) -> str:
    """Return the name of an object: ``0123456789ab-17``, star 17 of the product with this id."""
    return f"{id}-{star}"


def parse_object(name: str) -> tuple[str, int] | None:
    """Return the id of the product and the index of the star that a name stands for, or None."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def enter_stars(
    session: Session, unit: str, id: str, created: float, stars: Callable[[], Mapping[str, np.ndarray]]
) -> None:
    """
    Enter the stars of a product, once.

    Parameters
    ----------
    created
        When the product was completed, in seconds since 1970.
    stars
        Returns ``tic``, ``ra``, ``dec``, ``tmag`` (star); called where the stars are not there yet.
    """
    known = session.scalar(sa.select(StarList.star_list).where(StarList.unit == unit, StarList.id == id))
    if known is None:
        columns = stars()
        count, place = len(columns["tic"]), parse_unit(unit)
        made = StarList(
            unit=unit, id=id, stars=count, created=created, chosen=False,
            **{name: place[name] for name in ("sector", "camera", "ccd")},
        )  # fmt: skip
        session.add(made)
        session.flush()
        if count:
            session.execute(sa.insert(SkyObject.__table__), star_rows(made.star_list, columns))
    else:
        session.execute(sa.update(StarList).where(StarList.star_list == known).values(created=created))
    choose_list(session, unit)


def star_rows(star_list: int, columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return the rows of the stars of a product from ``tic``, ``ra``, ``dec`` and ``tmag`` (star)."""
    ra, dec = (np.asarray(columns[name], float) for name in ("ra", "dec"))
    tmag = np.asarray(columns["tmag"], float)
    placed = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    ra, dec = np.where(placed, ra % 360, 0.0), np.where(placed, dec, 0.0)
    x, y, z = unit_vectors(ra, dec)
    values = {
        "tic": np.asarray(columns["tic"], np.int64), "star": np.arange(ra.size),
        "ra": _known(ra, placed), "dec": _known(dec, placed), "tmag": _known(tmag, np.isfinite(tmag)),
        "x": _known(x, placed), "y": _known(y, placed), "z": _known(z, placed),
        "cell": _known(cell_of(ra, dec), placed),
    }  # fmt: skip
    lists = [column.tolist() for column in values.values()]
    names = list(values)
    return [dict(zip(names, row, strict=True)) | {"star_list": star_list} for row in zip(*lists, strict=True)]


def _known(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the values as objects, None where one is not known."""
    return np.where(known, values.astype(object), None)


def remove_stars(session: Session, unit: str | None = None, id: str | None = None) -> None:
    """Take the stars of a product out, or of all."""
    lists = sa.select(StarList.star_list)
    if unit is None:
        session.execute(sa.delete(SkyObject))
        session.execute(sa.delete(StarList))
        return
    lists = lists.where(StarList.unit == unit, StarList.id == id)
    session.execute(sa.delete(SkyObject).where(SkyObject.star_list.in_(lists)))
    session.execute(sa.delete(StarList).where(StarList.unit == unit, StarList.id == id))
    choose_list(session, unit)


def choose_list(session: Session, unit: str) -> None:
    """Mark, of all light curves of a unit, those that open when none are asked for by tag or id."""
    lists = session.execute(
        sa.select(StarList.star_list, StarList.id, StarList.created).where(StarList.unit == unit)
    ).all()
    if not lists:
        return
    tagged = session.scalar(
        sa.select(Tag.id).where(Tag.tag == CURRENT, Tag.product == PRODUCT, Tag.unit == unit)
    )
    named = [one for one in lists if one.id == tagged]
    best = max(named or lists, key=lambda one: (one.created, one.id)).star_list
    session.execute(
        sa.update(StarList).where(StarList.unit == unit).values(chosen=StarList.star_list == best)
    )


_CHORD2 = "((o.x - :cx) * (o.x - :cx) + (o.y - :cy) * (o.y - :cy) + (o.z - :cz) * (o.z - :cz))"
_CONDITIONS = {
    "tic": "o.tic = :tic",
    "star": "o.star = :star",
    "tmag_min": "o.tmag >= :tmag_min",
    "tmag_max": "o.tmag <= :tmag_max",
    "chord2": f"{_CHORD2} <= :chord2",
}
_LIST_CONDITIONS = {
    "unit": "l.unit = :unit",
    "sector": "l.sector = :sector",
    "camera": "l.camera = :camera",
    "ccd": "l.ccd = :ccd",
    "id": "l.id = :id",
    "tag": "EXISTS (SELECT 1 FROM tags t WHERE t.tag = :tag AND t.product = 'light_curves'"
    " AND t.unit = l.unit AND t.id = l.id)",
}


def _of_lists(names: frozenset[str]) -> list[str]:
    """Return the conditions on products; where neither id nor tag says which, those that are chosen."""
    made = [text for name, text in _LIST_CONDITIONS.items() if name in names]
    return made if {"id", "tag"} & names else [*made, "l.chosen"]


def _told(names: frozenset[str]) -> str:
    """Return the beginning of every query of objects."""
    chord = _CHORD2 if "chord2" in names else "NULL"
    # SQLite takes the tables of a cross join in this order: the index that was meant comes first.
    return (
        "SELECT o.tic, o.ra, o.dec, o.tmag, l.sector, l.camera, l.ccd, l.unit, l.id, o.star, o.star_list, "
        f"o.cell, {chord} AS chord2 FROM objects o CROSS JOIN star_lists l WHERE l.star_list = o.star_list"
    )


@lru_cache(maxsize=512)
def _query(names: frozenset[str], order: tuple[str, ...], runs: int, later: bool) -> sa.TextClause:
    """Return the query of one page in some runs of keys; all that people give is bound, never written."""
    keys = ", ".join(f"o.{name}" for name in order)
    conditions = [text for name, text in _CONDITIONS.items() if name in names]
    if order[0] != "star_list":
        conditions += _of_lists(names)
    if later and order[0] != "star_list":
        binds = ", ".join(f":after{k}" for k in range(len(order)))
        conditions.append(f"({keys}) > ({binds})")
    parts = []
    for k in range(runs):
        first = f"o.{order[0]} BETWEEN :low{k} AND :high{k}"
        if order[0] == "star_list":
            first = f"o.star_list = :low{k} AND o.star > :high{k}"
        inside = [first, *conditions]
        parts.append(f"{_told(names)} AND {' AND '.join(inside)} ORDER BY {keys} LIMIT :number")
    if runs == 1:
        return sa.text(parts[0])
    joined = " UNION ALL ".join(f"SELECT * FROM ({part}) AS p{k}" for k, part in enumerate(parts))
    return sa.text(f"{joined} ORDER BY {', '.join(order)} LIMIT :number")


@lru_cache(maxsize=64)
def _query_of_lists(names: frozenset[str]) -> sa.TextClause:
    conditions = ["l.star_list >= :first", *_of_lists(names)]
    return sa.text(
        "SELECT l.star_list, l.stars FROM star_lists l WHERE "
        f"{' AND '.join(conditions)} ORDER BY l.star_list LIMIT :number"
    )


def _lists(wanted: Wanted, first: int, number: int, url: str | None) -> Sequence[Any]:
    """Return number and size of the next products whose stars are asked for."""
    binds = wanted.binds
    names = frozenset(binds) & frozenset(_LIST_CONDITIONS)
    values = {name: binds[name] for name in names} | {"first": first, "number": number}
    return select(_query_of_lists(names), values, url)


def _runs(wanted: Wanted, after: Key | None, url: str | None) -> Iterator[list[tuple[float, float]]]:
    """
    Yield runs of the first key that what is asked for lies in, some at a time, rising.

    In the order of the products a run is a product, and the star behind which it begins.
    """
    kind = wanted.order[0]
    if kind == "star_list":
        first = int(after[0]) if after else 0
        while lists := _lists(wanted, first, _AT_ONCE, url):
            yield [(one.star_list, after[1] if after and one.star_list == after[0] else -1) for one in lists]
            if len(lists) < _AT_ONCE:
                return
            first = lists[-1].star_list + 1
    elif kind == "cell":
        assert wanted.cone is not None
        runs = [run for run in cell_runs(*wanted.cone) if not after or run[1] >= after[0]]
        start, number = 0, 12
        while start < len(runs):
            # PostgreSQL holds a column of whole numbers against one that is not without its index.
            yield [(int(low), int(high)) for low, high in runs[start : start + number]]
            start, number = start + number, min(2 * number, _AT_ONCE)
    elif kind == "tic":
        assert wanted.tic is not None
        yield [(wanted.tic, wanted.tic)]
    else:
        low = -math.inf if wanted.tmag_min is None else wanted.tmag_min
        high = math.inf if wanted.tmag_max is None else wanted.tmag_max
        yield [(max(low, -100.0), min(high, 100.0))]


def find_objects(
    wanted: Wanted, *, after: Key | None = None, limit: int = 50, url: str | None = None
) -> tuple[list[Found], Key | None]:
    """
    Return a page of objects, and the key behind which the next one begins; None behind the last.

    Parameters
    ----------
    wanted
        What is asked for.
    after
        The key that the page before returned.
    limit
        Most objects in the page.
    """
    if after is not None and len(after) != len(wanted.order):
        raise DatabaseError("objects: the key of a page is one of another query. Begin with the first page.")
    if wanted.object is not None and wanted.id not in (None, wanted.object[0]):
        return [], None
    order, binds = wanted.order, wanted.binds
    names = frozenset(binds)
    binds |= {f"after{k}": value for k, value in enumerate(after or ())}
    found: list[Found] = []
    for runs in _runs(wanted, after, url):
        statement = _query(names, order, len(runs), after is not None)
        for k, (low, high) in enumerate(runs):
            binds[f"low{k}"], binds[f"high{k}"] = low, high
        values = {**binds, "number": limit + 1 - len(found)}
        used = {name: values[name] for name in statement._bindparams}
        found += map(Found._make, select(statement, used, url))
        if len(found) > limit:
            last = found[limit - 1]
            return found[:limit], tuple(getattr(last, name) for name in order)
    return found, None


def each_object(wanted: Wanted, *, at_once: int = 5000, url: str | None = None) -> Iterator[list[Found]]:
    """Yield all objects that are asked for, page by page; no page holds a transaction open for the next."""
    after: Key | None = None
    while True:
        page, after = find_objects(wanted, after=after, limit=at_once, url=url)
        if page:
            yield page
        if after is None:
            return


def random_objects(wanted: Wanted, number: int, *, url: str | None = None) -> list[Found]:
    """
    Return some objects by chance, no two the same; fewer where there are not as many.

    Each that meets the conditions is as likely as any other. Stars of the products are drawn until enough
    of them do; where few do, an index leads to all of them.
    """
    lists: list[Any] = []
    while some := _lists(wanted, lists[-1].star_list + 1 if lists else 0, 100_000, url):
        lists += some
    ends = list(itertools.accumulate(one.stars for one in lists))
    stars = ends[-1] if ends else 0
    found: list[Found] = []
    if not _leads_there(wanted):
        drawn = random.sample(range(stars), min(stars, _DRAWN))
        for start in range(0, len(drawn), _AT_ONCE):
            places = []
            for one in drawn[start : start + _AT_ONCE]:
                at = bisect_right(ends, one)
                places.append((lists[at].star_list, one - ends[at] + lists[at].stars))
            found += _at(wanted, places, url)
            if len(found) >= number:
                return found[:number]
        if len(drawn) == stars:
            return found
    return _some_of(each_object(wanted, url=url), number)


def _leads_there(wanted: Wanted) -> bool:
    """Tell whether an index leads to few objects."""
    small = wanted.cone is not None and wanted.cone[2] <= _SMALL
    return small or wanted.object is not None or wanted.tic is not None


def _at(wanted: Wanted, places: Sequence[tuple[int, int]], url: str | None) -> list[Found]:
    """Return those objects that meet the conditions, of some by product and star, in their order."""
    binds = wanted.binds
    for k, (star_list, star) in enumerate(places):
        binds |= {f"list{k}": star_list, f"star{k}": star}
    statement = _query_of_places(frozenset(binds) & frozenset(_CONDITIONS), len(places))
    found = select(statement, {name: binds[name] for name in statement._bindparams}, url)
    made = {(one.star_list, one.star): one for one in map(Found._make, found)}
    return [made[place] for place in places if place in made]


@lru_cache(maxsize=512)
def _query_of_places(names: frozenset[str], places: int) -> sa.TextClause:
    conditions = "".join(f" AND {text}" for name, text in _CONDITIONS.items() if name in names)
    parts = (
        f"{_told(names)} AND o.star_list = :list{k} AND o.star = :star{k}{conditions}" for k in range(places)
    )
    return sa.text(" UNION ALL ".join(parts))


def _some_of(pages: Iterable[list[Found]], number: int) -> list[Found]:
    """Return some objects of all, each as likely as any other, and hold no more than these and a page."""
    kept: list[tuple[float, Found]] = []
    for page in pages:
        kept = heapq.nsmallest(number, [*kept, *((random.random(), one) for one in page)], key=itemgetter(0))
    return [one for _, one in kept]
