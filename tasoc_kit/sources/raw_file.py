"""What one raw file is, and of where and when: an FFI, a cutout of FFIs, or a target pixel file.

The readers of the cubes decide: what they cannot open as one of these is refused with their reason.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasoc_kit.errors import SourceError
from tasoc_kit.numerics import detector
from tasoc_kit.numerics.clock import utc_from_btjd
from tasoc_kit.sources.byte_source import open_bytes
from tasoc_kit.sources.cards import read_cards
from tasoc_kit.sources.ffi_header import header_row, name_parts
from tasoc_kit.sources.ffi_index import place_in_time
from tasoc_kit.sources.target_pixels import open_target_pixels, sector_of_name

__all__ = ["KINDS", "RawFacts", "raw_facts"]

KINDS = ("ffi", "cutout", "target_pixels")

_FFI_ENDINGS = ("_ffic.fits", "_ffic.fits.gz")
_PLACE = ("sector", "camera", "ccd")


@dataclass(frozen=True)
class RawFacts:
    """What is catalogued of a raw file; None is not known, or not one number."""

    kind: str
    """One of ``KINDS``."""
    sector: int
    camera: int
    ccd: int
    cadenceno: int | None
    quality: int | None
    """TESS's flags of an FFI; of several cadences those that all of them have."""
    started: datetime.datetime | None
    """Start of the first exposure, UTC at the spacecraft."""
    ended: datetime.datetime | None


def raw_facts(path: Path, name: str) -> RawFacts:
    """
    Return what a plain FITS file on this machine is.

    Parameters
    ----------
    path
        The file, unpacked.
    name
        What it is called, which tells sector, camera and CCD where the headers do not.

    Raises
    ------
    SourceError
        If it is none of these, or is not what its name says.
    """
    found = _cutout(path, name) if _has_table(path) else _ffi(path, name)
    if found.sector < 1 or not {found.camera, found.ccd} <= {1, 2, 3, 4}:
        raise SourceError(
            f"{name}: it is of sector {found.sector}, camera {found.camera}, CCD {found.ccd} by its headers; "
            "expected a sector from 1 on, camera and CCD 1 to 4. Send it as the archive has it."
        )
    return found


def _has_table(path: Path) -> bool:
    """Tell whether the first extension is a table."""
    source = open_bytes(path)
    try:
        _, start = read_cards(source, 0)
        header, _ = read_cards(source, start)
        return bool(header.get("XTENSION") == "BINTABLE")
    except ValueError as error:
        raise SourceError(
            f"no image and no table ({error}); expected an FFI, a TESScut cube or a target pixel file. "
            "Check what it is."
        ) from None


def _ffi(path: Path, name: str) -> RawFacts:
    row = header_row(str(path), name)
    if row["problem"]:
        raise SourceError(f"no calibrated FFI: {row['problem']}; expected one of SPOC. Fetch it again.")
    if not name.endswith(_FFI_ENDINGS) or not name_parts(name):
        raise SourceError(
            f"{name}: not the name of an FFI; expected tess…-s0001-1-2-…_ffic.fits or …fits.gz, as the "
            "archive names it: folders of FFIs are read by it. Give it back its name."
        )
    _check_name(name_parts(name), row, name)
    _check_extent(row, name)
    timed = place_in_time(pd.DataFrame([row])).iloc[0]
    start, stop = (_moment(row[key] - row["timecorr"]) for key in ("time_start", "time_stop"))
    number = int(timed["cadenceno"])
    sector, camera, ccd = (int(row[key]) for key in _PLACE)
    known = number if number >= 0 else None
    return RawFacts("ffi", sector, camera, ccd, known, int(row["quality"]), start, stop)


def _check_name(said: dict[str, Any], row: dict[str, Any], name: str) -> None:
    other = {key: row[key] for key in _PLACE if row[key] != said[key]}
    if other:
        raise SourceError(
            f"{name}: its headers say {other}; expected what its name says. Give it back its own name."
        )


def _check_extent(row: dict[str, Any], name: str) -> None:
    rows, columns = row["file_rows"], row["file_columns"]
    if rows > detector.ROWS or columns > detector.COLUMNS:
        raise SourceError(
            f"{name}: its image has {rows}×{columns} pixels; expected at most "
            f"{detector.ROWS}×{detector.COLUMNS}. Send calibrated FFIs of TESS."
        )


def _cutout(path: Path, name: str) -> RawFacts:
    try:
        cube = open_target_pixels(path)
    except SourceError as error:
        raise SourceError(str(error).replace(str(path), name)) from None
    if cube.attrs["mission"] != "TESS" or not cube.sizes["time"]:
        raise SourceError(
            f"{name}: {cube.sizes['time']} cadences of {cube.attrs['mission']}; expected some of TESS. "
            "Open files of other missions by their path."
        )
    # Without a position corrected for the barycentre the two clocks differ by up to 8 minutes.
    corr = np.nan_to_num(cube["timecorr"].values)
    start = _moment(float(cube["time_start"][0] - corr[0]))
    stop = _moment(float(cube["time_stop"][-1] - corr[-1]))
    quality = int(np.bitwise_and.reduce(cube["quality"].values))
    sector = int(cube.attrs["sector"]) or sector_of_name(name) or 0
    number = int(cube["cadenceno"][0]) if cube.sizes["time"] == 1 else None
    kind = "cutout" if cube.attrs["time_place"] == "ccd" else "target_pixels"
    return RawFacts(kind, sector, cube.attrs["camera"], cube.attrs["ccd"], number, quality, start, stop)


def _moment(days: float) -> datetime.datetime | None:
    """Return days of the BTJD scale as a date in UTC; None for what is no date of this mission."""
    if not 0 < days < 1e5:
        return None
    return datetime.datetime.fromisoformat(str(utc_from_btjd(days))).replace(tzinfo=datetime.UTC)
