"""The page on which light curves are looked at and accepted or rejected, star by star."""

from __future__ import annotations

import getpass
import io
from functools import partial
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
import xarray as xr

from tasoc_kit import database, plots, store
from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.controls import Shortcuts, StarTable
from tasoc_kit.dashboards.star_list import (
    VERDICTS,
    Wanted,
    add_reviews,
    make_star_list,
    page_rows,
    select_stars,
)
from tasoc_kit.errors import DatabaseError, TasocKitError
from tasoc_kit.plots.light_curve import one_star, quality_spans, series
from tasoc_kit.plots.theme import SELECTED, series_options
from tasoc_kit.vocabulary import ApertureFlag, flag_names

__all__ = ["LightCurves", "page"]

ROWS_PER_PAGE = 14
_QUANTITIES = {
    "flux (ppm)": ("flux", True),
    "flux (e⁻/s)": ("flux", False),
    "sky": ("background", False),
    "centroid row": ("centroid_row", False),
    "centroid column": ("centroid_column", False),
}


class LightCurves(pn.viewable.Viewer):
    """The stars of one light_curves product, and what people say of them."""

    star = param.Integer(default=-1, doc="Index of the star in view.")
    quantity = param.Selector(default="flux (ppm)", objects=list(_QUANTITIES))

    def __init__(self, light_curves: xr.Dataset, tic: int | None = None) -> None:
        super().__init__()
        self.light_curves = light_curves
        self.unit = store.product_unit(light_curves)
        self.identity = str(light_curves.attrs["provenance_id"])
        self.reference = products.open_parent(light_curves, "reference")
        self.apertures = products.open_parent(light_curves, "apertures")
        self.measured = products.measured_noise(light_curves)
        self.stars = add_reviews(make_star_list(light_curves, self.measured), self._reviews())
        self.shown = self.stars
        self._make_controls()
        self._table_changed()
        self.star = self._first(tic)

    # What is in view

    def _reviews(self) -> pd.DataFrame:
        return database.reviews(self.unit, id=self.identity, history=True)

    def _first(self, tic: int | None) -> int:
        found = self.stars.index[self.stars["tic"] == tic] if tic else []
        if len(found):
            return int(found[0])
        measured = self.shown.index[np.isfinite(self.shown["ptp"])]
        return int(measured[0] if len(measured) else self.shown.index[0])

    def _make_controls(self) -> None:
        faint = self.stars["tmag"].dropna()
        low, high = (np.floor(faint.min()), np.ceil(faint.max())) if len(faint) else (0.0, 20.0)
        wide = {"sizing_mode": "stretch_width", "size": "small"}
        self.search = pmui.TextInput(label="TIC number", placeholder="any part of it", **wide)
        self.tmag = pmui.RangeSlider(label="Tmag", start=low, end=high, value=(low, high), step=0.1, **wide)
        present = sorted(self.stars["status"].unique())
        self.statuses = pmui.CheckButtonGroup(label="Status", options=present, size="small")
        self.verdicts = pmui.CheckButtonGroup(label="Review", options=list(VERDICTS), size="small")
        self.table = StarTable(on_step=self._step, sizing_mode="stretch_width")
        self.pages = pmui.Pagination(
            label="Pages of the table", count=1, value=0, size="small", sibling_count=0, boundary_count=1
        )
        self.count = pn.pane.HTML("", margin=(0, 10))
        self.reviewer = pmui.TextInput(label="Reviewer", value=_user(), **wide)
        self.comment = pmui.TextInput(label="Comment", sizing_mode="stretch_width", size="small")
        self.go_on = pmui.Switch(label="go to the next star after a verdict", value=True)
        self.alert = pmui.Alert(severity="error", visible=False, sizing_mode="stretch_width")
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
        total, reviewed = len(self.shown), int((self.shown["verdict"] != "open").sum())
        self.count.object = f"<span>{total:,} of {len(self.stars):,} stars, {reviewed:,} reviewed</span>"

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
        self.comment.value = str(self.stars.at[self.star, "comment"])
        page_of = self._page_of(self.star)
        if self.pages.value == page_of:
            self._draw_rows()
        else:
            self.pages.value = page_of
        if pn.state.location:
            pn.state.location.update_query(tic=int(self.stars.at[self.star, "tic"]))

    def review(self, verdict: str) -> None:
        """Keep a verdict and the comment in the database, and go on."""
        row = self.stars.loc[self.star]
        try:
            database.save_review(
                self.unit,
                self.identity,
                self.star,
                tic=int(row["tic"]),
                verdict=verdict,
                comment=self.comment.value or "",
                reviewer=self.reviewer.value or "",
            )
        except DatabaseError as error:
            self.alert.param.update(object=str(error), visible=True)
            return
        self.alert.visible = False
        self.stars.loc[self.star, ["verdict", "comment"]] = [verdict or "open", self.comment.value or ""]
        self.shown = self.shown.assign(
            verdict=self.stars.loc[self.shown.index, "verdict"],
            comment=self.stars.loc[self.shown.index, "comment"],
        )
        self.param.trigger("star")
        if verdict and self.go_on.value:
            self._step(1)

    # Figures

    def _series(self, star: int, quantity: str) -> hv.Overlay:
        name, relative = _QUANTITIES[quantity]
        table = one_star(self.light_curves, star)
        return series(table, name, relative=relative)

    def light_curve(self) -> pn.pane.HoloViews:
        """Return the live light curve of the star in view."""
        time, quality = (self.light_curves[name].values for name in ("time", "quality"))
        ours = (
            self.light_curves["frame_quality"].values
            if "frame_quality" in self.light_curves.variables
            else None
        )
        moving = hv.DynamicMap(pn.bind(self._series, star=self.param.star, quantity=self.param.quantity))
        drawn = moving
        for span in quality_spans(time, quality, ours):
            drawn = drawn * span
        figure = drawn.opts(xlabel="time (BTJD)", legend_position="right", **series_options(height=270))
        return pn.pane.HoloViews(figure, linked_axes=False, sizing_mode="stretch_width")

    def noise(self) -> pn.pane.HoloViews:
        """Return noise against magnitude; a tap on a point goes to its star."""
        base = plots.noise(self.light_curves, self.measured)
        tapped = hv.streams.Selection1D(source=base.Scatter.Measured)
        places = base.Scatter.Measured.dimension_values("star").astype(int)
        tapped.add_subscriber(lambda index: self.param.update(star=int(places[index[0]])) if index else None)

        def ring(star: int) -> hv.Scatter:
            row = self.stars.loc[star]
            return hv.Scatter([(row["tmag"], row["ptp"])], kdims=["tmag"], vdims=["ptp"]).opts(
                size=13, fill_color=None, line_color=SELECTED, line_width=2.5, show_legend=False
            )

        figure = base * hv.DynamicMap(pn.bind(ring, star=self.param.star))
        figure = figure.opts(
            logy=True,
            xlabel="TESS magnitude",
            ylabel="noise of one exposure (ppm)",
            legend_position="bottom_right",
            **series_options(height=330),
        )
        return pn.pane.HoloViews(figure, linked_axes=False, sizing_mode="stretch_width")

    @param.depends("star")
    def stamp(self) -> pn.viewable.Viewable:
        """Return the star's aperture on the reference image."""
        if self.reference is None or self.apertures is None:
            return theme.empty(
                "No stamp", "The reference or the apertures of this product were removed.", ["tasoc products"]
            )
        figure = plots.stamp(self.reference, self.apertures, self.star, width=255, height=255)
        return pn.pane.HoloViews(figure, linked_axes=False)

    # Words

    @param.depends("star")
    def title(self) -> pn.pane.HTML:
        """Return the name of the star in view and what is known of it."""
        row = self.stars.loc[self.star]
        flags = (
            int(self.light_curves["aperture_flags"][self.star])
            if "aperture_flags" in self.light_curves
            else 0
        )
        known = [f"Tmag {row['tmag']:.2f}", f"status {row['status']}"]
        if np.isfinite(row["contamination"]):
            known.append(f"contamination {100 * row['contamination']:.1f} %")
        if np.isfinite(row["ptp"]):
            known.append(f"noise {row['ptp']:,.0f} ppm")
        names = [name.replace("_", " ").lower() for name in flag_names(flags, ApertureFlag)]
        if names:
            known.append("aperture: " + ", ".join(names))
        return theme.heading(f"TIC {row['tic']}" if row["tic"] else f"Star {self.star}", " · ".join(known))

    def _file(self, kind: str) -> io.BytesIO:
        table = one_star(self.light_curves, self.star)
        facts = {
            "tic": int(self.stars.at[self.star, "tic"]),
            "unit": self.unit,
            "provenance_id": self.identity,
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

    def _downloads(self) -> pn.Row:
        def name(star: int, kind: str) -> str:
            return f"tic{self.stars.at[star, 'tic']}-{self.unit}-{self.identity}.{kind}"

        return pn.Row(
            *(
                pmui.FileDownload(
                    callback=partial(self._file, kind),
                    filename=pn.bind(partial(name, kind=kind), self.param.star),
                    label=title,
                    variant="outlined",
                    size="small",
                )
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

    def _verdict_bar(self) -> pn.Row:
        def button(title: str, action: Any, color: str, variant: str = "contained") -> pmui.Button:
            made = pmui.Button(label=title, color=color, variant=variant, size="small")
            made.on_click(lambda _event: action())
            return made

        return pn.Row(
            button("← Previous (k)", lambda: self._step(-1), "default", "outlined"),
            button("Next (j) →", lambda: self._step(1), "default", "outlined"),
            button("Accept (a)", lambda: self.review("accept"), "success"),
            button("Reject (r)", lambda: self.review("reject"), "error"),
            self.comment,
            button("Save comment", lambda: self.review(self._standing()), "default", "outlined"),
            sizing_mode="stretch_width",
        )

    def _standing(self) -> str:
        verdict = str(self.stars.at[self.star, "verdict"])
        return "" if verdict == "open" else verdict

    def main(self) -> list[Any]:
        """Return the star in view: verdict, light curve, stamp, noise, origin."""
        keys = {
            "j": lambda: self._step(1),
            "k": lambda: self._step(-1),
            "ArrowRight": lambda: self._step(1),
            "ArrowLeft": lambda: self._step(-1),
            "a": lambda: self.review("accept"),
            "r": lambda: self.review("reject"),
        }
        quantity = pmui.Select.from_param(self.param.quantity, label="Quantity", size="small", width=170)
        facts = products.describe(self.light_curves)
        return [
            Shortcuts(keys),
            theme.panel_card(
                pn.Row(pn.panel(self.title), self._downloads(), sizing_mode="stretch_width"),
                self._verdict_bar(),
                self.alert,
            ),
            theme.panel_card(pn.Row(theme.caption("Light curve"), quantity), self.light_curve()),
            pn.Row(
                theme.panel_card(
                    theme.caption("Aperture on the reference"),
                    pn.panel(self.stamp),
                    width=370,
                    sizing_mode="fixed",
                    height=400,
                ),
                theme.panel_card(theme.caption("Noise against magnitude; tap a star"), self.noise()),
                sizing_mode="stretch_width",
            ),
            theme.panel_card(theme.caption("Where these numbers come from"), theme.readout(facts)),
        ]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(pn.Column(*self.sidebar(), width=360), pn.Column(*self.main()))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _asked(name: str) -> str:
    values = pn.state.session_args.get(name, [b""])
    return values[0].decode(errors="replace")


def _choice(found: pd.DataFrame) -> pmui.Select:
    options = {f"{row.unit} · {row.id}": f"{row.unit}/{row.id}" for row in found.itertuples()}
    return pmui.Select(label="CCD", options=options, size="small", sizing_mode="stretch_width")


def page() -> pmui.Page:
    """Return the page; what it shows is asked for by ``?unit=…&id=…&tic=…``, else the newest product."""
    try:
        found = products.units_with("light_curves")
    except TasocKitError as error:
        return theme.make_page(
            "light_curves",
            main=[theme.heading("Light curves"), theme.empty("The store cannot be read", str(error))],
        )
    if found.empty:
        return theme.make_page("light_curves", main=[theme.heading("Light curves"), _nothing_yet()])
    choice = _choice(found)
    asked = f"{_asked('unit')}/{_asked('id')}"
    if asked in choice.options.values():
        choice.value = asked
    elif _asked("unit"):
        choice.value = next(
            (v for v in choice.options.values() if v.startswith(f"{_asked('unit')}/")), choice.value
        )
    tic = int(_asked("tic")) if _asked("tic").isdigit() else None
    sidebar, main = pn.Column(sizing_mode="stretch_width"), pn.Column(sizing_mode="stretch_width")

    def show(chosen: str, tic: int | None = None) -> None:
        unit, identity = chosen.split("/")
        row = found[(found["unit"] == unit) & (found["id"] == identity)].iloc[0]
        shown = LightCurves(_open(row), tic)
        sidebar.objects, main.objects = shown.sidebar(), shown.main()
        if pn.state.location:
            pn.state.location.update_query(unit=unit, id=identity)

    choice.param.watch(lambda event: show(event.new), "value")
    show(choice.value, tic)
    return theme.make_page("light_curves", sidebar=[choice, sidebar], main=[main], width=400)


def _open(row: pd.Series) -> xr.Dataset:
    place = {name: None if pd.isna(row[name]) else int(row[name]) for name in ("sector", "camera", "ccd")}
    return store.open_product("light_curves", **place, field=row["field"] or "", id=row["id"])


def _nothing_yet() -> pn.Column:
    return theme.empty(
        "No light curves yet",
        "This page shows the light_curves products of the store. Make some from the simulated sector, "
        "or from your own files:",
        ["tasoc run photometry", "tasoc run photometry --set cube=PATH --sector 1 --camera 1 --ccd 2"],
    )


if pn.state.served:
    page().servable()
