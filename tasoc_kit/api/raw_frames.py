"""Raw frames that are known: those of the kept index of the data folder, and those that were brought in.

No header is read when somebody asks: the index is what the last scan kept (``tasoc catalog index``, or any
run on the folder). Frames are told apart and ordered by the second in which their exposure began at the
spacecraft, in UTC, as their names have it; what is finer differs between headers of one frame.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import ArrayLike

from tasoc_kit.config import settings
from tasoc_kit.numerics.clock import DAY, btjd_from_utc, utc_from_btjd
from tasoc_kit.records.engine import rows
from tasoc_kit.records.tables import File
from tasoc_kit.sources.ffi_index import index_made, kept_index

__all__ = ["COLUMNS", "FrameFilter", "find_raw", "key_of", "utc_seconds", "utc_text"]

COLUMNS = (
    "name", "sector", "camera", "ccd", "cadenceno", "quality", "time_start", "time_stop", "start", "end",
    "bytes", "origin", "sha256", "problem",
)  # fmt: skip
_INDEXED = [
    "file", "name", "size", "sector", "camera", "ccd", "time_start", "time_stop", "timecorr", "cadenceno",
    "quality", "problem",
]  # fmt: skip
_UNKNOWN = -(2**40)
"""Second of what has no time: before all others."""
_FIRST, _LAST = -(2**31), 2**33
"""Seconds between which a moment is looked for: a cursor may hold any."""
_MILLISECONDS = 1000 * DAY
"""Of a day."""
_SLACK = 5
"""Milliseconds by which headers of one frame differ in its start."""
_BROUGHT_IN = r"/raw/[0-9a-f]{2}/([0-9a-f]{64})/"
"""Where a file lies that was brought in, by its SHA-256."""

Key = tuple[int, str, str]
"""Second of the start, name, and what tells files of one name apart."""


def utc_seconds(days: ArrayLike) -> np.ndarray:
    """Return days at the spacecraft (TJD) as whole seconds since 1970 in UTC."""
    made = np.full(np.shape(days), _UNKNOWN, np.int64)
    known = np.isfinite(days)
    times = np.asarray(days, float)[known]
    # Within a day the scales part by microseconds: one conversion for each serves a million frames.
    day, place = np.unique(np.floor(times), return_inverse=True)
    utc = utc_from_btjd(day)
    shift = utc.astype("datetime64[ms]").astype(np.int64) - btjd_from_utc(utc) * _MILLISECONDS
    made[known] = np.floor((times * _MILLISECONDS + shift[place] + _SLACK) / 1000).astype(np.int64)
    return made


def utc_text(second: int) -> str | None:
    """Return a second since 1970 as a date in UTC; None where it is not known."""
    return None if second == _UNKNOWN else str(np.datetime64(int(second), "s"))


@dataclass(frozen=True)
class FrameFilter:
    """Which frames are asked for; what is None may be anything. Times are seconds since 1970 in UTC."""

    sector: int | None = None
    camera: int | None = None
    ccd: int | None = None
    begin: int | None = None
    """The first second in which an exposure may begin."""
    end: int | None = None
    """The first second that is too late."""
    with_bits: int | None = None
    """Bits that are all set."""
    without_bits: int | None = None
    """Bits of which none is set."""

    def keep(self, second: np.ndarray, quality: np.ndarray) -> np.ndarray:
        """Return True for the frames of these starts and bits; one without a time is in no range of times."""
        keep = np.ones(second.size, bool)
        if self.begin is not None:
            keep &= second >= self.begin
        if self.end is not None:
            keep &= (second < self.end) & (second != _UNKNOWN)
        if self.with_bits is not None:
            keep &= (quality & self.with_bits) == self.with_bits
        if self.without_bits is not None:
            keep &= (quality & self.without_bits) == 0
        return keep

    def unit_fits(self, parts: dict[str, Any]) -> bool:
        """Tell whether a unit is of the sector, camera and CCD."""
        asked = {"sector": self.sector, "camera": self.camera, "ccd": self.ccd}
        return all(value is None or parts.get(name) == value for name, value in asked.items())


@lru_cache(maxsize=2)
def _index(place: str, made: int) -> pd.DataFrame:
    """Return the kept index in order of the keys, with ``second``, ``last`` (of the end) and ``mark``."""
    found = kept_index(place, _INDEXED) if made else None
    table = pd.DataFrame(columns=_INDEXED) if found is None else found
    shift = np.nan_to_num(table["timecorr"].to_numpy(float))
    table["second"] = utc_seconds(table["time_start"].to_numpy(float) - shift)
    table["last"] = utc_seconds(table["time_stop"].to_numpy(float) - shift)
    table["sha256"] = table["file"].astype(str).str.extract(_BROUGHT_IN, expand=False)
    other = [f"{value:016x}" for value in pd.util.hash_array(table["file"].to_numpy(object))]
    table["mark"] = table["sha256"].where(table["sha256"].notna(), other)
    return table.sort_values(["second", "name", "mark"], ignore_index=True)


def find_raw(wanted: FrameFilter, after: Key | None, limit: int) -> list[dict[str, Any]]:
    """
    Return frames in the order of their start and name; those without a time come first.

    Parameters
    ----------
    wanted
        Which frames.
    after
        Key of the last one before.
    limit
        Most frames; one more is returned where there are more.
    """
    place = settings().data
    made = {key_of(row): row for row in _brought_in(wanted, after, limit + 1)}
    for row in _indexed(_index(place, index_made(place)), wanted, after, limit + 1):
        # What was brought in and indexed since is one frame; either may know what the other does not.
        known = {name: value for name, value in row.items() if value is not None}
        made[key_of(row)] = row | made.get(key_of(row), {}) | known
    return [made[key] for key in sorted(made)[: limit + 1]]


def key_of(row: dict[str, Any]) -> Key:
    """Return what a frame is ordered by."""
    return row["second"], row["name"], row["mark"]


def _indexed(
    table: pd.DataFrame, wanted: FrameFilter, after: Key | None, limit: int
) -> Iterator[dict[str, Any]]:
    second = table["second"].to_numpy(np.int64)
    keep = wanted.keep(second, table["quality"].to_numpy(np.int64))
    for name in ("sector", "camera", "ccd"):
        value = getattr(wanted, name)
        if value is not None:
            keep &= table[name].to_numpy() == value
    if after is not None:
        later = second > after[0]
        same = np.flatnonzero(second == after[0])
        keys = zip(table["name"].iloc[same], table["mark"].iloc[same], strict=True)
        later[same] = [key > after[1:] for key in keys]
        keep &= later
    for row in table.iloc[np.flatnonzero(keep)[:limit]].to_dict("records"):
        times = {name: row[name] if np.isfinite(row[name]) else None for name in ("time_start", "time_stop")}
        known = isinstance(row["sha256"], str)
        told = {"bytes": int(row["size"]) if row["size"] >= 0 else None, "problem": row["problem"]}
        told |= {"origin": "inject" if known else "data", "sha256": row["sha256"] if known else None}
        yield _row(row) | times | told


def _row(row: dict[str, Any]) -> dict[str, Any]:
    same = {name: int(row[name]) for name in ("second", "sector", "camera", "ccd", "quality")}
    same |= {name: row[name] for name in ("name", "mark")}
    same["cadenceno"] = int(row["cadenceno"]) if row["cadenceno"] >= 0 else None
    return same | {"start": utc_text(row["second"]), "end": utc_text(row["last"])}


def _brought_in(wanted: FrameFilter, after: Key | None, limit: int) -> list[dict[str, Any]]:
    """Return frames that were brought in, as the database knows them: without times at the barycentre."""
    statement, number = _files(wanted, after).order_by(File.started), limit + 64
    while True:
        found = [_of_file(row) for row in rows(statement.limit(number), None)]
        ended = len(found) < number
        # A database orders texts in its own way: of frames of one second all are taken, or none.
        whole = found if ended else [row for row in found if row["second"] < found[-1]["second"]]
        made = sorted((row for row in whole if after is None or key_of(row) > after), key=key_of)
        if ended or len(made) >= limit:
            return made[:limit]
        number *= 4


def _of_file(found: Any) -> dict[str, Any]:
    unknown = {"cadenceno": -1, "quality": 0}
    row = dict(found) | {name: value for name, value in unknown.items() if found[name] is None}
    moments = {"second": found["started"], "last": found["ended"]}
    row |= {name: _UNKNOWN if moment is None else _second(moment) for name, moment in moments.items()}
    same = {name: row[name] for name in ("bytes", "sha256")}
    times = {"time_start": None, "time_stop": None}
    return _row(row | {"mark": row["sha256"]}) | same | times | {"origin": "inject", "problem": ""}


def _files(wanted: FrameFilter, after: Key | None) -> sa.Select[Any]:
    """Return the query of frames that were brought in, from the second of the last one before on."""
    statement = sa.select(*File.__table__.columns).where(File.started.is_not(None), File.kind == "ffi")
    for name in ("sector", "camera", "ccd"):
        value = getattr(wanted, name)
        if value is not None:
            statement = statement.where(getattr(File, name) == value)
    quality = sa.func.coalesce(File.quality, 0)
    if wanted.with_bits is not None:
        statement = statement.where(quality.op("&")(wanted.with_bits) == wanted.with_bits)
    if wanted.without_bits is not None:
        statement = statement.where(quality.op("&")(wanted.without_bits) == 0)
    earliest = [second for second in (wanted.begin, after[0] if after else None) if second is not None]
    if earliest and max(earliest) != _UNKNOWN:
        statement = statement.where(File.started >= _moment(max(earliest)))
    if wanted.end is not None:
        statement = statement.where(File.started < _moment(wanted.end))
    return statement


def _moment(second: int) -> datetime.datetime:
    """Return the moment from which on a start is told as this second."""
    start = datetime.datetime.fromtimestamp(min(max(second, _FIRST), _LAST), datetime.UTC)
    return start - datetime.timedelta(milliseconds=_SLACK)


def _second(moment: datetime.datetime) -> int:
    return (round(moment.timestamp() * 1000) + _SLACK) // 1000
