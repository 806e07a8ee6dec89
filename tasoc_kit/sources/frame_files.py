"""Reading the pixels of frames: byte ranges of FITS images into native float32 arrays."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import is_local, local_path, open_bytes
from tasoc_kit.sources.ffi_header import header_row

__all__ = ["FrameFiles"]

_STORED = np.dtype(">f4")
_ITEM = _STORED.itemsize
STRIP_BYTES = 1 << 19
"""Read at once from a local file: what is swapped into native order is then still in the cache."""


@dataclass
class FrameFiles:
    """Where the pixels of one variable of a cube are, frame by frame."""

    urls: np.ndarray
    offsets: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    kind: str = "file"
    """``file`` for the image, ``err`` for its uncertainty."""
    usable: np.ndarray | None = None
    _resolved: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    _local: threading.local = field(default_factory=threading.local)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _local=threading.local())

    def place(self, i: int) -> tuple[int, int, int]:
        """Return (offset, rows, columns) of a frame; the header is read once where the index lacks them."""
        if self.usable is not None and not self.usable[i]:
            return -1, 0, 0
        if self.rows[i] >= 0 or self.urls[i] == "":
            return int(self.offsets[i]), int(self.rows[i]), int(self.columns[i])
        if i not in self._resolved:
            self._resolved[i] = self._ask_header(i)
        return self._resolved[i]

    def _ask_header(self, i: int) -> tuple[int, int, int]:
        """Read where the pixels are; a file that is no FFI is NaN, one out of reach is an error."""
        url = str(self.urls[i])
        open_bytes(url).read(0, 1)
        row = header_row(url)
        if row["problem"]:
            warnings.warn(f"{url}: {row['problem']}; its pixels are NaN.", stacklevel=4)
            return -1, 0, 0
        return row[f"{self.kind}_offset"], row[f"{self.kind}_rows"], row[f"{self.kind}_columns"]

    def read(self, i: int, row: int, column: int, out: np.ndarray) -> bool:
        """
        Fill ``out`` with the window of frame ``i`` whose lower left label is (row, column).

        Parameters
        ----------
        out
            Native float32 array (rows, columns), contiguous; NaN where the file holds nothing.

        Returns
        -------
        True if any pixel came from the file.
        """
        offset, rows, columns = self.place(i)
        height = min(out.shape[0], rows - row)
        width = min(out.shape[1], columns - column)
        if offset < 0 or height <= 0 or width <= 0:
            out.fill(np.nan)
            return False
        if height < out.shape[0] or width < out.shape[1]:
            out.fill(np.nan)
        start = offset + row * columns * _ITEM
        for top, stored in self._strips(str(self.urls[i]), start, height, columns):
            np.copyto(out[top : top + len(stored), :width], stored[:, column : column + width])
        return True

    def _strips(self, url: str, start: int, rows: int, columns: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the stored rows in strips, each with its first row; the next one overwrites it."""
        if not is_local(url) or url.endswith(".gz"):
            data = open_bytes(url).read(start, rows * columns * _ITEM)
            if len(data) < rows * columns * _ITEM:
                missing = rows * columns * _ITEM - len(data)
                raise SourceError.for_file(url, f"ends {missing} bytes early", "Index it anew.")
            yield 0, np.frombuffer(data, dtype=_STORED).reshape(rows, columns)
            return
        try:
            handle = os.open(local_path(url), os.O_RDONLY)
        except OSError as error:
            raise SourceError.for_file(
                url, f"cannot be opened ({error.strerror})", "Check the path."
            ) from None
        try:
            height = max(1, STRIP_BYTES // (columns * _ITEM))
            for top in range(0, rows, height):
                count = min(height, rows - top)
                buffer = self._buffer(count * columns)
                _read_fully(handle, memoryview(buffer).cast("B"), start + top * columns * _ITEM, url)
                yield top, buffer.reshape(count, columns)
        finally:
            os.close(handle)

    def _buffer(self, count: int) -> np.ndarray:
        """Return the buffer of this thread: pages that were touched once are not faulted in again."""
        held = getattr(self._local, "buffer", None)
        if held is None or held.size < count:
            held = self._local.buffer = np.empty(count, dtype=_STORED)
        return held[:count]

    def prefetch(self, i: int) -> None:
        """Ask the kernel to read a local frame ahead."""
        url = str(self.urls[i])
        offset, rows, columns = self.place(i)
        if offset < 0 or not is_local(url) or url.endswith(".gz"):
            return
        try:
            handle = os.open(local_path(url), os.O_RDONLY)
        except OSError:
            return
        try:
            os.posix_fadvise(handle, offset, rows * columns * _ITEM, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(handle)


def _read_fully(handle: int, view: memoryview, start: int, url: str) -> None:
    done = 0
    while done < len(view):
        got = os.preadv(handle, [view[done:]], start + done)
        if got == 0:
            raise SourceError.for_file(url, f"ends {len(view) - done} bytes early", "Index it anew.")
        done += got
