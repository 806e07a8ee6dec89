"""Bytes of a file by range, wherever it is: a disk, a gzip file, S3 or an HTTP server.

Every reader of pixels and headers goes through :func:`open_bytes`, so a format is written
once and works for all places. Credentials are those of fsspec and of the environment;
the buckets in ``PUBLIC_BUCKETS`` are read without any.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import fsspec

from tasoc_kit.errors import SourceError, install_line
from tasoc_kit.storage.retries import ShortBody, failures, retried

__all__ = [
    "PUBLIC_BUCKETS",
    "ByteSource",
    "file_name",
    "filesystem",
    "is_local",
    "list_files",
    "local_path",
    "open_bytes",
    "read_all",
]

Result = TypeVar("Result")

PUBLIC_BUCKETS = ("stpubdata",)
"""Buckets of open data that answer without credentials."""


_SILENT_SECONDS = 15.0


class ByteSource(Protocol):
    """A file that can be read from any byte on."""

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start`` on; −1 is all that there are."""

    def size(self) -> int:
        """Return the number of bytes; −1 where only reading to the end would tell."""


def is_local(url: str | os.PathLike[str]) -> bool:
    """Return True for a path on this machine."""
    text = os.fspath(url)
    return "://" not in text or text.startswith("file://")


def local_path(url: str | os.PathLike[str]) -> Path:
    """Return a local URL as a path."""
    return Path(os.fspath(url).removeprefix("file://")).expanduser()


def file_name(url: str) -> str:
    """Return the last part of a path or URL."""
    return url.rstrip("/").rsplit("/", 1)[-1]


def filesystem(url: str) -> fsspec.AbstractFileSystem:
    """
    Return the fsspec filesystem of a URL.

    Raises
    ------
    SourceError
        If there is no such scheme, or the library for it is not installed.
    """
    scheme, _, rest = url.partition("://")
    options: dict[str, Any] = {}
    if scheme == "s3" and rest.partition("/")[0] in PUBLIC_BUCKETS:
        options = {"anon": True}
    elif scheme in ("http", "https"):
        options = {"client_kwargs": {"timeout": _silence()}}
    try:
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise SourceError(
            f"{url}: {scheme}:// needs a library that is not installed ({error}). "
            f"Install it; for S3: {install_line('s3')}."
        ) from None
    except ValueError as error:
        raise SourceError(
            f"{url}: unknown scheme ({error}); expected a path, s3:// or https://. Correct the address."
        ) from None


@lru_cache(maxsize=1)
def _silence() -> Any:
    """Return how long a web server may be silent; a long transfer that goes on is none."""
    from aiohttp import ClientTimeout

    return ClientTimeout(total=None, sock_connect=_SILENT_SECONDS, sock_read=_SILENT_SECONDS)


class _LocalFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, start: int, length: int) -> bytes:
        handle = os.open(self.path, os.O_RDONLY)
        try:
            return os.pread(handle, length, start)
        finally:
            os.close(handle)

    def size(self) -> int:
        return self.path.stat().st_size


class _RemoteFile:
    def __init__(self, url: str) -> None:
        self.url, self.files = url, filesystem(url)
        self._size: int | None = None

    def read(self, start: int, length: int) -> bytes:
        if length < 0:
            return retried(lambda: bytes(self.files.cat_file(self.url)), self.url)[start:]
        if self._size is not None and 0 <= self._size <= start:
            return b""
        return retried(lambda: self._range(start, length), self.url)

    def _range(self, start: int, length: int) -> bytes:
        data = bytes(self.files.cat_file(self.url, start=start, end=start + length))
        if len(data) > length:
            # A server that passes over the range sends the whole file.
            data = data[start : start + length]
        if len(data) < length:
            size = self.size()
            missing = min(length, size - start) - len(data)
            if size >= 0 and missing > 0:
                raise ShortBody(f"{missing} of {len(data) + missing} bytes from byte {start} on did not come")
        return data

    def size(self) -> int:
        if self._size is None:
            told = retried(self._ask_size, self.url)
            self._size = -1 if told is None else int(told)
        return self._size

    def _ask_size(self) -> int | None:
        try:
            return self.files.size(self.url)
        except FileNotFoundError as error:
            # For fsspec a web server that does not answer has no such file either.
            cause = error.__cause__
            if isinstance(cause, failures()) and getattr(cause, "status", 0) != 404:
                raise cause from None
            raise


class _GzipFile:
    """A compressed file, unpacked from its beginning on every read."""

    def __init__(self, url: str) -> None:
        self.url = url

    def read(self, start: int, length: int) -> bytes:
        if is_local(self.url):
            return self._unpack(start, length)
        return retried(lambda: self._unpack(start, length), self.url)

    def _unpack(self, start: int, length: int) -> bytes:
        opened = (
            open(local_path(self.url), "rb")
            if is_local(self.url)
            else filesystem(self.url).open(self.url, "rb")
        )
        with opened as packed, gzip.GzipFile(fileobj=packed) as unpacked:
            unpacked.seek(start)
            return unpacked.read(length)

    def size(self) -> int:
        return -1


class _Named:
    """Words the failures of a source with the name of its file."""

    def __init__(self, url: str, source: ByteSource) -> None:
        self.url, self.source = url, source

    def read(self, start: int, length: int) -> bytes:
        return self._told(lambda: self.source.read(start, length))

    def size(self) -> int:
        return self._told(self.source.size)

    def _told(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except FileNotFoundError:
            problem, advice = "there is no such file", "Check the path."
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            problem, advice = f"damaged gzip data ({error})", "Fetch the file again."
        except failures() as error:
            problem, advice = f"cannot be read ({error})", "Check the permissions and the connection."
        raise SourceError.for_file(self.url, problem, advice)


def open_bytes(url: str | os.PathLike[str]) -> ByteSource:
    """
    Return a reader of byte ranges; nothing is opened before the first read.

    Names that end in ``.gz`` are unpacked on the way. Failures are SourceErrors with the name
    of the file.
    """
    text = os.fspath(url)
    if text.endswith(".gz"):
        return _Named(text, _GzipFile(text))
    if is_local(text):
        return _Named(text, _LocalFile(local_path(text)))
    return _Named(text, _RemoteFile(text))


def read_all(url: str | os.PathLike[str]) -> bytes:
    """Return the whole content of a file."""
    source = open_bytes(url)
    return source.read(0, source.size())


def _local_files(path: Path, endings: tuple[str, ...]) -> list[str]:
    if path.is_dir():
        found = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
        return sorted(str(file) for file in found if file.name.endswith(endings))
    if any(mark in path.name for mark in "*?["):
        return sorted(str(file) for file in path.parent.glob(path.name))
    return [str(path)] if path.exists() else []


def _remote_files(url: str, endings: tuple[str, ...]) -> list[str]:
    files = filesystem(url)
    files.invalidate_cache()
    scheme = url.partition("://")[0]
    if any(mark in url for mark in "*?["):
        found = files.glob(url)
    elif url.endswith(endings):
        return [url]
    else:
        found = [name for name in files.find(url) if name.endswith(endings)]
    return sorted(name if "://" in name else f"{scheme}://{name}" for name in found)


def list_files(
    where: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    endings: tuple[str, ...] = (".fits", ".fits.gz"),
) -> list[str]:
    """
    Return the files that a folder, a glob, one name or a list of names stands for, sorted.

    Folders are walked to the bottom. An empty list means that nothing is there.
    """
    if not isinstance(where, str | os.PathLike):
        return sorted(os.fspath(name) for name in where)
    text = os.fspath(where)
    if not text:
        raise SourceError("source: no path was given; expected a file, a folder or a URL. Give one.")
    try:
        return _local_files(local_path(text), endings) if is_local(text) else _remote_files(text, endings)
    except FileNotFoundError:
        return []
    except failures() as error:
        raise SourceError.for_file(
            text, f"cannot be listed ({error})", "Check the address and the permissions."
        ) from None
