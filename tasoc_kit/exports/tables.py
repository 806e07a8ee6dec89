"""Tables, CSV or parquet: a row for each cadence of each light curve, or for each star's diagnostics."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr
from pyarrow import parquet

from tasoc_kit import database
from tasoc_kit.errors import StoreError
from tasoc_kit.exports.exported_file import exported_file, refuse_to_lose
from tasoc_kit.exports.family import Family, open_family
from tasoc_kit.exports.tasoc_files import LEVEL, wanted_stars
from tasoc_kit.provenance import lineage
from tasoc_kit.storage.units import ProductRef
from tasoc_kit.store import open_ref
from tasoc_kit.vocabulary import VARIABLES, Method, Status

__all__ = ["write_diagnostics", "write_table"]

AT_ONCE = 256
"""Stars in memory, and in a group of rows of a parquet file."""


def write_table(
    ref: ProductRef,
    path: str | os.PathLike[str],
    *,
    tics: Sequence[int] | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """
    Write light curves as a table, and return the number of stars.

    Parameters
    ----------
    ref
        The ``light_curves`` product.
    path
        A ``.csv`` or ``.parquet`` file; also ``.csv.gz``. What the numbers are and where they come from
        stands at the head of the one, and in the metadata of the other.
    tics
        Only these stars; by default all that have a light curve.
    overwrite
        Replace a file that is there.
    progress
        Called with the number of stars done and of all.

    Raises
    ------
    StoreError
        If the ending is another, the file is there, or a star is not on this CCD.
    """
    target = _check_target(path, overwrite)
    family = open_family(ref)
    stars = wanted_stars(family, tics, numbered=False)
    if not stars:
        raise StoreError(f"export: none of the stars of {ref.unit} has a light curve. Choose others.")
    told = {"time": "BTJD = BJD - 2457000, TDB, days, of the star", "flux": "electron / s"}
    _write(target, _tables(family, stars, progress), _facts(family.light_curves) | told)
    return len(stars)


def write_diagnostics(ref: ProductRef, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
    """
    Write diagnostics as a table, a row for each star, and return the number of stars.

    ``status`` and ``method`` are words. How long each notebook ran stands at the head as ``seconds``, as
    far as the database knows; all stars of a CCD are measured at once, so none has a time of its own.

    Parameters
    ----------
    ref
        The ``diagnostics`` product.
    path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file.
    overwrite
        Replace a file that is there.

    Raises
    ------
    StoreError
        If the ending is another, or the file is there.
    """
    target = _check_target(path, overwrite)
    diagnostics = open_ref(ref).load()
    table = pd.DataFrame({n: diagnostics[n].values for n in VARIABLES if n in diagnostics.variables})
    table["status"] = [Status(int(code)).name for code in table["status"]]
    if "method" in table:
        table["method"] = [Method(int(code)).name.lower() for code in table["method"]]
    seconds = database.run_seconds(lineage(diagnostics))
    _write(target, iter([table]), _facts(diagnostics) | ({"seconds": json.dumps(seconds)} if seconds else {}))
    return len(table)


def _check_target(path: str | os.PathLike[str], overwrite: bool) -> Path:
    target = Path(path)
    if not target.name.endswith((".csv", ".csv.gz", ".parquet")):
        raise StoreError(
            f"export: {target.name!r} ends in {target.suffix!r}; expected .csv, .csv.gz or .parquet. "
            "Choose one of these."
        )
    refuse_to_lose(target, overwrite)
    return target


def _write(target: Path, tables: Iterator[pd.DataFrame], facts: dict[str, str]) -> None:
    with exported_file(target) as part:
        if target.suffix == ".parquet":
            _write_parquet(part, tables, facts)
        else:
            _write_csv(part, tables, facts, packed=target.suffix == ".gz")


def _tables(
    family: Family, stars: list[int], progress: Callable[[int, int], None] | None
) -> Iterator[pd.DataFrame]:
    """Yield the rows of some stars after the other."""
    for start in range(0, len(stars), AT_ONCE):
        series = family.read(np.asarray(stars[start : start + AT_ONCE]))
        yield _rows(series)
        if progress:
            progress(min(start + AT_ONCE, len(stars)), len(stars))


def _rows(series: xr.Dataset) -> pd.DataFrame:
    count, length = series.sizes["star"], series.sizes["time"]
    columns: dict[str, Any] = {
        "tic": np.repeat(series["tic"].values, length),
        "time": series["star_time"].values.ravel(),
        "cadenceno": np.tile(series["cadenceno"].values, count),
    }
    for name, variable in series.variables.items():
        if variable.dims == ("star", "time") and name != "star_time":
            columns[str(name)] = variable.values.ravel()
    for name in ("quality", "frame_quality"):
        columns[name] = np.tile(series[name].values, count)
    methods = np.array([Method(int(method)).name.lower() for method in series["method"].values])
    return pd.DataFrame(columns | {"method": np.repeat(methods, length)})


def _facts(product: xr.Dataset) -> dict[str, str]:
    """Return which product the numbers of a table are."""
    return {name: str(product.attrs[name]) for name in ("sector", "camera", "ccd", "provenance_id")}


def _write_csv(path: Path, tables: Iterator[pd.DataFrame], facts: dict[str, str], packed: bool) -> None:
    opened = gzip.open(path, "wt", LEVEL) if packed else path.open("w")
    with opened as file:
        file.writelines(f"# {name}: {value}\n" for name, value in facts.items())
        for number, table in enumerate(tables):
            table.to_csv(file, header=not number, index=False)


def _write_parquet(path: Path, tables: Iterator[pd.DataFrame], facts: dict[str, str]) -> None:
    first = next(tables)
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    units = {name: VARIABLES[name].unit for name in schema.names if name in VARIABLES}
    known = {**facts, "units": json.dumps(units)}
    schema = schema.with_metadata({name.encode(): value.encode() for name, value in known.items()})
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in itertools.chain([first], tables):
            writer.write_table(pa.Table.from_pandas(table, schema, preserve_index=False))
