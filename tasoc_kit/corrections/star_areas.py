"""Areas of a CCD whose stars share their systematics: rings about the optical axis of the camera.

They are TASOC's (Lund+ 2021, ApJS 257 53): camera · 100 + CCD · 10 + ring, the rings' edges at a quarter,
half and three quarters of the way from the axis to the corner of the field.
"""

from __future__ import annotations

import numpy as np

from tasoc_kit.numerics.detector import camera_centre

__all__ = ["NOWHERE", "RINGS", "join_small", "nearest_area", "star_areas"]

RINGS = 4
_CORNER = np.hypot(2048.0, 2048.0)
"""Pixels from the optical axis to the corner of the field; the angle grows with them to within a percent."""
NOWHERE = 0
"""The area of a star that is off the frame."""


def star_areas(row: np.ndarray, column: np.ndarray, camera: int, ccd: int) -> np.ndarray:
    """Return the area, int32, of stars at these labels; 0 where a place is NaN."""
    centre_row, centre_column = camera_centre(camera, ccd)
    share = np.hypot(row - centre_row, column - centre_column) / _CORNER
    ring = np.clip(np.floor(np.nan_to_num(share) * RINGS) + 1, 1, RINGS).astype(np.int32)
    return np.where(np.isfinite(share), camera * 100 + ccd * 10 + ring, NOWHERE).astype(np.int32)


def join_small(area: np.ndarray, fit: np.ndarray, fewest: int) -> np.ndarray:
    """
    Return the areas with those that lack stars joined to the next one that does not.

    Parameters
    ----------
    area
        (star) as of :func:`star_areas`.
    fit
        (star) True for the stars that vectors can be made of.
    fewest
        Such stars that an area needs. Where none has as many, all become the one that has most.
    """
    names = np.unique(area[area != NOWHERE])
    if not names.size:
        return area
    count = np.array([(fit & (area == name)).sum() for name in names])
    rich = names[count >= fewest] if (count >= fewest).any() else names[[int(np.argmax(count))]]
    return nearest_area(area, rich)


def nearest_area(area: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the nearest of the known areas to that of each star; 0 off the frame, or where none is known."""
    if not known.size:
        return np.full(area.shape, NOWHERE, np.int32)
    nearest = known[np.argmin(np.abs(known[:, None] - area), axis=0)]
    return np.where(area == NOWHERE, NOWHERE, nearest).astype(np.int32)
