"""TESScut cubes and target pixel files as the same cube that FFIs give.

The pixels of a table stay in their file until they are asked for, where the file is plain and
local; what comes from an archive, a gzip file or a URL is held in memory. Format: Kepler and
TESS target pixel files, columns TIME, TIMECORR, CADENCENO, FLUX, FLUX_ERR, QUALITY, POS_CORR.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import warnings
import zipfile
from dataclasses import dataclass
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from astropy.io import fits

from tasoc_kit import vocabulary
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.clock import BTJD_ZERO, DAY, cadence_number, times_by_number
from tasoc_kit.numerics.time_stamps import StampShift, stamp_shift
from tasoc_kit.provenance import raw_id, raw_record
from tasoc_kit.sources.byte_source import file_name, is_local, list_files, local_path, read_all
from tasoc_kit.sources.cards import Cards
from tasoc_kit.sources.fits_errors import UNREADABLE
from tasoc_kit.vocabulary import KitQuality

__all__ = ["open_target_pixels", "open_target_pixels_by_sector", "sector_of_name"]

_NEEDED = ("TIME", "FLUX")
_CHUNK_BYTES = 8 * 2**20
_SECTOR = re.compile(r"-s(\d{4})-")


@dataclass(frozen=True)
class _Table:
    """The parts of one file that the cube is made of."""

    name: str
    size: int
    hdus: fits.HDUList

    @property
    def header(self) -> fits.Header:
        return self.hdus[1].header

    def value(self, keyword: str, default: Any = None) -> Any:
        """Return a keyword of the table's header, else of the primary one; blank counts as missing."""
        for header in (self.header, self.hdus[0].header):
            found = header.get(keyword)
            if found is not None and found != "" and not isinstance(found, fits.card.Undefined):
                return found
        return default

    def column(self, name: str) -> np.ndarray | None:
        return self.hdus[1].data[name] if name in self.hdus[1].columns.names else None


def _zip_members(path: str, sector: int | None) -> list[str]:
    with zipfile.ZipFile(local_path(path)) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith((".fits", ".fits.gz")))
    return [name for name in names if sector is None or sector_of_name(name) in (None, sector)]


def sector_of_name(name: str) -> int | None:
    """Return the sector that the name of a file tells, or None."""
    found = _SECTOR.search(name)
    return int(found.group(1)) if found else None


def _content(path: str, member: str | None) -> tuple[str, Any, int]:
    """Return name, what astropy opens, and size."""
    if member is not None:
        with zipfile.ZipFile(local_path(path)) as archive:
            data = archive.read(member)
        return file_name(member), io.BytesIO(data), len(data)
    if is_local(path) and not path.endswith(".gz"):
        return file_name(path), local_path(path), local_path(path).stat().st_size
    data = read_all(path)
    return file_name(path), io.BytesIO(data), len(data)


def _refusal(shown: str, problem: object) -> SourceError:
    return SourceError.for_file(
        shown,
        f"no cutout or target pixel file ({problem})",
        "Expected a FITS file with a table of TIME and FLUX. Fetch the file again.",
    )


def _open_cube(path: str, member: str | None) -> xr.Dataset:
    """Return the cube of one file; its pixels stay mapped after the file is closed."""
    shown = f"{path}!{member}" if member else path
    try:
        name, opened, size = _content(path, member)
        hdus = fits.open(opened, memmap=not isinstance(opened, io.BytesIO))
    except FileNotFoundError:
        raise SourceError.for_file(shown, "there is no such file", "Check the path.") from None
    except zipfile.BadZipFile as error:
        raise SourceError.for_file(shown, f"a damaged archive ({error})", "Fetch it again.") from None
    except UNREADABLE as error:
        raise _refusal(shown, error) from error
    with hdus, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="File may have been truncated")
        try:
            _check_table(hdus, shown)
            return _cube(_Table(name, size, hdus))
        except UNREADABLE as error:
            raise _refusal(shown, error) from error


def _check_table(hdus: fits.HDUList, shown: str) -> None:
    if len(hdus) < 2 or not isinstance(hdus[1], fits.BinTableHDU):
        raise _refusal(shown, "its first extension is no table")
    missing = [column for column in _NEEDED if column not in hdus[1].columns.names]
    if missing:
        raise _refusal(shown, f"its table has no {', '.join(missing)}")
    np.isfinite(hdus[1].data["TIME"]).any()
    if hdus[1].data["FLUX"].ndim != 3:
        raise _refusal(shown, f"its FLUX has the shape {hdus[1].data['FLUX'].shape}")


def _origin(table: _Table) -> tuple[int, int]:
    """Return the labels of the lower left pixel."""
    number = table.hdus[1].columns.names.index("FLUX") + 1
    place = []
    for axis in (2, 1):
        value = table.value(f"{axis}CRV{number}P", 1)
        pixel = table.value(f"{axis}CRP{number}P", 1)
        place.append(round(float(value)) - round(float(pixel)))
    return place[0], place[1]


def _full_frame_wcs(table: _Table, row: int, column: int) -> str:
    """Return the plate solution of the aperture image, counted on the full frame."""
    if len(table.hdus) < 3 or "CRVAL1" not in table.hdus[2].header:
        return ""
    header = table.hdus[2].header.copy()
    header["CRPIX1"] = float(header["CRPIX1"]) + column
    header["CRPIX2"] = float(header["CRPIX2"]) + row
    return Cards(header.tostring()).wcs_text()


def _native(values: np.ndarray | None, dtype: str, length: int) -> np.ndarray:
    return np.zeros(length, dtype) if values is None else np.ascontiguousarray(values, dtype=dtype)


def _times(table: _Table, cadenceno: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mid-times in BTJD and where the file has none; these are filled in by cadence number."""
    times = np.array(table.column("TIME"), dtype=np.float64) + _reference(table)
    return times_by_number(times, cadenceno), ~np.isfinite(times)


def _reference(table: _Table) -> float:
    """Return what is added to a time of the table to make it BTJD."""
    return float(table.value("BJDREFI", BTJD_ZERO)) + float(table.value("BJDREFF", 0.0)) - BTJD_ZERO


def _numbers(table: _Table, step: float) -> np.ndarray:
    """Return the cadence numbers: the table's, else counted from the header's first one, else the law's."""
    given = _native(table.column("CADENCENO"), "int32", len(table.hdus[1].data))
    if given.any() or not given.size:
        return given
    corr = _native(table.column("TIMECORR"), "float64", given.size)
    middle = np.asarray(table.column("TIME"), np.float64) + _reference(table) - corr
    first = table.value("FFIINDEX")
    if first is None:
        return cadence_number(np.nan_to_num(middle), step)
    counted = np.rint((middle - np.nanmin(middle)) * DAY / step) + int(first)
    return np.nan_to_num(counted).astype(np.int32)


def _pixels(table: _Table, column: str) -> xr.Variable:
    values = table.column(column)
    frame_bytes = max(4, 4 * int(np.prod(values.shape[1:])))
    block = max(1, min(len(values) or 1, _CHUNK_BYTES // frame_bytes))
    lazy = da.from_array(values, chunks=(block, -1, -1), name=False, asarray=False)
    return xr.Variable(("time", "row", "column"), lazy.astype(np.float32))


def _unit(table: _Table) -> dict[str, Any]:
    """Return mission, sector, camera and CCD; for Kepler the quarter or campaign, module and output."""
    mission = str(table.value("MISSION") or table.value("TELESCOP") or "TESS").split()[0]
    if mission in ("Kepler", "K2"):
        names = ("QUARTER" if mission == "Kepler" else "CAMPAIGN", "MODULE", "OUTPUT")
    else:
        names = ("SECTOR", "CAMERA", "CCD")
    values = [table.value(name) for name in names]
    if values[0] is None:
        values[0] = sector_of_name(table.name)
    unit = dict(zip(("sector", "camera", "ccd"), (int(v or 0) for v in values), strict=True))
    return {"mission": mission} | unit


def _target(table: _Table) -> dict[str, Any]:
    known = {"object": "OBJECT", "tic": "TICID", "ra": "RA_OBJ", "dec": "DEC_OBJ", "tmag": "TESSMAG"}
    return {name: value for name, key in known.items() if (value := table.value(key)) is not None}


def _attributes(table: _Table, row: int, column: int, step: float) -> dict[str, Any]:
    checksum = str(table.value("CHECKSUM", "")) or _sha256(table)
    files = [(table.name, table.size, checksum)]
    identity = raw_id(files)
    return {
        "product": "cube",
        "source": "target_pixels",
        **_unit(table),
        "field": f"r{row:04d}c{column:04d}",
        "exposure": round(float(table.value("DEADC", 0.792)) * step, 4),
        "cadence": round(step, 2),
        "duplicates": 0,
        "unreadable": 0,
        "excluded": 0,
        "background_subtracted": int(bool(table.value("BACKAPP", False))),
        "time_place": "ccd" if _is_cutout(table) else "target",
        **_target(table),
        "provenance_id": identity,
        "provenance": json.dumps({identity: raw_record(files)}, sort_keys=True, separators=(",", ":")),
    }


def _is_cutout(table: _Table) -> bool:
    """Tell a cutout of FFIs, whose times are those of the CCD centre, from a target pixel file."""
    return "astrocut" in str(table.value("CREATOR", "")).lower() or table.column("FFI_FILE") is not None


def _stamp_shift(table: _Table) -> StampShift:
    unit, release = _unit(table), int(table.value("DATA_REL", 0))
    if unit["mission"] != "TESS":
        return StampShift(0.0, 0.0, 0.0, "as stated")
    product: Literal["cutout", "target"] = "cutout" if _is_cutout(table) else "target"
    procver = str(table.value("PROCVER", ""))
    return stamp_shift(release, procver, unit["camera"], unit["ccd"], product)


def _sha256(table: _Table) -> str:
    return hashlib.sha256(np.ascontiguousarray(table.hdus[1].data).tobytes()).hexdigest()


def _cube(table: _Table) -> xr.Dataset:
    length = len(table.hdus[1].data)
    step = float(table.value("TIMEDEL", 1800.0 / DAY)) * DAY
    cadenceno = _numbers(table, step)
    times, missing = _times(table, cadenceno)
    row, column = _origin(table)
    rows, columns = table.column("FLUX").shape[1:]
    shift = _stamp_shift(table)
    half = 0.5 * step / DAY
    wcs = _full_frame_wcs(table, row, column)
    nothing = np.full(length, -1)
    flags = missing * int(KitQuality.NO_DATA) | (0 if wcs else int(KitQuality.NO_WCS))
    coords: dict[str, Any] = {
        "time": times + shift.middle / DAY,
        "row": np.arange(row, row + rows, dtype=np.int32),
        "column": np.arange(column, column + columns, dtype=np.int32),
        "time_start": ("time", times - half + shift.start / DAY),
        "time_stop": ("time", times + half + shift.stop / DAY),
        "timecorr": ("time", _native(table.column("TIMECORR"), "float64", length)),
        "cadenceno": ("time", cadenceno),
        "quality": ("time", _native(table.column("QUALITY"), "int32", length)),
        "frame_quality": ("time", flags.astype(np.int32)),
        "file": ("time", np.full(length, table.name, dtype=object)),
        "file_offset": ("time", nothing.astype(np.int64)),
        "err_offset": ("time", nothing.astype(np.int64)),
        "file_rows": ("time", np.full(length, rows, np.int32)),
        "file_columns": ("time", np.full(length, columns, np.int32)),
        "wcs": ("time", np.full(length, wcs, dtype=object)),
    }
    for axis, name in enumerate(("pos_corr_column", "pos_corr_row"), start=1):
        motion = table.column(f"POS_CORR{axis}")
        if motion is not None and np.any(np.nan_to_num(motion)):
            coords[name] = ("time", _native(motion, "float64", length))
    pixels = {"flux": _pixels(table, "FLUX")}
    if table.column("FLUX_ERR") is not None:
        pixels["flux_err"] = _pixels(table, "FLUX_ERR")
    told = {"time_shift": shift.middle, "time_stamps": shift.reason}
    told |= {"data_rel": int(table.value("DATA_REL", 0)), "procver": str(table.value("PROCVER", ""))}
    told["cosmic_block"] = int(table.value("CRBLKSZ", -1)) if table.value("CRMITEN", True) else 0
    told["cosmic_cleaned"] = int(table.value("CRSPOC", 0))
    cube = xr.Dataset(pixels, coords, _attributes(table, row, column, step) | told)
    usable = np.isfinite(cube["time"].values)
    if not usable.all():
        cube = cube.isel(time=usable).assign_attrs(excluded=int((~usable).sum()))
    return vocabulary.label(cube.sortby("time") if np.any(np.diff(cube["time"]) < 0) else cube)


def open_target_pixels(path: str | os.PathLike[str], sector: int | None = None) -> xr.Dataset:
    """
    Open one TESScut cube or target pixel file as a cube.

    Parameters
    ----------
    path
        A ``.fits`` or ``.fits.gz`` file, or a zip of them as TESScut sends it; path or URL.
    sector
        Which file of a zip; needed where it holds more than one.

    Returns
    -------
    The cube that FFIs give, with labels of the full frame. Times are BTJD, also for Kepler, without
    the known errors of early data releases (attrs ``time_shift``, seconds). Where
    the table has no cadence numbers they follow the law of the early sectors. ``pos_corr_row`` and
    ``pos_corr_column`` are there where the file holds any. A cadence without a time keeps its place
    by its number and has the bit NO_DATA.

    Raises
    ------
    SourceError
        If the file cannot be read as one of these, or the sector is not in the archive.
    """
    text = os.fspath(path)
    if not text.endswith(".zip"):
        cube = _open_cube(text, None)
        if sector is not None and cube.attrs["sector"] != sector:
            raise SourceError.for_file(
                text, f"it is of sector {cube.attrs['sector']}, not {sector}", "Correct the sector."
            )
        return cube
    members = _members(text, sector)
    if len(members) != 1:
        sectors = sorted({sector_of_name(name) or 0 for name in _members(text, None)})
        raise SourceError.for_file(
            text, f"it holds the sectors {sectors}; asked for: {sector}", "Give one of these as sector."
        )
    return _open_cube(text, members[0])


def _members(path: str, sector: int | None) -> list[str]:
    try:
        return _zip_members(path, sector)
    except FileNotFoundError:
        raise SourceError.for_file(path, "there is no such file", "Check the path.") from None
    except zipfile.BadZipFile as error:
        raise SourceError.for_file(path, f"a damaged archive ({error})", "Fetch it again.") from None


def open_target_pixels_by_sector(path: str | os.PathLike[str]) -> dict[int, xr.Dataset]:
    """Open every file of a zip or folder; the cubes by sector, in order of sector."""
    text = os.fspath(path)
    if text.endswith(".zip"):
        cubes = [_open_cube(text, member) for member in _members(text, None)]
    else:
        cubes = [_open_cube(name, None) for name in list_files(text)]
    return {cube.attrs["sector"]: cube for cube in sorted(cubes, key=lambda c: c.attrs["sector"])}
