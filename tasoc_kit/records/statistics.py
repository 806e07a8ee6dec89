"""How much there is and how fast it comes: products, raw files, jobs and runs, counted by the database."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from tasoc_kit.records.engine import rows
from tasoc_kit.records.tables import File, Job, Product, Run
from tasoc_kit.storage.units import parse_unit

__all__ = ["count_files", "count_jobs", "count_products", "count_runs"]

_HOUR, _DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)

Counts = list[dict[str, Any]]


def _counted(
    groups: Mapping[str, sa.ColumnElement[Any]],
    moment: sa.ColumnElement[Any],
    url: str | None,
    size: sa.ColumnElement[Any] | None = None,
    where: Sequence[sa.ColumnElement[bool]] = (),
) -> Counts:
    """Return for each group how many, of how many bytes, and how many of the last hour and day."""
    now = datetime.datetime.now(datetime.UTC)
    labelled = [column.label(name) for name, column in groups.items()]
    sums = {"bytes": sa.func.coalesce(sa.func.sum(size), 0)} if size is not None else {}
    recent = {
        "last_hour": sa.func.sum(sa.case((moment >= now - _HOUR, 1), else_=0)),
        "last_day": sa.func.sum(sa.case((moment >= now - _DAY, 1), else_=0)),
    }
    counts = {"number": sa.func.count()} | sums | recent
    statement = (
        sa.select(*labelled, *(column.label(name) for name, column in counts.items()))
        .where(*where)
        .group_by(*groups.values())
        .order_by(*groups.values())
    )
    # PostgreSQL sums whole numbers as decimals.
    return [
        {name: value if name in groups else int(value) for name, value in row.items()}
        for row in rows(statement, url)
    ]


def count_products(*, product: str | None = None, url: str | None = None) -> Counts:
    """
    Return how many products there are of each name, sector and camera, with their bytes.

    Parameters
    ----------
    product
        Only products of this name.

    Returns
    -------
    product, sector, camera, number, bytes, and the number recorded in the last hour and day.
    """
    # A unit begins as s0001-1; the text is that of an index, so that one is used.
    groups: dict[str, Any] = {"product": Product.product, "start": sa.literal_column("substr(unit, 1, 7)")}
    where = [] if product is None else [Product.product == product]
    found = _counted(groups, Product.recorded.expression, url, Product.bytes.expression, where)
    return [_with_place(row) for row in found]


def _with_place(row: dict[str, Any]) -> dict[str, Any]:
    unit = parse_unit(row.pop("start"))
    return row | {"sector": unit.get("sector"), "camera": unit.get("camera") or None}


def count_files(*, url: str | None = None) -> Counts:
    """Return how many raw files there are of each kind, sector, camera and state, with their bytes."""
    groups: dict[str, Any] = {
        "kind": File.kind,
        "sector": File.sector,
        "camera": File.camera,
        "state": File.state,
    }
    return _counted(groups, File.received.expression, url, File.bytes.expression)


def count_jobs(*, url: str | None = None) -> Counts:
    """Return how many jobs there are of each queue, name and state; the last hour's were submitted in it."""
    groups: dict[str, Any] = {"queue": Job.queue, "name": Job.name, "state": Job.state}
    return _counted(groups, Job.submitted.expression, url)


def count_runs(*, url: str | None = None) -> Counts:
    """Return how many runs there are of each pipeline, notebook and status."""
    groups: dict[str, Any] = {"pipeline": Run.pipeline, "notebook": Run.notebook, "status": Run.status}
    return _counted(groups, Run.started.expression, url)
