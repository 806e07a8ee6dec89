"""The server of the API: processes on one address, which stop on SIGINT and SIGTERM."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from tasoc_kit import hub_users
from tasoc_kit.api.app import make_app
from tasoc_kit.api.connections import Connections
from tasoc_kit.api.counts import several
from tasoc_kit.api.envelope import Masked
from tasoc_kit.api.limits import Limits
from tasoc_kit.config import settings
from tasoc_kit.errors import TasocKitError
from tasoc_kit.identity import session_key
from tasoc_kit.records.engine import keep_connections

__all__ = ["Place", "serve"]

_OPTIONS = "TASOC_API"
"""Where a process of several finds what it serves."""

_SECONDS_TO_END = 20


@dataclass(frozen=True)
class Place:
    """Where the API is served, and to whom."""

    address: str = "127.0.0.1"
    port: int = 8000
    """0 takes a free one."""
    public: bool | None = None
    """Whether anybody may read; by default on loopback alone, unless ``TASOC_PUBLIC`` says more."""
    prefix: str = field(default_factory=hub_users.prefix)
    """Path below which a proxy, or the Hub, serves it."""
    proxy: str = ""
    """Address of the proxy whose ``X-Forwarded-For`` is believed."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it, without a proxy between."""
        try:
            near = self.address == "localhost" or ip_address(self.address).is_loopback
        except ValueError:
            near = False
        return near and not self.prefix.strip("/") and not self.proxy and not hub_users.behind_hub()

    @property
    def open_to_all(self) -> bool:
        """Whether anybody may read."""
        if self.public is not None:
            return self.public
        return settings().public == "read" or (self.loopback and not settings().public)

    def url(self, port: int) -> str:
        """Return the address for browsers, where it is served at a port."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{port}{self.prefix.rstrip('/')}/"


def serve(
    place: Place | None = None,
    *,
    limits: Limits | None = None,
    workers: int = 1,
    log: bool = True,
    ready: Callable[[str], None] | None = None,
) -> None:
    """
    Serve the API until SIGINT or SIGTERM.

    Parameters
    ----------
    place
        Where, and to whom.
    limits
        What a request may take.
    workers
        Processes; they count together, and each limits for itself.
    log
        Whether every request is a line in the log.
    ready
        Called with the address before the first request.

    Raises
    ------
    TasocKitError
        If the port is taken or may not be used, or ``TASOC_SESSION_KEY`` is too short.
    OutOfReachError
        If the database cannot be reached.
    """
    place, limits = place or Place(), limits or Limits()
    session_key()
    with _listen(place) as listening:
        app = _app(place, limits)
        if ready is not None:
            ready(place.url(listening.getsockname()[1]))
        if workers > 1:
            if not os.environ.get("TASOC_SESSION_KEY"):
                os.environ["TASOC_SESSION_KEY"] = secrets.token_hex(32)
            os.environ[_OPTIONS] = json.dumps({"place": asdict(place), "limits": asdict(limits), "log": log})
            config = _config("tasoc_kit.api.server:worker_app", place, limits, factory=True, workers=workers)
            with several():
                Multiprocess(config, sockets=[listening]).run()
        else:
            _show_log(log)
            _Server(_config(app, place, limits)).run(sockets=[listening])


def _app(place: Place, limits: Limits) -> FastAPI:
    keep_connections()
    hosts = {place.address, "localhost", "127.0.0.1", "[::1]"} if place.loopback else set()
    return make_app(public=place.open_to_all, limits=limits, prefix=place.prefix, hosts=frozenset(hosts))


def worker_app() -> FastAPI:
    """Return the app of one of several processes."""
    options = json.loads(os.environ[_OPTIONS])
    _show_log(options["log"])
    return _app(Place(**options["place"]), Limits(**options["limits"]))


def _config(app: Any, place: Place, limits: Limits, **options: Any) -> uvicorn.Config:
    proxy = place.proxy or ("127.0.0.1" if hub_users.behind_hub() else "")
    return uvicorn.Config(
        app,
        http=Connections(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxy),
        forwarded_allow_ips=proxy or None,
        timeout_keep_alive=int(limits.keep_seconds),
        timeout_graceful_shutdown=_SECONDS_TO_END,
        **options,
    )


class _Server(uvicorn.Server):
    """One process, which ends well when it is told to end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _show_log(requests: bool) -> None:
    """Write to standard error what happens, without secrets."""
    handler = logging.StreamHandler()
    handler.setFormatter(Masked("%(asctime)s %(levelname)s %(message)s"))
    for name in ("tasoc_kit", "uvicorn"):
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler], False
        log.setLevel(logging.WARNING)
    logging.getLogger("tasoc_kit.api").setLevel(logging.INFO if requests else logging.WARNING)


def _listen(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    try:
        return socket.create_server((place.address, place.port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise TasocKitError(
            f"tasoc api: {place.address}:{place.port} cannot be used "
            f"({getattr(error, 'strerror', '') or error}); expected a free port. "
            f"Choose another: tasoc api --port {place.port + 1}"
        ) from None
