"""The app: its parts, and what surrounds every one of them."""

from __future__ import annotations

from fastapi import FastAPI

from tasoc_kit import __version__
from tasoc_kit.api import problems
from tasoc_kit.api.plugins import routers
from tasoc_kit.identity import NOBODY, READER

__all__ = ["make_app"]


def make_app(*, public: bool = True) -> FastAPI:
    """
    Return the app.

    Parameters
    ----------
    public
        Whether anybody may read; else every request needs a token.
    """
    app = FastAPI(title="tasoc_kit", version=__version__, summary="What the store of TESS products holds.")
    app.state.visitor = READER if public else NOBODY
    problems.install(app)
    for name, router in routers():
        app.include_router(router, tags=[name])
    return app
