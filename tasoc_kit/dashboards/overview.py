"""The first page: what the store holds, what was said of it, and where to go."""

from __future__ import annotations

import html

import pandas as pd
import panel_material_ui as pmui

from tasoc_kit import database, store
from tasoc_kit.dashboards import page_list, products, theme
from tasoc_kit.dashboards.verdicts import WHOLE_CCD
from tasoc_kit.errors import TasocKitError

__all__ = ["failed", "page", "units"]

_TOLD = 5
"""Of more failed runs than these the others are counted."""


def units(found: pd.DataFrame, reviews: pd.DataFrame) -> pd.DataFrame:
    """
    Return one row per CCD, the one with the newest product first.

    Parameters
    ----------
    found
        As of ``store.list_products``, the newest first.
    reviews
        As of ``database.reviews``.

    Returns
    -------
    ``unit``, ``products`` (how many), ``bytes``, ``created`` (of the newest), ``light_curves``
    (id of the newest; empty where there is none), ``reviewed`` (stars with a verdict), ``verdict``
    (the last one on the CCD as a whole; empty where there is none).
    """
    judged = reviews[reviews["verdict"] != ""]
    stars = judged[judged["star"] != WHOLE_CCD]
    whole = reviews[reviews["star"] == WHOLE_CCD].sort_values("review")
    rows = []
    for unit, group in found.groupby("unit", sort=True):
        curves = group[group["product"] == "light_curves"]
        identity = "" if curves.empty else str(curves.iloc[0]["id"])
        said = whole[(whole["unit"] == unit) & (whole["id"] == identity)]
        rows.append(
            {
                "unit": unit,
                "products": len(group),
                "bytes": int(group["bytes"].sum()),
                "created": group["created"].max(),
                "light_curves": identity,
                "reviewed": int(stars.loc[stars["unit"] == unit, "star"].nunique()),
                "verdict": "" if said.empty else str(said.iloc[-1]["verdict"]),
            }
        )
    table = pd.DataFrame(rows)
    return table.sort_values("created", ascending=False, kind="stable", ignore_index=True)


def failed(runs: pd.DataFrame) -> pd.DataFrame:
    """Return those of ``database.list_runs`` that failed or were killed, and did not end well since."""
    last = runs.drop_duplicates(["unit", "notebook"])  # the newest come first
    return last[last["status"].isin(["failed", "killed"])]


def _failed_card(runs: pd.DataFrame) -> list[pmui.Paper]:
    found = failed(runs)
    if found.empty:
        return []
    told = "".join(
        f"<p>{html.escape(products.name_of(run.unit))} · {html.escape(run.notebook)}<br>"
        f"<span class='soft'>{html.escape(str(run.message or run.status)[:400])}</span></p>"
        for run in found.head(_TOLD).itertuples()
    )
    more = f"<p>and {len(found) - _TOLD:,} more</p>" if len(found) > _TOLD else ""
    text = "What was made before is kept: run the same command again, and it goes on where it ended."
    return [
        theme.panel_card(
            theme.markup(
                f"<h2>✕ Runs that failed</h2>{told}{more}"
                f"<p class='soft'>{text}</p><pre><code>tasoc status</code></pre>"
            )
        )
    ]


def _problems_card() -> list[pmui.Paper]:
    """Say what is wrong with pages that other packages bring."""
    told = "".join(f"<p>{html.escape(problem)}</p>" for problem in page_list.problems())
    return [theme.panel_card(theme.markup(f"<h2>✕ Pages of other packages</h2>{told}"))] if told else []


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def _card(row: pd.Series, found: pd.DataFrame, cube: dict[str, str]) -> str:
    here = found[found["unit"] == row["unit"]]
    facts = {
        "made": f"{row['created']:%Y-%m-%d %H:%M} UTC",
        "frames": f"<code>{html.escape(cube['cube'])}</code>" if cube else "not known",
        "stars": f"{row['reviewed']:,} reviewed",
        "CCD": {"": "not judged yet", "accept": "✓ accepted", "reject": "✕ rejected"}[row["verdict"]],
    }
    ids = {p.product: f"<code>{p.id}</code>" for p in here.itertuples()}
    newest = here.drop_duplicates("product").set_index("product")["id"]
    queries = {
        page: {"unit": row["unit"], "id": newest[product]}
        for page, product in page_list.shows().items()
        if product in newest.index
    }
    if cube:
        queries |= {page: cube for page, product in page_list.shows().items() if product == "cube"}
    go = [
        theme.button_link(page.title, theme.link(slug, **queries[slug]))
        for slug, page in page_list.pages().items()
        if slug in queries
    ]
    return (
        f"<article><h2>{html.escape(products.name_of(str(row['unit'])))}</h2>{theme.facts_markup(facts)}"
        f"<details><summary>{row['products']} products, {_size(row['bytes'])}</summary>"
        f"{theme.facts_markup(ids)}</details><div class='go'>{''.join(go)}</div></article>"
    )


def page() -> pmui.Page:
    """Return the page."""
    try:
        found, reviews, cubes = store.list_products(), database.reviews(), products.cubes()
        trouble = [*_problems_card(), *_failed_card(database.list_runs())]
    except TasocKitError as error:
        unread = theme.empty("The store cannot be read", str(error), ["tasoc doctor"])
        return theme.make_page("overview", main=[theme.heading("Overview"), unread])
    if found.empty:
        return theme.make_page("overview", main=[theme.heading("Overview"), *trouble, _nothing_yet()])
    table = units(found, reviews)
    cards = "".join(_card(row, found, cubes.get(str(row["unit"]), {})) for _, row in table.iterrows())
    ccds = "1 CCD" if len(table) == 1 else f"{len(table):,} CCDs"
    head = theme.heading("Overview", f"{ccds} in the store, the newest first.")
    return theme.make_page(
        "overview", main=[head, *trouble, theme.markup(f"<div class='cards'>{cards}</div>")]
    )


def _nothing_yet() -> pmui.Paper:
    return theme.empty(
        "The store is empty",
        "Run the photometry pipeline; on its defaults it takes a small simulated sector. "
        "Frames can be looked at without any product, on the page Frames.",
        ["tasoc run photometry", "tasoc catalog list"],
    )
