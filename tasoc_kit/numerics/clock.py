"""Time scales of TESS: BTJD, calendar dates, the times in file names, cadence numbers.

BTJD is the barycentric Julian date in TDB minus 2,457,000 days; TJD is the same scale read at the
spacecraft. Time scales are ERFA's.
"""

from __future__ import annotations

from collections.abc import Sequence

import erfa
import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "BTJD_ZERO",
    "DAY",
    "btjd_from_name_stamp",
    "btjd_from_utc",
    "cadence_number",
    "julian_year",
    "times_by_number",
    "utc_from_btjd",
]

BTJD_ZERO = 2457000.0
DAY = 86400.0

_JD_OF_1970 = 2440587.5
_STAMP_PARTS = (slice(0, 4), slice(4, 7), slice(7, 9), slice(9, 11), slice(11, 13))

# Cadence 4697 is the first FFI of sector 1; its mid-time at the spacecraft (Handberg+ 2021).
_ANCHOR_CADENCE = 4697
_ANCHOR_TIME = 0.5 * (1325.317007851970 + 1325.337841177751) - 3.9072474e-3
_ANCHOR_STEP = 1800.0


def _tdb(utc: np.ndarray) -> np.ndarray:
    """Return datetime64 in UTC as days on the BTJD scale, TDB."""
    if utc.size == 0:
        return np.zeros(utc.shape)
    day = utc.astype("datetime64[D]")
    whole = day.astype(np.int64) + _JD_OF_1970
    part = (utc - day) / np.timedelta64(1, "D")
    tt1, tt2 = erfa.taitt(*erfa.utctai(whole, part))
    return (tt1 - BTJD_ZERO) + tt2 + erfa.dtdb(tt1, tt2, 0.0, 0.0, 0.0, 0.0) / DAY


def btjd_from_utc(stamps: Sequence[str] | np.ndarray) -> np.ndarray:
    """
    Return ISO dates in UTC as days on the BTJD scale (TDB).

    Only the scale changes, not the place of the clock: a date at the spacecraft gives TJD.
    """
    return _tdb(np.char.rstrip(np.asarray(stamps, dtype=str), "Z").astype("datetime64[ms]"))


def utc_from_btjd(times: ArrayLike) -> np.ndarray:
    """Return days on the BTJD scale (TDB) as ISO dates in UTC, to the millisecond."""
    days = np.asarray(times, dtype=np.float64)
    offset = erfa.dtdb(BTJD_ZERO, days, 0.0, 0.0, 0.0, 0.0) / DAY
    utc1, utc2 = erfa.taiutc(*erfa.tttai(BTJD_ZERO, days - offset))
    milliseconds = np.rint(((utc1 - _JD_OF_1970) + utc2) * DAY * 1e3)
    return np.datetime_as_string(milliseconds.astype("datetime64[ms]"))


def btjd_from_name_stamp(stamps: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return the ``yyyydddhhmmss`` stamps of SPOC file names (UTC at the spacecraft) as TJD."""
    text = np.asarray(stamps, dtype="U13")
    parts = [np.array([int(stamp[cut]) for stamp in text.ravel()], dtype=np.int64) for cut in _STAMP_PARTS]
    year, day, hour, minute, second = parts
    date = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]") + (day - 1)
    return _tdb(date.astype("datetime64[s]") + (3600 * hour + 60 * minute + second)).reshape(text.shape)


def cadence_number(spacecraft_time: ArrayLike, cadence: ArrayLike = 1800.0) -> np.ndarray:
    """
    Return the cadence number of FFIs that carry none (sectors 1 to 5).

    Parameters
    ----------
    spacecraft_time
        Mid-exposure at the spacecraft, TJD: BTJD minus the barycentric correction.
    cadence
        Seconds from one frame to the next.

    Notes
    -----
    The linear law of the TASOC photometry pipeline (Handberg+ 2021), anchored at the first FFI
    of sector 1.
    """
    step = np.asarray(cadence, dtype=np.float64) / DAY
    count = (np.asarray(spacecraft_time, dtype=np.float64) - _ANCHOR_TIME) / step
    return (np.rint(count) + np.rint(_ANCHOR_CADENCE * _ANCHOR_STEP / DAY / step)).astype(np.int32)


def julian_year(btjd: float) -> float:
    """Return a date as Julian epoch: 2000.0 is JD 2451545.0 TDB."""
    return 2000.0 + (btjd + BTJD_ZERO - 2451545.0) / 365.25


def times_by_number(times: np.ndarray, cadenceno: np.ndarray) -> np.ndarray:
    """
    Return times with those that are missing filled in by cadence number.

    Parameters
    ----------
    times
        (time) days; NaN where a cadence has none.
    cadenceno
        (time) cadence numbers; where one stands twice nothing is filled in.

    Notes
    -----
    Between known times it is the line from one to the next, beyond them that through all.
    """
    known = np.isfinite(times)
    if known.all() or known.sum() < 2 or np.unique(cadenceno).size != cadenceno.size:
        return times
    numbers = cadenceno[known]
    slope, start = np.polyfit(numbers - cadenceno[0], times[known], 1)
    guess = np.interp(cadenceno, numbers, times[known])
    beyond = (cadenceno < numbers.min()) | (cadenceno > numbers.max())
    line = start + slope * (cadenceno - cadenceno[0])
    return np.where(known, times, np.where(beyond, line, guess))
