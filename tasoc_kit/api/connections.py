"""Connections that must say what they want in few bytes and little time, before any app is asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tasoc_kit.api.limits import Limits

__all__ = ["Connections"]


@dataclass(frozen=True)
class Connections:
    """The kind of connection that keeps to these limits, as uvicorn makes it."""

    limits: Limits

    def __call__(self, *arguments: Any, **options: Any) -> HttpToolsProtocol:
        """Return a connection."""
        return _Connection(self.limits, *arguments, **options)


class _Connection(HttpToolsProtocol):
    """One connection; uvicorn bounds neither the bytes nor the time of headers."""

    def __init__(self, limits: Limits, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.limits = limits
        self._head_bytes, self._in_head = 0, True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._timer is None:
                self._start()
        super().data_received(data)
        # What came in one piece with the body is counted with its headers alone, by the app.
        if self._in_head and self._head_bytes > self.limits.header_bytes and not self.transport.is_closing():
            most = self.limits.header_bytes
            self._refuse(
                "431 Request Header Fields Too Large",
                f"address and headers have more than {most} bytes; expected less",
                "Send a shorter request.",
            )

    def on_headers_complete(self) -> None:
        self._stop()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self._refuse("400 Bad Request", "this is no HTTP; expected a request", "Correct it.")

    def _start(self) -> None:
        self._timer = self.loop.call_later(self.limits.header_seconds, self._late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if self._head_bytes and not self.transport.is_closing():
            seconds = self.limits.header_seconds
            self._refuse(
                "408 Request Timeout",
                f"no whole request came in {seconds:g} s; expected one",
                "Send it faster.",
            )
        self.transport.close()

    def _refuse(self, status: str, error: str, action: str) -> None:
        content = json.dumps({"error": error, "next": action}).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + content)
        self.transport.close()
