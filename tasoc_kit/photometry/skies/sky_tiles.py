"""The sky of one frame cell by cell: the model, what it leaves, and what it was fitted to.

This is what people look at when they judge a sky; no pixel is read for it.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.numerics.detector import camera_centre
from tasoc_kit.photometry.skies.sky_images import sky_ladder

__all__ = ["sky_tiles"]


def sky_tiles(sky: xr.Dataset, stream: xr.Dataset, reference: xr.Dataset, frame: int) -> xr.Dataset:
    """
    Return the sky of one frame on the cells of the stream.

    Parameters
    ----------
    sky, stream, reference
        The products of one CCD.
    frame
        Index of the frame.

    Returns
    -------
    Dataset (cell_row, cell_column) with ``sky``, the model with the sky of the reference;
    ``left``, the cells minus the model, over their white noise; ``used``, the share of its pixels that
    a cell kept; and ``radius``, pixels from the centre of the camera, where the attrs name it. The
    coordinates are the labels at the middle of the cells.
    """
    cell = int(sky.attrs["cell"])
    one = sky[["coefficient", "sky_level", "column_noise"]].isel(time=frame).load()
    tables = stream[["cells", "cell_used", "cell_variance"]].isel(time=frame).load()
    ladder = sky_ladder(sky)
    surface = ladder.surfaces[int(one["sky_level"])]
    coefficients = one["coefficient"].values[: surface.size].astype(float)
    smooth = surface.on_cells(coefficients.reshape(surface.coefficient_shape))
    offset = _means(np.where(ladder.sky_columns, one["column_noise"].values, 0.0), cell)
    offset /= np.maximum(_means(ladder.sky_columns.astype(float), cell), 1e-9)
    still = _means(_means(np.nan_to_num(reference["reference_sky"].values), cell, axis=0), cell)
    used = tables["cell_used"].values.astype(float)
    noise = np.sqrt(tables["cell_variance"].values / np.maximum(used, 1))
    left = tables["cells"].values - smooth - offset[None, :]
    rows, columns_of = (_middles(sky[name].values, cell) for name in ("row", "column"))
    tiles = {
        "sky": still + smooth,
        "left": left / np.where(noise > 0, noise, np.nan),
        "used": used / used.max(initial=1.0),
        "radius": _radius(sky, rows, columns_of),
    }
    return xr.Dataset(
        {name: (("cell_row", "cell_column"), values.astype(np.float32)) for name, values in tiles.items()},
        coords={"cell_row": rows, "cell_column": columns_of},
        attrs={"cell": cell},
    )


def _means(values: np.ndarray, cell: int, axis: int = -1) -> np.ndarray:
    starts = np.arange(0, values.shape[axis], cell)
    count = np.diff(np.append(starts, values.shape[axis]))
    shape = (-1, 1) if axis == 0 else (-1,)
    return np.asarray(np.add.reduceat(values, starts, axis=axis) / count.reshape(shape))


def _middles(labels: np.ndarray, cell: int) -> np.ndarray:
    return _means(labels.astype(float), cell)


def _radius(sky: xr.Dataset, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    if not {"camera", "ccd"} <= set(sky.attrs):
        return np.full((rows.size, columns.size), np.nan)
    centre = camera_centre(int(sky.attrs["camera"]), int(sky.attrs["ccd"]))
    return np.hypot(rows[:, None] - centre[0], columns[None, :] - centre[1])
