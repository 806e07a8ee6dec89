"""A store with products and the API that serves it, as processes start it: for tests and benchmarks."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dashboard_data as data
import pytest
import requests

from tasoc_kit import store
from tasoc_kit.config import settings
from tasoc_kit.records import tokens

START_SECONDS = 120
WHOLE_SECONDS = 60


@dataclass
class Api:
    """A running API: ``url`` without a slash at its end, and what its log says."""

    url: str
    process: subprocess.Popen[str]
    folder: Path
    tokens: dict[str, str] = field(repr=False)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def log(self) -> str:
        return (self.folder / f"api-{self.process.pid}.log").read_text()

    def ask(self, path: str, *, method: str = "GET", scope: str = "", **options: object) -> requests.Response:
        """Ask with the token of a scope, or none."""
        headers = dict(options.pop("headers", {}))
        if scope:
            headers["Authorization"] = f"Bearer {self.tokens[scope]}"
        return requests.request(
            method, self.url + path, headers=headers, timeout=WHOLE_SECONDS, allow_redirects=False, **options
        )

    def raw(self, sent: bytes, *, wait: float = WHOLE_SECONDS) -> bytes:
        """Send bytes as they are and return what comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as line:
            line.sendall(sent)
            return b"".join(iter(lambda: line.recv(65536), b""))


def write_products() -> dict[str, str]:
    """Write a small sector to the store of the settings and return id by product."""
    reference = data.make_reference(data.make_cube())
    apertures = data.make_apertures(reference)
    curves = data.make_light_curves(apertures)
    made = [reference, apertures, curves, data.make_sky(), data.make_pointing()]
    for product in made:
        store.write_product(product)
    return {product.attrs["product"]: product.attrs["provenance_id"] for product in made}


@contextmanager
def places(folder: Path, **more: str) -> Iterator[dict[str, str]]:
    """Let this process use a store and a database below a folder, and give their variables."""
    variables = {
        "TASOC_STORE": str(folder / "store"),
        "TASOC_DATABASE": f"sqlite:///{folder / 'tables' / 'tasoc.sqlite'}",
        "TASOC_DATA": str(folder / "data"),
        "TASOC_CACHE": str(folder / "cache"),
    } | more
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        settings.cache_clear()
        yield variables
    settings.cache_clear()


def make_tokens() -> dict[str, str]:
    """Make a token of each scope."""
    return {scope: tokens.make_token(f"a-{scope}", scope) for scope in tokens.SCOPES}


@contextmanager
def running_api(
    folder: Path, *options: str, environment: Mapping[str, str], known: Mapping[str, str]
) -> Iterator[Api]:
    """Start ``tasoc api`` on a free port, wait until it says where, and end it as a person would."""
    command = [sys.executable, "-m", "tasoc_kit.cli", "api", "--port", "0", *options]
    whole = {name: value for name, value in os.environ.items() if not name.startswith(("TASOC_", "JUPYTER"))}
    paths = [
        str(Path(__file__).parents[1]),
        environment.get("PYTHONPATH", ""),
        os.environ.get("PYTHONPATH", ""),
    ]
    whole |= dict(environment) | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    log = folder / "starting.log"
    with log.open("w") as lines:
        process = subprocess.Popen(
            command, env=whole, stdout=subprocess.PIPE, stderr=lines, text=True, cwd=folder
        )
    log.rename(folder / f"api-{process.pid}.log")
    try:
        told = process.stdout.readline()
        url = re.search(r"http://[^ ]+:\d+", told)
        assert url, f"{told}\n{(folder / f'api-{process.pid}.log').read_text()}"
        api = Api(url[0], process, folder, dict(known))
        _wait(api)
        yield api
    finally:
        process.terminate()
        process.wait(timeout=WHOLE_SECONDS)
        process.stdout.close()


def _wait(api: Api) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and api.process.poll() is None:
        try:
            api.ask("/openapi.json")
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(api.log)
