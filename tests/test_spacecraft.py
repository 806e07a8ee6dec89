"""Star times: equal to those of real SPOC products with a table, within their stated error without."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.barycentre import LIGHT, barycentric_time, direction, earth_and_sun
from tasoc_kit.numerics.geometry import pixel_to_sky
from tasoc_kit.photometry.conditions.spacecraft import HEADER_ERROR, star_time
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.sources.ephemeris import read_ephemeris
from tasoc_kit.sources.ffi import open_ffi
from tasoc_kit.sources.target_pixels import open_target_pixels
from tasoc_kit.vocabulary import SPACECRAFT

EPHEMERIS = "tess_ffi/20180720_tess_ephem.csv"
FFI = "tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits"
DAY = 86400.0


@pytest.fixture(scope="module")
def ephemeris(shared_data):
    return read_ephemeris(shared_data(EPHEMERIS))


def orbit(cube: xr.Dataset, away: float = 300_000.0, **attrs: object) -> xr.Dataset:
    """Return a table that covers a cube, of a spacecraft that far from the Earth along x."""
    times = np.arange(cube["time"].values[0] - 1, cube["time"].values[-1] + 1, 1 / 48)
    place = earth_and_sun(times)[0] + np.array([away, 0, 0])
    return xr.Dataset(
        dict(zip(SPACECRAFT, (("time", p) for p in place.T), strict=True)),
        {"time": times},
        {"source": "orbit.csv"} | attrs,
    )


def test_the_times_of_a_real_light_curve_are_found(ephemeris, shared_data):
    # A star of low proper motion, in all of sector 1, in a product that SPOC made in 2018.
    with fits.open(
        shared_data("lightcurves/hlsp_tess-data-alerts_tess_phot_00025155310-s01_tess_v1_lc.fits")
    ) as hdus:
        table, header = hdus[1].data, hdus[1].header
        good = np.isfinite(table["TIME"])
        times, correction = table["TIME"][good].astype(float), table["TIMECORR"][good].astype(float)
    quality = xr.Dataset(
        {"quality": ("time", np.zeros(times.size, np.int32)), "cadenceno": ("time", np.arange(times.size))},
        {"time": times, "timecorr": ("time", correction)},
    )
    made = make_quality(quality, ephemeris)
    ours = star_time(made, ra=header["RA_OBJ"], dec=header["DEC_OBJ"])
    assert np.abs(ours - times).max() * DAY < 1e-3
    assert made.attrs["star_time_err"] == 1e-3


def test_the_correction_of_a_real_frame_is_that_of_its_centre(ephemeris, shared_data):
    cube = open_ffi(shared_data(FFI))
    quality = make_quality(cube, ephemeris)
    ra, dec = pixel_to_sky(str(cube["wcs"].values[0]), [1023.0], [1067.0])
    ours = star_time(quality, ra=ra[0], dec=dec[0])
    assert np.abs(ours.values - cube["time"].values).max() * DAY < 2e-3


TARGET_FILES = (
    "tess25155310-s01-first-cadences.fits.gz",
    "tess2018349182459-s0006-0000000322899250-0126-s_tp_10cad.fits",
)


@pytest.mark.parametrize("name", TARGET_FILES)
def test_the_times_of_a_target_file_are_those_of_its_target(ephemeris, shared_data, name):
    cube = open_target_pixels(shared_data(f"tess_ffi/{name}"))
    for table in (None, ephemeris):
        ours = star_time(make_quality(cube, table), ra=cube.attrs["ra"], dec=cube.attrs["dec"])
        assert np.abs(ours - cube["time"]).max() * DAY < 3e-3


def test_a_cutout_is_a_minute_off_and_the_earth_alone_nearly_cures_it(ephemeris, shared_data):
    cube = open_target_pixels(shared_data("tess_ffi/tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits"))
    place = {"ra": cube.attrs["ra"], "dec": cube.attrs["dec"]}
    exact, near = (star_time(make_quality(cube, table), **place) for table in (ephemeris, None))
    assert float(np.abs(exact - cube["time"]).max()) * DAY > 40
    assert float(np.abs(exact - near).max()) * DAY < near.attrs["star_time_err"]


def test_without_a_table_the_corners_of_a_ccd_are_within_the_stated_error(sector):
    cube, away = sector.cube, 390_000.0
    wcs = str(cube["wcs"].values[len(cube.time) // 2])
    ra, dec = pixel_to_sky(wcs, [0.0, 0.0, 2047.0, 2047.0], [44.0, 2091.0, 44.0, 2091.0])
    centre = direction(*(v[0] for v in pixel_to_sky(wcs, [1023.0], [1067.0])))
    spacecraft = earth_and_sun(cube["time"].values - cube["timecorr"].values)[0]
    across = np.cross(centre, [0, 0, 1])
    spacecraft = spacecraft + away * across / np.linalg.norm(across)
    correction = spacecraft @ centre / LIGHT / DAY
    told = cube.assign_coords(
        time=cube["time"].values - cube["timecorr"].values + correction, timecorr=("time", correction)
    )
    made = make_quality(told)
    ours = star_time(made, ra=ra, dec=dec).values
    truth = barycentric_time(told["time"].values - told["timecorr"].values, spacecraft, ra, dec)
    assert 0.05 < np.abs(ours - truth).max() * DAY < HEADER_ERROR == made.attrs["star_time_err"]
    assert np.abs(told["time"].values - truth).max() * DAY > 10


def test_the_times_of_simulated_stars_are_those_they_vary_by(sector):
    quality = make_quality(sector.cube)
    row, column = sector.truth.stars.row[:5], sector.truth.stars.column[:5]
    ra, dec = pixel_to_sky(sector.truth.field, row, column)
    truth = sector.truth.schedule.middle[sector.truth.places] + (sector.truth.earth @ direction(ra, dec).T).T
    assert np.abs(star_time(quality, ra=ra, dec=dec) - truth).max() * DAY < 2e-3


def test_times_of_all_stars_are_lazy_and_equal_to_those_of_each(sector, forbid_compute):
    lazy = star_time(sector.light_curves)
    assert lazy.dims == ("star", "time")
    one = star_time(sector.light_curves, 3)
    np.testing.assert_array_equal(lazy[3].data.compute(scheduler="synchronous"), one.values)
    assert one.attrs["star_time_err"] == HEADER_ERROR


def test_an_ephemeris_of_another_time_is_refused(sector):
    late = orbit(sector.cube).assign_coords(time=lambda table: table["time"] + 400)
    with pytest.raises(
        StepInputError, match=r"orbit\.csv covers BTJD 1\d\d\d\.\d\d–.* 0 of 48 cadences.*Fetch it"
    ):
        make_quality(sector.cube, late)


def test_an_ephemeris_that_ends_early_warns_and_the_rest_stays_near(sector):
    table = orbit(sector.cube)
    middle = float(sector.cube["time"].mean())
    short = table.sel(time=slice(None, middle))
    with pytest.warns(UserWarning, match=r"covers .* cadences.*the others take the place of the Earth"):
        made = make_quality(sector.cube, short)
    whole = make_quality(sector.cube, table)
    assert 0 < made.attrs["spacecraft_uncovered"] < 48
    difference = np.abs(star_time(made, ra=1.0, dec=2.0) - star_time(whole, ra=1.0, dec=2.0)) * DAY
    assert float(difference[0]) == 0
    assert 0 < float(difference.max()) < 1.4


def test_an_ephemeris_of_something_else_is_refused(sector):
    with pytest.raises(
        StepInputError, match=r"puts the spacecraft 1e\+06 km from the Earth.*Check its target"
    ):
        make_quality(sector.cube, orbit(sector.cube, away=1e6))


def test_another_mission_keeps_its_times(sector):
    kepler = sector.cube.assign_attrs(mission="Kepler")
    made = make_quality(kepler)
    np.testing.assert_array_equal(star_time(made, ra=10.0, dec=20.0), sector.cube["time"])
    assert made.attrs["spacecraft"] == "unknown"


def test_a_table_without_the_place_is_refused(sector):
    with pytest.raises(StepInputError, match=r"star_time: the table has no \['spacecraft_x'\]"):
        star_time(sector.light_curves.drop_vars("spacecraft_x"))
    with pytest.raises(StepInputError, match=r"no \['ra', 'dec'\].*quality with ra and dec"):
        star_time(sector.quality)
