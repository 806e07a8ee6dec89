"""The spacecraft's positions: Horizons, plain CSV and SPICE, all origins and units; what is refused."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from tasoc_kit.errors import SourceError, install_line
from tasoc_kit.numerics.barycentre import AU, earth_and_sun
from tasoc_kit.sources.ephemeris import read_ephemeris
from tasoc_kit.vocabulary import SPACECRAFT

TIMES = 1410.0 + np.arange(8) / 48


def horizons(centre: str = "Solar System Barycenter (0)", units: str = "AU-D", frame: str = "ICRF") -> str:
    """Return the text of a table as Horizons writes it."""
    scale = AU if units.startswith("AU") else 1.0
    place = earth_and_sun(TIMES)[0] / scale
    rows = "\n".join(
        f"{2457000 + t:.9f}, A.D. 2018-Oct-18 12:00:00.0000, {x:.15E}, {y:.15E}, {z:.15E},"
        for t, (x, y, z) in zip(TIMES, place, strict=True)
    )
    return (
        f"Center body name: {centre}     {{source: DE441}}\nOutput units    : {units}\n"
        f"Reference frame : {frame}\n JDTDB, Calendar Date (TDB), X, Y, Z,\n$$SOE\n{rows}\n$$EOE\n"
    )


def places_of(table):
    return np.stack([table[name].values for name in SPACECRAFT], axis=1)


def test_the_real_table_of_horizons_is_read(shared_data):
    table = read_ephemeris(shared_data("tess_ffi/20180720_tess_ephem.csv"))
    assert table.sizes["time"] == 10225
    assert table["time"].values[[0, -1]] == pytest.approx([1270.5, 1483.5])
    away = np.linalg.norm(places_of(table) - earth_and_sun(table["time"])[0], axis=1)
    # Perigee and apogee of the orbit (Ricker+ 2015), wider while the orbit was being raised.
    sector = slice(*np.searchsorted(table["time"], [1354, 1382]))
    assert away[sector].min() > 90_000
    assert away[sector].max() < 400_000


@pytest.mark.parametrize("units", ["AU-D", "KM-S"])
def test_both_units_of_horizons_give_the_same_places(tmp_path, units):
    path = tmp_path / "table.csv"
    path.write_text(horizons(units=units))
    table = read_ephemeris(path)
    np.testing.assert_allclose(places_of(table), earth_and_sun(TIMES)[0], rtol=1e-9)


@pytest.mark.parametrize("unit", ["km", "au"])
@pytest.mark.parametrize("origin", ["barycentre", "earth"])
def test_a_plain_table_may_start_from_either_origin(tmp_path, unit, origin):
    scale = AU if unit == "au" else 1.0
    places = (np.full((8, 3), 1e5) if origin == "earth" else earth_and_sun(TIMES)[0] + 1e5) / scale
    rows = "\n".join(",".join(f"{v:.17g}" for v in (t, *xyz)) for t, xyz in zip(TIMES, places, strict=True))
    path = tmp_path / "table.csv"
    path.write_text(f"# origin: {origin}\ntime, x_{unit}, y_{unit}, z_{unit}\n{rows}\n")
    table = read_ephemeris(path)
    np.testing.assert_allclose(places_of(table), earth_and_sun(TIMES)[0] + 1e5, atol=1)
    (tmp_path / "copy.csv").write_text(path.read_text())
    assert read_ephemeris(tmp_path / "copy.csv").attrs["provenance_id"] == table.attrs["provenance_id"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (horizons(frame="Ecliptic of J2000.0"), "in the frame 'Ecliptic'"),
        (horizons(centre="Sun (10)"), r"from 'Sun \(10\)'"),
        (horizons(units="LD-H"), "in 'LD'"),
        ("time,x_km,y_km,z_km\n1,2,3,4\n", "1 rows of positions, too few"),
        ("time,x_km,y_km,z_km\n1,2,3,four\n", "what is no number"),
        ("# origin: mars\ntime,x_km,y_km,z_km\n1,2,3,4\n", "positions from 'mars'"),
        ("tic,ra,dec\n1,2,3\n", r"columns \['tic', 'ra', 'dec'\]"),
        ("", "no ephemeris"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, text, problem):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=rf"table\.csv: .*({problem}).*Fetch target -95 from Horizons"):
        read_ephemeris(path)


def write_kernel(path, times, places, body, centre):
    """Write places (BTJD, km) as a kernel of SPICE, between which it interpolates by polynomials."""
    spice = pytest.importorskip("spiceypy")
    seconds = (times + 2457000.0 - 2451545.0) * 86400.0
    states = np.hstack([places, np.gradient(places, seconds, axis=0)])
    handle = spice.spkopn(str(path), "test", 0)
    span = seconds[0], seconds[-1]
    spice.spkw09(handle, body, centre, "J2000", *span, "test", 9, len(seconds), states, seconds)
    spice.spkcls(handle)


@pytest.mark.parametrize("centre", [399, 0])
def test_a_kernel_of_spice_tells_what_the_table_of_horizons_does(shared_data, tmp_path, centre):
    table = read_ephemeris(shared_data("tess_ffi/20180720_tess_ephem.csv"))
    table = table.isel(time=slice(*np.searchsorted(table["time"], [1354, 1368])))
    times, places = table["time"].values, places_of(table)
    write_kernel(tmp_path / "tess.bsp", times, places - (centre > 0) * earth_and_sun(times)[0], -95, centre)
    found = read_ephemeris(tmp_path / "tess.bsp")
    assert found.attrs["origin"] == ("earth" if centre else "barycentre")
    assert found["time"].values[[0, -1]] == pytest.approx(times[[0, -1]], abs=1e-8)
    between = np.interp(times[1:-1], found["time"], np.arange(found.sizes["time"]))
    nearest = np.rint(between).astype(int)
    same = np.abs(found["time"].values[nearest] - times[1:-1]) < 1e-6
    assert same.sum() > 300
    away = places_of(found)[nearest][same] - places[1:-1][same]
    # A microday of doubt about the time is two kilometres at the speed of the Earth.
    assert np.abs(away).max() < 4


def test_a_kernel_of_another_body_or_of_nothing_is_refused(tmp_path):
    path = tmp_path / "other.bsp"
    write_kernel(path, np.linspace(1354, 1355, 49), np.full((49, 3), 1e5), -96, 399)
    with pytest.raises(SourceError, match=r"other\.bsp.*TESS"):
        read_ephemeris(path)
    path.write_bytes(b"DAF/SPK and nothing else")
    with pytest.raises(SourceError, match=r"other\.bsp.*SPICE does not read"):
        read_ephemeris(path)


def test_without_spice_a_kernel_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "tess.bsp").write_bytes(b"DAF/SPK ")
    monkeypatch.setitem(sys.modules, "spiceypy", None)
    with pytest.raises(SourceError, match=re.escape(f"Install it: {install_line('spice')}; or take vectors")):
        read_ephemeris(tmp_path / "tess.bsp")
