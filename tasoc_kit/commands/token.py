"""``tasoc token``: what people and programs show to be let in."""

from __future__ import annotations

from typing import Annotated

import typer

from tasoc_kit.commands.options import OPTIONS

__all__ = ["app"]

app = typer.Typer(help="Tokens for the API and the dashboards.", **OPTIONS)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, or what it is for.")],
    scope: Annotated[str, typer.Option(help="read, write (read, too) or admin (all).")] = "read",
    days: Annotated[float | None, typer.Option(help="How long it lasts. Default: until revoked.")] = None,
) -> None:
    """
    Make a token and show it, this once: only its hash is kept.

    [bold]Examples[/]

    tasoc token create alice --scope write --days 90

    TASOC_TOKEN=$(tasoc token create script --days 1)
    """
    from tasoc_kit.commands.look import errors
    from tasoc_kit.records.tokens import make_token

    typer.echo(make_token(name, scope, days=days))
    errors.print(
        f"Token of {name!r}, scope {scope}. It is not shown again; keep it where only you read it.",
        markup=False,
    )


@app.command(name="list")
def show() -> None:
    """
    List the tokens: whose, what they allow, until when, when they were last used (to half a day).

    [bold]Example[/]

    tasoc token list
    """
    from tasoc_kit.commands.look import console, show_frame
    from tasoc_kit.records.tokens import list_tokens

    found = list_tokens()
    if found.empty:
        console.print("No tokens. Make one: tasoc token create NAME")
        return
    for column in ("made", "expires", "used", "revoked"):
        found[column] = found[column].dt.strftime("%Y-%m-%d %H:%M").fillna("")
    show_frame("Tokens (times are UTC)", found, right=("token",))


@app.command()
def revoke(number: Annotated[int, typer.Argument(help="Its number in 'tasoc token list'.")]) -> None:
    """
    Let nobody in by a token from now on; sessions that it opened end, too.

    [bold]Example[/]

    tasoc token revoke 3
    """
    from tasoc_kit.commands.look import console
    from tasoc_kit.records.tokens import revoke_token

    revoke_token(number)
    console.print(f"Token {number} is revoked.")
