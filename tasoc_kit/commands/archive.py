"""``tasoc archive``: products to another store and back, by their ids and with all they descend from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from tasoc_kit.commands.options import OPTIONS
from tasoc_kit.config import settings
from tasoc_kit.errors import without_secrets

if TYPE_CHECKING:
    import pandas as pd

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
    from tasoc_kit.archive import push_products

    with _bar("products") as progress:
        copied = push_products(
            remote, ids or (), product=product, unit=unit, dry_run=dry_run, progress=progress
        )
    _show(f"{settings().store} → {remote}", copied, dry_run)


@app.command()
def pull(
    remote: Remote, ids: Ids = None, product: Product = None, unit: Unit = None, dry_run: DryRun = False
) -> None:
    """
    Copy products from another store to ours, and enter them into the database.

    [bold]Example[/]

    tasoc archive pull s3://bucket/store --product light_curves --unit s0001-1-2
    """
    from tasoc_kit.archive import pull_products

    with _bar("products") as progress:
        copied = pull_products(
            remote, ids or (), product=product, unit=unit, dry_run=dry_run, progress=progress
        )
    _show(f"{remote} → {settings().store}", copied, dry_run)


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
    from tasoc_kit.archive import verify_products
    from tasoc_kit.commands.look import as_size, console, table

    with _bar("products") as progress:
        read = verify_products(store, ids or (), product=product, unit=unit, progress=progress)
    rows = [(*row[:4], ", ".join(row.broken[:3])) for row in read.itertuples(index=False)]
    table(
        without_secrets(store or settings().store),
        ("product", "unit", "id", "state", "files that are not as they were written"),
        rows,
    )
    broken = int((read["state"] == "broken").sum())
    console.print(f"{len(read)} products, {as_size(read['bytes'].sum())} read, {broken} broken")
    raise typer.Exit(int(broken > 0))


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import Progress

    from tasoc_kit.commands.look import console

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _show(title: str, copied: pd.DataFrame, dry_run: bool) -> None:
    """Say what was copied, or would be."""
    from tasoc_kit.commands.look import as_size, console, table

    rows = [(*row[:4], as_size(row.bytes)) for row in copied.itertuples(index=False)]
    table(without_secrets(title), ("product", "unit", "id", "state", "size"), rows, ("size",))
    told = "would be copied" if dry_run else "were copied"
    number, size = int((copied["state"] != "kept").sum()), as_size(copied["bytes"].sum())
    console.print(f"{len(copied)} products with their lineage: {number} {told}, {size}")
