"""What the headers of one SPOC FFI say: times, quality, plate solution, where the pixels are.

A frame that cannot be used still gives a row: everything that is known about it, and in
``problem`` the reason. Layout: TESS Science Data Products Description Document, section 5.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.clock import DAY, btjd_from_name_stamp
from tasoc_kit.sources.byte_source import ByteSource, file_name, open_bytes
from tasoc_kit.sources.cards import BLOCK, Cards, read_cards

__all__ = ["COLUMNS", "header_row", "name_parts", "time_of_name"]

COLUMNS: dict[str, Any] = {
    "file": "",
    "name": "",
    "size": -1,
    "sector": 0,
    "camera": 0,
    "ccd": 0,
    "time_start": np.nan,
    "time_stop": np.nan,
    "timecorr": np.nan,
    "exposure": np.nan,
    "cadence": np.nan,
    "cadenceno": -1,
    "quality": 0,
    "file_offset": -1,
    "file_rows": -1,
    "file_columns": -1,
    "err_offset": -1,
    "err_rows": -1,
    "err_columns": -1,
    "wcs": "",
    "wcs_problem": "",
    "data_rel": 0,
    "procver": "",
    "cosmic_block": -1,
    "cosmic_cleaned": 0,
    "checksum": "",
    "problem": "",
}
"""Columns of an index, each with the value that means *not known*."""

_NAME = re.compile(r"tess(\d{13})-s(\d{4})-([1-4])-([1-4])-\d{4}-\w_ffi")


def name_parts(name: str) -> dict[str, Any]:
    """Return sector, camera, ccd and the stamp of the start of an FFI's file name; {} for other names."""
    match = _NAME.search(name)
    if match is None:
        return {}
    stamp, sector, camera, ccd = match.groups()
    return {"stamp": stamp, "sector": int(sector), "camera": int(camera), "ccd": int(ccd)}


def _image_shape(header: Cards) -> tuple[int, int]:
    if header.get("NAXIS") != 2:
        raise ValueError(f"the image has NAXIS={header.get('NAXIS')}, not 2")
    if header["BITPIX"] != -32:
        raise ValueError(
            f"the image has BITPIX={header['BITPIX']}, not −32 (calibrated electrons per second)"
        )
    place = [header.get(f"CRVAL{k}P", 1) - header.get(f"CRPIX{k}P", 1) for k in (1, 2)]
    if any(place):
        raise ValueError(f"the image begins at CCD column and row {place}, not in the lower left corner")
    return int(header["NAXIS2"]), int(header["NAXIS1"])


def _image_facts(header: Cards, offset: int) -> dict[str, Any]:
    """Return times, quality and place of the image HDU."""
    start, stop = float(header["TSTART"]), float(header["TSTOP"])
    rows, columns = _image_shape(header)
    step = float(header.get("TIMEDEL", stop - start)) * DAY
    return {
        "camera": int(header["CAMERA"]),
        "ccd": int(header["CCD"]),
        "time_start": start,
        "time_stop": stop,
        "timecorr": float(header["BARYCORR"]),
        "exposure": float(header["EXPOSURE"]) * DAY,
        "cadence": float(round(step)),
        "quality": int(header.get("DQUALITY", 0)),
        "file_offset": offset,
        "file_rows": rows,
        "file_columns": columns,
        "checksum": str(header.get("CHECKSUM", "")),
    } | _solution(header, rows, columns)


def _solution(header: Cards, rows: int, columns: int) -> dict[str, str]:
    # Numba comes with the geometry: 60 MB and a second that opening a ready index need not pay.
    from tasoc_kit.numerics.geometry import usable_solution

    text = header.wcs_text()
    if "CRVAL1" not in text:
        return {"wcs": "", "wcs_problem": "no plate solution in the header"}
    if not usable_solution(text, rows, columns):
        return {"wcs": "", "wcs_problem": "the plate solution does not map the frame to the sky and back"}
    return {"wcs": text, "wcs_problem": ""}


def _uncertainty_facts(source: ByteSource, start: int) -> dict[str, Any]:
    try:
        header, offset = read_cards(source, start, 6 * BLOCK)
    except ValueError:
        return {}
    if header.get("XTENSION") != "IMAGE" or header.get("NAXIS") != 2 or header.get("BITPIX") != -32:
        return {}
    rows, columns = int(header["NAXIS2"]), int(header["NAXIS1"])
    size = source.size()
    if 0 <= size < offset + 4 * rows * columns:
        return {}
    return {"err_offset": offset, "err_rows": rows, "err_columns": columns}


def _read_facts(source: ByteSource, row: dict[str, Any]) -> None:
    """Fill the row as far as the file can be understood; ValueError says where it cannot."""
    row["size"] = source.size()
    primary, start = read_cards(source, 0)
    row["data_rel"] = int(primary.get("DATA_REL", 0))
    row["procver"] = str(primary.get("PROCVER", ""))
    row["cosmic_block"] = int(primary.get("CRBLKSZ", -1)) if primary.get("CRMITEN", True) else 0
    row["cosmic_cleaned"] = int(primary.get("CRSPOC", 0))
    row["sector"] = int(primary.get("SECTOR", row["sector"]))
    row["cadenceno"] = int(primary.get("FFIINDEX", -1))
    try:
        header, offset = read_cards(source, start)
    except ValueError as error:
        raise ValueError(f"no image HDU ({error})") from None
    row["cadenceno"] = int(header.get("FFIINDEX", row["cadenceno"]))
    row.update(_image_facts(header, offset))
    length = 4 * row["file_rows"] * row["file_columns"]
    if 0 <= row["size"] < offset + length:
        raise ValueError(f"truncated: it has {row['size']} bytes, the image ends at byte {offset + length}")
    row.update(_uncertainty_facts(source, offset + -(-length // BLOCK) * BLOCK))
    if row["size"] < 0 and row["err_offset"] < 0 and not source.read(offset + length - 1, 1):
        raise ValueError(f"truncated: the image should end at byte {offset + length}")


def header_row(url: str, name: str | None = None) -> dict[str, Any]:
    """
    Return the index row of one FFI, which may have a name that its place does not tell.

    Whatever is wrong with the file is told in ``problem``; where its name is a SPOC name, the
    sector, camera, CCD and the approximate start of the exposure are known all the same.
    """
    row = COLUMNS | {"file": url, "name": name or file_name(url)}
    row.update(_facts_of_name(row["name"]))
    try:
        _read_facts(open_bytes(url), row)
    except (ValueError, TypeError, OverflowError) as error:
        row["problem"] = str(error)
    except SourceError as error:
        row["problem"] = str(error).removeprefix(f"{url}: ")
    if row["problem"] and np.isnan(row["time_start"]):
        row.update(_facts_of_name(row["name"]))
    return row


def _facts_of_name(name: str) -> dict[str, Any]:
    parts = name_parts(name)
    return {key: parts[key] for key in ("sector", "camera", "ccd") if key in parts}


def time_of_name(name: str) -> float:
    """Return the start of the exposure that the file name states, TJD; NaN for other names."""
    parts = name_parts(name)
    return float(btjd_from_name_stamp([parts["stamp"]])[0]) if parts else float("nan")
