"""The page on which light curves are looked at and accepted or rejected, star by star."""

from __future__ import annotations

import asyncio
import io
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
import xarray as xr

from tasoc_kit import database, store
from tasoc_kit.config import local_user
from tasoc_kit.dashboards import products, theme, visitor
from tasoc_kit.dashboards.controls import Shortcuts, StarTable
from tasoc_kit.dashboards.later import on_page
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.star_figures import NoiseFigure, SeriesFigure, StampFigure
from tasoc_kit.dashboards.star_list import (
    VERDICTS,
    Wanted,
    add_noise,
    add_reviews,
    make_star_list,
    page_rows,
    select_stars,
)
from tasoc_kit.dashboards.star_methods import BEST, METHODS, StarMethods
from tasoc_kit.dashboards.unit_page import asked, asked_tic, unit_page
from tasoc_kit.dashboards.verdicts import WHOLE_CCD, Verdict
from tasoc_kit.exports.family import family_of
from tasoc_kit.plots.light_curve import one_star
from tasoc_kit.products import open_ancestor

__all__ = ["LightCurves", "page"]

ROWS_PER_PAGE = 14
_QUANTITIES = {
    "flux (ppm)": ("flux", True),
    "flux (e⁻/s)": ("flux", False),
    "sky (e⁻/s)": ("background", False),
    "centroid row (pix)": ("centroid_row", False),
    "centroid column (pix)": ("centroid_column", False),
}
_KEYS = (
    "<kbd>j</kbd> <kbd>k</kbd> next and previous star · <kbd>a</kbd> accept · <kbd>r</kbd> reject · "
    "<kbd>u</kbd> undo · <kbd>↑</kbd> <kbd>↓</kbd> <kbd>Page</kbd> in the table"
)


class LightCurves(pn.viewable.Viewer):
    """The stars of one light_curves product, and what people say of them."""

    star = param.Integer(default=-1, doc="Index of the star in view.")
    quantity = param.Selector(default="flux (ppm)", objects=list(_QUANTITIES))
    method = param.Selector(default=BEST, objects=[BEST, *METHODS])

    def __init__(self, light_curves: xr.Dataset, tic: int | None = None, method: str = BEST) -> None:
        methods = StarMethods(family_of(light_curves))
        super().__init__(method=method if method in methods.names else BEST)
        self.light_curves, self.methods = light_curves, methods
        self.unit = store.product_unit(light_curves)
        self.identity = str(light_curves.attrs["provenance_id"])
        self.reference = open_ancestor(light_curves, "reference")
        self.apertures = open_ancestor(light_curves, "apertures")
        said = self._reviews()
        self.message = products.messages_of(light_curves if self.apertures is None else self.apertures)
        self.stars = add_reviews(make_star_list(light_curves), said)
        self.shown = self.stars
        self._make_controls(said[said["star"] == WHOLE_CCD])
        self._make_figures()
        self._table_changed()
        self.star = self._first(tic)

    # What is in view

    def _reviews(self) -> pd.DataFrame:
        return database.reviews(self.unit, id=self.identity, history=True)

    def _first(self, tic: int | None) -> int:
        found = self.stars.index[self.stars["tic"] == tic] if tic else []
        if len(found):
            return int(found[0])
        measured = self.shown.index[self.shown["has_flux"]]
        return int(measured[0] if len(measured) else self.shown.index[0])

    def _make_controls(self, of_the_ccd: pd.DataFrame) -> None:
        faint = self.stars["tmag"].dropna()
        low, high = (np.floor(faint.min()), np.ceil(faint.max())) if len(faint) else (0.0, 20.0)
        wide = {"sizing_mode": "stretch_width", "size": "small"}
        self.search = pmui.TextInput(label="TIC number, or a part of it", **wide)
        self.tmag = pmui.RangeSlider(label="Tmag", start=low, end=high, value=(low, high), step=0.1, **wide)
        present = sorted(self.stars["status"].unique())
        self.statuses = pmui.CheckButtonGroup(label="Status", options=present, size="small")
        self.verdicts = pmui.CheckButtonGroup(label="Review", options=list(VERDICTS), size="small")
        self.table = StarTable(on_step=self._step, sizing_mode="stretch_width")
        self.pages = pmui.Pagination(
            label="Pages of the table", count=1, value=0, size="small", sibling_count=0, boundary_count=1
        )
        self.count = theme.markup("", margin=(0, 10))
        self.curve_title = theme.markup("")
        self.heading, self.links = theme.markup(""), SameCcd("light_curves", self.light_curves)
        known = visitor.name()
        self.reviewer = pmui.TextInput(
            label="Reviewer", value=known or local_user(), disabled=bool(known), **wide
        )
        self.go_on = pmui.Switch(label="go to the next star after a verdict", value=True)
        self.verdict = Verdict(self._keep_star, {"accept": "a", "reject": "r", "": "u"})
        self.of_the_ccd = Verdict(partial(self._keep, WHOLE_CCD, 0))
        if len(of_the_ccd):
            last = of_the_ccd.iloc[-1]
            self.of_the_ccd.show(str(last["verdict"]), str(last["comment"]))
        else:
            self.of_the_ccd.show("", "")
        for control in (self.search, self.tmag, self.statuses, self.verdicts):
            control.param.watch(lambda _event: self._table_changed(), "value")
        self.table.param.watch(lambda _event: self._table_changed(), ["order", "descending"])
        self.table.param.watch(lambda event: self.param.update(star=event.new), "star")
        self.pages.param.watch(lambda _event: self._draw_rows(), "value")

    def _table_changed(self) -> None:
        wanted = Wanted(
            search=self.search.value or "",
            tmag=tuple(self.tmag.value),
            statuses=tuple(self.statuses.value),
            verdicts=tuple(self.verdicts.value),
            order=self.table.order,
            descending=self.table.descending,
        )
        self.shown = select_stars(self.stars, wanted)
        self.pages.count = max(1, -(-len(self.shown) // ROWS_PER_PAGE))
        self.pages.value = self._page_of(self.star)
        self._draw_rows()

    def _page_of(self, star: int) -> int:
        places = np.flatnonzero(self.shown.index == star)
        return int(places[0]) // ROWS_PER_PAGE if places.size else 0

    def _draw_rows(self) -> None:
        rows = page_rows(self.shown, self.pages.value, ROWS_PER_PAGE)
        self.table.param.update(rows=rows, star=self.star)
        said = self.stars["verdict"].value_counts()
        self.count.object = (
            f"<p class='soft'>{len(self.shown):,} of {len(self.stars):,} stars · "
            f"{said.get('accept', 0):,} accepted, {said.get('reject', 0):,} rejected</p>"
        )

    # Moving about

    def _step(self, step: int, by_page: bool = False) -> None:
        """Go to another star in the order of the table."""
        places = np.flatnonzero(self.shown.index == self.star)
        if self.shown.empty:
            return
        here = int(places[0]) if places.size else -1
        there = np.clip(here + step * (ROWS_PER_PAGE if by_page else 1), 0, len(self.shown) - 1)
        self.star = int(self.shown.index[there])

    @param.depends("star", watch=True)
    def _star_changed(self) -> None:
        row = self.stars.loc[self.star]
        self.verdict.show("" if row["verdict"] == "open" else str(row["verdict"]), str(row["comment"]))
        self.heading.object = theme.heading_markup(*self.title())
        page_of = self._page_of(self.star)
        if self.pages.value == page_of:
            self._draw_rows()
        else:
            self.pages.value = page_of
        self.links.show(int(row["tic"]))
        theme.in_address(tic=int(row["tic"]))
        self._draw()

    # What is said

    def _keep(self, star: int, tic: int, verdict: str, comment: str) -> None:
        visitor.check_write("verdict")
        database.save_review(
            self.unit,
            self.identity,
            star,
            tic=tic,
            verdict=verdict,
            comment=comment,
            reviewer=visitor.name() or self.reviewer.value or "",
        )

    def _keep_star(self, verdict: str, comment: str) -> None:
        self._keep(self.star, int(self.stars.at[self.star, "tic"]), verdict, comment)
        for table in (self.stars, self.shown):
            if self.star in table.index:
                table.loc[self.star, ["verdict", "comment"]] = [verdict or "open", comment]
        self._draw_rows()

    def review(self, verdict: str) -> None:
        """Keep a verdict and the comment in the database, and go on."""
        if self.verdict.say(verdict) and verdict and self.go_on.value:
            self._step(1)

    # Figures

    def _make_figures(self) -> None:
        self.series = SeriesFigure(self.light_curves)
        self.stamp = None
        if self.reference is not None and self.apertures is not None:
            self.stamp = StampFigure(self.reference, self.apertures)
        self.noise: NoiseFigure | None = None
        wait = theme.panel_card(theme.markup("<p class='soft'>Measuring the noise of every star …</p>"))
        self.below = pn.Column(wait, sizing_mode="stretch_width", min_height=430)

    @param.depends("method", watch=True)
    def _method_changed(self) -> None:
        theme.in_address(method=self.method)
        self._draw()

    def shown_series(self) -> tuple[str, xr.Dataset, int]:
        """Return the method whose series is in view, its light curves, and the index of the star in them."""
        name = self.methods.chosen(self.star, self.method)
        light_curves, place = self.methods.series(self.star, name)
        if _QUANTITIES[self.quantity][0] not in light_curves.variables:  # only apertures have centroids
            return "aperture", self.light_curves, self.star
        return name, light_curves, place

    @param.depends("quantity", watch=True)
    def _draw_series(self) -> None:
        name, light_curves, place = self.shown_series()
        self.curve_title.object = self._curve_words(name, {})
        self.series.show(place, *_QUANTITIES[self.quantity], of=light_curves)

    def _curve_words(self, name: str, noise: dict[str, float]) -> str:
        """Return which photometry is in view, and how that of others compares."""
        title = {"aperture": "aperture", "PSF": "PSF photometry", "halo": "halo photometry"}[name]
        said = [f"{other} {ppm:,.0f} ppm" for other, ppm in noise.items() if np.isfinite(ppm)]
        words = f"Noise of one exposure: {', '.join(said)}." if said else ""
        best = self.methods.best(self.star)
        if len(self.methods.names) > 1 and best != "none":
            words += f" The pipeline takes {best} for this star."
        if self.method not in (BEST, name) and self.method not in self.methods.of(self.star):
            words += f" It has no light curve by {self.method}."
        return f"<h2>Light curve · {title}</h2><p class='soft'>{words}&nbsp;</p>"

    def _draw(self) -> None:
        """Draw the star in view: its series now, and what is looked at second when that is on its way."""
        self._draw_series()
        if pn.state.curdoc is not None and self.noise is not None:
            on_page(pn.state.curdoc, partial(self._draw_second, self.star))

    def _draw_second(self, star: int) -> None:
        if star != self.star:
            return  # somebody is already further down the table
        self.curve_title.object = self._curve_words(self.shown_series()[0], self.methods.noise(star))
        if self.stamp is not None:
            self.stamp.show(star)
        if self.noise is not None:
            self.noise.show(star)

    async def measure(self) -> None:
        """Measure the noise of every star beside the server, then show it and what hangs on it."""
        document = pn.state.curdoc
        measured = await asyncio.to_thread(products.measured_noise, self.light_curves)
        on_page(document, partial(self.show_noise, measured))

    def show_noise(self, measured: xr.Dataset) -> None:
        """Show the noise of every star in table and figure, and all that stands below the light curve."""
        self.stars = add_noise(self.stars, measured)
        self._table_changed()
        self.heading.object = theme.heading_markup(*self.title())
        self.noise = NoiseFigure(self.light_curves, measured, lambda star: self.param.update(star=star))
        self._draw_second(self.star)
        # last and at once: numbers that follow a figure into the page may arrive before it
        origin = theme.readout(products.describe(self.light_curves))
        self.below.objects = [
            theme.beside(self._stamp_card(), self._noise_card(self.noise), first=340),
            self._ccd_card(),
            theme.panel_card(theme.caption("Where these numbers come from"), origin),
        ]

    # Words

    def title(self) -> tuple[str, str]:
        """Return the name of the star in view, and what is known of it."""
        row = self.stars.loc[self.star]
        known = [f"Tmag {row['tmag']:.2f}", f"status {row['status']}"]
        if np.isfinite(row["contamination"]):
            known.append(f"contamination {100 * row['contamination']:.1f} %")
        if np.isfinite(row["ptp"]):
            known.append(f"noise {row['ptp']:,.0f} ppm per exposure")
        known += [self.message(self.star)] if self.message(self.star) else []
        return f"TIC {row['tic']}" if row["tic"] else f"Star {self.star}", " · ".join(known)

    def _file(self, kind: str) -> io.BytesIO:
        name, light_curves, place = self.shown_series()
        table = one_star(light_curves, place)
        facts = {
            "tic": int(self.stars.at[self.star, "tic"]),
            "unit": self.unit,
            "method": name,
            "provenance_id": str(light_curves.attrs["provenance_id"]),
            "time": "BTJD = BJD - 2457000, TDB, days",
            "flux": "electron / s",
        }
        if kind == "parquet":
            table.attrs = facts
            target = io.BytesIO()
            table.to_parquet(target)
            target.seek(0)
            return target
        head = "".join(f"# {name}: {value}\n" for name, value in facts.items())
        return io.BytesIO((head + table.to_csv(index=False)).encode())

    def _reviews_file(self) -> io.BytesIO:
        return io.BytesIO(self._reviews().to_csv(index=False).encode())

    def _downloads(self) -> pn.Row:
        def name(kind: str, **_changed: Any) -> str:
            identity = self.shown_series()[1].attrs["provenance_id"]
            return f"tic{self.stars.at[self.star, 'tic']}-{self.unit}-{identity}.{kind}"

        changes = {"star": self.param.star, "method": self.param.method, "quantity": self.param.quantity}
        return pn.Row(
            *(
                theme.download(title, partial(self._file, kind), pn.bind(partial(name, kind=kind), **changes))
                for kind, title in (("csv", "CSV"), ("parquet", "Parquet"))
            )
        )

    # The page

    def sidebar(self) -> list[Any]:
        """Return search, filters and the table."""
        return [
            self.search,
            self.tmag,
            self.statuses,
            self.verdicts,
            self.table,
            self.pages,
            self.count,
            self.reviewer,
            self.go_on,
        ]

    def _walk(self, title: str, step: int) -> pmui.Button:
        button = pmui.Button(label=title, color="default", variant="outlined", size="small")
        button.on_click(lambda _event: self._step(step))
        return button

    def _ccd_card(self) -> pmui.Paper:
        reviews = theme.download(
            "All reviews, CSV", self._reviews_file, f"reviews-{self.unit}-{self.identity}.csv"
        )
        title = f"The CCD as a whole: {products.name_of(self.unit)}"
        return theme.panel_card(theme.caption(title), self.of_the_ccd.row(), reviews)

    def _stamp_card(self) -> pmui.Paper:
        text = "Orange: the pixels that are summed. Rings: stars of the catalogue."
        return theme.panel_card(
            theme.caption("Aperture on the reference"),
            theme.markup(f"<p class='soft'>{text}</p>"),
            self.stamp.pane if self.stamp else _no_stamp(),
            max_width=400,
        )

    def _noise_card(self, noise: NoiseFigure) -> pmui.Paper:
        return theme.panel_card(
            theme.caption("Noise against magnitude"),
            theme.markup("<p class='soft'>Tap a point to go to its star.</p>"),
            noise.pane,
        )

    def main(self) -> list[Any]:
        """Return the star in view: verdict, light curve, stamp, noise, origin."""
        keys = {
            "j": lambda: self._step(1),
            "k": lambda: self._step(-1),
            "ArrowRight": lambda: self._step(1),
            "ArrowLeft": lambda: self._step(-1),
            "a": lambda: self.review("accept"),
            "r": lambda: self.review("reject"),
            "u": lambda: self.review(""),
        }
        quantity = theme.choice("Quantity", self.param.quantity, max_width=190)
        names = {"best for the star": BEST} | {name: name for name in self.methods.names}
        methods = theme.choice("Photometry", options=names, value=self.method, max_width=170)
        methods.link(self, value="method", bidirectional=True)
        choices = [quantity] if len(self.methods.names) < 2 else [methods, quantity]
        walk = (self._walk("← Previous (k)", -1), self._walk("Next (j) →", 1))
        return [
            Shortcuts(keys),
            theme.panel_card(
                theme.beside(self.heading, self._downloads()),
                self.links.pane,
                self.verdict.row(*walk),
                theme.markup(f"<p class='keys'>{_KEYS}</p>"),
            ),
            theme.panel_card(
                theme.beside(self.curve_title, theme.beside(*choices, max_width=400)), self.series.pane
            ),
            self.below,
        ]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(pn.Column(*self.sidebar(), width=360), pn.Column(*self.main()))


def _no_stamp() -> pmui.Paper:
    return theme.empty(
        "No stamp", "The reference or the apertures of this product were removed.", ["tasoc products"]
    )


def page() -> pmui.Page:
    """Return the page; what it shows is asked for by ``?unit=…&id=…&tic=…&method=…``."""
    return unit_page(
        "light_curves",
        "light_curves",
        lambda curves: LightCurves(curves, asked_tic(), asked("method")),
        lacks="light curves",
        about=("This page shows the light curves of a CCD, star by star, to be accepted or rejected."),
        after=LightCurves.measure,
        width=425,
    )


if pn.state.served:
    page().servable()
