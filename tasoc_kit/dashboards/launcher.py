"""The dashboard of one person, started with one click in JupyterLab: what jupyter-server-proxy asks for.

It listens on a Unix socket in a folder that its owner alone may enter, so that nobody else who works on the
machine comes near it, and it ends with the Jupyter server that started it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["dashboard", "main"]

_SECONDS_TO_START = 120


def dashboard() -> dict[str, Any]:
    """
    Return how the dashboard is started and named: an entry point of ``jupyter_serverproxy_servers``.

    Returns
    -------
    The settings of one server, as jupyter-server-proxy documents them.
    """
    return {
        "command": [sys.executable, "-m", "tasoc_kit.dashboards.launcher", "{unix_socket}"],
        "unix_socket": True,
        "timeout": _SECONDS_TO_START,
        "launcher_entry": {
            "title": "TESS dashboard",
            "icon_path": str(Path(__file__).with_name("launcher.svg")),
            "category": "Notebook",
        },
    }


def main() -> None:
    """Serve the pages on the socket that the command names."""
    from tasoc_kit.dashboards.app import serve
    from tasoc_kit.pipeline.bound import die_with

    die_with(os.getppid())
    # The server in front has asked who comes, and let its owner in alone; a second login would lead nowhere.
    for name in [name for name in os.environ if name.startswith("JUPYTERHUB_")]:
        del os.environ[name]
    # It has also refused what other sites ask in the name of its owner.
    serve(socket=sys.argv[1], origins=("*",))


if __name__ == "__main__":
    main()
