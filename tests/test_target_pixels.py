"""TESScut cubes and target pixel files: the cube of FFIs from real files of both missions."""

from __future__ import annotations

import gzip
import os
import warnings
import zipfile

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.geometry import pixel_to_sky, sky_to_pixel
from tasoc_kit.sources.cube import open_cube
from tasoc_kit.sources.frame_reader import open_frames
from tasoc_kit.sources.target_pixels import open_target_pixels, open_target_pixels_by_sector
from tasoc_kit.vocabulary import VARIABLES, KitQuality

S2 = "tess_ffi/tess-s0002-1-2_0.000000_-20.000000_10x15_astrocut.fits"
PI_MEN = "tess_ffi/tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits"
SIRIUS = "tess_ffi/tess2018349182459-s0006-0000000322899250-0126-s_tp_10cad.fits"
WASP_126 = "tess_ffi/tess25155310-s01-first-cadences.fits.gz"
SECTORS = "tess_ffi/tess-multisector_102.7_-70.5_3x3_astrocut.zip"
KEPLER = [f"kepler_pixels/tpf_test_0{k}.fits" for k in range(10)]
K2 = "kepler_pixels/ktwo221312395-c92_lpd-targ.fits.gz"


@pytest.mark.parametrize(
    ("name", "sizes", "unit", "corner"),
    [
        (S2, (1245, 15, 10), ("TESS", 2, 1, 2), (2007, 1357)),
        (PI_MEN, (50, 6, 6), ("TESS", 1, 4, 2), (256, 1627)),
        (SIRIUS, (10, 1287, 11), ("TESS", 6, 2, 3), (761, 674)),
        (WASP_126, (5, 11, 11), ("TESS", 1, 4, 1), (388, 1618)),
        (KEPLER[0], (10, 9, 8), ("Kepler", 12, 2, 4), (243, 857)),
        (K2, (2022, 10, 11), ("K2", 92, 10, 4), (51, 83)),
    ],
)
def test_real_files_open_as_cubes_at_their_place(shared_data, name, sizes, unit, corner):
    cube = open_cube(shared_data(name))
    assert tuple(cube.sizes[dim] for dim in ("time", "row", "column")) == sizes
    assert tuple(cube.attrs[key] for key in ("mission", "sector", "camera", "ccd")) == unit
    assert (int(cube["row"][0]), int(cube["column"][0])) == corner
    assert cube.attrs["field"] == f"r{corner[0]:04d}c{corner[1]:04d}"
    assert (np.diff(cube["time"]) > 0).all()


@pytest.mark.parametrize("name", [S2, PI_MEN, SIRIUS, WASP_126, *KEPLER, K2])
def test_pixels_errors_and_quality_are_those_of_the_table(shared_data, name):
    path = shared_data(name)
    cube, table = open_cube(path), fits.getdata(path, 1)
    for ours, theirs in (("flux", "FLUX"), ("flux_err", "FLUX_ERR"), ("quality", "QUALITY")):
        np.testing.assert_array_equal(cube[ours].values, table[theirs])
    assert cube["flux"].dtype == cube["flux_err"].dtype == np.float32
    for known in (VARIABLES[name] for name in cube.variables):
        assert known.dtype == "str" or cube[known.name].dtype == known.dtype


def test_no_pixel_is_read_on_opening(shared_data, forbid_compute):
    assert open_cube(shared_data(S2))["flux"].chunks[0] == (1245,)


@pytest.mark.parametrize(
    ("name", "zero", "exposure", "cadence"),
    [(PI_MEN, 0.0, 1425.6, 1800.0), (SIRIUS, 0.0, 95.04, 120.0), (KEPLER[0], -2167.0, 1625.35, 1765.46)],
)
def test_times_are_btjd_for_both_missions(shared_data, name, zero, exposure, cadence):
    path = shared_data(name)
    cube = open_cube(path)
    stated = fits.getdata(path, 1)["TIME"] + zero + cube.attrs["time_shift"] / 86400
    np.testing.assert_allclose(cube["time"], stated, rtol=0, atol=1e-9)
    assert cube.attrs["exposure"] == pytest.approx(exposure, abs=0.01)
    assert cube.attrs["cadence"] == cadence
    # Start and end of early releases are put right by numbers of their own, 20 ms apart.
    expected = cadence - (0.02 if cube.attrs["time_shift"] else 0.0)
    np.testing.assert_allclose((cube["time_stop"] - cube["time_start"]) * 86400, expected, atol=0.01)


def test_a_cutout_without_cadence_numbers_is_numbered_by_the_law(shared_data):
    cube = open_cube(shared_data(PI_MEN))
    assert list(cube["cadenceno"].values[[0, -1]]) == [4697, 4746]
    s2 = open_cube(shared_data(S2))["cadenceno"].values
    assert s2[0] == 6079
    assert len(set(s2)) == 1245


def test_a_cutout_is_numbered_from_the_first_number_of_its_header(shared_data):
    cube = open_cube(shared_data(SECTORS), sector=10)["cadenceno"].values
    assert cube[0] == 16415
    assert (np.diff(cube) >= 1).all()


def test_cadence_numbers_of_a_target_pixel_file_are_kept(shared_data):
    assert int(open_cube(shared_data(SIRIUS))["cadenceno"][0]) == 173388


def test_pointing_offsets_are_kept_where_the_file_has_them(shared_data):
    path = shared_data(SIRIUS)
    np.testing.assert_allclose(
        open_cube(path)["pos_corr_column"], fits.getdata(path, 1)["POS_CORR1"], rtol=1e-6
    )
    assert "pos_corr_row" not in open_cube(shared_data(S2))


@pytest.mark.parametrize("name", [S2, PI_MEN, WASP_126, KEPLER[3]])
def test_the_plate_solution_counts_on_the_full_frame(shared_data, name):
    path = shared_data(name)
    cube = open_cube(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        solution = WCS(fits.getheader(path, 2))
    row, column = np.meshgrid(cube["row"], cube["column"], indexing="ij")
    ra, dec = pixel_to_sky(str(cube["wcs"].values[0]), row, column)
    truth = solution.all_pix2world(column - int(cube["column"][0]), row - int(cube["row"][0]), 0)
    np.testing.assert_allclose(ra, truth[0] % 360, atol=1e-9)
    np.testing.assert_allclose(dec, truth[1], atol=1e-9)


def test_pi_mensae_lies_on_the_brightest_pixels_of_its_cutout(shared_data):
    cube = open_cube(shared_data(PI_MEN))
    row, column = sky_to_pixel(str(cube["wcs"].values[0]), 84.29119, -80.46917)
    mean = cube["flux"].mean("time").compute()
    brightest = mean.where(mean == mean.max(), drop=True)
    assert abs(float(brightest["row"][0]) - row) < 1.5
    assert abs(float(brightest["column"][0]) - column) < 1.5


def test_a_zip_holds_one_cube_for_each_sector(shared_data):
    cubes = open_target_pixels_by_sector(shared_data(SECTORS))
    assert list(cubes) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13]
    assert [cube.attrs["ccd"] for cube in cubes.values()] == [3, 3, 3, 4, 4, 4, 1, 1, 1, 2, 2]
    for sector, cube in cubes.items():
        assert cube["cadenceno"].to_index().is_unique
        row, column = sky_to_pixel(str(cube["wcs"].values[0]), 102.7, -70.5)
        assert int(cube["row"][0]) - 0.5 < row < int(cube["row"][-1]) + 0.5, sector
        assert int(cube["column"][0]) - 0.5 < column < int(cube["column"][-1]) + 0.5, sector
    one = open_cube(shared_data(SECTORS), sector=9)
    np.testing.assert_array_equal(one["flux"].values, cubes[9]["flux"].values)


def test_a_zip_of_many_sectors_must_be_told_which(shared_data):
    with pytest.raises(SourceError, match=r"it holds the sectors \[2, 3, .*asked for: None\. Give one"):
        open_cube(shared_data(SECTORS))
    with pytest.raises(SourceError, match="asked for: 11"):
        open_cube(shared_data(SECTORS), sector=11)


def test_a_folder_of_cutouts_opens_by_sector(shared_data, tmp_path):
    with zipfile.ZipFile(shared_data(SECTORS)) as archive:
        names = archive.namelist()[:3]
        archive.extractall(tmp_path, names)
    assert list(open_target_pixels_by_sector(tmp_path)) == [2, 3, 4]


def test_a_cadence_without_a_time_keeps_its_place(shared_data):
    path = shared_data(K2)
    cube = open_cube(path)
    missing = np.isnan(fits.getdata(path, 1)["TIME"])
    assert missing.sum() == 3
    np.testing.assert_array_equal(cube["frame_quality"].values == KitQuality.NO_DATA, missing)
    np.testing.assert_allclose(np.diff(cube["time"]), 1765.46 / 86400, rtol=1e-3)


def test_the_frame_reader_reads_cutouts_too(shared_data):
    cube = open_cube(shared_data(S2)).isel(row=slice(2, 9))
    reader = open_frames(cube)
    out = np.empty(reader.shape, np.float32)
    reader.read(1000, out)
    np.testing.assert_array_equal(out, cube["flux"][1000].values)
    reader.read_err(1000, out)
    np.testing.assert_array_equal(out, cube["flux_err"][1000].values)


def test_a_sector_that_the_file_is_not_of_is_refused(shared_data):
    with pytest.raises(SourceError, match="it is of sector 1, not 4"):
        open_target_pixels(shared_data(PI_MEN), sector=4)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty|Empty"),
        (b"no FITS at all", "no FITS header"),
        (gzip.compress(b"garbage " * 999, mtime=0), "no FITS header"),
    ],
)
def test_what_is_no_fits_file_is_refused_with_the_reason(tmp_path, content, problem):
    path = tmp_path / ("cut.fits.gz" if content[:2] == b"\x1f\x8b" else "cut.fits")
    path.write_bytes(content)
    for opened in (open_cube, open_target_pixels):
        with pytest.raises(SourceError, match=f"cut.fits.*(?:{problem}|no cutout).*Fetch the file again"):
            opened(path)


def test_a_truncated_cutout_is_refused(shared_data, tmp_path):
    path = tmp_path / "cut.fits"
    path.write_bytes(shared_data(PI_MEN).read_bytes())
    os.truncate(path, 40000)
    with pytest.raises(SourceError, match=r"cut\.fits: no cutout or target pixel file"):
        open_target_pixels(path)


def test_a_table_without_pixels_is_refused(tmp_path):
    column = fits.Column("TIME", "D", array=np.arange(3.0))
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column])]).writeto(tmp_path / "lc.fits")
    with pytest.raises(SourceError, match="its table has no FLUX"):
        open_cube(tmp_path / "lc.fits")


def test_a_damaged_archive_and_an_absent_file_are_told(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(SourceError, match="a damaged archive"):
        open_cube(tmp_path / "a.zip")
    with pytest.raises(SourceError, match="there is no FITS file there"):
        open_cube(tmp_path / "absent.fits")
    with pytest.raises(SourceError, match="there is no such file"):
        open_target_pixels(tmp_path / "absent.fits")
    with pytest.raises(SourceError, match="there is no such file"):
        open_cube(tmp_path / "absent.zip")
