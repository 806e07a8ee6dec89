"""Time scales of TESS: BTJD, calendar dates, the times in file names, cadence numbers.

BTJD is the barycentric Julian date in TDB minus 2,457,000 days.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.time import Time
from numpy.typing import ArrayLike

__all__ = ["BTJD_ZERO", "DAY", "btjd_from_name_stamp", "btjd_from_utc", "cadence_number", "utc_from_btjd"]

BTJD_ZERO = 2457000.0
DAY = 86400.0

# Cadence 4697 is the first FFI of sector 1; its mid-time at the spacecraft (Handberg+ 2021).
_ANCHOR_CADENCE = 4697
_ANCHOR_TIME = 0.5 * (1325.317007851970 + 1325.337841177751) - 3.9072474e-3
_ANCHOR_STEP = 1800.0


def btjd_from_utc(stamps: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return ISO dates in UTC as days on the TJD/BTJD scale (TDB); the place of the clock is not changed."""
    dates = np.char.rstrip(np.asarray(stamps, dtype=str), "Z")
    if dates.size == 0:
        return np.zeros(dates.shape)
    moments = Time(dates, format="isot", scale="utc").tdb
    return (moments.jd1 - BTJD_ZERO) + moments.jd2


def utc_from_btjd(times: ArrayLike) -> np.ndarray:
    """Return days on the BTJD scale (TDB) as ISO dates in UTC, to the millisecond."""
    values = np.asarray(times, dtype=np.float64)
    return np.asarray(Time(values + 0.0, BTJD_ZERO, format="jd", scale="tdb").utc.isot)


def btjd_from_name_stamp(stamps: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return the ``yyyydddhhmmss`` stamps of SPOC file names (UTC) on the TJD scale."""
    yday = [f"{s[:4]}:{s[4:7]}:{s[7:9]}:{s[9:11]}:{s[11:13]}" for s in np.asarray(stamps, dtype=str).ravel()]
    if not yday:
        return np.zeros(0)
    moments = Time(yday, format="yday", scale="utc").tdb
    return (moments.jd1 - BTJD_ZERO) + moments.jd2


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
