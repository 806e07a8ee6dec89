"""Calls that schemathesis makes from the OpenAPI of a running server: every route, good and bad values."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import requests
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, openapi
from schemathesis.schemas import APIOperation

__all__ = ["fuzz"]

CALL_SECONDS = 60
SHARES = {"known": 6, "positive": 2, "negative": 2}
"""Of ten calls: known places with valid values for the rest, valid values, values that break the schema."""

Known = Mapping[str, Any]


def fuzz(
    url: str, token: str, calls: int, known: Callable[[str, str, str], Known], *, number: int = 1
) -> dict[str, Counter[int]]:
    """
    Return how often each route gave each status.

    Parameters
    ----------
    url, token
        A server, and who asks.
    calls
        Calls of each route.
    known
        Given method, path and one of ``SHARES``, asked before each call: values that replace random ones,
        as ``path_parameters``, ``query`` and ``body``.
    number
        Which series of random values.
    """
    schema = openapi.from_url(f"{url}/openapi.json")
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        for result in schema.get_all_operations():
            operation: APIOperation = result.ok()
            method, path = operation.method.upper(), operation.path
            for share, part in SHARES.items():
                mode = GenerationMode.NEGATIVE if share == "negative" else GenerationMode.POSITIVE
                good = partial(known, method, path, share)
                many = max(1, calls * part // 10)
                _call(
                    operation.as_strategy(mode), many, url, session, counts[f"{method} {path}"], number, good
                )
            print(method, path, dict(counts[f"{method} {path}"]), file=sys.stderr, flush=True)
    return dict(counts)


def _call(
    strategy: st.SearchStrategy[Case],
    wanted: int,
    url: str,
    session: requests.Session,
    counts: Counter[int],
    number: int,
    good: Callable[[], Known],
) -> None:
    @seed(number)
    @settings(
        max_examples=wanted,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def call(case: Case) -> None:
        for place, values in good().items():
            whole = getattr(case, place) if place != "body" else None
            setattr(case, place, {**whole, **values} if isinstance(whole, Mapping) else values)
        answer = case.call(base_url=url, session=session, timeout=CALL_SECONDS, allow_redirects=False)
        counts[answer.status_code] += 1

    try:
        call()
    except Unsatisfiable:
        # A route that takes nothing has nothing to break.
        return
