"""What one request, and everybody together, may take: bytes, time, requests per second, places.

Sizes of bodies are held by Starlette (``max_body_size`` of the app, and of a route that takes files);
all else is here, in front of the routes.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasoc_kit.api.problems import answer
from tasoc_kit.api.rates import Rates
from tasoc_kit.errors import TasocKitError

__all__ = ["Limited", "Limits"]


@dataclass(frozen=True)
class Limits:
    """What is allowed."""

    rate: float = 200.0
    """Requests per second from one address, and of one name; 0 for any number."""
    burst: float = 400.0
    """Requests of one of them that may come at once."""
    at_once: int = 200
    """Requests that are answered at the same time; three quarters of them may be of one address."""
    header_bytes: int = 32_768
    """Bytes of the address and the headers of a request."""
    header_count: int = 100
    """Headers of a request."""
    header_seconds: float = 10.0
    """Time after which a connection must have said what it wants."""
    body_bytes: int = 1_000_000
    """Bytes of a body, where a route says nothing else."""
    body_pause: float = 20.0
    """Seconds that a body may take beside what it needs at ``body_rate``."""
    body_rate: float = 10_000.0
    """Bytes per second at which a body must come, and an answer be taken, at least."""
    handler_seconds: float = 60.0
    """Time from the last of the body that was read, if any was, to the beginning of the answer."""
    read_seconds: float = 60.0
    """Seconds in which the next part of an answer must be taken, beside what it needs at ``body_rate``."""
    keep_seconds: float = 15.0
    """Time that a connection without a request stays open."""

    @classmethod
    def read(cls, assignments: Iterable[str]) -> Self:
        """
        Return the limits with some changed, as ``rate=50``.

        Raises
        ------
        TasocKitError
            If a name or a number is none.
        """
        kinds: dict[str, Any] = {field.name: type(field.default) for field in fields(cls)}
        changed: dict[str, Any] = {}
        for assignment in assignments:
            name, _, text = assignment.partition("=")
            try:
                changed[name] = kinds[name](float(text))
                if not 0 <= changed[name] < math.inf:
                    raise ValueError(text)
            except (KeyError, ValueError, OverflowError):
                raise TasocKitError(
                    f"limit {assignment!r}: it cannot be used; expected one of {', '.join(kinds)} with a "
                    "number, as rate=50. Correct it."
                ) from None
        return replace(cls(), **changed)


class Limited:
    """
    An app behind the limits.

    Parameters
    ----------
    app
        What answers.
    limits
        What is allowed.
    rates
        The buckets, which the routes charge, too.
    """

    def __init__(self, app: ASGIApp, limits: Limits, rates: Rates) -> None:
        self._app, self._limits, self._rates = app, limits, rates
        self._running: dict[asyncio.Task[None], str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse before anything is done."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, send)
            return
        await _Exchange(self._app, self._limits, receive, send, self._running).run(scope)

    def _are_full(self, address: str) -> bool:
        """Tell whether all places are taken, or by one address all that it may have."""
        most = self._limits.at_once
        share = -(-3 * most // 4)
        return len(self._running) >= most or (
            len(self._running) >= share and list(self._running.values()).count(address) >= share
        )

    def _refused(self, scope: Scope) -> ASGIApp | None:
        limits, headers = self._limits, scope["headers"]
        if len(headers) > limits.header_count:
            return answer(
                431, f"{len(headers)} headers came; expected {limits.header_count} at most. Send fewer."
            )
        size = len(scope["raw_path"]) + len(scope["query_string"])
        if size + sum(len(name) + len(value) for name, value in headers) > limits.header_bytes:
            return answer(
                431,
                f"address and headers have more than {limits.header_bytes} bytes; expected less. "
                "Send a shorter request.",
            )
        if b"%00" in scope["raw_path"] or b"%00" in scope["query_string"]:
            return answer(422, "the address holds a zero byte; expected text. Correct it.")
        address = _address(scope)
        wait = self._rates.take(f"address {address}")
        if wait:
            return answer(
                429,
                f"more than {limits.rate:g} requests per second came from {address}; expected fewer. "
                f"Come back in {wait:g} s.",
                {"Retry-After": str(math.ceil(wait))},
            )
        if self._are_full(address):
            return answer(
                503,
                f"{len(self._running)} requests are being answered; expected fewer. Come back in a moment.",
                {"Retry-After": "1"},
            )
        return None


def _address(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


class _Exchange:
    """One request and its answer, each part of which has its time."""

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        receive: Receive,
        send: Send,
        running: dict[asyncio.Task[None], str],
    ) -> None:
        self._app, self._limits, self._receive, self._send = app, limits, receive, send
        self._running = running
        self._clock = asyncio.get_running_loop().time
        self._begun = self._working_since = self._clock()
        self._bytes, self._waits_for_body, self._body_ended = 0, False, False
        self._started, self._given_up = asyncio.Event(), False

    async def run(self, scope: Scope) -> None:
        task = asyncio.ensure_future(self._app(scope, self._received, self._sent))
        self._running[task] = _address(scope)
        task.add_done_callback(self._running.pop)
        started = asyncio.ensure_future(self._started.wait())
        try:
            await self._wait(task, started)
            if not task.done() and not self._started.is_set():
                await self._give_up(scope)
                return
            await task
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            started.cancel()

    async def _wait(self, task: asyncio.Task[None], started: asyncio.Task[bool]) -> None:
        """Return when the answer has begun, or its time is over; a body has a time of its own."""
        while not task.done() and not self._started.is_set():
            left = self._working_since + self._limits.handler_seconds - self._clock()
            if left <= 0 and not self._waits_for_body:
                return
            await asyncio.wait((task, started), timeout=max(left, 0.5), return_when=asyncio.FIRST_COMPLETED)

    async def _give_up(self, scope: Scope) -> None:
        # A thread cannot be stopped: its answer is dropped, and its place is kept until it ends.
        self._given_up = True
        seconds = self._limits.handler_seconds
        late = answer(504, f"no answer after {seconds:g} s; expected less work. Ask for less, or as a job.")
        await late(scope, self._receive, self._send)

    async def _received(self) -> Message:
        if self._body_ended:
            return await self._receive()
        limits = self._limits
        ends = self._begun + limits.body_pause + self._bytes / max(limits.body_rate, 1.0)
        self._waits_for_body = True
        try:
            async with asyncio.timeout_at(ends):
                message = await self._receive()
        except TimeoutError:
            # Whatever reads the body ends by this, and lets go of what it has begun.
            raise HTTPException(
                408,
                f"the body came at less than {limits.body_rate:g} bytes per second; expected more. "
                "Send it again over a better line.",
                {"Connection": "close"},
            ) from None
        finally:
            self._waits_for_body, self._working_since = False, self._clock()
        self._bytes += len(message.get("body", b""))
        self._body_ended = not message.get("more_body", False)
        return message

    async def _sent(self, message: Message) -> None:
        if self._given_up:
            return
        if message["type"] == "http.response.start":
            self._started.set()
        await self._send(message)
