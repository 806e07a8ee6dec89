"""Which pixels the sky of a frame was really made of.

The pass keeps, for every cell, how many pixels entered its mean, but not which: that map is as
large as the frames. It is made again when somebody asks for it, by the rule of the pass itself, from a
few frames; the pixels marked in a cell are as many as the pass counted there.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.cells import mark_used
from tasoc_kit.photometry.stream import sky_template
from tasoc_kit.sources.frame_reader import open_frames

__all__ = ["sky_pixels"]

FRAMES = 16


def sky_pixels(
    cube: xr.Dataset, reference: xr.Dataset, stream: xr.Dataset, frames: Iterable[int] | None = None
) -> xr.DataArray:
    """
    Return the share of some frames in which each pixel entered the sky, straps included.

    Parameters
    ----------
    cube
        The frames of the stream; those asked for are read.
    reference
        Star image, its sky and the noise model.
    stream
        What the pass left; its settings are used.
    frames
        Indices of the frames; by default sixteen, spread over the sector.

    Returns
    -------
    float32 (row, column), 0 to 1: 0 where a pixel never is sky.

    Raises
    ------
    StepInputError
        If there are no frames to look at.
    """
    count = cube.sizes["time"]
    chosen = np.unique(np.linspace(0, count - 1, FRAMES).round().astype(int)) if frames is None else frames
    chosen = [int(frame) for frame in chosen]
    if not chosen or not all(0 <= frame < count for frame in chosen):
        raise StepInputError(
            f"sky_pixels: frames {chosen[:5]}; expected some of 0 to {count - 1}. Give frames of this cube."
        )
    cell, clip = int(stream.attrs["cell"]), float(stream.attrs["clip"])
    template, strap, noise = sky_template(cube, reference, cell)
    reader, used = open_frames(cube), np.zeros(template.shape, np.uint32)
    image = np.empty(template.shape, np.float32)
    for frame in chosen:
        reader.read(frame, image)
        mark_used(image, template, strap, (clip**2 * noise[0], clip**2 * noise[1]), cell, used)
    share = (used / np.float32(len(chosen))).astype(np.float32)
    coords = {name: cube[name].variable for name in ("row", "column")}
    return xr.DataArray(share, dims=("row", "column"), coords=coords, name="sky_share")
