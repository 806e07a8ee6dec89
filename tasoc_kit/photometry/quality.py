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
from tasoc_kit.photometry.conditions.manual_excludes import excluded_frames, excluded_regions, excluded_stars
from tasoc_kit.photometry.conditions.momentum_dumps import list_dumps
from tasoc_kit.photometry.conditions.spacecraft import locate_spacecraft
from tasoc_kit.sources.manual_excludes import read_manual_excludes
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, SPACECRAFT, KitQuality

__all__ = ["CADENCE_TABLE", "TOLD", "carry_quality", "good_cadences", "make_quality"]

CADENCE_TABLE = ("quality", "timecorr", *SPACECRAFT)
RELEASE = ("data_rel", "procver", "time_shift", "time_stamps", "cosmic_block", "cosmic_cleaned")
TOLD = (*RELEASE, "spacecraft", "star_time_err", "dump_times", "excluded_regions")
"""What series of stars keep of the quality: variables, and attributes."""
HOPELESS = int(KitQuality.NO_DATA | KitQuality.MANUAL_EXCLUDE)


@step(
    version=3,
    product="quality",
    needs={"cube": ("time", "cadenceno", "quality")},
    gives=("quality", "frame_quality", "timecorr", *SPACECRAFT),
    libraries=("numpy", "scipy", "pyerfa"),
)
def make_quality(
    cube: xr.Dataset,
    ephemeris: xr.Dataset | None = None,
    excludes: xr.Dataset | None = None,
    target_flags: xr.Dataset | None = None,
    *,
    manual_excludes: Annotated[bool, Parameter("leave out what is known to be spoiled")] = True,
) -> xr.Dataset:
    """
    Collect the quality bits of every cadence of a cube.

    Parameters
    ----------
    cube
        Frames of one CCD; only its cadence table is read.
    ephemeris
        Where the spacecraft was; without it star times are less exact (see ``spacecraft``).
    excludes
        Frames and regions that are known to be spoiled; the packaged table by default.
    target_flags
        Flags of 2-minute targets, which are added to those of the frames they fall in.
    manual_excludes
        Leave out what is known to be spoiled.

    Returns
    -------
    ``quality`` (time), the bits of the mission, and ``frame_quality`` (time), ours;
    ``spacecraft_x``, ``_y`` and ``_z`` (time), from which
    :func:`tasoc_kit.star_time` makes the times of a star;
    ``region_…`` (region, edge) where only parts of frames are excluded.
    Attrs ``dump_times`` lists the momentum dumps, BTJD.

    Raises
    ------
    StepInputError
        If the cube has no frame, or the ephemeris or the target flags are not those of this sector.
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
    told = {name: cube.attrs[name] for name in RELEASE if name in cube.attrs}
    regions: dict[str, object] = {}
    if manual_excludes:
        table = read_manual_excludes() if excludes is None else excludes
        ours[excluded_frames(cube, table)] |= KitQuality.MANUAL_EXCLUDE
        regions, reasons = excluded_regions(cube, table)
        told |= {"excluded_regions": reasons} if reasons else {}
    mission = cube["quality"].values.astype(np.int32)
    if target_flags is not None:
        mission = mission | _flags_in_frames(cube, target_flags)
    position, source = locate_spacecraft(cube, ephemeris)
    coords = {name: cube[name].variable for name in ("time", "cadenceno")}
    timecorr = cube["timecorr"].values if "timecorr" in cube.variables else np.zeros(cube.sizes["time"])
    variables = {
        "quality": ("time", mission),
        "frame_quality": ("time", ours.astype(np.int32)),
        "timecorr": ("time", timecorr),
    } | {name: ("time", place) for name, place in zip(SPACECRAFT, position.T, strict=True)}
    quality = xr.Dataset(variables | regions, coords, told | source)
    return quality.assign_attrs(list_dumps(quality))


def _flags_in_frames(cube: xr.Dataset, flags: xr.Dataset) -> np.ndarray:
    """Return the bits of all target cadences that fall into each exposure."""
    correction = np.nan_to_num(cube["timecorr"].values)
    edges = [
        np.searchsorted(flags["time"].values, cube[n].values - correction)
        for n in ("time_start", "time_stop")
    ]
    bits = np.append(flags["quality"].values, 0).astype(np.int32)
    if (edges[0] == edges[1]).all():
        raise StepInputError(
            f"make_quality: the target flags cover TJD {float(flags['time'][0]):.2f}–"
            f"{float(flags['time'][-1]):.2f} and no frame of BTJD {float(cube['time'].min()):.2f}–"
            f"{float(cube['time'].max()):.2f}; expected targets of the same sector. Name other files."
        )
    return np.array([np.bitwise_or.reduce(bits[a:b]) for a, b in zip(*edges, strict=True)], np.int32)


def good_cadences(quality: xr.Dataset, bad_bits: int = DEFAULT_BAD_BITS) -> np.ndarray:
    """Return True for the cadences with none of these mission bits, and with data."""
    mission = quality["quality"].values & bad_bits
    return (mission == 0) & ((quality["frame_quality"].values & HOPELESS) == 0)


def carry_quality(series: xr.Dataset, quality: xr.Dataset, apertures: xr.Dataset) -> xr.Dataset:
    """
    Return series of stars with all that is known of their cadences.

    The bits of the mission stay in a column of their own; ``pixel_quality`` gets those of the stars in
    excluded regions beside the ones it has. Place of the spacecraft, time shift and momentum dumps follow.

    Parameters
    ----------
    series
        ``pixel_quality`` (star, time), lazy, and other series.
    quality
        The product.
    apertures
        Places of the same stars.
    """
    # small, and in memory: a stored table has blocks of its own, which are not those of the series
    carried = {name: quality[name].variable.compute() for name in CADENCE_TABLE if name in quality.variables}
    told = {name: quality.attrs[name] for name in TOLD if name in quality.attrs}
    excluded = excluded_stars(quality, apertures)
    if excluded is not None:
        bits = series["pixel_quality"].variable
        series = series.assign(pixel_quality=(bits.dims, bits.data | excluded.rechunk(bits.chunks)))
    return series.assign_coords(carried).assign_attrs(told | series.attrs)
