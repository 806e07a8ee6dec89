"""The parts of the API: every module of ``routes``, and what other packages bring.

Another package adds a part by an entry point of the group ``tasoc_kit.routes`` that leads to a
FastAPI router. One that cannot be loaded is told in the log, and left out.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from fastapi import APIRouter

from tasoc_kit.api import routes
from tasoc_kit.errors import PluginError

__all__ = ["GROUP", "routers"]

GROUP = "tasoc_kit.routes"

_log = logging.getLogger(__name__)


def routers() -> Iterator[tuple[str, APIRouter]]:
    """Yield the name and router of every part, ours first, each in the order of their names."""
    for found in sorted(pkgutil.iter_modules(routes.__path__), key=lambda module: module.name):
        yield found.name, importlib.import_module(f"{routes.__name__}.{found.name}").router
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            yield point.name, _load(point)
        except PluginError as error:
            _log.error("%s", error)


def _load(point: EntryPoint) -> APIRouter:
    """Return the router that an entry point leads to."""
    try:
        found = point.load()
    except Exception as error:
        raise PluginError(
            f"routes {point.name!r}: {point.value} cannot be loaded ({type(error).__name__}: {error}); "
            "expected a FastAPI router. Correct the package that brings it, or remove it."
        ) from error
    if not isinstance(found, APIRouter):
        raise PluginError(
            f"routes {point.name!r}: {point.value} is a {type(found).__name__}; expected a FastAPI router. "
            "Correct the package that brings it."
        )
    return found
