"""Stars whose photometry a person chose: a TIC number and a method each, in CSV, parquet or plain text.

CSV and parquet have columns ``tic`` and ``method``; plain text has one star in a line, ``261136679:psf`` or
``TIC 261136679 psf``. What cannot be read is refused, for a star would else be measured as nobody asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit import vocabulary
from tasoc_kit.errors import SourceError
from tasoc_kit.provenance import with_content_id
from tasoc_kit.sources.row_list import TIC, read_rows
from tasoc_kit.sources.star_catalog import NAMES
from tasoc_kit.vocabulary import Method

__all__ = ["read_overrides"]

_COLUMNS = {"tic": NAMES["tic"], "method": ("method",)}
_LINE = re.compile(r"^\s*(?P<tic>.*?\d)\s*[\s:;,]\s*(?P<method>[a-z]+)\s*$", re.IGNORECASE)
_METHODS = {method.name.lower(): method for method in Method}


def read_overrides(source: str | os.PathLike[str] | Iterable[str]) -> xr.Dataset:
    """
    Read which photometry stars are to have.

    Parameters
    ----------
    source
        Path or URL of a ``.csv``, ``.parquet`` or text file; or the lines themselves, ``"TIC:method"``.

    Returns
    -------
    Dataset (override): ``override_tic`` and ``override_method``, in the order of the numbers, each star
    once. Its id is that of this content, whatever the file.

    Raises
    ------
    SourceError
        Naming the line and its value, where one is not a TIC number with one of none, aperture, psf, halo,
        or a star was given another method before.

    Examples
    --------
    >>> read_overrides(["261136679:psf"])["override_method"].values
    array([2], dtype=int8)
    """
    rows = read_rows(source, _COLUMNS, "overrides")
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else "overrides"
    chosen: dict[int, Method] = {}
    for place, tic, method in _pairs(rows, name).itertuples():
        said = rows.at[place, "line"] if "line" in rows else f"{_text(tic)}, {_text(method)}"
        who = f"{name}, {rows.index.name} {place}: {said!r}"
        number, wanted = TIC.match(_text(tic)), _METHODS.get(_text(method).strip().lower())
        if number is None or not int(number.group(1)) or wanted is None:
            raise SourceError(f'{who}; expected "TIC:method" with one of {", ".join(_METHODS)}. Correct it.')
        before = chosen.setdefault(int(number.group(1)), wanted)
        if before is not wanted:
            raise SourceError(
                f"{who}; expected {before.name.lower()}, for star {number.group(1)} was given another method "
                "before. Leave one of the two out."
            )
    tics = sorted(chosen)
    columns = {"override_tic": tics, "override_method": [int(chosen[tic]) for tic in tics]}
    typed = {
        n: ("override", np.asarray(values, vocabulary.VARIABLES[n].dtype)) for n, values in columns.items()
    }
    return with_content_id(vocabulary.label(xr.Dataset(typed)), "overrides")


def _pairs(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return number and method of every row as they were written."""
    if "line" in rows:
        return rows["line"].str.extract(_LINE)
    if not _COLUMNS.keys() <= set(rows):
        problem = f"a list of overrides without tic and method; it has {sorted(map(str, rows))[:12]}"
        raise SourceError.for_file(name, problem, "Name the columns tic, method.")
    return rows[list(_COLUMNS)]


def _text(value: object) -> str:
    return "" if pd.isna(value) else str(value)
