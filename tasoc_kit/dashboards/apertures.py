"""The page on which the aperture of a star is drawn by hand, and its light curve follows."""

from __future__ import annotations

import asyncio
import io
import json
from functools import partial
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
import xarray as xr
from scipy import ndimage

from tasoc_kit import catalog, store
from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.later import on_page
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.star_walk import star_walk
from tasoc_kit.dashboards.unit_page import asked_tic, unit_page
from tasoc_kit.errors import StoreError, TasocKitError
from tasoc_kit.numerics.statistics import point_to_point
from tasoc_kit.photometry.masks.drawn_masks import make_stamp, sum_mask
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.plots.apertures import aperture_of, outline
from tasoc_kit.plots.frame import image, mark_stars, title_of
from tasoc_kit.plots.light_curve import find_star
from tasoc_kit.plots.theme import GOOD, MUTED, SELECTED, place_options, plain_numbers, series_options
from tasoc_kit.products import open_ancestor
from tasoc_kit.sources.ffi import science

__all__ = ["ApertureEditor", "page"]

MARGIN = 6
_PARENTS = ("reference", "apertures", "sky")


class ApertureEditor(pn.viewable.Viewer):
    """The stars of one light_curves product, and a mask that can be changed pixel by pixel."""

    star = param.Integer(default=-1, doc="Index of the star in view.")
    mask = param.Array(default=np.zeros((0, 0), bool), doc="The mask as it is drawn, (row, column).")

    def __init__(self, light_curves: xr.Dataset, tic: int | None = None) -> None:
        super().__init__()
        parents = {name: open_ancestor(light_curves, name) for name in _PARENTS}
        missing = [name for name, parent in parents.items() if parent is None]
        if missing:
            raise StoreError(
                f"aperture page: the {' and the '.join(missing)} that light_curves "
                f"{light_curves.attrs['provenance_id']} was made from is no longer in the store; expected "
                f"all of {', '.join(_PARENTS)}. Run 'tasoc run photometry' again."
            )
        self.light_curves = light_curves
        self.reference, self.apertures = parents["reference"].load(), parents["apertures"].load()
        self.sky = parents["sky"].load()
        self.unit = store.product_unit(light_curves)
        self._stamp: xr.Dataset | None = None
        self.links = SameCcd("apertures", light_curves)
        self._make_controls()
        self.choose(tic)

    # The star

    def choose(self, tic: int | None = None) -> None:
        """Go to a star by its number, else to the brightest with an aperture."""
        if tic:
            self.star = find_star(self.apertures, tic)
            return
        lit = self.apertures["row_size"].values > 0
        tmag = np.where(lit, self.apertures["tmag"].values, np.inf)
        self.star = int(np.argmin(tmag))

    def _place(self) -> tuple[slice, slice]:
        """Return the labels that the stamp reaches from and to."""
        spans = []
        for axis, inside in zip(("row", "column"), aperture_of(self.apertures, self.star), strict=True):
            labels = [*inside.tolist(), round(float(self.apertures[f"star_{axis}"][self.star]))]
            edge = self.reference[axis].values
            spans.append(slice(max(min(labels) - MARGIN, edge[0]), min(max(labels) + MARGIN, edge[-1])))
        return spans[0], spans[1]

    def _cut(self) -> xr.DataArray:
        rows, columns = self._place()
        return self.reference["reference"].sel(row=rows, column=columns)

    def pipeline_mask(self) -> np.ndarray:
        """Return the mask that the pipeline made, on the stamp."""
        cut = self._cut()
        mask = np.zeros(cut.shape, bool)
        rows, columns = aperture_of(self.apertures, self.star)
        mask[rows - int(cut["row"][0]), columns - int(cut["column"][0])] = True
        return mask

    @param.depends("star", watch=True)
    def _star_changed(self) -> None:
        self._stamp = None
        self.mask = self.pipeline_mask()
        self.heading.object = theme.heading_markup(*self.title())
        tic = int(self.apertures["tic"][self.star])
        self.links.show(tic)
        theme.in_address(tic=tic)
        if pn.state.curdoc is not None and self._served:
            pn.state.execute(self.read)

    def title(self) -> tuple[str, str]:
        """Return the name of the star in view, and what is known of it."""
        one = self.apertures.isel(star=self.star)
        tic = int(one["tic"])
        known = f"Tmag {float(one['tmag']):.2f} · {title_of(self.light_curves)}"
        return f"Aperture of {f'TIC {tic}' if tic else f'star {self.star}'}", known

    # The pixels

    def load(self, star: int) -> xr.Dataset:
        """Read the pixels of the stamp of a star through the whole sector."""
        known = products.cubes().get(self.unit)
        if not known:
            raise StoreError(
                f"aperture page: the database knows of no run that opened the frames of {self.unit}; "
                "expected one. Run 'tasoc run photometry --cube …' on them; products that are there are kept."
            )
        cube = science(catalog.open_cube(**_open_options(known)))
        return make_stamp(cube, self.sky, self.reference, *self._place())

    async def read(self) -> None:
        """Read the pixels of the star in view beside the server, then draw."""
        document, star = pn.state.curdoc, self.star
        self._served = True
        self.message.objects = [theme.markup("<p class='soft'>Reading the pixels about the star …</p>")]
        try:
            stamp = await asyncio.to_thread(self.load, star)
        except TasocKitError as error:
            stamp, said = None, [theme.empty("The frames cannot be read", str(error))]
        else:
            said = []

        def show() -> None:
            if star != self.star:
                return
            self._stamp = stamp
            self.message.objects = said
            self._curve_pane.visible = stamp is not None
            self._follow()

        on_page(document, show)

    # The mask

    def toggle(self, row: int, column: int) -> None:
        """Take a pixel into the mask, or out of it."""
        cut = self._cut()
        i, j = row - int(cut["row"][0]), column - int(cut["column"][0])
        if 0 <= i < self.mask.shape[0] and 0 <= j < self.mask.shape[1]:
            mask = self.mask.copy()
            mask[i, j] = not mask[i, j]
            self.mask = mask

    def change(self, how: str) -> None:
        """Change the whole mask: ``reset``, ``grow``, ``shrink`` or ``clear``."""
        made = {
            "reset": self.pipeline_mask,
            "grow": lambda: ndimage.binary_dilation(self.mask),
            "shrink": lambda: ndimage.binary_erosion(self.mask),
            "clear": lambda: np.zeros_like(self.mask),
        }
        self.mask = np.asarray(made[how](), bool)

    @param.depends("mask", watch=True)
    def _follow(self) -> None:
        self.facts.object = theme.facts_markup(self.numbers())
        if self._stamp is not None and self.mask.shape == self._stamp["flux"].shape[1:]:
            self._curve.send(self.curves())

    def curves(self) -> pd.DataFrame:
        """Return the light curves of the drawn mask and of the pipeline's, in ppm about their medians."""
        tables = []
        for name, mask in (("drawn", self.mask), ("pipeline", self.pipeline_mask())):
            one = sum_mask(self._stamp, mask)
            flux = one["flux"].values.astype(float)
            good = good_cadences(one) & np.isfinite(flux)
            middle = np.median(flux[good]) if good.any() else np.nan
            tables.append(
                pd.DataFrame(
                    {
                        "time": one["time"].values,
                        "value": 1e6 * (flux / middle - 1),
                        "mask": name,
                        "good": good,
                    }
                )
            )
        return pd.concat(tables, ignore_index=True)

    def numbers(self) -> dict[str, str]:
        """Return what is known of the drawn mask beside the pipeline's."""
        made = {}
        cut, pipeline = self._cut(), self.pipeline_mask()
        made["pixels"] = f"{int(self.mask.sum())} (pipeline {int(pipeline.sum())})"
        light = [float(np.nansum(cut.values[m])) for m in (self.mask, pipeline)]
        made["star light"] = f"{light[0]:,.1f} e⁻/s (pipeline {light[1]:,.1f})"
        made["other stars"] = (
            f"{100 * self._others(self.mask):.1f} % (pipeline {100 * self._others(pipeline):.1f} %)"
        )
        if self._stamp is not None and self.mask.shape == self._stamp["flux"].shape[1:]:
            noise = [self._noise(m) for m in (self.mask, pipeline)]
            made["noise per exposure"] = f"{noise[0]:,.0f} ppm (pipeline {noise[1]:,.0f})"
        return made

    def _others(self, mask: np.ndarray) -> float:
        """Return the share of the catalogue's light in a mask that is not the star's."""
        cut = self._cut()
        places = [
            np.rint(self.apertures[f"star_{axis}"].values).astype(int) - int(cut[axis][0])
            for axis in ("row", "column")
        ]
        inside = np.ones(places[0].size, bool)
        for place, size in zip(places, mask.shape, strict=True):
            inside &= (place >= 0) & (place < size)
        inside[inside] = mask[places[0][inside], places[1][inside]]
        light = 10 ** (-0.4 * self.apertures["tmag"].values.astype(float))
        own = light[self.star]
        total = float(np.nansum(light[inside]))
        return max(0.0, 1 - own / max(total, own)) if mask.any() else np.nan

    def _noise(self, mask: np.ndarray) -> float:
        one = sum_mask(self._stamp, mask)
        flux = one["flux"].values.astype(float)[good_cadences(one)]
        return float(1e6 * point_to_point(flux) / np.nanmedian(flux)) if np.isfinite(flux).any() else np.nan

    # Figures

    def _picture(self, star: int) -> hv.Image:
        return image(self._cut(), stretch="log", title="").opts(colorbar=False, framewise=True)

    def _stars_near(self, star: int) -> hv.Points:
        near = np.ones(self.apertures.sizes["star"], bool)
        for axis, labels in self._cut().coords.items():
            if axis in ("row", "column"):
                place = self.apertures[f"star_{axis}"].values
                near &= (place >= labels.values[0] - 0.5) & (place <= labels.values[-1] + 0.5)
        return mark_stars(self.apertures, np.flatnonzero(near))

    def image(self) -> hv.Overlay:
        """Return the live figure of the stamp; a tap toggles a pixel."""
        picture = hv.DynamicMap(pn.bind(self._picture, self.param.star))
        self._tap = hv.streams.SingleTap(source=picture)
        self._tap.add_subscriber(self._tapped)
        layers = (
            picture
            * hv.DynamicMap(pn.bind(self._stars_near, self.param.star))
            * hv.DynamicMap(
                pn.bind(lambda star: self._lines(self.pipeline_mask(), MUTED, 1.5), self.param.star)
            )
            * hv.DynamicMap(pn.bind(lambda mask: self._lines(mask, SELECTED, 3), self.param.mask))
        )
        # One plot for all stars: a plot that takes another's place stumbles over its tools.
        size = place_options(1, 1, width=380, height=380)
        return layers.opts(data_aspect=1, framewise=True, **size)

    def _lines(self, mask: np.ndarray, colour: str, width: float) -> hv.Segments:
        cut = self._cut()
        rows, columns = np.nonzero(mask)
        edges = outline(rows + int(cut["row"][0]), columns + int(cut["column"][0]), np.zeros(rows.size, int))
        segments = hv.Segments(edges, kdims=["column", "row", "column_end", "row_end"])
        return segments.opts(color=colour, line_width=width, apply_ranges=False)

    def _tapped(self, x: float | None, y: float | None) -> None:
        if x is not None and y is not None:
            self.toggle(round(y), round(x))

    def _series(self, data: pd.DataFrame) -> hv.Overlay:
        looks = {"pipeline": {"color": MUTED, "size": 3}, "drawn": {"color": GOOD, "size": 4}}
        layers = [
            hv.Scatter(
                data[(data["mask"] == name) & data["good"]], "time", "value", label=f"{name} mask"
            ).opts(tools=["hover"], framewise=True, **look)
            for name, look in looks.items()
        ]
        return hv.Overlay(layers).opts(
            xlabel="time (BTJD)", ylabel="flux (ppm)", framewise=True, hooks=[plain_numbers], xticks=5,
            **series_options(height=330),
        )  # fmt: skip

    # Files

    def _curve_file(self) -> io.BytesIO:
        if self._stamp is None:
            return io.BytesIO(b"# the pixels are still being read\n")
        table = sum_mask(self._stamp, self.mask).to_dataframe().reset_index()
        facts = {
            "tic": int(self.apertures["tic"][self.star]),
            "unit": self.unit,
            "apertures": self.apertures.attrs["provenance_id"],
            "sky": self.sky.attrs["provenance_id"],
            "pixels (row, column)": json.dumps(self.pixels()),
            "time": "BTJD = BJD - 2457000, TDB, days",
            "flux": "electron / s, the motion of the stars is not taken out",
        }
        head = "".join(f"# {name}: {value}\n" for name, value in facts.items())
        return io.BytesIO((head + table.to_csv(index=False)).encode())

    def pixels(self) -> list[tuple[int, int]]:
        """Return the row and column labels of the drawn mask."""
        cut = self._cut()
        rows, columns = np.nonzero(self.mask)
        return [
            (int(i) + int(cut["row"][0]), int(j) + int(cut["column"][0]))
            for i, j in zip(rows, columns, strict=True)
        ]

    # The page

    def _make_controls(self) -> None:
        self._served = False
        self.heading, self.facts = theme.markup(""), theme.markup("", margin=(10, 0))
        self.message = pn.Column(sizing_mode="stretch_width", margin=0)
        empty = pd.DataFrame({"time": [], "value": [], "mask": [], "good": np.empty(0, bool)})
        self._curve = hv.streams.Pipe(data=empty)
        self._curve_pane = theme.figure(hv.DynamicMap(self._series, streams=[self._curve]), wide=True)

    def _step(self, step: int) -> None:
        lit = np.flatnonzero(self.apertures["row_size"].values > 0)
        order = lit[np.argsort(self.apertures["tmag"].values[lit], kind="stable")]
        here = np.flatnonzero(order == self.star)
        self.star = int(order[np.clip((here[0] if here.size else -1) + step, 0, order.size - 1)])

    def sidebar(self) -> list[Any]:
        """Return the way to other stars."""
        return star_walk(self.choose, self._step)

    def main(self) -> list[Any]:
        """Return stamp, numbers and light curve."""
        hint = (
            "Tap a pixel to take it in or out. Orange: the mask as drawn; grey: the pipeline's; rings: stars "
            "of the catalogue."
        )
        buttons = []
        for title, how in (("Reset", "reset"), ("Grow", "grow"), ("Shrink", "shrink"), ("Clear", "clear")):
            button = pmui.Button(label=title, variant="outlined", size="small", color="default")
            button.on_click(partial(lambda how, _event: self.change(how), how))
            buttons.append(button)
        download = theme.download(
            "Light curve and pixels, CSV",
            self._curve_file,
            pn.bind(
                lambda star: f"tic{int(self.apertures['tic'][star])}-{self.unit}-drawn.csv", self.param.star
            ),
        )
        left = theme.panel_card(
            self.heading,
            self.links.pane,
            theme.markup(f"<p class='soft'>{hint}</p>"),
            theme.figure(self.image()),
            theme.beside(*buttons),
            max_width=510,
        )
        right = theme.panel_card(
            theme.caption("Light curve of the drawn mask"),
            theme.markup(
                "<p class='soft'>Both without the cure for the motion of the stars, good cadences only.</p>"
            ),
            self.message,
            self._curve_pane,
            self.facts,
            download,
        )
        return [theme.beside(left, right, first=420)]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(pn.Column(*self.sidebar(), width=320), pn.Column(*self.main()))


def _open_options(known: dict[str, str]) -> dict[str, Any]:
    place = {name: int(known[name]) for name in products.PLACE if name in known}
    return {"entry_or_path": known["cube"]} | place


def page() -> pmui.Page:
    """Return the page; ``?unit=…&id=…&tic=…`` asks for a star of a light_curves product."""
    return unit_page(
        "apertures",
        "light_curves",
        lambda curves: ApertureEditor(curves, asked_tic()),
        lacks="apertures",
        about=(
            "This page shows the pixels of a star and lets you draw another aperture, whose light "
            "curve follows."
        ),
        after=ApertureEditor.read,
    )


if pn.state.served:
    page().servable()
