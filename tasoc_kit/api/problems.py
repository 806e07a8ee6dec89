"""What went wrong, as an answer: one form for all errors, and never a traceback."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tasoc_kit.errors import DatabaseError, TasocKitError

__all__ = ["Problem", "install"]

_RETRY_SECONDS = 5


class Problem(TasocKitError):
    """Something that the caller can act on, with the status that says so."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


def _answer(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an answer whose last sentence is what to do next."""
    what, _, action = message.rstrip(".").rpartition(". ")
    content = {"error": what or action, "next": f"{action}." if what else ""}
    return JSONResponse(content, status_code=status, headers=headers)


def _problem(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Problem):
        return _answer(error.status, str(error), error.headers)
    if isinstance(error, DatabaseError):
        return _answer(503, str(error), {"Retry-After": str(_RETRY_SECONDS)})
    return _answer(422, str(error))


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, str(error.detail), dict(error.headers or {}))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = dict(error.errors()[0])
    name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return _answer(422, f"{name}={str(first.get('input'))[:80]!r}: {first['msg']}. Correct it; see /docs.")


def install(app: FastAPI) -> None:
    """Let an app answer all errors in one form."""
    app.add_exception_handler(TasocKitError, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
