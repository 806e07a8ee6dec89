"""One product from a store to another, by its inventory: resumed, checked, seen only when it is whole.

A product has the same bytes wherever it lies, so what the other store has of it already with the right
size stays. Every file is held against its CRC-32 before it is written, and the marker is written last:
until then the other store has no such product.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError
from tasoc_kit.storage.folders import SCRATCH, Folder
from tasoc_kit.storage.inventory import Inventory, commit, lost, problem, read_marker
from tasoc_kit.storage.locks import hold

__all__ = ["Transfer", "copy_logs", "copy_product", "to_copy"]

_BATCH_BYTES, _BATCH_FILES = 64 * 2**20, 64


@dataclass(frozen=True)
class Transfer:
    """What the other store lacks of a product."""

    key: str
    files: int
    bytes: int


def to_copy(source: Folder, target: Folder, key: str) -> Transfer:
    """
    Return what is to be copied of a product; nothing where the other store has it.

    Raises
    ------
    StoreError
        If the source has not all of it.
    """
    inventory = _inventory(source, key)
    absent = lost(inventory, target.sizes(key))
    if not absent and not problem(target, key):
        return Transfer(key, 0, 0)
    return Transfer(key, len(absent) + 1, sum(inventory[name][0] for name in absent))


def _inventory(folder: Folder, key: str) -> Inventory:
    damage = problem(folder, key)
    if damage:
        raise StoreError(
            f"store {folder.url}: {key} is damaged: {damage}; expected every file as it was written. "
            "Make it again, or take it from another store."
        )
    return read_marker(folder, key) or {}


def copy_product(
    source: Folder,
    target: Folder,
    key: str,
    *,
    progress: Callable[[int], None] = lambda number: None,
) -> int:
    """
    Copy a product that the other store lacks; return the bytes that were written.

    Parameters
    ----------
    source, target
        The stores.
    key
        ``product/unit/id``.
    progress
        Told the bytes that were written.

    Raises
    ------
    StoreError
        If a file of the source is not what it was, the target cannot be written, or another run is
        writing this product there. The target then has no such product, and the next copy goes on.
    """
    inventory, copied = _inventory(source, key), 0
    with hold(target, key, wait=settings().wait):
        if problem(target, key):
            for batch in _batches(inventory, lost(inventory, target.sizes(key))):
                files = _read(source, key, inventory, batch)
                target.put(
                    {f"{key}/{name}": data for name, data in files.items()}, scratch=f"{SCRATCH}/{key}"
                )
                number = sum(map(len, files.values()))
                copied += number
                progress(number)
            commit(target, key, inventory)
            target.remove(f"{SCRATCH}/{key}")
    return copied


def _batches(inventory: Inventory, names: list[str]) -> Iterator[list[str]]:
    """Yield names of files that are held in memory together."""
    batch: list[str] = []
    held = 0
    for name in names:
        size = inventory[name][0]
        if batch and (held + size > _BATCH_BYTES or len(batch) == _BATCH_FILES):
            yield batch
            batch, held = [], 0
        batch.append(name)
        held += size
    if batch:
        yield batch


def _read(source: Folder, key: str, inventory: Inventory, names: list[str]) -> dict[str, bytes]:
    """Return files, each held against its size and checksum."""
    with ThreadPoolExecutor(min(4 * settings().threads, len(names))) as threads:
        found = list(threads.map(lambda name: source.get(f"{key}/{name}", inventory[name][0]) or b"", names))
    for name, data in zip(names, found, strict=True):
        size, checksum = inventory[name]
        if len(data) != size or f"{zlib.crc32(data):08x}" != checksum:
            raise StoreError(
                f"store {source.url}: {key}/{name} has {len(data)} bytes with CRC {zlib.crc32(data):08x}; "
                f"expected {size} with {checksum}, as they were written. Nothing was completed: copy again, "
                "and make the product again if it stays so."
            )
    return dict(zip(names, found, strict=True))


def copy_logs(source: Folder, target: Folder, unit: str, id_: str) -> int:
    """Copy the executed notebooks of a product, which are its logs; return how many were lacking."""
    place = f"runs/{unit}"
    known = set(target.names(place))
    names = [name for name in source.names(place) if name.endswith(f"-{id_}.ipynb") and name not in known]
    logs = {f"{place}/{name}": source.get(f"{place}/{name}") for name in names}
    present = {key: data for key, data in logs.items() if data is not None}
    if present:
        target.put(present, scratch=SCRATCH)
    return len(present)
