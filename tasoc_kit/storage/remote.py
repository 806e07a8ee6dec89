"""Products behind a URL as Zarr reads them: patiently, and every byte held against the inventory.

A server may fail for a moment, and may send less than it was asked for and call it all. Zarr takes an
object that is not there for zeros, and one that is short for an array of another shape. Here what a
product lists is there as it was written, or an error names it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, Self

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, WrapperStore

from tasoc_kit.errors import OutOfReachError
from tasoc_kit.storage.folders import Folder, open_options
from tasoc_kit.storage.inventory import DATA, Inventory, read_marker
from tasoc_kit.storage.retries import Patience, ShortBody, failures
from tasoc_kit.storage.units import ProductRef

__all__ = ["RemoteProduct", "data_of"]


def data_of(ref: ProductRef) -> Any:
    """Return what Zarr reads the data of a product from, here or behind a URL."""
    folder = Folder(ref.store)
    if folder.local:
        return f"{folder.path(ref.key)}/{DATA}"
    return RemoteProduct.at(f"{folder.url}/{ref.key}", read_marker(folder, ref.key) or {})


class RemoteProduct(WrapperStore[FsspecStore]):
    """
    The Zarr data of one product behind a URL, to be read.

    Parameters
    ----------
    store
        The objects.
    url
        Address of the folder of the product.
    inventory
        Size and CRC-32 of every object.
    """

    def __init__(self, store: FsspecStore, url: str = "", inventory: Inventory | None = None) -> None:
        super().__init__(store)
        self._url, self._inventory = url, inventory or {}

    @classmethod
    def at(cls, url: str, inventory: Inventory) -> Self:
        """Return the data of the product at a URL."""
        store = FsspecStore.from_url(f"{url}/{DATA}", open_options(url), read_only=True)
        return cls(store, url, inventory)

    def _with_store(self, store: FsspecStore) -> Self:
        return type(self)(store, self._url, self._inventory)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return an object, or a range of it; None where the product lists no such object."""
        name = f"{DATA}/{key}"
        if name not in self._inventory:
            return None
        size, checksum = self._inventory[name]
        patience = Patience(f"{self._url}/{name}")
        while True:
            try:
                data = await self._store.get(key, prototype, byte_range)
                return self._whole(data, byte_range, size, checksum)
            except failures() as error:
                try:
                    wait = patience.after(error)
                except failures():
                    raise self._lost(name, str(error)) from error
            await asyncio.sleep(wait)

    def _whole(self, data: Buffer | None, byte_range: ByteRequest | None, size: int, checksum: str) -> Buffer:
        """Return what came, if it is all that was asked for and as it was written."""
        if data is None:
            raise FileNotFoundError("it is no longer there")
        expected = _length(byte_range, size)
        if len(data) != expected:
            raise ShortBody(f"{len(data)} of {expected} bytes came")
        if byte_range is None:
            found = f"{zlib.crc32(data.as_numpy_array().tobytes()):08x}"
            if found != checksum:
                raise ShortBody(f"its CRC-32 is {found}, not {checksum}")
        return data

    def _lost(self, name: str, problem: str) -> OutOfReachError:
        return OutOfReachError(
            f"store: {self._url}/{name} could not be read: {problem}; expected it as it was written. "
            "Run again when the store answers, or read it all: tasoc archive verify."
        )

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return several ranges, each as ``get`` does."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Tell whether the product lists an object."""
        return f"{DATA}/{key}" in self._inventory

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield what lies in a folder, by the inventory."""
        start = "/".join(filter(None, (DATA, prefix.strip("/")))) + "/"
        inside = (name.removeprefix(start) for name in self._inventory if name.startswith(start))
        for name in sorted({name.partition("/")[0] for name in inside}):
            yield name


def _length(byte_range: Any, size: int) -> int:
    """Return how many bytes of an object a request is for."""
    if isinstance(byte_range, RangeByteRequest):
        return max(0, min(byte_range.end, size) - byte_range.start)
    if isinstance(byte_range, OffsetByteRequest):
        return max(0, size - byte_range.offset)
    return min(byte_range.suffix, size) if isinstance(byte_range, SuffixByteRequest) else size
