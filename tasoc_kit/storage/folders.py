"""Bytes in a folder of any file system: put whole or not at all, listed, sized, removed.

A local file appears under its name by one rename from ``.writing``, which lies beside the
products; an object store shows an object only when its upload has ended. So no reader, and no
run after a kill, ever meets half a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from tasoc_kit.config import settings
from tasoc_kit.errors import OutOfReachError, StoreError
from tasoc_kit.storage.retries import ShortBody, failures, retried
from tasoc_kit.storage.whole_file import whole_file

__all__ = ["SCRATCH", "Folder", "open_options"]

SCRATCH = ".writing"
"""Where locks, journals and files that are not yet whole lie; nothing in it is a product."""

Result = TypeVar("Result")

_AT_ONCE = 16
"""Requests to a server at the same time."""


def open_options(url: str) -> dict[str, Any]:
    """Return what fsspec is told of a store behind a URL: ask each time, and once."""
    options: dict[str, Any] = {"use_listings_cache": False}
    # In parts an object is only read after its size was asked for: twice the requests, and ours are small.
    return options | {"max_concurrency": 1} if url.startswith(("s3://", "s3a://")) else options


class Folder:
    """
    One store, on this machine or behind a URL.

    Parameters
    ----------
    url
        A path, or any URL that fsspec knows. Keys are relative to it and use ``/``.
    """

    def __init__(self, url: str) -> None:
        self.local = "://" not in url or url.startswith("file://")
        options = {} if self.local else open_options(url)
        try:
            self.fs, path = fsspec.url_to_fs(url, **options)
        except (ValueError, ImportError) as error:
            raise StoreError(
                f"store {url!r}: {error}; expected a path or a URL that fsspec opens, as s3://bucket/store. "
                "Correct TASOC_STORE, or install what the URL needs (extra 's3')."
            ) from error
        self.root = path.rstrip("/")
        self.url = self.root if self.local else url.rstrip("/")

    def _done(self, verb: str, key: str, action: Callable[[], Result]) -> Result:
        """Return what an action returns; behind a URL it is tried again while its failure may pass."""
        try:
            return action() if self.local else retried(action, f"{self.url}/{key}")
        except failures() as error:
            raise OutOfReachError(
                f"store {self.url}: {key} could not be {verb}: {error}; expected a place "
                "with room and the rights for it. Free space, or correct the rights or TASOC_STORE, "
                "and run again."
            ) from error

    def reach(self) -> None:
        """
        Do nothing where the store answers.

        Raises
        ------
        OutOfReachError
            If its folder is not there, or its server does not answer.
        """
        if self.local and not Path(self.root).is_dir():
            raise OutOfReachError(
                f"store {self.url}: it is not there; expected a folder. "
                "Bring it back, or correct TASOC_STORE."
            )
        if not self.local:
            self.modified("reach")

    def path(self, key: str) -> str:
        """Return the address of a key as the file system writes it."""
        return f"{self.root}/{key}" if key else self.root

    def each(self, names: Iterable[str], action: Callable[[str], Result]) -> list[Result]:
        """Return what an action returns for each of some names, in order; behind a URL many run at once."""
        if self.local:
            return [action(name) for name in names]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(action, names))

    def put(self, files: Mapping[str, bytes | memoryview], *, scratch: str) -> None:
        """
        Write files, each whole or not at all; what was there before is replaced.

        Parameters
        ----------
        files
            Bytes by key.
        scratch
            Key of the folder for local files that are not yet whole.
        """
        if self.local:
            place = Path(self.path(scratch))
            with ThreadPoolExecutor(min(settings().threads, len(files) or 1)) as threads:
                list(threads.map(lambda key: self._put_local(key, files[key], place), files))
            return
        self.each(files, lambda key: self._put_remote(key, files[key]))

    def _put_remote(self, key: str, data: bytes | memoryview) -> None:
        self._done("written", key, lambda: self.fs.pipe_file(self.path(key), bytes(data)))

    def _put_local(self, key: str, data: bytes | memoryview, scratch: Path) -> None:
        def attempt() -> None:
            with whole_file(Path(self.path(key)), beside=scratch) as part:
                part.write_bytes(data)

        self._done("written", key, attempt)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file that must not exist yet; return False where it does."""

        def attempt() -> bool:
            try:
                self.fs.pipe_file(self.path(key), data, mode="create")
            except FileExistsError:
                # An answer that got lost may have been that to our own first attempt.
                return not self.local and self.fs.cat_file(self.path(key)) == data
            return True

        return self._done("written", key, attempt)

    def get(self, key: str, size: int | None = None) -> bytes | None:
        """
        Return the bytes of a file, or None where there is none.

        Parameters
        ----------
        size
            How many they should be: what ends early behind a URL is read again.
        """

        def attempt() -> bytes | None:
            try:
                data = bytes(self.fs.cat_file(self.path(key)))
            except (FileNotFoundError, NotADirectoryError):
                return None
            if not self.local and size is not None and len(data) < size:
                raise ShortBody(f"{len(data)} of {size} bytes came")
            return data

        return self._done("read", key, attempt)

    def size(self, key: str) -> int | None:
        """Return the size of a file in bytes, or None where there is none."""

        def attempt() -> int | None:
            try:
                return int(self.fs.size(self.path(key)))
            except (FileNotFoundError, NotADirectoryError):
                return None

        return self._done("read", key, attempt)

    def names(self, key: str = "") -> list[str]:
        """Return the names in a folder, sorted; none where it does not exist."""

        def attempt() -> list[str]:
            try:
                # without a question about each entry, which is most of the time of a long list
                return os.listdir(self.path(key)) if self.local else self.fs.ls(self.path(key), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []

        return sorted({path.rstrip("/").rsplit("/", 1)[-1] for path in self._done("listed", key, attempt)})

    def sizes(self, key: str) -> dict[str, int]:
        """Return the size in bytes of every file below a folder, by its key relative to that folder."""
        if self.local:
            return self._done("listed", key, lambda: dict(_walk(self.path(key))))
        found = self._done("listed", key, lambda: self.fs.find(self.path(key), detail=True))
        start = len(self.path(key).lstrip("/")) + 1
        return {path.lstrip("/")[start:]: int(info["size"]) for path, info in found.items()}

    def modified(self, key: str) -> float:
        """Return when a file was written, in seconds since 1970; 0 where there is none."""

        def attempt() -> float:
            try:
                path = self.path(key)
                return os.stat(path).st_mtime if self.local else self.fs.modified(path).timestamp()
            except (FileNotFoundError, NotADirectoryError):
                return 0.0

        return self._done("read", key, attempt)

    def remove(self, key: str) -> None:
        """Remove a file, or a folder and all below it; nothing happens where there is none."""

        def attempt() -> None:
            # What is not there any more has been removed, by us or by another.
            with suppress(FileNotFoundError):
                self.fs.rm(self.path(key), recursive=True)

        self._done("removed", key, attempt)


def _walk(folder: str, below: str = "") -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        name = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{name}/")
        else:
            yield name, entry.stat().st_size
