"""Folders that live as long as the work in them, however that ends.

A folder is locked by the process that made it. The lock dies with the process, so what one that was
killed has left is known for what it is, and the next one that needs a folder removes it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError

__all__ = ["own_folder", "scratch", "scratch_folder"]

_PREFIX = "tasoc-run-"
_YOUNG_SECONDS = 60.0
"""So long a folder may have no lock yet."""
_held = ExitStack()
atexit.register(_held.close)


def own_folder() -> Path:
    """Return an empty folder that is removed when this process ends."""
    return _held.enter_context(scratch_folder())


def scratch(folder: str | None = None) -> Path:
    """
    Let this process work in a store, a database and a cache of its own, and return their folder.

    What is tried there leaves the places of the settings as they are. Only simulated sectors, the same for
    everybody, stay in their cache.

    Parameters
    ----------
    folder
        Where; by default a temporary folder that is removed when the process ends.

    Raises
    ------
    NotebookError
        If there is no room for it.
    """
    simulated = settings().cache.absolute() / "simulation"
    place = Path(folder).absolute() if folder else own_folder()
    link = place / "cache" / "simulation"
    try:
        for needed in (simulated, link.parent):
            needed.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(simulated)
    except OSError as error:
        raise NotebookError(
            f"scratch: {place}: {error}; expected a folder that can be written. Name another one."
        ) from None
    os.environ.update(TASOC_STORE=str(place / "store"), TASOC_CACHE=str(link.parent))
    for name in ("TASOC_DATABASE", "TASOC_SHARED_STORES", "TASOC_SHARED_CACHES"):
        os.environ.pop(name, None)
    settings.cache_clear()
    return place


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """
    Yield an empty folder; it and what is in it are removed when the block ends, or the process does.

    Raises
    ------
    NotebookError
        If there is no room for it.
    """
    try:
        place = tempfile.gettempdir()
        _sweep(Path(place))
        made = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise NotebookError(
            f"temporary files: {error}; expected a folder that takes them. Free space, or set TMPDIR to "
            "another one, and run again."
        ) from None
    with made as name:
        lock = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def _sweep(place: Path) -> None:
    """Remove the folders of processes that are dead; those of other people and of the living stay."""
    for folder in place.glob(f"{_PREFIX}*"):
        # Another process may sweep at the same time.
        with suppress(OSError):
            _remove_if_dead(folder)


def _remove_if_dead(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(lock)
        if found.st_uid == os.getuid() and time.time() - found.st_mtime > _YOUNG_SECONDS:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    finally:
        os.close(lock)
