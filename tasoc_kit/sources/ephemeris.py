"""Where the spacecraft was: a table of Horizons or a plain CSV of its positions, or a SPICE kernel.

Horizons: target −95 (TESS), table type vectors, CSV format, reference frame ICRF, any of its
units, centred on the Solar System barycentre (``@0``) or on the Earth (``@399``). Plain: a
column ``time`` (BTJD) or ``jd`` (both TDB) and ``x_km, y_km, z_km`` or ``x_au, y_au, z_au`` from the
barycentre; a line ``# origin: earth`` says that they are from the Earth. A binary SPICE kernel (SPK) is
read where the extra ``spice`` is installed.
"""

from __future__ import annotations

import io
import os
import re

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit import vocabulary
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.barycentre import AU, earth_and_sun
from tasoc_kit.numerics.clock import BTJD_ZERO
from tasoc_kit.provenance import with_content_id
from tasoc_kit.sources.byte_source import file_name, read_all
from tasoc_kit.sources.spice import is_kernel, read_kernel

__all__ = ["read_ephemeris"]

_FEWEST = 4
_UNITS = {"AU": AU, "KM": 1.0}
_EXPECTED = (
    "Expected vectors of Horizons in CSV format and ICRF, or the columns time, x_km, y_km, z_km. "
    "Fetch target -95 from Horizons again."
)


def read_ephemeris(path: str | os.PathLike[str], kernel: str | None = None) -> xr.Dataset:
    """
    Read a table of the spacecraft's positions.

    Parameters
    ----------
    path
        Path or URL.
    kernel
        Path of a JPL kernel for the place of the Earth, where the table is centred on it.

    Returns
    -------
    ``spacecraft_x``, ``spacecraft_y`` and ``spacecraft_z`` (time) from the barycentre of the Solar
    System, km, ICRS, in order of ``time`` (BTJD, TDB).

    Raises
    ------
    SourceError
        If the file is no such table, or is in another frame.
    """
    name = os.fspath(path)
    data = read_all(name)
    if is_kernel(data):
        (table, origin), scale = read_kernel(name, data), 1.0
    else:
        text = data.decode("utf-8", errors="replace")
        table, scale, origin = _horizons(name, text) if "$$SOE" in text else _plain(name, text)
    table = table[np.isfinite(table).all(axis=1)]
    table = table[np.unique(table[:, 0], return_index=True)[1]] if len(table) else table
    if len(table) < _FEWEST:
        raise SourceError.for_file(name, f"{len(table)} rows of positions, too few to interpolate", _EXPECTED)
    times, positions = table[:, 0] - BTJD_ZERO, table[:, 1:] * scale
    if origin == "earth":
        positions = positions + earth_and_sun(times, kernel)[0]
    ephemeris = xr.Dataset(
        {column: ("time", place) for column, place in zip(vocabulary.SPACECRAFT, positions.T, strict=True)},
        coords={"time": times},
        attrs={"product": "ephemeris", "source": file_name(name), "origin": origin},
    )
    return with_content_id(vocabulary.label(ephemeris), "ephemeris")


def _fact(text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.IGNORECASE)
    return found.group(1).strip() if found else ""


def _horizons(name: str, text: str) -> tuple[np.ndarray, float, str]:
    """Return (row, JD and position), km of one unit, and the origin."""
    head, _, rest = text.partition("$$SOE")
    body = rest.partition("$$EOE")[0]
    units = _fact(head, r"Output units\s*:\s*([A-Z]+)").upper()
    centre = _fact(head, r"Center body name:\s*(.*?)\s*(?:\{|$|\n)")
    frame = _fact(head, r"Reference frame\s*:\s*(\S+)") + " " + _fact(head, r"Coordinate syste?m\s*:\s*(.*)")
    origin = {"(0)": "barycentre", "(399)": "earth"}.get(_fact(centre + " ", r"(\(-?\d+\))"), "")
    if "ICRF" not in frame.upper() or "ECLIPTIC" in frame.upper() or units not in _UNITS or not origin:
        raise SourceError.for_file(
            name, f"an ephemeris in the frame {frame.strip()!r}, from {centre!r}, in {units!r}", _EXPECTED
        )
    rows = [line.split(",") for line in body.splitlines() if re.match(r"\s*\d{7}\.", line)]
    return _numbers(name, pd.DataFrame(rows)[[0, 2, 3, 4]] if rows else pd.DataFrame()), _UNITS[units], origin


def _plain(name: str, text: str) -> tuple[np.ndarray, float, str]:
    """Return (row, JD and position), km of one unit, and the origin."""
    try:
        table = pd.read_csv(io.StringIO(text), comment="#", skipinitialspace=True)
    except ValueError as error:
        raise SourceError.for_file(name, f"no ephemeris ({error})", _EXPECTED) from None
    table.columns = [str(column).strip().lower() for column in table.columns]
    time = next((column for column in ("time", "btjd", "jd", "jdtdb") if column in table), None)
    unit = next((u for u in ("km", "au") if {f"{axis}_{u}" for axis in "xyz"} <= set(table.columns)), None)
    if time is None or unit is None:
        raise SourceError.for_file(
            name, f"no ephemeris: it has the columns {list(table.columns)[:12]}", _EXPECTED
        )
    origin = _fact(text, r"#\s*origin:\s*(\w+)").lower() or "barycentre"
    if origin not in ("barycentre", "barycenter", "earth"):
        raise SourceError.for_file(name, f"positions from {origin!r}, not barycentre or earth", _EXPECTED)
    numbers = _numbers(name, table[[time, *(f"{axis}_{unit}" for axis in "xyz")]])
    numbers[:, 0] += BTJD_ZERO if time in ("time", "btjd") else 0.0
    return numbers, _UNITS[unit.upper()], "earth" if origin == "earth" else "barycentre"


def _numbers(name: str, table: pd.DataFrame) -> np.ndarray:
    try:
        return table.to_numpy(dtype=np.float64)
    except ValueError as error:
        raise SourceError.for_file(
            name, f"an ephemeris with what is no number ({error})", _EXPECTED
        ) from None
