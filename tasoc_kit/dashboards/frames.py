"""The page on which frames are looked at: any cube of the catalog, or any file."""

from __future__ import annotations

from typing import Any

import panel as pn
import panel_material_ui as pmui
import xarray as xr

from tasoc_kit import catalog, store
from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.frame_viewer import FrameViewer
from tasoc_kit.errors import TasocKitError

__all__ = ["open_viewer", "page", "view"]

_UNIT = ("sector", "camera", "ccd")


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
    place = {name: cube.attrs[name] for name in _UNIT if name in cube.attrs}
    field = str(cube.attrs.get("field", ""))
    found = store.find_product("light_curves", **place, field=field) if place else None
    if found is not None:
        curves = store.open_product("light_curves", **place, field=field, id=found.id)
        return FrameViewer(cube, products.open_parent(curves, "apertures"), curves)
    return FrameViewer(cube, _stars(place, field))


def _stars(place: dict[str, Any], field: str) -> xr.Dataset | None:
    for name in ("apertures", "stars") if place else ():
        found = store.find_product(name, **place, field=field)
        if found is not None:
            return store.open_product(name, **place, field=field, id=found.id)
    return None


def controls(viewer: FrameViewer) -> list[Any]:
    """Return the widgets that change what a viewer shows."""
    wide: dict[str, Any] = {"sizing_mode": "stretch_width", "size": "small", "description": ""}
    player = pmui.Player.from_param(
        viewer.param.frame,
        label="Frame",
        interval=400,
        description="",
        show_value=True,
        show_loop_controls=False,
        scale_buttons=0.9,
        sizing_mode="stretch_width",
        visible_buttons=["first", "previous", "reverse", "pause", "play", "next", "last"],
    )
    made = [
        player,
        pmui.Select.from_param(viewer.param.stretch, label="Stretch", **wide),
        pmui.Select.from_param(viewer.param.colours, label="Colours", **wide),
        pmui.Switch.from_param(viewer.param.fixed, label="same scale for all frames", description=""),
    ]
    if viewer.stars is None:
        return made
    tmag = viewer.stars["tmag"].values
    viewer.param.faintest.bounds = (float(tmag.min()), float(tmag.max()) + 0.1)
    viewer.faintest = float(tmag.max()) + 0.1
    made += [
        pmui.Switch.from_param(viewer.param.show_stars, label="stars", description=""),
        pmui.FloatSlider.from_param(viewer.param.faintest, label="Faintest Tmag", step=0.1, **wide),
    ]
    if "row_size" in viewer.stars.variables:
        made.append(pmui.Switch.from_param(viewer.param.show_apertures, label="apertures", description=""))
    return made


def view(viewer: FrameViewer) -> pn.viewable.Viewable:
    """Return the frame, and beside it the series of the chosen pixel or star and what is known of it."""
    image = pn.pane.HoloViews(viewer.image(width=530, height=640), linked_axes=False)
    curve = pn.pane.HoloViews(viewer.series(height=300), linked_axes=False, sizing_mode="stretch_width")
    title = pn.bind(
        lambda place, star: theme.caption(viewer.series_title()), viewer.param.place, viewer.param.star
    )
    facts = pn.bind(lambda frame: theme.readout(viewer.facts(frame)), viewer.param.frame)
    aside = pn.Column(
        theme.panel_card(pn.panel(title), curve),
        theme.panel_card(theme.caption("This frame"), pn.panel(facts)),
        width=400,
    )
    heading = theme.heading(viewer.title(), "Tap a pixel or a star for its series; scroll to zoom.")
    return pn.Row(theme.panel_card(heading, image), aside, sizing_mode="stretch_width")


def _ask(name: str) -> str:
    return pn.state.session_args.get(name, [b""])[0].decode(errors="replace")


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def page() -> pmui.Page:
    """Return the page; what it shows is asked for by ``?cube=…&sector=…&camera=…&ccd=…``."""
    names = list(catalog.entries()["entry"])
    wide: dict[str, Any] = {"sizing_mode": "stretch_width", "size": "small"}
    entry = pmui.AutocompleteInput(
        label="Catalog entry, file or folder",
        options=names,
        restrict=False,
        min_characters=0,
        value=_ask("cube"),
        **wide,
    )
    unit = {name: pmui.TextInput(label=name, value=_ask(name), **wide) for name in _UNIT}
    side, main = pn.Column(sizing_mode="stretch_width"), pn.Column(sizing_mode="stretch_width")

    def show(_event: Any = None) -> None:
        if not entry.value:
            main.objects = [theme.heading("Frames"), _nothing_yet(names)]
            return
        try:
            viewer = open_viewer(entry.value, **{name: _number(box.value) for name, box in unit.items()})
        except TasocKitError as error:
            side.objects = []
            main.objects = [
                theme.heading("Frames"),
                theme.empty("This cannot be opened", str(error), ["tasoc catalog list"]),
            ]
            return
        side.objects, main.objects = controls(viewer), [view(viewer)]
        if pn.state.location:
            asked = {name: box.value for name, box in unit.items() if box.value}
            pn.state.location.update_query(cube=entry.value, **asked)

    opener = pmui.Button(label="Open", variant="outlined", size="small", on_click=show)
    show()
    sidebar = [entry, pn.Row(*unit.values(), sizing_mode="stretch_width"), opener, pmui.Divider(), side]
    return theme.make_page("frames", sidebar=sidebar, main=[main], width=280)


def _nothing_yet(names: list[str]) -> pmui.Paper:
    return theme.empty(
        "No cube is open",
        "Choose a catalog entry on the left, or type the path of a folder or file of FFIs, a TESScut cube or "
        f"a target pixel file. The catalog has: {', '.join(names)}.",
        ["tasoc catalog list"],
    )


if pn.state.served:
    page().servable()
