"""The index of FFIs: what a header scan finds, which files it refuses, how duplicates are resolved."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from ffi_files import BARYCORR, SHAPE, START, WCS, compress, ffi_name, write_ffi, write_sector_of

from tasoc_kit.errors import SourceError
from tasoc_kit.sources import ffi_index
from tasoc_kit.sources.ffi import cube_from_index
from tasoc_kit.sources.ffi_header import header_row
from tasoc_kit.sources.ffi_index import place_in_time, read_index, resolve_duplicates, scan, select_unit


def test_the_header_of_a_real_frame_gives_what_astropy_reads(shared_data):
    path = shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")
    row = header_row(str(path))
    with fits.open(path) as hdus:
        header = hdus[1].header
        assert row["file_offset"] == hdus[1].fileinfo()["datLoc"] == 20160
        assert row["err_offset"] == hdus[2].fileinfo()["datLoc"]
        assert (row["time_start"], row["time_stop"]) == (header["TSTART"], header["TSTOP"])
        assert row["timecorr"] == header["BARYCORR"]
        assert row["checksum"] == header["CHECKSUM"]
        assert (row["file_rows"], row["file_columns"]) == hdus[1].data.shape == (128, 173)
        assert (row["err_rows"], row["err_columns"]) == hdus[2].data.shape == (128, 128)
    assert (row["sector"], row["camera"], row["ccd"], row["quality"]) == (1, 1, 4, 0)
    assert row["exposure"] == pytest.approx(1425.6, abs=0.01)
    assert row["cadence"] == 1800.0
    assert row["problem"] == row["wcs_problem"] == ""


def test_offsets_follow_the_length_of_each_header(tmp_path):
    for number, padding in enumerate((0, 40, 200)):
        write_ffi(tmp_path, number, padding=padding)
    index = scan(tmp_path)
    assert index["file_offset"].nunique() == 3
    for _, row in index.iterrows():
        with fits.open(row["file"]) as hdus:
            assert row["file_offset"] == hdus[1].fileinfo()["datLoc"]
            assert row["err_offset"] == hdus[2].fileinfo()["datLoc"]


@pytest.mark.parametrize("cadence", [1800.0, 600.0, 200.0])
def test_every_cadence_of_the_mission_is_understood(tmp_path, cadence):
    write_sector_of(tmp_path, 3, cadence=cadence, ffi_index=None)
    index = place_in_time(scan(tmp_path))
    assert set(index["cadence"]) == {cadence}
    assert np.allclose(index["exposure"], 0.792 * cadence)
    assert list(np.diff(index["cadenceno"])) == [1, 1]


def test_a_frame_without_a_number_follows_the_law_of_the_early_sectors(shared_data):
    path = shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")
    assert list(place_in_time(scan(path))["cadenceno"]) == [4697]


def test_a_number_in_the_header_is_kept(tmp_path):
    write_ffi(tmp_path, 0, ffi_index=31337)
    assert list(place_in_time(scan(tmp_path))["cadenceno"]) == [31337]


def test_a_gzip_file_gives_the_same_row(tmp_path):
    path = write_ffi(tmp_path, 0)
    plain = header_row(str(path))
    packed = header_row(str(compress(path)))
    different = {key for key in plain if plain[key] != packed[key]}
    assert different == {"file", "name", "size"}


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_text("SELECT * FROM ffi"), "no FITS header"),
        (lambda path: os.truncate(path, 1000), "breaks off"),
        (lambda path: os.truncate(path, path.stat().st_size // 2 // 2880 * 2880), "truncated"),
    ],
    ids=["empty", "text", "cut in the header", "cut in the pixels"],
)
def test_a_spoiled_file_gives_a_row_with_the_reason(tmp_path, spoil, problem):
    path = write_ffi(tmp_path, 0, err_shape=None, shape=(200, 60))
    spoil(path)
    row = header_row(str(path))
    assert problem in row["problem"]
    assert (row["sector"], row["camera"], row["ccd"]) == (1, 1, 2)


def test_gzipped_garbage_and_broken_gzip_give_rows_with_the_reason(tmp_path):
    good = write_ffi(tmp_path, 0).read_bytes()
    garbage, broken = tmp_path / (ffi_name(START) + ".gz"), tmp_path / (ffi_name(START + 1) + ".gz")
    garbage.write_bytes(gzip.compress(b"these are no cards " * 500))
    broken.write_bytes(gzip.compress(good)[:3000])
    text = tmp_path / (ffi_name(START + 2) + ".gz")
    text.write_text("not even gzip")
    assert "no FITS header" in header_row(str(garbage))["problem"]
    assert "damaged gzip data" in header_row(str(broken))["problem"]
    assert "damaged gzip data" in header_row(str(text))["problem"]


def test_a_cut_gzip_file_without_uncertainty_is_found(tmp_path):
    path = write_ffi(tmp_path, 0, err_shape=None, shape=(200, 60))
    os.truncate(path, path.stat().st_size // 2 // 2880 * 2880)
    assert "truncated: the image should end" in header_row(str(compress(path)))["problem"]


def test_a_file_without_an_image_is_told(tmp_path):
    assert "no image HDU" in header_row(str(write_ffi(tmp_path, 0, image=False)))["problem"]


def test_a_file_without_times_is_told(tmp_path):
    path = write_ffi(tmp_path, 0)
    with fits.open(path, mode="update") as hdus:
        del hdus[1].header["TSTART"]
    assert "no TSTART" in header_row(str(path))["problem"]


def test_a_file_without_an_uncertainty_is_usable(tmp_path):
    row = header_row(str(write_ffi(tmp_path, 0, err_shape=None)))
    assert row["problem"] == ""
    assert row["err_offset"] == -1


@pytest.mark.parametrize(
    "wcs",
    [{}, WCS | {"CD1_1": 0.0, "CD1_2": 0.0}, WCS | {"A_2_0": 0.3, "B_0_2": -0.4}],
    ids=["missing", "singular", "not converging"],
)
def test_a_plate_solution_that_cannot_be_used_is_left_out_and_told(tmp_path, wcs):
    row = header_row(str(write_ffi(tmp_path, 0, wcs=wcs)))
    assert row["problem"] == row["wcs"] == ""
    assert "plate solution" in row["wcs_problem"]


def test_a_crop_that_does_not_begin_in_the_corner_is_refused(tmp_path):
    path = write_ffi(tmp_path, 0, wcs=WCS | {"CRPIX1P": 1, "CRVAL1P": 301, "CRPIX2P": 1, "CRVAL2P": 1})
    assert "lower left corner" in header_row(str(path))["problem"]


def test_a_second_scan_reads_only_what_is_new(tmp_path, monkeypatch):
    folder = tmp_path / "sector"
    write_sector_of(folder, 4)
    first = scan(folder)
    read = []
    monkeypatch.setattr(ffi_index, "header_row", lambda url: read.append(url) or header_row(url))
    pd.testing.assert_frame_equal(scan(folder), first)
    assert read == []
    added = write_ffi(folder, 4)
    assert len(scan(folder)) == 5
    assert read == [str(added)]


def test_a_file_that_changed_is_read_again(tmp_path):
    folder = tmp_path / "sector"
    write_sector_of(folder, 1)
    assert list(scan(folder)["quality"]) == [0]
    write_ffi(folder, 0, quality=32)
    assert list(scan(folder)["quality"]) == [32]


def test_a_kept_index_that_is_damaged_is_made_anew(tmp_path):
    folder = tmp_path / "sector"
    write_sector_of(folder, 2)
    first = scan(folder)
    ffi_index._cache_path(folder).write_bytes(b"no parquet")
    pd.testing.assert_frame_equal(scan(folder), first)


def test_a_cache_that_cannot_be_written_is_no_hindrance(tmp_path, monkeypatch):
    folder = tmp_path / "sector"
    write_sector_of(folder, 1)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(ffi_index, "_cache_path", lambda where: tmp_path / "file" / "index.parquet")
    with pytest.warns(UserWarning, match="set TASOC_CACHE"):
        assert len(scan(folder)) == 1


def test_the_progress_of_a_scan_is_told(tmp_path):
    write_sector_of(tmp_path / "sector", 3)
    told = []
    scan(tmp_path / "sector", progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_an_empty_place_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"no FFI of sector 3, camera 1, CCD 2 there; expected files named"):
        scan(tmp_path, sector=3, camera=1, ccd=2)
    with pytest.raises(SourceError, match="nowhere"):
        scan(tmp_path / "nowhere")


def test_frames_of_several_cadences_must_be_told_apart(tmp_path):
    write_sector_of(tmp_path / "long", 4)
    write_sector_of(tmp_path / "short", 6, cadence=600.0, shift=1.0)
    with pytest.raises(
        SourceError, match=r"2 cadences: 600 s \(6 files\), 1800 s \(4 files\); a cube has one"
    ):
        cube_from_index(scan(tmp_path))
    write_sector_of(tmp_path / "short", 40, cadence=600.0, shift=1.0)
    with pytest.warns(UserWarning, match=r"4 file\(s\) of another cadence left out"):
        cube = cube_from_index(scan(tmp_path))
    assert (cube.sizes["time"], cube.attrs["cadence"]) == (40, 600.0)


def test_files_of_several_units_must_be_told_apart(tmp_path):
    write_sector_of(tmp_path, 3)
    write_sector_of(tmp_path, 3, ccd=3)
    index = scan(tmp_path)
    with pytest.raises(SourceError, match=r"s0001-1-2 \(3 files\), s0001-1-3 \(3 files\).*Give sector"):
        select_unit(index)
    assert set(select_unit(index, ccd=3)["ccd"]) == {3}
    with pytest.raises(SourceError, match="no FFI of CCD 4 among 6 files"):
        select_unit(index, ccd=4)


@pytest.mark.parametrize("asked", [{}, {"sector": 1, "camera": 1, "ccd": 2}])
def test_a_frame_of_another_ccd_is_left_out_and_named(tmp_path, asked):
    write_sector_of(tmp_path, 12)
    liar = write_ffi(tmp_path, 20, ccd=3, name=ffi_name(START + 20 / 48))
    index = scan(tmp_path, **asked)
    with pytest.warns(UserWarning, match=rf"1 file\(s\) of another CCD or sector left out.*{liar.name}"):
        assert len(select_unit(index, **asked)) == 12


def test_of_two_readable_files_of_a_cadence_the_later_release_is_kept(tmp_path):
    early = write_ffi(tmp_path, 0, data_rel=2)
    late = write_ffi(tmp_path, 0, data_rel=1, shift=2 / 86400)
    kept, left_out = resolve_duplicates(place_in_time(scan(tmp_path)))
    assert left_out == 1
    assert list(kept["name"]) == [early.name]
    early.unlink()
    assert list(resolve_duplicates(place_in_time(scan(tmp_path)))[0]["name"]) == [late.name]


def test_of_two_files_of_one_release_the_last_by_name_is_kept(tmp_path):
    write_ffi(tmp_path, 0)
    late = write_ffi(tmp_path, 0, shift=2 / 86400)
    assert list(resolve_duplicates(place_in_time(scan(tmp_path)))[0]["name"]) == [late.name]


def test_a_readable_file_goes_before_a_broken_one(tmp_path):
    good = write_ffi(tmp_path, 0)
    write_ffi(tmp_path, 1)
    broken = write_ffi(tmp_path, 0, shift=2 / 86400)
    os.truncate(broken, 100)
    kept, left_out = resolve_duplicates(place_in_time(scan(tmp_path)))
    assert left_out == 1
    assert good.name in set(kept["name"])


def test_a_broken_frame_gets_its_time_from_its_name(tmp_path):
    files = write_sector_of(tmp_path, 6)
    os.truncate(files[3], 100)
    index = place_in_time(scan(tmp_path))
    assert index["time_start"].to_numpy()[3] == pytest.approx(START + BARYCORR + 3 / 48, abs=1.1 / 86400)
    assert list(np.diff(index["cadenceno"])) == [1] * 5


@pytest.mark.parametrize(("sector", "cadences", "duplicates"), [(1, 1282, 0), (2, 1245, 298)])
def test_a_published_listing_gives_each_cadence_of_its_sector_once(shared_data, sector, cadences, duplicates):
    path = shared_data(f"tess_ffi/tess-s000{sector}-spoc-ffi-catalog.parquet")
    index = read_index(path, sector=sector, camera=1, ccd=2)
    kept, left_out = resolve_duplicates(place_in_time(select_unit(index)))
    assert (len(kept), left_out) == (cadences, duplicates)
    assert kept["cadenceno"].is_unique


def test_the_duplicates_of_sector_2_are_resolved_as_the_cutout_service_did(shared_data):
    index = read_index(shared_data("tess_ffi/tess-s0002-spoc-ffi-catalog.parquet"), camera=1, ccd=2)
    kept, _ = resolve_duplicates(place_in_time(index))
    cutout = shared_data("tess_ffi/tess-s0002-1-2_0.000000_-20.000000_10x15_astrocut.fits")
    used = fits.getdata(cutout, 1)["FFI_FILE"]
    length = len(used[0])
    assert [name[:length] for name in kept["name"]] == [name.strip() for name in used]


def test_an_index_written_and_read_again_is_the_same(tmp_path):
    write_sector_of(tmp_path / "sector", 3)
    index = scan(tmp_path / "sector")
    index.to_parquet(tmp_path / "index.parquet", index=False)
    pd.testing.assert_frame_equal(read_index(tmp_path / "index.parquet"), index)
    assert len(read_index(tmp_path / "index.parquet", sector=1, camera=2, ccd=2)) == 0


def test_a_parquet_file_that_is_no_index_is_refused(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(SourceError, match=r"no index: it has the columns \['a'\]"):
        read_index(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(SourceError, match="not a parquet file"):
        read_index(tmp_path / "text.parquet")
    with pytest.raises(SourceError, match="there is no such file"):
        read_index(tmp_path / "absent.parquet")


def test_frames_are_of_the_shape_that_was_written(tmp_path):
    write_sector_of(tmp_path, 1, shape=(30, 50), err_shape=(20, 40))
    row = scan(tmp_path).iloc[0]
    assert (row["file_rows"], row["file_columns"]) == (30, 50)
    assert (row["err_rows"], row["err_columns"]) == (20, 40)
    assert SHAPE != (30, 50)
