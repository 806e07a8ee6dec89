"""Raw frames that are known: those of the kept index of the data folder, and those that were brought in.

No header is read when somebody asks: the index is what the last scan kept (``tasoc catalog index``, or any
run on the folder).
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from tasoc_kit.config import settings
from tasoc_kit.numerics.clock import btjd_from_utc, utc_from_btjd
from tasoc_kit.records.engine import rows
from tasoc_kit.records.tables import File
from tasoc_kit.sources.ffi_index import index_made, kept_index

__all__ = ["COLUMNS", "FrameFilter", "find_raw"]

COLUMNS = (
    "name", "sector", "camera", "ccd", "cadenceno", "quality", "time_start", "time_stop", "start", "end",
    "bytes", "origin", "problem",
)  # fmt: skip
_INDEXED = [
    "name", "size", "sector", "camera", "ccd", "time_start", "time_stop", "cadenceno", "quality", "problem",
]  # fmt: skip


@dataclass(frozen=True)
class FrameFilter:
    """Which frames are asked for; what is None may be anything. Times are BTJD, of the start."""

    sector: int | None = None
    camera: int | None = None
    ccd: int | None = None
    from_time: float | None = None
    to_time: float | None = None
    """The first moment that is too late."""
    with_bits: int | None = None
    """Bits that are all set."""
    without_bits: int | None = None
    """Bits of which none is set."""

    def keep(self, time: np.ndarray, quality: np.ndarray) -> np.ndarray:
        """Return True for the frames of these starts and bits."""
        keep = np.ones(time.size, bool)
        if self.from_time is not None:
            keep &= time >= self.from_time
        if self.to_time is not None:
            keep &= time < self.to_time
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
    """Return the kept index in order of start and name."""
    found = kept_index(place, _INDEXED) if made else None
    table = pd.DataFrame(columns=_INDEXED) if found is None else found
    table["time_start"] = table["time_start"].astype(float)
    return table.sort_values(["time_start", "name"], na_position="first", ignore_index=True)


def find_raw(wanted: FrameFilter, after: tuple[float, str] | None, limit: int) -> list[dict[str, Any]]:
    """
    Return frames in the order of their start and name; those without a time come first.

    Parameters
    ----------
    wanted
        Which frames.
    after
        Start (BTJD; −1e9 for none) and name of the last one before.
    limit
        Most frames; one more is returned where there are more.
    """
    place = settings().data
    made = [*_indexed(_index(place, index_made(place)), wanted, after, limit + 1)]
    made += _brought_in(wanted, after, limit + 1)
    made.sort(key=key_of)
    return made[: limit + 1]


def key_of(row: dict[str, Any]) -> tuple[float, str]:
    """Return what a frame is ordered by."""
    start = row["time_start"]
    return (-1e9 if start is None else start), row["name"]


def _indexed(
    table: pd.DataFrame, wanted: FrameFilter, after: tuple[float, str] | None, limit: int
) -> list[dict[str, Any]]:
    start = table["time_start"].to_numpy(float)
    keep = wanted.keep(start, table["quality"].to_numpy(np.int64))
    for name in ("sector", "camera", "ccd"):
        value = getattr(wanted, name)
        if value is not None:
            keep &= table[name].to_numpy() == value
    if after is not None:
        ordered = np.nan_to_num(start, nan=-1e9)
        later = ordered > after[0]
        same = np.flatnonzero(ordered == after[0])
        later[same] = table["name"].iloc[same].to_numpy(str) > after[1]
        keep &= later
    found = table.iloc[np.flatnonzero(keep)[:limit]]
    return [_row(row, row["size"], "data", row["problem"]) for row in found.to_dict("records")]


def _row(row: dict[str, Any], size: int, origin: str, problem: str) -> dict[str, Any]:
    times = {name: row[name] if np.isfinite(row[name]) else None for name in ("time_start", "time_stop")}
    utc = {
        name: None if time is None else str(utc_from_btjd([time])[0])[:19]
        for name, time in zip(("start", "end"), times.values(), strict=True)
    }
    same = {name: int(row[name]) for name in ("sector", "camera", "ccd", "cadenceno", "quality")}
    same["cadenceno"] = same["cadenceno"] if same["cadenceno"] >= 0 else None  # type: ignore[assignment]
    told = {"name": row["name"], **same, **times, **utc}
    return told | {"bytes": int(size) if size >= 0 else None, "origin": origin, "problem": problem}


def _brought_in(wanted: FrameFilter, after: tuple[float, str] | None, limit: int) -> list[dict[str, Any]]:
    """Return frames that were brought in, as the database knows them."""
    statement = _files(wanted, after)
    # Seconds are cut off where the database compares, so what lies at an end is compared here.
    made, asked = [], statement.order_by(File.started, File.name).limit(limit + 8)
    for found in rows(asked, None):
        start, stop = (_btjd(found[name]) for name in ("started", "ended"))
        row = dict(found) | {"time_start": start, "time_stop": stop}
        for name, unknown in (("cadenceno", -1), ("quality", 0)):
            row[name] = unknown if row[name] is None else row[name]
        told = _row(row, found["bytes"], "inject", "")
        inside = wanted.keep(np.array([start]), np.array([row["quality"]]))[0]
        if inside and (after is None or key_of(told) > after):
            made.append(told)
    return made


def _files(wanted: FrameFilter, after: tuple[float, str] | None) -> sa.Select[Any]:
    """Return the query of frames that were brought in; its times are a second wider than asked for."""
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
    earliest = [time for time in (wanted.from_time, after[0] if after else None) if time is not None]
    if earliest and max(earliest) > -1e9:
        statement = statement.where(File.started >= _utc(max(earliest), -1))
    if wanted.to_time is not None:
        statement = statement.where(File.started < _utc(wanted.to_time, 1))
    return statement


def _utc(btjd: float, seconds: float) -> datetime.datetime:
    """Return a moment a little earlier or later, in UTC."""
    moment = datetime.datetime.fromisoformat(str(utc_from_btjd([btjd])[0])[:19])
    return moment.replace(tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)


def _btjd(moment: datetime.datetime | None) -> float:
    if moment is None:
        return float("nan")
    plain = moment.astimezone(datetime.UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return float(btjd_from_utc([plain.isoformat()])[0])
