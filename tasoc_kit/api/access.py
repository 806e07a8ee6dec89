"""Who asks: the token of a request, and what a route needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from tasoc_kit.api.problems import Problem
from tasoc_kit.identity import Identity, by_token

__all__ = ["Administers", "Reads", "Writes", "identify"]


def identify(request: Request) -> Identity:
    """Return who asks, by the header ``Authorization: Bearer …``."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        visitor: Identity = request.app.state.visitor
        return visitor
    found = by_token(token.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        raise Problem(
            401,
            "token: it is not known, or not good any more; expected 'Authorization: Bearer tasoc_…'. "
            "Make one with 'tasoc token create'.",
            {"WWW-Authenticate": "Bearer"},
        )
    return found


def _needs(scope: str) -> Callable[[Request], Identity]:
    def check(request: Request) -> Identity:
        found = identify(request)
        if not found.may(scope):
            known = found.source != "nobody"
            raise Problem(
                403 if known else 401,
                f"{request.method} {request.url.path}: it needs the scope {scope}; "
                f"{found.name or 'nobody'} has {found.scope or 'none'}. "
                f"Show a token: 'tasoc token create NAME --scope {scope}'.",
                {} if known else {"WWW-Authenticate": "Bearer"},
            )
        return found

    return check


Reads = Annotated[Identity, Depends(_needs("read"))]
"""A parameter of a route: who reads; others are refused."""
Writes = Annotated[Identity, Depends(_needs("write"))]
Administers = Annotated[Identity, Depends(_needs("admin"))]
