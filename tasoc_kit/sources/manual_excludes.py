"""Frames, and parts of frames, that a person found to be spoiled: a table, packaged or one's own."""

from __future__ import annotations

import io
import os
from importlib.resources import files

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.detector import COLUMNS, ROWS
from tasoc_kit.provenance import with_content_id
from tasoc_kit.sources.byte_source import read_all

__all__ = ["read_manual_excludes"]

_UNIT = ("sector", "camera", "ccd")
_LIMITS = {
    "first_cadenceno": 0,
    "last_cadenceno": np.iinfo(np.int32).max,
    "first_row": 0,
    "last_row": ROWS - 1,
    "first_column": 0,
    "last_column": COLUMNS - 1,
}
"""Columns that may be empty, and what an empty field means."""


def read_manual_excludes(path: str | os.PathLike[str] | None = None) -> xr.Dataset:
    """
    Read a table of manual excludes.

    Parameters
    ----------
    path
        CSV with the columns of ``manual_excludes.csv`` beside this module, which is read by default:
        sector, camera, ccd, first and last cadenceno, row and column, reason.

    Returns
    -------
    Dataset (exclude); 0 in ``sector``, ``camera`` or ``ccd`` stands for all of them.

    Raises
    ------
    SourceError
        If a column is missing, or a row is none that can be.
    """
    packaged = files("tasoc_kit.sources") / "manual_excludes.csv"
    name = "manual_excludes.csv" if path is None else os.fspath(path)
    text = packaged.read_text() if path is None else read_all(name).decode("utf-8", errors="replace")
    wanted = (*_UNIT, *_LIMITS, "reason")
    expected = f"Expected CSV with the columns {', '.join(wanted)}. Correct the table."
    try:
        table = pd.read_csv(io.StringIO(text), comment="#", skipinitialspace=True, dtype={"reason": object})
        missing = [column for column in wanted if column not in table]
        if missing:
            raise ValueError(f"it has no {missing}")
        defaults = dict.fromkeys(_UNIT, 0) | _LIMITS
        numbers = {n: pd.to_numeric(table[n]).fillna(d).to_numpy(np.int32) for n, d in defaults.items()}
    except ValueError as error:
        raise SourceError.for_file(name, f"no table of manual excludes ({error})", expected) from None
    for place in ("cadenceno", "row", "column"):
        turned = np.flatnonzero(numbers[f"first_{place}"] > numbers[f"last_{place}"])
        if turned.size:
            first, last = (numbers[f"{end}_{place}"][turned[0]] for end in ("first", "last"))
            problem = f"row {turned[0] + 1}: {place} from {first} to {last}"
            raise SourceError.for_file(name, problem, expected)
    variables = {key: ("exclude", values) for key, values in numbers.items()}
    reasons = ("exclude", table["reason"].fillna("").to_numpy(dtype=np.str_))
    return with_content_id(xr.Dataset(variables | {"reason": reasons}), "manual_excludes")
