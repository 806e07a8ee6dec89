"""The product store: the only writer and the only reader of products.

A product lies in ``{store}/{product}/{unit}/{id}``: Zarr data, and ``complete.json``, which is
written last and lists every file. What has no such file, or does not agree with it, is no
product. A Dataset with Dask chunks along time is computed and written block by block; a journal
beside the products says which blocks are whole, so a run that was killed goes on at the first
block that is missing, and ends with the same bytes as one that was not.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
import xarray as xr

from tasoc_kit import database
from tasoc_kit.config import settings
from tasoc_kit.encoding import Encoder
from tasoc_kit.errors import DatabaseError, StoreError
from tasoc_kit.folders import SCRATCH, Folder
from tasoc_kit.locks import hold
from tasoc_kit.units import (
    ProductRef,
    check_id,
    check_name,
    check_unit,
    is_id,
    is_name,
    parse_unit,
    product_unit,
    unit_matches,
    unit_name,
)

__all__ = [
    "ProductRef",
    "find_product",
    "is_complete",
    "list_products",
    "open_product",
    "product_unit",
    "unit_name",
    "write_product",
]

MARKER = "complete.json"
DATA = "data.zarr"

_log = logging.getLogger(__name__)


def _own(store: str | None) -> Folder:
    return Folder(store or settings().store)


def _stores(store: str | None) -> Iterator[Folder]:
    """Yield the store, then those that are read through."""
    yield _own(store)
    for url in () if store else settings().shared_stores:
        yield Folder(url)


# Writing ----------------------------------------------------------------------------------


def write_product(
    dataset: xr.Dataset,
    *,
    store: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    wait: float = 0.0,
) -> str:
    """
    Write a Dataset as a product and return its URL.

    Name, unit and id are taken from its attributes, as a step leaves them. A product that is
    complete is not written again. Where Dask chunks run along ``time``, one chunk of all variables
    is computed and written at a time.

    Parameters
    ----------
    dataset
        The result of a step.
    store
        URL of the store; by default that of the settings.
    progress
        Called with the number of blocks written and the number of all blocks.
    wait
        Seconds to wait while another run writes the same product.

    Raises
    ------
    StoreError
        If the store cannot be written, or another run is writing this product. Blocks that were
        written stay, and the next call goes on behind them.
    """
    name, unit, id_ = _identity(dataset)
    ref = _find_complete(name, unit, id_, store)
    if ref is None:
        folder = _own(store)
        key = f"{name}/{unit}/{id_}"
        with hold(folder, key, wait=wait):
            if _inventory_problem(folder, key):
                _write(folder, key, dataset, progress)
        ref = ProductRef(name, unit, id_, folder.url, folder.modified(f"{key}/{MARKER}"))
    _record(ref, dataset.attrs)
    return ref.url


def _identity(dataset: xr.Dataset) -> tuple[str, str, str]:
    missing = [name for name in ("product", "provenance_id") if name not in dataset.attrs]
    if missing:
        raise StoreError(
            f"write_product: the Dataset has no attributes {missing}; it has "
            f"{sorted(map(str, dataset.attrs))}. Make it with a step, which sets them."
        )
    name, id_ = dataset.attrs["product"], dataset.attrs["provenance_id"]
    return check_name(name), product_unit(dataset), check_id(id_)


def _record(ref: ProductRef, attrs: Mapping[str, Any]) -> None:
    """Enter a product into the database; the store stays the truth when that is not possible."""
    try:
        database.record_product(ref.name, ref.unit, ref.id, ref.url, attrs)
    except DatabaseError as error:
        _log.warning(
            "%s is complete, but not in the database (%s). Run 'tasoc database rebuild'.", ref.url, error
        )


def _inventory(files: Mapping[str, bytes]) -> dict[str, list[Any]]:
    return {f"{DATA}/{key}": [len(data), f"{zlib.crc32(data):08x}"] for key, data in files.items()}


class _Journal:
    """What is whole of a product that is being written."""

    def __init__(self, folder: Folder, key: str) -> None:
        self.folder, self.key, self.place = folder, key, f"{SCRATCH}/{key}"

    def read(self, part: str) -> dict[str, list[Any]]:
        try:
            return json.loads(self.folder.get(f"{self.place}/{part}.json") or b"{}")
        except ValueError:
            return {}

    def put(self, part: str, files: Mapping[str, bytes]) -> dict[str, list[Any]]:
        """Write the files of a part of the product, then say that they are whole."""
        inventory = _inventory(files)
        self.folder.put({f"{self.key}/{DATA}/{name}": data for name, data in files.items()})
        self.folder.put({f"{self.place}/{part}.json": json.dumps(inventory).encode()})
        return inventory

    def forget(self) -> None:
        self.folder.remove(self.place)


def _lost(inventory: Mapping[str, list[Any]], present: Mapping[str, int]) -> list[str]:
    """Return the files that are absent or of another size."""
    return sorted(name for name, (size, _) in inventory.items() if present.get(name) != size)


def _write(
    folder: Folder, key: str, dataset: xr.Dataset, progress: Callable[[int, int], None] | None
) -> None:
    journal, encoder = _Journal(folder, key), Encoder(dataset)
    head, present = encoder.head(), folder.sizes(key)
    inventory = _inventory(head)
    if journal.read("head") != inventory or _lost(inventory, present):
        journal.forget()
        folder.remove(key)
        present = {}
        journal.put("head", head)
    for number in range(encoder.blocks):
        part = f"block-{number:06d}"
        written = journal.read(part)
        if not written or _lost(written, present):
            written = journal.put(part, encoder.block(number))
        inventory |= written
        if progress:
            progress(number + 1, encoder.blocks)
    _commit(folder, key, inventory)
    journal.forget()


def _commit(folder: Folder, key: str, inventory: Mapping[str, list[Any]]) -> None:
    """Write the marker, once every file is seen to be there."""
    present = folder.sizes(key)
    for stray in present.keys() - inventory.keys():
        folder.remove(f"{key}/{stray}")
    lost = _lost(inventory, present)
    if not lost:
        name, unit, id_ = key.split("/")
        marker = {"format": 1, "product": name, "unit": unit, "id": id_, "files": inventory}
        text = json.dumps(marker, sort_keys=True, indent=1).encode() + b"\n"
        folder.put({f"{key}/{MARKER}": text})
        lost = [] if folder.get(f"{key}/{MARKER}") == text else [MARKER]
    if lost:
        raise StoreError(
            f"store {folder.url}: {len(lost)} files of {key} were written but are not there, the first "
            f"{lost[0]}; expected a store that keeps what it accepts. Run again: only these are rewritten."
        )


# Reading ----------------------------------------------------------------------------------


def _marker(folder: Folder, key: str) -> dict[str, Any] | None:
    try:
        return json.loads(folder.get(f"{key}/{MARKER}") or b"null")
    except ValueError:
        return {"files": {MARKER: [-1, ""]}}


def _inventory_problem(folder: Folder, key: str) -> str:
    """Return what keeps a folder from being a product; empty where nothing does."""
    marker = _marker(folder, key)
    if marker is None:
        return f"it has no {MARKER}"
    lost = _lost(marker["files"], folder.sizes(key))
    return f"{len(lost)} of its files are absent or of another size, the first {lost[0]}" if lost else ""


def _find_complete(name: str, unit: str, id_: str, store: str | None) -> ProductRef | None:
    key = f"{check_name(name)}/{check_unit(unit)}/{check_id(id_)}"
    for folder in _stores(store):
        if not _inventory_problem(folder, key):
            return ProductRef(name, unit, id_, folder.url, folder.modified(f"{key}/{MARKER}"))
    return None


def is_complete(name: str, unit: str, id: str, *, store: str | None = None) -> bool:  # noqa: A002
    """Tell whether a product is there with every file that it lists, here or in a shared store."""
    return _find_complete(name, unit, id, store) is not None


def _refs(folder: Folder, name: str | None = None) -> Iterator[ProductRef]:
    """Yield the complete products of one store."""
    for product in [name] if name else filter(is_name, folder.names()):
        for unit in filter(parse_unit, folder.names(product)):
            for id_ in filter(is_id, folder.names(f"{product}/{unit}")):
                created = folder.modified(f"{product}/{unit}/{id_}/{MARKER}")
                if created:
                    yield ProductRef(product, unit, id_, folder.url, created)


def find_product(
    name: str,
    *,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    field: str | None = None,
    tag: str | None = None,
    id: str | None = None,  # noqa: A002
    store: str | None = None,
) -> ProductRef | None:
    """
    Return the product that ``open_product`` opens, or None.

    An id decides; else a tag; else the tag ``current``; else the newest. Our own store is asked
    first, then the shared ones. ``field=""`` is the full CCD; without ``field`` the full CCD is
    preferred to cutouts.

    Raises
    ------
    StoreError
        If products of several units fit.
    """
    wanted = {"sector": sector, "camera": camera, "ccd": ccd, "field": field}
    check_name(name)
    for folder in _stores(store):
        refs = [ref for ref in _refs(folder, name) if unit_matches(ref.unit, wanted)]
        if id is not None:
            refs = [ref for ref in refs if ref.id == check_id(id)]
        chosen = _choose(name, refs, tag if id is None else None, by_tag=id is None)
        if chosen:
            return chosen
    return None


def _choose(name: str, refs: list[ProductRef], tag: str | None, *, by_tag: bool) -> ProductRef | None:
    """Return the tagged or the newest of the products, which must be of one unit."""
    units = {ref.unit for ref in refs}
    full = {unit for unit in units if unit.count("-") == 2}
    units = full if len(full) == 1 else units
    if not units:
        return None
    if len(units) > 1:
        raise StoreError(
            f"open_product: {name!r} exists for {sorted(units)}; expected one unit. "
            "Give sector=, camera=, ccd= (and field= for a cutout)."
        )
    (unit,) = units
    refs = [ref for ref in refs if ref.unit == unit]
    if by_tag:
        tagged = database.get_tag(tag or "current", name, unit)
        matching = [ref for ref in refs if ref.id == tagged]
        if matching or tag:
            return matching[0] if matching else None
    return max(refs, key=lambda ref: (ref.created, ref.id))


def open_product(
    name: str,
    *,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    field: str | None = None,
    tag: str | None = None,
    id: str | None = None,  # noqa: A002
    store: str | None = None,
) -> xr.Dataset:
    """
    Open a product lazily.

    Variables of more than one dimension are Dask arrays with the chunks they are stored in; the
    others are in memory.

    Parameters
    ----------
    name
        Name of the product, as ``light_curves``.
    sector, camera, ccd, field
        The unit; what is left out may be anything, as long as one unit fits.
    tag, id
        Which one: an id decides, else a tag, else the tag ``current``, else the newest.
    store
        URL of the store; by default that of the settings, then the shared ones.

    Raises
    ------
    StoreError
        If there is none, several units fit, or files of it are absent or of another size.
    """
    ref = find_product(name, sector=sector, camera=camera, ccd=ccd, field=field, tag=tag, id=id, store=store)
    if ref is None:
        wanted = {"sector": sector, "camera": camera, "ccd": ccd, "field": field, "tag": tag, "id": id}
        raise _nothing(name, {key: value for key, value in wanted.items() if value is not None}, store)
    return open_ref(ref)


def open_ref(ref: ProductRef) -> xr.Dataset:
    """Open one product lazily, once its files are seen to be those it lists."""
    folder = Folder(ref.store)
    problem = _inventory_problem(folder, ref.key)
    if problem:
        raise StoreError(
            f"store {ref.store}: {ref.key} is damaged: {problem}; expected every file as it was written. "
            f"Make it again: run the step that makes {ref.name!r}; other products are not touched."
        )
    dataset = xr.open_zarr(
        f"{ref.url}/{DATA}", consolidated=False, chunks={}, decode_times=False, mask_and_scale=False
    )
    small = {name: dataset[name].load() for name, v in dataset.variables.items() if v.ndim < 2}
    text = {name: array.astype(object) for name, array in small.items() if array.dtype.kind == "T"}
    return dataset.assign({**small, **text})


def _nothing(name: str, wanted: Mapping[str, Any], store: str | None) -> StoreError:
    table = list_products(store=store)
    same = table[table["product"] == name]
    if len(same):
        exists = f"it has {sorted({f'{row.unit} ({row.id})' for row in same.itertuples()})[:12]}"
    else:
        exists = f"it has the products {sorted(set(table['product']))}"
    asked = ", ".join(f"{key}={value!r}" for key, value in wanted.items())
    return StoreError(
        f"open_product: no {name!r}{f' with {asked}' if asked else ''} in {_own(store).url}; {exists}. "
        f"Make it: tasoc run photometry --until {name}, or look: tasoc products."
    )


def list_products(name: str | None = None, *, store: str | None = None) -> pd.DataFrame:
    """
    Return one row per complete product, the newest first.

    Columns: product, unit, sector, camera, ccd, field, id, tags, created (UTC), bytes, store, url.
    """
    rows = []
    tags = database.tags()
    for folder in _stores(store):
        for ref in _refs(folder, name and check_name(name)):
            files = (_marker(folder, ref.key) or {"files": {}})["files"]
            rows.append(
                {
                    "product": ref.name,
                    "unit": ref.unit,
                    **parse_unit(ref.unit),
                    "id": ref.id,
                    "tags": ", ".join(tags.get((ref.name, ref.unit, ref.id), ())),
                    "created": pd.Timestamp(ref.created, unit="s", tz="UTC"),
                    "bytes": sum(size for size, _ in files.values()),
                    "store": ref.store,
                    "url": ref.url,
                }
            )
    columns = "product unit sector camera ccd field id tags created bytes store url".split()
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("created", ascending=False, ignore_index=True)
