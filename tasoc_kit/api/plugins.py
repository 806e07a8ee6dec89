"""The parts of the API: every module of ``routes``, and what other packages bring.

Another package adds a part by an entry point of the group ``tasoc_kit.routes`` that leads to a
FastAPI router.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from importlib.metadata import entry_points

from fastapi import APIRouter

from tasoc_kit.api import routes

__all__ = ["GROUP", "routers"]

GROUP = "tasoc_kit.routes"


def routers() -> Iterator[tuple[str, APIRouter]]:
    """Yield the name and router of every part, ours first, each in the order of their names."""
    for found in sorted(pkgutil.iter_modules(routes.__path__), key=lambda module: module.name):
        yield found.name, importlib.import_module(f"{routes.__name__}.{found.name}").router
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        yield point.name, point.load()
