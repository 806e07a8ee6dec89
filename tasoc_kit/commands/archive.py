"""``tasoc archive``: products to another store and back, by their ids and with all they descend from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tasoc_kit.commands.options import OPTIONS
from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError, without_secrets

if TYPE_CHECKING:
    from tasoc_kit.storage.folders import Folder
    from tasoc_kit.storage.units import ProductRef

__all__ = ["app"]

app = typer.Typer(help="Products to another store and back, with their lineage.", **OPTIONS)

Remote = Annotated[str, typer.Argument(help="The other store: s3://bucket/store, or a folder.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids, or their first digits. All by default.")]
Product = Annotated[str | None, typer.Option(help="Only products of this name.")]
Unit = Annotated[str | None, typer.Option(help="Only this unit, as s0001-1-2.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be copied; copy nothing.")]


@app.command()
def push(
    remote: Remote, ids: Ids = None, product: Product = None, unit: Unit = None, dry_run: DryRun = False
) -> None:
    """
    Copy products from our store to another one; what it has already is kept.

    [bold]Examples[/]

    tasoc archive push s3://bucket/store 2cc5d4f48b57

    tasoc archive push /mnt/archive --product light_curves --dry-run
    """
    ours, theirs = _stores(remote)
    _copy(ours, theirs, _chosen(ours, ids, product, unit), dry_run=dry_run, own=False)


@app.command()
def pull(
    remote: Remote, ids: Ids = None, product: Product = None, unit: Unit = None, dry_run: DryRun = False
) -> None:
    """
    Copy products from another store to ours, and enter them into the database.

    [bold]Example[/]

    tasoc archive pull s3://bucket/store --product light_curves --unit s0001-1-2
    """
    ours, theirs = _stores(remote)
    _copy(theirs, ours, _chosen(theirs, ids, product, unit), dry_run=dry_run, own=True)


@app.command()
def verify(
    store: Annotated[str | None, typer.Argument(help="A store; ours by default.")] = None,
    ids: Ids = None,
    product: Product = None,
    unit: Unit = None,
) -> None:
    """
    Read every byte of products and hold it against its checksum.

    [bold]Examples[/]

    tasoc archive verify

    tasoc archive verify s3://bucket/store 2cc5d4f48b57
    """
    from tasoc_kit.commands.look import as_size, console, table
    from tasoc_kit.storage import inventory
    from tasoc_kit.storage.folders import Folder

    folder = Folder(store or settings().store)
    rows, size = [], 0
    for ref in _chosen(folder, ids, product, unit):
        with console.status(f"reading {ref.key}"):
            bad = inventory.verify(folder, ref.key)
        size += sum(number for number, _ in (inventory.read_marker(folder, ref.key) or {}).values())
        rows.append((ref.name, ref.unit, ref.id, "broken" if bad else "ok", ", ".join(bad[:3])))
    table(
        without_secrets(folder.url),
        ("product", "unit", "id", "state", "files that are not as they were written"),
        rows,
    )
    broken = sum(row[3] == "broken" for row in rows)
    console.print(f"{len(rows)} products, {as_size(size)} read, {broken} broken")
    raise typer.Exit(int(broken > 0))


def _stores(remote: str) -> tuple[Folder, Folder]:
    from tasoc_kit.storage.folders import Folder

    ours, theirs = Folder(settings().store), Folder(remote)
    if ours.url == theirs.url or (ours.local and theirs.local and ours.root == theirs.root):
        raise StoreError(f"archive: {remote} is our own store; expected another one. Name it.")
    return ours, theirs


def _chosen(folder: Folder, ids: list[str] | None, product: str | None, unit: str | None) -> list[ProductRef]:
    """Return the products of a store that a person named."""
    from tasoc_kit.storage.units import check_name, check_unit, parse_unit
    from tasoc_kit.store import refs

    wanted = parse_unit(check_unit(unit)) if unit else {}
    found = list(refs(folder, check_name(product) if product else None, wanted=wanted))
    asked = [beginning for beginning in ids or [] if beginning]
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


def _copy(source: Folder, target: Folder, heads: list[ProductRef], *, dry_run: bool, own: bool) -> None:
    """Copy products and their ancestors, and end with a table."""
    from rich.progress import Progress

    from tasoc_kit.commands.look import as_size, console, table
    from tasoc_kit.products import enter, with_lineage
    from tasoc_kit.storage.transfer import copy_logs, copy_product, to_copy

    chosen = with_lineage(source, heads)
    planned = [to_copy(source, target, ref.key) for ref in chosen]
    total = sum(one.bytes for one in planned)
    rows = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("products", total=total)
        for ref, one in zip(chosen, planned, strict=True):
            if one.files and not dry_run:
                copy_product(source, target, ref.key, progress=lambda number: bars.advance(task, number))
            if not dry_run:
                copy_logs(source, target, ref.unit, ref.id)
            if own and not dry_run:
                enter(target, ref)
            state = ("to do" if dry_run else "done") if one.files else "kept"
            rows.append((ref.name, ref.unit, ref.id, state, as_size(one.bytes)))
    table(
        without_secrets(f"{source.url} → {target.url}"),
        ("product", "unit", "id", "state", "size"),
        rows,
        ("size",),
    )
    todo = sum(bool(one.files) for one in planned)
    done = "would be copied" if dry_run else "were copied"
    console.print(f"{len(rows)} products with their lineage: {todo} {done}, {as_size(total)}")
