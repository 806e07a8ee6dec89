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
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from tasoc_kit import database
from tasoc_kit.config import settings
from tasoc_kit.errors import DatabaseError, NotFoundError, OutOfReachError, StoreError, without_secrets
from tasoc_kit.storage.encoding import Encoder
from tasoc_kit.storage.folders import SCRATCH, Folder
from tasoc_kit.storage.inventory import DATA, MARKER, Inventory, commit, lost, problem, read_marker, take
from tasoc_kit.storage.locks import hold
from tasoc_kit.storage.remote import data_of
from tasoc_kit.storage.units import (
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
from tasoc_kit.storage.whole_file import PART

__all__ = [
    "ProductRef",
    "current_products",
    "find_product",
    "is_complete",
    "list_products",
    "open_product",
    "product_unit",
    "read_variable",
    "unit_name",
    "write_product",
]

STARS_OF = "light_curves"
"""Product whose stars can be looked for in the database."""

_log = logging.getLogger(__name__)


def own(store: str | None) -> Folder:
    return Folder(store or settings().store)


def stores(store: str | None) -> Iterator[Folder]:
    """Yield the store, then those that are read through."""
    yield own(store)
    for url in () if store else settings().shared_stores:
        yield Folder(url)


def write_product(
    dataset: xr.Dataset,
    *,
    store: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    wait: float | None = None,
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
        Seconds to wait while another run writes the same product; by default those of the settings.

    Raises
    ------
    StoreError
        If the store cannot be written, or another run is writing this product. Blocks that were
        written stay, and the next call goes on behind them.
    """
    name, unit, id_ = _identity(dataset)
    ref = _find_complete(name, unit, id_, store)
    if ref is None:
        folder = own(store)
        key = f"{name}/{unit}/{id_}"
        with hold(folder, key, wait=settings().wait if wait is None else wait):
            if problem(folder, key):
                _write(folder, key, dataset, progress)
        ref = ProductRef(name, unit, id_, folder.url, folder.modified(f"{key}/{MARKER}"))
    record(ref, dataset.attrs)
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


def record(ref: ProductRef, attrs: Mapping[str, Any]) -> None:
    """Enter a product into the database; the store stays the truth when that is not possible."""
    try:
        enter(ref, attrs)
    except DatabaseError as error:
        _log.warning(
            "%s is complete, but not in the database (%s). Run 'tasoc database rebuild'.", ref.key, error
        )


def product_bytes(ref: ProductRef) -> int:
    """Return the bytes of the files of a product, by its list of them."""
    return sum(size for size, _ in (read_marker(Folder(ref.store), ref.key) or {}).values())


def enter(ref: ProductRef, attrs: Mapping[str, Any]) -> None:
    """Enter a product into the database, or raise DatabaseError."""
    database.record_product(
        ref.name,
        ref.unit,
        ref.id,
        without_secrets(ref.url),
        attrs,
        bytes=product_bytes(ref),
        created=ref.created,
        stars=partial(_star_columns, ref) if ref.name == STARS_OF else None,
    )


def _star_columns(ref: ProductRef) -> dict[str, np.ndarray]:
    """Return what the stars of a product are found by; NaN, and 0 for a number, where it does not tell."""
    group = zarr.open_group(data_of(ref), mode="r")
    known = {name: np.asarray(group[name][...]) for name in ("tic", "ra", "dec", "tmag") if name in group}
    count = max((values.size for values in known.values()), default=0)
    unknown = {"tic": np.zeros(count, np.int64)} | {n: np.full(count, np.nan) for n in ("ra", "dec", "tmag")}
    return unknown | known


class _Journal:
    """What is whole of a product that is being written; it lies outside the product."""

    def __init__(self, folder: Folder, key: str) -> None:
        self.folder, self.key, self.place = folder, key, f"{SCRATCH}/{key}"
        for name in folder.names(self.place):
            if name.endswith(PART):
                folder.remove(f"{self.place}/{name}")

    def read(self, part: str) -> Inventory:
        try:
            return dict(json.loads(self.folder.get(f"{self.place}/{part}.json") or b"{}"))
        except ValueError:
            return {}

    def put(self, part: str, files: Mapping[str, bytes | memoryview]) -> Inventory:
        """Write the files of a part of the product, then say that they are whole."""
        inventory = take(files)
        self.folder.put(
            {f"{self.key}/{DATA}/{name}": data for name, data in files.items()}, scratch=self.place
        )
        self.folder.put({f"{self.place}/{part}.json": json.dumps(inventory).encode()}, scratch=self.place)
        return inventory

    def forget(self) -> None:
        self.folder.remove(self.place)


def _write(
    folder: Folder, key: str, dataset: xr.Dataset, progress: Callable[[int, int], None] | None
) -> None:
    journal, encoder = _Journal(folder, key), Encoder(dataset)
    parts = [f"block-{number:06d}" for number in range(encoder.blocks)]
    present = folder.sizes(key)
    with ThreadPoolExecutor(1, "next-block") as thread:
        # Where nothing is there yet the first block is computed while the metadata are made.
        ahead = thread.submit(encoder.compute, 0) if parts and not present else None
        head = encoder.head()
        inventory = take(head)
        if journal.read("head") != inventory or lost(inventory, present):
            journal.forget()
            folder.remove(key)
            present = {}
            journal.put("head", head)
        written = {part: journal.read(part) for part in parts}
        absent = [n for n, part in enumerate(parts) if not written[part] or lost(written[part], present)]
        done = encoder.blocks - len(absent)
        if progress and done:
            progress(done, encoder.blocks)
        for number, following in zip(absent, [*absent, None][1:], strict=True):
            computed = (ahead or thread.submit(encoder.compute, number)).result()
            files = encoder.block(number, computed)
            del computed
            # The next block is computed while this one is written, of which only the bytes are left.
            ahead = thread.submit(encoder.compute, following) if following is not None else None
            written[parts[number]] = journal.put(parts[number], files)
            del files
            done += 1
            if progress:
                progress(done, encoder.blocks)
    for part in parts:
        inventory |= written[part]
    commit(folder, key, inventory)
    journal.forget()


def _find_complete(name: str, unit: str, id_: str, store: str | None) -> ProductRef | None:
    key = f"{check_name(name)}/{check_unit(unit)}/{check_id(id_)}"
    for folder in stores(store):
        if not problem(folder, key):
            return ProductRef(name, unit, id_, folder.url, folder.modified(f"{key}/{MARKER}"))
    return None


def is_complete(name: str, unit: str, id: str, *, store: str | None = None) -> bool:
    """Tell whether a product is there with every file that it lists, here or in a shared store."""
    return _find_complete(name, unit, id, store) is not None


def refs(
    folder: Folder, name: str | None = None, *, wanted: Mapping[str, Any] | None = None, id: str | None = None
) -> Iterator[ProductRef]:
    """Yield the completed products of one store: all, or those of a name, of a unit, with an id."""
    for product in [name] if name else filter(is_name, folder.names()):
        units = [u for u in folder.names(product) if parse_unit(u) and unit_matches(u, wanted or {})]

        def completed(unit: str, product: str = product) -> list[ProductRef]:
            ids = [id] if id else filter(is_id, folder.names(f"{product}/{unit}"))
            made = [(id_, folder.modified(f"{product}/{unit}/{id_}/{MARKER}")) for id_ in ids]
            return [ProductRef(product, unit, id_, folder.url, created) for id_, created in made if created]

        for found in folder.each(units, completed):
            yield from found


def find_product(
    name: str,
    *,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    field: str | None = None,
    tag: str | None = None,
    id: str | None = None,
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
    if id is not None:
        check_id(id)
    found: list[ProductRef] = []
    for folder in stores(store):
        found = list(refs(folder, name, wanted=wanted, id=id))
        if found:
            break
    if not found:
        return None
    unit = _one_unit(name, {ref.unit for ref in found})
    if id is None:
        tagged = database.get_tag(tag or "current", name, unit)
        chosen = _with_id(name, unit, tagged, store) if tagged else None
        if chosen or tag:
            return chosen
        if tagged:
            _log.warning("%s %s: current is %s, which is not there; the newest is opened", name, unit, tagged)
    return max((ref for ref in found if ref.unit == unit), key=lambda ref: (ref.created, ref.id))


def current_products(name: str, *, tag: str | None = None, store: str | None = None) -> list[ProductRef]:
    """
    Return of every unit the product that ``open_product`` opens, in order of unit.

    With a tag, only units in which a product has it.
    """
    found: dict[str, list[ProductRef]] = {}
    for folder in stores(store):
        here: dict[str, list[ProductRef]] = {}
        for ref in refs(folder, check_name(name)):
            here.setdefault(ref.unit, []).append(ref)
        found = here | found
    wanted, tagged = tag or "current", database.tags()
    chosen = []
    for _unit, made in sorted(found.items()):
        named = [ref for ref in made if wanted in tagged.get((ref.name, ref.unit, ref.id), ())]
        if named or not tag:
            chosen.append(max(named or made, key=lambda ref: (ref.created, ref.id)))
    return chosen


def read_variable(ref: ProductRef, name: str) -> np.ndarray:
    """Return one variable of a product as an array, and read nothing else of it."""
    return np.asarray(zarr.open_array(data_of(ref), path=name, mode="r")[...])


def _one_unit(name: str, units: set[str]) -> str:
    """Return the only unit, or the only full CCD among cutouts."""
    full = {unit for unit in units if not parse_unit(unit)["field"]}
    units = full or units
    if len(units) > 1:
        raise StoreError(
            f"open_product: {name!r} exists for {sorted(units)[:12]}; expected one unit. "
            "Give sector=, camera=, ccd= (and field= for a cutout)."
        )
    return next(iter(units))


def _with_id(name: str, unit: str, id_: str, store: str | None) -> ProductRef | None:
    for folder in stores(store):
        for ref in refs(folder, name, wanted=parse_unit(unit), id=id_):
            return ref
    return None


def open_product(
    name: str,
    *,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    field: str | None = None,
    tag: str | None = None,
    id: str | None = None,
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
    damage = problem(folder, ref.key)
    if damage:
        raise OutOfReachError(
            f"store {ref.store}: {ref.key} is damaged: {damage}; expected every file as it was written. "
            f"Make it again: run the step that makes {ref.name!r}; other products are not touched."
        )
    dataset = xr.open_zarr(
        data_of(ref), consolidated=False, chunks=None, decode_times=False, mask_and_scale=False
    )
    return dataset.assign({name: _in_memory_or_lazy(array) for name, array in dataset.variables.items()})


def _in_memory_or_lazy(variable: xr.Variable) -> xr.Variable:
    if variable.ndim > 1:
        return variable.chunk(dict(zip(variable.dims, variable.encoding["chunks"], strict=True)))
    loaded = variable.load()
    return loaded.astype(object) if loaded.dtype.kind == "T" else loaded


def _nothing(name: str, wanted: Mapping[str, Any], store: str | None) -> NotFoundError:
    table = list_products(store=store)
    same = table[table["product"] == name]
    if len(same):
        exists = f"it has {sorted({f'{row.unit} ({row.id})' for row in same.itertuples()})[:12]}"
    else:
        exists = f"it has the products {sorted(set(table['product']))}" if len(table) else "it is empty"
    asked = ", ".join(f"{key}={value!r}" for key, value in wanted.items())
    return NotFoundError(
        f"open_product: no {name!r}{f' with {asked}' if asked else ''} in {own(store).url}; {exists}. "
        f"Run the pipeline that makes it, as tasoc run photometry --until {name}; or look: tasoc products."
    )


def list_products(name: str | None = None, *, store: str | None = None) -> pd.DataFrame:
    """
    Return one row per complete product, the newest first.

    Columns: product, unit, sector, camera, ccd, field, id, tags, created (UTC), bytes, store, url.
    """
    rows = []
    tags = database.tags()
    for folder in stores(store):
        for ref in refs(folder, name and check_name(name)):
            rows.append(
                {
                    "product": ref.name,
                    "unit": ref.unit,
                    **parse_unit(ref.unit),
                    "id": ref.id,
                    "tags": ", ".join(tags.get((ref.name, ref.unit, ref.id), ())),
                    "created": ref.created,
                    "bytes": _bytes_of(ref),
                    "store": ref.store,
                    "url": ref.url,
                }
            )
    columns = "product unit sector camera ccd field id tags created bytes store url".split()
    table = pd.DataFrame(rows, columns=columns)
    table["created"] = pd.to_datetime(table["created"].astype(float), unit="s", utc=True)
    return table.sort_values("created", ascending=False, ignore_index=True)


@lru_cache(maxsize=200_000)
def _bytes_of(ref: ProductRef) -> int:
    """Return the size of a product; it is kept, for a product that is complete is never changed."""
    files = read_marker(Folder(ref.store), ref.key) or {}
    return sum(size for size, _ in files.values())
