"""What the manual excludes leave out: whole frames, the sky cells of a region, the stars in it.

No pixel is touched. A whole frame has MANUAL_EXCLUDE in ``frame_quality``. Of a region the product
``quality`` keeps the cadences, rows and columns; the sky is fitted without its cells, and its stars
have the bit in ``pixel_quality``.
"""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit.numerics.detector import COLUMNS, ROWS
from tasoc_kit.vocabulary import KitQuality

__all__ = ["excluded_frames", "excluded_regions", "excluded_stars", "without_excluded_cells"]

EDGES = ("cadenceno", "row", "column")


def _labels(cube: xr.Dataset, name: str) -> np.ndarray:
    """Return the labels of a cube along an axis; the ends of a whole frame where it has no pixels."""
    whole = {"row": np.array([0, ROWS - 1]), "column": np.array([0, COLUMNS - 1])}
    return cube[name].values if name in cube.variables else whole[name]


def _of_unit(cube: xr.Dataset, excludes: xr.Dataset) -> xr.Dataset:
    """Return the rows of this sector, camera and CCD that touch any of its cadences and pixels."""
    here = np.ones(excludes.sizes["exclude"], bool)
    for name in ("sector", "camera", "ccd"):
        asked = excludes[name].values
        here &= (asked == 0) | (asked == cube.attrs.get(name, -1))
    for name in EDGES:
        labels = _labels(cube, name)
        here &= (excludes[f"first_{name}"].values <= labels.max(initial=-1)) & (
            excludes[f"last_{name}"].values >= labels.min(initial=np.iinfo(np.int32).max)
        )
    return excludes.isel(exclude=here)


def _is_whole(cube: xr.Dataset, exclude: xr.Dataset) -> bool:
    return all(
        int(exclude[f"first_{name}"]) <= _labels(cube, name).min()
        and int(exclude[f"last_{name}"]) >= _labels(cube, name).max()
        for name in ("row", "column")
    )


def excluded_frames(cube: xr.Dataset, excludes: xr.Dataset) -> np.ndarray:
    """Return True for the cadences that are excluded with every pixel."""
    found = np.zeros(cube.sizes["time"], bool)
    rows = _of_unit(cube, excludes)
    for k in range(rows.sizes["exclude"]):
        one = rows.isel(exclude=k)
        if _is_whole(cube, one):
            found |= _within(cube["cadenceno"].values, one["first_cadenceno"], one["last_cadenceno"])
    return found


def excluded_regions(cube: xr.Dataset, excludes: xr.Dataset) -> tuple[dict[str, Any], list[str]]:
    """Return what ``quality`` keeps of the regions, first and last label of each, and their reasons."""
    rows = _of_unit(cube, excludes)
    parts = [k for k in range(rows.sizes["exclude"]) if not _is_whole(cube, rows.isel(exclude=k))]
    if not parts:
        return {}, []
    rows = rows.isel(exclude=parts)
    variables = {
        f"region_{name}": (
            ("region", "edge"),
            np.stack([rows[f"{end}_{name}"].values for end in ("first", "last")], axis=1).astype(np.int32),
        )
        for name in EDGES
    }
    return variables, [str(reason) for reason in rows["reason"].values]


def _within(labels: np.ndarray, first: Any, last: Any) -> np.ndarray:
    return np.asarray((labels >= int(first)) & (labels <= int(last)))


def without_excluded_cells(stream: xr.Dataset, quality: xr.Dataset) -> tuple[xr.Dataset, np.ndarray]:
    """
    Return the stream with no pixel used in the cells that touch an excluded region.

    Also returns the share of the cells that this takes from every frame.
    """
    share = np.zeros(stream.sizes["time"])
    if "region_row" not in quality.variables:
        return stream, share
    sizes = {"cell_row": int(stream.attrs["cell"]), "cell_column": int(stream.attrs["cell"])}
    sizes |= {"band": int(stream.attrs["band"]), "column": 1}
    axes = {"cell_row": "row", "band": "row", "cell_column": "column", "column": "column"}
    for k in range(quality.sizes["region"]):
        inside = {
            dim: _cells_within(stream[label].values, sizes[dim], *quality[f"region_{label}"].values[k])
            for dim, label in axes.items()
        }
        time = _within(quality["cadenceno"].values, *quality["region_cadenceno"].values[k])
        mask = {dim: xr.DataArray(values, dims=dim) for dim, values in (inside | {"time": time}).items()}
        cells = mask["time"] & mask["cell_row"] & mask["cell_column"]
        columns = mask["time"] & mask["band"] & mask["column"]
        stream = stream.assign(
            cell_used=stream["cell_used"].where(~cells.drop_vars(cells.coords), 0),
            column_used=stream["column_used"].where(~columns.drop_vars(columns.coords), 0),
        )
        share += time * inside["cell_row"].mean() * inside["cell_column"].mean()
    return stream, np.minimum(share, 1.0)


def _cells_within(labels: np.ndarray, size: int, first: int, last: int) -> np.ndarray:
    """Return True for the runs of ``size`` labels that touch the region."""
    starts = np.arange(0, labels.size, size)
    return np.asarray(np.logical_or.reduceat((labels >= first) & (labels <= last), starts))


def excluded_stars(quality: xr.Dataset, apertures: xr.Dataset) -> da.Array | None:
    """Return MANUAL_EXCLUDE for the stars in excluded regions, lazy int32 (star, time); None without any."""
    if "region_row" not in quality.variables:
        return None
    bits = da.zeros((apertures.sizes["star"], quality.sizes["time"]), dtype=np.int32, chunks=(1024, -1))
    for k in range(quality.sizes["region"]):
        star = np.ones(apertures.sizes["star"], bool)
        for axis in ("row", "column"):
            place = np.rint(apertures[f"star_{axis}"].values)
            star &= _within(place, *quality[f"region_{axis}"].values[k])
        time = _within(quality["cadenceno"].values, *quality["region_cadenceno"].values[k])
        there = da.from_array(star, chunks=1024)[:, None] & da.from_array(time, chunks=-1)[None, :]
        bits = bits | da.where(there, np.int32(KitQuality.MANUAL_EXCLUDE), np.int32(0))
    return bits
