"""``tasoc api``: serve what the store holds to programs."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["api"]


def api(
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    public: Annotated[
        bool | None,
        typer.Option(
            "--public/--no-public",
            help="Whether anybody may read without a token. Default: TASOC_PUBLIC, else only on loopback.",
        ),
    ] = None,
    root_path: Annotated[
        str | None, typer.Option(help="Path below which a proxy serves it, as /tasoc; the Hub says its own.")
    ] = None,
    proxy: Annotated[
        str, typer.Option(help="Address of the proxy in front, whose X-Forwarded-For is believed.")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    limit: Annotated[
        list[str] | None, typer.Option(help="NAME=NUMBER, as rate=50; may be repeated. See docs/api.md.")
    ] = None,
    log: Annotated[bool, typer.Option("--log/--quiet", help="Write a line for every request.")] = True,
) -> None:
    """
    Serve products, light curves, frames and jobs over HTTP; its reference is at /docs.

    [bold]Examples[/]

    tasoc api

    tasoc api --address 0.0.0.0 --port 8080 --limit rate=50
    """
    try:
        from tasoc_kit.api.limits import Limits
        from tasoc_kit.api.server import Place, serve
    except ImportError as error:
        from tasoc_kit.errors import TasocKitError, install_line

        raise TasocKitError(
            f"tasoc api: {error}; expected what the API is made of. Install it: {install_line('api')}."
        ) from None
    from tasoc_kit.commands.look import console
    from tasoc_kit.hub_users import end_with_hub, prefix

    place = Place(address, port, public, prefix() if root_path is None else _path(root_path), proxy)

    def ready(url: str) -> None:
        who = "anybody may read" if place.open_to_all else "nobody is let in without a token"
        console.print(f"API at {url} (Ctrl-C ends it): {who}; writing needs a token (tasoc token create).")

    end_with_hub()
    serve(place, limits=Limits.read(limit or ()), workers=workers, log=log, ready=ready)


def _path(text: str) -> str:
    return "/" + text.strip("/") if text.strip("/") else ""
