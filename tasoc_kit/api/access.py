"""Who asks: the token or the session of a request, and what a route needs."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer

from tasoc_kit import hub_users
from tasoc_kit.api.problems import Problem
from tasoc_kit.identity import API_COOKIE, NOBODY, Identity, by_token, of_cookie

__all__ = ["Administers", "Anybody", "Reads", "Writes", "identify", "still_reads"]

_SAFE = ("GET", "HEAD", "OPTIONS")
_FINE = 20.0
"""Requests that a wrong token counts for, so that nobody tries many."""

_shown = HTTPBearer(
    auto_error=False, description="A token of 'tasoc token create', or of the JupyterHub in front."
)


def identify(request: Request) -> Identity:
    """
    Return who asks, by the header ``Authorization: Bearer …``, else by the cookie of a browser.

    A cookie only reads: other pages of this host could make a browser send it.
    """
    given = request.headers.get("authorization")
    if given is not None:
        scheme, _, token = given.partition(" ")
        found = by_token(token.strip()) if scheme.lower() in ("bearer", "token") else None
        if found is None:
            request.app.state.rates.fine(f"address {request.client.host if request.client else ''}", _FINE)
            raise Problem(
                401,
                "token: it is not known, or not good any more; expected 'Authorization: Bearer tasoc_…'. "
                "Make one with 'tasoc token create'.",
                {"WWW-Authenticate": "Bearer"},
            )
        return found
    session = of_cookie(request.cookies.get(API_COOKIE)) if request.method in _SAFE else None
    return session or _visitor(request)


def still_reads(request: Request) -> bool:
    """Tell whether whoever was let in would be now: a token may have been revoked while an answer goes on."""
    try:
        return identify(request).may("read")
    except Problem:
        return False


def _visitor(request: Request) -> Identity:
    """Return who shows nothing; a page of the web that calls this machine by its own name is nobody."""
    hosts, host = request.app.state.hosts, request.headers.get("host", "")
    known = not hosts or host.rpartition(":")[0] in hosts or host in hosts
    visitor: Identity = request.app.state.visitor if known else NOBODY
    return visitor


def _needs(scope: str) -> Callable[..., Awaitable[Identity]]:
    async def check(request: Request, _token: Annotated[object, Depends(_shown)] = None) -> Identity:
        known = "authorization" in request.headers or API_COOKIE in request.cookies
        found = await run_in_threadpool(identify, request) if known else _visitor(request)
        request.state.identity = found
        if scope:
            _allow(request, found, scope)
        return found

    return check


def _allow(request: Request, found: Identity, scope: str) -> None:
    if not found.may(scope):
        nobody = found.source == "nobody"
        page = request.method in _SAFE and "text/html" in request.headers.get("accept", "")
        if nobody and page and hub_users.behind_hub():
            place = f"{request.scope.get('root_path', '')}/login?next={quote(request.url.path)}"
            raise Problem(303, "the Hub is asked who this is. Go on there.", {"Location": place})
        raise Problem(
            401 if nobody else 403,
            f"{request.method} {request.url.path}: it needs the scope {scope}; "
            f"{found.name or 'who shows no token'} has {found.scope or 'none'}. "
            f"Show a token: 'tasoc token create NAME --scope {scope}'.",
            {"WWW-Authenticate": "Bearer"} if nobody else {},
        )
    wait = 0.0 if found.source == "nobody" else request.app.state.rates.take(f"name {found.name}")
    if wait:
        raise Problem(
            429,
            f"{found.name}: too many requests; expected fewer per second. Come back in {wait:g} s.",
            {"Retry-After": str(math.ceil(wait))},
        )


Reads = Annotated[Identity, Depends(_needs("read"))]
"""A parameter of a route: who reads; others are refused."""
Writes = Annotated[Identity, Depends(_needs("write"))]
Administers = Annotated[Identity, Depends(_needs("admin"))]
Anybody = Annotated[Identity, Depends(_needs(""))]
"""Who asks, be it nobody."""
