"""``tasoc catalog``: the data that opens by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tasoc_kit.commands.options import OPTIONS

__all__ = ["app"]

app = typer.Typer(help="The data that opens by name.", **OPTIONS)


@app.command("list")
def list_() -> None:
    """
    List the entries of the catalogs.

    [bold]Example[/]

    tasoc catalog list
    """
    from tasoc_kit import catalog
    from tasoc_kit.commands.look import console, show_frame

    show_frame("catalog entries", catalog.entries()[["entry", "description"]])
    console.print("What one takes: tasoc catalog describe ENTRY")


@app.command()
def describe(entry: Annotated[str, typer.Argument(help="Name of the entry.")]) -> None:
    """
    Show the parameters of an entry.

    [bold]Example[/]

    tasoc catalog describe ffi.tess
    """
    from tasoc_kit import catalog
    from tasoc_kit.commands.look import show_frame

    show_frame(entry, catalog.describe(entry))


@app.command()
def check() -> None:
    """
    Say of every entry whether it can be used.

    [bold]Example[/]

    tasoc catalog check
    """
    from tasoc_kit import catalog
    from tasoc_kit.commands.look import show_frame

    checked = catalog.check()
    show_frame("catalog entries", checked)
    raise typer.Exit(int((checked["state"] == "broken").any()))


@app.command()
def index(
    source: Annotated[str, typer.Argument(help="Folder, glob or file of FFIs; path or URL.")],
    output: Annotated[Path | None, typer.Argument(help="Parquet file to write.")] = None,
    sector: Annotated[int | None, typer.Option(help="Sector; leaves out files of others.")] = None,
    camera: Annotated[int | None, typer.Option(help="Camera, 1 to 4.")] = None,
    ccd: Annotated[int | None, typer.Option(help="CCD, 1 to 4.")] = None,
) -> None:
    """
    Scan the headers of FFIs into an index.

    [bold]Example[/]

    tasoc catalog index frames/ s0014.parquet
    """
    from tasoc_kit.commands.listing import index_frames

    index_frames(source, output, sector=sector, camera=camera, ccd=ccd)
