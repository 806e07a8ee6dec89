"""What a person does with the products of a store: trace, compare, tag, prune, enter into the database."""

from __future__ import annotations

import graphlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd
import xarray as xr

from tasoc_kit import database
from tasoc_kit.errors import NotFoundError, StoreError
from tasoc_kit.provenance import diff, lineage
from tasoc_kit.storage.folders import SCRATCH, Folder
from tasoc_kit.storage.inventory import DATA, MARKER, read_marker, verify
from tasoc_kit.storage.locks import hold
from tasoc_kit.storage.units import ProductRef, is_id, is_name, parse_unit, product_unit
from tasoc_kit.store import enter as enter_product
from tasoc_kit.store import find_product, open_ref, own, record, refs, stores

__all__ = [
    "compare",
    "damaged_files",
    "find_id",
    "open_ancestor",
    "open_sibling",
    "prune",
    "rebuild",
    "show",
    "tag_product",
]

PRUNE_COLUMNS = ["product", "unit", "id", "reason", "bytes", "url"]


def _attributes(folder: Folder, ref: ProductRef) -> dict[str, Any]:
    """Return the attributes of a product without opening its data."""
    text = folder.get(f"{ref.key}/{DATA}/zarr.json")
    try:
        return dict(json.loads(text or b"{}").get("attributes", {}))
    except ValueError:
        return {}


def _records(folder: Folder, ref: ProductRef) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(_attributes(folder, ref).get("provenance", "{}"))
        return {id_: dict(made) for id_, made in found.items()}
    except (ValueError, TypeError, AttributeError):
        raise _unreadable(folder, ref) from None


def _unreadable(folder: Folder, ref: ProductRef) -> StoreError:
    return StoreError(
        f"store {folder.url}: {ref.key} does not say what made it; expected records of its steps. "
        "Make it again, or take it from another store."
    )


def find_id(beginning: str, *, store: str | None = None) -> ProductRef:
    """
    Return the product whose id begins so.

    Raises
    ------
    StoreError
        If there is none, or more than one.
    """
    found: dict[str, ProductRef] = {}
    for folder in stores(store):
        for ref in refs(folder):
            if beginning and ref.id.startswith(beginning):
                found.setdefault(ref.key, ref)
    if len(found) != 1:
        what = f"{len(found)} products: {sorted(found)[:6]}" if found else "no product"
        raise (StoreError if found else NotFoundError)(
            f"store {own(store).url}: id {beginning!r} fits {what}; expected one. "
            "Give more digits of the id; 'tasoc products' lists them."
        )
    return next(iter(found.values()))


def show(beginning: str, *, store: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the records of a product and of all its ancestors by id, the product first."""
    ref = find_id(beginning, store=store)
    records = _records(Folder(ref.store), ref)
    ordered: dict[str, dict[str, Any]] = {}
    waiting = [ref.id]
    while waiting:
        id_ = waiting.pop(0)
        if id_ in records and id_ not in ordered:
            ordered[id_] = records[id_]
            waiting += records[id_].get("parents", [])
    return ordered


def with_lineage(folder: Folder, heads: Iterable[ProductRef]) -> list[ProductRef]:
    """Return products and all that they descend from in the same store, those first."""
    there = {(ref.unit, ref.id): ref for ref in refs(folder)}
    ordered: dict[str, ProductRef] = {}
    for head in heads:
        parents = {id_: made.get("parents", []) for id_, made in _records(folder, head).items()}
        try:
            order = list(graphlib.TopologicalSorter(parents).static_order())
        except (graphlib.CycleError, TypeError):
            raise _unreadable(folder, head) from None
        for id_ in order:
            ref = there.get((head.unit, id_))
            if ref is not None:
                ordered[ref.key] = ref
        ordered[head.key] = head
    return list(ordered.values())


def enter(folder: Folder, ref: ProductRef) -> None:
    """Enter a product that came from elsewhere into the database."""
    record(ref, _attributes(folder, ref))


def compare(first: str, second: str, *, store: str | None = None) -> pd.DataFrame:
    """
    Return why two products differ: every setting, version or library, here or in an ancestor.

    Columns: step, name, first, second. A step that only one of them descends from has its id in
    place of a value. Parents are left out, for their own rows say what differs.
    """
    one, two = (
        {row["step"]: (id_, row) for id_, row in show(x, store=store).items()} for x in (first, second)
    )
    rows = []
    for step in [*one, *(step for step in two if step not in one)]:
        if step not in one or step not in two:
            ids = [side[step][0] if step in side else None for side in (one, two)]
            rows.append((step, "id", *ids))
            continue
        for name, values in diff(one[step][1], two[step][1]).items():
            if name != "parents":
                rows.append((step, name, *values))
    return pd.DataFrame(rows, columns=["step", "name", "first", "second"])


def open_ancestor(dataset: xr.Dataset, product: str, *, store: str | None = None) -> xr.Dataset | None:
    """Return the very product of this name that a Dataset was made from; None where it is no longer there."""
    ancestors, unit = lineage(dataset), parse_unit(product_unit(dataset))
    for folder in stores(store):
        for ref in refs(folder, product, wanted=unit):
            if ref.id in ancestors:
                return open_ref(ref)
    return None


def open_sibling(dataset: xr.Dataset, product: str, *, store: str | None = None) -> xr.Dataset | None:
    """
    Return the product of this name and unit that shares most ancestors with a Dataset, or None.

    Of those that share as many it is the one that ``find_product`` returns, else the newest.
    """
    ancestors, unit = lineage(dataset).keys(), parse_unit(product_unit(dataset))
    usual = find_product(product, **unit, store=store)
    if usual is None:
        return None
    found = [(folder, ref) for folder in stores(store) for ref in refs(folder, product, wanted=unit)]

    def kinship(one: tuple[Folder, ProductRef]) -> tuple[int, bool, float]:
        folder, ref = one
        return len(ancestors & _records(folder, ref).keys()), ref.id == usual.id, ref.created

    return open_ref(max(found, key=kinship)[1])


def tag_product(tag: str, beginning: str, *, store: str | None = None) -> ProductRef:
    """Point a tag at the product whose id begins so; ``current`` is what opens without a tag."""
    database.check_tag(tag)
    ref = find_id(beginning, store=store)
    database.set_tag(tag, ref.name, ref.unit, ref.id)
    return ref


def damaged_files(beginning: str, *, store: str | None = None) -> list[str]:
    """Return the files of a product whose bytes are not those that were written; this reads them all."""
    ref = find_id(beginning, store=store)
    return verify(Folder(ref.store), ref.key)


def rebuild(store: str | None = None) -> int:
    """Make the database's products, provenance and stars anew from the store; return how many products."""
    folder = own(store)

    def enter_all() -> int:
        found = list(refs(folder))
        for ref in found:
            enter_product(ref, _attributes(folder, ref))
        return len(found)

    return database.replace_products(enter_all)


def prune(*, dry_run: bool = True, store: str | None = None) -> pd.DataFrame:
    """
    Return what may go, and with ``dry_run=False`` remove it.

    A product goes if it has no tag, a newer one of the same name and unit exists, and no product
    that stays descends from it. What killed runs left goes, unless a run is writing it now.
    Shared stores are never touched.

    Returns
    -------
    One row per folder: product, unit, id, reason (``superseded``, ``orphan`` or ``journal``),
    bytes, url.
    """
    folder = own(store)
    complete = {ref.key: ref for ref in refs(folder)}
    kept = _kept(folder, list(complete.values()))
    rows = [
        (ref.name, ref.unit, ref.id, "superseded", sum(size for size, _ in _files(folder, key)), ref.url)
        for key, ref in sorted(complete.items())
        if key not in kept
    ]
    rows += [
        (*key.split("/")[-3:], reason, sum(folder.sizes(key).values()), f"{folder.url}/{key}")
        for key, reason in _leftovers(folder, complete)
    ]
    if not dry_run:
        for name, unit, id_, reason, _, url in rows:
            _remove(folder, ProductRef(name, unit, id_, folder.url, 0.0), reason, url)
    return pd.DataFrame(rows, columns=PRUNE_COLUMNS)


def _files(folder: Folder, key: str) -> list[list[Any]]:
    return list((read_marker(folder, key) or {}).values())


def _kept(folder: Folder, complete: list[ProductRef]) -> set[str]:
    """Return the tagged, the newest of each name and unit, and all that these descend from."""
    tagged = set(database.tags())
    newest: dict[tuple[str, str], ProductRef] = {}
    for ref in sorted(complete, key=lambda ref: (ref.created, ref.id)):
        newest[ref.name, ref.unit] = ref
    heads = [ref for ref in complete if (ref.name, ref.unit, ref.id) in tagged or ref in newest.values()]
    ancestors = {id_ for ref in heads for id_ in _records(folder, ref)}
    return {ref.key for ref in complete if ref in heads or ref.id in ancestors}


def _leftovers(folder: Folder, complete: Mapping[str, ProductRef]) -> Iterator[tuple[str, str]]:
    """Yield folders without a marker, and journals, that no run is writing."""
    candidates = [(key, "orphan") for key in _product_folders(folder, "") if key not in complete]
    candidates += [(key, "journal") for key in _product_folders(folder, f"{SCRATCH}/")]
    for key, reason in candidates:
        if _is_idle(folder, "/".join(key.split("/")[-3:])):
            yield key, reason


def _product_folders(folder: Folder, start: str) -> Iterator[str]:
    for name in filter(is_name, folder.names(start.rstrip("/"))):
        for unit in filter(parse_unit, folder.names(f"{start}{name}")):
            for id_ in filter(is_id, folder.names(f"{start}{name}/{unit}")):
                yield f"{start}{name}/{unit}/{id_}"


def _is_idle(folder: Folder, key: str) -> bool:
    try:
        with hold(folder, key):
            return True
    except StoreError:
        return False


def _remove(folder: Folder, ref: ProductRef, reason: str, url: str) -> None:
    """Remove one folder while nobody writes it; the marker goes first, so no half product is seen."""
    with hold(folder, ref.key):
        if reason == "orphan" and read_marker(folder, ref.key) is not None:
            return
        if reason == "superseded":
            folder.remove(f"{ref.key}/{MARKER}")
            database.remove_product(ref.name, ref.unit, ref.id)
        folder.remove(url.removeprefix(f"{folder.url}/"))
