"""An answer that sends bytes: all, or the ranges that were asked for, or nothing that is known already."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tasoc_kit.api.byte_ranges import OutOfRange, asked_ranges, http_date, is_fulfilled, is_unchanged
from tasoc_kit.api.contents import Content
from tasoc_kit.errors import StoreError

__all__ = ["Sending"]

_CHUNK = 2**20
"""Bytes that are read and sent at a time: as fast as one call of the kernel for all, at little memory."""

_Parts = list[bytes | tuple[int, int]]
"""Bytes as they are, and the first byte and the byte behind the last one of ranges of a content."""

_log = logging.getLogger(__name__)


async def _left(receive: Receive) -> None:
    """Return when the one who asked is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _attachment(filename: str) -> str:
    """Return the header under which a browser keeps a file; what is not ASCII as RFC 8187 has it."""
    plain = quote(filename, safe="")
    return (
        f'attachment; filename="{filename}"' if plain == filename else f"attachment; filename*=UTF-8''{plain}"
    )


class Sending(Response):
    """
    Send a content by ranges and conditions, as RFC 9110 wants it.

    Parameters
    ----------
    content
        The bytes; closed in the end.
    etag
        What changes whenever one byte does, without quotes.
    modified
        When it was made, in seconds since 1970.
    media_type
        What it is.
    filename
        Under which name a browser keeps it.
    headers
        Further headers.
    """

    def __init__(
        self,
        content: Content,
        *,
        etag: str,
        modified: float,
        media_type: str = "application/octet-stream",
        filename: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.content, self.modified = content, modified
        self.media_type, self.status_code, self.background = media_type, 200, None
        told = {
            "etag": f'"{etag}"',
            "last-modified": http_date(modified),
            "accept-ranges": "bytes",
            "content-type": media_type,
            "x-content-type-options": "nosniff",
            **({"content-disposition": _attachment(filename)} if filename else {}),
            **(headers or {}),
        }
        self.raw_headers = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            status, headers, parts = self._plan(Headers(scope=scope), scope["method"])
            changed = {name.lower() for name in headers}
            kept = [(name, value) for name, value in self.raw_headers if name.decode() not in changed]
            told = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": kept + told})
            if scope["method"] == "HEAD" or await self._body(parts, receive, send):
                await send({"type": "http.response.body", "body": b""})
        finally:
            self.content.close()

    async def _body(self, parts: _Parts, receive: Receive, send: Send) -> bool:
        """Send the pieces and tell whether all of them went; else the connection is closed behind them."""
        gone = asyncio.ensure_future(_left(receive))
        try:
            async with aclosing(self._pieces(parts)) as pieces:
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    # Whoever takes it as fast as it is read would keep all others waiting.
                    await asyncio.sleep(0)
                    if gone.done():
                        return False
        except (OSError, StoreError) as error:
            _log.warning("an answer was broken off: %s", error)
            return False
        finally:
            gone.cancel()
        return True

    def _plan(self, asked: Headers, method: str) -> tuple[int, dict[str, str], _Parts]:
        """Return the status, its headers, and what is sent."""
        size, etag = self.content.size, self.headers["etag"]
        if not is_fulfilled(asked, etag):
            return 412, {"content-length": "0"}, []
        if is_unchanged(asked, etag, self.modified):
            return 304, {}, []
        try:
            # Ranges are those of a GET alone (section 14.2).
            ranges = asked_ranges(asked, size, etag, self.modified) if method == "GET" else []
        except OutOfRange:
            return 416, {"content-range": f"bytes */{size}", "content-length": "0"}, []
        if not ranges:
            return 200, {"content-length": str(size)}, [(0, size)]
        if len(ranges) == 1:
            start, end = ranges[0]
            told = {"content-range": f"bytes {start}-{end - 1}/{size}", "content-length": str(end - start)}
            return 206, told, [ranges[0]]
        return self._several(ranges)

    def _several(self, ranges: list[tuple[int, int]]) -> tuple[int, dict[str, str], _Parts]:
        boundary = secrets.token_hex(16)
        parts: _Parts = []
        for start, end in ranges:
            head = (
                f"\r\n--{boundary}\r\nContent-Type: {self.media_type}\r\n"
                f"Content-Range: bytes {start}-{end - 1}/{self.content.size}\r\n\r\n"
            )
            parts += [head.encode(), (start, end)]
        parts.append(f"\r\n--{boundary}--\r\n".encode())
        length = sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts)
        kind = f"multipart/byteranges; boundary={boundary}"
        return 206, {"content-type": kind, "content-length": str(length)}, parts

    async def _pieces(self, parts: _Parts) -> AsyncGenerator[bytes | bytearray, None]:
        for part in parts:
            if isinstance(part, bytes):
                yield part
                continue
            at, end = part
            while at < end:
                data = await self.content.read(at, min(_CHUNK, end - at))
                at += len(data)
                yield data
