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

__all__ = ["Shown", "asked", "as_number", "asked_tic", "nothing_yet", "unit_page"]

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
    return as_number(asked("tic"))


def as_number(text: str) -> int | None:
    """Return the number that a text of plain digits is; None for any other, and for more than 18."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


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
    unit, identity = asked("unit"), asked("id")
    fitting = [
        f"{row.unit}/{row.id}"
        for row in found.itertuples()
        if unit in ("", row.unit) and identity in ("", row.id)
    ]
    if fitting:
        return theme.choice("CCD", options=options, value=fitting[0])
    return theme.choice("CCD", options={"–": ""} | options, value="")


def _unknown_star(slug: str, shown: xr.Dataset) -> list[pmui.Paper]:
    """Say that the star that the address asks for is not there, where it is not."""
    said = asked("tic")[:40]
    if not said or not page_list.pages()[slug].of_a_star or "tic" not in shown.variables:
        return []
    tic = asked_tic()
    if tic is not None and (shown["tic"].values == tic).any():
        return []
    if tic is None:
        return [theme.empty(f"{said!r} is no TIC number", "A TIC number is made of digits, as 261136679.")]
    text = "It is not among the stars of this CCD; another star is shown."
    return [theme.empty(f"No TIC {tic} here", text, [f"tasoc where {tic}"])]


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

    def show(chosen: str, first: bool = False) -> None:
        if not chosen:
            wanted = " ".join(filter(None, (asked("unit"), asked("id"))))[:60]
            text = f"The store has no {lacks} of {wanted!r}; choose another CCD on the side, or make them."
            main.objects = [theme.heading(title), theme.empty(f"No {lacks} of this", text, makes)]
            return
        unit, identity = chosen.split("/")
        row = found[(found["unit"] == unit) & (found["id"] == identity)].iloc[0]
        try:
            product_shown = _open(row)
            shown = make(product_shown)
        except TasocKitError as error:
            sidebar.objects = []
            main.objects = [theme.heading(title), theme.empty("This cannot be shown", str(error))]
            return
        unknown = _unknown_star(slug, product_shown) if first else []
        sidebar.objects, main.objects = shown.sidebar(), [*unknown, *shown.main()]
        if after is not None:
            pn.state.onload(partial(after, shown))
        theme.in_address(unit=unit, id=identity)

    choice.param.watch(lambda event: show(event.new), "value")
    show(choice.value, first=True)
    return theme.make_page(slug, sidebar=[choice, sidebar], main=[main], width=width)
