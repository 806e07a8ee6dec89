"""Barycentric times: equal to astropy's with a JPL ephemeris, and to what real headers and tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time

from tasoc_kit.numerics.barycentre import (
    LIGHT,
    barycentric_time,
    direction,
    earth_and_sun,
    interpolate,
    light_travel_time,
)

TIMES = 1325.3 + np.linspace(0, 27, 40)
RA, DEC = np.array([0.0, 84.29, 231.5]), np.array([-20.0, -80.47, 66.0])


@pytest.fixture(scope="module")
def kernel() -> str:
    """A JPL kernel on this machine."""
    data = pytest.importorskip("skyfield_data", reason="JPL kernel: skyfield_data is not installed")
    return str(Path(data.get_skyfield_data_path()) / "de421.bsp")


def test_earth_and_sun_are_where_jpl_has_them(kernel):
    for ours, theirs in zip(earth_and_sun(TIMES), earth_and_sun(TIMES, kernel), strict=True):
        assert np.linalg.norm(ours - theirs, axis=1).max() < 20  # km; 0.07 ms of light


def test_star_times_are_those_of_astropy_with_a_jpl_ephemeris(kernel):
    # A place on the rotating Earth stands for the spacecraft; astropy goes through ITRS and GCRS.
    place = EarthLocation.from_geocentric(3000, -5200, 2100, unit="km")
    when = Time(2457000.0, TIMES, format="jd", scale="tdb", location=place)
    offset = place.get_gcrs_posvel(when)[0].xyz.to_value("km").T
    positions = earth_and_sun(TIMES)[0] + offset
    ours = light_travel_time(TIMES, positions, RA, DEC)
    for k, (ra, dec) in enumerate(zip(RA, DEC, strict=True)):
        theirs = when.light_travel_time(SkyCoord(ra * u.deg, dec * u.deg), "barycentric", ephemeris=kernel)
        assert np.abs(ours[k] - theirs.to_value("s")).max() < 1e-4


def test_the_delay_of_the_sun_is_microseconds_away_from_it_and_grows_beside_it():
    earth, sun = earth_and_sun(TIMES[:1])
    to_sun = (sun - earth)[0]
    ra, dec = (
        np.degrees(np.arctan2(to_sun[1], to_sun[0])),
        np.degrees(np.arcsin(to_sun[2] / np.linalg.norm(to_sun))),
    )
    shapiro = [
        float((light_travel_time(TIMES[:1], earth, r, d) - direction(r, d) @ earth[0] / LIGHT).item())
        for r, d in ((ra + 180, -dec), (ra, dec + 1))
    ]
    assert shapiro[0] == pytest.approx(6.83e-6, rel=0.01)  # 2 GM/c³ ln 2
    assert -1e-4 < shapiro[1] < -5e-5


def test_a_star_at_the_pole_of_the_orbit_has_hardly_a_correction():
    year = 1325.0 + np.arange(0, 365, 5.0)
    pole = barycentric_time(year, earth_and_sun(year)[0], 270.0, 66.5607)
    assert np.abs(pole - year).max() * 86400 < 5
    plane = barycentric_time(year, earth_and_sun(year)[0], 0.0, 0.0)
    assert np.ptp(plane - year) * 86400 == pytest.approx(998, abs=10)


def test_a_table_is_bridged_smoothly_but_not_extended():
    rows = np.arange(0, 10, 0.1)
    circle = np.stack([np.cos(rows), np.sin(rows), 0 * rows], axis=1)
    at = np.array([-0.01, 0.0, 3.14159, 9.9, 9.91])
    found = interpolate(rows, circle, at, longest=0.25)
    np.testing.assert_array_equal(np.isnan(found[:, 0]), [True, False, False, False, True])
    assert found[2] == pytest.approx([np.cos(3.14159), np.sin(3.14159), 0], abs=1e-6)
    gap = np.delete(np.arange(100), [50, 51])
    assert np.isnan(interpolate(rows[gap], circle[gap], np.array([5.05]), longest=0.25)).all()
