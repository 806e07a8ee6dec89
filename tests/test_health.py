"""Whether the parts that the API stands on answer: one that hangs is told apart from the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import fsspec
import pytest
import requests
from api_server import served_api
from fsspec import AbstractFileSystem

from tasoc_kit.api.routes import health
from tasoc_kit.config import settings


class Standing(AbstractFileSystem):
    """A file system whose server takes questions and does not answer."""

    protocol = "standing"
    moves = threading.Event()

    def modified(self, path: str) -> None:
        self.moves.wait()
        raise FileNotFoundError(path)


@pytest.fixture
def standing(tmp_path, monkeypatch) -> Iterator[type[Standing]]:
    """The store of the settings is behind a server that can stand still; it moves when the test ends."""
    fsspec.register_implementation("standing", Standing, clobber=True)
    monkeypatch.setenv("TASOC_STORE", "standing://store")
    monkeypatch.setenv("TASOC_DATABASE", f"sqlite:///{tmp_path / 'tasoc.sqlite'}")
    monkeypatch.setattr(health, "_MOST_SECONDS", 1.0)
    settings.cache_clear()
    Standing.moves.set()
    yield Standing
    Standing.moves.set()


def test_a_part_that_hangs_is_named_alone_however_often_it_is_asked(standing):
    with served_api() as url:
        assert requests.get(f"{url}/health").status_code == 200
        standing.moves.clear()
        for _ in range(9):
            answer = requests.get(f"{url}/health")
            ill = {name for name, part in answer.json()["parts"].items() if not part["ok"]}
            assert (answer.status_code, ill) == (503, {"store"})
        assert "no answer after 1 s" in answer.json()["parts"]["store"]["problem"]
        standing.moves.set()
        assert requests.get(f"{url}/health").status_code == 200
