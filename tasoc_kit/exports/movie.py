"""
A movie of frames: one CCD, or the CCDs of a focal plane as they lie on the sky, one stretch for all.

Frames are read one after the other, binned, and handed to ffmpeg at once, so memory does not grow
with the movie. CCDs lie as the cameras see the sky: in cameras 1 and 2 the rows of CCDs 1 and 2 run up
and those of 3 and 4, above them, down; cameras 3 and 4 are turned by half (TESS Instrument Handbook,
section 4; held against the pointings of sectors by a test).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from bokeh import palettes
from PIL import Image, ImageDraw, ImageFont

from tasoc_kit.errors import SourceError, install_line
from tasoc_kit.exports.exported_file import exported_file, refuse_to_lose
from tasoc_kit.numerics.clock import utc_from_btjd
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.plots.stretch import Stretch, make_stretch
from tasoc_kit.sources.frame_reader import FrameReader, open_frames

__all__ = ["arrange", "write_movie"]

SAMPLES = 5
"""Frames from which the stretch of all is taken."""
CAPTION = 28
"""Rows of pixels below the picture, for the date."""
NARROW = 480
"""Columns that a picture has at least, so that its date can be read; pixels of smaller ones are repeated."""
_TURNED = (3, 4)
"""CCDs whose rows run down in cameras 1 and 2, and cameras that are turned by half."""
_PLACES = {1: (1, 0), 2: (1, 1), 3: (0, 1), 4: (0, 0)}
"""Row and column of each CCD in its camera, cameras 1 and 2, from the top left."""


def write_movie(
    cubes: Sequence[xr.Dataset],
    path: str | os.PathLike[str],
    *,
    bin: int = 4,
    fps: int = 15,
    every: int = 1,
    stretch: str = "asinh",
    limits: tuple[float, float] | None = None,
    colours: str = "magma",
    products: Mapping[str, xr.Dataset] | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """
    Write a movie (mp4, H.264).

    Parameters
    ----------
    cubes
        Frames of one CCD, or of several of one sector; CCDs that lack a cadence stay dark in it.
    path
        The file.
    bin
        Pixels along each side that are averaged into one; of a small picture each is drawn larger.
    fps
        Frames a second.
    every
        Take each so many frames.
    stretch, limits
        Flux to brightness; by default from the percentiles 1 and 99.8 of some frames.
    colours
        ``magma``, ``viridis``, ``cividis`` or ``gray``.
    products
        ``sky`` and ``reference`` of a single CCD, to show the frames without their sky.
    overwrite
        Replace a file that is there.
    progress
        Called with the number of frames written and of all.

    Raises
    ------
    SourceError
        If the extra ``movie`` is not installed, there is nothing to show, or ffmpeg fails.
    StoreError
        If the file is there already, or cannot be written.
    """
    ffmpeg = _ffmpeg()
    target = Path(path)
    refuse_to_lose(target, overwrite)
    screens = [_Screen(cube, bin, products if len(cubes) == 1 else None) for cube in cubes]
    times = _times(cubes)[::every]
    if not times.size:
        raise SourceError("export movie: there are no frames; expected at least one. Name other frames.")
    shade = _stretch(screens, times, stretch, limits)
    paint, name = _Painter(shade, _palette(colours)), _name(cubes)
    with exported_file(target) as part:
        first = paint(arrange(_pictures(screens, times[0])), _caption(name, screens, times[0]))
        writer = ffmpeg.write_frames(
            str(part), first.shape[1::-1], fps=fps, macro_block_size=2, codec="libx264",
            output_params=["-f", "mp4", "-movflags", "+faststart"], ffmpeg_log_level="error",
        )  # fmt: skip
        try:
            writer.send(None)
            for number, time in enumerate(times):
                shown = first if number == 0 else paint(
                    arrange(_pictures(screens, time)), _caption(name, screens, time)
                )  # fmt: skip
                writer.send(np.ascontiguousarray(shown))
                if progress:
                    progress(number + 1, times.size)
        finally:
            writer.close()
        if not part.exists() or not part.stat().st_size:
            raise SourceError(
                f"export movie: ffmpeg made no {target}; expected a file. "
                "Free some space, or take a larger --bin."
            )
    return target


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise SourceError(
            "export movie: imageio-ffmpeg is not installed; expected the extra 'movie'. "
            f"Install it: {install_line('movie')}."
        ) from None
    # What keeps Ctrl-C from ffmpeg runs Python in a fork, which a kernel, with its threads, must not do.
    os.environ.setdefault("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")
    return imageio_ffmpeg


def _palette(colours: str) -> np.ndarray:
    """Return 256 colours, uint8 (256, 3)."""
    made = {
        "magma": palettes.magma,
        "viridis": palettes.viridis,
        "cividis": palettes.cividis,
        "gray": palettes.gray,
    }
    if colours not in made:
        raise SourceError(f"export movie: colours {colours!r}; expected one of {sorted(made)}. Choose one.")
    return np.array([[int(text[k : k + 2], 16) for k in (1, 3, 5)] for text in made[colours](256)], np.uint8)


def _times(cubes: Sequence[xr.Dataset]) -> np.ndarray:
    """Return the cadence numbers that any of the CCDs has, rising."""
    return np.unique(np.concatenate([cube["cadenceno"].values for cube in cubes]) if cubes else [])


def _name(cubes: Sequence[xr.Dataset]) -> str:
    first = cubes[0].attrs
    if len(cubes) > 1:
        return f"sector {first['sector']}"
    return f"sector {first['sector']}  camera {first['camera']}  CCD {first['ccd']}"


class _Screen:
    """One CCD as a movie shows it."""

    def __init__(self, cube: xr.Dataset, bin: int, products: Mapping[str, xr.Dataset] | None) -> None:
        self.place = int(cube.attrs["camera"]), int(cube.attrs["ccd"])
        self.reader: FrameReader = open_frames(cube)
        self.time = cube["time"].values
        self.frames = {int(number): i for i, number in enumerate(cube["cadenceno"].values)}
        self.shape = tuple(max(1, size // bin) for size in self.reader.shape)
        self._bin = min(bin, *self.reader.shape)
        self._out = np.empty(self.reader.shape, np.float32)
        self._sky = products if products and {"sky", "reference"} <= products.keys() else None

    def picture(self, cadence: int) -> np.ndarray:
        """Return the binned frame (rows up), NaN where there is none."""
        i = self.frames.get(int(cadence))
        if i is None:
            return np.full(self.shape, np.nan, np.float32)
        self.reader.read(i, self._out)
        if self._sky is not None:
            self._out -= sky_image(self._sky["sky"], self._sky["reference"], i)
        rows, columns = self.shape
        cut = self._out[: rows * self._bin, : columns * self._bin]
        return cut.reshape(rows, self._bin, columns, self._bin).mean(axis=(1, 3))


def _pictures(screens: list[_Screen], cadence: int) -> dict[tuple[int, int], np.ndarray]:
    return {screen.place: screen.picture(cadence) for screen in screens}


def _stretch(
    screens: list[_Screen], times: np.ndarray, name: str, limits: tuple[float, float] | None
) -> Stretch:
    """Return one stretch for all frames, from some that are spread over the movie."""
    chosen = times[np.unique(np.linspace(0, times.size - 1, SAMPLES).astype(int))]
    seen = [screen.picture(time).ravel() for time in chosen for screen in screens]
    return make_stretch(np.concatenate(seen), name, limits=limits)


def arrange(pictures: Mapping[tuple[int, int], np.ndarray]) -> np.ndarray:
    """
    Return CCDs as one picture, its first row on top.

    Parameters
    ----------
    pictures
        By camera and CCD: (row, column) with rows running up, all of one shape.

    Returns
    -------
    One CCD with its rows upwards; of one camera its four CCDs; of several the cameras from left to
    right, camera 1, the farthest from the ecliptic pole, first. NaN where a CCD is missing.
    """
    if len(pictures) == 1:
        return np.flipud(next(iter(pictures.values())))
    shape = next(iter(pictures.values())).shape
    if len({picture.shape for picture in pictures.values()}) > 1:
        raise SourceError(
            f"export movie: the CCDs have frames of {sorted({p.shape for p in pictures.values()})} pixels; "
            "expected one size. Give frames of whole CCDs, or of one only."
        )
    cameras = sorted({camera for camera, _ in pictures})
    columns = []
    for camera in cameras:
        block = np.full((2 * shape[0], 2 * shape[1]), np.nan, np.float32)
        for ccd, (down, right) in _PLACES.items():
            if (camera, ccd) in pictures:
                upright = np.flipud(pictures[camera, ccd])
                turned = np.rot90(upright, 2) if ccd in _TURNED else upright
                block[down * shape[0] :, right * shape[1] :][: shape[0], : shape[1]] = turned
        columns.append(np.rot90(block, 2) if camera in _TURNED else block)
    # The cameras stand one below the other; lying, they fit a screen.
    return columns[0] if len(columns) == 1 else np.rot90(np.concatenate(columns), 1)


def _caption(name: str, screens: list[_Screen], cadence: int) -> str:
    time = next(
        screen.time[screen.frames[int(cadence)]] for screen in screens if int(cadence) in screen.frames
    )
    return f"{name}   {str(utc_from_btjd([time])[0])[:19]} UTC   BTJD {time:.4f}   cadence {cadence}"


@dataclass(frozen=True)
class _Painter:
    """Turns flux into colours, with a line of text below."""

    shade: Stretch
    palette: np.ndarray

    def __call__(self, flux: np.ndarray, caption: str) -> np.ndarray:
        """Return the picture, uint8 (even rows, even columns, 3)."""
        level = np.nan_to_num(self.shade(flux), nan=0.0)
        size = -(-NARROW // flux.shape[1])
        colours = self.palette[(255 * level).astype(np.uint8)].repeat(size, axis=0).repeat(size, axis=1)
        rows, columns = colours.shape[:2]
        out = np.zeros((rows + rows % 2 + CAPTION, columns + columns % 2, 3), np.uint8)
        out[:rows, :columns] = colours
        out[-CAPTION:] = _line(caption, out.shape[1])
        return out


def _line(text: str, width: int) -> np.ndarray:
    """Return a line of text, as large as fits into the width."""
    line = Image.new("RGB", (width, CAPTION))
    for size in range(15, 5, -1):
        if _font(size).getlength(text) <= width - 8:
            break
    ImageDraw.Draw(line).text((4, (CAPTION - size) // 2 - 1), text, fill=(235, 235, 235), font=_font(size))
    return np.asarray(line)


@lru_cache(maxsize=16)
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
