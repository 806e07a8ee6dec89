"""The pixels about one star through a whole sector, with the sky of the pipeline taken away.

What an aperture that is drawn by hand is summed over; only the rows of the stamp are read.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.photometry.skies.sky_images import sky_window
from tasoc_kit.sources.frame_reader import open_frames

__all__ = ["make_stamp", "sum_mask"]


def make_stamp(
    cube: xr.Dataset, sky: xr.Dataset, reference: xr.Dataset, rows: slice, columns: slice
) -> xr.Dataset:
    """
    Read the pixels of a stamp in every frame, and take their sky away.

    Parameters
    ----------
    cube
        The frames that ``sky`` was made from.
    sky, reference
        The products of the CCD.
    rows, columns
        Labels of the first and the last row and column; they may reach past the frame.

    Returns
    -------
    Dataset (time, row, column) in memory: ``flux``, electron/s without sky; ``sky``; ``variance`` of
    the photons and of reading; coordinates ``time``, ``cadenceno``, ``quality``, ``frame_quality``.

    Raises
    ------
    StepInputError
        If the frames are not those of the sky, or the stamp is off the frame.
    """
    if cube.sizes["time"] != sky.sizes["time"]:
        raise StepInputError(
            f"make_stamp: {cube.sizes['time']} frames, a sky of {sky.sizes['time']}; expected the frames "
            "that the sky was made from. Open the cube of the same run."
        )
    cut = cube.sel(row=rows, column=columns)
    if not (cut.sizes["row"] and cut.sizes["column"]):
        raise StepInputError(
            f"make_stamp: rows {rows.start}–{rows.stop}, columns {columns.start}–{columns.stop}; expected "
            f"some of rows {int(cube['row'][0])}–{int(cube['row'][-1])}. Choose a place on the frame."
        )
    reader = open_frames(cut)
    flux = np.empty((len(reader), *reader.shape), np.float32)
    for i in range(len(reader)):
        reader.read(i, flux[i])
    background = sky_window(sky, reference, cut["row"].values, cut["column"].values).astype(np.float32)
    near = reference.sel(column=cut["column"].values)
    variance = near["noise_floor"].values + near["noise_slope"].values * np.maximum(flux, 0)
    dims = ("time", "row", "column")
    times = {name: sky[name].variable for name in ("time", "cadenceno", "quality", "frame_quality")}
    return xr.Dataset(
        {
            "flux": (dims, flux - background),
            "sky": (dims, background),
            "variance": (dims, variance.astype(np.float32)),
        },
        coords=times | {name: cut[name].variable for name in ("row", "column")},
    )


def sum_mask(stamp: xr.Dataset, mask: np.ndarray) -> xr.Dataset:
    """
    Return the light curve of a mask.

    Parameters
    ----------
    stamp
        As of :func:`make_stamp`.
    mask
        bool (row, column).

    Returns
    -------
    Dataset (time) with ``flux``, ``flux_err`` (photons and reading) and ``background``, electron/s;
    the motion of the stars is not taken out. NaN where the mask is empty or holds a missing pixel.
    """
    if not mask.any():
        sums = {name: np.full(stamp.sizes["time"], np.nan) for name in ("flux", "sky", "variance")}
    else:
        sums = {
            name: stamp[name].values[:, mask].sum(axis=1, dtype=float) for name in ("flux", "sky", "variance")
        }
    series = {
        "flux": sums["flux"],
        "flux_err": np.sqrt(sums["variance"]),
        "background": sums["sky"],
    }
    return xr.Dataset(
        {name: ("time", values.astype(np.float32)) for name, values in series.items()},
        coords={name: stamp[name].variable for name in ("time", "cadenceno", "quality", "frame_quality")},
    )
