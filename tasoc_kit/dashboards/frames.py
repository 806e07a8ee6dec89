"""The page on which frames are looked at: any cube of the catalog, or any file."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
import xarray as xr

from tasoc_kit import catalog, store
from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.controls import Shortcuts
from tasoc_kit.dashboards.frame_viewer import FrameViewer
from tasoc_kit.dashboards.later import later
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.movie_maker import MovieMaker
from tasoc_kit.dashboards.unit_page import as_number, asked, asked_tic
from tasoc_kit.errors import TasocKitError
from tasoc_kit.products import open_ancestor
from tasoc_kit.sources.ffi import science

__all__ = ["available", "open_viewer", "page", "view"]

_MARKED_AT_FIRST = 150
_OFFLINE = ("simulation.tiny", "simulation.demo")
"""Entries that are made on this machine, in seconds, when they are first opened."""
_KEYS = (
    "<kbd>←</kbd> <kbd>→</kbd> one frame · <kbd>Page ↑</kbd> <kbd>Page ↓</kbd> ten frames · "
    "<kbd>p</kbd> play and pause"
)


def open_viewer(entry: str, **unit: int | None) -> FrameViewer:
    """
    Open a cube with the newest stars and light curves that the store has for its CCD.

    Parameters
    ----------
    entry
        A catalog entry, a path or a URL.
    unit
        ``sector``, ``camera``, ``ccd``, where the entry asks for them.
    """
    cube = catalog.open_cube(entry, **{name: value for name, value in unit.items() if value is not None})
    place = {name: cube.attrs[name] for name in products.PLACE if name in cube.attrs}
    field = str(cube.attrs.get("field", ""))
    found = store.find_product("light_curves", **place, field=field) if place else None
    if found is not None:
        curves = store.open_product("light_curves", **place, field=field, id=found.id)
        return FrameViewer(cube, open_ancestor(curves, "apertures"), curves)
    return FrameViewer(cube, _stars(place, field))


def _stars(place: dict[str, Any], field: str) -> xr.Dataset | None:
    for name in ("apertures", "stars") if place else ():
        found = store.find_product(name, **place, field=field)
        if found is not None:
            return store.open_product(name, **place, field=field, id=found.id)
    return None


def player(viewer: FrameViewer) -> tuple[pmui.Player, dict[str, Callable[[], None]]]:
    """Return what moves through the frames: buttons, and keys."""
    last = len(viewer.reader) - 1
    made = pmui.Player.from_param(
        viewer.param.frame,
        label="",
        interval=400,
        description="",
        show_value=False,
        show_loop_controls=False,
        sx={
            "& .MuiIconButton-root": {"color": "text.primary"},
            "& .MuiIconButton-colorPrimary": {"color": "primary.main"},
        },
        sizing_mode="stretch_width",
        visible_buttons=["first", "previous", "pause", "play", "next", "last"],
    )

    def move(step: int) -> None:
        viewer.frame = int(np.clip(viewer.frame + step, 0, last))

    def play() -> None:
        made.direction = 0 if made.direction else 1

    return made, {
        "ArrowRight": lambda: move(1),
        "ArrowLeft": lambda: move(-1),
        "PageDown": lambda: move(10),
        "PageUp": lambda: move(-10),
        "p": play,
    }


def controls(viewer: FrameViewer) -> list[Any]:
    """Return the widgets that change how a viewer shows a frame."""
    wide: dict[str, Any] = {"sizing_mode": "stretch_width", "size": "small", "description": ""}
    made = [
        theme.choice("Stretch", viewer.param.stretch),
        theme.choice("Colours", viewer.param.colours),
        pmui.Switch.from_param(viewer.param.fixed, label="same scale for all frames", description=""),
    ]
    if viewer.stars is None:
        return made
    tmag = viewer.stars["tmag"].values
    viewer.param.faintest.bounds = (float(tmag.min()), float(tmag.max()) + 0.1)
    # marks on every star would hide the image
    viewer.faintest = round(float(np.sort(tmag)[:_MARKED_AT_FIRST].max()) + 0.05, 1)
    made += [
        pmui.Switch.from_param(viewer.param.show_stars, label="stars", description=""),
        pmui.FloatSlider.from_param(
            viewer.param.faintest, label="Mark stars to Tmag", format="0.0", step=0.1, **wide
        ),
    ]
    if "row_size" in viewer.stars.variables:
        made.append(pmui.Switch.from_param(viewer.param.show_apertures, label="apertures", description=""))
    return made


def _star_link(viewer: FrameViewer) -> str:
    """Return the markup of the way to the page of light curves, where the chosen star has one."""
    if viewer.star < 0 or viewer.light_curves is None:
        return ""
    curves = viewer.light_curves
    place = {"unit": store.product_unit(curves), "id": curves.attrs["provenance_id"]}
    address = theme.link("light_curves", **place, tic=int(viewer.stars["tic"][viewer.star]))
    return theme.button_link("Review this star", address)


def view(viewer: FrameViewer) -> pn.viewable.Viewable:
    """Return the frame, and beside it the series of the chosen pixel or star and what is known of it."""
    image = theme.figure(viewer.image(width=540, height=560))
    curve = later(lambda: theme.figure(viewer.series(height=300), wide=True))
    buttons, keys = player(viewer)
    chosen = theme.markup("")
    facts = theme.markup("")
    links = None if viewer.light_curves is None else SameCcd("frames", viewer.light_curves)

    def show_chosen(*_events: Any) -> None:
        title = html.escape(viewer.series_title())
        chosen.object = f"<h2>{title}</h2><p>{_star_link(viewer)}</p>"
        if links is not None:
            links.show(int(viewer.stars["tic"][viewer.star]) if viewer.star >= 0 else 0)

    def show_facts(*_events: Any) -> None:
        facts.object = theme.facts_markup(viewer.facts(viewer.frame))

    viewer.param.watch(show_chosen, ["place", "star"])
    viewer.param.watch(show_facts, "frame")
    show_chosen()
    show_facts()
    hint = "Tap a marked star for its light curve, any pixel for its series; scroll or drag to zoom and move."
    left = [theme.heading(viewer.title(), hint), *([links.pane] if links else []), image, buttons]
    left.append(theme.markup(f"<p class='keys'>{_KEYS}</p>"))
    right = [
        theme.panel_card(chosen, curve),
        theme.panel_card(theme.caption("This frame"), facts),
    ]
    layout = theme.beside(
        pn.Column(
            theme.panel_card(*left),
            later(lambda: _movie(viewer).card()),
            sizing_mode="stretch_width",
            max_width=735,
            margin=0,
        ),
        pn.Column(*right, sizing_mode="stretch_width", margin=0),
        first=560,
    )
    return pn.Column(Shortcuts(keys), layout, sizing_mode="stretch_width")


def _movie(viewer: FrameViewer) -> MovieMaker:
    """Return what makes a movie of the cube, without its sky where the store knows that."""
    cube, known = viewer.cube, {}
    if viewer.light_curves is not None:
        found = {name: open_ancestor(viewer.light_curves, name) for name in ("sky", "reference")}
        known = {name: product for name, product in found.items() if product is not None}
        if len(known) == len(found):
            cube = science(cube)
    name = viewer.title().replace(" · ", "-").replace(" ", "").lower()
    return MovieMaker(cube, html.escape(name) or "frames", known)


def available(entries: Sequence[str]) -> dict[str, dict[str, str]]:
    """
    Return what can be opened without being typed: what was run, then what is made on this machine.

    Parameters
    ----------
    entries
        Names of the catalog entries.

    Returns
    -------
    Name for people → ``cube`` and, where known, ``sector``, ``camera``, ``ccd``; the newest first.
    """
    found = {f"{products.name_of(unit)} · {cube['cube']}": cube for unit, cube in products.cubes().items()}
    opened = {cube["cube"] for cube in found.values()}
    return found | {name: {"cube": name} for name in _OFFLINE if name in entries and name not in opened}


class _Chooser:
    """Which cube is open: one of those at hand, or any other by its name."""

    def __init__(self, show: Callable[[dict[str, str]], None]) -> None:
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "size": "small"}
        entries = catalog.entries()["entry"].tolist()
        self._show, self._cubes = show, available(entries)
        self.select = theme.choice("Cube", options=list(self._cubes))
        names = [name for name in entries if not name.startswith("products.")]
        self.entry = pmui.AutocompleteInput(
            label="Catalog entry, file, folder", options=names, restrict=False, min_characters=0, **wide
        )
        self.place = {
            name: pmui.TextInput(label=title, **wide)
            for name, title in zip(products.PLACE, ("Sector", "Camera", "CCD"), strict=True)
        }
        self.open = pmui.Button(label="Open", variant="outlined", size="small")
        self.select.param.watch(lambda event: self._show(self._cubes[event.new]), "value")
        self.open.on_click(lambda _event: self._show(self._typed()))

    def _typed(self) -> dict[str, str]:
        place = {name: box.value for name, box in self.place.items() if box.value}
        return {"cube": self.entry.value or ""} | place

    def start(self, asked: dict[str, str]) -> None:
        """Open what is asked for, else the first that is at hand."""
        for name, cube in self._cubes.items():
            if not asked["cube"] or asked == cube or asked == {"cube": cube["cube"]}:
                self.select.value = name
                return self._show(self._cubes[name])
        self.entry.value = asked["cube"]
        for name, box in self.place.items():
            box.value = asked.get(name, "")
        return self._show(asked)

    def parts(self) -> list[Any]:
        """Return the widgets."""
        other = pn.Column(
            self.entry, pn.Row(*self.place.values()), self.open, sizing_mode="stretch_width", margin=0
        )
        more = pmui.Button(label="Open something else", variant="text", size="small")
        more.on_click(lambda _event: setattr(other, "visible", not other.visible))
        other.visible = not self._cubes or bool(self.entry.value)
        return [*([self.select] if self._cubes else []), more, other, pmui.Divider()]


def page() -> pmui.Page:
    """Return the page: ``?cube=…&sector=…&camera=…&ccd=…&tic=…``, else the newest cube that was run."""
    side, main = pn.Column(sizing_mode="stretch_width"), pn.Column(sizing_mode="stretch_width")

    def show(cube: dict[str, str]) -> None:
        side.objects = []
        if not cube["cube"]:
            main.objects = [theme.heading("Frames"), _nothing_yet()]
            return
        try:
            place = {name: as_number(cube.get(name, "").strip()) for name in products.PLACE}
            viewer = open_viewer(cube["cube"], **place)
        except TasocKitError as error:
            trouble = theme.empty("This cannot be opened", str(error), ["tasoc catalog list"])
            main.objects = [theme.heading("Frames"), trouble]
            return
        viewer.choose(asked_tic())
        side.objects, main.objects = controls(viewer), [view(viewer)]
        theme.in_address(**cube)

    try:
        chooser = _Chooser(show)
        chooser.start({"cube": asked("cube")} | {n: asked(n) for n in products.PLACE if asked(n)})
    except TasocKitError as error:
        trouble = theme.empty("The store or the catalogs cannot be read", str(error), ["tasoc doctor"])
        return theme.make_page("frames", main=[theme.heading("Frames"), trouble])
    return theme.make_page("frames", sidebar=[*chooser.parts(), side], main=[main], width=280)


def _nothing_yet() -> pmui.Paper:
    return theme.empty(
        "No cube is open",
        "Type a catalog entry, or the path of a folder or file of FFIs, of a TESScut cube or of a target "
        "pixel file; or run the pipeline, and what it ran on can be chosen here.",
        ["tasoc run photometry", "tasoc catalog list"],
    )


if pn.state.served:
    page().servable()
