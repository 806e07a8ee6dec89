"""The series of single stars, straight from the bytes of a product.

A star is a few hundred bytes in every block of cadences, but Zarr decodes whole chunks of thousands of
stars. Fluxes are stored as they are, without compression, so a series can be read where it lies; what
is compressed, or lies behind a URL, is decoded chunk by chunk and kept for the next star.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec, ShardingCodec

from tasoc_kit.errors import StoreError
from tasoc_kit.storage.folders import Folder
from tasoc_kit.storage.inventory import DATA
from tasoc_kit.storage.remote import data_of
from tasoc_kit.storage.units import ProductRef

__all__ = ["StarRows"]

KEPT_BYTES = 2**27
"""Decoded chunks that all products together hold in memory."""
_ENTRY, _CHECKSUM = 16, 4
"""Bytes of one chunk's place in the index of a file, and of what follows the index."""


class _Decoded:
    """Decoded chunks, the last used ones, up to some bytes."""

    def __init__(self, most: int) -> None:
        self.most, self._bytes = most, 0
        self._kept: OrderedDict[Any, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> np.ndarray | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Any, values: np.ndarray) -> None:
        with self._lock:
            if key not in self._kept and values.nbytes <= self.most // 2:
                self._kept[key] = values
                self._bytes += values.nbytes
            while self._bytes > self.most:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes


_decoded = _Decoded(KEPT_BYTES)


class StarRows:
    """
    The (star, time) variables of one product.

    Parameters
    ----------
    ref
        The product.

    Raises
    ------
    StoreError
        If files of it are gone; when a series is read.
    """

    def __init__(self, ref: ProductRef) -> None:
        self.ref, folder = ref, Folder(ref.store)
        self._folder = Path(folder.path(f"{ref.key}/{DATA}")) if folder.local else None
        self._group = zarr.open_group(data_of(ref), mode="r")
        self._arrays: dict[str, Any] = {}
        self._places: dict[tuple[str, int], np.ndarray] = {}

    def read(self, name: str, star: int) -> np.ndarray:
        """Return the series (time) of a star."""
        try:
            array = self._array(name)
            return (
                self._direct(name, array, star) if _is_plain(array, self._folder) else self._row(name, star)
            )
        except FileNotFoundError as error:
            raise StoreError(
                f"store {self.ref.store}: {self.ref.key}: {error.filename or name} is gone; expected the product "
                "whole. It may have been pruned: ask for the star again."
            ) from None

    def _array(self, name: str) -> Any:
        if name not in self._arrays:
            self._arrays[name] = self._group[name]
        return self._arrays[name]

    def _direct(self, name: str, array: Any, star: int) -> np.ndarray:
        """Return a series from its places in the files, one for each block of cadences."""
        assert self._folder is not None
        stars, cadences = array.chunks
        length = array.shape[1]
        out = np.empty(-(-length // cadences) * cadences, array.dtype)
        size = cadences * array.dtype.itemsize
        for number in range(-(-length // cadences)):
            handle = os.open(self._folder / name / "c" / "0" / str(number), os.O_RDONLY)
            try:
                start = self._place(name, array, number, star // stars, handle) + star % stars * size
                part = os.pread(handle, size, start)
            finally:
                os.close(handle)
            out[number * cadences :][:cadences] = np.frombuffer(part, array.dtype)
        return out[:length]

    def _place(self, name: str, array: Any, number: int, chunk: int, handle: int) -> int:
        """Return where a chunk of stars begins in the file of a block."""
        if array.shards is None:
            return 0
        key = name, number
        if key not in self._places:
            chunks = array.shards[0] // array.chunks[0]
            index = os.pread(handle, chunks * _ENTRY, os.fstat(handle).st_size - _CHECKSUM - chunks * _ENTRY)
            self._places[key] = np.frombuffer(index, "<u8").reshape(-1, 2)[:, 0].astype(np.int64)
        return int(self._places[key][chunk])

    def _row(self, name: str, star: int) -> np.ndarray:
        """Return a series from the decoded chunk of its star."""
        array = self._array(name)
        stars = array.chunks[0]
        key = self.ref, name, star // stars
        values = _decoded.get(key)
        if values is None:
            first = star // stars * stars
            values = np.asarray(array[first : first + stars])
            _decoded.put(key, values)
        return values[star % stars].copy()


def _is_plain(array: Any, folder: Path | None) -> bool:
    """Tell whether the bytes of an array are its numbers, in files whose layout is that of the encoder."""
    if folder is None or array.ndim != 2 or not array.dtype.isnative:
        return False
    codecs = array.metadata.codecs
    if array.shards is None:
        return len(codecs) == 1 and isinstance(codecs[0], BytesCodec) and array.chunks[0] >= array.shape[0]
    (sharding,) = codecs
    inside = isinstance(sharding, ShardingCodec) and [type(codec) for codec in sharding.codecs] == [
        BytesCodec
    ]
    one_wide = array.shards[0] >= array.shape[0] and array.shards[1] == array.chunks[1]
    return bool(inside and one_wide and sharding.index_location.value == "end")
