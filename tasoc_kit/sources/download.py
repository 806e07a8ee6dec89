"""Files of an archive onto a disk: resumed where they were left, verified, shown only when whole.

A file grows under a name of its own, which holds its checksum, so what was fetched of one version is
never continued with another. It gets its name by one rename, after its size and its checksum were
found right: the one that the archive tells, else those in its FITS headers.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.archive import ArchiveFile
from tasoc_kit.sources.byte_source import open_bytes

__all__ = ["Fetched", "check_room", "download", "fits_problem", "missing_files"]

_RANGE = 4 * 2**20
"""Bytes that are asked for at a time, and lost when a run is killed."""
_ROOM = 1.02
"""Room that is wanted for each byte to come."""
_ATTEMPTS = 2


class Fetched:
    """How many files and bytes came, and what went wrong with which."""

    def __init__(self) -> None:
        self.files, self.bytes = 0, 0
        self.problems: dict[str, str] = {}


def missing_files(files: Sequence[ArchiveFile], folder: Path, *, verify: bool = False) -> list[ArchiveFile]:
    """Return the files that are not there with their size or, if asked, with their checksum."""
    return [file for file in files if not _is_there(file, folder / file.key, verify)]


def _is_there(file: ArchiveFile, path: Path, verify: bool) -> bool:
    try:
        whole = path.stat().st_size == file.size
    except FileNotFoundError:
        return False
    return whole and not (verify and _damage(file, path))


def _part(file: ArchiveFile, folder: Path) -> Path:
    path = folder / file.key
    return path.with_name(f"{path.name}.{file.md5[:8] or file.size}.part")


def check_room(files: Sequence[ArchiveFile], folder: Path) -> int:
    """
    Return the bytes that are still to come.

    Raises
    ------
    SourceError
        If the disk has not the room for them.
    """
    there = (part.stat().st_size for part in (_part(file, folder) for file in files) if part.exists())
    left = sum(file.size for file in files) - sum(there)
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if left * _ROOM > free:
        raise SourceError(
            f"{folder}: {left / 1e9:.1f} GB are to come and {free / 1e9:.1f} GB are free; expected room for "
            "all. Ask for fewer cadences, or give another folder with --to."
        )
    return left


def fits_problem(path: str | os.PathLike[str]) -> str:
    """Return what is wrong with a FITS file by its own checksums; empty where nothing is, or it has none."""
    from astropy.io import fits

    from tasoc_kit.sources.fits_errors import UNREADABLE

    try:
        with fits.open(path, memmap=True) as units:
            for number, unit in enumerate(units):
                if unit.verify_datasum() == 0:
                    return f"HDU {number} does not have its DATASUM"
                if unit.verify_checksum() == 0:
                    return f"HDU {number} does not have its CHECKSUM"
    except UNREADABLE as error:
        return f"no FITS file ({error})"
    return ""


def _damage(file: ArchiveFile, path: Path) -> str:
    """Return what is wrong with the bytes of a file that has its size."""
    if not file.md5:
        return fits_problem(path)
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "md5").hexdigest()
    return "" if found == file.md5 else f"its MD5 is {found}, the archive says {file.md5}"


def download(
    files: Sequence[ArchiveFile],
    folder: Path,
    *,
    at_once: int = 4,
    progress: Callable[[int], None] = lambda number: None,
) -> Fetched:
    """
    Fetch files; one that fails keeps no other from coming.

    Parameters
    ----------
    files
        What is fetched.
    folder
        Where ``s0001/1-2/…`` goes.
    at_once
        Files that are fetched at the same time.
    progress
        Told the bytes that came, or were there already.
    """
    fetched, stop = Fetched(), threading.Event()
    pool = ThreadPoolExecutor(at_once, "fetch")
    waiting = {pool.submit(_fetch, file, folder, stop, progress): file for file in files}
    try:
        for future in as_completed(waiting):
            file = waiting[future]
            try:
                fetched.bytes += future.result()
                fetched.files += 1
            except SourceError as error:
                fetched.problems[file.name] = str(error)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return fetched


def _fetch(file: ArchiveFile, folder: Path, stop: threading.Event, progress: Callable[[int], None]) -> int:
    """Fetch one file and return the bytes that came."""
    path, part = folder / file.key, _part(file, folder)
    came = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_ATTEMPTS):
            with part.open("ab") as out:
                _hold(file, out, part)
                progress(out.tell())
                for number in _grow(file, out, stop):
                    came += number
                    progress(number)
                problem = _damage(file, part)
                if not problem:
                    part.replace(path)
                    return came
                part.unlink()
            progress(-file.size)
    except OSError as error:
        raise SourceError.for_file(
            path, f"cannot be written ({error})", "Free space or correct the rights, and fetch again."
        ) from error
    raise SourceError.for_file(
        file.url,
        f"it came {_ATTEMPTS} times with other bytes than it should have: {problem}",
        "Nothing of it was kept. Fetch again later, or from another --source.",
    )


def _hold(file: ArchiveFile, out: IO[bytes], part: Path) -> None:
    """Lock a part for this process: two that append to one would each add what the other has."""
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = part.exists() and part.stat().st_ino == os.fstat(out.fileno()).st_ino
    except BlockingIOError:
        alone = False
    if not alone:
        raise SourceError.for_file(
            file.url, f"another process is fetching it into {part}", "Wait until it ends, or stop it."
        )
    # Another one may have added to it since it was opened.
    out.seek(0, os.SEEK_END)


def _grow(file: ArchiveFile, out: IO[bytes], stop: threading.Event) -> Iterator[int]:
    """Append to a part until it has the size of its file; yield the bytes that each step brought."""
    source = open_bytes(file.url)
    while out.tell() < file.size:
        if stop.is_set():
            raise SourceError.for_file(file.url, "stopped", "Fetch again: it goes on from there.")
        data = source.read(out.tell(), min(_RANGE, file.size - out.tell()))
        if not data:
            raise SourceError.for_file(
                file.url, f"it ends {file.size - out.tell()} bytes early", "Fetch again later."
            )
        out.write(data)
        out.flush()
        yield len(data)
