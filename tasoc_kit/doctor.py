"""What this machine has, what it lacks, and the line that installs it: ``tasoc doctor``.

Nothing is changed by looking: no folder, table or file is left behind.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from uuid import uuid4

from packaging.requirements import Requirement

from tasoc_kit.config import settings
from tasoc_kit.errors import TasocKitError, install_line

__all__ = ["Finding", "examine", "find_chromium", "find_postgres"]

MEMORY_NEEDED = 1.0
"""GB of memory that the demonstration may use."""
DISK_NEEDED = 1.0
"""GB of disk that it may use beside the environment."""

EXTRAS = {
    "s3": "s3:// stores and the public TESS bucket",
    "api": "tasoc api, tasoc inject",
    "cluster": "runs on a Dask cluster (--executor dask)",
    "lab": "the pages and Dask in JupyterLab",
    "hub": "a JupyterHub for a group",
    "targets": "the TIC or Gaia DR3 of a CCD",
    "seismology": "fast spectra",
    "movie": "tasoc export movie",
    "hdf5": "TASOC's own co-trending vectors",
    "spice": "orbits in SPICE kernels",
    "postgres": "a PostgreSQL database (TASOC_DATABASE=postgresql://…)",
    "docs": "make docs",
    "test": "make test, make lint, make types",
    "oracle": "to_lightkurve(), comparison with peers",
}

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_POSTGRES_FOLDERS = Path("/usr/lib/postgresql")
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for."""

    name: str
    present: bool
    version: str
    """Version or size, or what is wrong."""
    needed_for: str
    install: str
    """The line to type; empty where nothing is missing."""
    required: bool = False
    """Nothing runs without it."""


def find_chromium() -> str | None:
    """Return the path of a Chromium, that of ``TASOC_CHROMIUM`` first."""
    names = (os.environ.get("TASOC_CHROMIUM", ""), *_CHROMIUM)
    return next((path for path in map(shutil.which, names) if path), None)


def find_postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs, on PATH or where Debian keeps the newest."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = (folder for folder in _POSTGRES_FOLDERS.glob("*/bin") if (folder / "initdb").exists())
    return max(versions, key=lambda folder: int(folder.parent.name), default=None)


def _finding(
    name: str, present: bool, version: str, needed_for: str, install: str, *, required: bool = False
) -> Finding:
    return Finding(name, present, version, needed_for, "" if present else install, required)


def _apt(package: str) -> str:
    if not shutil.which("apt-get"):
        return f"install {package} with the package manager of this system"
    return ("" if os.geteuid() == 0 else "sudo ") + f"apt-get install {package}"


def _program_version(program: Path | str | None) -> str:
    """Return the last word that looks like a version in what ``program --version`` says."""
    if program is None:
        return ""
    try:
        said = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not start: {error}"
    return next((word for word in said.split() if word[:1].isdigit()), said.strip())


def _wanted(extra: str) -> list[Requirement]:
    """Return the requirements of the package that an extra adds; those of the core for ``""``."""
    found = []
    for line in requires("tasoc-kit") or []:
        requirement = Requirement(line)
        marker = requirement.marker
        core = marker is None or marker.evaluate({"extra": ""})
        if core if not extra else (not core and marker is not None and marker.evaluate({"extra": extra})):
            found.append(requirement)
    return [requirement for requirement in found if requirement.name != "tasoc-kit"]


def _lacking(requirement: Requirement) -> str:
    """Return what is wrong with the installed version; empty where it fits."""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return requirement.name
    fits = requirement.specifier.contains(installed, prereleases=True)
    return "" if fits else f"{requirement.name} {installed} ({requirement.specifier})"


def _packages(extra: str) -> Finding:
    wanted = _wanted(extra)
    lacking = [problem for problem in map(_lacking, wanted) if problem]
    told = f"{len(wanted)} found" if not lacking else f"lacking: {', '.join(lacking)}"
    if not extra:
        return _finding("packages", not lacking, told, "everything", install_line("s3"), required=True)
    return _finding(f"extra {extra}", not lacking, told, EXTRAS[extra], install_line(extra))


def _python() -> Finding:
    fits = sys.version_info >= (3, 11)
    return _finding(
        "python", fits, platform.python_version(), "everything", "install Python 3.11 or newer", required=True
    )


def _chromium() -> Finding:
    path = find_chromium()
    told = _program_version(path)
    return _finding("chromium", path is not None, told, "tests of the dashboards", _apt("chromium"))


def _postgres() -> Finding:
    folder = find_postgres()
    told = _program_version(folder / "initdb" if folder else None)
    return _finding("postgresql", folder is not None, told, "tests of that database", _apt("postgresql"))


def _existing(path: Path) -> Path:
    """Return the folder itself, or the nearest one above it that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _local_store(path: Path) -> str:
    place = _existing(path)
    if not place.is_dir():
        return f"{place} is not a folder"
    return "" if os.access(place, os.W_OK | os.X_OK) else f"{place} is not writable"


def _remote_store(url: str) -> str:
    from tasoc_kit.storage.folders import Folder

    key = f".doctor-{uuid4().hex}"
    try:
        folder = Folder(url)
        folder.create(key, b"")
        folder.remove(key)
    except (TasocKitError, ImportError, ValueError, OSError) as error:
        return str(error)
    return ""


def _proxy() -> Finding:
    path = shutil.which("configurable-http-proxy")
    action = "npm install -g configurable-http-proxy"
    return _finding("hub's proxy", path is not None, _program_version(path), "a JupyterHub", action)


def _store() -> Finding:
    url = settings().store
    problem = _remote_store(url) if "://" in url else _local_store(Path(url))
    action = "export TASOC_STORE=<a folder or URL that can be written>"
    return _finding("store", not problem, problem or url, "products", action, required=True)


def _database() -> Finding:
    import sqlalchemy as sa

    from tasoc_kit.records import engine

    told, present = settings().database, True
    action = "correct TASOC_DATABASE, or start its server"
    try:
        address = sa.make_url(told)
        unpooled = sa.create_engine(address, poolclass=sa.NullPool)
        tables = engine.revision(unpooled)
        told = address.render_as_string() + ("" if tables else " (made when first written)")
        if tables:
            action = "tasoc database upgrade"
            engine.connect()
    except (TasocKitError, sa.exc.SQLAlchemyError, ImportError) as error:
        told, present = str(error), False
    return _finding("database", present, told, "tags, runs, reviews", action, required=True)


def _catalogs() -> Finding:
    from tasoc_kit import catalog

    folders = ", ".join(map(str, settings().catalogs))
    try:
        told, present = f"{len(catalog.entries())} entries in {folders}", True
    except TasocKitError as error:
        told, present = str(error), False
    action = "export TASOC_CATALOGS=<folders that hold a main.yaml>"
    return _finding("catalogs", present, told, "data by name", action, required=True)


def _threads() -> Finding:
    told = f"{settings().threads} of {os.cpu_count()} cores"
    return _finding("threads", True, told, "speed (TASOC_THREADS)", "")


def _memory() -> Finding:
    total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = _CGROUP_MEMORY.read_text().strip() if _CGROUP_MEMORY.exists() else "max"
    size = min(total, float(limit)) / 1e9 if limit.isdigit() else total / 1e9
    action = f"find a machine with {MEMORY_NEEDED:g} GB of memory or more"
    return _finding("memory", size >= MEMORY_NEEDED, f"{size:.1f} GB", "make demo", action)


def _disk() -> Finding:
    url = settings().store
    place = _existing(Path("." if "://" in url else url))
    free = shutil.disk_usage(place).free / 1e9
    action = f"free {DISK_NEEDED:g} GB below {place}"
    return _finding(
        "disk", free >= DISK_NEEDED, f"{free:.1f} GB free", "products and simulated files", action
    )


def _looks() -> Iterator[Callable[[], Finding]]:
    yield _python
    yield lambda: _packages("")
    for extra in EXTRAS:
        yield lambda extra=extra: _packages(extra)
    yield from (_chromium, _postgres, _proxy, _store, _database, _catalogs, _threads, _memory, _disk)


def examine() -> list[Finding]:
    """Return what was found, the environment first, then the places, then the machine."""
    return [look() for look in _looks()]
