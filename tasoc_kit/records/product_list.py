"""The products of the database in pages, by name and place; it never looks at the store."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from tasoc_kit.records.engine import rows
from tasoc_kit.records.tables import Product, Provenance, Tag

__all__ = ["ancestors", "children", "products_by_name", "list_page"]

_KEY = sa.tuple_(Product.product, Product.unit, Product.id)
_MOST_ANCESTORS = 2000
_IN_ONE_QUERY = 500

Key = tuple[str, str, str]


def list_page(
    *,
    product: str | None = None,
    unit: str | None = None,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    id: str | None = None,
    tag: str | None = None,
    after: Key | None = None,
    limit: int = 100,
    url: str | None = None,
) -> list[dict[str, Any]]:
    """
    Return products in order of name, unit and id, each with its tags.

    Parameters
    ----------
    product, unit, sector, camera, ccd, id, tag
        Only these; None for any.
    after
        Name, unit and id of the one before the first.
    limit
        How many at most.
    """
    statement = sa.select(*Product.__table__.columns).order_by(Product.product, Product.unit, Product.id)
    for column, value in ((Product.product, product), (Product.unit, unit), (Product.id, id)):
        if value is not None:
            statement = statement.where(column == value)
    if sector is not None or camera is not None or ccd is not None:
        statement = statement.where(Product.unit.like(_pattern(sector, camera, ccd)))
    if tag is not None:
        statement = statement.join(Tag, _same(Tag)).where(Tag.tag == tag)
    if after is not None:
        statement = statement.where(_KEY > sa.tuple_(*map(sa.literal, after)))
    found = [dict(row) for row in rows(statement.limit(limit), url)]
    tags = _tags([row["id"] for row in found], url)
    for row in found:
        row["tags"] = tags.get((row["product"], row["unit"], row["id"]), [])
    return found


def _same(table: Any) -> sa.ColumnElement[bool]:
    return sa.and_(table.product == Product.product, table.unit == Product.unit, table.id == Product.id)


def _pattern(sector: int | None, camera: int | None, ccd: int | None) -> str:
    """Return what units look like in LIKE, where ``_`` is any one character: ``s0014-2-%``."""
    start = "s____" if sector is None else f"s{sector:04d}"
    if camera is None and ccd is None:
        return f"{start}%"
    middle = "_" if camera is None else str(camera)
    return f"{start}-{middle}" + ("%" if ccd is None else f"-{ccd}%")


def _tags(ids: list[str], url: str | None) -> dict[Key, list[str]]:
    found: dict[Key, list[str]] = {}
    for start in range(0, len(ids), _IN_ONE_QUERY):
        statement = sa.select(*Tag.__table__.columns).where(Tag.id.in_(ids[start : start + _IN_ONE_QUERY]))
        for row in rows(statement.order_by(Tag.tag), url):
            found.setdefault((row["product"], row["unit"], row["id"]), []).append(row["tag"])
    return found


def products_by_name(*, url: str | None = None) -> list[tuple[str, int, int]]:
    """Return name, number and bytes of the products of each name."""
    number, size = sa.func.count().label("number"), sa.func.sum(Product.bytes).label("size")
    counted: sa.Select[Any] = sa.select(Product.product, number, size).group_by(Product.product)
    statement = counted.order_by(Product.product)
    return [(row["product"], row["number"], int(row["size"] or 0)) for row in rows(statement, url)]


def ancestors(id: str, *, url: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the records of an id and of all it was made from, itself first; empty where it is not known."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [id]
    while waiting and len(found) < _MOST_ANCESTORS:
        asked, waiting = waiting[:_IN_ONE_QUERY], waiting[_IN_ONE_QUERY:]
        for row in rows(sa.select(*Provenance.__table__.columns).where(Provenance.id.in_(asked)), url):
            found[row["id"]] = {name: value for name, value in row.items() if name != "id"}
            waiting += [parent for parent in row["parents"] if parent not in found and parent not in waiting]
    return found


def children(id: str, *, limit: int = 1000, url: str | None = None) -> list[dict[str, str]]:
    """Return id and step of what was made from an id at once."""
    parents = sa.cast(Provenance.parents, sa.Text)
    statement: sa.Select[Any] = sa.select(Provenance.id, Provenance.step).where(
        parents.contains(f'"{id}"', autoescape=True)
    )
    return [dict(row) for row in rows(statement.order_by(Provenance.step, Provenance.id).limit(limit), url)]
