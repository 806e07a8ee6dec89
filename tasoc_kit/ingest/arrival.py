"""A raw file while it comes in: it grows where no reader looks, and is gone unless it is claimed.

What a killed server leaves is swept when the next one starts: a part belongs to a process for as long as
that holds the lock of the kernel on it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import unicodedata
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import is_local, local_path
from tasoc_kit.sources.fits_check import kind_of_bytes

__all__ = ["INCOMING", "Arrival", "NoRoom", "WrongKind", "check_room", "data_folder", "safe_name", "sweep"]

INCOMING = "incoming"
"""Folder below that of raw files in which parts grow."""

_PART = ".part-"
_PLAIN = ".plain"
_RESERVE = 256 * 2**20
"""Bytes of the disk that are left to others."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST_NAME = 200
_ENDINGS = (".fits", ".fits.gz")
_SNIFFED = 16


class WrongKind(SourceError):
    """A file of a kind that is not taken, whatever is in it."""


class NoRoom(SourceError):
    """A disk that has no room for a file."""


def data_folder() -> Path:
    """
    Return the folder of raw files.

    Raises
    ------
    SourceError
        If it is behind a URL.
    """
    if not is_local(settings().data):
        raise SourceError(
            f"inject: TASOC_DATA is {settings().data}; expected a folder on this machine. Correct it."
        )
    return local_path(settings().data).absolute()


def safe_name(name: str) -> str:
    """
    Return the name that a file has on the disk: that which it came with, without what a shell would mind.

    Raises
    ------
    SourceError
        If it is no plain name.
    WrongKind
        If it does not end as a FITS file.
    """
    plain = unicodedata.normalize("NFC", name)
    if len(plain.encode("utf-8", "replace")) > _LONGEST_NAME:
        raise SourceError(
            f"inject: the name {plain[:40]!r}… has {len(plain)} characters; expected at most "
            f"{_LONGEST_NAME} bytes. Give it a shorter one."
        )
    hidden = any(unicodedata.category(letter).startswith("C") for letter in plain)
    if hidden or "/" in plain or "\\" in plain or not plain.strip(". "):
        raise SourceError(
            f"inject: {plain!r} is no name of a file; expected one without folders and control characters, "
            "as tess…_ffic.fits. Give the last part of its path."
        )
    ending = next((ending for ending in reversed(_ENDINGS) if plain.lower().endswith(ending)), "")
    if not ending:
        raise WrongKind(
            f"inject: {plain!r} does not end in .fits or .fits.gz; expected a FITS file, plain or with gzip. "
            "Give it its name, or unpack it first."
        )
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", plain[: -len(ending)]).lstrip(".-")
    if not stem:
        raise SourceError(f"inject: {plain!r} is no name; expected something before {ending}. Give it one.")
    return f"{stem}{ending}"


def check_room(folder: Path, length: int) -> None:
    """
    Refuse what the disk would not take.

    Raises
    ------
    NoRoom
        With the bytes that are to come and those that are free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if length + _RESERVE > free:
        raise NoRoom(
            f"inject: {length} bytes are to come and {free} are free on the disk of raw files, of which "
            f"{_RESERVE} stay free; expected room. Free space, and send it again."
        )


class Arrival:
    """
    One file that comes in; as a context, it leaves nothing that was not claimed.

    Parameters
    ----------
    data
        Folder of raw files.

    Raises
    ------
    NoRoom
        If the disk does not take it.
    """

    def __init__(self, data: Path) -> None:
        self.size = 0
        self._start, self._hash = b"", hashlib.sha256()
        try:
            self.path, self._handle = _begin(data / INCOMING)
        except OSError as error:
            raise _refused(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What cannot be removed now is swept when a server starts.
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.plain.unlink(missing_ok=True)
        os.close(self._handle)

    @property
    def plain(self) -> Path:
        """Where it is unpacked while it is checked, if it has to be."""
        return self.path.with_name(self.path.name + _PLAIN)

    @property
    def sha256(self) -> str:
        """SHA-256 of what came."""
        return self._hash.hexdigest()

    def write(self, data: bytes | bytearray) -> None:
        """
        Append bytes.

        Raises
        ------
        WrongKind
            As soon as they cannot be those of a FITS file.
        NoRoom
            If the disk does not take them.
        """
        if len(self._start) < _SNIFFED:
            self._start += data[: _SNIFFED - len(self._start)]
            if len(self._start) == _SNIFFED:
                self.check_kind()
        self._hash.update(data)
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._handle, left) :]
        except OSError as error:
            raise _refused(error) from error
        self.size += len(data)

    def check_kind(self) -> None:
        """Raise WrongKind unless it begins as a FITS file, plain or compressed."""
        kind = kind_of_bytes(self._start)
        if kind:
            raise WrongKind(
                f"inject: the file is {kind}; expected a FITS file, plain or compressed with gzip. "
                "Check what was sent."
            )

    def sync(self) -> None:
        """Bring what came to the disk."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise _refused(error) from error


def _begin(folder: Path) -> tuple[Path, int]:
    """Return a new part and its handle, locked."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        path = folder / f"{_PART}{uuid.uuid4().hex}"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return path, handle
        # A sweep came between: it took the part for one that nobody holds.
        os.close(handle)


def _refused(error: OSError) -> SourceError:
    if error.errno in _FULL:
        return NoRoom(f"inject: the disk of raw files is full ({error.strerror}). Free space; send it again.")
    return SourceError(
        f"inject: the folder of raw files cannot be written ({error.strerror}); expected the right to. "
        "Correct TASOC_DATA or its rights."
    )


def sweep(data: Path) -> int:
    """Remove the parts that belong to no process any more; return how many files went."""
    number = 0
    for part in sorted((data / INCOMING).glob(f"{_PART}*")):
        owner = part.with_name(part.name.removesuffix(_PLAIN))
        if not _is_held(owner):
            part.unlink(missing_ok=True)
            number += 1
    return number


def _is_held(part: Path) -> bool:
    try:
        handle = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
