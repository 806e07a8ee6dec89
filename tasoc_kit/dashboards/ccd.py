"""The page of one CCD: all its stars at once, what became of them, and which cadences are flagged."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
import xarray as xr

from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.later import later, on_page
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.star_figures import SeriesFigure
from tasoc_kit.dashboards.star_groups import (
    GROUPS,
    add_diagnostics,
    count_flags,
    group_stars,
    legend_markup,
    make_table,
)
from tasoc_kit.dashboards.unit_page import asked_tic, unit_page
from tasoc_kit.errors import StoreError
from tasoc_kit.plots import ccd as figures
from tasoc_kit.plots.conditions import flags
from tasoc_kit.plots.frame import image, title_of
from tasoc_kit.plots.theme import place_options
from tasoc_kit.products import open_ancestor

__all__ = ["CcdView", "page"]

MARKED = 4000
"""More stars than these, the faintest, are not marked on the image."""
DRAWN = 25_000
"""Of more stars than these the figures show one in two, or fewer; a browser draws no more at once."""
_TAP_RADIUS, _TAP_REACH = 0.02, 0.05
"""Shares of the image, and of a figure, by which a finger may miss a star."""
_AGAINST = {
    "pixels": ("pixels of the aperture", True),
    "contamination": ("light of other stars (%)", False),
    "noise": ("noise of one exposure (ppm)", True),
    "hour": ("noise of one hour (ppm)", True),
    "variability": ("scatter over its error", True),
}
_CAPTIONS = {
    "pixels": "Size of the apertures",
    "contamination": "Contamination",
    "hour": "Noise of one hour",
    "variability": "Variability",
}


class CcdView(pn.viewable.Viewer):
    """One light_curves product, seen as a whole."""

    star = param.Integer(default=-1, doc="Index of the chosen star; -1 for none.")
    by = param.Selector(default="status", objects=list(GROUPS), doc="What stars have their colour by.")

    def __init__(self, light_curves: xr.Dataset, tic: int | None = None) -> None:
        super().__init__()
        reference, apertures = (open_ancestor(light_curves, name) for name in ("reference", "apertures"))
        if reference is None or apertures is None:
            raise StoreError(
                "CCD page: the reference or the apertures that light_curves "
                f"{light_curves.attrs['provenance_id']} was made from is no longer in the store; expected "
                "both. Run 'tasoc run photometry' again."
            )
        self.light_curves, self.reference = light_curves, reference
        self.stars = make_table(light_curves, apertures)
        self.message = products.messages_of(apertures)
        measured = products.diagnostics_of(light_curves)
        if measured is not None:
            self.stars = add_diagnostics(self.stars, measured)
        self._one_in = -(-len(self.stars) // DRAWN)
        self.source = figures.star_source(group_stars(self.stars, self.by))
        self.legend = theme.markup("")
        self.by = "method" if self.stars["method"].nunique() > 1 else "status"
        self._group_changed()
        self.links = SameCcd("ccd", light_curves)
        self.series = SeriesFigure(light_curves)
        self.chosen = theme.markup("")
        self._taps: list[hv.streams.SingleTap] = []
        wait = theme.markup("<p class='soft'>Measuring the noise of every star …</p>")
        self.noise = pn.Column(theme.panel_card(wait), sizing_mode="stretch_width", margin=0)
        named = self.stars.index[self.stars["tic"] == tic] if tic else []
        lit = self.stars[self.stars["pixels"] > 0]
        brightest = lit["tmag"].idxmin() if len(lit) else -1
        self.star = int(named[0] if len(named) else brightest)

    async def measure(self) -> None:
        """Measure the noise of every star beside the server, unless diagnostics know it, and show it."""
        document = pn.state.curdoc
        noise = self.stars["noise"].to_numpy()
        if np.isnan(noise).all():
            measured = await asyncio.to_thread(products.measured_noise, self.light_curves)
            noise = measured["ptp"].values
        on_page(document, partial(self.show_noise, noise))

    def show_noise(self, noise: np.ndarray) -> None:
        """Show the noise of every star, in ppm."""
        self.stars = self.stars.assign(noise=noise)
        self.source.data["noise"] = np.asarray(noise, np.float32)
        text = theme.markup("<p class='soft'>Of one exposure, point to point.</p>")
        self.noise.objects = [theme.panel_card(theme.caption("Noise"), text, self._pane("noise", height=250))]

    def _pane(self, name: str, **options: Any) -> pn.pane.HoloViews:
        return theme.figure(self.against(name, **options), wide=True)

    def _below(self) -> list[pn.Column]:
        """Return the figures below, a row each."""
        names = [name for name in _CAPTIONS if name in self.stars]
        pairs = [names[first : first + 2] for first in range(0, len(names), 2)]
        return [*(later(partial(self._row, *pair)) for pair in pairs), later(self._flags)]

    def _row(self, *names: str) -> pn.Row:
        cards = [theme.panel_card(theme.caption(_CAPTIONS[name]), self._pane(name)) for name in names]
        return theme.beside(*cards, each=380)

    def _flags(self) -> pmui.Paper:
        drawn = theme.figure(flags(self.light_curves).opts(title=""), wide=True)
        return theme.panel_card(theme.caption("Flagged cadences"), drawn)

    @param.depends("by", watch=True)
    def _group_changed(self) -> None:
        grouped = group_stars(self.stars, self.by)
        for name in ("group", "colour"):
            self.source.data[name] = grouped[name].tolist()
        self.legend.object = legend_markup(grouped)

    @param.depends("star", watch=True)
    def _star_changed(self) -> None:
        if self.star < 0:
            return
        row = self.stars.loc[self.star]
        name = f"TIC {int(row['tic'])}" if row["tic"] else f"Star {self.star}"
        place = f"row {row['row']:.1f}, column {row['column']:.1f}"
        known = [f"Tmag {row['tmag']:.2f}", place, f"{row['pixels']:.0f} pixels", self.message(self.star)]
        words = " · ".join(filter(None, known))
        self.chosen.object = f"<h2>{name}</h2><p class='soft'>{words}</p>"
        self.series.show(self.star, "flux", True)
        self.links.show(int(row["tic"]))
        theme.in_address(tic=int(row["tic"]))

    # Figures

    def picture(self, **size: int) -> hv.Overlay:
        """Return the reference with its stars; a tap chooses the nearest."""
        shape = self.reference["reference"].shape
        drawn = image(self.reference["reference"], colours="gray", title="")
        marks = figures.draw_stars(
            self.source, "column", "row", shown=self.stars.nsmallest(MARKED, "tmag").index.to_numpy(),
            size="size", fill_color=None, line_color="colour", line_width=1.6,
        )  # fmt: skip
        here = hv.DynamicMap(pn.bind(self._ring, self.param.star, x="column", y="row"))
        extent = [
            labels[-1] - labels[0]
            for labels in (self.reference["row"].values, self.reference["column"].values)
        ]
        reach = _TAP_RADIUS * float(max(extent))
        self._listen(
            drawn,
            lambda x, y: self._nearest(
                x / reach, y / reach, self.stars["column"] / reach, self.stars["row"] / reach
            ),
        )
        return (drawn * here).opts(hooks=[marks], **place_options(*shape, **size))

    def _ring(self, star: int, x: str, y: str) -> hv.Points:
        at = [float(self.stars.at[star, name]) if star >= 0 else np.nan for name in (x, y)]
        return figures.ring(*at, x, y)

    def against(self, name: str, **options: Any) -> hv.Overlay:
        """Return one of the quantities of every star against magnitude; a tap chooses the nearest."""
        title, log = _AGAINST[name]
        shown = np.arange(0, len(self.stars), self._one_in) if self._one_in > 1 else None
        drawn = figures.against_magnitude(
            self.stars, name, self.source, title=title, log=log, shown=shown, **options
        )
        here = hv.DynamicMap(pn.bind(self._ring, self.param.star, "tmag", name))
        self._listen(drawn, lambda x, y: self._nearest_in_figure(name, log, x, y))
        return drawn * here

    def _listen(self, source: Any, choose: Any) -> None:
        tap = hv.streams.SingleTap(source=source)
        tap.add_subscriber(lambda x, y: choose(x, y) if x is not None and y is not None else None)
        self._taps.append(tap)

    def _nearest_in_figure(self, name: str, log: bool, x: float, y: float) -> None:
        values = self.stars[name].where(lambda v: (v > 0) | (not log))
        if log and y <= 0:
            return
        values, y = (np.log10(values), np.log10(y)) if log else (values, y)
        across = _TAP_REACH * np.ptp(self.stars["tmag"].dropna())
        up = _TAP_REACH * np.ptp(values.dropna()) if values.notna().any() else 1.0
        self._nearest(x / across, y / up, self.stars["tmag"] / across, values / up)

    def _nearest(self, x: float, y: float, all_x: pd.Series, all_y: pd.Series) -> None:
        """Choose the star next to a place, unless none is within reach, which is 1."""
        distance = np.hypot(all_x - x, all_y - y)
        if distance.min() < 1:
            # a tap comes without the lock of the page, which figures outside of HoloViews need
            pn.state.execute(partial(self.param.update, star=int(distance.idxmin())), schedule=True)

    # The page

    def sidebar(self) -> list[Any]:
        """Return what the colours mean, and how many stars have which flag."""
        by = theme.choice("Colour of the stars", self.param.by)
        counts = count_flags(self.stars)
        lit = int((self.stars["pixels"] > 0).sum())
        facts = {
            "stars": f"{len(self.stars):,}",
            "with an aperture": f"{lit:,}",
            "cadences": f"{self.light_curves.sizes['time']:,}",
        }
        return [
            by,
            theme.markup("<h2>Stars</h2>" + theme.facts_markup(facts), margin=(12, 6)),
            theme.markup("<h2>Flags of apertures</h2>" + theme.facts_markup(counts), margin=(6, 6))
            if counts
            else theme.markup(""),
        ]

    def main(self) -> list[Any]:
        """Return image, chosen star, quantities against magnitude and flags."""
        some = f"The {MARKED:,} brightest are marked. " if len(self.stars) > MARKED else ""
        if self._one_in > 1:
            some += f"The figures show one star in {self._one_in}. "
        head = theme.heading(title_of(self.light_curves), f"{some}Tap a star for its light curve.")
        left = theme.panel_card(
            theme.caption("Stars on the reference"),
            self.legend,
            theme.figure(self.picture(width=490, height=600)),
            max_width=700,
        )
        curve = theme.panel_card(self.chosen, self.series.pane)
        right = pn.Column(curve, self.noise, sizing_mode="stretch_width", margin=0)
        return [
            theme.panel_card(head, self.links.pane),
            theme.beside(left, right, first=560),
            *self._below(),
            theme.panel_card(
                theme.caption("Where these numbers come from"),
                theme.readout(products.describe(self.light_curves)),
            ),
        ]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(pn.Column(*self.sidebar(), width=320), pn.Column(*self.main()))


def page() -> pmui.Page:
    """Return the page; ``?unit=…&id=…&tic=…`` asks for a light_curves product and a star of it."""
    return unit_page(
        "ccd",
        "light_curves",
        lambda curves: CcdView(curves, asked_tic()),
        lacks="CCD",
        about=(
            "This page shows all stars of a CCD at once, what became of them, and which cadences are flagged."
        ),
        after=CcdView.measure,
    )


if pn.state.served:
    page().servable()
