"""What went wrong, as an answer: one form for all errors, and never a traceback."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from tasoc_kit.errors import NotFoundError, OutOfReachError, TasocKitError
from tasoc_kit.storage.folders import Folder
from tasoc_kit.store import own

__all__ = ["DOCUMENTED", "TOO_LARGE", "Problem", "Problems", "answer", "install"]

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 5
_SHOWN = 80
"""Characters of a wrong value that an answer repeats."""


TOO_LARGE = "the body is too large; expected less. Send less, or to the route that takes files."


class Problem(TasocKitError):
    """Something that the caller can act on, with the status that says so."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


class Problems(BaseModel):
    """The form of every error."""

    error: str = Field(examples=["token: it is not known; expected 'Authorization: Bearer tasoc_…'"])
    """Who: what was wrong, with the value; what was expected."""
    next: str = Field(examples=["Make one with 'tasoc token create'."])
    """What to do."""


_MEANINGS = {
    401: "A token is needed, or this one is not good (any more).",
    403: "The token does not allow it.",
    404: "There is none.",
    413: "The body is too large.",
    422: "A parameter is wrong.",
    429: "Too many requests; come back after the seconds of `Retry-After`.",
    503: "The database or the store does not answer; come back after the seconds of `Retry-After`.",
    504: "It took too long.",
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"model": Problems, "description": text} for status, text in _MEANINGS.items()
}
"""What any route may answer beside what it is for."""


def answer(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an answer whose last sentence is what to do next."""
    what, _, action = message.rstrip(".").rpartition(". ")
    content = {"error": what or action, "next": f"{action}." if what else ""}
    return JSONResponse(content, status_code=status, headers=headers)


def _store_reached(folder: Folder) -> str:
    """Return why the store cannot be reached; empty where it can."""
    try:
        folder.reach()
    except OutOfReachError as error:
        return str(error)
    return ""


def _problem(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, NotFoundError):
        # In a store that is gone nothing is found, which says nothing of what was asked for.
        gone = _store_reached(own(None))
        return _unavailable(gone) if gone else answer(404, str(error))
    if isinstance(error, OutOfReachError):
        return _unavailable(str(error))
    return answer(422, str(error))


def _unavailable(message: str) -> JSONResponse:
    _log.warning("%s", message)
    return answer(503, message, {"Retry-After": str(_RETRY_SECONDS)})


def _own_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return answer(error.status, str(error), error.headers)


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    told = str(error.detail)
    if error.status_code in (404, 405) and told in ("Not Found", "Method Not Allowed"):
        told = f"{request.method} {request.url.path[:_SHOWN]}: {told.lower()}. See /docs for what there is."
    if error.status_code == 413:
        told = TOO_LARGE
    if error.status_code == 400 and "parsing the body" in told:
        told = "the body cannot be read; expected JSON, not too deep. Correct it."
    return answer(error.status_code, told, dict(error.headers or {}))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = dict(error.errors()[0])
    name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    shown = ascii(first.get("input"))[:_SHOWN]
    told = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        told = "there is no such parameter"
    return answer(422, f"{ascii(name)[1:-1]}={shown}: {told}. Correct it; see /docs.")


def _file(request: Request, error: Exception) -> JSONResponse:
    # What reads a file past the store, as a product that is taken away while it is sent.
    return _unavailable(f"store: {error}; expected a file that can be read. Try again in a moment.")


def install(app: FastAPI) -> None:
    """Let an app answer all errors in one form."""
    app.add_exception_handler(TasocKitError, _problem)
    app.add_exception_handler(Problem, _own_problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(OSError, _file)
