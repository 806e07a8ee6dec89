"""The page on which a CCD is judged: the verdict, the checks behind it, and all stars against the limits."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
import param
import xarray as xr
from bokeh.events import Tap
from bokeh.models import ColumnDataSource

from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.later import later
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.star_figures import SeriesFigure
from tasoc_kit.dashboards.unit_page import asked_tic, unit_page
from tasoc_kit.plots.frame import title_of
from tasoc_kit.plots.theme import SELECTED
from tasoc_kit.plots.validation import (
    FIGURES,
    badge,
    overlap_table,
    validation_figures,
    validation_source,
    validation_table,
    verdict_table,
)
from tasoc_kit.products import open_ancestor

__all__ = ["ValidationView", "page"]

_DRAWN_BY = {
    "hour": "hour_best",
    "cadence": "cadence_best",
    "change": "change",
    "flux": "flux",
    "pixels": "pixels",
    "contamination": "contamination",
}
"""Figure → the quantity of a star that it draws."""
_LINEAR = ("change", "contamination")
_TAP_REACH = 0.05
"""Share of a figure by which a finger may miss a star."""
_TELLS = {
    "noise of one hour": ("hour", "{:,.0f} ppm"),
    "corrected": ("hour_best", "{:,.0f} ppm"),
    "from cadence to cadence": ("cadence", "{:,.0f} ppm"),
    "flux": ("flux", "{:,.1f} e⁻/s"),
    "pixels": ("pixels", "{:.0f}"),
    "light of others": ("contamination", "{:.1f} %"),
}


class ValidationView(pn.viewable.Viewer):
    """The validation of one CCD."""

    star = param.Integer(default=-1, doc="Index of the chosen star; -1 for none.")

    def __init__(self, product: xr.Dataset, tic: int | None = None) -> None:
        super().__init__()
        self.product = product.load()
        self.stars = validation_table(self.product)
        self.source = validation_source(self.stars)
        self.links = SameCcd("validation", self.product)
        self.facts = theme.markup("<p class='soft'>Tap a star in a figure.</p>", margin=(12, 6))
        light_curves = open_ancestor(self.product, "light_curves")
        self.series = None if light_curves is None else SeriesFigure(light_curves)
        self.curve = pn.Column(sizing_mode="stretch_width", margin=0)
        self._rings = ColumnDataSource({name: [] for name in ("tmag", *_DRAWN_BY.values())})
        named = self.stars.index[self.stars["tic"] == tic] if tic else []
        if len(named):
            self.star = int(named[0])

    @cached_property
    def _drawn(self) -> dict[str, Any]:
        return validation_figures(self.product, self.stars, self.source)

    def _row(self, *names: str) -> pn.Row:
        """Return figures side by side."""
        cards = []
        for name in names:
            figure = self._drawn[name]
            if name in _DRAWN_BY:
                figure = figure.opts(hooks=[self._listener(name)])
            cards.append(theme.panel_card(theme.caption(FIGURES[name]), theme.figure(figure, wide=True)))
        return theme.beside(*cards, each=380)

    # A star

    def _listener(self, name: str) -> Callable[[Any, Any], None]:
        """Return a hook that lets a figure mark the chosen star, and take taps on others."""

        def hook(plot: Any, element: Any) -> None:
            if "rings" in plot.handles:
                return
            plot.handles["rings"] = plot.state.scatter(
                "tmag", _DRAWN_BY[name], source=self._rings, size=15, fill_color=None, line_color=SELECTED,
                line_width=3,
            )  # fmt: skip
            ranges = plot.handles["x_range"], plot.handles["y_range"]
            plot.state.on_event(Tap, lambda event: self.tapped(name, event.x, event.y, *ranges))

        return hook

    def tapped(self, name: str, x: float | None, y: float | None, across: Any, up: Any) -> None:
        """Choose the star next to a place in a figure, unless none is within reach."""
        log = name not in _LINEAR
        if x is None or y is None or not len(self.stars) or (log and y <= 0):
            return
        values, ends = self.stars[_DRAWN_BY[name]].to_numpy(float), np.array([up.start, up.end])
        if log:
            with np.errstate(divide="ignore", invalid="ignore"):
                values, y, ends = np.log(values), float(np.log(y)), np.log(ends)
        aside = (self.stars["tmag"].to_numpy(float) - x) / (across.end - across.start)
        distance = np.nan_to_num(np.hypot(aside, (values - y) / np.ptp(ends)), nan=np.inf)
        if distance.min() < _TAP_REACH:
            self.star = int(self.stars.index[distance.argmin()])

    @param.depends("star", watch=True)
    def _star_changed(self) -> None:
        row = self.stars.loc[self.star]
        tic = int(row["tic"])
        self._rings.data = {name: [float(row[name])] for name in self._rings.data}
        name = f"TIC {tic}" if tic else f"Star {self.star}"
        told = {title: form.format(row[of]) for title, (of, form) in _TELLS.items()}
        facts = {"Tmag": f"{row['tmag']:.2f}", "approved": "yes" if row["approved"] else "no"} | told
        facts["bits"] = html.escape(str(row["group"]))
        self.facts.object = f"<h2>{name}</h2>{theme.facts_markup(facts)}"
        self.links.show(tic)
        if self.series is not None:
            self.series.show(self.star, "flux", True)
            self.curve.objects = [theme.panel_card(theme.caption(f"{name}, as measured"), self.series.pane)]
        theme.in_address(tic=tic)

    # The page

    def sidebar(self) -> list[Any]:
        """Return how many stars there are, and what is known of the chosen one."""
        point, error = (float(self.product[name]) for name in ("zero_point", "zero_point_err"))
        facts = {
            "stars": f"{self.product.sizes['star']:,}",
            "with a light curve": f"{len(self.stars):,}",
            "approved": f"{int(self.product['approved'].sum()):,}",
            "zero point": f"{point:.4f} ± {error:.4f} mag" if np.isfinite(point) else "not known",
            "ecliptic latitude": f"{self.product.attrs['ecliptic_latitude']:.1f}°",
        }
        return [theme.markup("<h2>CCD</h2>" + theme.facts_markup(facts), margin=(12, 6)), self.facts]

    def main(self) -> list[Any]:
        """Return verdict, checks, the chosen star and the figures."""
        drawn = len(self.source.data["tmag"])
        some = f" The figures show {drawn:,} of {len(self.stars):,} stars." if drawn < len(self.stars) else ""
        head = theme.heading(f"Validation · {title_of(self.product)}", f"Tap a star to see it.{some}")
        verdict = theme.markup(
            f"<p>{badge(int(self.product['verdict']))} {html.escape(str(self.product.attrs['reason']))}</p>"
        )
        checks = [theme.caption("Checks"), theme.markup(verdict_table(self.product))]
        others = overlap_table(self.product)
        if others:
            checks += [
                theme.caption("Other CCDs of the sector", margin=(14, 0, 0, 0)),
                theme.markup(others),
            ]
        return [
            theme.panel_card(head, verdict, self.links.pane),
            theme.panel_card(*checks),
            self.curve,
            self._row("hour", "cadence"),
            later(partial(self._row, "flux", "change")),
            later(partial(self._row, "pixels", "contamination")),
            later(partial(self._row, "bits")),
            theme.panel_card(
                theme.caption("Where these numbers come from"), theme.readout(products.describe(self.product))
            ),
        ]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(pn.Column(*self.sidebar(), width=320), pn.Column(*self.main()))


def page() -> pmui.Page:
    """Return the page; ``?unit=…&id=…&tic=…`` asks for a validation product and a star of it."""
    return unit_page(
        "validation",
        "validation",
        lambda product: ValidationView(product, asked_tic()),
        lacks="validation",
        about=(
            "This page says whether the light curves of a CCD are as they should be: a verdict, the checks "
            "behind it, and all stars against the limits."
        ),
    )


if pn.state.served:
    page().servable()
