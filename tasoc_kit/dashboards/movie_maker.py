"""A movie of the cube that is open: made beside the server, played in the page, offered as a file."""

from __future__ import annotations

import asyncio
import html
import importlib.util
import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import panel as pn
import panel_material_ui as pmui
import xarray as xr

from tasoc_kit.dashboards import theme
from tasoc_kit.dashboards.later import on_page
from tasoc_kit.errors import TasocKitError, install_line
from tasoc_kit.exports.movie import write_movie

__all__ = ["MovieMaker", "plan_movie"]

_LENGTHS = {"about 60 frames": 60, "about 240 frames": 240, "every frame": 0}
_LARGEST = 560
"""Pixels along the longer side of the picture, at most."""
_FPS = 15


def plan_movie(frames: int, shape: tuple[int, int], wanted: int) -> dict[str, int]:
    """
    Return ``every`` and ``bin`` of a movie that is made in seconds and fits a page.

    Parameters
    ----------
    frames
        Of the cube.
    shape
        Rows and columns of a frame.
    wanted
        Frames of the movie, about; 0 for all.
    """
    every = max(1, round(frames / wanted)) if wanted else 1
    return {"every": every, "bin": max(1, -(-max(shape) // _LARGEST))}


class MovieMaker(pn.viewable.Viewer):
    """What makes a movie of a cube, and shows it."""

    def __init__(self, cube: xr.Dataset, name: str, products: dict[str, xr.Dataset] | None = None) -> None:
        """
        Make the controls; nothing is read yet.

        Parameters
        ----------
        cube
            The frames.
        name
            Of the file, without its ending.
        products
            ``sky`` and ``reference`` of these frames, where there are any, to take the sky out.
        """
        super().__init__()
        self.cube, self._name, self._products = cube, name, products or {}
        self.length = theme.choice("Length", options=_LENGTHS, max_width=170)
        self.without_sky = pmui.Switch(label="without the sky", value=False)
        self.button = pmui.Button(label="Make a movie", variant="outlined", size="small")
        self.progress = pmui.LinearProgress(
            value=0, variant="determinate", visible=False, sizing_mode="stretch_width"
        )
        self.result = pn.Column(sizing_mode="stretch_width", margin=0)
        self.button.on_click(self._clicked)

    def write(self, folder: Path, wanted: int, without_sky: bool) -> bytes:
        """Return the movie, an mp4; progress is told to the page."""
        frames, shape = self.cube.sizes["time"], (self.cube.sizes["row"], self.cube.sizes["column"])
        known = self._products if without_sky else None
        document = pn.state.curdoc

        def tell(done: int, of: int) -> None:
            if document is not None:
                on_page(document, partial(self.progress.param.update, value=100 * done // of))

        plan = plan_movie(frames, shape, wanted)
        path = folder / "movie.mp4"
        write_movie([self.cube], path, fps=_FPS, products=known, progress=tell, **plan)
        return path.read_bytes()

    async def _clicked(self, _event: Any) -> None:
        document = pn.state.curdoc
        self.button.disabled, self.progress.value, self.progress.visible = True, 0, True
        self.result.objects = []
        objects: list[Any] = []
        try:
            with tempfile.TemporaryDirectory() as folder:
                film = await asyncio.to_thread(
                    self.write, Path(folder), int(self.length.value), bool(self.without_sky.value)
                )
            objects = self._shown(film)
        except TasocKitError as error:
            objects = [theme.markup(f"<p>{html.escape(str(error))}</p>")]
        finally:
            on_page(document, partial(self._done, objects))

    def _done(self, objects: list[Any]) -> None:
        self.button.disabled, self.progress.visible = False, False
        self.result.objects = objects

    def _shown(self, film: bytes) -> list[Any]:
        video = pn.pane.Video(
            film, loop=True, autoplay=True, muted=True, sizing_mode="scale_width", max_width=520
        )
        save = theme.download(f"{len(film) / 1e6:.1f} MB, mp4", io.BytesIO(film), f"{self._name}.mp4")
        return [video, save]

    def card(self, **options: Any) -> pmui.Paper:
        """Return the controls, and what they have made; ``options`` of the sheet."""
        if importlib.util.find_spec("imageio_ffmpeg") is None:
            return theme.empty(
                "No movies here",
                "Movies need the extra 'movie', which is not installed where this server runs. Install it, "
                "and start the server again:",
                [install_line("movie")],
            )
        sky = [self.without_sky] if {"sky", "reference"} <= self._products.keys() else []
        return theme.panel_card(
            theme.caption("Movie"),
            theme.beside(self.length, self.button, margin=0),
            *sky,
            self.progress,
            self.result,
            **options,
        )

    def __panel__(self) -> pn.viewable.Viewable:
        return self.card()
