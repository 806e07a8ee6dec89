"""The page on which one star is looked at over all its sectors."""

from __future__ import annotations

import html
import io
from typing import Any

import holoviews as hv
import panel as pn
import panel_material_ui as pmui
import param

from tasoc_kit import store
from tasoc_kit.dashboards import page_list, theme
from tasoc_kit.dashboards.unit_page import asked, nothing_yet
from tasoc_kit.errors import TasocKitError
from tasoc_kit.exports.star import Star, star

__all__ = ["StarPage", "page"]

HEIGHT = 420
_SHOWN = {"ppm about the median of each sector": True, "e⁻/s": False}
_HEAD = ("sector", "camera · CCD", "cadences", "method", "level (e⁻/s)", "noise (ppm)", "other stars", "see")


class StarPage(pn.viewable.Viewer):
    """One star: what was asked for, its light curve, and a row a sector."""

    target = param.String(default="", doc="TIC number, or RA and Dec in degrees.")
    flux = param.Selector(default=next(iter(_SHOWN)), objects=list(_SHOWN))
    # No doc: a switch shows it as a mark that readers of the page cannot name.
    decontaminate = param.Boolean(default=False)

    def __init__(self, target: str = "") -> None:
        super().__init__(target=target)
        self.star: Star | None = None
        self.search = pmui.TextInput(
            label="TIC number, or RA and Dec in degrees",
            value=target,
            size="small",
            sizing_mode="stretch_width",
            max_width=320,
        )
        self.search.param.watch(lambda event: self.param.update(target=(event.new or "").strip()), "value")
        self.heading = theme.markup("")
        self.body = pn.Column(sizing_mode="stretch_width")
        self._show()

    @param.depends("target", "flux", "decontaminate", watch=True)
    def _show(self) -> None:
        self.star = None
        if not self.target:
            self._tell("One star", "Every sector of the store, put together.", _which_star())
            return
        try:
            self.star = star(self.target, normalise=_SHOWN[self.flux], decontaminate=self.decontaminate)
        except TasocKitError as error:
            name = f"TIC {self.target}" if self.target.isdigit() else self.target
            self._tell(name, "", _not_found(self.target, str(error)))
            return
        theme.in_address(tic=self.star.name.removeprefix("TIC "))
        self._tell(self.star.name, _summary(self.star), self._curve_card(), self._sectors_card(self.star))

    def _tell(self, name: str, detail: str, *cards: Any) -> None:
        self.heading.object = theme.heading_markup(name, detail)
        self.body.objects = list(cards)

    def _curve_card(self) -> pmui.Paper:
        assert self.star is not None
        figure = self.star.plot(title="", height=HEIGHT, columns=13, xticks=4)
        flux = theme.choice("Flux", self.param.flux, max_width=290)
        alone = pmui.Switch.from_param(self.param.decontaminate, label="without the light of other stars")
        return theme.panel_card(
            theme.beside(theme.caption("Light curve"), flux, alone),
            pn.pane.HoloViews(figure, sizing_mode="stretch_width", min_height=HEIGHT),
            theme.markup("<p class='soft'>Good cadences only. Tap a sector in the legend to hide it.</p>"),
            theme.download("CSV", self._csv, f"{self.star.name.replace(' ', '').lower()}.csv"),
        )

    def _csv(self) -> io.BytesIO:
        assert self.star is not None
        ids = ", ".join(self.star.sectors["id"])
        head = f"# star: {self.star.name}\n# products: {ids}\n# time: BTJD = BJD - 2457000, TDB, days\n"
        return io.BytesIO((head + self.star.to_pandas().to_csv(index=False)).encode())

    def _sectors_card(self, shown: Star) -> pmui.Paper:
        rows = "".join(_row(row._asdict(), shown.name) for row in shown.sectors.itertuples(index=False))
        head = "".join(f"<th scope='col'>{name}</th>" for name in _HEAD)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        scroll = (
            f"<div style='overflow-x: auto' tabindex='0' role='region' aria-label='Sectors'>{table}</div>"
        )
        return theme.panel_card(theme.caption("Sectors"), theme.markup(scroll))

    def main(self) -> list[Any]:
        """Return search, name, light curve and sectors."""
        return [theme.panel_card(theme.beside(self.heading, self.search)), self.body]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(*self.main())


def _summary(shown: Star) -> str:
    sectors = "1 sector" if len(shown.sectors) == 1 else f"{len(shown.sectors)} sectors"
    span = shown.curve["time"].max() - shown.curve["time"].min()
    good = f"{int(shown.curve['good'].sum()):,} good of {len(shown.curve):,} cadences"
    return f"{sectors} · {good} · {span:,.{0 if span >= 10 else 1}f} days"


def _row(row: dict[str, Any], name: str) -> str:
    """Return the markup of a sector, with the ways to the star among those of its CCD."""
    tic = name.removeprefix("TIC ")
    asked = {"unit": row["unit"], "id": row["id"], "tic": tic if tic.isdigit() else ""}
    others = " · ".join(
        f"<a href='{html.escape(theme.link(page, **asked), quote=True)}'>{page_list.pages()[page].title}</a>"
        for page in ("light_curves", "apertures", "ccd")
    )
    share = row["contamination"]
    cells = (
        f"{row['sector']}",
        f"{row['camera']} · {row['ccd']}",
        f"{row['good']:,} of {row['cadences']:,}",
        html.escape(str(row["method"])),
        f"{row['level']:,.1f}",
        f"{row['scatter']:,.0f}",
        f"{100 * share:.1f} %" if share == share else "not known",
        others,
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _which_star() -> pmui.Paper:
    """Say how to choose a star, or how to make light curves where there are none."""
    try:
        refs = store.current_products("light_curves")
    except TasocKitError as error:
        return theme.empty("The store cannot be read", str(error), ["tasoc doctor"])
    if not refs:
        about = "This page puts the light curves of a star together, from all sectors in the store."
        return nothing_yet("light curves", about)
    numbers = store.read_variable(refs[-1], "tic")
    units = "1 CCD" if len(refs) == 1 else f"{len(refs)} CCDs"
    text = f"Type the number of a star, or its place, above. The store has light curves of {units}."
    numbered = numbers[numbers > 0]
    if not numbered.size:
        return theme.empty("Which star?", text)
    example = theme.button_link(f"TIC {numbered[0]}", theme.link("star", tic=numbered[0]))
    return theme.panel_card(theme.markup(f"<h2>Which star?</h2><p>{text}</p><p>For example {example}</p>"))


def _not_found(target: str, problem: str) -> pmui.Paper:
    where = f"tasoc where {target}" if target.isdigit() else f'tasoc where "{target}"'
    return theme.empty(
        "Not in the store", problem, [where, "tasoc run photometry --sector N --camera C --ccd D"]
    )


def page() -> pmui.Page:
    """Return the page; ``?tic=…`` names a star, ``?position=RA Dec`` a place."""
    hv.extension("bokeh", logo=False)
    return theme.make_page("star", main=StarPage((asked("tic") or asked("position")).strip()).main())


if pn.state.served:
    page().servable()
