"""The sky of any frame as an image, evaluated from the model when it is asked for.

A whole sector of skies is as large as the sector itself, and each costs less to evaluate than to
read. So none is ever stored: a cube of them is lazy, one frame a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import dask
import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit.chunks import compute
from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.numerics.splines import Ladder
from tasoc_kit.step import INHERITED
from tasoc_kit.vocabulary import label

__all__ = ["background_cube", "sky_image", "sky_ladder", "sky_window", "subtracted_cube"]

_FILE_TABLE = ("file", "file_offset", "file_rows", "file_columns", "err_offset", "err_rows", "err_columns")
"""What says where the raw pixels of a frame lie, so that readers go there."""
_OF_THE_FILES = ("source", "product", "provenance", "provenance_id")


_MODEL = {"coefficient": "tk", "sky_level": "t", "strap_scale": "t", "column_noise": "tc"}
"""What makes the sky of a frame, and the dimensions of each."""


def sky_ladder(sky: xr.Dataset) -> Ladder:
    """Return the surfaces that the coefficients of a sky, or the cells of a stream, belong to."""
    sky_columns = ~is_strap(sky["column"].values)
    if not sky_columns.any():
        sky_columns[:] = True
    return Ladder((sky.sizes["row"], sky.sizes["column"]), int(sky.attrs["cell"]), sky_columns)


@dataclass(frozen=True)
class _Skies:
    """What the skies of all frames share."""

    ladder: Ladder
    reference_sky: np.ndarray
    strap_gain: np.ndarray

    @cached_property
    def surfaces(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Splines at every row and every column, by level."""
        return [(s.rows.pixels, s.columns.pixels) for s in self.ladder.surfaces]

    def image(
        self, coefficient: np.ndarray, level: np.ndarray, scale: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        """Return the sky of one frame, float64 (rows, columns); NaN where it has none."""
        rows, across = self.surfaces[int(level)]
        shape = rows.shape[1], across.shape[1]
        smooth = rows @ coefficient[: shape[0] * shape[1]].astype(float).reshape(shape) @ across.T
        return np.asarray(self.reference_sky + (1 + float(scale) * self.strap_gain) * smooth + columns)


def _shared(sky: xr.Dataset, reference: xr.Dataset) -> _Skies:
    if reference["reference_sky"].shape != (sky.sizes["row"], sky.sizes["column"]):
        raise StepInputError(
            f"background_cube: sky of {sky.sizes['row']}×{sky.sizes['column']} pixels, reference of "
            f"{reference['reference_sky'].shape}; expected the reference the sky was fitted over. "
            "Open both by the ids in one lineage."
        )
    return _Skies(sky_ladder(sky), reference["reference_sky"].values, sky["strap_gain"].values.astype(float))


def sky_image(sky: xr.Dataset, reference: xr.Dataset, frame: int) -> np.ndarray:
    """
    Return the whole sky of one frame.

    Parameters
    ----------
    sky, reference
        The products.
    frame
        Index of the frame.

    Returns
    -------
    float64 (rows, columns), electron/s
    """
    one = sky.isel(time=frame)
    model = (one[name].values for name in _MODEL)
    return _shared(sky, reference).image(*model)


def sky_window(sky: xr.Dataset, reference: xr.Dataset, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """
    Return the sky of every frame on a few of its pixels.

    Parameters
    ----------
    sky, reference
        The products.
    rows, columns
        Labels of the pixels.

    Returns
    -------
    float64 (time, rows, columns), electron/s; NaN in frames that have no sky.
    """
    series = compute(sky[list(_MODEL)])
    model = {name: series[name].values for name in _MODEL}
    ladder, level = sky_ladder(sky), model["sky_level"]
    i, j = (np.searchsorted(sky[n].values, labels) for n, labels in (("row", rows), ("column", columns)))
    smooth = np.empty((level.size, rows.size, columns.size))
    for which in np.unique(level):
        surface, frames = ladder.surfaces[which], level == which
        some = model["coefficient"][frames, : surface.size].astype(float)
        some = some.reshape(-1, *surface.coefficient_shape)
        smooth[frames] = surface.rows.pixels[i] @ some @ surface.columns.pixels[j].T
    gain = 1 + model["strap_scale"][:, None] * sky["strap_gain"].values[j]
    still = reference["reference_sky"].sel(row=rows, column=columns).values
    return np.asarray(still + gain[:, None, :] * smooth + model["column_noise"][:, None, j])


def _images(
    coefficient: np.ndarray, level: np.ndarray, scale: np.ndarray, columns: np.ndarray, skies: _Skies
) -> np.ndarray:
    """Return the skies of the frames of one chunk, float32 (time, rows, columns)."""
    made = np.empty((level.size, *skies.ladder.shape), np.float32)
    for k in range(level.size):
        made[k] = skies.image(coefficient[k], level[k], scale[k], columns[k])
    return made


def background_cube(sky: xr.Dataset, reference: xr.Dataset, frames: slice | None = None) -> xr.Dataset:
    """
    Return the sky of every frame as a lazy cube.

    Parameters
    ----------
    sky, reference
        The products.
    frames
        Some of the frames; all by default.

    Returns
    -------
    ``sky`` (time, row, column), float32 electron/s, one frame a chunk, evaluated on demand.

    Raises
    ------
    StepInputError
        If the reference has another shape than the sky.
    """
    skies = dask.delayed(_shared(sky, reference), traverse=False)
    some = sky.isel(time=frames) if frames is not None else sky
    tables = []
    for name, dims in _MODEL.items():
        data = some[name].data
        chunks = {0: 1} | dict.fromkeys(range(1, data.ndim), -1)
        lazy = data.rechunk(chunks) if isinstance(data, da.Array) else da.from_array(data, chunks)
        tables += [lazy, dims]
    images = da.blockwise(
        _images,
        "trc",
        *tables,
        skies=skies,
        new_axes={"r": sky.sizes["row"]},
        concatenate=True,
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    names = ("time", "cadenceno", "row", "column", "quality", "frame_quality")
    coords = {name: some[name].variable for name in names if name in some.variables}
    attrs = {name: sky.attrs[name] for name in INHERITED if name in sky.attrs}
    return label(xr.Dataset({"sky": (("time", "row", "column"), images)}, coords=coords, attrs=attrs))


def subtracted_cube(cube: xr.Dataset, sky: xr.Dataset, reference: xr.Dataset) -> xr.Dataset:
    """
    Return a cube without its sky; one frame of it is one chunk, read and subtracted on demand.

    Parameters
    ----------
    cube
        The frames that the sky was fitted to.
    sky, reference
        The products.

    Returns
    -------
    The cube with ``flux`` (time, row, column) less its sky, lazy.

    Raises
    ------
    StepInputError
        If the sky is that of other cadences, or of another shape.
    """
    if not np.array_equal(cube["cadenceno"].values, sky["cadenceno"].values):
        raise StepInputError(
            f"subtracted_cube: cube of {cube.sizes['time']} cadences, sky of {sky.sizes['time']} others; "
            "expected the cube that the sky was fitted to. Select the same frames of both."
        )
    background = background_cube(sky, reference)["sky"]
    if background.shape != cube["flux"].shape:
        raise StepInputError(
            f"subtracted_cube: frames of {cube['flux'].shape[1:]} pixels, sky of {background.shape[1:]}; "
            "expected the same rows and columns. Take science(cube)."
        )
    flux = cube["flux"].copy(data=cube["flux"].data - background.data)
    # The raw frame is what lies in the files, so nothing may read them in place of this.
    raw = [name for name in _FILE_TABLE if name in cube.variables]
    attrs = {name: value for name, value in cube.attrs.items() if name not in _OF_THE_FILES}
    bare = cube.drop_vars(raw).assign(flux=flux)
    bare.attrs = attrs
    return bare
