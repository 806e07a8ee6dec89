"""All notebooks, executed on their defaults, and the JupyterLab that shows them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from loopback import served_by

REPOSITORY = Path(__file__).resolve().parents[2]
ALLOWED: tuple[str, ...] = ()
"""What JupyterLab says on its console, without its being wrong with a notebook."""


def execute_all(folder: Path) -> list[str]:
    """Execute the notebooks, those of a folder one after another, each folder with a store of its own."""
    (folder / "how_to").mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(_execute, [REPOSITORY / "notebooks"] * 2, ["*", "how_to/*"], [folder] * 2)
    return sorted(sum(done, []))


def _execute(notebooks: Path, names: str, folder: Path) -> list[str]:
    store = folder / "stores" / ("how_to" if "how_to" in names else "pipelines")
    environment = os.environ | {"TASOC_STORE": str(store), "TASOC_DATABASE": "", "PANEL_INLINE": "true"}
    made = []
    for path in sorted(notebooks.glob(f"{names}.ipynb")):
        name = str(path.relative_to(notebooks))
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", str(path), str(folder / name)]
        done = subprocess.run(
            command, cwd=path.parent, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
        made.append(name)
    return made


@contextmanager
def lab(folder: Path, names: list[str]) -> Iterator[str]:
    """Show a folder in a JupyterLab of its own that trusts its notebooks; give the address."""
    kept = {
        f"JUPYTER{what}_DIR": str(folder / ".jupyter" / what.lower())
        for what in ("_CONFIG", "_DATA", "_RUNTIME", "LAB_SETTINGS", "LAB_WORKSPACES")
    }
    trust = [sys.executable, "-m", "jupyter", "trust", *names]
    subprocess.run(trust, cwd=folder, env=os.environ | kept, capture_output=True, check=True)

    def command(port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
            *(f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"),
            *("--IdentityProvider.token=", "--ServerApp.password=", "--LabApp.news_url=None"),
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]

    with served_by(command, folder, PANEL_INLINE="true", **kept) as address:
        yield address
