"""A server of its own, on a free port of this machine, for as long as it is needed."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["served_by"]

_STARTS = 120


@contextmanager
def served_by(command: Callable[[int], list[str]], place: Path, **environment: str) -> Iterator[str]:
    """
    Start a server and give its address when it listens; its words go to ``server.log``.

    Parameters
    ----------
    command
        Port → the words of the command.
    place
        Folder that it runs in.
    environment
        Further variables.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (place / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command(port), stdout=log, stderr=log, cwd=place, env=os.environ | environment
        )
    try:
        deadline = time.monotonic() + _STARTS
        while time.monotonic() < deadline and server.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        else:
            raise RuntimeError((place / "server.log").read_text()[-2000:])
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)
