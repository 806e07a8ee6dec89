"""The stars of a product as a list beside a page: searched by number, ordered by column, walked by key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param

from tasoc_kit.dashboards import theme
from tasoc_kit.dashboards.controls import StarTable
from tasoc_kit.errors import StepInputError

__all__ = ["KEYS", "Column", "StarChooser"]

ROWS_PER_PAGE = 14
KEYS = "<kbd>j</kbd> <kbd>k</kbd> next and previous star · <kbd>↑</kbd> <kbd>↓</kbd> in the table"
_ALIGNED = "th:nth-last-child(2), td:nth-last-child(2) { text-align: right; }"


@dataclass(frozen=True)
class Column:
    """One column of the list."""

    name: str
    """Of the column in the table of stars."""
    title: str
    meaning: str = ""
    form: str = ""
    """How a number is written; empty for words."""


class StarChooser(pn.viewable.Viewer):
    """The star in view, and the ways to another."""

    star = param.Integer(default=-1, doc="Index of the star in view; −1 where there is none.")

    def __init__(
        self,
        stars: pd.DataFrame,
        columns: list[Column],
        *,
        tic: int | None = None,
        order: str = "tmag",
        descending: bool = False,
    ) -> None:
        """
        List stars.

        Parameters
        ----------
        stars
            One row per star, by its index in the product, with ``tic``.
        columns
            What is shown of them.
        tic
            The star that is asked for; where it is not there the first of the list comes up.
        order, descending
            The column they are ordered by at first.
        """
        super().__init__()
        self.stars, self.shown, self._columns = stars, stars, columns
        self._only: Callable[[pd.DataFrame], pd.Series] | None = None
        self.search = pmui.TextInput(
            label="TIC number, or a part of it", size="small", sizing_mode="stretch_width"
        )
        self.table = StarTable(
            on_step=self.step,
            columns=[[column.name, column.title, column.meaning] for column in columns],
            order=order,
            descending=descending,
            sizing_mode="stretch_width",
            stylesheets=[_ALIGNED],
        )
        self.pages = pmui.Pagination(
            label="Pages of the table", count=1, value=0, size="small", sibling_count=0, boundary_count=1
        )
        self.count = theme.markup("", margin=(0, 10))
        self.search.param.watch(lambda _event: self.list_stars(), "value")
        self.table.param.watch(lambda _event: self.list_stars(), ["order", "descending"])
        self.table.param.watch(lambda event: self.param.update(star=event.new), "star")
        self.pages.param.watch(lambda _event: self._draw(), "value")
        self.list_stars()
        found = stars.index[stars["tic"] == tic] if tic else []
        self.star = int(found[0]) if len(found) else int(self.shown.index[0]) if len(stars) else -1

    def keep(self, only: Callable[[pd.DataFrame], pd.Series] | None) -> None:
        """List only the stars that a function of the table tells; None for all."""
        self._only = only
        self.list_stars()

    def list_stars(self) -> None:
        """List what is searched, in the order of the chosen column; stars without a value come last."""
        stars = self.stars if self._only is None else self.stars[self._only(self.stars)]
        said = str(self.search.value or "").strip()
        if said:
            digits = "".join(character for character in said if character.isdigit())
            stars = stars[stars["tic"].astype(str).str.contains(digits or "none", regex=False)]
        self.shown = stars.sort_values(
            self.table.order, ascending=not self.table.descending, kind="stable", na_position="last"
        )
        self.pages.count = max(1, -(-len(self.shown) // ROWS_PER_PAGE))
        self.pages.value = self._page_of(self.star)
        self._draw()

    def _page_of(self, star: int) -> int:
        places = np.flatnonzero(self.shown.index == star)
        return int(places[0]) // ROWS_PER_PAGE if places.size else 0

    def _draw(self) -> None:
        first = self.pages.value * ROWS_PER_PAGE
        some = self.shown.iloc[first : first + ROWS_PER_PAGE]
        rows = [
            {"star": int(star), "verdict": "open"}
            | {one.name: _written(some.at[star, one.name], one.form) for one in self._columns}
            for star in some.index
        ]
        self.table.param.update(rows=rows, star=self.star)
        self.count.object = f"<p class='soft'>{len(self.shown):,} of {len(self.stars):,} stars</p>"

    def choose(self, tic: int) -> None:
        """
        Go to a star by its number.

        Raises
        ------
        StepInputError
            If it is not among the stars.
        """
        found = self.stars.index[self.stars["tic"] == tic]
        if not len(found):
            raise StepInputError(
                f"star list: no TIC {tic} among {len(self.stars)} stars; expected one on this CCD. "
                f"Run 'tasoc where {tic}' to see where it was observed."
            )
        self.star = int(found[0])

    def step(self, step: int, by_page: bool = False) -> None:
        """Go to another star in the order of the table."""
        if self.shown.empty:
            return
        places = np.flatnonzero(self.shown.index == self.star)
        here = int(places[0]) if places.size else -1
        there = np.clip(here + step * (ROWS_PER_PAGE if by_page else 1), 0, len(self.shown) - 1)
        self.star = int(self.shown.index[there])

    @param.depends("star", watch=True)
    def _star_changed(self) -> None:
        page = self._page_of(self.star)
        if self.pages.value == page:
            self._draw()
        else:
            self.pages.value = page

    def star_name(self) -> str:
        """Return the name of the star in view."""
        tic = int(self.stars.at[self.star, "tic"])
        return f"TIC {tic}" if tic else f"Star {self.star}"

    def actions(self) -> dict[str, Callable[[], None]]:
        """Return what the keys of the page do."""
        ways = {"j": 1, "ArrowRight": 1, "k": -1, "ArrowLeft": -1}
        return {key: lambda way=way: self.step(way) for key, way in ways.items()}

    def sidebar(self) -> list[Any]:
        """Return what stands beside the page."""
        keys = theme.markup(f"<p class='keys'>{KEYS}</p>", margin=(0, 10))
        return [self.search, self.table, self.pages, self.count, keys]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(*self.sidebar(), width=360)


def _written(value: Any, form: str) -> str:
    if not form:
        return str(value)
    return format(value, form) if np.isfinite(value) else "–"
