"""What the headers of one SPOC FFI say: times, quality, plate solution, where the pixels are.

A frame that cannot be used still gives a row: everything that is known about it, and in
``problem`` the reason. Layout: TESS Science Data Products Description Document, section 5.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from astropy.io import fits

from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.clock import DAY, btjd_from_name_stamp
from tasoc_kit.numerics.geometry import usable_solution
from tasoc_kit.sources.byte_source import ByteSource, file_name, open_bytes

__all__ = ["COLUMNS", "header_row", "name_parts", "read_header", "wcs_text"]

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
    "checksum": "",
    "problem": "",
}
"""Columns of an index, each with the value that means *not known*."""

_NAME = re.compile(r"tess(\d{13})-s(\d{4})-([1-4])-([1-4])-\d{4}-\w_ffi")
_BLOCK = 2880
_FIRST_READ = 10 * _BLOCK
_LONGEST_HEADER = 400 * _BLOCK
_WCS_CARD = re.compile(
    r"(WCSAXES|CTYPE[12]|CUNIT[12]|CRVAL[12]|CRPIX[12]|CDELT[12]|CD[12]_[12]|PC[12]_[12]|LONPOLE|LATPOLE"
    r"|RADESYS|EQUINOX|[AB]P?_ORDER|[AB]P?_\d_\d|[AB]_DMAX)$"
)


def name_parts(name: str) -> dict[str, Any]:
    """Return sector, camera, ccd and the stamp of the start of an FFI's file name; {} for other names."""
    match = _NAME.search(name)
    if match is None:
        return {}
    stamp, sector, camera, ccd = match.groups()
    return {"stamp": stamp, "sector": int(sector), "camera": int(camera), "ccd": int(ccd)}


def read_header(source: ByteSource, start: int, first: int = _FIRST_READ) -> tuple[fits.Header, int]:
    """
    Return the header that begins at byte ``start``, and the first byte after it.

    Raises
    ------
    ValueError
        If there are no bytes, they are no FITS cards, or the header never ends.
    """
    block, length = b"", first
    while True:
        block += source.read(start + len(block), length)
        if not block:
            raise ValueError("there is no header" if start else "the file is empty")
        if not block.startswith((b"SIMPLE  =", b"XTENSION=")):
            raise ValueError(f"no FITS header; it begins with {block[:20]!r}")
        end = _end_of_header(block)
        if end:
            return fits.Header.fromstring(block[:end]), start + end
        if len(block) % _BLOCK or len(block) > _LONGEST_HEADER:
            raise ValueError(f"the header breaks off after {len(block)} bytes")
        length = _FIRST_READ


def _end_of_header(block: bytes) -> int:
    for stop in range(_BLOCK, len(block) + 1, _BLOCK):
        last = block[stop - _BLOCK : stop]
        if any(last[i : i + 8] == b"END     " for i in range(0, _BLOCK, 80)):
            return stop
    return 0


def wcs_text(header: fits.Header) -> str:
    """Return the cards of the plate solution as FITS header text, one per line and without comments."""
    return "\n".join(
        card.image.split(" /", 1)[0].rstrip() for card in header.cards if _WCS_CARD.match(card.keyword)
    )


def _image_shape(header: fits.Header) -> tuple[int, int]:
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


def _image_facts(header: fits.Header, offset: int) -> dict[str, Any]:
    """Return times, quality and place of the image HDU."""
    start, stop = float(header["TSTART"]), float(header["TSTOP"])
    rows, columns = _image_shape(header)
    step = float(header.get("TIMEDEL") or stop - start) * DAY
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


def _solution(header: fits.Header, rows: int, columns: int) -> dict[str, str]:
    text = wcs_text(header)
    if "CRVAL1" not in text:
        return {"wcs": "", "wcs_problem": "no plate solution in the header"}
    if not usable_solution(text, rows, columns):
        return {"wcs": "", "wcs_problem": "the plate solution does not map the frame to the sky and back"}
    return {"wcs": text, "wcs_problem": ""}


def _uncertainty_facts(source: ByteSource, start: int) -> dict[str, Any]:
    try:
        header, offset = read_header(source, start, _BLOCK * 6)
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
    primary, start = read_header(source, 0)
    row["data_rel"] = int(primary.get("DATA_REL") or 0)
    row["sector"] = int(primary.get("SECTOR") or row["sector"])
    if primary.get("FFIINDEX") is not None:
        row["cadenceno"] = int(primary["FFIINDEX"])
    try:
        header, offset = read_header(source, start)
    except ValueError as error:
        raise ValueError(f"no image HDU ({error})") from None
    if header.get("FFIINDEX") is not None:
        row["cadenceno"] = int(header["FFIINDEX"])
    row.update(_image_facts(header, offset))
    bytes_of_image = 4 * row["file_rows"] * row["file_columns"]
    last = offset + bytes_of_image
    if 0 <= row["size"] < last:
        raise ValueError(f"truncated: it has {row['size']} bytes, the image ends at byte {last}")
    if row["size"] < 0 and not source.read(last - 1, 1):
        raise ValueError(f"truncated: the image should end at byte {last}")
    row.update(_uncertainty_facts(source, offset + -(-bytes_of_image // _BLOCK) * _BLOCK))


def header_row(url: str) -> dict[str, Any]:
    """
    Return the index row of one FFI.

    Whatever is wrong with the file is told in ``problem``; where its name is a SPOC name, the
    sector, camera, CCD and the approximate start of the exposure are known all the same.
    """
    row = COLUMNS | {"file": url, "name": file_name(url)}
    row.update(_facts_of_name(row["name"]))
    try:
        _read_facts(open_bytes(url), row)
    except KeyError as error:
        row["problem"] = f"no {error.args[0]}"
    except (ValueError, TypeError) as error:
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
