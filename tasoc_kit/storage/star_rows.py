"""The series of single stars, straight from the bytes of a product.

A star is a few hundred bytes in every block of cadences, but Zarr decodes whole chunks of thousands of
stars. Fluxes are stored as they are, without compression, so a series can be read where it lies; what
is compressed, or lies behind a URL, is decoded chunk by chunk and kept for the next star.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any, NamedTuple

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


class _Layout(NamedTuple):
    """Where the bytes of a variable lie, whose files hold its numbers as they are."""

    folder: str
    dtype: np.dtype[Any]
    length: int
    """Cadences."""
    stars: int
    """Stars of a chunk."""
    cadences: int
    """Cadences of a chunk, and of a file."""
    chunks: int
    """Chunks of stars in a file, whose places stand at its end; 0 where a file is a chunk."""


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
        self._folder = folder.path(f"{ref.key}/{DATA}") if folder.local else None
        self._group = zarr.open_group(data_of(ref), mode="r")
        self._arrays: dict[str, tuple[Any, _Layout | None]] = {}
        self._places: dict[tuple[str, int], list[int]] = {}

    def read(self, name: str, star: int) -> np.ndarray:
        """Return the series (time) of a star."""
        try:
            array, layout = self._array(name)
            return self._row(name, array, star) if layout is None else self._direct(name, layout, star)
        except FileNotFoundError as error:
            raise StoreError(
                f"store {self.ref.store}: {self.ref.key}: {error.filename or name} is gone; expected the "
                "product whole. It may have been pruned: ask for the star again."
            ) from None

    def _array(self, name: str) -> tuple[Any, _Layout | None]:
        if name not in self._arrays:
            array = self._group[name]
            self._arrays[name] = array, _layout(array, name, self._folder)
        return self._arrays[name]

    def _direct(self, name: str, layout: _Layout, star: int) -> np.ndarray:
        """Return a series from its places in the files, one for each block of cadences."""
        chunk, place = divmod(star, layout.stars)
        size = layout.cadences * layout.dtype.itemsize
        parts = []
        for number in range(-(-layout.length // layout.cadences)):
            handle = os.open(f"{layout.folder}{number}", os.O_RDONLY)
            try:
                start = self._start(name, layout, number, chunk, handle) + place * size
                parts.append(os.pread(handle, size, start))
            finally:
                os.close(handle)
        return np.frombuffer(b"".join(parts), layout.dtype)[: layout.length]

    def _start(self, name: str, layout: _Layout, number: int, chunk: int, handle: int) -> int:
        """Return where a chunk of stars begins in the file of a block."""
        if not layout.chunks:
            return 0
        key = name, number
        if key not in self._places:
            size = layout.chunks * _ENTRY
            index = os.pread(handle, size, os.fstat(handle).st_size - _CHECKSUM - size)
            self._places[key] = np.frombuffer(index, "<u8").reshape(-1, 2)[:, 0].tolist()
        return self._places[key][chunk]

    def _row(self, name: str, array: Any, star: int) -> np.ndarray:
        """Return a series from the decoded chunk of its star."""
        stars = array.chunks[0]
        key = self.ref, name, star // stars
        values = _decoded.get(key)
        if values is None:
            first = star // stars * stars
            values = np.asarray(array[first : first + stars])
            _decoded.put(key, values)
        return values[star % stars].copy()


def _layout(array: Any, name: str, folder: str | None) -> _Layout | None:
    """Return how the bytes of an array lie; None where they are not its numbers, or lie otherwise."""
    if folder is None or array.ndim != 2 or not array.dtype.isnative:
        return None
    codecs, (stars, cadences) = array.metadata.codecs, array.chunks
    place = f"{folder}/{name}/c/0/"
    if array.shards is None:
        plain = len(codecs) == 1 and isinstance(codecs[0], BytesCodec) and stars >= array.shape[0]
        return _Layout(place, array.dtype, array.shape[1], stars, cadences, 0) if plain else None
    (sharding,) = codecs
    inside = isinstance(sharding, ShardingCodec) and [type(codec) for codec in sharding.codecs] == [
        BytesCodec
    ]
    one_wide = array.shards[0] >= array.shape[0] and array.shards[1] == cadences
    if not (inside and one_wide and sharding.index_location.value == "end"):
        return None
    return _Layout(place, array.dtype, array.shape[1], stars, cadences, array.shards[0] // stars)
