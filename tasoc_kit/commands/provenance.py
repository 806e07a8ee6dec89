"""``tasoc provenance``: what made a product; tags; why two products differ."""

from __future__ import annotations

from typing import Annotated

import typer

from tasoc_kit.commands.options import OPTIONS

__all__ = ["app"]

app = typer.Typer(help="What made a product; tags; why two products differ.", **OPTIONS)


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="Id of a product, or its first digits.")],  # noqa: A002
) -> None:
    """
    Show what made a product, and what made its inputs.

    [bold]Example[/]

    tasoc provenance show 2cc5d4f48b57
    """
    from tasoc_kit.commands.listing import show_provenance

    show_provenance(id)


@app.command()
def tag(
    tag: Annotated[str, typer.Argument(help="A word, as current or paper-1.")],
    id: Annotated[str, typer.Argument(help="Id of a product, or its first digits.")],  # noqa: A002
) -> None:
    """
    Point a tag at a product; [bold]current[/] is what opens where no id is given.

    [bold]Example[/]

    tasoc provenance tag paper-1 2cc5d4f48b57
    """
    from tasoc_kit.commands.look import console
    from tasoc_kit.products import tag_product

    ref = tag_product(tag, id)
    console.print(f"{tag} → {ref.name} {ref.unit} {ref.id}")


@app.command()
def diff(
    first: Annotated[str, typer.Argument(help="Id of a product.")],
    second: Annotated[str, typer.Argument(help="Id of another one.")],
) -> None:
    """
    Say why two products differ: settings, versions, libraries, input.

    [bold]Example[/]

    tasoc provenance diff 2cc5d4f48b57 6a4dd1ac9c94
    """
    from tasoc_kit.commands.look import show_frame
    from tasoc_kit.products import compare

    show_frame(f"{first} and {second}", compare(first, second))
