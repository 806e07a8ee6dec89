"""Raw files come in: FFIs, TESScut cubes and target pixel files, streamed, checked, kept once."""

from __future__ import annotations

import asyncio
import base64
import binascii
import datetime
import logging
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from tasoc_kit.api.access import Writes
from tasoc_kit.api.problems import Problem
from tasoc_kit.config import settings
from tasoc_kit.ingest.arrival import Arrival, NoRoom, WrongKind, check_room, data_folder, safe_name, sweep
from tasoc_kit.ingest.claim import claim
from tasoc_kit.pipeline.job import request_job
from tasoc_kit.pipeline.schema import find_pipeline

__all__ = ["router"]

_BLOCK = 2**20
_NO_BOUND = 2**62
"""What the server in front lets through: the setting decides here, with words."""
_STALLED_SECONDS = 60.0
"""Whoever sends nothing for so long is let go."""
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):")

_log = logging.getLogger(__name__)


@lru_cache(maxsize=8)
def _tidied(data: Path, process: int) -> Path:
    """Return the folder of raw files, rid of what servers that were killed left in it; once for a process."""
    number = sweep(data)
    if number:
        _log.warning("inject: %d parts were left by a server that was killed; they are gone", number)
    return data


router = APIRouter()

Name = Annotated[
    str, InPath(description="Name of the file, as the archive has it.", examples=["tess…_ffic.fits"])
]
Sha256 = Annotated[
    str | None, Query(pattern="^[0-9a-f]{64}$", description="SHA-256 that the bytes must have.")
]
Pipeline = Annotated[
    str | None, Query(max_length=64, description="Pipeline to start on its unit, as photometry.")
]


class Injected(BaseModel):
    """A raw file that is here."""

    sha256: str
    name: str
    kind: str = Field(description="ffi, cutout or target_pixels.")
    bytes: int
    location: str = Field(description="Where it lies, below the folder of raw files.")
    sector: int
    camera: int
    ccd: int
    cadenceno: int | None
    quality: int | None = Field(description="TESS quality bits.")
    started: datetime.datetime | None = Field(description="Start of the exposure at the spacecraft, UTC.")
    ended: datetime.datetime | None
    received: datetime.datetime
    sender: str
    state: str = Field(description="whole; or checksum, where those in its headers do not fit.")
    new: bool = Field(description="Whether its bytes were not here before.")
    job: int | None = Field(description="Number of the job that was queued.")


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Injected, "description": "These bytes were here already; the row of the first time."},
    201: {"model": Injected, "description": "It is here, checked and catalogued."},
    408: {"description": "Nothing came for a minute."},
    413: {"description": "It is larger than may be sent."},
    415: {"description": "It is no FITS file."},
    422: {"description": "It is damaged, no FFI or cutout of TESS, or not what it was said to be."},
    507: {"description": "The disk has no room for it."},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.put("/inject/{name:path}", responses=_ANSWERS, openapi_extra=_BODY, max_body_size=_NO_BOUND)
async def inject(
    name: Name, request: Request, who: Writes, sha256: Sha256 = None, pipeline: Pipeline = None
) -> JSONResponse:
    """Take in one FFI, TESScut cube or target pixel file; the same bytes again change nothing."""
    expected = _expected(request, sha256)
    try:
        data = data_folder()
        safe_name(name)
        if pipeline is not None:
            await to_thread.run_sync(find_pipeline, pipeline)
        length = _length(request)
        await to_thread.run_sync(check_room, data, length)
        await to_thread.run_sync(_tidied, data, os.getpid())
        with Arrival(data) as arrival:
            await _receive(request, arrival)
            _check_digest(arrival.sha256, expected)
            row, new = await to_thread.run_sync(lambda: claim(arrival, name, data, sender=who.name))
    except NoRoom as error:
        raise Problem(507, str(error)) from None
    except WrongKind as error:
        raise Problem(415, str(error)) from None
    job = None if pipeline is None else await to_thread.run_sync(_start, pipeline, row, who.name)
    return _answer(row, data, new=new, job=job)


def _expected(request: Request, sha256: str | None) -> str | None:
    """Return the SHA-256 that the one who sends says the bytes have."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(
            415, "inject: the body has a Content-Encoding; expected the file as it is. Leave it out."
        )
    header = request.headers.get("content-digest", "")
    found = _DIGEST.search(header)
    if not found and "sha-256" not in header.lower():
        return sha256
    try:
        digest = base64.b64decode(found.group(1), validate=True).hex() if found else ""
    except binascii.Error:
        digest = ""
    if len(digest) != 64 or sha256 not in (None, digest):
        raise Problem(
            422,
            f"inject: Content-Digest {header[:120]!r}; expected sha-256=:BASE64: of the bytes. Correct it.",
        )
    return digest


def _length(request: Request) -> int:
    """Return the bytes that are announced, 0 where none are."""
    text = request.headers.get("content-length", "0")
    length = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    _check_length(length)
    return length


def _check_length(length: int) -> None:
    most = settings().largest_upload
    if length > most:
        raise Problem(
            413,
            f"inject: {length} bytes or more; expected at most {most}. Send less, or raise "
            "TASOC_LARGEST_UPLOAD where the server runs.",
        )


async def _receive(request: Request, arrival: Arrival) -> None:
    """Bring the body to the disk, a block at a time."""
    block = bytearray()
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(_STALLED_SECONDS):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise Problem(
                408, f"inject: nothing came for {_STALLED_SECONDS:.0f} s; expected the file. Send it again."
            ) from None
        except ClientDisconnect:
            raise Problem(
                400, "inject: the connection was cut; expected the whole file. Send it again."
            ) from None
        if chunk is None:
            break
        block += chunk
        _check_length(arrival.size + len(block))
        if len(block) >= _BLOCK or not arrival.size:
            await to_thread.run_sync(arrival.write, block)
            block = bytearray()
    await to_thread.run_sync(arrival.write, block)


def _check_digest(found: str, expected: str | None) -> None:
    if expected not in (None, found):
        raise Problem(
            422,
            f"inject: the bytes that came have the SHA-256 {found}; expected {expected}. Send them again.",
        )


def _start(pipeline: str, row: dict[str, Any], sender: str) -> int:
    """Queue a pipeline on the unit of a file and return the job: an equal one that waits already."""
    cube = "ffi.local" if row["kind"] == "ffi" else row["location"]
    place = {name: row[name] for name in ("sector", "camera", "ccd")}
    return request_job("pipeline", pipeline, {"cube": cube, **place}, submitter=sender)


def _answer(row: dict[str, Any], data: Path, *, new: bool, job: int | None) -> JSONResponse:
    shown = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
    place = Path(row["location"])
    shown["location"] = str(place.relative_to(data)) if place.is_relative_to(data) else place.name
    return JSONResponse(
        shown | {"new": new, "job": job},
        status_code=201 if new else 200,
        headers={"Location": f"/download/raw/{row['sha256']}"} if new else None,
    )
