"""Bytes that are sent: a file on this machine, an object behind a URL, a tar that is made on the way.

Whatever they are, they have a size that is known beforehand and are read in pieces from any byte on, so
one answer serves all of them with ranges, and none is ever held in memory as a whole.
"""

from __future__ import annotations

import os
import tarfile
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import Protocol

from anyio import to_thread

from tasoc_kit.errors import StoreError
from tasoc_kit.storage.folders import Folder
from tasoc_kit.storage.retries import failures, retried

__all__ = ["Content", "FileContent", "Joined", "ObjectContent", "TextContent", "content_of", "tar_of"]

_TAR_BLOCK = 512


class Content(Protocol):
    """Bytes of a known number that can be read from any of them on."""

    size: int

    async def read(self, start: int, length: int) -> bytes | bytearray:
        """Return at least one and at most ``length`` bytes from ``start`` on."""

    def close(self) -> None:
        """Let go of what was opened."""


def _ended(name: object, missing: int) -> StoreError:
    return StoreError(
        f"{name}: it ends {missing} bytes early; expected it as it was written. Ask again, or make it anew."
    )


def _other_size(name: str, found: int, expected: int) -> FileNotFoundError:
    return FileNotFoundError(f"{name} has {found} bytes, not {expected}")


class TextContent:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    async def read(self, start: int, length: int) -> bytes:
        """Return a part of them."""
        return self.data[start : start + length]

    def close(self) -> None:
        """Do nothing."""


class FileContent:
    """
    A file on this machine, which must lie in a folder.

    Parameters
    ----------
    path
        The file.
    inside
        The folder that it must not lead out of, by links or otherwise.
    size
        The bytes that it should have; by default those that it has.

    Raises
    ------
    FileNotFoundError
        If it is no file, lies elsewhere, or is of another size.
    """

    def __init__(self, path: Path, inside: Path, size: int | None = None) -> None:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(inside)) or not real.is_file():
            raise FileNotFoundError(path.name)
        self.name = path.name
        self._real, self._handle = real, -1
        self.size = real.stat().st_size
        if size is not None and size != self.size:
            raise _other_size(path.name, self.size, size)

    async def read(self, start: int, length: int) -> bytearray:
        """Return what the page cache has of it at once; only the disk is waited for, in a thread."""
        if self._handle < 0:
            self._handle = os.open(self._real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        data = bytearray(length)
        try:
            number = os.preadv(self._handle, [data], start, os.RWF_NOWAIT)
        except OSError:
            # It is not in memory, or the file system cannot tell.
            number = await to_thread.run_sync(os.preadv, self._handle, [data], start)
        if not number:
            raise _ended(self.name, self.size - start)
        return data if number == length else data[:number]

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class ObjectContent:
    """An object of a store behind a URL; its size is that of the inventory."""

    def __init__(self, folder: Folder, key: str, size: int) -> None:
        self.folder, self.key, self.size = folder, key, size

    async def read(self, start: int, length: int) -> bytes:
        """Return a range of it, asked for again while the failure of the server may pass."""
        return await to_thread.run_sync(self._range, start, min(start + length, self.size))

    def _range(self, start: int, end: int) -> bytes:
        path = self.folder.path(self.key)
        try:
            data = retried(lambda: bytes(self.folder.fs.cat_file(path, start=start, end=end)), self.key)
        except failures() as error:
            raise StoreError(f"store {self.folder.url}: {self.key}: {error}. Ask again later.") from error
        if not data:
            raise _ended(self.key, end - start)
        return data

    def close(self) -> None:
        """Do nothing: every range is a request of its own."""


def content_of(folder: Folder, key: str, size: int | None = None) -> Content:
    """
    Return a file of a store.

    Raises
    ------
    FileNotFoundError
        If there is none, its name leads out of the store, or it is of another size.
    StoreError
        If the store cannot be reached.
    """
    if folder.local:
        return FileContent(Path(folder.path(key)), Path(folder.root), size)
    found = folder.size(key)
    if found is None:
        raise FileNotFoundError(key)
    if size is not None and found != size:
        raise _other_size(key, found, size)
    return ObjectContent(folder, key, found)


class Joined:
    """Contents one behind the other; each is opened when its turn comes, and one is open at a time."""

    def __init__(self, parts: Iterable[tuple[int, Callable[[], Content]]]) -> None:
        known = [part for part in parts if part[0]]
        self._parts = [opened for _, opened in known]
        self._ends = list(accumulate(size for size, _ in known))
        self.size = self._ends[-1] if known else 0
        self._number = -1
        self._open: Content | None = None

    async def read(self, start: int, length: int) -> bytes | bytearray:
        """Return bytes of as many parts as it takes."""
        pieces: list[bytes | bytearray] = []
        while length and start < self.size:
            data = await self._part_of(start, length)
            pieces.append(data)
            start += len(data)
            length -= len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _part_of(self, start: int, length: int) -> bytes | bytearray:
        number = bisect_right(self._ends, start)
        if number != self._number or self._open is None:
            self.close()
            self._open, self._number = self._parts[number](), number
        begin = self._ends[number - 1] if number else 0
        return await self._open.read(start - begin, min(length, self._ends[number] - start))

    def close(self) -> None:
        """Close the part that is open."""
        if self._open is not None:
            self._open.close()
            self._open = None


def tar_of(files: Iterable[tuple[str, int, Callable[[], Content]]], modified: int) -> Joined:
    """
    Return a tar of files, in their order; the same files and moment give the same bytes wherever they lie.

    Parameters
    ----------
    files
        Name, size and how to open each.
    modified
        When they were made, in whole seconds since 1970.
    """
    parts: list[tuple[int, Callable[[], Content]]] = []
    gap = b""
    for name, size, opened in files:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o644, modified
        head = gap + member.tobuf(tarfile.PAX_FORMAT)
        parts.append((len(head), lambda data=head: TextContent(data)))  # type: ignore[misc]
        parts.append((size, opened))
        gap = bytes(-size % _TAR_BLOCK)
    end = gap + bytes(2 * _TAR_BLOCK)
    return Joined([*parts, (len(end), lambda: TextContent(end))])
