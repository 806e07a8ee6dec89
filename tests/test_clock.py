"""Time scales: equal to astropy.time, and to what real headers say of themselves."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from tasoc_kit.numerics.clock import (
    btjd_from_name_stamp,
    btjd_from_utc,
    cadence_number,
    julian_year,
    utc_from_btjd,
)

STAMPS = ["2018-07-25T19:37:53.295", "2020-02-29T23:59:59.999", "2025-12-31T00:00:00.000"]


def test_dates_agree_with_astropy_to_a_microsecond():
    truth = Time(STAMPS, scale="utc").tdb
    expected = (truth.jd1 - 2457000) + truth.jd2
    np.testing.assert_allclose(btjd_from_utc(STAMPS), expected, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(btjd_from_utc([s + "Z" for s in STAMPS]), btjd_from_utc(STAMPS))


def test_dates_go_there_and_back():
    assert list(utc_from_btjd(btjd_from_utc(STAMPS))) == STAMPS
    assert str(utc_from_btjd(btjd_from_utc(STAMPS[:1])[0])) == STAMPS[0]


def test_no_date_is_no_time():
    assert btjd_from_utc([]).size == 0
    assert btjd_from_name_stamp([]).size == 0


def test_the_times_of_a_real_header_are_its_dates(shared_data):
    path = shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")
    for hdu in (0, 1):
        header = fits.getheader(path, hdu)
        assert abs(btjd_from_utc([header["DATE-OBS"]])[0] - header["TSTART"]) * 86400 < 2e-3
    start = fits.getheader(path, 0)["TSTART"]
    assert 0 <= (start - btjd_from_name_stamp(["2018206192942"])[0]) * 86400 < 1


def test_name_stamps_count_days_from_new_year():
    leap = btjd_from_name_stamp(["2020366235959", "2021001000000"])
    np.testing.assert_allclose(np.diff(leap) * 86400, 1.0, atol=1e-4)


@pytest.mark.parametrize(("middle", "number"), [(1325.323517, 4697), (1325.3442, 4698), (1354.115172, 6079)])
def test_the_law_of_cadence_numbers_holds_at_the_early_sectors(middle, number):
    assert cadence_number(middle) == number


def test_the_law_gives_the_numbers_that_later_headers_state(shared_data):
    archive = zipfile.ZipFile(shared_data("tess_ffi/tess-multisector_102.7_-70.5_3x3_astrocut.zip"))
    stated = 0
    for name in archive.namelist():
        with fits.open(io.BytesIO(archive.read(name))) as hdus:
            if "FFIINDEX" in hdus[0].header:
                first = hdus[1].data[0]
                assert cadence_number(first["TIME"] - first["TIMECORR"]) == hdus[0].header["FFIINDEX"]
                stated += 1
    assert stated == 7


def test_the_law_counts_every_cadence_once():
    times = 1325.3235 + np.arange(3000) * 1800.2 / 86400
    assert list(np.unique(np.diff(cadence_number(times)))) == [1]
    fast = 2036.0 + np.arange(500) / 144
    assert list(np.unique(np.diff(cadence_number(fast, 600.0)))) == [1]


def test_the_julian_year_is_astropys():
    assert julian_year(1325.0) == pytest.approx(Time(2458325.0, format="jd", scale="tdb").jyear, abs=1e-12)
