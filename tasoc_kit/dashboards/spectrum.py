"""The page on which the spectrum of a star is looked at, with its oscillations and their échelle diagram."""

from __future__ import annotations

import asyncio
import html
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
import xarray as xr

from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.controls import Shortcuts
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.spectrum_figures import EchelleFigure, SpectrumFigure
from tasoc_kit.dashboards.star_chooser import Column, StarChooser
from tasoc_kit.dashboards.unit_page import asked_tic, unit_page
from tasoc_kit.errors import StoreError
from tasoc_kit.numerics.oscillation_model import expected_separation
from tasoc_kit.products import open_ancestor
from tasoc_kit.seismology.chosen_numax import chosen_trials, oscillations_at
from tasoc_kit.seismology.envelope import Trials
from tasoc_kit.vocabulary import OscillationFlag, flag_names

__all__ = ["SpectrumView", "page", "with_interval"]

MAKES = ("tasoc run seismology", "tasoc run seismology --cube PATH --sector 1 --camera 1 --ccd 2")
LIKELY = 0.5
_EITHER_WAY, _STEPS = 0.3, 600
"""Share of Δν that the slider reaches to either side, and its steps."""
_SAME = 1e-4
"""Relative change of νmax below which the line has not been moved."""
_QUANTITIES = {
    "numax": ("νmax", "µHz"),
    "dnu": ("Δν", "µHz"),
    "mass": ("mass", "M☉"),
    "radius": ("radius", "R☉"),
    "logg": ("log g", "cgs"),
    "envelope_height": ("height of the envelope", "ppm²/µHz"),
    "white_noise": ("white noise", "ppm²/µHz"),
    "granulation_amplitude": ("granulation", "ppm"),
    "detection_probability": ("probability of oscillations", ""),
}
_COLUMNS = [
    Column("tic", "TIC"),
    Column("tmag", "Tmag", "TESS magnitude", ".2f"),
    Column("numax", "νmax/µHz", "Frequency of most power of the oscillations", ".1f"),
    Column("dnu", "Δν/µHz", "Large separation", ".2f"),
    Column("probability", "Likely", "Probability that there are oscillations", ".2f"),
]


def with_interval(value: float, low: float, high: float) -> str:
    """Return a value with its 68 % interval, to two digits of the smaller error: ``106.1 +1.2 −1.1``."""
    if not np.isfinite(value):
        return "–"
    up, down = high - value, value - low
    errors = [error for error in (up, down) if np.isfinite(error) and error > 0]
    if not errors:
        return f"{value:,.4g}"
    digits = int(np.clip(1 - np.floor(np.log10(min(errors))), 0, 6))
    return f"{value:,.{digits}f} +{up:,.{digits}f} −{down:,.{digits}f}"


class SpectrumView(pn.viewable.Viewer):
    """The spectra of one CCD, star by star."""

    # No doc: a switch shows it as a mark that readers of the page cannot name.
    likely = param.Boolean(default=False)

    def __init__(self, oscillations: xr.Dataset, tic: int | None = None) -> None:
        super().__init__()
        found = open_ancestor(oscillations, "spectra")
        if found is None:
            raise StoreError(
                f"Spectrum page: the spectra that oscillations {oscillations.attrs['provenance_id']} was "
                "made from are no longer in the store; expected them. Run 'tasoc run seismology' again."
            )
        self.spectra, self.oscillations = found, oscillations.load()
        self.figure, self.echelle = SpectrumFigure(self.try_numax), EchelleFigure()
        self.links = SameCcd("spectrum", oscillations)
        self.heading, self.numbers, self.trouble = (theme.markup("") for _ in range(3))
        self.tried: xr.Dataset | None = None
        """What is found where the line was dragged to; None where it is at the νmax that was measured."""
        stars = _star_table(self.oscillations)
        self.chooser = StarChooser(stars, _COLUMNS, tic=tic, order="probability", descending=True)
        self.slider = pmui.FloatSlider(
            label="Δν (µHz)",
            size="small",
            sizing_mode="stretch_width",
            start=0.5,
            end=2.0,
            value=1.0,
            step=0.001,
        )
        self.slider.param.watch(lambda event: self.echelle.show_orders(event.new), "value")
        self.back = pmui.Button(
            label="Back to what was measured", variant="outlined", size="small", visible=False
        )
        self.back.on_click(lambda _event: self.measured())
        self.chooser.param.watch(lambda _event: self.show(), "star")
        self.param.watch(lambda event: self.chooser.keep(_is_likely if event.new else None), "likely")
        self.show()

    # What is in view

    @cached_property
    def _trials(self) -> Trials | None:
        return chosen_trials(self.spectra)

    async def prepare(self) -> None:
        """Make ready for a line that is dragged, beside the server."""
        await asyncio.to_thread(self._try_once)

    def _grid(self) -> Trials | None:
        """Return where νmax can be tried; None without a star, or a spectrum of it."""
        told = self.chooser.star >= 0 and np.isfinite(self.spectrum["power"].values).all()
        return self._trials if told else None

    def _try_once(self) -> None:
        grid = self._grid()
        if grid is not None:
            oscillations_at(self.spectrum, 0, float(grid.numax[0]), grid)

    def show(self) -> None:
        """Show the star in view."""
        star = self.chooser.star
        if star < 0:
            self.heading.object = theme.heading_markup("Spectrum", "This CCD has no star.")
            self.slider.disabled = True
            return
        self.spectrum = self.spectra.isel(star=[star]).load()
        self.figure.show(self.spectrum)
        self.measured()
        tic = int(self.chooser.stars.at[star, "tic"])
        self.heading.object = theme.heading_markup(*self.title())
        self.links.show(tic)
        theme.in_address(tic=tic)

    @property
    def found(self) -> xr.Dataset:
        """What the step found of the star in view."""
        return self.oscillations.isel(star=[self.chooser.star])

    def measured(self) -> None:
        """Show what the step found."""
        self.tried = None
        self.trouble.object = ""
        self._show_model(self.found)

    def try_numax(self, numax: float) -> None:
        """Show what is found with νmax where a person puts it, within what the spectrum can tell."""
        if self.chooser.star < 0:
            return
        shown = self.found if self.tried is None else self.tried
        if abs(numax / float(shown["numax"][0]) - 1) < _SAME:
            return
        grid = self._grid()
        if grid is None:
            self.trouble.object = "<p class='soft'>This star has no spectrum to try it on.</p>"
            return
        within = float(np.clip(numax, grid.numax[0], grid.numax[-1]))
        self.tried = oscillations_at(self.spectrum, 0, within, grid)
        self._show_model(self.tried)

    def _show_model(self, found: xr.Dataset) -> None:
        self.figure.show_model(found, self.spectrum)
        self.back.visible = self.tried is not None
        numax, dnu = float(found["numax"][0]), float(found["dnu"][0])
        expected = float(expected_separation(numax))
        chosen = dnu if np.isfinite(dnu) else expected
        self.slider.disabled = not np.isfinite(chosen)
        if np.isfinite(chosen):
            low, high = (1 - _EITHER_WAY) * chosen, (1 + _EITHER_WAY) * chosen
            self.slider.param.update(start=low, end=high, step=(high - low) / _STEPS, value=chosen)
        self.echelle.show(self.spectrum, found, chosen)
        self.numbers.object = _numbers_markup(self.found, self.tried)

    def title(self) -> tuple[str, str]:
        """Return the name of the star in view, and what is known of it."""
        row = self.chooser.stars.loc[self.chooser.star]
        flags = flag_names(int(self.found["oscillation_flags"][0]), OscillationFlag)
        said = f"Tmag {row['tmag']:.2f} · " + (
            f"oscillations with a probability of {row['probability']:.2f}"
            if np.isfinite(row["probability"])
            else "no spectrum"
        )
        words = ", ".join(name.lower().replace("_", " ") for name in flags)
        return self.chooser.star_name(), said + (f" · flags: {words}" if words else "")

    # The page

    def sidebar(self) -> list[Any]:
        """Return the list of stars."""
        only = pmui.Switch.from_param(self.param.likely, label="only where oscillations are likely")
        return [only, *self.chooser.sidebar()]

    def main(self) -> list[Any]:
        """Return spectrum, échelle diagram and numbers."""
        hint = "Drag the vertical line: background, envelope and Δν follow when it rests."
        return [
            Shortcuts(self.chooser.actions()),
            theme.panel_card(self.heading, self.links.pane),
            theme.beside(
                theme.panel_card(
                    theme.caption("Power density spectrum"),
                    theme.markup(f"<p class='soft'>{hint}</p>"),
                    self.trouble,
                    self.figure.pane,
                    self.back,
                ),
                theme.panel_card(
                    theme.caption("Échelle diagram"),
                    theme.markup("<p class='soft'>Ridges stand upright where Δν is right.</p>"),
                    self.slider,
                    self.echelle.pane,
                ),
                first=460,
                each=330,
            ),
            theme.panel_card(theme.caption("What the oscillations say"), self.numbers),
            theme.panel_card(
                theme.caption("Where these numbers come from"),
                theme.readout(products.describe(self.oscillations)),
            ),
        ]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(self.chooser, pn.Column(*self.main()))


def _is_likely(stars: pd.DataFrame) -> pd.Series:
    return stars["probability"] >= LIKELY


def _star_table(oscillations: xr.Dataset) -> pd.DataFrame:
    def known(name: str) -> np.ndarray:
        there = name in oscillations.variables
        return oscillations[name].values.astype(float) if there else np.full(stars, np.nan)

    stars = oscillations.sizes["star"]
    return pd.DataFrame(
        {
            "tic": oscillations["tic"].values.astype(np.int64),
            "tmag": known("tmag"),
            "numax": known("numax"),
            "dnu": known("dnu"),
            "probability": known("detection_probability"),
        },
        index=pd.RangeIndex(stars, name="star"),
    )


def _cell(of: xr.Dataset | None, name: str) -> str:
    if of is None or name not in of.variables:
        return "–"
    ends = [
        float(of[name + end][0]) if name + end in of.variables else np.nan for end in ("", "_low", "_high")
    ]
    return html.escape(with_interval(*ends))


def _expected(of: xr.Dataset | None) -> str:
    numax = np.nan if of is None else float(of["numax"][0])
    return f"{float(expected_separation(numax)):.2f}" if np.isfinite(numax) else "–"


def _numbers_markup(found: xr.Dataset, tried: xr.Dataset | None) -> str:
    """Return the numbers that were measured, and those with νmax at the line."""
    rows = [
        (title, unit, _cell(found, name), _cell(tried, name)) for name, (title, unit) in _QUANTITIES.items()
    ]
    rows.insert(2, ("Δν that νmax lets expect", "µHz", _expected(found), _expected(tried)))
    head = ("quantity", "unit", "measured, 68 % interval", "with νmax at the line")
    shown = 4 if tried is not None else 3
    cells = "".join(
        f"<tr><th scope='row'>{title}</th>"
        + "".join(f"<td>{cell}</td>" for cell in rest[: shown - 1])
        + "</tr>"
        for title, *rest in rows
    )
    heads = "".join(f"<th scope='col'>{name}</th>" for name in head[:shown])
    note = (
        "<p class='soft'>νmax at the line has no error of its own, so mass, radius and log g have those of "
        "Δν and of the temperature alone.</p>"
        if tried is not None
        else ""
    )
    return (
        "<div style='overflow-x: auto' tabindex='0' role='region' aria-label='Numbers'>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>{note}"
    )


def page() -> pmui.Page:
    """Return the page; ``?unit=…&id=…&tic=…`` asks for a star of an oscillations product."""
    return unit_page(
        "spectrum",
        "oscillations",
        lambda oscillations: SpectrumView(oscillations, asked_tic()),
        lacks="oscillations",
        about="This page shows the spectra of stars, their oscillations, and what these say of a star.",
        makes=MAKES,
        after=SpectrumView.prepare,
        width=400,
    )


if pn.state.served:
    page().servable()
