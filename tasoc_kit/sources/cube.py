"""One way to open pixels: find out what a path holds and open it as a cube."""

from __future__ import annotations

import os
from typing import Any

import xarray as xr

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import file_name, list_files, open_bytes
from tasoc_kit.sources.cards import read_cards
from tasoc_kit.sources.ffi import open_ffi
from tasoc_kit.sources.ffi_header import name_parts
from tasoc_kit.sources.ffi_index import Where
from tasoc_kit.sources.target_pixels import open_target_pixels

__all__ = ["open_cube"]


def open_cube(
    source: Where, sector: int | None = None, camera: int | None = None, ccd: int | None = None
) -> xr.Dataset:
    """
    Open FFIs, a TESScut cube or a target pixel file as a lazy cube.

    Parameters
    ----------
    source
        A folder, glob, file or list of FFIs; the parquet index of some; a TESScut cube, also in a
        zip; a target pixel file. Paths or URLs.
    sector, camera, ccd
        Needed where the source holds more than one unit.

    Raises
    ------
    SourceError
        If there is no such place, or nothing there is one of these.
    """
    unit: dict[str, Any] = {"sector": sector, "camera": camera, "ccd": ccd}
    if not isinstance(source, str | os.PathLike):
        return open_ffi(source, **unit)
    text = os.fspath(source)
    if text.endswith((".parquet", ".pq")) or name_parts(file_name(text)):
        return open_ffi(text, **unit)
    if text.endswith(".zip"):
        return open_target_pixels(text, sector)
    files = list_files(text)
    if not files:
        raise SourceError.for_file(
            text, "there is no FITS file there", "Give a folder, a file or a URL that exists."
        )
    if len(files) > 1 or any(name_parts(file_name(name)) for name in files):
        return open_ffi(text, **unit)
    return open_target_pixels(files[0], sector) if _has_table(files[0]) else open_ffi(files, **unit)


def _has_table(path: str) -> bool:
    """Return True if the first extension of a FITS file is a table."""
    source = open_bytes(path)
    try:
        _, start = read_cards(source, 0)
        header, _ = read_cards(source, start)
    except ValueError as error:
        raise SourceError.for_file(
            path, f"no FITS file with an image or a table ({error})", "Fetch the file again."
        ) from None
    return header.get("XTENSION") == "BINTABLE"
