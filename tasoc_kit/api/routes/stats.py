"""How much there is, and how fast it comes."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from tasoc_kit.api.access import Reads
from tasoc_kit.records.statistics import count_files, count_jobs, count_products, count_runs
from tasoc_kit.storage.units import check_name

__all__ = ["router"]

router = APIRouter()


class Count(BaseModel):
    """How many of something there are, and how many came lately."""

    number: int
    last_hour: int
    last_day: int


class ProductCount(Count):
    """Products of one name, sector and camera."""

    product: str
    sector: int | None
    camera: int | None
    bytes: int


class FileCount(Count):
    """Raw files of one kind, sector, camera and state."""

    kind: str
    sector: int
    camera: int
    state: str
    bytes: int


class JobCount(Count):
    """Jobs of one queue, name and state."""

    queue: str
    name: str
    state: str


class RunCount(Count):
    """Runs of one notebook of a pipeline that ended in one way."""

    pipeline: str
    notebook: str
    status: str


class Total(Count):
    """All of one kind, and what comes by the hour and the day."""

    bytes: int | None = Field(default=None, description="None for what has no bytes.")
    per_hour: float = Field(description="Mean of the last day.")


class Statistics(BaseModel):
    """What the database counts."""

    at: datetime.datetime
    totals: dict[str, Total]
    products: list[ProductCount]
    files: list[FileCount]
    jobs: list[JobCount]
    runs: list[RunCount]


@router.get("/stats")
def statistics(
    who: Reads,
    product: Annotated[
        str | None, Query(max_length=64, description="Count only products of this name.")
    ] = None,
) -> Statistics:
    """Count products, raw files, jobs and runs by what they are of and their state, with bytes and rates."""
    counts: dict[str, list[dict[str, Any]]] = {
        "products": count_products(product=None if product is None else check_name(product)),
        "files": count_files(),
        "jobs": count_jobs(),
        "runs": count_runs(),
    }
    totals = {name: _total(rows, sized=name in ("products", "files")) for name, rows in counts.items()}
    return Statistics(at=datetime.datetime.now(datetime.UTC), totals=totals, **counts)  # type: ignore[arg-type]


def _total(rows: list[dict[str, Any]], *, sized: bool) -> Total:
    sums = {name: sum(row[name] for row in rows) for name in ("number", "last_hour", "last_day")}
    size = sum(row["bytes"] for row in rows) if sized else None
    return Total(**sums, bytes=size, per_hour=round(sums["last_day"] / 24, 3))
