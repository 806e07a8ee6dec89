"""The page on which the corrections of a star are held against each other."""

from __future__ import annotations

import html
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
import xarray as xr

from tasoc_kit import plots
from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.controls import Shortcuts
from tasoc_kit.dashboards.correction_figures import CorrectionPanels
from tasoc_kit.dashboards.later import later
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.star_chooser import Column, StarChooser
from tasoc_kit.dashboards.unit_page import asked_tic, unit_page
from tasoc_kit.errors import StoreError
from tasoc_kit.products import open_ancestor
from tasoc_kit.vocabulary import Correction

__all__ = ["CorrectionsView", "numbers_of", "page", "why_best"]

NAMES = {
    Correction.NONE: "as measured",
    Correction.CBV: "vectors",
    Correction.ENSEMBLE: "neighbours",
    Correction.FILTER: "filter",
}
SOURCES = {
    Correction.CBV: "cbv_light_curves",
    Correction.ENSEMBLE: "ensemble_light_curves",
    Correction.FILTER: "filtered_light_curves",
}
_HEAD = {
    "light curve": "",
    "hourly scatter (ppm)": "Robust scatter of hourly means",
    "from cadence to cadence (ppm)": "Median change from one cadence to the next",
    "standard deviation (ppm)": "",
    "underfit": "Correlation with neighbours that is left; 0 is none",
    "overfit": "Rise of the scatter from cadence to cadence; 0 is none",
    "sum": "Of underfit and overfit: the least is the best",
}
_COLUMNS = [
    Column("tic", "TIC"),
    Column("tmag", "Tmag", "TESS magnitude", ".2f"),
    Column("before", "Before/ppm", "Scatter of hourly means as measured", ",.0f"),
    Column("after", "Best/ppm", "Scatter of hourly means with the best correction", ",.0f"),
    Column("best", "By", "Correction that serves the star best"),
]


def numbers_of(chosen: xr.Dataset, diagnostics: xr.Dataset, star: int) -> pd.DataFrame:
    """
    Return what each correction did to a star, one row each, the light curve as measured first.

    Parameters
    ----------
    chosen, diagnostics
        The products ``corrections`` and ``diagnostics``.
    star
        Index of the star.

    Returns
    -------
    ``rms_hour``, ``ptp`` and ``deviation`` in ppm, ``underfit``, ``overfit`` and their ``sum``, by
    ``Correction``.
    """
    one, before = chosen.isel(star=star), diagnostics.isel(star=star)
    rows = {
        Correction.NONE: {name: float(before[name]) for name in ("rms_hour", "ptp", "variance")}
        | {"underfit": float(one["shared"]), "overfit": 0.0}
    }
    for kind in SOURCES:
        of = one.sel(correction=int(kind))
        rows[kind] = {name: float(of[f"{name}_corr"]) for name in ("rms_hour", "ptp", "variance")} | {
            name: float(of[name]) for name in ("underfit", "overfit")
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table["deviation"] = np.sqrt(table.pop("variance"))
    table[["rms_hour", "ptp", "deviation"]] *= 1e6
    return table.assign(sum=table["underfit"] + table["overfit"])


def why_best(numbers: pd.DataFrame, best: int) -> str:
    """Return in words why a correction is the best of a star; ``numbers`` as of :func:`numbers_of`."""
    sums = {kind: float(numbers.at[kind, "sum"]) for kind in NAMES}
    if not np.isfinite(sums[Correction.NONE]):
        return "What this star shares with its neighbours is not known, so nothing tells corrections apart."
    slow = {NAMES[kind]: sums[kind] for kind in (Correction.CBV, Correction.ENSEMBLE)}
    told = ", ".join(f"{name} {value:.3f}" for name, value in slow.items() if np.isfinite(value))
    rule = "The filter does not compete: it takes the star's own slow variation away as well."
    if best == Correction.NONE:
        before = sums[Correction.NONE]
        return f"As measured underfit and overfit add to {before:.3f}, no worse than with {told}. {rule}"
    name = NAMES[Correction(best)]
    return (
        f"Underfit and overfit add to the least with {name} ({told}; as measured {sums[Correction.NONE]:.3f}"
        f"). Vectors are preferred where the two differ by less than 0.01. {rule}"
    )


class CorrectionsView(pn.viewable.Viewer):
    """The corrections of one CCD, star by star."""

    # No doc: a switch shows it as a mark that readers of the page cannot name.
    one_scale = param.Boolean(default=True)

    def __init__(self, chosen: xr.Dataset, tic: int | None = None) -> None:
        super().__init__()
        self.chosen = chosen.load()
        self.light_curves = _ancestor(chosen, "light_curves")
        self.diagnostics = _ancestor(chosen, "diagnostics").load()
        self.vectors = open_ancestor(chosen, "cbvs")
        corrected = {kind: _ancestor(chosen, name) for kind, name in SOURCES.items()}
        self.by_vectors = corrected[Correction.CBV]
        self.panels = CorrectionPanels(
            self.light_curves, {NAMES[kind]: table for kind, table in corrected.items()}
        )
        self.links = SameCcd("corrections", chosen)
        self.heading, self.why, self.table = (theme.markup("") for _ in range(3))
        self.area_title, self._area = theme.markup(""), -1
        self.area = pn.Column(sizing_mode="stretch_width")
        self.chooser = StarChooser(_star_table(self.chosen, self.diagnostics), _COLUMNS, tic=tic)
        self.chooser.param.watch(lambda _event: self.show(), "star")
        self.param.watch(lambda _event: self.show(), "one_scale")
        self.show()

    def show(self) -> None:
        """Show the star in view."""
        star = self.chooser.star
        if star < 0:
            self.heading.object = theme.heading_markup("Corrections", "This CCD has no star.")
            return
        row = self.chooser.stars.loc[star]
        best = int(self.chosen["best_correction"].values[star])
        numbers = numbers_of(self.chosen, self.diagnostics, star)
        self.heading.object = theme.heading_markup(
            self.chooser.star_name(), f"Tmag {row['tmag']:.2f} · best: {row['best']}"
        )
        self.why.object = f"<p class='soft'>{html.escape(why_best(numbers, best))}</p>"
        self.table.object = _numbers_markup(numbers, best)
        self.panels.show(star, self.one_scale, NAMES[Correction(best)])
        self._show_area(star)
        self.links.show(int(row["tic"]))
        theme.in_address(tic=int(row["tic"]))

    def _show_area(self, star: int) -> None:
        """Show the vectors of the area that a star is in; another star of it leaves the figure as it is."""
        if self.vectors is None:
            return
        area = int(self.vectors["star_area"].values[star])
        stars = int((self.vectors["star_area"] == area).sum())
        taken = int(self.by_vectors["cbv_number"].values[star]) if "cbv_number" in self.by_vectors else 0
        self.area_title.object = (
            f"<h2>Vectors of area {area}</h2><p class='soft'>What {stars:,} stars drift by together, one "
            f"below the other. The information criterion takes {taken} of them for this star.</p>"
            if area
            else "<h2>No vectors</h2><p class='soft'>This star is in no area that has any.</p>"
        )
        if area == self._area:
            return
        self._area = area
        known = area in self.vectors["area"].values
        self.area.objects = [later(partial(self._vectors, area))] if known else []

    def _vectors(self, area: int) -> pn.pane.HoloViews:
        return theme.figure(plots.cbvs(self.vectors, area).opts(title=""), wide=True)

    def sidebar(self) -> list[Any]:
        """Return the list of stars."""
        return self.chooser.sidebar()

    def main(self) -> list[Any]:
        """Return light curves, numbers, vectors, and the CCD as a whole."""
        scale = pmui.Switch.from_param(self.param.one_scale, label="one scale for all")
        return [
            Shortcuts(self.chooser.actions()),
            theme.panel_card(self.heading, self.why, self.links.pane),
            theme.panel_card(theme.beside(self._curves_caption(), scale), self.panels.pane),
            theme.panel_card(theme.caption("What each correction did"), self.table),
            theme.panel_card(self.area_title, self.area),
            later(self._all_stars),
            theme.panel_card(
                theme.caption("Where these numbers come from"), theme.readout(products.describe(self.chosen))
            ),
        ]

    def _all_stars(self) -> pmui.Paper:
        text = "As measured, and with the best correction of each star that has one."
        return theme.panel_card(
            theme.caption("All stars of the CCD"),
            theme.markup(f"<p class='soft'>{text}</p>"),
            theme.figure(plots.corrections(self.chosen, self.diagnostics), wide=True),
        )

    @staticmethod
    def _curves_caption() -> pn.pane.HTML:
        text = "Flux about the median of the good cadences. The one that serves the star best is framed."
        return theme.markup(f"<h2>Light curves</h2><p class='soft'>{text}</p>")

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(self.chooser, pn.Column(*self.main()))


def _ancestor(chosen: xr.Dataset, name: str) -> xr.Dataset:
    found = open_ancestor(chosen, name)
    if found is None:
        raise StoreError(
            f"Corrections page: the {name} that corrections {chosen.attrs['provenance_id']} was made from is "
            "no longer in the store; expected it. Run 'tasoc run photometry' again."
        )
    return found


def _star_table(chosen: xr.Dataset, diagnostics: xr.Dataset) -> pd.DataFrame:
    best = chosen["best_correction"].values
    before = 1e6 * diagnostics["rms_hour"].values.astype(float)
    after = before.copy()
    for kind in SOURCES:
        some = best == int(kind)
        after[some] = 1e6 * chosen["rms_hour_corr"].sel(correction=int(kind)).values[some]
    return pd.DataFrame(
        {
            "tic": chosen["tic"].values.astype(np.int64),
            "tmag": chosen["tmag"].values.astype(float),
            "before": before,
            "after": after,
            "best": [NAMES[Correction(int(kind))] for kind in best],
        },
        index=pd.RangeIndex(best.size, name="star"),
    )


def _numbers_markup(numbers: pd.DataFrame, best: int) -> str:
    """Return the numbers as a table, the row of the best one marked."""

    def cells(row: pd.Series) -> str:
        ppm = [f"{row[name]:,.0f}" for name in ("rms_hour", "ptp", "deviation")]
        share = [f"{row[name]:.3f}" for name in ("underfit", "overfit", "sum")]
        return "".join(f"<td>{'–' if value == 'nan' else value}</td>" for value in (*ppm, *share))

    head = "".join(f"<th scope='col' title='{meaning}'>{name}</th>" for name, meaning in _HEAD.items())
    rows = "".join(
        f"<tr{' aria-current=true' if kind == best else ''}><th scope='row'>"
        f"{f'<strong>{NAMES[kind]} ✓ best</strong>' if kind == best else NAMES[kind]}</th>{cells(row)}</tr>"
        for kind, row in numbers.iterrows()
    )
    return (
        "<div style='overflow-x: auto' tabindex='0' role='region' aria-label='Numbers of each correction'>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def page() -> pmui.Page:
    """Return the page; ``?unit=…&id=…&tic=…`` asks for a star of a corrections product."""
    return unit_page(
        "corrections",
        "corrections",
        lambda chosen: CorrectionsView(chosen, asked_tic()),
        lacks="corrections",
        about="This page holds the corrections of a star against each other, and says which serves it best.",
        width=400,
    )


if pn.state.served:
    page().servable()
