"""Notebooks in the hands of somebody who may change neither the package nor the shared store."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

import tasoc_kit as tk
from tasoc_kit import store
from tasoc_kit.config import settings

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 240
Run = Callable[..., subprocess.CompletedProcess[str]]


def close(folder: Path) -> None:
    """Take from everybody the right to write in a folder; root gives it to somebody else, too."""
    for path in [folder, *folder.rglob("*")]:
        if os.geteuid() == 0:
            owner = pwd.getpwnam("nobody")
            os.chown(path, owner.pw_uid, owner.pw_gid)
        path.chmod(0o555 if path.is_dir() else 0o444)


def without_privileges() -> list[str]:
    """
    Return the command prefix under which root is a user like any other.

    The user stays the same, as the interpreter may lie where no other may go; what is lost are the
    capabilities, so that the owner and the mode of a file count.
    """
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("setpriv: root cannot give up its privileges without it; install util-linux")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--pdeathsig", "KILL"]


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Path:
    """A package and a store with one product, which can be read."""
    place = tmp_path_factory.mktemp("readable")
    for name in ("tasoc_kit", "notebooks", "catalogs"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_*"))
    shutil.copyfile(ROOT / "pyproject.toml", place / "pyproject.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASOC_STORE", str(place / "store"))
        patch.setenv("TASOC_CACHE", str(session_cache))
        settings.cache_clear()
        cube = tk.science(tk.open_cube("simulation.tiny"))
        store.write_product(tk.make_quality(cube))
    settings.cache_clear()
    close(place)
    return place


@pytest.fixture
def unprivileged(readable: Path, session_cache: Path, tmp_path: Path) -> Run:
    """Run a program of that package from its own folder of notebooks, with a home of its own."""
    home = tmp_path / "home"
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "simulation").symlink_to(session_cache / "simulation")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(readable),
        "OPENBLAS_NUM_THREADS": "1",
        "TASOC_STORE": str(home / "store"),
        "TASOC_CACHE": str(home / "cache"),
        "TASOC_SHARED_STORES": str(readable / "store"),
    }

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*without_privileges(), *map(str, words)]
        place = {"cwd": readable / "notebooks", "env": environment, "timeout": SECONDS}
        return subprocess.run(command, capture_output=True, text=True, **place)

    return run


def test_what_is_shared_cannot_be_written(unprivileged, readable):
    for path in ("tasoc_kit/store.py", "notebooks/new.ipynb", "store/quality"):
        assert unprivileged("touch", readable / path).returncode != 0


def test_a_notebook_of_the_pipeline_reads_what_is_shared_and_writes_what_is_its_own(
    unprivileged, readable, tmp_path
):
    before = {path: path.stat().st_mtime_ns for path in readable.rglob("*")}
    done = unprivileged(sys.executable, "-m", "papermill", "11_pointing.ipynb", tmp_path / "executed.ipynb")
    assert done.returncode == 0, done.stderr[-2000:]
    cells = nbformat.read(tmp_path / "executed.ipynb", as_version=4).cells
    told = [output for cell in cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert [output.text for output in told] == []
    made = store.list_products(store=str(tmp_path / "home" / "store"))
    assert made["product"].tolist() == ["pointing"]
    assert {path: path.stat().st_mtime_ns for path in readable.rglob("*")} == before
