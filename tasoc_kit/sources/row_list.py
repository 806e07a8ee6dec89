"""Lists that people keep, in CSV, parquet or plain text, with the place of every row."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow
from pyarrow import parquet

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import read_all

__all__ = ["TIC", "read_rows"]

TIC = re.compile(r"\s*(?:TIC[\s-]*)?(\d+)(?:\.0*)?\s*$", re.IGNORECASE)
"""How a TIC number may be written."""


def read_rows(
    source: str | os.PathLike[str] | pd.DataFrame | Mapping[str, Any] | Iterable[int | str],
    names: Mapping[str, Sequence[str]],
    what: str,
) -> pd.DataFrame:
    """
    Read a list.

    Parameters
    ----------
    source
        Path or URL of a ``.csv``, ``.parquet`` or text file, in which ``#`` begins a comment; a table with
        the columns of such a file; or the rows themselves, as lines of a text file.
    names
        Columns of a table by our name, each under any of its usual names.
    what
        What the list is of, for the errors.

    Returns
    -------
    The columns, those in ``names`` by our name; of plain text one column, ``line``. The index counts as the
    list does, and says in its name what: lines of a file, rows of a parquet table, entries.

    Raises
    ------
    SourceError
        If the file cannot be read, or is empty.
    """
    if isinstance(source, pd.DataFrame | Mapping):
        return _numbered(_by_our_names(pd.DataFrame(source), names), "row")
    if not isinstance(source, str | os.PathLike):
        return _numbered(pd.DataFrame({"line": [str(row) for row in source]}), "entry")
    name = os.fspath(source)
    content = read_all(name)
    if name.endswith((".parquet", ".pq")):
        return _numbered(_by_our_names(_read_parquet(name, content), names), "row")
    stripped = [line.partition("#")[0].strip() for line in content.decode("utf-8", "replace").splitlines()]
    numbers = [number for number, line in enumerate(stripped, 1) if line]
    if not numbers:
        raise SourceError.for_file(name, f"an empty list of {what}", "Write one in a line.")
    lines = [stripped[number - 1] for number in numbers]
    known = {alias for aliases in names.values() for alias in aliases}
    if known.isdisjoint(word.strip(' "').lower() for word in lines[0].split(",")):
        return pd.DataFrame({"line": lines}, index=pd.Index(numbers, name="line"))
    try:
        table = pd.read_csv(io.BytesIO(content), comment="#", dtype=str, skipinitialspace=True)
    except pd.errors.ParserError as error:
        problem = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise SourceError.for_file(name, f"no table ({problem})", "Correct the line.") from None
    table.index = pd.Index(numbers[1 : len(table) + 1], name="line")
    return _by_our_names(table, names)


def _numbered(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    return rows.set_axis(pd.RangeIndex(1, len(rows) + 1, name=by))


def _read_parquet(name: str, content: bytes) -> pd.DataFrame:
    try:
        return parquet.read_table(pyarrow.BufferReader(content)).to_pandas()
    except (OSError, pyarrow.ArrowException) as error:
        raise SourceError.for_file(name, f"no parquet file ({error})", "Write the list again.") from None


def _by_our_names(table: pd.DataFrame, names: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the table with the columns that are known by our names, the others as they are."""
    present = {str(column).strip().lower(): column for column in table.columns}
    found = {
        next((present[a] for a in aliases if a in present), None): ours for ours, aliases in names.items()
    }
    return table.rename(columns={theirs: ours for theirs, ours in found.items() if theirs is not None})
