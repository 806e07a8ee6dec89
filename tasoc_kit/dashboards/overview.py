"""The first page: what the store holds, what ran last, how far each pipeline is, and where to go."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd
import panel as pn
import panel_material_ui as pmui

from tasoc_kit import database, store
from tasoc_kit.dashboards import page_list, products, theme
from tasoc_kit.dashboards.holdings import Progress, as_bytes, measure_progress, units
from tasoc_kit.dashboards.run_list import newest
from tasoc_kit.dashboards.unit_page import asked
from tasoc_kit.errors import TasocKitError
from tasoc_kit.pipeline.plan import load_pipelines

__all__ = ["page"]

_TOLD = 5
"""Of more runs than these, failed or new, the others are counted, or are on the page of runs."""
_CARDS = 24
"""CCDs that are shown at once."""
_LONGEST = 60
"""Letters of a name that is looked for."""


def _failed_card() -> list[pmui.Paper]:
    """Say which notebooks failed or were killed, and were not made since."""
    found = database.newest_runs(status=("failed", "killed"))
    if found.empty:
        return []
    told = "".join(
        f"<p><a href='{html.escape(theme.link('runs', run=run.run), quote=True)}'>"
        f"{html.escape(products.name_of(run.unit))} · {html.escape(run.notebook)}</a><br>"
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


def _last_card() -> list[pmui.Paper]:
    """Return what ran last: the newest runs and jobs."""
    told = newest(_TOLD)
    if not told:
        return []
    rows = "".join(
        f"<tr><td>{html.escape(one.state)}</td><td><a href='{html.escape(one.address, quote=True)}'>"
        f"{html.escape(one.name)}</a></td><td>{html.escape(one.where)}</td><td>{one.when}</td>"
        f"<td>{one.took}</td></tr>"
        for one in told
    )
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("state", "what", "of", "since (UTC)", "took"))
    table = (
        "<div style='overflow-x: auto' tabindex='0' role='region' aria-label='What ran last'>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
    go = theme.button_link("All runs", theme.link("runs"))
    return [theme.panel_card(theme.markup(f"<h2>What ran last</h2>{table}<p>{go}</p>"))]


def _command_markup(command: str) -> str:
    """Return a command that a browser breaks between its words only, not within ``--``."""
    words = " ".join(f"<span>{html.escape(word)}</span>" for word in command.split(" "))
    return f"<pre tabindex='0'><code>{words}</code></pre>"


def _pipeline_card(one: Progress) -> str:
    facts = {
        "made": f"{one.products:,} products, {as_bytes(one.bytes)}",
        "CCDs": f"{one.whole:,} whole, {one.begun - one.whole:,} begun",
    }
    return (
        f"<article><h2>{html.escape(one.name.capitalize())}</h2><p>{html.escape(one.title)}</p>"
        f"{theme.facts_markup(facts)}<p>{html.escape(one.next)}</p>"
        f"{_command_markup(one.command)}</article>"
    )


def _card(row: Any, found: pd.DataFrame, cube: dict[str, str]) -> str:
    here = found[found["unit"] == row.unit]
    facts = {
        "made": f"{row.created:%Y-%m-%d %H:%M} UTC",
        "frames": f"<code>{html.escape(cube['cube'])}</code>" if cube else "not known",
        "stars": f"{row.reviewed:,} reviewed",
        "CCD": {"": "not reviewed yet", "accept": "✓ accepted", "reject": "✕ rejected"}[row.verdict],
    }
    ids = {p.product: f"<code>{p.id}</code>" for p in here.itertuples()}
    newest = here.drop_duplicates("product").set_index("product")["id"]
    queries = {
        page: {"unit": row.unit, "id": newest[product]}
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
        f"<article><h2>{html.escape(products.name_of(str(row.unit)))}</h2>{theme.facts_markup(facts)}"
        f"<details><summary>{row.products} products, {as_bytes(row.bytes)}</summary>"
        f"{theme.facts_markup(ids)}</details><div class='go'>{''.join(go)}</div></article>"
    )


class _Cards:
    """The CCDs of the store: found by a part of their name, a page at a time."""

    def __init__(self, table: pd.DataFrame, found: pd.DataFrame, cubes: dict[str, dict[str, str]]) -> None:
        self._table, self._found, self._cubes = table, found, cubes
        self._names = table["unit"].map(products.name_of).str.lower() + " " + table["unit"]
        self.search = pmui.TextInput(
            label="Find a CCD", placeholder="Sector 14, or s0014-2", value=asked("unit")[:_LONGEST],
            size="small", sizing_mode="stretch_width", max_width=360,
        )  # fmt: skip
        self.pages = pmui.Pagination(label="Pages of CCDs", count=1, value=0, size="small")
        self.count, self.cards = theme.markup(""), theme.markup("", margin=6)
        self.search.param.watch(lambda _event: self.find(), "value")
        self.pages.param.watch(lambda _event: self._draw(), "value")
        self.find()

    def find(self) -> None:
        """Show the CCDs whose names have what is typed."""
        words = (self.search.value or "").lower().replace("·", " ").split()
        keep = pd.Series(True, self._table.index)
        for word in _together(words):
            keep &= self._names.str.contains(word, regex=False)
        self.shown = self._table[keep]
        self.pages.param.update(count=max(1, -(-len(self.shown) // _CARDS)), value=0)
        self._draw()

    def _draw(self) -> None:
        some = self.shown.iloc[self.pages.value * _CARDS :][:_CARDS]
        here = self._found[self._found["unit"].isin(some["unit"])]
        cards = "".join(_card(row, here, self._cubes.get(row.unit, {})) for row in some.itertuples())
        self.pages.visible = len(self.shown) > _CARDS
        self.count.object = f"<p class='soft'>{len(self.shown):,} of {len(self._table):,} CCDs</p>"
        nothing = (
            f"<p>No CCD is called {html.escape(repr(self.search.value))}. Names are like "
            "<code>s0014-2-3</code>: sector, camera, CCD.</p>"
        )
        self.cards.object = f"<div class='cards'>{cards}</div>" if cards else nothing

    def parts(self) -> list[Any]:
        """Return search, pages and cards."""
        head = theme.beside(theme.caption("CCDs"), self.search, self.count, each=200)
        return [theme.panel_card(head), self.cards, self.pages]


def _together(words: list[str]) -> list[str]:
    """Return words to look for, a kind with its number: ``camera 2`` is not a CCD 2."""
    found: list[str] = []
    for word in words:
        if word.isdigit() and found and found[-1] in ("sector", "camera", "ccd"):
            found[-1] += f" {int(word)}"
        else:
            found.append(word)
    return found


def page() -> pmui.Page:
    """Return the page; ``?unit=…`` finds CCDs by a part of their name."""
    try:
        found, reviews, cubes = store.list_products(), database.reviews(), products.cubes()
        trouble = [*_problems_card(), *_failed_card()]
        last = _last_card()
        progress = measure_progress(load_pipelines(), found, cubes)
    except TasocKitError as error:
        unread = theme.empty("The store cannot be read", str(error), ["tasoc doctor"])
        return theme.make_page("overview", main=[theme.heading("Overview"), unread])
    cards = "".join(map(_pipeline_card, progress))
    pipelines = theme.markup(f"<div class='cards'>{cards}</div>", margin=6)
    if found.empty:
        nothing = [theme.heading("Overview"), *trouble, _nothing_yet(), *last, pipelines]
        return theme.make_page("overview", main=nothing)
    parts = [_head(found), *trouble, *last, pipelines, *_Cards(units(found, reviews), found, cubes).parts()]
    return theme.make_page("overview", main=parts)


def _head(found: pd.DataFrame) -> pn.pane.HTML:
    numbers = {"CCD": found["unit"].nunique(), "sector": found["sector"].nunique(), "product": len(found)}
    said = ", ".join(f"{number:,} {name}{'s' * (number != 1)}" for name, number in numbers.items())
    return theme.heading("Overview", f"{said} and {as_bytes(found['bytes'].sum())} in the store.")


def _nothing_yet() -> pmui.Paper:
    return theme.empty(
        "The store is empty",
        "Run the photometry pipeline; on its defaults it takes a small simulated sector. "
        "Frames can be looked at without any product, on the page Frames.",
        ["tasoc run photometry", "tasoc catalog list"],
    )
