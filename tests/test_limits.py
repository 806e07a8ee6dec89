"""What requests may take: rates with a clock of our own, and apps that take too long."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tasoc_kit.api.limits import Limited, Limits
from tasoc_kit.api.rates import Rates
from tasoc_kit.api.server import Place
from tasoc_kit.config import settings
from tasoc_kit.errors import TasocKitError


def scope(**changes: Any) -> dict[str, Any]:
    usual = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [],
    }
    return usual | {"client": ("10.0.0.1", 5)} | changes


def ask(limited: Limited, seconds: float = 0.0, **changes: Any) -> list[dict[str, Any]]:
    """Return what an app behind limits sends; a body comes after some seconds."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    asyncio.run(limited(scope(**changes), receive, send))
    return sent


def test_a_bucket_is_emptied_by_a_burst_and_fills_with_time():
    now = 0.0
    rates = Rates(2.0, 4.0, clock=lambda: now)
    assert [rates.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert rates.take("b") == 0
    now = 0.5
    assert [rates.take("a") for _ in range(2)] == [0, 0.5]
    rates.fine("b", 100)
    assert rates.take("b") == 0.5
    now = 1000
    assert [rates.take("b") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert [Rates(0, 0).take("c") for _ in range(3)] == [0, 0, 0]


def test_whoever_comes_once_is_forgotten_before_memory_is_full():
    rates = Rates(1.0, 1.0, clock=lambda: 0.0)
    assert rates.take("first") == 0
    for number in range(10_000):
        rates.take(str(number))
    assert len(rates._buckets) == 10_000
    assert rates.take("first") == 0


@pytest.mark.parametrize("reads", [True, False])
def test_an_app_that_does_not_answer_is_left_whether_or_not_it_reads_a_body(reads):
    async def slow(given: Any, receive: Any, send: Any) -> None:
        if reads:
            await receive()
        await asyncio.Event().wait()

    sent = ask(Limited(slow, Limits(handler_seconds=0.05), Rates(0, 0)))
    assert [message.get("status") for message in sent] == [504, None]
    assert json.loads(sent[1]["body"])["next"] == "Ask for less, or as a job."


def test_a_body_that_does_not_come_ends_whatever_waits_for_it():
    closed = []

    async def reads(given: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        finally:
            closed.append(True)

    with pytest.raises(Exception, match="bytes per second"):
        ask(Limited(reads, Limits(body_pause=0.05), Rates(0, 0)), seconds=5)
    assert closed == [True]


def test_too_many_at_once_are_told_to_come_back():
    async def both() -> list[int]:
        going = asyncio.Event()

        async def waits(given: Any, receive: Any, send: Any) -> None:
            await going.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        limited, statuses = Limited(waits, Limits(at_once=2), Rates(0, 0)), []

        async def send(message: Any) -> None:
            if "status" in message:
                statuses.append(message["status"])

        running = [asyncio.create_task(limited(scope(), lambda: None, send)) for _ in range(3)]
        await asyncio.sleep(0.05)
        going.set()
        await asyncio.gather(*running)
        return statuses

    assert asyncio.run(both()) == [503, 200, 200]


def test_one_address_leaves_places_to_others():
    async def statuses() -> list[int]:
        going, told = asyncio.Event(), []

        async def waits(given: Any, receive: Any, send: Any) -> None:
            await going.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def send(message: Any) -> None:
            if "status" in message:
                told.append(message["status"])

        limited = Limited(waits, Limits(at_once=8), Rates(0, 0))
        clients = [("10.0.0.1", 5)] * 10 + [("10.0.0.2", 5)] * 2
        running = [
            asyncio.create_task(limited(scope(client=client), lambda: None, send)) for client in clients
        ]
        await asyncio.sleep(0.05)
        going.set()
        await asyncio.gather(*running)
        return told

    assert asyncio.run(statuses()) == [503] * 4 + [200] * 8


def test_limits_are_set_by_name():
    assert Limits.read(["rate=5", "at_once=7"]) == Limits(rate=5.0, at_once=7)
    for wrong in ("rates=5", "rate", "rate=x", "rate=-1", "rate=inf", "rate=nan", "at_once=inf"):
        with pytest.raises(TasocKitError, match="it cannot be used; expected one of rate"):
            Limits.read([wrong])


def test_an_address_is_told_as_browsers_take_it():
    assert Place().url(8000) == "http://127.0.0.1:8000/"
    assert Place("::1", prefix="/tasoc/").url(80) == "http://[::1]:80/tasoc/"


@pytest.mark.parametrize(
    ("place", "told", "all_may_read"),
    [
        ({}, "", True),
        ({"address": "::1"}, "", True),
        ({}, "none", False),
        ({"public": True}, "none", True),
        ({"address": "0.0.0.0"}, "", False),
        ({"address": "0.0.0.0"}, "read", True),
        ({"address": "0.0.0.0"}, "a word that nobody knows", False),
        ({"prefix": "/tasoc"}, "", False),
        ({"proxy": "127.0.0.1"}, "", False),
        ({"public": False}, "read", False),
    ],
)
def test_beyond_loopback_nobody_reads_without_a_token_unless_it_was_said(
    place, told, all_may_read, monkeypatch
):
    monkeypatch.setenv("TASOC_PUBLIC", told)
    settings.cache_clear()
    assert Place(**place).open_to_all is all_may_read
