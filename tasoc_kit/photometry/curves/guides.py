"""The guide stars of a sector: what says how far every frame is displaced.

Their centroids come from the sums of the stream like those of all stars, so that whoever corrects
for motion, aperture or PSF photometry, measures the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from tasoc_kit.numerics.runs import Runs
from tasoc_kit.photometry.curves.motion import MotionTable, measure_motion
from tasoc_kit.photometry.curves.series import SkySeries, StarTables, make_series, star_tables

__all__ = ["Guides", "guide_motion", "make_guides"]


class Guides(NamedTuple):
    """The guide stars."""

    motion: MotionTable
    tables: StarTables


def make_guides(
    motion: MotionTable | None,
    sky: xr.Dataset,
    reference: xr.Dataset,
    runs: Runs,
    noise: tuple[np.ndarray, np.ndarray],
) -> Guides | None:
    """Return the guide stars with their tables; None where there is no motion to be measured."""
    if motion is None:
        return None
    return Guides(motion, star_tables(sky, reference, runs, noise, motion.guides))


def guide_motion(
    guides: Guides | None, sums: tuple[np.ndarray, ...], sky: SkySeries, systematic: float
) -> np.ndarray:
    """
    Return the motion of one block of frames, (time, axis, 3); NaN where no guides tell it.

    Parameters
    ----------
    guides
        The guide stars.
    sums
        ``aperture_sum``, ``moment_row`` and ``moment_column`` (time, star) of all stars.
    sky
        The sky of these frames.
    systematic
        Error added in quadrature, as a share of the flux.
    """
    if guides is None:
        return np.full((sky.no_data.size, 2, 3), np.nan)
    theirs = tuple(np.ascontiguousarray(values[:, guides.motion.guides]) for values in sums)
    seen = make_series(guides.tables, theirs, sky, systematic)
    return measure_motion(
        guides.motion,
        *(np.stack([seen[f"centroid_{axis}{end}"] for axis in ("row", "column")]) for end in ("", "_err")),
    )
