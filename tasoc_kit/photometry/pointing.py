"""How far each frame is displaced from the typical one, from the plate solutions.

A grid of points is taken to the sky with the solution of the median frame and back with the
solution of every other; the displacement is a linear field over the CCD (shift, rotation,
scale, and the slow change of velocity aberration). Cutouts, whose files carry one solution for
all frames, give the motion their pixel tables state, or none.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.numerics.geometry import pixel_to_sky, sky_to_pixel
from tasoc_kit.numerics.statistics import mad_sigma
from tasoc_kit.photometry.conditions.momentum_dumps import list_dumps
from tasoc_kit.step import step
from tasoc_kit.vocabulary import KitQuality

__all__ = ["estimate_pointing", "motion_at"]

GRID = 7
HALF = 1024.0
"""Pixels that one unit of the field's linear terms stands for."""
OUTLIER_SIGMA, OUTLIER_FLOOR = 6.0, 0.02


@step(
    version=1,
    product="pointing",
    needs={"cube": ("time", "row", "column"), "quality": ("quality", "frame_quality")},
    gives=("motion_row", "motion_column", "motion_matrix", "frame_quality"),
)
def estimate_pointing(cube: xr.Dataset, quality: xr.Dataset) -> xr.Dataset:
    """
    Estimate the displacement of every frame as a linear field over the CCD.

    Parameters
    ----------
    cube
        Frames of one CCD or cutout; only its tables are read.
    quality
        Bits of every cadence.

    Returns
    -------
    ``motion_row`` and ``motion_column`` (time) at the centre of the frame, pixels;
    ``motion_matrix`` (time, axis, term): change of both over 1024 rows and columns; NaN for a
    frame without a solution among frames that have one. ``frame_quality`` (time) with the outliers.
    Attrs ``dump_times`` lists the momentum dumps, also where no cadence has the bit DESAT.
    """
    rows, columns = cube["row"].values, cube["column"].values
    centre = (float(rows[0] + rows[-1]) / 2, float(columns[0] + columns[-1]) / 2)
    texts = cube["wcs"].values.astype(str) if "wcs" in cube.variables else np.full(cube.sizes["time"], "")
    method, field = _field(cube, texts, rows, columns, centre)
    motion_row, motion_column = field[:, 0, 0], field[:, 1, 0]
    bits = quality["frame_quality"].values.copy()
    bits[_outliers(motion_row, motion_column)] |= KitQuality.POINTING_OUTLIER
    return xr.Dataset(
        {
            "motion_row": ("time", motion_row),
            "motion_column": ("time", motion_column),
            "motion_matrix": (("time", "axis", "term"), field[:, :, 1:]),
            "frame_quality": ("time", bits),
        },
        coords={name: cube[name].variable for name in ("time", "cadenceno")},
        attrs={"method": method, "centre_row": centre[0], "centre_column": centre[1]}
        | list_dumps(quality, bits),
    )


def _field(
    cube: xr.Dataset,
    texts: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    centre: tuple[float, float],
) -> tuple[str, np.ndarray]:
    """Return how the field was found, and the field (time, axis, constant + two linear terms)."""
    field = np.zeros((cube.sizes["time"], 2, 3))
    if "pos_corr_row" in cube.variables and np.any(np.nan_to_num(cube["pos_corr_row"].values)):
        field[:, 0, 0] = cube["pos_corr_row"].values
        field[:, 1, 0] = cube["pos_corr_column"].values
        return "pixel tables", field - np.nanmedian(field, axis=0)
    solved = np.flatnonzero(texts != "")
    if solved.size == 0 or np.unique(texts[solved]).size == 1:
        return "none", field
    grid_row, grid_column = (a.ravel() for a in np.meshgrid(
        np.linspace(rows[0], rows[-1], GRID), np.linspace(columns[0], columns[-1], GRID), indexing="ij"
    ))  # fmt: skip
    terms = np.stack(
        [np.ones(grid_row.size), (grid_row - centre[0]) / HALF, (grid_column - centre[1]) / HALF], axis=1
    )
    ra, dec = pixel_to_sky(texts[solved[solved.size // 2]], grid_row, grid_column)
    back = sky_to_pixel(list(texts[solved]), ra, dec)
    field[:] = np.nan
    for axis, (found, start) in enumerate(zip(back, (grid_row, grid_column), strict=True)):
        field[solved, axis] = (np.linalg.pinv(terms) @ (found - start).T).T
    return "plate solutions", field - np.nanmedian(field, axis=0)


def _outliers(motion_row: np.ndarray, motion_column: np.ndarray) -> np.ndarray:
    """Return True for frames that stand off the slow drift of their neighbours."""
    far = np.zeros(motion_row.size, bool)
    for motion in (motion_row, motion_column):
        known = np.flatnonzero(np.isfinite(motion))
        if known.size < 5:
            continue
        padded = np.pad(motion[known], 4, mode="reflect" if known.size > 4 else "edge")
        drift = np.median(np.lib.stride_tricks.sliding_window_view(padded, 9), axis=1)
        left = motion[known] - drift
        far[known] |= np.abs(left) > max(OUTLIER_SIGMA * float(mad_sigma(left)), OUTLIER_FLOOR)
    return far


def motion_at(pointing: xr.Dataset, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the displacement of every frame at some places.

    Parameters
    ----------
    pointing
        The product.
    row, column
        (star) labels.

    Returns
    -------
    Row and column offsets (time, star), pixels.
    """
    terms = np.stack(
        [
            np.ones(np.size(row)),
            (np.asarray(row) - pointing.attrs["centre_row"]) / HALF,
            (np.asarray(column) - pointing.attrs["centre_column"]) / HALF,
        ]
    )
    matrix = pointing["motion_matrix"].values
    constant = np.stack([pointing["motion_row"].values, pointing["motion_column"].values], axis=1)[..., None]
    field = np.concatenate([constant, matrix], axis=2)
    return field[:, 0] @ terms, field[:, 1] @ terms
