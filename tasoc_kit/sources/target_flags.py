"""Quality flags of 2-minute targets, for frames whose own flags are missing.

The first releases of FFIs carry hardly any flag, while the target files of the same sector do
(Handberg+ 2021). Only the bits that concern the whole spacecraft are taken.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable

import numpy as np
import xarray as xr
from astropy.io import fits

from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.clock import DAY
from tasoc_kit.numerics.time_stamps import stamp_shift
from tasoc_kit.provenance import with_content_id
from tasoc_kit.sources.byte_source import list_files, read_all
from tasoc_kit.vocabulary import TessQuality

__all__ = ["FRAME_BITS", "read_target_flags"]

FRAME_BITS = int(
    TessQuality.ATTITUDE_TWEAK
    | TessQuality.SAFE_MODE
    | TessQuality.COARSE_POINT
    | TessQuality.EARTH_POINT
    | TessQuality.DESAT
    | TessQuality.EARTH_MOON_PLANET_IN_FOV
    | TessQuality.SCATTERED_LIGHT
)
"""Bits that hold for a frame as they do for a target in it."""


def read_target_flags(where: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> xr.Dataset:
    """
    Read the flags of target pixel or light curve files.

    Parameters
    ----------
    where
        A folder, a glob, one file or a list of files; five targets of a sector are plenty.

    Returns
    -------
    ``quality`` (time) of all files together, in order of time at the spacecraft (TJD).

    Raises
    ------
    SourceError
        If there is no file, or one has no such table.
    """
    names = list_files(where)
    if not names:
        raise SourceError(f"{where}: no FITS file there; expected 2-minute target files. Check the path.")
    tables = [_flags(name) for name in names]
    times, bits = (np.concatenate(parts) for parts in zip(*tables, strict=True))
    order = np.argsort(times, kind="stable")
    flags = xr.Dataset(
        {"quality": ("time", bits[order])},
        {"time": times[order]},
        {"product": "target_flags", "targets": len(names)},
    )
    return with_content_id(flags, "target_flags")


def _flags(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return times at the spacecraft and bits of one file."""
    content = read_all(name)
    try:
        with fits.open(io.BytesIO(content)) as hdus:
            primary, table = hdus[0].header, hdus[1].data
            times = table["TIME"].astype(float) - table["TIMECORR"].astype(float)
            numbers, bits = table["CADENCENO"].astype(float), table["QUALITY"].astype(np.int32)
            release, unit = int(primary.get("DATA_REL", 0)), (primary.get("CAMERA", 0), primary.get("CCD", 0))
            shift = stamp_shift(release, str(primary.get("PROCVER", "")), *map(int, unit), "target")
    except (OSError, KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
        raise SourceError.for_file(
            name,
            f"no target file ({error})",
            "Expected a table with TIME, TIMECORR, CADENCENO and QUALITY. Leave the file out.",
        ) from None
    # Flagged cadences often have no time of their own; the cadence number tells it.
    known = np.isfinite(times)
    if known.sum() < 2:
        raise SourceError.for_file(name, f"{known.sum()} cadences with a time", "Leave the file out.")
    times = np.interp(numbers, numbers[known], times[known]) + shift.middle / DAY
    return times, bits & FRAME_BITS
