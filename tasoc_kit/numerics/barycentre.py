"""Barycentric times of stars: when light that reached the spacecraft passed the barycentre.

``BTJD = TJD + r·n / c − Shapiro``, with the spacecraft at r from the barycentre and the star
in the direction n (Eastman, Siverd & Gaudi 2010, PASP 122, 935, section 2). The second term is
Rømer's, up to 500 s; the third, the delay in the field of the Sun, is below 10 µs for TESS, which
looks away from it. TJD is on the TDB scale already; what the clock of the spacecraft gains
over that of the geocentre (v·r/c², below 0.2 ms) is in no product of the mission, and not here.
"""

from __future__ import annotations

import erfa
import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from tasoc_kit.numerics.clock import BTJD_ZERO, DAY

__all__ = [
    "AU",
    "LIGHT",
    "barycentric_time",
    "direction",
    "earth_and_sun",
    "interpolate",
    "light_travel_time",
]

AU = 149597870.7
"""Astronomical unit, km (IAU 2012)."""
LIGHT = 299792.458
"""Speed of light, km/s."""
SHAPIRO = 9.8509819e-6
"""2 GM/c³ of the Sun, s."""


def direction(ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """Return unit vectors (…, 3), ICRS, of positions in degrees."""
    return np.asarray(erfa.s2c(np.radians(ra), np.radians(dec)))


def earth_and_sun(times: ArrayLike, kernel: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """
    Return where Earth and Sun are from the barycentre.

    Parameters
    ----------
    times
        BTJD (TDB).
    kernel
        Path of a JPL kernel; by default the series of ERFA, which agrees with those to 14 km.

    Returns
    -------
    Two (time, 3) arrays, km, ICRS.
    """
    days = np.asarray(times, dtype=np.float64)
    if kernel is not None:
        from astropy.coordinates import get_body_barycentric
        from astropy.time import Time

        when = Time(BTJD_ZERO, days, format="jd", scale="tdb")
        earth, sun = (
            get_body_barycentric(body, when, ephemeris=kernel).xyz.to_value("km").T
            for body in ("earth", "sun")
        )
        return earth, sun
    from_sun, from_barycentre = erfa.epv00(BTJD_ZERO, days)
    earth = np.asarray(from_barycentre["p"]) * AU
    return earth, earth - np.asarray(from_sun["p"]) * AU


def interpolate(times: np.ndarray, positions: np.ndarray, at: np.ndarray, longest: float) -> np.ndarray:
    """
    Return positions between the rows of a table, by cubic splines.

    Parameters
    ----------
    times
        Days, increasing.
    positions
        (row, 3).
    at
        Days.
    longest
        Longest step between rows, in days, that is bridged.

    Returns
    -------
    (time, 3); NaN beyond the table and in longer gaps.
    """
    after = np.clip(np.searchsorted(times, at, side="left"), 1, times.size - 1)
    known = (at >= times[0]) & (at <= times[-1]) & (times[after] - times[after - 1] <= longest)
    found = np.full((at.size, 3), np.nan)
    if known.any():
        near = (times >= at[known].min() - 1) & (times <= at[known].max() + 1)
        found[known] = CubicSpline(times[near], positions[near])(at[known])
    return found


def light_travel_time(times: ArrayLike, positions: np.ndarray, ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """
    Return how much later starlight passes the barycentre than the spacecraft.

    Parameters
    ----------
    times
        (time) BTJD, for the place of the Sun.
    positions
        (time, 3) of the spacecraft from the barycentre, km, ICRS.
    ra, dec
        (star) degrees, ICRS.

    Returns
    -------
    (star, time), seconds.
    """
    towards = direction(np.atleast_1d(ra), np.atleast_1d(dec))
    _, sun = earth_and_sun(times)
    to_sun = sun - positions
    to_sun /= np.linalg.norm(to_sun, axis=1, keepdims=True)
    beside = np.maximum(1.0 - towards @ to_sun.T, 1e-9)
    return towards @ (positions / LIGHT).T + SHAPIRO * np.log(beside)


def barycentric_time(times: np.ndarray, positions: np.ndarray, ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """
    Return the times of stars at the barycentre.

    Parameters
    ----------
    times
        (time) at the spacecraft, TJD.
    positions
        (time, 3) of the spacecraft from the barycentre, km, ICRS.
    ra, dec
        (star) degrees, ICRS.

    Returns
    -------
    (star, time), BTJD.
    """
    return times + light_travel_time(times, positions, ra, dec) / DAY
