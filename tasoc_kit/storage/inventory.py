"""The list of files that makes a folder a product.

``complete.json`` is written last and holds name, unit and id of the product and the size and
CRC-32 of every file, but no clock and no place: the same product has the same marker anywhere.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from tasoc_kit.errors import StoreError
from tasoc_kit.storage.folders import SCRATCH, Folder

__all__ = ["DATA", "MARKER", "Inventory", "commit", "lost", "problem", "read_marker", "take", "verify"]

MARKER = "complete.json"
DATA = "data.zarr"

Inventory = dict[str, list[Any]]
"""Size in bytes and CRC-32, by the name of the file in the folder of the product."""


def take(files: Mapping[str, bytes | memoryview]) -> Inventory:
    """Return the inventory of files, named by their keys in the Zarr group."""
    return {f"{DATA}/{key}": [len(data), f"{zlib.crc32(data):08x}"] for key, data in files.items()}


def lost(inventory: Inventory, present: Mapping[str, int]) -> list[str]:
    """Return the files that are absent or of another size."""
    return sorted(name for name, (size, _) in inventory.items() if present.get(name) != size)


def read_marker(folder: Folder, key: str) -> Inventory | None:
    """
    Return what a product says it consists of, or None where it was never completed.

    A marker that is damaged, or names files outside of its product, names one file that no store has.
    """
    text = folder.get(f"{key}/{MARKER}")
    if text is not None and not text.endswith(b"\n"):
        text = folder.get(f"{key}/{MARKER}", folder.size(f"{key}/{MARKER}"))
    if text is None:
        return None
    try:
        files = dict(json.loads(text)["files"])
        return {_inside(name): [int(size), str(checksum)] for name, (size, checksum) in files.items()}
    except (ValueError, KeyError, TypeError):
        return {MARKER: [-1, ""]}


def _inside(name: str) -> str:
    """Return the name of a file of a product; ValueError for one that would lie elsewhere."""
    if not name.startswith(f"{DATA}/") or not all(part.strip(".") for part in name.split("/")):
        raise ValueError(name)
    return name


def problem(folder: Folder, key: str) -> str:
    """Return what keeps a folder from being a product; empty where nothing does."""
    inventory = read_marker(folder, key)
    if inventory is None:
        return f"it has no {MARKER}"
    if MARKER in inventory:
        return f"its {MARKER} is no list of its files"
    absent = lost(inventory, folder.sizes(key))
    return (
        f"{len(absent)} of its files are absent or of another size, the first {absent[0]}" if absent else ""
    )


def verify(folder: Folder, key: str) -> list[str]:
    """Return the files of a product whose bytes are not those that were written; this reads them all."""
    inventory = read_marker(folder, key) or {}
    bad = []
    for name, (size, checksum) in sorted(inventory.items()):
        data = folder.get(f"{key}/{name}")
        if data is None or len(data) != size or f"{zlib.crc32(data):08x}" != checksum:
            bad.append(name)
    return bad


def commit(folder: Folder, key: str, inventory: Inventory) -> None:
    """Write the marker, once every file is seen to be there."""
    present = folder.sizes(key)
    for stray in present.keys() - inventory.keys():
        folder.remove(f"{key}/{stray}")
    absent = lost(inventory, present)
    if not absent:
        name, unit, id_ = key.split("/")
        marker = {"format": 1, "product": name, "unit": unit, "id": id_, "files": inventory}
        text = json.dumps(marker, sort_keys=True, indent=1).encode() + b"\n"
        folder.put({f"{key}/{MARKER}": text}, scratch=f"{SCRATCH}/{key}")
        absent = [] if folder.get(f"{key}/{MARKER}") == text else [MARKER]
    if absent:
        raise StoreError(
            f"store {folder.url}: {len(absent)} files of {key} were written but are not there, the first "
            f"{absent[0]}; expected a store that keeps what it accepts. Run again: only these are rewritten."
        )
