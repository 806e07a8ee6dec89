"""``tasoc database``: the tables of runs, tags and reviews."""

from __future__ import annotations

import typer

from tasoc_kit.commands.options import OPTIONS

__all__ = ["app"]

app = typer.Typer(help="The database of runs, tags and reviews.", **OPTIONS)


@app.command()
def upgrade() -> None:
    """
    Bring the tables to the version of this package; nothing is lost.

    [bold]Example[/]

    tasoc database upgrade
    """
    from tasoc_kit import database
    from tasoc_kit.commands.look import console

    console.print(f"database: version {database.upgrade()}")


@app.command()
def rebuild() -> None:
    """
    Make products and provenance anew from the store.

    [bold]Example[/]

    tasoc database rebuild
    """
    from tasoc_kit.commands.look import console
    from tasoc_kit.products import rebuild

    console.print(f"database: {rebuild()} products")
