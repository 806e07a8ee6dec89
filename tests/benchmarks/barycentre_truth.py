"""Star times against astropy's full computation with a JPL ephemeris, over a CCD and a sector."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr

REAL_EPHEMERIS = "tess_ffi/20180720_tess_ephem.csv"
SECTOR = (1325.3, 1353.2)
"""BTJD of the real sector 1."""
GRID = 5
"""Stars along each side of the CCD, from corner to corner."""


def barycentre_error(data: Path) -> tuple[float, int]:
    """
    Return the largest error of a star time, seconds, and the cadences that were compared.

    Ours is given every second row of the real ephemeris, from the Earth, and asked for the
    times of the others, so that its Earth, its interpolation and its sum are all in the error. astropy takes
    the rows themselves to an EarthLocation and computes with DE421.
    """
    from astropy import units as u
    from astropy.coordinates import GCRS, ITRS, CartesianRepresentation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers
    from skyfield_data import get_skyfield_data_path

    from tasoc_kit.numerics.barycentre import earth_and_sun
    from tasoc_kit.numerics.geometry import pixel_to_sky
    from tasoc_kit.photometry.conditions.spacecraft import star_time
    from tasoc_kit.photometry.quality import make_quality
    from tasoc_kit.simulation.sector import Sector
    from tasoc_kit.simulation.settings import SectorSettings
    from tasoc_kit.sources.ephemeris import read_ephemeris
    from tasoc_kit.vocabulary import SPACECRAFT

    iers.conf.auto_download = False
    kernel = str(Path(get_skyfield_data_path()) / "de421.bsp")
    whole = read_ephemeris(data / REAL_EPHEMERIS)
    rows = np.flatnonzero((whole["time"] > SECTOR[0] - 1) & (whole["time"] < SECTOR[1] + 1))
    near = whole.isel(time=rows)
    places = np.stack([near[name].values for name in SPACECRAFT], axis=1)
    away = places - earth_and_sun(near["time"].values, kernel)[0]
    moved = (away + earth_and_sun(near["time"].values)[0]).T
    table = near.assign({name: ("time", place) for name, place in zip(SPACECRAFT, moved, strict=True)})
    table = table.isel(time=slice(0, None, 2))

    asked = np.arange(1, rows.size - 1, 2)
    times = near["time"].values[asked]
    zeros = np.zeros(times.size, np.int32)
    cadences = {"time": times, "cadenceno": ("time", np.arange(times.size)), "quality": ("time", zeros)}
    quality = make_quality(xr.Dataset(coords=cadences), table)
    edge = np.linspace(0, 2047, GRID)
    field = Sector(SectorSettings(sector=1, camera=1, ccd=2, rows=2048, columns=2048)).field
    ra, dec = pixel_to_sky(field, *(axis.ravel() for axis in np.meshgrid(edge, edge + 44)))
    ours = star_time(quality, ra=ra, dec=dec).compute()

    when = Time(2457000.0, times, format="jd", scale="tdb")
    place = GCRS(CartesianRepresentation(*(away[asked].T * u.km)), obstime=when)
    located = Time(when, location=place.transform_to(ITRS(obstime=when)).earth_location)
    worst = 0.0
    for star in range(ra.size):
        sky = SkyCoord(ra[star] * u.deg, dec[star] * u.deg)
        travel = located.light_travel_time(sky, "barycentric", ephemeris=kernel).to_value("d")
        worst = max(worst, float(np.abs(ours[star].values - (times + travel)).max()) * 86400)
    return worst, times.size


if __name__ == "__main__":
    here = Path(__file__).parents[3] / "shared" / "data"
    print(barycentre_error(Path(os.environ.get("TASOC_TEST_DATA") or here)))
