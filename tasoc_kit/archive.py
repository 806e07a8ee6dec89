"""Products to another store and back, by their ids and with what they descend from; whether they are whole.

A product has the same bytes and the same id in every store, so what the other one has already is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError
from tasoc_kit.products import enter, with_lineage
from tasoc_kit.storage import inventory
from tasoc_kit.storage.folders import Folder
from tasoc_kit.storage.transfer import copy_logs, copy_product, to_copy
from tasoc_kit.storage.units import ProductRef, check_name, check_unit, parse_unit
from tasoc_kit.store import refs

__all__ = ["pull_products", "push_products", "verify_products"]

Progress = Callable[[int, int], None]
COPIED = ["product", "unit", "id", "state", "bytes"]
VERIFIED = ["product", "unit", "id", "state", "bytes", "broken"]


def push_products(
    remote: str,
    ids: Sequence[str] = (),
    *,
    product: str | None = None,
    unit: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """
    Copy products of our store, with all they descend from, to another one.

    Parameters
    ----------
    remote
        The other store: a folder or any fsspec URL.
    ids
        Ids, or their first digits; by default all products.
    product, unit
        Only products of this name, or of this unit, as ``s0001-1-2``.
    dry_run
        Copy nothing, and say what would be.
    progress
        Called with the bytes written and those of all.

    Returns
    -------
    One row a product, ancestors first: product, unit, id, state (``done``, ``kept`` or ``to do``) and the
    bytes that the other store lacked.

    Raises
    ------
    StoreError
        If nothing fits, the stores are one and the same, a file is not what it was, or the target cannot be
        written. What was copied until then stays, and the next call goes on.
    """
    ours, theirs = _stores(remote)
    return _copy(ours, theirs, _chosen(ours, ids, product, unit), dry_run, progress)


def pull_products(
    remote: str,
    ids: Sequence[str] = (),
    *,
    product: str | None = None,
    unit: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """
    Copy products of another store to ours, and enter them into the database.

    Takes, returns and raises what :func:`push_products` does.
    """
    ours, theirs = _stores(remote)
    chosen = _chosen(theirs, ids, product, unit)

    def enter_here(ref: ProductRef) -> None:
        enter(ours, replace(ref, store=ours.url))

    return _copy(theirs, ours, chosen, dry_run, progress, enter_here)


def verify_products(
    store: str | None = None,
    ids: Sequence[str] = (),
    *,
    product: str | None = None,
    unit: str | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """
    Read every byte of products and hold it against its checksum.

    Parameters
    ----------
    store
        A store; by default ours.
    ids, product, unit
        As :func:`push_products` takes them.
    progress
        Called with the number of products read and of all.

    Returns
    -------
    One row a product: product, unit, id, state (``ok`` or ``broken``), bytes, and the files that are not as
    they were written.
    """
    folder = Folder(store or settings().store)
    chosen, rows = _chosen(folder, ids, product, unit), []
    for number, ref in enumerate(chosen, start=1):
        broken = inventory.verify(folder, ref.key)
        size = sum(number for number, _ in (inventory.read_marker(folder, ref.key) or {}).values())
        rows.append((ref.name, ref.unit, ref.id, "broken" if broken else "ok", size, broken))
        if progress:
            progress(number, len(chosen))
    return pd.DataFrame(rows, columns=VERIFIED)


def _stores(remote: str) -> tuple[Folder, Folder]:
    ours, theirs = Folder(settings().store), Folder(remote)
    if ours.url == theirs.url or (ours.local and theirs.local and ours.root == theirs.root):
        raise StoreError(f"archive: {remote} is our own store; expected another one. Name it.")
    return ours, theirs


def _chosen(folder: Folder, ids: Sequence[str], product: str | None, unit: str | None) -> list[ProductRef]:
    """Return the products of a store that a person named."""
    wanted = parse_unit(check_unit(unit)) if unit else {}
    found = list(refs(folder, check_name(product) if product else None, wanted=wanted))
    asked = [beginning for beginning in ids if beginning]
    for beginning in asked:
        fitting = {ref.id for ref in found if ref.id.startswith(beginning)}
        if len(fitting) != 1:
            raise StoreError(
                f"store {folder.url}: id {beginning!r} fits {len(fitting)} products {sorted(fitting)[:6]}; "
                "expected one. Give more digits of the id, or look: tasoc products."
            )
    chosen = [ref for ref in found if not asked or any(map(ref.id.startswith, asked))]
    if not chosen:
        raise StoreError(
            f"store {folder.url}: nothing of what was asked for; it has {len(list(refs(folder)))} products. "
            "Correct product or unit, or look: tasoc products."
        )
    return chosen


def _copy(
    source: Folder,
    target: Folder,
    heads: list[ProductRef],
    dry_run: bool,
    progress: Progress | None,
    arrived: Callable[[ProductRef], None] = lambda ref: None,
) -> pd.DataFrame:
    """Copy products and their ancestors, ancestors first, and tell of each that is there."""
    chosen = with_lineage(source, heads)
    planned = [to_copy(source, target, ref.key) for ref in chosen]
    total, written, rows = sum(one.bytes for one in planned), 0, []

    def tell(number: int) -> None:
        nonlocal written
        written += number
        if progress:
            progress(written, total)

    for ref, one in zip(chosen, planned, strict=True):
        if not dry_run:
            if one.files:
                copy_product(source, target, ref.key, progress=tell)
            copy_logs(source, target, ref.unit, ref.id)
            arrived(ref)
        state = ("to do" if dry_run else "done") if one.files else "kept"
        rows.append((ref.name, ref.unit, ref.id, state, one.bytes))
    return pd.DataFrame(rows, columns=COPIED)
