"""The page on which the classes of variable stars are looked at, with the rotation of each star."""

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
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.star_chooser import Column, StarChooser
from tasoc_kit.dashboards.unit_page import asked_tic, unit_page
from tasoc_kit.errors import StoreError
from tasoc_kit.plots.variability import CLASS_NAMES
from tasoc_kit.products import open_ancestor, open_sibling
from tasoc_kit.provenance import lineage
from tasoc_kit.seismology.star_flux import star_flux
from tasoc_kit.vocabulary import RotationFlag, VariabilityClass, flag_names

__all__ = ["VariabilityView", "page"]

MAKES = ("tasoc run seismology", "tasoc run seismology --cube PATH --sector 1 --camera 1 --ccd 2")
ALL = "all"
_MEASURED = ("light_curves", "light_curve_files")
"""Products that may hold the flux as it was measured: ours, or of files that were written."""
_SERIES = ("corrections", "cbv_light_curves", "ensemble_light_curves", "filtered_light_curves")
_COLUMNS = [
    Column("tic", "TIC"),
    Column("tmag", "Tmag", "TESS magnitude", ".2f"),
    Column("period", "Period/d", "Period of rotation, where one is stated", ".3g"),
    Column("probability", "Sure", "Probability of the class", ".2f"),
    Column("kind", "Class", "Most probable class of variability"),
]


class VariabilityView(pn.viewable.Viewer):
    """The classes of one CCD, star by star."""

    kind = param.Selector(default=ALL, objects=[ALL, *CLASS_NAMES.values()])

    def __init__(self, classified: xr.Dataset, tic: int | None = None) -> None:
        super().__init__()
        self.classified = classified.load()
        found = (open_ancestor(classified, name) for name in _MEASURED)
        light_curves = next((curves for curves in found if curves is not None), None)
        if light_curves is None:
            raise StoreError(
                f"Variability page: the light_curves that variability {classified.attrs['provenance_id']} "
                "was made from are not in the store; expected them. Run 'tasoc run seismology' again, "
                "or write those of files with tk.write_product."
            )
        self.series = light_curves, *(open_ancestor(classified, name) for name in _SERIES)
        self.method = _method_of(classified)
        rotation = open_sibling(classified, "rotation")
        same = rotation is not None and rotation.sizes["star"] == classified.sizes["star"]
        self.rotation = rotation.load() if rotation is not None and same else None
        self.links = SameCcd("variability", classified)
        self.heading, self.facts = theme.markup(""), theme.markup("")
        self.by_class, self.by_time = (pn.Column(sizing_mode="stretch_width") for _ in range(2))
        stars = _star_table(self.classified, self.rotation)
        self.chooser = StarChooser(stars, _COLUMNS, tic=tic, order="probability", descending=True)
        self.chooser.param.watch(lambda _event: self.show(), "star")
        self.param.watch(lambda event: self._keep(event.new), "kind")
        self.show()

    def _keep(self, kind: str) -> None:
        self.chooser.keep(None if kind == ALL else partial(_is_of, kind=kind))
        if len(self.chooser.shown) and self.chooser.star not in self.chooser.shown.index:
            self.chooser.star = int(self.chooser.shown.index[0])

    def show(self) -> None:
        """Show the star in view."""
        star = self.chooser.star
        if star < 0:
            self.heading.object = theme.heading_markup("Variability", "This CCD has no star.")
            return
        flux = star_flux(np.array([star]), *self.series, method=self.method)
        row = self.chooser.stars.loc[star]
        sure = f" · probability {row['probability']:.2f}" if np.isfinite(row["probability"]) else ""
        self.heading.object = theme.heading_markup(
            self.chooser.star_name(), f"Tmag {row['tmag']:.2f} · {row['kind']}{sure}"
        )
        self.facts.object = theme.facts_markup(self.facts_of(star))
        one = self.classified.isel(star=[star])
        folded = [drawn.opts(title="") for drawn in plots.class_examples(one, flux)]
        self.by_class.objects = [theme.figure(drawn, wide=True) for drawn in folded]
        if self.rotation is not None:
            repeated = [drawn.opts(title="") for drawn in plots.repetition(self.rotation, star, flux)]
            self.by_time.objects = [
                *(theme.figure(drawn, wide=True) for drawn in repeated),
                theme.markup(
                    "<p class='soft'>Above: how much the light curve is like itself after a time; solid the "
                    "period of that, dashed the one of the spectrum. Below: folded with the period of "
                    "rotation, or against time where none is stated.</p>"
                ),
            ]
        tic = int(self.chooser.stars.at[star, "tic"])
        self.links.show(tic)
        theme.in_address(tic=tic)

    def facts_of(self, star: int) -> dict[str, str]:
        """Return what is known of a star, for ``theme.readout``."""
        chances = self.classified["class_probability"].values[star]
        order = np.argsort(-np.nan_to_num(chances))[:3]
        kinds = [CLASS_NAMES[VariabilityClass(int(kind))] for kind in self.classified["class"].values[order]]
        known = np.isfinite(chances).any()
        told = [f"{kind} {chance:.2f}" for kind, chance in zip(kinds, chances[order], strict=True)]
        facts = {"most probable": html.escape(", ".join(told)) if known else "not known"}
        if self.rotation is None:
            return facts
        one = self.rotation.isel(star=star)
        period, error = float(one["rotation_period"]), float(one["rotation_period_err"])
        facts["period of rotation"] = (
            f"{period:.4g} ± {error:.2g} d" if np.isfinite(period) else "none above the noise"
        )
        facts["range of variation"] = f"{float(one['variation_range']):,.0f} ppm"
        flags = flag_names(int(one["rotation_flags"]), RotationFlag)
        return facts | ({"flags": ", ".join(flags).lower().replace("_", " ")} if flags else {})

    def sidebar(self) -> list[Any]:
        """Return the choice of a class and the list of its stars."""
        return [theme.choice("Class", self.param.kind), *self.chooser.sidebar()]

    def main(self) -> list[Any]:
        """Return the star in view, and how many stars each class has."""
        return [
            Shortcuts(self.chooser.actions()),
            theme.panel_card(self.heading, self.facts, self.links.pane),
            theme.panel_card(
                theme.caption("Light curve, folded where its class has a period"), self.by_class
            ),
            *([theme.panel_card(theme.caption("Rotation"), self.by_time)] * (self.rotation is not None)),
            theme.panel_card(
                theme.caption("Stars of each class"), theme.figure(plots.classes(self.classified), wide=True)
            ),
            theme.panel_card(
                theme.caption("Where these numbers come from"),
                theme.readout(products.describe(self.classified)),
            ),
        ]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(self.chooser, pn.Column(*self.main()))


def _is_of(stars: pd.DataFrame, kind: str) -> pd.Series:
    return stars["kind"] == kind


def _method_of(classified: xr.Dataset) -> str:
    """Return which correction of the flux the classes were told by."""
    record = lineage(classified).get(str(classified.attrs.get("provenance_id", "")), {})
    return str(record.get("parameters", {}).get("method", "best"))


def _star_table(classified: xr.Dataset, rotation: xr.Dataset | None) -> pd.DataFrame:
    stars = classified.sizes["star"]
    chances = classified["class_probability"].values
    known = np.isfinite(chances).any(axis=1)
    nothing = np.full(stars, np.nan)
    return pd.DataFrame(
        {
            "tic": classified["tic"].values.astype(np.int64),
            "tmag": classified["tmag"].values.astype(float) if "tmag" in classified.variables else nothing,
            "period": nothing if rotation is None else rotation["rotation_period"].values.astype(float),
            "probability": np.where(known, np.nan_to_num(chances).max(axis=1), np.nan),
            "kind": [
                CLASS_NAMES[VariabilityClass(int(kind))] for kind in classified["variability_class"].values
            ],
        },
        index=pd.RangeIndex(stars, name="star"),
    )


def page() -> pmui.Page:
    """Return the page; ``?unit=…&id=…&tic=…`` asks for a star of a variability product."""
    return unit_page(
        "variability",
        "variability",
        lambda classified: VariabilityView(classified, asked_tic()),
        lacks="classes of variable stars",
        about="This page shows what kind of variable each star is, how it was told, and how fast it rotates.",
        makes=MAKES,
        width=440,
    )


if pn.state.served:
    page().servable()
