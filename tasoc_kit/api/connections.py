"""Connections that must say what they want in few bytes and little time, before any app is asked."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tasoc_kit.api.limits import Limits

__all__ = ["Connections"]


_PER_REQUEST = 4
"""Connections for every request that may be answered at once: most of them wait between two."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Connections:
    """The kind of connection that keeps to these limits, as uvicorn makes it."""

    limits: Limits
    waiting: dict[_Connection, None] = field(default_factory=dict, repr=False)
    """Those without a request, the one that has none for longest first."""

    def __call__(self, *arguments: Any, **options: Any) -> HttpToolsProtocol:
        """Return a connection."""
        return _Connection(self.limits, self.waiting, *arguments, **options)


class _Connection(HttpToolsProtocol):
    """One connection: uvicorn bounds neither bytes nor time of headers, nor the time to take an answer."""

    def __init__(
        self, limits: Limits, waiting: dict[_Connection, None], *arguments: Any, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.limits, self._waiting = limits, waiting
        self._head_bytes, self._in_head = 0, True
        self._timer: asyncio.TimerHandle | None = None
        self._taken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start()
        self._waiting[self] = None
        if len(self.connections) > _PER_REQUEST * self.limits.at_once:
            # Whoever opens many and asks nothing keeps nobody out.
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._cancel_taken()
        self._waiting.pop(self, None)
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

    def on_header(self, name: bytes, value: bytes) -> None:
        # What stands behind a body says nothing of who asks, and would fill the memory.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop()
        self._waiting.pop(self, None)
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._waiting[self] = None
            if not self._in_head:
                # The rest of a body that nobody reads is let in for a while, or the answer would be lost.
                self._start()

    def pause_writing(self) -> None:
        super().pause_writing()
        needed = self.transport.get_write_buffer_size() / max(self.limits.body_rate, 1.0)
        self._taken = self.loop.call_later(self.limits.read_seconds + needed, self._not_taken)

    def resume_writing(self) -> None:
        self._cancel_taken()
        super().resume_writing()

    def _cancel_taken(self) -> None:
        if self._taken is not None:
            self._taken.cancel()
            self._taken = None

    def _not_taken(self) -> None:
        # To close it would wait until somebody takes what is left.
        _log.warning("an answer was broken off: nobody took it")
        self.transport.abort()

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
