"""The page on which the sky of a CCD is looked at, frame by frame."""

from __future__ import annotations

from typing import Any

import holoviews as hv
import numpy as np
import panel as pn
import panel_material_ui as pmui
import param
import xarray as xr

from tasoc_kit import chunks
from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.controls import Shortcuts
from tasoc_kit.dashboards.later import later
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.unit_page import unit_page
from tasoc_kit.errors import StoreError
from tasoc_kit.photometry.skies.sky_images import sky_ladder
from tasoc_kit.photometry.skies.sky_tiles import sky_tiles
from tasoc_kit.plots import sky_tiles as figures
from tasoc_kit.plots.frame import title_of
from tasoc_kit.plots.light_curve import quality_spans
from tasoc_kit.plots.theme import GOOD, SELECTED, series_options
from tasoc_kit.products import open_ancestor
from tasoc_kit.vocabulary import KitQuality, TessQuality, flag_names

__all__ = ["SkyView", "page"]

_QUANTITIES = {
    "sky over the reference (e⁻/s)": "sky_median",
    "residual over white noise": "sky_residual",
    "level of the surface": "sky_level",
    "answer of the straps": "strap_scale",
    "structure that is left (e⁻/s)": "sky_systematic",
}
_LEVELS = "0 a constant, 1 a plane, 2 to 4 splines, 5 a segment per cell"
_KEYS = "<kbd>←</kbd> <kbd>→</kbd> one frame · <kbd>Page ↑</kbd> <kbd>Page ↓</kbd> ten frames"
_SIDE = 205
"""Pixels of the screen along a side of a picture: three of them stand side by side, one on a phone."""
_TABLES = ("cells", "cell_used", "cell_variance")


class SkyView(pn.viewable.Viewer):
    """The sky of one CCD."""

    frame = param.Integer(default=0, bounds=(0, None), doc="Which frame is shown.")
    quantity = param.Selector(default=next(iter(_QUANTITIES)), objects=list(_QUANTITIES))

    def __init__(self, sky: xr.Dataset) -> None:
        super().__init__()
        parents = {name: open_ancestor(sky, name) for name in ("stream", "reference")}
        missing = [name for name, parent in parents.items() if parent is None]
        if missing:
            raise StoreError(
                f"sky page: the {' and the '.join(missing)} that sky {sky.attrs['provenance_id']} was made "
                "from is no longer in the store; expected both. Run 'tasoc run photometry' again."
            )
        self.sky, self.stream, self.reference = sky.load(), parents["stream"], parents["reference"].load()
        self.ladder = sky_ladder(sky)
        self._block: tuple[int, xr.Dataset] | None = None
        last = sky.sizes["time"] - 1
        self.param.frame.bounds = (0, last)
        usual = np.nan_to_num(sky["sky_median"].values, nan=-np.inf)
        self.frame = int(np.argmax(usual))

    def tiles(self, frame: int) -> xr.Dataset:
        """Return the cells of a frame; the block that holds it is kept for its neighbours."""
        size = int(self.stream.attrs.get("block", 64))
        start = frame - frame % size
        if self._block is None or self._block[0] != start:
            some = slice(start, start + size)
            self._block = (start, chunks.compute(self.stream[list(_TABLES)].isel(time=some)))
        return sky_tiles(
            self.sky.isel(time=slice(start, start + size)), self._block[1], self.reference, frame - start
        )

    def coefficients(self, frame: int) -> np.ndarray:
        """Return the coefficients of a frame, (splines along rows, splines along columns)."""
        one = self.sky.isel(time=frame)
        surface = self.ladder.surfaces[int(one["sky_level"])]
        return np.asarray(one["coefficient"].values[: surface.size].reshape(surface.coefficient_shape))

    def facts(self, frame: int) -> dict[str, str]:
        """Return what is known of the sky of a frame, for ``theme.readout``."""
        one = self.sky.isel(time=frame)
        flags = flag_names(int(one["quality"]), TessQuality) + flag_names(
            int(one["frame_quality"]), KitQuality
        )
        words = [name.replace("_", " ").lower() for name in flags]
        level, size = int(one["sky_level"]), self.coefficients(frame).size
        return {
            "frame": f"{frame + 1:,} of {self.sky.sizes['time']:,}",
            "cadence": f"{int(one['cadenceno'])}",
            "time": f"BTJD {float(one['time']):.5f}",
            "flags": ", ".join(words) or "none",
            "surface": f"level {level} of 5, {size:,} coefficients",
            "over the reference": f"{float(one['sky_median']):.2f} e⁻/s",
            "residual": f"{float(one['sky_residual']):.2f} times white noise",
            "error": f"{float(one['sky_err']):.4f} e⁻/s, structure {float(one['sky_systematic']):.3f}",
            "straps": f"{float(one['strap_scale']):.2f} times their gain",
        }

    # Figures

    def _points(self, quantity: str) -> hv.Scatter:
        values = self.sky[_QUANTITIES[quantity]].values.astype(float)
        value = hv.Dimension("value", label=quantity)
        drawn = hv.Scatter((self.sky["time"].values, values), kdims=["time"], vdims=[value])
        return drawn.opts(color=GOOD, size=4, tools=["hover"], framewise=True)

    def timeline(self) -> hv.Overlay:
        """Return a quantity along time with the frame in view marked; a tap goes to another frame."""
        time = self.sky["time"].values
        drawn = hv.DynamicMap(pn.bind(self._points, self.param.quantity))
        now = hv.DynamicMap(
            pn.bind(
                lambda frame: hv.VLine(time[frame]).opts(color=SELECTED, line_width=1.5), self.param.frame
            )
        )
        self._tap = hv.streams.SingleTap(source=drawn)
        self._tap.add_subscriber(self._tapped)
        layers = drawn * now
        for span in quality_spans(time, self.sky["quality"].values, self.sky["frame_quality"].values):
            layers = layers * span
        plain = {"xlabel": "time (BTJD)", "xticks": 5}
        return layers.opts(**plain, **series_options(height=250))

    def _tapped(self, x: float | None, y: float | None) -> None:
        if x is not None:
            distance = np.abs(self.sky["time"].values - x)
            self.frame = int(np.nanargmin(distance))

    def _tile_figures(self) -> list[hv.DynamicMap]:
        def of(name: str) -> hv.DynamicMap:
            return hv.DynamicMap(
                pn.bind(
                    lambda frame: figures.tile_image(self.tiles(frame), name, width=_SIDE, height=_SIDE),
                    self.param.frame,
                )
            )

        return [of(name) for name in ("sky", "left", "used")]

    def _columns(self, frame: int) -> hv.Layout:
        one = self.sky.isel(time=frame)
        return figures.columns(
            one["column"].values,
            one["column_noise"].values,
            one["strap_gain"].values,
            float(one["strap_scale"]),
        )

    # The page

    def _move(self, step: int) -> None:
        self.frame = int(np.clip(self.frame + step, 0, self.sky.sizes["time"] - 1))

    def sidebar(self) -> list[Any]:
        """Return the slider, what is drawn along time, and what is known of the frame."""
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "size": "small", "description": ""}
        slider = pmui.IntSlider.from_param(self.param.frame, label="Frame", show_value=False, **wide)
        quantity = theme.choice("Along time", self.param.quantity)
        facts = theme.markup("", margin=(12, 6))

        def show(*_events: Any) -> None:
            facts.object = theme.facts_markup(self.facts(self.frame))

        self.param.watch(show, "frame")
        show()
        return [slider, quantity, facts, theme.markup(f"<p class='keys'>{_KEYS}</p>")]

    def main(self) -> list[Any]:
        """Return the figures."""
        keys = {
            "ArrowRight": lambda: self._move(1),
            "ArrowLeft": lambda: self._move(-1),
            "PageDown": lambda: self._move(10),
            "PageUp": lambda: self._move(-10),
        }
        return [
            Shortcuts(keys),
            theme.panel_card(
                theme.heading(
                    f"Sky · {title_of(self.sky)}",
                    "Tap the figure, use the slider or the arrow keys to go to another frame.",
                ),
                SameCcd("sky", self.sky).pane,
                theme.figure(self.timeline(), wide=True),
            ),
            later(self._tiles),
            later(self._surface),
            later(self._columns_card),
            theme.panel_card(
                theme.caption("Where these numbers come from"), theme.readout(products.describe(self.sky))
            ),
        ]

    def _tiles(self) -> pn.Row:
        titles = (
            "Sky of the frame (e⁻/s)",
            "What the model leaves (σ of a cell)",
            "Share of the pixels used",
        )
        tiles = [
            theme.panel_card(theme.caption(title), theme.figure(figure))
            for title, figure in zip(titles, self._tile_figures(), strict=True)
        ]
        return theme.beside(*tiles, each=240)

    def _surface(self) -> pn.Row:
        glow = hv.DynamicMap(pn.bind(lambda frame: figures.glow(self.tiles(frame)), self.param.frame))
        grid = hv.DynamicMap(
            pn.bind(
                lambda frame: figures.coefficient_grid(self.coefficients(frame), width=280),
                self.param.frame,
            )
        )
        return theme.beside(
            theme.panel_card(theme.caption("Corner glow"), theme.figure(glow, wide=True)),
            theme.panel_card(
                theme.caption("Coefficients of the surface (e⁻/s)"),
                theme.markup(f"<p class='soft'>Levels: {_LEVELS}.</p>"),
                theme.figure(grid),
            ),
        )

    def _columns_card(self) -> pmui.Paper:
        title = theme.caption("Columns: their offset in this frame, and the straps")
        columns = pn.Column(pn.bind(self._columns_pane, self.param.frame), sizing_mode="stretch_width")
        return theme.panel_card(title, columns)

    def _columns_pane(self, frame: int) -> pn.pane.HoloViews:
        return theme.figure(self._columns(frame), wide=True)

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(pn.Column(*self.sidebar(), width=320), pn.Column(*self.main()))


def page() -> pmui.Page:
    """Return the page; ``?unit=…&id=…`` asks for a sky, else the newest is shown."""
    return unit_page(
        "sky",
        "sky",
        SkyView,
        lacks="sky",
        about=("This page shows what was taken from every frame as background, and what that left."),
    )


if pn.state.served:
    page().servable()
