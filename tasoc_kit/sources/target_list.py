"""A person's list of targets: TIC numbers, positions or both, in CSV, parquet or plain text.

CSV and parquet have columns ``tic``, ``ra`` and ``dec``, ``tmag``, ``priority`` under any of their usual
names, at least the number or the position. Plain text has one target in a line, ``TIC 261136679``,
``261136679`` or ``84.2912 -80.4691``; ``#`` begins a comment. Positions are degrees, or hours and degrees
with colons, as they were at the time of the frames. No row is dropped: what cannot be read is told with
the product.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit import vocabulary
from tasoc_kit.errors import SourceError
from tasoc_kit.provenance import with_content_id
from tasoc_kit.sources.pointings import sky_of_text
from tasoc_kit.sources.row_list import TIC, read_rows
from tasoc_kit.sources.star_catalog import NAMES

__all__ = ["read_targets"]

_NAMES = {name: NAMES[name] for name in ("tic", "ra", "dec", "tmag")} | {"priority": ("priority",)}


def read_targets(
    source: str | os.PathLike[str] | pd.DataFrame | Mapping[str, Any] | Iterable[int | str],
) -> xr.Dataset:
    """
    Read a list of targets.

    Parameters
    ----------
    source
        Path or URL of a ``.csv``, ``.parquet`` or text file; or the targets themselves: a table with the
        columns of such a file, or TIC numbers and texts as a line of a text file holds them.

    Returns
    -------
    Dataset (target), one row each and in their order: ``target_tic`` (0 where there is none), ``target_ra``,
    ``target_dec``, ``target_tmag`` and ``target_priority`` (NaN where there is none).

    Raises
    ------
    SourceError
        If the file cannot be read, or has no column of a target.

    Examples
    --------
    >>> read_targets([261136679, "84.2912 -80.4691"])["target_tic"].values
    array([261136679,         0])
    """
    rows = read_rows(source, _NAMES, "targets")
    if "line" in rows:
        return _as_dataset(_from_lines(rows["line"].tolist()))
    if "tic" not in rows and not {"ra", "dec"} <= set(rows):
        raise SourceError.for_file(
            source if isinstance(source, str | os.PathLike) else "the table",
            f"a list of targets without tic, or ra and dec; it has {sorted(map(str, rows))[:12]}",
            "Name the columns tic, ra, dec, tmag, priority.",
        )
    return _as_dataset(rows.reset_index(drop=True))


def _from_lines(lines: list[str]) -> pd.DataFrame:
    rows = []
    for line in lines:
        tic = TIC.match(line)
        place = None if tic else sky_of_text(line)
        rows.append((tic.group(1) if tic else "", *(place or (np.nan, np.nan))))
    return pd.DataFrame(rows, columns=["tic", "ra", "dec"])


def _angles(column: pd.Series, full_turn: float) -> np.ndarray:
    """Return degrees of numbers, or of texts with colons (hours where a full turn is 24); NaN for others."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    parts = column.astype(str).str.extract(r"^\s*([+-]?)(\d+):(\d+):(\d+\.?\d*)\s*$")
    sign = np.where(parts[0] == "-", -1.0, 1.0)
    units = parts[[1, 2, 3]].astype(float).to_numpy() @ (1.0, 1 / 60, 1 / 3600)
    return np.where(np.isfinite(values), values, sign * units * 360.0 / full_turn)


def _numbers(column: pd.Series) -> np.ndarray:
    """Return TIC numbers of numbers or of texts as ``TIC 123``; 0 for others."""
    texts = column.astype(str).str.extract(TIC)[0]
    return pd.to_numeric(texts, errors="coerce").fillna(0).to_numpy(np.int64)


def _as_dataset(table: pd.DataFrame) -> xr.Dataset:
    count = len(table)
    empty = pd.Series(np.full(count, np.nan))
    ra, dec = _angles(table.get("ra", empty), 24.0), _angles(table.get("dec", empty), 360.0)
    on_sky = (ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90)
    columns: dict[str, Any] = {
        "target_tic": _numbers(table["tic"]) if "tic" in table else np.zeros(count, np.int64),
        "target_ra": np.where(on_sky, ra, np.nan),
        "target_dec": np.where(on_sky, dec, np.nan),
    }
    for name in ("tmag", "priority"):
        values = pd.to_numeric(table.get(name, empty), errors="coerce").to_numpy(np.float64)
        columns[f"target_{name}"] = np.where(np.isfinite(values), values, np.nan)
    typed = {n: ("target", v.astype(vocabulary.VARIABLES[n].dtype)) for n, v in columns.items()}
    return with_content_id(vocabulary.label(xr.Dataset(typed)), "targets")
