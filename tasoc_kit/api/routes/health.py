"""Whether what the API stands on can be reached."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from tasoc_kit.errors import TasocKitError
from tasoc_kit.records.engine import rows

__all__ = ["router"]

router = APIRouter()


def _database() -> None:
    rows(sa.select(sa.literal(1)), None)


_PARTS = {"database": _database}


@router.get("/health")
def health() -> JSONResponse:
    """Tell whether each part answers, and after how many milliseconds; 503 where one does not."""
    parts = {name: _probe(probe) for name, probe in _PARTS.items()}
    well = all(part["ok"] for part in parts.values())
    return JSONResponse({"ok": well, "parts": parts}, status_code=200 if well else 503)


def _probe(probe: Any) -> dict[str, Any]:
    begun = time.perf_counter()
    try:
        probe()
        problem = ""
    except TasocKitError as error:
        problem = str(error)
    return {"ok": not problem, "ms": round((time.perf_counter() - begun) * 1000, 2), "problem": problem}
