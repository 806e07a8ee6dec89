"""The app: its parts, and what surrounds every one of them."""

from __future__ import annotations

from itertools import chain
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from tasoc_kit import __version__
from tasoc_kit.api import problems, reference, signing_in
from tasoc_kit.api.counts import Counts
from tasoc_kit.api.envelope import Enveloped
from tasoc_kit.api.limits import Limited, Limits
from tasoc_kit.api.plugins import routers
from tasoc_kit.api.queries import exact
from tasoc_kit.api.rates import Rates
from tasoc_kit.identity import NOBODY, READER
from tasoc_kit.records.engine import expect

__all__ = ["make_app"]


def make_app(
    *,
    public: bool = True,
    limits: Limits | None = None,
    prefix: str = "",
    hosts: frozenset[str] = frozenset(),
) -> FastAPI:
    """
    Return the app.

    Parameters
    ----------
    public
        Whether anybody may read; else every request needs a token.
    limits
        What a request may take.
    prefix
        Path below which a proxy serves it, as ``/services/api``; it may leave it in, or take it out.
    hosts
        Names under which it is asked by those who may read without a token; empty for any.

    Raises
    ------
    OutOfReachError
        If the database cannot be reached.
    """
    limits = limits or Limits()
    expect()
    app = _Described(
        title="tasoc_kit",
        version=__version__,
        summary="What the store of TESS products holds.",
        docs_url=None,
        redoc_url=None,
        responses=problems.DOCUMENTED,
        dependencies=[Depends(exact)],
        generate_unique_id_function=_operation,
    )
    app.state.visitor = READER if public else NOBODY
    app.state.hosts = hosts
    app.state.rates = Rates(limits.rate, limits.burst)
    app.state.counts = Counts()
    problems.install(app)
    for name, router in routers():
        app.include_router(router, tags=[name])
    app.include_router(reference.router)
    app.include_router(signing_in.router)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=limits.body_bytes)
    app.add_middleware(Limited, limits=limits, rates=app.state.rates)
    app.add_middleware(Enveloped, counts=app.state.counts)
    app.add_middleware(_Below, prefix=prefix.rstrip("/"))
    return app


class _Described(FastAPI):
    """An app whose OpenAPI is 3.1, as it says: how a stream is made of items can be told from 3.2 on."""

    def openapi(self) -> dict[str, Any]:
        """Return the schema."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        made = super().openapi()
        for route in chain.from_iterable(methods.values() for methods in made["paths"].values()):
            for answer in route["responses"].values():
                for content in answer.get("content", {}).values():
                    if content.pop("itemSchema", None):
                        content["schema"] = {"type": "string"}
        return made


def _operation(route: APIRoute) -> str:
    return route.name


class _Below:
    """An app below a path, whether the proxy in front leaves that path in or takes it out."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._prefix and scope["type"] == "http":
            inside = scope["path"] == self._prefix or scope["path"].startswith(f"{self._prefix}/")
            path = scope["path"] if inside else self._prefix + scope["path"]
            scope = scope | {"root_path": self._prefix, "path": path}
        await self._app(scope, receive, send)
