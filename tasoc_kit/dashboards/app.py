"""The server of the pages: one process, one address, nothing asked of the network.

It stops on SIGINT and SIGTERM, and serves its own first page.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from tasoc_kit.errors import TasocKitError
from tasoc_kit.pipeline.preload import kept_for_good

__all__ = ["make_server", "pages", "serve"]

_log = logging.getLogger(__name__)


def pages() -> dict[str, Callable[[], Any]]:
    """Return what is served: the last part of the address → the function that makes the page."""
    from tasoc_kit.dashboards import (
        apertures,
        ccd,
        corrections,
        frames,
        light_curves,
        overview,
        psf,
        sky,
        spectrum,
        star,
        validation,
        variability,
    )
    from tasoc_kit.dashboards.failed import or_failed

    made = {
        "overview": overview.page,
        "ccd": ccd.page,
        "validation": validation.page,
        "frames": frames.page,
        "sky": sky.page,
        "psf": psf.page,
        "light_curves": light_curves.page,
        "apertures": apertures.page,
        "corrections": corrections.page,
        "spectrum": spectrum.page,
        "variability": variability.page,
        "star": star.page,
    }
    whole = {slug: or_failed(slug, page) for slug, page in made.items()}
    return {"/": whole["overview"]} | whole


def make_server(
    address: str = "127.0.0.1",
    port: int = 5006,
    origins: tuple[str, ...] = (),
    *,
    prefix: str = "",
    socket: str = "",
) -> Any:
    """
    Return the server, bound to its port or socket and not yet running.

    Parameters
    ----------
    address, port
        Where it listens; port 0 takes a free one.
    origins
        Further ``host:port`` under which browsers may reach it, as behind a proxy.
    prefix
        Path below which the pages are, as ``/services/dashboard/``, where a proxy leaves it in.
    socket
        Path of a Unix socket to listen on in place of a port: who may open that file is a visitor.

    Raises
    ------
    TasocKitError
        If the port is taken or may not be used.
    """
    # Scripts and styles come from this server; Panel reads these when it is imported.
    os.environ.setdefault("BOKEH_RESOURCES", "server")
    import panel as pn

    from tasoc_kit.dashboards.failed import tell

    pn.extension(exception_handler=tell)
    near = [] if socket else [f"{host}:{port}" for host in {address, "localhost"}]
    place = {"unix_socket": socket} if socket else {"port": port, "address": address}
    try:
        return pn.io.server.get_server(
            pages(),
            **place,
            prefix=prefix,
            websocket_origin=near + list(origins),
            show=False,
            start=False,
            title="tasoc_kit",
            verbose=False,
        )
    except OSError as error:
        if socket:
            raise TasocKitError(
                f"tasoc dashboard: the socket {socket} cannot be made ({error.strerror or error}); "
                "expected a path in a folder that can be written. Name another."
            ) from None
        raise TasocKitError(
            f"tasoc dashboard: {address}:{port} cannot be used ({error.strerror or error}); "
            f"expected a free port. Choose another: tasoc dashboard --port {port + 1}"
        ) from None


def serve(
    address: str = "127.0.0.1",
    port: int = 5006,
    *,
    origins: tuple[str, ...] = (),
    prefix: str = "",
    socket: str = "",
    ready: Callable[[str], None] | None = None,
) -> None:
    """
    Serve the pages until SIGINT or SIGTERM.

    Parameters
    ----------
    address, port
        Where to listen; port 0 takes a free one.
    origins
        Further ``host:port`` under which browsers may reach it.
    prefix
        Path below which the pages are.
    socket
        Path of a Unix socket to listen on in place of a port.
    ready
        Called with the address once browsers can come.

    Raises
    ------
    TasocKitError
        If the port is taken or may not be used.
    """
    with kept_for_good():
        server = make_server(address, port, origins, prefix=prefix, socket=socket)
        from tasoc_kit.plots.frame import prepare

    loop = server.io_loop

    def stop(number: int, frame: Any) -> None:
        loop.add_callback_from_signal(loop.stop)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    url = socket or f"http://{address}:{server.port}{server.prefix}/"
    server.start()
    loop.add_callback(prepare)  # not in a thread: pages are made by the same library
    _log.info("serving %s", url)
    if ready is not None:
        ready(url)
    try:
        loop.start()
    finally:
        server.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
