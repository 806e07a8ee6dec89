"""The index of many FFIs: one row per file, made by a header scan and kept as parquet.

The index holds all that a cube needs but the pixels, so a sector opens without touching one
image. A scan is kept under ``settings().cache`` and only files that are new or changed are read
again. The published listings of whole sectors (one row per file with path, start, stop, quality
and offset) are read as indexes whose missing columns are *not known yet*.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import compute, parquet

from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.clock import DAY, btjd_from_utc, cadence_number
from tasoc_kit.sources.byte_source import file_name, is_local, list_files, local_path, read_all
from tasoc_kit.sources.ffi_header import COLUMNS, header_row, name_parts, time_of_name
from tasoc_kit.storage.whole_file import whole_file

__all__ = [
    "PUBLIC_FFIS",
    "index_made",
    "kept_index",
    "read_index",
    "resolve_duplicates",
    "scan",
    "select_cadence",
    "select_unit",
]

PUBLIC_FFIS = "s3://stpubdata/tess/public"
"""Where the paths of a published listing begin."""

_LIVE_SHARE = 0.792
"""Share of a cadence that is exposure (keyword DEADC): readout and cosmic-ray mitigation take the rest."""
_LISTING = {"path", "sector", "camera", "ccd", "start", "stop", "quality"}
_ENDINGS = ("_ffic.fits", "_ffic.fits.gz")
_FORM = 3
"""Form of the kept index; raise it when a row changes its meaning."""
_STRAY = 0.1
"""A unit that was not asked for may be left out as stray up to this share of the files."""

Where = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of an index, each with its type."""
    kinds = {str: object, int: np.int64, float: np.float64}
    return table[list(COLUMNS)].astype({name: kinds[type(unknown)] for name, unknown in COLUMNS.items()})


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return _typed(pd.DataFrame(rows, columns=list(COLUMNS)))


def _cache_path(where: Where) -> Path:
    named = os.fspath(where) if isinstance(where, str | os.PathLike) else "\n".join(map(os.fspath, where))
    place = str(local_path(named).absolute()) if is_local(named) and "\n" not in named else named
    place = f"{_FORM} {place}"
    return settings().cache / "index" / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.parquet"


def _stamp(url: str) -> str:
    """Return what changes when a local file changes; remote files of this name are taken as fixed."""
    if not is_local(url):
        return ""
    try:
        state = local_path(url).stat()
    except OSError:
        return "absent"
    return f"{state.st_size}-{state.st_mtime_ns}"


def _read_cache(path: Path) -> pd.DataFrame | None:
    if not path.exists():
        return None
    try:
        cached = parquet.read_table(path).to_pandas()
    except (OSError, pyarrow.ArrowException):
        return None
    return cached if {*COLUMNS, "stamp"} <= set(cached.columns) else None


def _write_cache(table: pd.DataFrame, path: Path) -> None:
    """Keep the index where it can be kept; a folder that cannot be written costs only time."""
    try:
        with whole_file(path) as part:
            parquet.write_table(pyarrow.Table.from_pandas(table, preserve_index=False), part)
    except OSError as error:
        warnings.warn(f"index: not kept in {path.parent} ({error}); set TASOC_CACHE.", stacklevel=3)


def _wanted(url: str, sector: int | None, camera: int | None, ccd: int | None) -> bool:
    """Return False where the name alone says that the file is of another unit."""
    parts = name_parts(file_name(url))
    asked = {"sector": sector, "camera": camera, "ccd": ccd}
    return all(value is None or parts.get(key, value) == value for key, value in asked.items())


def _ffi_files(where: Where) -> list[str]:
    files = list_files(where)
    named = [url for url in files if url.endswith(_ENDINGS)]
    return named or files


def scan(
    where: Where,
    *,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    threads: int | None = None,
    cache: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """
    Read the headers of FFIs into an index.

    Parameters
    ----------
    where
        A folder, a glob, one file, or a list of files; paths or URLs.
    sector, camera, ccd
        Files whose names state another unit are not opened.
    threads
        Files read at a time; four times the cores by default, for most of a scan is waiting.
    cache
        Keep the result and use what was kept.
    progress
        Called with the files done and the files to do.

    Returns
    -------
    One row per file in order of name, with the columns of ``ffi_header.COLUMNS``; a file that
    cannot be used has the reason in ``problem``.

    Raises
    ------
    SourceError
        If there is no such place, or no FFI in it.
    """
    where = where if isinstance(where, str | os.PathLike) else list(where)
    urls = [url for url in _ffi_files(where) if _wanted(url, sector, camera, ccd)]
    if not urls:
        raise SourceError(
            f"{where}: no FFI{_of_unit(sector, camera, ccd)} there; expected files named "
            "tess…-s0001-1-2-…_ffic.fits or …fits.gz. Correct the place (of ffi.local: TASOC_DATA) "
            "or the unit, or get frames: tasoc fetch."
        )
    path = _cache_path(where)
    kept = _read_cache(path) if cache else None
    stamps = {url: _stamp(url) for url in urls}
    known: dict[str, dict[str, Any]] = {}
    if kept is not None:
        same = kept[kept["file"].map(stamps.get) == kept["stamp"]]
        known = {row["file"]: row for row in same.to_dict("records")}
    missing = [url for url in urls if url not in known]
    for done, row in enumerate(_read_headers(missing, threads), start=1):
        known[row["file"]] = row | {"stamp": stamps[row["file"]]}
        if progress is not None:
            progress(done, len(missing))
    if missing and cache:
        others = [] if kept is None else [r for r in kept.to_dict("records") if r["file"] not in known]
        rows = [row for row in (*known.values(), *others) if row["stamp"] or not row["problem"]]
        _write_cache(_frame(rows).assign(stamp=[row["stamp"] for row in rows]), path)
    return _frame([known[url] for url in urls])


def kept_index(where: Where, columns: list[str]) -> pd.DataFrame | None:
    """
    Return some columns of what the last scan of a place kept, without looking at the place; None for none.

    The cadence numbers are those that the headers tell: −1 before sector 6.
    """
    path = _cache_path(where)
    try:
        return parquet.read_table(path, columns=columns).to_pandas()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, pyarrow.ArrowException) as error:
        raise SourceError.for_file(
            path, f"cannot be read ({error})", "Make it anew: tasoc catalog index."
        ) from None


def index_made(where: Where) -> int:
    """Return when the kept index of a place changed, in nanoseconds since 1970; 0 where there is none."""
    path = _cache_path(where)
    return path.stat().st_mtime_ns if path.exists() else 0


def _read_headers(urls: list[str], threads: int | None) -> Iterable[dict[str, Any]]:
    if len(urls) < 3:
        yield from map(header_row, urls)
        return
    with ThreadPoolExecutor(threads or 4 * settings().threads) as pool:
        yield from pool.map(header_row, urls)


def _of_unit(sector: int | None, camera: int | None, ccd: int | None) -> str:
    asked = {"sector": sector, "camera": camera, "CCD": ccd}
    said = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
    return f" of {said}" if said else ""


def read_index(
    path: str | os.PathLike[str],
    base: str | None = None,
    *,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
) -> pd.DataFrame:
    """
    Read an index that a scan wrote, or a published listing of a sector.

    Parameters
    ----------
    path
        Parquet file or URL.
    base
        What stands before the paths of a listing; the public bucket by default.
    sector, camera, ccd
        Only rows of this unit are read, and those whose names claim to be.

    Raises
    ------
    SourceError
        If the file is no parquet, or has the columns of neither form.
    """
    url = os.fspath(path)
    unit = {"sector": sector, "camera": camera, "ccd": ccd}
    content = pyarrow.BufferReader(read_all(url))
    try:
        known = set(parquet.read_schema(content).names)
        kind = _kind_of_index(url, known)
        table = parquet.read_table(content, filters=_rows_of(unit, known)).to_pandas()
    except (OSError, pyarrow.ArrowException) as error:
        raise SourceError.for_file(
            url, f"not a parquet file ({error})", "Make it anew: tasoc catalog index."
        ) from None
    if kind == "scan":
        return _typed(table)
    return _from_listing(table, base if base is not None else PUBLIC_FFIS)


def _kind_of_index(url: str, columns: set[str]) -> str:
    if set(COLUMNS) <= columns:
        return "scan"
    if _LISTING <= columns:
        return "listing"
    raise SourceError.for_file(
        url,
        f"no index: it has the columns {sorted(columns)}",
        f"Expected {sorted(_LISTING)} or an index made by: tasoc catalog index.",
    )


def _rows_of(unit: dict[str, int | None], columns: set[str]) -> compute.Expression | None:
    asked = {name: value for name, value in unit.items() if value is not None}
    if not asked:
        return None
    wanted = compute.scalar(True)
    for name, value in asked.items():
        wanted &= compute.field(name) == value
    if "name" in columns and len(asked) == len(unit):
        claim = "-s{sector:04d}-{camera}-{ccd}-".format(**asked)
        wanted |= compute.match_substring(compute.field("name"), claim)
    return wanted


def _from_listing(table: pd.DataFrame, base: str) -> pd.DataFrame:
    start, inverse = np.unique(table["start"].to_numpy(str), return_inverse=True)
    stop, back = np.unique(table["stop"].to_numpy(str), return_inverse=True)
    prefix = base.rstrip("/") + "/" if base else ""
    index = pd.DataFrame(
        {
            "file": prefix + table["path"].astype(str),
            "name": table["path"].astype(str).str.rsplit("/", n=1).str[-1],
            "sector": table["sector"],
            "camera": table["camera"],
            "ccd": table["ccd"],
            "time_start": btjd_from_utc(start)[inverse],
            "time_stop": btjd_from_utc(stop)[back],
            "timecorr": table["barycorr"] if "barycorr" in table else np.nan,
            "quality": table["quality"],
            "file_offset": table["data_offset"] if "data_offset" in table else -1,
        }
    )
    length = (index["time_stop"] - index["time_start"]) * DAY
    index["cadence"] = np.round(length / 100.0) * 100.0
    index["exposure"] = _LIVE_SHARE * index["cadence"]
    return index.assign(**{name: value for name, value in COLUMNS.items() if name not in index})[
        list(COLUMNS)
    ]


def select_unit(
    index: pd.DataFrame, sector: int | None = None, camera: int | None = None, ccd: int | None = None
) -> pd.DataFrame:
    """
    Return the rows of one CCD of one sector.

    With nothing asked for, the unit of nearly all files is taken and the stray ones are left out
    with a warning that names them; an index of several units must be told which. A file that does
    not tell its unit, for it cannot be read, stays; a readable one that does not tell its sector, as
    renamed files of the first sectors, is of the sector asked for.

    Raises
    ------
    SourceError
        If no row, or rows of several units, are left.
    """
    asked = {"sector": sector, "camera": camera, "ccd": ccd}
    if sector is not None:
        unnamed = (index["sector"] == 0) & (index["problem"] == "")
        index = index.assign(sector=index["sector"].mask(unnamed, sector))
    homeless = ((index[list(asked)] == 0).any(axis=1) & (index["problem"] != "")).to_numpy()
    if homeless.any() and not homeless.all():
        return pd.concat([select_unit(index[~homeless], **asked), index[homeless]])
    keep = np.ones(len(index), dtype=bool)
    for name, value in asked.items():
        if value is not None:
            keep &= index[name].to_numpy() == value
    found = index[keep]
    if found.empty:
        raise SourceError(
            f"index: no FFI{_of_unit(sector, camera, ccd)} among {len(index)} files; "
            f"there are {_units(index)}. Correct the unit."
        )
    counts = found.groupby(["sector", "camera", "ccd"]).size().sort_values(ascending=False)
    unit = counts.index[0]
    if len(counts) > 1 and counts.iloc[1:].sum() > _STRAY * counts.sum():
        raise SourceError(
            f"index: files of {len(counts)} units: {_units(found)}; a cube is one CCD of one sector. "
            "Give sector, camera and ccd."
        )
    chosen = (found[["sector", "camera", "ccd"]] == list(unit)).all(axis=1)
    _warn_of_strays(found[~chosen], index[~keep], asked)
    return found[chosen]


def _units(index: pd.DataFrame) -> str:
    counts = index.groupby(["sector", "camera", "ccd"]).size()
    shown = [f"s{s:04d}-{camera}-{ccd} ({n} files)" for (s, camera, ccd), n in counts.items()]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")


def _warn_of_strays(strays: pd.DataFrame, others: pd.DataFrame, asked: dict[str, int | None]) -> None:
    """Name the files of another unit, also those whose header contradicts their name."""
    liars = others[[_wanted(name, **asked) and bool(name_parts(name)) for name in others["name"]]]
    stray = pd.concat([strays, liars])
    if len(stray):
        named = ", ".join(stray["name"].head(3))
        warnings.warn(
            f"index: {len(stray)} file(s) of another CCD or sector left out ({_units(stray)}): {named}",
            stacklevel=3,
        )


def select_cadence(unit: pd.DataFrame) -> pd.DataFrame:
    """
    Return the rows of the cadence that nearly all files of a unit have.

    Stray files of another cadence are left out with a warning; files whose cadence is not known stay.

    Raises
    ------
    SourceError
        If the files are of several cadences.
    """
    counts = unit["cadence"].value_counts()
    if len(counts) < 2:
        return unit
    shown = ", ".join(f"{seconds:.0f} s ({count} files)" for seconds, count in counts.items())
    stray = unit["cadence"].notna() & (unit["cadence"] != counts.index[0])
    if stray.sum() > _STRAY * counts.sum():
        raise SourceError(
            f"index: frames of {len(counts)} cadences: {shown}; a cube has one. "
            "Put them into folders of their own, or name the files by a glob."
        )
    named = ", ".join(unit["name"][stray].head(3))
    warnings.warn(
        f"index: {stray.sum()} file(s) of another cadence left out ({shown}): {named}", stacklevel=3
    )
    return unit[~stray]


def place_in_time(index: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with times and cadence numbers filled in as far as they can be known."""
    table = index.copy()
    unknown = table["time_start"].isna().to_numpy()
    if unknown.any() and not unknown.all():
        named = np.array([time_of_name(name) for name in table["name"]])
        good = ~unknown & np.isfinite(named)
        if good.any():
            order = np.argsort(named[good])
            shift = (table["time_start"].to_numpy() - named)[good][order]
            length = float(np.median((table["time_stop"] - table["time_start"]).to_numpy()[good]))
            start = named[unknown] + np.interp(named[unknown], named[good][order], shift)
            table.loc[unknown, "time_start"] = start
            table.loc[unknown, "time_stop"] = start + length
    for name in ("exposure", "cadence", "timecorr"):
        table[name] = table[name].fillna(table[name].median())
    return _number_cadences(table)


def _number_cadences(table: pd.DataFrame) -> pd.DataFrame:
    unnumbered = (table["cadenceno"] < 0).to_numpy() & table["time_start"].notna().to_numpy()
    if not unnumbered.any():
        return table
    start, stop = table["time_start"].to_numpy(), table["time_stop"].to_numpy()
    middle = 0.5 * (start + stop) - np.nan_to_num(table["timecorr"].to_numpy())
    step = np.where(table["cadence"].to_numpy() > 0, table["cadence"].to_numpy(), 1800.0)
    numbered = ~unnumbered & (table["cadenceno"] >= 0).to_numpy() & np.isfinite(middle)
    if numbered.any():
        anchor = np.flatnonzero(numbered)[0]
        counted = np.rint((middle - middle[anchor]) * DAY / step) + table["cadenceno"].to_numpy()[anchor]
    else:
        counted = cadence_number(np.nan_to_num(middle), step)
    table.loc[unnumbered, "cadenceno"] = counted[unnumbered].astype(np.int64)
    return table


def resolve_duplicates(index: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """
    Return the rows with one file per cadence, in order of time, and how many were left out.

    Of several files of one cadence number the readable one is kept; of several readable ones
    that of the latest data release; of those the last by name. In sector 2 this is the file that
    MAST's cutout service uses, in all 298 cases.
    """
    order = index.assign(readable=index["problem"] == "").sort_values(
        ["cadenceno", "readable", "data_rel", "name"], kind="stable"
    )
    single = order.drop_duplicates("cadenceno", keep="last").drop(columns="readable")
    return single.sort_values("time_start", kind="stable"), len(index) - len(single)
