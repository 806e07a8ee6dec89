"""The frame of a page that shows one product of one CCD: choice, deep link, empty state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import pandas as pd
import panel as pn
import panel_material_ui as pmui
import xarray as xr

from tasoc_kit import store
from tasoc_kit.dashboards import page_list, products, theme
from tasoc_kit.errors import TasocKitError

__all__ = ["Shown", "asked", "asked_tic", "nothing_yet", "unit_page"]

_MAKES = ("tasoc run photometry", "tasoc run photometry --cube PATH --sector 1 --camera 1 --ccd 2")


class Shown(Protocol):
    """What a page shows of one product."""

    def sidebar(self) -> list[Any]:
        """Return what stands beside."""

    def main(self) -> list[Any]:
        """Return what stands in the middle."""


def asked(name: str) -> str:
    """Return what the address of the page asks for under a name; empty where it does not."""
    values = pn.state.session_args.get(name, [b""])
    return str(values[0].decode(errors="replace"))


def asked_tic() -> int | None:
    """Return the TIC number in the address of the page."""
    tic = asked("tic")
    return int(tic) if tic.isdigit() else None


def nothing_yet(lacks: str, about: str, makes: Sequence[str] = _MAKES) -> pmui.Paper:
    """Return what stands on a page that the store has no product for: what it shows, and how to make some."""
    text = f"{about} Make some from the simulated sector, or from your own files:"
    return theme.empty(f"No {lacks} yet", text, makes)


def _open(row: pd.Series) -> xr.Dataset:
    place = {name: None if pd.isna(row[name]) else int(row[name]) for name in products.PLACE}
    return store.open_product(row["product"], **place, field=row["field"] or "", id=row["id"])


def _choice(found: pd.DataFrame) -> pn.widgets.Select:
    options = {
        f"{products.name_of(row.unit)} · {row.id}": f"{row.unit}/{row.id}" for row in found.itertuples()
    }
    choice = theme.choice("CCD", options=options)
    wanted = f"{asked('unit')}/{asked('id')}"
    of_the_unit = [value for value in options.values() if value.startswith(f"{asked('unit')}/")]
    if wanted in options.values():
        choice.value = wanted
    elif asked("unit") and of_the_unit:
        choice.value = of_the_unit[0]
    return choice


def unit_page(
    slug: str,
    product: str,
    make: Callable[[xr.Dataset], Shown],
    *,
    lacks: str,
    about: str,
    makes: Sequence[str] = _MAKES,
    after: Callable[[Any], Any] | None = None,
    width: int = 320,
) -> pmui.Page:
    """
    Return a page; what it shows is asked for by ``?unit=…&id=…``, else it is the newest product.

    Parameters
    ----------
    slug
        Of the page.
    product
        Name of the product it shows.
    make
        Product → what is shown of it; a TasocKitError it raises is shown to people.
    lacks, about
        What is not there while the store has no such product, and what the page is for.
    makes
        Commands that make one.
    after
        Called with what is shown once the page is on the screen; may be a coroutine.
    width
        Of the sidebar, in screen pixels.
    """
    title = page_list.pages()[slug].title
    try:
        found = products.units_with(product)
    except TasocKitError as error:
        trouble = theme.empty("The store cannot be read", str(error), ["tasoc doctor"])
        return theme.make_page(slug, main=[theme.heading(title), trouble])
    if found.empty:
        return theme.make_page(slug, main=[theme.heading(title), nothing_yet(lacks, about, makes)])
    choice = _choice(found)
    sidebar, main = pn.Column(sizing_mode="stretch_width"), pn.Column(sizing_mode="stretch_width")

    def show(chosen: str) -> None:
        unit, identity = chosen.split("/")
        row = found[(found["unit"] == unit) & (found["id"] == identity)].iloc[0]
        try:
            shown = make(_open(row))
        except TasocKitError as error:
            sidebar.objects = []
            main.objects = [theme.heading(title), theme.empty("This cannot be shown", str(error))]
            return
        sidebar.objects, main.objects = shown.sidebar(), shown.main()
        if after is not None:
            pn.state.onload(partial(after, shown))
        theme.in_address(unit=unit, id=identity)

    choice.param.watch(lambda event: show(event.new), "value")
    show(choice.value)
    return theme.make_page(slug, sidebar=[choice, sidebar], main=[main], width=width)
