"""The server of the pages: one process, one address, nothing asked of the network.

It stops on SIGINT and SIGTERM, and serves its own first page.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from tasoc_kit.dashboards import page_list
from tasoc_kit.dashboards.page_list import Page
from tasoc_kit.errors import TasocKitError
from tasoc_kit.identity import PAGES_COOKIE, session_key
from tasoc_kit.pipeline.preload import compute_here, kept_for_good

__all__ = ["make_server", "pages", "serve"]

_log = logging.getLogger(__name__)

_COOKIES = [PAGES_COOKIE, "tasoc_dark"]
"""Those that pages look at. They become part of a page, where scripts see them: none of other servers."""
_HEADERS = ["User-Agent", "Sec-Ch-Ua-Mobile"]
_PAUSE = 0.05
"""Seconds between the imports of two pages, in which a visitor is answered."""


def pages() -> dict[str, Callable[[], Any]]:
    """Return what is served: the last part of the address → the function that makes the page."""
    from tasoc_kit.dashboards.failed import or_failed
    from tasoc_kit.dashboards.visitor import admitted

    def of(page: Page) -> Callable[[], Any]:
        return or_failed(page.slug, admitted(page.slug, lambda: page.load()()))

    whole = {page.slug: of(page) for page in page_list.pages().values()}
    return {"/": whole["overview"]} | whole


def _import_pages(loop: Any) -> None:
    """Import the modules of the pages, one after another, while nobody asks for one."""

    def import_next(waiting: list[Page]) -> None:
        page, *rest = waiting
        try:
            with kept_for_good():
                page.load()
        except TasocKitError as error:
            _log.error("%s", error)
            page_list.tell_problem(page, error)
        if rest:
            loop.call_later(_PAUSE, import_next, rest)

    loop.call_later(_PAUSE, import_next, list(page_list.pages().values()))


def _rehearse() -> None:
    """Draw a page that nobody sees, or the first visitor waits for what the libraries import and compile."""
    import numpy as np
    import xarray as xr
    from bokeh.document import Document
    from panel.io.state import set_curdoc

    from tasoc_kit.dashboards import theme
    from tasoc_kit.plots.frame import SCREEN_PIXELS, image

    side = np.arange(int(SCREEN_PIXELS**0.5) + 1)
    pixels = np.zeros((side.size, side.size), np.float32)
    larger = xr.DataArray(pixels, {"row": side, "column": side}, ("row", "column"))
    document = Document()
    with set_curdoc(document):
        theme.make_page("overview", main=[theme.figure(image(larger, title=""))]).server_doc(document)


def _applications() -> dict[str, Any]:
    """Return the pages as the server takes them, each with its title, where the address can be read."""
    from panel.io.application import build_applications

    from tasoc_kit.dashboards.failed import Readable

    titles = {slug: f"{page.title} · tasoc_kit" for slug, page in page_list.pages().items()}
    applications = build_applications(pages(), title={"/": titles["overview"]} | titles)
    for application in applications.values():
        application.add(Readable())
    return dict(applications)


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
        If the port is taken or may not be used, or an address or origin is none that browsers name.
    """
    # Scripts and styles come from this server; Panel reads these when it is imported.
    os.environ.setdefault("BOKEH_RESOURCES", "server")
    import panel as pn
    from bokeh.core.validation import silence
    from bokeh.core.validation.warnings import FIXED_SIZING_MODE
    from bokeh.server.util import create_hosts_allowlist

    from tasoc_kit.dashboards.failed import tell
    from tasoc_kit.dashboards.visitor import Guarded, handlers, open_to

    session_key()
    open_to(address, socket)
    pn.extension(exception_handler=tell)
    silence(FIXED_SIZING_MODE)  # it asks for a width where figures of pixels have the width of their frame
    near = [] if socket else [f"{host}:{port}" for host in {address, "localhost"}]
    try:
        create_hosts_allowlist([*near, *origins], port)
    except ValueError as error:
        raise TasocKitError(
            f"tasoc dashboard: {error}; expected a name or an IPv4 address, with its port where it is not 80 "
            "and without http://. Correct --address or --origin."
        ) from None
    place = {"unix_socket": socket} if socket else {"port": port, "address": address}
    try:
        return pn.io.server.get_server(
            _applications(),
            **place,
            prefix=prefix,
            websocket_origin=near + list(origins),
            show=False,
            start=False,
            verbose=False,
            extra_patterns=handlers(),
            transforms=[Guarded],
            include_cookies=_COOKIES,
            include_headers=_HEADERS,
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
    compute_here()
    loop = server.io_loop

    def stop(number: int, frame: Any) -> None:
        loop.add_callback_from_signal(loop.stop)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    url = socket or f"http://{address}:{server.port}{server.prefix}/"
    server.start()
    loop.add_callback(_rehearse)  # not in a thread: pages are made by the same library
    _import_pages(loop)
    _log.info("serving %s", url)
    if ready is not None:
        ready(url)
    try:
        loop.start()
    finally:
        server.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
