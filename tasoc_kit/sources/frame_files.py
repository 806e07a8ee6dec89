"""Reading the pixels of frames: byte ranges of FITS images into native float32 arrays."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import is_local, local_path, open_bytes
from tasoc_kit.sources.ffi_header import header_row

__all__ = ["FrameFiles", "Windows", "files_of", "in_order", "unread"]

_STORED = np.dtype(">f4")
_ITEM = _STORED.itemsize


class Windows(NamedTuple):
    """The same part of some frames, in open files or in memory."""

    handle: np.ndarray
    """int32 (frame) open file; −1 for a frame in memory."""
    start: np.ndarray
    """int64 (frame) byte of the first pixel of the first row that is wanted."""
    stride: np.ndarray
    """int64 (frame) pixels in a stored row."""
    column: np.ndarray
    """int64 (frame) first column that is wanted."""
    held: np.ndarray
    """float32 (frame, row, column) the frames in memory; of no frame where all are in files."""


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
        if self.is_direct(i, row, column, out.shape):
            # numba takes half a second and 60 MB of everyone who only looks at an index.
            from tasoc_kit.numerics.stored_rows import read_window

            with self.opened(i, row, out.shape[0]) as (handle, start, stride):
                if not read_window(handle, start, stride, column, out):
                    raise unread(str(self.urls[i]))
            return True
        offset, rows, columns = self.place(i)
        height = min(out.shape[0], rows - row)
        width = min(out.shape[1], columns - column)
        if offset < 0 or height <= 0 or width <= 0:
            out.fill(np.nan)
            return False
        if height < out.shape[0] or width < out.shape[1]:
            out.fill(np.nan)
        url, wanted = str(self.urls[i]), height * columns * _ITEM
        data = open_bytes(url).read(offset + row * columns * _ITEM, wanted)
        if len(data) < wanted:
            raise _too_short(url, wanted - len(data))
        stored = np.frombuffer(data, dtype=_STORED).reshape(height, columns)
        out[:height, :width] = stored[:, column : column + width]
        return True

    def is_direct(self, i: int, row: int, column: int, shape: tuple[int, ...]) -> bool:
        """Return True if a local, plain file holds the whole window, so that compiled code reads it."""
        offset, rows, columns = self.place(i)
        inside = row + shape[0] <= rows and column + shape[1] <= columns
        return offset >= 0 and inside and _is_plain(str(self.urls[i]))

    @contextmanager
    def opened(self, i: int, row: int, rows: int) -> Iterator[tuple[int, int, int]]:
        """Open the local file of a frame; give its handle, the byte of a row, and pixels in a row."""
        url = str(self.urls[i])
        offset, _, columns = self.place(i)
        start, stop = (offset + r * columns * _ITEM for r in (row, row + rows))
        try:
            handle = os.open(local_path(url), os.O_RDONLY)
        except OSError as error:
            raise SourceError.for_file(
                url, f"cannot be opened ({error.strerror})", "Check the path."
            ) from None
        try:
            missing = stop - os.fstat(handle).st_size
            if missing > 0:
                raise _too_short(url, missing)
            yield handle, start, columns
        finally:
            os.close(handle)


def unread(url: str) -> SourceError:
    """Return the error for a file that was open and yet did not give its bytes."""
    return SourceError.for_file(url, "cannot be read to its end", "Check the disk, or fetch it again.")


def _is_plain(url: str) -> bool:
    return is_local(url) and not url.endswith(".gz")


def _too_short(url: str, missing: int) -> SourceError:
    return SourceError.for_file(url, f"ends {missing} bytes early", "Index it anew.")


def files_of(frame: Mapping[str, Any], bad: np.ndarray, kind: str) -> FrameFiles:
    """
    Return where the pixels of a table of frames are.

    Parameters
    ----------
    frame
        Variables of a cube, as (dimension, values): ``file``, and offset, rows and columns of the kind.
    bad
        (frame) True where there is nothing to be read.
    kind
        ``file`` for the image, ``err`` for its uncertainty.
    """
    return FrameFiles(
        urls=frame["file"][1],
        offsets=frame[f"{kind}_offset"][1],
        rows=frame[f"{kind}_rows"][1],
        columns=frame[f"{kind}_columns"][1],
        kind=kind,
        usable=~bad,
    )


def in_order(labels: np.ndarray) -> bool:
    """Tell whether labels follow one another without gaps."""
    return bool(np.all(np.diff(labels) == 1))
