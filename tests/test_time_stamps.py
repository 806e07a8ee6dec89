"""Known errors of time stamps: taken out once, of the releases that have them and of no other file."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from ffi_files import BARYCORR, START, write_sector_of

from tasoc_kit.numerics.time_stamps import FIRST_ISSUES, stamp_shift
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.sources.ffi import open_ffi
from tasoc_kit.sources.target_pixels import open_target_pixels

DAY = 86400.0
EARLY, LATE = "spoc-3.3.57-20190215", "spoc-5.0.10-20200904"


@pytest.mark.parametrize(
    ("data_rel", "procver", "place", "product", "middle"),
    [
        (1, EARLY, (1, 1), "ffi", -1.979),
        (26, EARLY, (2, 4), "ffi", -0.419),
        (26, EARLY, (3, 2), "cutout", -1.459),
        (8, EARLY, (4, 4), "target", -1.979),
        (0, EARLY, (4, 1), "target", -1.979),
        (27, FIRST_ISSUES[27][0], (4, 3), "ffi", -0.939),
        (27, FIRST_ISSUES[27][0], (4, 3), "target", -1.979),
        (27, "spoc-4.0.21-20200227", (4, 3), "ffi", 0.0),
        (27, EARLY, (4, 3), "cutout", 0.0),
        (29, FIRST_ISSUES[29][2], (4, 3), "ffi", -1.979),
        (29, "spoc-4.0.26-20200323", (4, 3), "ffi", 0.0),
        (28, FIRST_ISSUES[27][2], (1, 1), "ffi", 0.0),
        (42, LATE, (4, 2), "ffi", 0.0),
        (42, "0.10.0", (4, 2), "cutout", 0.0),
        (1, "simulation-1", (2, 2), "ffi", 0.0),
        (0, "", (2, 2), "ffi", 0.0),
    ],
)
def test_each_release_is_shifted_as_its_notes_say(data_rel, procver, place, product, middle):
    shift = stamp_shift(data_rel, procver, *place, product)
    assert shift.middle == pytest.approx(middle, abs=1e-9)
    assert shift.reason.startswith("shifted" if middle else "as stated")
    if middle:
        assert shift.start - shift.middle == pytest.approx(0.010)
        assert shift.stop - shift.middle == pytest.approx(-0.010)


def test_early_frames_get_the_times_that_the_mission_gave_them_later(shared_data):
    # Cadence 4697: release 1 of another camera has the common clock, release 42 the true time.
    with fits.open(shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")) as hdus:
        clock = 0.5 * (hdus[0].header["TSTART"] + hdus[0].header["TSTOP"])
    cutout = open_target_pixels(shared_data("tess_ffi/tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits"))
    assert cutout["cadenceno"].values[0] == 4697
    assert cutout.attrs["time_shift"] == 0.0
    true = float(cutout["time"][0] - cutout["timecorr"][0])
    expected = clock + stamp_shift(1, EARLY, 4, 2).middle / DAY
    assert abs(true - expected) * DAY < 0.015
    assert abs(true - clock) * DAY > 0.9


def test_a_real_frame_of_release_1_is_put_right_and_says_so(shared_data):
    path = shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")
    cube, header = open_ffi(path), fits.getheader(path, 1)
    assert float(cube["time_start"][0] - header["TSTART"]) * DAY == pytest.approx(0.06 - 1.969, abs=1e-4)
    assert float(cube["time_stop"][0] - header["TSTOP"]) * DAY == pytest.approx(0.06 - 1.989, abs=1e-4)
    quality = make_quality(cube)
    assert quality.attrs["time_shift"] == cube.attrs["time_shift"] == pytest.approx(-1.919)
    assert (quality.attrs["data_rel"], quality.attrs["procver"]) == (1, "spoc-3.3.31-20180902")
    assert "release 1" in quality.attrs["time_stamps"]
    np.testing.assert_array_equal(quality["time"], cube["time"])


def test_opening_a_folder_again_from_its_kept_index_shifts_no_further(tmp_path):
    for path in write_sector_of(tmp_path, 3, data_rel=5):
        fits.setval(path, "PROCVER", value=EARLY, ext=0)
    once, again = open_ffi(tmp_path), open_ffi(tmp_path)
    np.testing.assert_array_equal(once["time"], again["time"])
    shift = float(once["time_start"][0]) - (START + BARYCORR)
    assert shift * DAY == pytest.approx(0.02 - 1.969, abs=1e-4)


def test_simulated_frames_are_right_as_they_are(sector):
    assert sector.cube.attrs["time_shift"] == 0.0
    assert "simulation" in sector.light_curves.attrs["time_stamps"]
    np.testing.assert_allclose(sector.cube["time"], sector.truth.time, rtol=0, atol=1e-9)
