"""Whether what the API stands on can be reached, and how long each part takes to answer."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from tasoc_kit.api.access import Anybody
from tasoc_kit.errors import TasocKitError
from tasoc_kit.records.engine import rows
from tasoc_kit.records.queue_health import queue_health
from tasoc_kit.store import own

__all__ = ["router"]

router = APIRouter()

_MOST_SECONDS = 5.0
_LEAST_FREE = 1_000_000_000
"""Bytes; below them a product of a CCD may not fit."""


class Part(BaseModel):
    """One part that the API stands on."""

    ok: bool
    ms: float = Field(description="Time to its answer, milliseconds.")
    problem: str = Field("", description="What is wrong; only for those who may read.")
    facts: dict[str, float] = Field({}, description="Numbers of this part; only for those who may read.")


class Health(BaseModel):
    """What can be reached."""

    ok: bool = Field(description="Whether database, store and disk are well.")
    parts: dict[str, Part]


def _database() -> dict[str, float]:
    rows(sa.select(sa.literal(1)), None)
    return {}


def _store() -> dict[str, float]:
    own(None).reach()
    return {}


def _scheduler() -> dict[str, float]:
    found = queue_health()
    if found.abandoned:
        raise _Unwell(
            f"jobs: {found.waiting} wait, the first for {found.oldest_seconds:.0f} s, and no worker is busy; "
            "expected one. Start it: tasoc worker.",
            found.facts,
        )
    return found.facts


def _disk() -> dict[str, float]:
    folder = own(None)
    usage = shutil.disk_usage(_there(Path(folder.root)) if folder.local else Path.cwd())
    facts = {"free_bytes": float(usage.free), "total_bytes": float(usage.total)}
    if usage.free < _LEAST_FREE:
        raise _Unwell(
            f"disk: {usage.free / 1e9:.2f} GB are free; expected 1 GB at least. Free some: tasoc prune.",
            facts,
        )
    return facts


def _there(path: Path) -> Path:
    """Return the folder, or the nearest above it that is there: whether it is, the store tells."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


class _Unwell(TasocKitError):
    """A part that answers, and is not well."""

    def __init__(self, message: str, facts: dict[str, float]) -> None:
        super().__init__(message)
        self.facts = facts


_PARTS = {"database": _database, "store": _store, "scheduler": _scheduler, "disk": _disk}
_VITAL = ("database", "store", "disk")

_threads = ThreadPoolExecutor(len(_PARTS), "health")
_asked: dict[str, Future[Part]] = {}
_asking = threading.Lock()


@router.head("/health", include_in_schema=False)
@router.get("/health", responses={503: {"model": Health, "description": "A vital part is not well."}})
def health(response: Response, who: Anybody) -> Health:
    """Tell whether each part answers, and after how many milliseconds; 503 where a vital one does not."""
    asked = {name: _ask(name) for name in _PARTS}
    wait(asked.values(), timeout=_MOST_SECONDS)
    parts = {name: _told(name, future) for name, future in asked.items()}
    well = all(parts[name].ok for name in _VITAL)
    response.status_code = 200 if well else 503
    if not well:
        response.headers["Retry-After"] = "5"
    if not who.may("read"):
        parts = {name: Part(ok=part.ok, ms=part.ms) for name, part in parts.items()}
    return Health(ok=well, parts=parts)


def _ask(name: str) -> Future[Part]:
    """Ask a part, or wait for the answer that it has not given yet: one that hangs takes one thread."""
    with _asking:
        known = _asked.get(name)
        if known is None or known.done():
            known = _asked[name] = _threads.submit(_probe, _PARTS[name])
        return known


def _told(name: str, answer: Future[Part]) -> Part:
    if answer.done():
        return answer.result()
    problem = f"{name}: no answer after {_MOST_SECONDS:g} s; expected one. Look at its disk or server."
    return Part(ok=False, ms=_MOST_SECONDS * 1000, problem=problem)


def _probe(probe: Callable[[], dict[str, float]]) -> Part:
    begun, problem, facts = time.perf_counter(), "", dict[str, Any]()
    try:
        facts = probe()
    except _Unwell as error:
        problem, facts = str(error), error.facts
    except TasocKitError as error:
        problem = str(error)
    ms = round((time.perf_counter() - begun) * 1000, 2)
    return Part(ok=not problem, ms=ms, problem=problem, facts=facts)
