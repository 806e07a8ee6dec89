"""Whether bytes are a whole FITS file, told by its own declarations before anything else opens it."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import open_bytes
from tasoc_kit.sources.cards import BLOCK, Cards, read_cards

__all__ = ["FITS_START", "GZIP_START", "check_units", "kind_of_bytes", "unpack"]

FITS_START = b"SIMPLE  ="
GZIP_START = b"\x1f\x8b"

_KNOWN_STARTS = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PAR1", "a parquet file"),
)
_CHUNK = 2**20
_MOST_UNITS = 64
_MOST_NUMBERED = 999
"""Axes, and columns of a table, that the standard allows."""


def kind_of_bytes(start: bytes) -> str:
    """Return in words what a file is whose first bytes these are; empty for FITS, plain or compressed."""
    if start.startswith((FITS_START, GZIP_START)):
        return ""
    for known, words in _KNOWN_STARTS:
        if start.startswith(known):
            return words
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text.startswith((b"<?xml", b"{", b"[")):
        return "XML or JSON"
    if not start:
        return "empty"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return f"text that begins with {start[:20].decode('ascii')!r}"
    return f"bytes that begin with {start[:8]!r}"


def unpack(path: Path, to: Path, most_bytes: int) -> None:
    """
    Write the content of a gzip file to another, held against the checksum in it.

    Raises
    ------
    SourceError
        If it is damaged, ends early, or holds more than it may.
    OSError
        If the disk does not take it.
    """
    come = 0
    with gzip.open(path, "rb") as packed, to.open("wb") as out:
        while True:
            try:
                data = packed.read(_CHUNK)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise SourceError(
                    f"damaged gzip data ({error}); expected a whole file. Fetch it again."
                ) from None
            if not data:
                return
            come += len(data)
            if come > most_bytes:
                raise SourceError(
                    f"it unpacks to more than {most_bytes} bytes; expected less. Send it in parts."
                )
            out.write(data)


def check_units(path: Path) -> None:
    """
    Refuse a plain FITS file that is shorter or longer than its headers declare.

    Raises
    ------
    SourceError
        With the bytes that it has and those that it should have.
    """
    source, at, number = open_bytes(path), 0, 0
    size = source.size()
    while at < size:
        if number >= _MOST_UNITS:
            raise SourceError(f"it has more than {_MOST_UNITS} HDUs; expected a TESS file. Check what it is.")
        try:
            header, start = read_cards(source, at)
            length = _data_bytes(header)
        except (ValueError, TypeError, OverflowError) as error:
            raise SourceError(
                f"HDU {number} at byte {at} of {size} cannot be read: {error}; expected a FITS header there. "
                "Fetch the file again."
            ) from None
        if start + length > size:
            raise SourceError(
                f"truncated: it has {size} bytes, HDU {number} ends at byte {start + length}; "
                "expected all of it. Fetch the file again."
            )
        at = start + -(-length // BLOCK) * BLOCK
        number += 1


def _data_bytes(header: Cards) -> int:
    """Return the bytes of the data of an HDU (FITS standard 4.0, section 4.4.1.1)."""
    numbers = {"NAXIS": int(header["NAXIS"]), "TFIELDS": int(header.get("TFIELDS", 0))}
    if not all(0 <= number <= _MOST_NUMBERED for number in numbers.values()):
        raise ValueError(f"{numbers} are out of bounds")
    axes = [int(header[f"NAXIS{k + 1}"]) for k in range(numbers["NAXIS"])]
    if not axes:
        return 0
    groups, parameters = int(header.get("GCOUNT", 1)), int(header.get("PCOUNT", 0))
    length = abs(int(header["BITPIX"])) // 8 * groups * (parameters + prod(axes))
    if length < 0:
        raise ValueError(f"its axes are {axes[:4]}")
    return length
