"""What goes around every answer: its number, headers that keep browsers safe, a line in the log, counts."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasoc_kit.api.counts import Counts
from tasoc_kit.api.problems import TOO_LARGE, answer
from tasoc_kit.errors import without_secrets

__all__ = ["Enveloped", "Masked"]

_log = logging.getLogger("tasoc_kit.api")

_NUMBER = re.compile(r"[A-Za-z0-9._-]{8,64}")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Masked(logging.Formatter):
    """Lines of a log, tracebacks too, without passwords and tokens."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return without_secrets(super().format(record))


class Enveloped:
    """
    An app and what goes around its answers.

    Parameters
    ----------
    app
        What answers.
    counts
        Where requests are counted.
    """

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and say what was asked and how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        number = asked if _NUMBER.fullmatch(asked) else secrets.token_hex(8)
        begun, status, instead = time.perf_counter(), 0, b""

        async def sent(message: Message) -> None:
            nonlocal status, instead
            if message["type"] == "http.response.start":
                status = message["status"]
                if status == 413 and Headers(raw=message["headers"]).get("content-type", "").startswith(
                    "text"
                ):
                    # Starlette has a form of its own for what is too large.
                    large = answer(413, TOO_LARGE)
                    instead, message = large.body, message | {"headers": large.raw_headers}
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = number
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            elif instead:
                message = message | {"body": instead}
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception:
            if not status:
                failed = answer(
                    500, f"the server made a mistake (request {number}). Tell who runs it; its log says more."
                )
                await failed(scope, receive, sent)
            raise
        finally:
            self._note(scope, status, time.perf_counter() - begun, number)

    def _note(self, scope: Scope, status: int, seconds: float, number: str) -> None:
        route = getattr(scope.get("route"), "path", "")
        self._counts.add(scope["method"], route or "none", status, seconds)
        who = scope.get("state", {}).get("identity")
        _log.info(
            "%s %s %d %.1f ms id=%s name=%s from=%s",
            scope["method"],
            ascii(scope["path"])[1:-1],
            status,
            seconds * 1000,
            number,
            ascii(getattr(who, "name", ""))[1:-1] or "-",
            ascii((scope.get("client") or ("-",))[0])[1:-1],
        )
