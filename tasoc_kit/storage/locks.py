"""One writer at a time, and its name for the next one.

On a local disk a lock is a file lock of the kernel: it dies with its process, however that
dies. Behind a URL it is a lease: an object that its holder renews, and that another run may
supersede once it has expired or, on the same host, once its process is gone. Products have the
same bytes whoever writes them, so a lease lost in a long pause costs work, never a product.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasoc_kit.errors import StoreError
from tasoc_kit.storage.folders import SCRATCH, Folder

__all__ = ["LEASE_SECONDS", "hold"]

LEASE_SECONDS = 60.0
"""A lease that was not renewed for so long belongs to a run that is dead."""

_POLL_SECONDS = 0.1
_log = logging.getLogger(__name__)


def _me() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _holder(text: bytes | None) -> str:
    """Return ``process 12 on host`` from what a lock says."""
    try:
        who = json.loads(text or b"{}")
        return f"process {who['pid']} on {who['host']}"
    except (ValueError, KeyError):
        return "a process that has just started"


@contextmanager
def hold(store: Folder | str, name: str, *, wait: float = 0.0) -> Iterator[None]:
    """
    Hold a lock while the body runs.

    Parameters
    ----------
    store
        The store that the lock belongs to.
    name
        What is locked, as words with ``/`` between them.
    wait
        Seconds to wait for a holder to end; ``float("inf")`` waits for ever.

    Raises
    ------
    StoreError
        If another run holds it; the message names its process and host.
    """
    folder = store if isinstance(store, Folder) else Folder(store)
    attempt = _try_local if folder.local else _try_lease
    deadline = time.monotonic() + wait
    told = False
    while True:
        release, holder = attempt(folder, name)
        if release is not None:
            break
        if time.monotonic() >= deadline:
            raise StoreError(
                f"store {folder.url}: {name} is being written by {holder}; expected one writer at a time. "
                "Wait until it ends, or stop that process, and run again."
            )
        if not told:
            _log.info("waiting for %s, held by %s", name, holder)
            told = True
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        release()


_Attempt = tuple[Callable[[], None] | None, str]


def _try_local(folder: Folder, name: str) -> _Attempt:
    """Take the kernel's lock on a file, or say who has it."""
    path = Path(folder.path(f"{SCRATCH}/{name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _not_writable(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _same_file(descriptor, path):
            os.close(descriptor)
            return None, "a run that has just ended"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_me()).encode(), 0)
    except BlockingIOError:
        holder = _holder(os.pread(descriptor, 4096, 0))
        os.close(descriptor)
        return None, holder
    except OSError as error:
        os.close(descriptor)
        raise _not_writable(folder, error) from error

    def release() -> None:
        path.unlink(missing_ok=True)
        os.close(descriptor)

    return release, ""


def _not_writable(folder: Folder, error: OSError) -> StoreError:
    return StoreError(
        f"store {folder.url}: not writable: {error}; expected a folder with room and the rights to write. "
        "Free space, or correct the rights or TASOC_STORE, and run again."
    )


def _same_file(descriptor: int, path: Path) -> bool:
    """Tell whether the locked file is still the one under its name: its last holder removes it."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _try_lease(folder: Folder, name: str) -> _Attempt:
    """Take the next generation of a lease when the newest one has expired, or say who has it."""
    place = f"{SCRATCH}/{name}.lease"
    generations = folder.names(place)
    if generations:
        newest = folder.get(f"{place}/{generations[-1]}")
        if _alive(newest):
            return None, _holder(newest)
    number = int(generations[-1]) + 1 if generations else 0
    mine = f"{place}/{number:08d}"
    if not folder.create(mine, _lease()):
        return None, "a process that has just started"
    if folder.names(place)[-1] != mine.rsplit("/", 1)[-1]:
        folder.remove(mine)
        return None, "a process that has just started"
    return _renewed(folder, place, mine, generations), ""


def _alive(lease: bytes | None) -> bool:
    """Tell whether a lease has not expired; one of this host ends with its process."""
    try:
        who = json.loads(lease or b"{}")
        expired = float(who["expires"]) <= time.time()
        here = who["host"] == socket.gethostname()
    except (ValueError, KeyError):
        return False
    return not expired and not (here and not Path(f"/proc/{who['pid']}").exists())


def _lease() -> bytes:
    return json.dumps(_me() | {"expires": time.time() + LEASE_SECONDS}).encode()


def _renewed(folder: Folder, place: str, mine: str, older: list[str]) -> Callable[[], None]:
    """Renew a lease from a thread until the returned function is called."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE_SECONDS / 4):
            try:
                folder.put({mine: _lease()}, scratch=place)
            except StoreError as error:
                _log.warning("a lease could not be renewed: %s", error)

    thread = threading.Thread(target=renew, name="tasoc-lease", daemon=True)
    thread.start()

    def release() -> None:
        ended.set()
        thread.join()
        try:
            for generation in older:
                folder.remove(f"{place}/{generation}")
            folder.remove(mine)
        except StoreError as error:
            # It expires; what was done under it stays done, and why it failed is not hidden by this.
            _log.warning("a lease stays for %g s: %s", LEASE_SECONDS, error)

    return release
