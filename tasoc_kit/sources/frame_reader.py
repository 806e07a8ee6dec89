"""The quick reader of whole frames: pixels of a cube into arrays of the caller."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import xarray as xr

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.frame_files import FrameFiles, Windows, files_of, in_order, unread
from tasoc_kit.vocabulary import KitQuality

__all__ = ["FrameReader", "open_frames", "read_frames"]

_THREADS = 8
_HELD_BYTES = 2**28
"""Largest cube without files of frames that a reader holds in memory."""


class FrameReader:
    """
    Reads frames of a cube into arrays of the caller, from any thread.

    Frames of files come straight from their bytes, without Dask. The pixels of other cubes are
    computed once and held where they are few, else frame by frame.
    """

    def __init__(self, cube: xr.Dataset) -> None:
        self.cube = cube
        self.shape = (cube.sizes["row"], cube.sizes["column"])
        self.count = 0
        """Frames read so far."""
        self._counting = threading.Lock()
        self._files = {name: self._direct(kind) for name, kind in (("flux", "file"), ("flux_err", "err"))}
        self._held: dict[str, np.ndarray] = {}
        self._origin = tuple(int(cube[name][0]) if cube.sizes[name] else 0 for name in ("row", "column"))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_counting"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _counting=threading.Lock())

    def __len__(self) -> int:
        return int(self.cube.sizes["time"])

    def _direct(self, kind: str) -> FrameFiles | None:
        """Return the files if every frame can be read from one and the labels are without gaps."""
        wanted = {"file", f"{kind}_offset", f"{kind}_rows", f"{kind}_columns"}
        if self.cube.attrs.get("source") != "ffi" or not wanted <= set(self.cube.variables):
            return None
        if not all(self.cube.sizes[name] and in_order(self.cube[name].values) for name in ("row", "column")):
            return None
        table = {name: ("time", np.atleast_1d(self.cube[name].values)) for name in wanted}
        bad = (self.cube["frame_quality"].values & int(KitQuality.NO_DATA)) != 0
        return files_of(table, bad, kind)

    def read(self, i: int, out: np.ndarray) -> None:
        """
        Fill ``out`` with frame ``i``.

        Parameters
        ----------
        out
            Native float32, C-contiguous, of ``shape``; NaN where the frame holds nothing.
        """
        with self._counting:
            self.count += 1
        self._read("flux", i, out)

    def is_direct(self, i: int) -> bool:
        """Return True if the whole of frame ``i`` lies in a local file that is not packed."""
        files = self._files["flux"]
        return files is not None and files.is_direct(i, *self._origin, self.shape)

    @contextmanager
    def windows(self, frames: Sequence[int]) -> Iterator[Windows]:
        """Open frames for compiled code to read row by row; those without such a file are in memory."""
        files, (row, column) = self._files["flux"], self._origin
        direct = [self.is_direct(i) for i in frames]
        with self._counting:
            self.count += len(frames)
        handle, places = np.full(len(frames), -1, np.int32), np.zeros((3, len(frames)), np.int64)
        held = np.empty((0 if all(direct) else len(frames), *self.shape), np.float32)
        with ExitStack() as opened:
            for k, i in enumerate(frames):
                if files is not None and direct[k]:
                    handle[k], *place = opened.enter_context(files.opened(i, row, self.shape[0]))
                    places[:, k] = *place, column
                else:
                    self._read("flux", i, held[k])
            yield Windows(handle, *places, held)

    def unread(self, i: int) -> SourceError:
        """Return the error for frame ``i``, whose window was open and yet did not give its bytes."""
        return unread(str(self.cube["file"].values[i]))

    def read_err(self, i: int, out: np.ndarray) -> None:
        """Fill ``out`` with the uncertainty of frame ``i``; NaN where there is none."""
        if "flux_err" in self.cube:
            self._read("flux_err", i, out)
        else:
            out.fill(np.nan)

    def _read(self, name: str, i: int, out: np.ndarray) -> None:
        files = self._files[name]
        if files is not None:
            files.read(i, *self._origin, out)
        elif self.cube[name].nbytes > _HELD_BYTES:
            out[...] = self.cube[name][i].values
        else:
            out[...] = self._all(name)[i]

    def _all(self, name: str) -> np.ndarray:
        with self._counting:
            if name not in self._held:
                self._held[name] = np.asarray(self.cube[name].values, dtype=np.float32)
        return self._held[name]


def open_frames(cube: xr.Dataset) -> FrameReader:
    """Return the quick reader of a cube's frames."""
    return FrameReader(cube)


def read_frames(cube: xr.Dataset, names: Sequence[str] = ("flux",)) -> dict[str, np.ndarray]:
    """
    Return the pixels of a small cube in memory, by name, each (time, row, column).

    Of a file, only the rows of the cube are read. Dask does so for one selection of a lazy cube; of the
    second it reads what the first one left.

    Parameters
    ----------
    names
        ``flux``, ``flux_err``; NaN where there is none.
    """
    reader = open_frames(cube)
    read = {"flux": reader.read, "flux_err": reader.read_err}
    pixels = {name: np.empty((len(reader), *reader.shape), np.float32) for name in names}
    with ThreadPoolExecutor(_THREADS) as threads:
        for name, out in pixels.items():
            list(threads.map(read[name], range(len(reader)), out))
    return pixels
