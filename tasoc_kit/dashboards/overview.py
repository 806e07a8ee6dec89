"""The first page: what the store holds, what was reviewed, and where to go."""

from __future__ import annotations

import html

import pandas as pd
import panel_material_ui as pmui

from tasoc_kit import database, store
from tasoc_kit.dashboards import products, theme
from tasoc_kit.errors import TasocKitError

__all__ = ["page", "units"]


def units(found: pd.DataFrame, reviews: pd.DataFrame) -> pd.DataFrame:
    """
    Return one row per CCD.

    Parameters
    ----------
    found
        As of ``store.list_products``, the newest first.
    reviews
        As of ``database.reviews``.

    Returns
    -------
    ``unit``, ``products`` (how many), ``bytes``, ``created`` (of the newest), ``light_curves``
    (id of the newest; empty where there is none), ``reviewed`` (stars with a verdict).
    """
    judged = reviews[reviews["verdict"] != ""]
    rows = []
    for unit, group in found.groupby("unit", sort=True):
        curves = group[group["product"] == "light_curves"]
        rows.append(
            {
                "unit": unit,
                "products": len(group),
                "bytes": int(group["bytes"].sum()),
                "created": group["created"].max(),
                "light_curves": "" if curves.empty else str(curves.iloc[0]["id"]),
                "reviewed": int(judged.loc[judged["unit"] == unit, "star"].nunique()),
            }
        )
    return pd.DataFrame(rows)


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def _card(row: pd.Series, found: pd.DataFrame) -> pmui.Paper:
    here = found[found["unit"] == row["unit"]]
    names = ", ".join(f"{p.product} <code>{p.id}</code>" for p in here.itertuples())
    sector, *place = str(row["unit"]).split("-")
    words = [
        f"Sector {int(sector[1:])}",
        *(f"{n} {v}" for n, v in zip(("camera", "CCD", "field"), place, strict=False)),
    ]
    cube = products.cube_of(str(row["unit"]))
    facts = {
        "products": names,
        "size": _size(int(row["bytes"])),
        "newest": f"{row['created']:%Y-%m-%d %H:%M} UTC",
        "reviewed": f"{row['reviewed']:,} stars",
    }
    if cube:
        facts["frames from"] = f"<code>{html.escape(cube)}</code>"
    go = []
    if row["light_curves"]:
        go.append(
            _button("Light curves", theme.link("light_curves", unit=row["unit"], id=row["light_curves"]))
        )
    go.append(_button("Frames", theme.link("frames", unit=row["unit"], cube=cube)))
    return theme.panel_card(theme.caption(" · ".join(words)), theme.readout(facts), pmui.Row(*go))


def _button(title: str, address: str) -> pmui.Button:
    return pmui.Button(label=title, href=address, variant="outlined", size="small")


def page() -> pmui.Page:
    """Return the page."""
    try:
        found, reviews = store.list_products(), database.reviews()
    except TasocKitError as error:
        trouble = theme.empty("The store cannot be read", str(error), ["tasoc doctor"])
        return theme.make_page("overview", main=[theme.heading("Overview"), trouble])
    head = theme.heading("Overview", "What the store holds, CCD by CCD.")
    if found.empty:
        return theme.make_page("overview", main=[head, _nothing_yet()])
    cards = [_card(row, found) for _, row in units(found, reviews).iterrows()]
    return theme.make_page("overview", main=[head, *cards])


def _nothing_yet() -> pmui.Paper:
    return theme.empty(
        "The store is empty",
        "Run the photometry pipeline; on its defaults it takes a small simulated sector. "
        "Frames can be looked at without any product, on the page Frames.",
        ["tasoc run photometry", "tasoc catalog list"],
    )
