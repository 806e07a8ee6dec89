"""Which cadences are good: the mission's bits kept as they are, ours beside them.

Nothing here reads a pixel. Flags alone do not select good frames (on the sky one frame in
seven with no bit set has bright scattered light), so the steps that need a dark sky look for
one themselves.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.photometry.spacecraft import locate_spacecraft
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, KitQuality

__all__ = ["good_cadences", "make_quality"]

# (camera, first cadence, last cadence): light from the Earth over a whole frame (Handberg+ 2021).
MANUAL_EXCLUDES = ((1, 11354, 11366),)

HOPELESS = int(KitQuality.NO_DATA | KitQuality.MANUAL_EXCLUDE)


@step(
    version=2,
    product="quality",
    needs={"cube": ("time", "cadenceno", "quality")},
    gives=("quality", "frame_quality", "timecorr", "spacecraft_position"),
    libraries=("numpy", "scipy", "pyerfa"),
)
def make_quality(
    cube: xr.Dataset,
    ephemeris: xr.Dataset | None = None,
    *,
    manual_excludes: Annotated[
        bool, Parameter("flag the cadences known to be spoiled over the whole frame")
    ] = True,
) -> xr.Dataset:
    """
    Collect the quality bits of every cadence of a cube.

    Parameters
    ----------
    cube
        Frames of one CCD; only its cadence table is read.
    ephemeris
        Where the spacecraft was; without it star times are less exact (see ``spacecraft``).
    manual_excludes
        Flag the cadences known to be spoiled over the whole frame.

    Returns
    -------
    ``quality`` (time), the bits of the mission, and ``frame_quality`` (time), ours;
    ``spacecraft_position`` (time, xyz), from which :func:`~tasoc_kit.photometry.spacecraft.star_time`
    makes the times of a star.

    Raises
    ------
    StepInputError
        If the cube has no frame, or the ephemeris is not that of TESS in this sector.
    """
    if cube.sizes["time"] == 0:
        raise StepInputError(
            "make_quality: cube has 0 frames; expected at least one. "
            "Check the files with 'tasoc catalog index FOLDER'."
        )
    ours = cube["frame_quality"].values.copy() if "frame_quality" in cube.variables else None
    if ours is None:
        ours = np.zeros(cube.sizes["time"], np.int32)
    if "wcs" in cube.variables:
        lost = cube["wcs"].values.astype(str) == ""
        # A cutout carries one solution for all its frames, or none; only a lone loss is news.
        if not lost.all():
            ours[lost] |= KitQuality.NO_WCS
    if manual_excludes:
        ours[_excluded(cube)] |= KitQuality.MANUAL_EXCLUDE
    position, source = locate_spacecraft(cube, ephemeris)
    coords = {name: cube[name].variable for name in ("time", "cadenceno")}
    timecorr = cube["timecorr"].values if "timecorr" in cube.variables else np.zeros(cube.sizes["time"])
    variables = {
        "quality": ("time", cube["quality"].values.astype(np.int32)),
        "frame_quality": ("time", ours.astype(np.int32)),
        "timecorr": ("time", timecorr),
        "spacecraft_position": (("time", "xyz"), position),
    }
    return xr.Dataset(variables, coords=coords, attrs=source)


def _excluded(cube: xr.Dataset) -> np.ndarray:
    cadences = cube["cadenceno"].values
    excluded = np.zeros(cadences.size, bool)
    for camera, first, last in MANUAL_EXCLUDES:
        if cube.attrs.get("camera") == camera:
            excluded |= (cadences >= first) & (cadences <= last)
    return excluded


def good_cadences(quality: xr.Dataset, bad_bits: int = DEFAULT_BAD_BITS) -> np.ndarray:
    """Return True for the cadences with none of these mission bits, and with data."""
    mission = quality["quality"].values & bad_bits
    return (mission == 0) & ((quality["frame_quality"].values & HOPELESS) == 0)
