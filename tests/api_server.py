"""The API on loopback, in a thread of the tests: it sees the places of the test that asks it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from tasoc_kit.api.app import make_app
from tasoc_kit.config import settings
from tasoc_kit.records.tokens import make_token


@contextmanager
def served_api() -> Iterator[str]:
    """Give the address of an API that ends with the block."""
    config = uvicorn.Config(make_app(), port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="api", daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def api_of_a_module(folder: Path) -> Iterator[str]:
    """Give the address of an API that many tests ask; each of them has a store of its own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TASOC_STORE", str(folder))
        settings.cache_clear()
        with served_api() as url:
            yield url
    settings.cache_clear()


def bearer(scope: str = "write") -> dict[str, str]:
    """Return the header of somebody who may do this."""
    return {"Authorization": f"Bearer {make_token(scope, scope)}"}
