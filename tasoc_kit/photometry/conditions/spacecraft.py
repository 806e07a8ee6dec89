"""Where the spacecraft was in every cadence, and so the barycentric time of any star.

``time`` is that of the CCD centre, and the stars in its corners are up to 70 s off it. With the
place of the spacecraft beside every cadence, the time of a star is algebra. The place comes, in
this order, from

* a table of positions (see ``sources.ephemeris``): star times are right to a millisecond;
* the Earth, moved towards the CCD centre until it has the correction of the header: what is left
  is the light time across the line of sight, 0.2 s at most in the corners of a CCD;
* the Earth alone, where the header's correction is for a place that is not known (a cutout): TESS
  stays within 1.3 light seconds of it.
"""

from __future__ import annotations

import warnings
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.barycentre import LIGHT, barycentric_time, direction, earth_and_sun, interpolate
from tasoc_kit.numerics.clock import DAY
from tasoc_kit.numerics.geometry import pixel_to_sky
from tasoc_kit.vocabulary import SPACECRAFT

__all__ = ["locate_spacecraft", "star_time"]

TABLE_ERROR, HEADER_ERROR, EARTH_ERROR = 0.001, 0.2, 1.3
"""Largest error of a star time, s, with a table, with the header's correction, with the Earth alone."""
LONGEST_STEP = 0.25
"""Days between rows of a table that are bridged; the orbit takes 13.7."""
FARTHEST = 600_000.0
"""Kilometres from the Earth; the orbit reaches 376,000."""
CENTRE = (1023.0, 1067.0)
"""Row and column that the times of an FFI are for (keywords BTC_PIX2, BTC_PIX1, which count from 1)."""
STARS_AT_ONCE = 1024


def locate_spacecraft(cube: xr.Dataset, ephemeris: xr.Dataset | None) -> tuple[np.ndarray, dict[str, Any]]:
    """
    Return where the spacecraft was in every cadence.

    Parameters
    ----------
    cube
        Frames; only the cadence table is read.
    ephemeris
        Positions as :func:`tasoc_kit.sources.ephemeris.read_ephemeris` gives them.

    Returns
    -------
    (time, 3) km from the barycentre, ICRS, NaN where it is not known; and attrs that say where
    they come from and how wrong a star time may be.

    Raises
    ------
    StepInputError
        If the table covers none of the cadences, or holds something other than the orbit of TESS.
    """
    times = cube["time"].values - _correction(cube)
    if cube.attrs.get("mission", "TESS") != "TESS":
        return np.full((times.size, 3), np.nan), {"spacecraft": "unknown"}
    earth, _ = earth_and_sun(times)
    positions, error, source = _from_header(cube, earth)
    if ephemeris is None:
        return positions, {"spacecraft": source, "star_time_err": error}
    named = str(ephemeris.attrs.get("source", "the ephemeris"))
    table = interpolate(ephemeris["time"].values, _positions(ephemeris), times, LONGEST_STEP)
    covered = np.isfinite(table[:, 0])
    if not covered.all():
        _tell_of_span(named, ephemeris["time"].values, times, covered)
    away = np.linalg.norm(table - earth, axis=1)[covered]
    if away.max() > FARTHEST:
        raise StepInputError(
            f"make_quality: {named} puts the spacecraft {away.max():.3g} km from the Earth; expected less "
            f"than {FARTHEST:.0f} km. Check its target, origin, frame and unit."
        )
    where = np.where(covered[:, None], table, positions)
    worst = TABLE_ERROR if covered.all() else error
    return where, {"spacecraft": named, "star_time_err": worst, "spacecraft_uncovered": int((~covered).sum())}


def _positions(table: xr.Dataset) -> np.ndarray:
    """Return the places of a table of cadences, (time, 3)."""
    return np.stack([table[name].values for name in SPACECRAFT], axis=1)


def _tell_of_span(named: str, table: np.ndarray, times: np.ndarray, covered: np.ndarray) -> None:
    """Raise if the table covers no cadence; warn if it leaves some out."""
    problem = (
        f"make_quality: {named} covers BTJD {table[0]:.2f}–{table[-1]:.2f} and {int(covered.sum())} of "
        f"{times.size} cadences, BTJD {times.min():.2f}–{times.max():.2f}"
    )
    if not covered.any():
        raise StepInputError(
            f"{problem}; expected a table of this sector. Fetch it from Horizons, or leave the ephemeris out."
        )
    warnings.warn(
        f"{problem}; the others take the place of the Earth. Fetch a longer table to be exact.",
        UserWarning,
        stacklevel=5,
    )


def _correction(cube: xr.Dataset) -> np.ndarray:
    """Return the barycentric correction that is in the times of a cube, days."""
    if "timecorr" not in cube.variables:
        return np.zeros(cube.sizes["time"])
    return np.nan_to_num(cube["timecorr"].values)


def _from_header(cube: xr.Dataset, earth: np.ndarray) -> tuple[np.ndarray, float, str]:
    """Return positions without a table, their error in seconds, and how they were found."""
    towards, correction = _reference_direction(cube), _correction(cube)
    if towards is None or not correction.any():
        return earth, EARTH_ERROR, "Earth"
    missing = correction * DAY * LIGHT - earth @ towards
    return earth + missing[:, None] * towards, HEADER_ERROR, "Earth and the correction in the headers"


def _reference_direction(cube: xr.Dataset) -> np.ndarray | None:
    """Return the direction that the times of the cube are for; None where it is not known."""
    place = cube.attrs.get("time_place", "ccd")
    if place == "target":
        ra, dec = float(cube.attrs.get("ra", np.nan)), float(cube.attrs.get("dec", np.nan))
        return direction(ra, dec) if np.isfinite(ra) and np.isfinite(dec) else None
    texts = cube["wcs"].values.astype(str) if "wcs" in cube.variables else np.zeros(0, str)
    solved = texts[texts != ""]
    if place != "ccd" or cube.attrs.get("field") or not solved.size:
        return None
    ra, dec = pixel_to_sky(str(solved[solved.size // 2]), [CENTRE[0]], [CENTRE[1]])
    return direction(ra[0], dec[0])


def star_time(
    table: xr.Dataset,
    star: int | None = None,
    *,
    ra: ArrayLike | None = None,
    dec: ArrayLike | None = None,
) -> xr.DataArray:
    """
    Return the barycentric mid-time of every cadence for one star or for all.

    Parameters
    ----------
    table
        The product ``quality`` or ``light_curves``.
    star
        Index of a star of the table; without it and without a position, all of them.
    ra, dec
        Positions in degrees, ICRS, in place of the table's stars: a number, or one for each star.

    Returns
    -------
    BTJD (time) for one star, lazy (star, time) for several. Where the place of the spacecraft is not
    known, the times of the table. Attrs ``star_time_err`` says how wrong they may be, in seconds.

    Raises
    ------
    StepInputError
        If the table does not say where the spacecraft was, or has no stars.
    """
    missing = [n for n in ("time", "timecorr", *SPACECRAFT) if n not in table.variables]
    if ra is None or dec is None:
        missing += [name for name in ("ra", "dec") if name not in table.variables]
    if missing:
        raise StepInputError(
            f"star_time: the table has no {missing}; expected the product quality with ra and dec, or "
            "light_curves. Make it anew."
        )
    if ra is None or dec is None:
        chosen = slice(None) if star is None else star
        ra, dec = table["ra"].values[chosen], table["dec"].values[chosen]
    times, positions = table["time"].values, _positions(table)
    at_spacecraft = times - np.nan_to_num(table["timecorr"].values)
    attrs = {"units": "d", "long_name": "mid-exposure at the barycentre for the star, BTJD"} | {
        name: table.attrs[name] for name in ("spacecraft", "star_time_err") if name in table.attrs
    }

    def times_of(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        found = barycentric_time(at_spacecraft, positions, ra, dec)
        return np.where(np.isfinite(found), found, times)

    coords = {name: table[name].variable for name in ("time", "cadenceno") if name in table.variables}
    if np.ndim(ra) == 0:
        return xr.DataArray(times_of(np.asarray(ra), np.asarray(dec))[0], coords, ("time",), attrs=attrs)
    sky = [da.from_array(np.asarray(values, np.float64), chunks=STARS_AT_ONCE) for values in (ra, dec)]
    lazy = da.map_blocks(
        times_of, *sky, new_axis=1, chunks=(sky[0].chunks[0], (times.size,)), dtype=np.float64
    )
    return xr.DataArray(lazy, coords, ("star", "time"), attrs=attrs)
