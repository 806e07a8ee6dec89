"""A live view of one cube: the frame, its stars and apertures, the series of the pixel that is tapped.

A frame is read when it is shown, or when the next step would show it; it is rasterised for the part in view.
"""

from __future__ import annotations

import html
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import param
import xarray as xr
from holoviews.operation.datashader import rasterize

from tasoc_kit.plots import mark_apertures, mark_stars
from tasoc_kit.plots.frame import colour_image, pixel_image, science_pixels, title_of
from tasoc_kit.plots.light_curve import one_star, pixel_series, quality_spans, series
from tasoc_kit.plots.stretch import STRETCHES, Stretch, make_stretch
from tasoc_kit.plots.theme import COLOUR_MAPS, SELECTED, place_options, plain_numbers, series_options
from tasoc_kit.sources.frame_reader import open_frames
from tasoc_kit.vocabulary import KitQuality, TessQuality, flag_names

__all__ = ["FrameViewer"]

STARS_IN_VIEW = 800
APERTURES_IN_VIEW = 500
_TAP_RADIUS = 1.5
_STEPS = (1, 10)
"""Frames that a key goes on by."""
_READERS = ThreadPoolExecutor(1, "frame-ahead")


class FrameViewer(pn.viewable.Viewer):
    """One cube on the screen."""

    frame = param.Integer(default=0, bounds=(0, None), doc="Which frame is shown.")
    stretch = param.Selector(default="asinh", objects=list(STRETCHES))
    colours = param.Selector(default="magma", objects=list(COLOUR_MAPS))
    fixed = param.Boolean(default=False, doc="Keep the scale of the frame in view for the others.")
    show_stars = param.Boolean(default=True)
    show_apertures = param.Boolean(default=True)
    faintest = param.Number(default=15.0, doc="Stars fainter than this Tmag are left out.")
    place = param.Tuple(default=None, length=2, allow_None=True, doc="(row, column) of the chosen pixel.")
    star = param.Integer(default=-1, doc="Index of the chosen star; -1 where a pixel is chosen.")

    def __init__(
        self, cube: xr.Dataset, stars: xr.Dataset | None = None, light_curves: xr.Dataset | None = None
    ) -> None:
        """
        Make the view.

        Parameters
        ----------
        cube
            (time, row, column), lazy.
        stars
            The stars or the apertures of this CCD, where there are any.
        light_curves
            The product of this CCD, where there is one, in the order of ``stars``.
        """
        super().__init__()
        self.cube, self.stars, self.light_curves = cube, stars, light_curves
        self.reader = open_frames(cube)
        self.rows, self.columns = cube["row"].values, cube["column"].values
        self._held: tuple[int, np.ndarray] | None = None
        self._ahead: tuple[int, Future[np.ndarray]] | None = None
        self._scale: tuple[tuple[str, int], Stretch] | None = None
        self.param.frame.bounds = (0, max(0, len(self.reader) - 1))
        self.choose()

    def choose(self, tic: int | None = None) -> None:
        """Choose a star by its number, else the brightest with a light curve, else the middle."""
        middle = (int(self.rows[self.rows.size // 2]), int(self.columns[self.columns.size // 2]))
        star = -1
        if self.stars is not None and self.light_curves is not None:
            inside = self._in_view((self.columns[0], self.columns[-1]), (self.rows[0], self.rows[-1]), np.inf)
            measured = inside[self.light_curves["row_size"].values[inside] > 0]
            named = inside[self.stars["tic"].values[inside] == tic]
            star = int([*named, *measured, -1][0])
        if star >= 0:
            middle = tuple(round(float(self.stars[f"star_{name}"][star])) for name in ("row", "column"))
        self.param.update(place=middle, star=star)

    # Pixels

    def pixels(self, frame: int) -> np.ndarray:
        """Return a frame; it is kept, and after a step the one that another step leads to is read beside."""
        if self._held is None or self._held[0] != frame:
            step = 0 if self._held is None else frame - self._held[0]
            # Taken before it is asked: what could not be read ahead is read again when it is wanted again.
            ahead, self._ahead = self._ahead, None
            known = ahead is not None and ahead[0] == frame
            self._held = (frame, ahead[1].result() if known else self._read(frame))
            following = frame + step
            walks = abs(step) in _STEPS and 0 <= following < len(self.reader)
            if walks:
                self._ahead = (following, _READERS.submit(self._read, following))
        return self._held[1]

    def _read(self, frame: int) -> np.ndarray:
        out = np.empty(self.reader.shape, dtype=np.float32)
        self.reader.read(frame, out)
        return out

    def _raw(self, frame: int) -> hv.Image:
        return pixel_image(self.pixels(frame), self.rows, self.columns)

    def _stretch_of(self, name: str) -> Stretch:
        key = (name, -1 if self.fixed else self.frame)
        if self._scale is None or self._scale[0] != key:
            limits = None
            if self.fixed and self._scale is not None:
                limits = (self._scale[1].low, self._scale[1].high)
            seen = science_pixels(self.pixels(self.frame), self.rows, self.columns)
            self._scale = (key, make_stretch(seen, name, limits=limits))
        return self._scale[1]

    def _coloured(self, image: hv.Image, stretch: str, colours: str, fixed: bool) -> hv.Image:
        return colour_image(image, self._stretch_of(stretch), colours)

    def image(self, **options: Any) -> hv.DynamicMap:
        """Return the live figure of the frame with what is marked on it."""
        raw = hv.DynamicMap(pn.bind(self._raw, self.param.frame))
        shown = rasterize(raw, aggregator="mean", interpolation="nearest").apply(
            self._coloured, stretch=self.param.stretch, colours=self.param.colours, fixed=self.param.fixed
        )
        view = hv.streams.RangeXY(source=shown)
        tap = hv.streams.SingleTap(source=shown)
        tap.add_subscriber(self._tapped)
        layers = shown * hv.DynamicMap(self._marked_place, streams=[self.param.place])
        if self.stars is not None:
            wanted = hv.streams.Params(self, ["show_stars", "show_apertures", "faintest"])
            layers = layers * hv.DynamicMap(self._marked_stars, streams=[view, wanted])
            if "row_size" in self.stars.variables:
                layers = layers * hv.DynamicMap(self._marked_apertures, streams=[view, wanted])
        return layers.opts(**place_options(self.rows.size, self.columns.size, **options))

    # Marks

    def _in_view(
        self, x_range: tuple[float, float] | None, y_range: tuple[float, float] | None, faintest: float
    ) -> np.ndarray:
        """Return the indices of the stars in view, the brightest first."""
        tmag = self.stars["tmag"].values
        keep = tmag <= faintest
        for name, limits in (("star_column", x_range), ("star_row", y_range)):
            if limits is not None:
                keep &= (self.stars[name].values >= limits[0]) & (self.stars[name].values <= limits[1])
        index = np.flatnonzero(keep)
        return index[np.argsort(tmag[index], kind="stable")]

    def _marked_stars(
        self, x_range: Any, y_range: Any, show_stars: bool, faintest: float, **_: Any
    ) -> hv.Points:
        index = self._in_view(x_range, y_range, faintest) if show_stars else np.empty(0, int)
        return mark_stars(self.stars, index, brightest=STARS_IN_VIEW)

    def _marked_apertures(
        self, x_range: Any, y_range: Any, show_apertures: bool, faintest: float, **_: Any
    ) -> hv.Segments:
        index = self._in_view(x_range, y_range, faintest) if show_apertures else np.empty(0, int)
        return mark_apertures(self.stars, index[:APERTURES_IN_VIEW], width=1.0)

    def _marked_place(self, place: tuple[int, int] | None) -> hv.Rectangles:
        boxes = [] if place is None else [(place[1] - 0.5, place[0] - 0.5, place[1] + 0.5, place[0] + 0.5)]
        return hv.Rectangles(boxes, kdims=["column", "row", "column_end", "row_end"]).opts(
            fill_alpha=0.0, line_color=SELECTED, line_width=2, apply_ranges=False
        )

    def _tapped(self, x: float | None, y: float | None) -> None:
        if x is None or y is None:
            return
        row = int(np.clip(round(y), self.rows[0], self.rows[-1]))
        column = int(np.clip(round(x), self.columns[0], self.columns[-1]))
        self.param.update(place=(row, column), star=self._star_at(y, x))

    def _star_at(self, row: float, column: float) -> int:
        """Return the brightest marked star within reach of a tap; -1 where there is none."""
        if self.stars is None or not self.show_stars:
            return -1
        distance = np.hypot(self.stars["star_row"].values - row, self.stars["star_column"].values - column)
        near = np.flatnonzero((distance <= _TAP_RADIUS) & (self.stars["tmag"].values <= self.faintest))
        return int(near[np.argmin(self.stars["tmag"].values[near])]) if near.size else -1

    # Series

    def table(self) -> pd.DataFrame:
        """Return the series in view: of the star where it has a light curve, else of the pixel."""
        if self.star >= 0 and self.light_curves is not None:
            return one_star(self.light_curves, self.star)
        return pixel_series(self.cube, *self.place)

    def series_title(self) -> str:
        """Return what the series is of."""
        where = f"row {self.place[0]}, column {self.place[1]}" if self.place else ""
        if self.star < 0:
            return f"Pixel at {where}"
        tic, tmag = int(self.stars["tic"][self.star]), float(self.stars["tmag"][self.star])
        name = f"{f'TIC {tic}' if tic else f'Star {self.star}'} · Tmag {tmag:.2f}"
        return name if self.light_curves is not None else f"{name} · pixel at {where}"

    def series(self, **options: Any) -> hv.DynamicMap:
        """Return the live series of the chosen pixel or star, with the frame in view marked."""
        chosen = {"place": self.param.place, "star": self.param.star}
        drawn = hv.DynamicMap(pn.bind(lambda place, star: series(self.table()), **chosen))
        time = self.cube["time"].values
        now = hv.DynamicMap(
            pn.bind(
                lambda frame: hv.VLine(time[frame]).opts(color=SELECTED, line_width=1.5), self.param.frame
            )
        )
        ours = self.cube["frame_quality"].values if "frame_quality" in self.cube.variables else None
        layers = drawn * now
        for span in quality_spans(time, self.cube["quality"].values, ours):
            layers = layers * span
        plain = {"show_legend": False, "hooks": [plain_numbers], "xticks": 4}
        return layers.opts(xlabel="time (BTJD)", ylabel="flux (e⁻/s)", **plain, **series_options(**options))

    # Words

    def title(self) -> str:
        """Return which CCD of which sector it is."""
        return title_of(self.cube) or "Cube"

    def facts(self, frame: int) -> dict[str, str]:
        """Return what is known of a frame, as markup for ``theme.readout``."""
        one = self.cube[[n for n, v in self.cube.variables.items() if v.dims == ("time",)]].isel(time=frame)
        ours = int(one["frame_quality"]) if "frame_quality" in one.variables else 0
        flags = flag_names(int(one["quality"]), TessQuality) + flag_names(ours, KitQuality)
        facts = {
            "frame": f"{frame + 1:,} of {len(self.reader):,}",
            "cadence": f"{int(one['cadenceno'])}",
            "time": f"BTJD {float(one['time']):.5f}",
            "flags": ", ".join(flags) or "none",
        }
        if "file" in one.variables and str(one["file"].values):
            facts["file"] = f"<code>{html.escape(PurePosixPath(str(one['file'].values)).name)}</code>"
        facts["raw frames"] = f"<code>{self.cube.attrs.get('provenance_id', '')}</code>"
        return facts
