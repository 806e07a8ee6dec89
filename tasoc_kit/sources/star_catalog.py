"""Star catalogues as Datasets: CSV or parquet, with the column names of the TIC or with ours."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import xarray as xr
from pyarrow import parquet

from tasoc_kit import vocabulary
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.clock import julian_year
from tasoc_kit.numerics.geometry import move_epoch
from tasoc_kit.sources.byte_source import read_all

__all__ = ["NAMES", "at_epoch", "beside_frames", "read_stars"]

NAMES: dict[str, tuple[str, ...]] = {
    "tic": ("tic", "tic id", "ticid", "tic_id", "id"),
    "ra": ("ra", "ra_deg", "raj2000"),
    "dec": ("dec", "dec_deg", "decl", "dej2000"),
    "tmag": ("tmag", "tess mag", "tessmag"),
    "pmra": ("pmra", "pm_ra", "pm ra (mas/yr)"),
    "pmdec": ("pmdec", "pm_dec", "pm dec (mas/yr)"),
    "teff": ("teff", "t_eff"),
}
_NEEDED = ("ra", "dec", "tmag")
_REFUSED = {"ARTIFACT", "DUPLICATE"}
_EPOCH = 2000.0


def _read_table(path: str) -> pd.DataFrame:
    content = read_all(path)
    try:
        if path.endswith((".parquet", ".pq")):
            return parquet.read_table(pyarrow.BufferReader(content)).to_pandas()
        return pd.read_csv(io.BytesIO(content), comment="#", low_memory=False)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise SourceError.for_file(
            path, f"no star catalogue ({error})", "Expected CSV or parquet with ra, dec and tmag."
        ) from None


def _columns(table: pd.DataFrame, path: str) -> dict[str, Any]:
    """Return our columns as numbers, found by any of their usual names."""
    present = {str(name).strip().lower(): name for name in table.columns}
    found = {
        ours: next((present[name] for name in names if name in present), None)
        for ours, names in NAMES.items()
    }
    missing = [name for name in _NEEDED if found[name] is None]
    if missing:
        raise SourceError.for_file(
            path,
            f"a star catalogue without {missing}; it has {sorted(map(str, table.columns))[:12]}",
            "Expected the columns of the TIC (ID, ra, dec, Tmag, …) or tic, ra, dec, tmag.",
        )
    return {
        ours: pd.to_numeric(table[theirs], errors="coerce").to_numpy(np.float64)
        for ours, theirs in found.items()
        if theirs is not None and ours != "tic"
    } | {"tic": _numbers(table, found["tic"])}


def _numbers(table: pd.DataFrame, column: Any) -> np.ndarray:
    if column is None:
        return np.zeros(len(table), dtype=np.int64)
    return pd.to_numeric(table[column], errors="coerce").fillna(0).to_numpy(np.int64)


def _refused(table: pd.DataFrame) -> np.ndarray:
    names = {str(name).lower(): name for name in table.columns}
    if "disposition" not in names:
        return np.zeros(len(table), dtype=bool)
    return table[names["disposition"]].astype(str).str.upper().isin(_REFUSED).to_numpy()


def read_stars(path: str | os.PathLike[str], btjd: float | None = None) -> xr.Dataset:
    """
    Read a star catalogue.

    Parameters
    ----------
    path
        CSV or parquet file, path or URL, in TIC column names (any case) or in ours.
    btjd
        Date to which proper motion carries the positions; by default they stay at J2000.

    Returns
    -------
    Dataset (star) with ``tic``, ``ra``, ``dec``, ``tmag`` and, where the file has them, ``pmra``,
    ``pmdec`` and ``teff``; brightest first. Rows without a position or magnitude, and those that the TIC
    calls artefacts or duplicates, are left out and counted in attrs ``left_out``.

    Raises
    ------
    SourceError
        If the file is no such catalogue.
    """
    name = os.fspath(path)
    table = _read_table(name)
    columns = _columns(table, name)
    keep = np.isfinite(np.stack([columns[key] for key in _NEEDED])).all(axis=0) & ~_refused(table)
    order = np.flatnonzero(keep)[np.argsort(columns["tmag"][keep], kind="stable")]
    stars = xr.Dataset(
        {
            key: ("star", values[order].astype(vocabulary.VARIABLES[key].dtype))
            for key, values in columns.items()
        },
        attrs={"product": "stars", "epoch": _EPOCH, "left_out": int((~keep).sum())},
    )
    return vocabulary.label(stars if btjd is None else at_epoch(stars, btjd))


def at_epoch(stars: xr.Dataset, btjd: float) -> xr.Dataset:
    """Return the stars where proper motion has carried them on a date (BTJD)."""
    year = julian_year(btjd)
    if "pmra" not in stars or "pmdec" not in stars:
        return stars.assign_attrs(epoch=year)
    years = year - float(stars.attrs.get("epoch", _EPOCH))
    ra, dec = move_epoch(
        stars["ra"].values, stars["dec"].values, stars["pmra"].values, stars["pmdec"].values, years
    )
    moved = stars.assign(ra=("star", ra), dec=("star", dec))
    return vocabulary.label(moved.assign_attrs(epoch=year))


def beside_frames(cube: xr.Dataset) -> str | None:
    """Return the path of ``stars.parquet`` in the folder of the cube's first frame, where there is one."""
    if "file" not in cube.variables or not cube["file"].size:
        return None
    found = Path(str(cube["file"].values[0])).parent / "stars.parquet"
    return str(found.absolute()) if found.exists() else None
