"""What is noted in the database of the notebooks that run; a database in trouble stops none of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from tasoc_kit import database
from tasoc_kit.errors import DatabaseError
from tasoc_kit.pipeline.request import Outcome

__all__ = ["note_end", "note_start"]

_log = logging.getLogger(__name__)


def note_start(
    pipeline: str,
    notebook: str,
    unit: str,
    parameters: Mapping[str, Any],
    *,
    id: str = "",
    job: int | None = None,
) -> int | None:
    """Note that a notebook has started and return the number of its run; None where that failed."""
    try:
        return database.start_run(pipeline, notebook, unit, id=id, parameters=parameters, job=job)
    except DatabaseError as error:
        _log.warning("%s of %s is not noted in the database: %s", notebook, unit or "no unit", error)
        return None


def note_end(
    number: int | None,
    status: str,
    message: str,
    *,
    log: str,
    spent: Sequence[Outcome],
    id: str | None = None,
) -> None:
    """
    Note how a run ended.

    Parameters
    ----------
    number
        Of the run; nothing is noted of None.
    status, message, id
        As ``database.finish_run`` takes them.
    log
        Key of the executed notebook, without ending.
    spent
        How its kernel ended and what it took; empty where none was started.
    """
    if number is None:
        return
    costs = {name: getattr(one, name) for one in spent for name in ("cpu_seconds", "peak_bytes")}
    ending = ".ipynb" if status == "done" else "-failed.ipynb"
    key = f"{log}{ending}" if spent else ""
    try:
        database.finish_run(number, status, message=message, id=id, log=key, **costs)
    except DatabaseError as error:
        _log.warning("run %d is not noted as %s in the database: %s", number, status, error)
