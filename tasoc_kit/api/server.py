"""The server of the API: one process on one address, which stops on SIGINT and SIGTERM."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from tasoc_kit.api.app import make_app
from tasoc_kit.errors import TasocKitError

__all__ = ["serve"]


def serve(
    address: str = "127.0.0.1",
    port: int = 8000,
    *,
    public: bool = True,
    ready: Callable[[str], None] | None = None,
) -> None:
    """
    Serve the API until SIGINT or SIGTERM.

    Parameters
    ----------
    address, port
        Where to listen; port 0 takes a free one.
    public
        Whether anybody may read.
    ready
        Called with the address before the first request.

    Raises
    ------
    TasocKitError
        If the port is taken or may not be used.
    """
    listening = _listen(address, port)
    if ready is not None:
        ready(f"http://{address}:{listening.getsockname()[1]}/")
    config = uvicorn.Config(make_app(public=public), log_level="warning", server_header=False)
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _listen(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port), backlog=128)
    except OSError as error:
        raise TasocKitError(
            f"tasoc api: {address}:{port} cannot be used ({error.strerror or error}); "
            f"expected a free port. Choose another: tasoc api --port {port + 1}"
        ) from None
