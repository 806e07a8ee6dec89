"""Tables of the spacecraft's positions: Horizons and plain CSV, both origins, both units; what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tasoc_kit.errors import SourceError
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
