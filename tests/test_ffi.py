"""FFIs as a lazy cube: right pixels from every kind of file, and flagged frames for bad ones."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.io import fits
from ffi_files import SHAPE, WCS, compress, ffi_name, frame_pixels, write_ffi, write_sector_of

from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.stored_rows import copy_rows
from tasoc_kit.plots.light_curve import pixel_series
from tasoc_kit.provenance import lineage
from tasoc_kit.sources.ffi import open_ffi, science
from tasoc_kit.sources.frame_reader import open_frames, read_frames
from tasoc_kit.vocabulary import VARIABLES, KitQuality

PADDING = (0, 40, 80, 200)


@pytest.fixture
def folder(tmp_path):
    """Four frames whose headers differ in length."""
    place = tmp_path / "sector"
    place.mkdir()
    for number, padding in enumerate(PADDING):
        write_ffi(place, number, padding=padding)
    return place


def pixels_of(frames):
    return np.stack([frame_pixels(number) for number in range(frames)])


def test_every_frame_has_its_own_pixels(folder):
    cube = open_ffi(folder)
    assert cube["flux"].dims == ("time", "row", "column")
    np.testing.assert_array_equal(cube["flux"].values, pixels_of(4))
    np.testing.assert_array_equal(cube["flux_err"].values[:, 0, 0], 0.5 + np.arange(4))


def test_the_real_cropped_frame_is_what_astropy_reads(shared_data):
    path = shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")
    cube = open_ffi(path)
    image, err = fits.getdata(path, 1), fits.getdata(path, 2)
    np.testing.assert_array_equal(cube["flux"][0].values, image)
    stored = cube["flux_err"][0].sel(row=slice(0, 127), column=slice(0, 127)).values
    np.testing.assert_array_equal(stored, err)
    assert np.isnan(cube["flux_err"][0].sel(column=slice(128, 172)).values).all()
    # 1.919 s before what this first release states.
    assert cube["time"].item() == pytest.approx(1325.3291953549 - 1.919 / 86400, abs=1e-9)
    assert cube["cadenceno"].item() == 4697
    assert np.median(image) == pytest.approx(146.7, abs=0.05)


def test_the_uncertainty_follows_the_light_by_label(shared_data):
    cube = open_ffi(shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")).isel(time=0)
    cube = cube.sel(column=slice(44, 127))
    flux, err = cube["flux"].values.ravel(), cube["flux_err"].values.ravel()
    slope = np.polyfit(flux, err**2, 1)[0]
    assert slope == pytest.approx(7.5e-4, rel=0.05)


def test_opening_reads_no_pixel(folder, forbid_compute):
    cube = open_ffi(folder)
    assert cube["flux"].chunks == ((1,) * 4, (SHAPE[0],), (SHAPE[1],))
    assert all(coord.chunks is None for coord in cube.coords.values())


def test_every_name_is_in_the_vocabulary_with_its_type(folder):
    cube = open_ffi(folder)
    for name, variable in cube.variables.items():
        known = VARIABLES[name]
        assert variable.dims == known.dims
        assert known.dtype == "str" or variable.dtype == known.dtype, name


def test_any_selection_reads_the_pixels_it_names(folder):
    truth = xr.DataArray(pixels_of(4), dims=("time", "row", "column"))
    selections = [
        {"time": 2, "row": 5, "column": 7},
        {"time": [3, 0], "row": slice(4, 20, 3), "column": slice(None)},
        {"row": slice(None, None, -1), "column": slice(50, 3, -7)},
        {"time": slice(1, 1)},
        {"row": [5, 2, 9], "column": [1, 0]},
        {"row": [3, 4, 5], "column": slice(10, 20)},
    ]
    for chunks in ("frame", None):
        flux = open_ffi(folder, chunks=chunks)["flux"]
        for selection in selections:
            np.testing.assert_array_equal(flux.isel(selection).values, truth.isel(selection).values)


def test_the_engine_opens_the_same_cube(folder):
    with xr.open_dataset(folder, engine="tess-ffi", chunks={}, camera=1) as cube:
        assert cube["flux"].chunks[0] == (1, 1, 1, 1)
        xr.testing.assert_identical(cube["flux"].compute(), open_ffi(folder)["flux"].compute())
    lazy = xr.open_dataset(str(folder), engine="tess-ffi", drop_variables="flux_err")
    assert set(lazy.data_vars) == {"flux"}


def test_xarray_knows_an_ffi_by_its_name(folder):
    path = sorted(folder.iterdir())[0]
    assert xr.open_dataset(path).attrs["source"] == "ffi"


def test_one_frame_is_a_cube(tmp_path):
    cube = open_ffi(write_ffi(tmp_path, 0))
    assert dict(cube.sizes) == {"time": 1, "row": SHAPE[0], "column": SHAPE[1]}


def test_a_list_of_files_is_a_cube_in_order_of_time(folder):
    files = sorted(folder.iterdir())
    cube = open_ffi([files[2], files[0]])
    np.testing.assert_array_equal(cube["flux"].values, pixels_of(4)[[0, 2]])


def test_a_renamed_file_is_of_the_sector_asked_for(tmp_path):
    write_ffi(tmp_path, 0, name="my_ffic.fits")
    assert open_ffi(tmp_path).attrs["sector"] == 0
    assert open_ffi(tmp_path, sector=7, camera=1).attrs["sector"] == 7


def test_gzip_files_give_the_same_pixels(folder):
    plain = open_ffi(folder).compute()
    for path in sorted(folder.iterdir())[1:3]:
        compress(path)
    packed = open_ffi(folder)
    np.testing.assert_array_equal(packed["flux"].values, plain["flux"].values)
    np.testing.assert_array_equal(packed["flux_err"].values, plain["flux_err"].values)
    reader, out = open_frames(packed), np.empty(SHAPE, np.float32)
    reader.read(2, out)
    np.testing.assert_array_equal(out, plain["flux"][2].values)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no FITS"),
        lambda path: os.truncate(path, 1234),
        lambda path: os.truncate(path, path.stat().st_size - 12 * 2880),
        lambda path: write_ffi(path.parent, 2, image=False),
    ],
    ids=["empty", "text", "cut in the header", "cut in the pixels", "no image"],
)
def test_a_spoiled_frame_keeps_its_cadence_without_pixels(tmp_path, spoil):
    files = write_sector_of(tmp_path, 4, shape=(200, 60), err_shape=None)
    spoil(files[2])
    with pytest.warns(UserWarning, match=f"1 of 4 FFIs cannot be read, the first is .*{files[2].name}"):
        cube = open_ffi(tmp_path)
    assert list(cube["frame_quality"].values & KitQuality.NO_DATA) == [0, 0, KitQuality.NO_DATA, 0]
    assert list(np.isnan(cube["flux"].values).all(axis=(1, 2))) == [False, False, True, False]
    assert (np.diff(cube["time"]) > 0).all()
    assert list(np.diff(cube["cadenceno"])) == [1, 1, 1]
    assert cube.attrs["unreadable"] == 1
    assert files[2].name in json.loads(cube.attrs["problems"])
    out = np.zeros((200, 60), np.float32)
    open_frames(cube).read(2, out)
    assert np.isnan(out).all()


def test_a_spoiled_file_without_a_time_is_named_and_counted(tmp_path):
    files = write_sector_of(tmp_path, 3)
    nameless = tmp_path / "renamed_s_ffic.fits"
    nameless.write_bytes(files[0].read_bytes()[:5000])
    with pytest.warns(UserWarning, match="cannot be read"):
        cube = open_ffi(tmp_path, sector=None)
    assert (cube.sizes["time"], cube.attrs["excluded"]) == (3, 1)
    assert "breaks off" in json.loads(cube.attrs["problems"])[nameless.name]


def test_only_spoiled_files_are_an_error_with_the_reason(tmp_path):
    for path in write_sector_of(tmp_path, 3):
        path.write_text("no FITS")
    with pytest.raises(SourceError, match=r"no FITS header.*none of 3 file\(s\) is an FFI\. Fetch"):
        open_ffi(tmp_path)


def test_no_frame_at_all_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="no FFI"):
        open_ffi(tmp_path)


def test_all_nan_and_all_zero_frames_are_read_as_they_are(tmp_path):
    write_ffi(tmp_path, 0, pixels=np.full(SHAPE, np.nan, np.float32))
    write_ffi(tmp_path, 1, pixels=np.zeros(SHAPE, np.float32))
    flux = open_ffi(tmp_path)["flux"].values
    assert np.isnan(flux[0]).all()
    assert (flux[1] == 0).all()


def test_a_missing_uncertainty_is_nan_in_that_frame_only(tmp_path):
    write_ffi(tmp_path, 0)
    write_ffi(tmp_path, 1, err_shape=None)
    err = open_ffi(tmp_path)["flux_err"].values
    assert np.isfinite(err[0]).all()
    assert np.isnan(err[1]).all()


def test_a_sector_without_uncertainties_has_no_such_variable(tmp_path):
    write_sector_of(tmp_path, 2, err_shape=None)
    assert "flux_err" not in open_ffi(tmp_path)


def test_a_frame_without_a_plate_solution_is_flagged(tmp_path):
    write_ffi(tmp_path, 0)
    write_ffi(tmp_path, 1, wcs={})
    write_ffi(tmp_path, 2, wcs=WCS | {"A_2_0": 0.3, "B_0_2": -0.4})
    cube = open_ffi(tmp_path)
    assert list(cube["frame_quality"].values) == [0, KitQuality.NO_WCS, KitQuality.NO_WCS]
    assert [bool(text) for text in cube["wcs"].values] == [True, False, False]


def test_frames_of_different_shape_share_the_labels(tmp_path):
    write_ffi(tmp_path, 0)
    write_ffi(tmp_path, 1, shape=(30, 40), err_shape=(10, 10))
    cube = open_ffi(tmp_path)
    assert dict(cube.sizes) == {"time": 2, "row": 30, "column": 60}
    np.testing.assert_array_equal(cube["flux"][0, :24].values, frame_pixels(0))
    np.testing.assert_array_equal(cube["flux"][1, :, :40].values, frame_pixels(1, (30, 40)))
    assert np.isnan(cube["flux"][1, :, 40:].values).all()
    assert int(np.isfinite(cube["flux_err"][1].values).sum()) == 100


def test_duplicates_are_counted(tmp_path):
    write_sector_of(tmp_path, 3)
    write_ffi(tmp_path, 1, shift=2 / 86400)
    cube = open_ffi(tmp_path)
    assert (cube.sizes["time"], cube.attrs["duplicates"]) == (3, 1)


def test_quality_and_times_are_those_of_the_headers(tmp_path):
    write_ffi(tmp_path, 0, quality=32)
    write_ffi(tmp_path, 1, quality=2048)
    cube = open_ffi(tmp_path)
    assert list(cube["quality"].values) == [32, 2048]
    np.testing.assert_allclose(cube["time"] - cube["time_start"], 900 / 86400)
    assert (cube.attrs["exposure"], cube.attrs["cadence"]) == (pytest.approx(1425.6), 1800.0)


def test_the_id_of_the_pixels_does_not_depend_on_the_place(folder, tmp_path):
    first = open_ffi(folder).attrs
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    second = open_ffi(moved).attrs
    assert first["provenance_id"] == second["provenance_id"]
    assert lineage(xr.Dataset(attrs=second))[second["provenance_id"]]["step"] == "raw"
    write_ffi(moved, 1, quality=4)
    assert open_ffi(moved).attrs["provenance_id"] != first["provenance_id"]


@pytest.mark.parametrize(("sector", "cadences"), [(1, 1282), (2, 1245)])
def test_a_whole_sector_opens_from_its_listing(shared_data, forbid_compute, sector, cadences):
    path = shared_data(f"tess_ffi/tess-s000{sector}-spoc-ffi-catalog.parquet")
    cube = open_ffi(path, camera=1, ccd=2)
    assert dict(cube.sizes) == {"time": cadences, "row": 2078, "column": 2136}
    assert (np.diff(cube["time"]) > 0.02).all()
    assert cube["file"].values[0].startswith("s3://stpubdata/tess/public/ffi/s000")


def test_a_listing_opens_within_300_mb(shared_data):
    path = shared_data("tess_ffi/tess-s0002-spoc-ffi-catalog.parquet")
    code = (
        "import sys; from tasoc_kit.sources.ffi import open_ffi;"
        "cube = open_ffi(sys.argv[1], camera=1, ccd=2); assert cube.sizes['time'] == 1245;"
        "assert 'numba' not in sys.modules;"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert float(done.stdout) / 1024 < 300


def test_what_a_listing_lacks_is_read_with_the_first_frame(tmp_path):
    files = write_sector_of(tmp_path, 2)
    listing = pd.DataFrame(
        {
            "path": [path.name for path in files],
            "sector": 1,
            "camera": 1,
            "ccd": 2,
            "start": ["2018-10-19T09:41:37", "2018-10-19T10:11:37"],
            "stop": ["2018-10-19T10:11:37", "2018-10-19T10:41:37"],
            "quality": 0,
        }
    )
    listing.to_parquet(tmp_path / "listing.parquet")
    cube = open_ffi(tmp_path / "listing.parquet", base=str(tmp_path))
    assert dict(cube.sizes) == {"time": 2, "row": 2078, "column": 2136}
    np.testing.assert_array_equal(cube["flux"][1, : SHAPE[0], : SHAPE[1]].values, frame_pixels(1))
    assert np.isnan(cube["flux"][1, SHAPE[0] :].values).all()
    out = np.empty(SHAPE, np.float32)
    corner = cube.isel(row=slice(0, SHAPE[0]), column=slice(0, SHAPE[1]))
    open_frames(corner).read(0, out)
    np.testing.assert_array_equal(out, frame_pixels(0))
    open_frames(corner).read_err(0, out)
    assert (out == 0.5).all()


def test_a_file_of_a_listing_that_is_no_ffi_is_nan_with_a_warning(tmp_path):
    row = {"path": ffi_name(1410.9), "sector": 1, "camera": 1, "ccd": 2, "quality": 0}
    row |= {"start": "2018-10-19T09:41:37", "stop": "2018-10-19T10:11:37"}
    pd.DataFrame([row]).to_parquet(tmp_path / "listing.parquet")
    cube = open_ffi(tmp_path / "listing.parquet", base=str(tmp_path)).isel(row=slice(0, 5))
    out = np.zeros((5, 2136), np.float32)
    with pytest.raises(SourceError, match="there is no such file"):
        open_frames(cube).read(0, out)
    (tmp_path / row["path"]).write_text("no FITS")
    with pytest.warns(UserWarning, match="no FITS header.*its pixels are NaN"):
        open_frames(cube).read(0, out)
    assert np.isnan(out).all()


def test_the_science_area_leaves_out_what_sees_no_sky(tmp_path):
    cube = science(open_ffi(write_ffi(tmp_path, 0)))
    assert int(cube["column"][0]) == 44
    assert cube.sizes["column"] == SHAPE[1] - 44


def test_the_frame_reader_reads_what_the_cube_holds(folder):
    cube = open_ffi(folder).isel(time=[3, 1], row=slice(5, 20), column=slice(11, 60))
    reader = open_frames(cube)
    out = np.empty(reader.shape, np.float32)
    for i in range(len(reader)):
        reader.read(i, out)
        np.testing.assert_array_equal(out, cube["flux"][i].values)
        reader.read_err(i, out)
        np.testing.assert_array_equal(out, cube["flux_err"][i].values)
    assert reader.count == 2


def bytes_read() -> int:
    """Return how many bytes this process has read from files so far, from the disk or its cache."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def test_of_a_crop_of_a_crop_only_its_own_rows_are_read(tmp_path):
    shape = (512, 512)
    write_sector_of(tmp_path, 4, shape=shape, err_shape=shape)
    cube = science(open_ffi(tmp_path))
    crop = cube.sel(row=slice(100, 103), column=slice(200, 204))
    read_frames(crop, ("flux", "flux_err"))  # whatever is loaded once is loaded now
    before = bytes_read()
    pixels = read_frames(crop, ("flux", "flux_err"))
    assert 8 * 4 * 5 * 4 <= bytes_read() - before < 8 * 4 * 512 * 4 + 20_000
    for name, values in pixels.items():
        np.testing.assert_array_equal(values, crop[name].values)
    before = bytes_read()
    series = pixel_series(cube, 300, 77)
    assert bytes_read() - before < 4 * 512 * 4 + 20_000
    np.testing.assert_array_equal(series["flux"], cube["flux"].sel(row=300, column=77).values)


def test_the_frame_reader_reads_cubes_with_gaps_and_without_files(folder):
    gaps = open_ffi(folder).isel(column=[3, 9, 4])
    other = open_ffi(folder).isel(row=slice(2, 9)).drop_vars("file")
    for cube in (gaps, other):
        reader = open_frames(cube)
        out = np.empty(reader.shape, np.float32)
        reader.read(2, out)
        np.testing.assert_array_equal(out, cube["flux"][2].values)


def test_windows_give_the_rows_of_plain_packed_and_spoiled_files(tmp_path):
    files = write_sector_of(tmp_path, 4)
    compress(files[1])
    files[2].write_bytes(b"")
    with pytest.warns(UserWarning, match="cannot be read"):
        cube = open_ffi(tmp_path)
    cube = cube.isel(row=slice(3, 20), column=slice(7, 50))
    reader = open_frames(cube)
    frames = range(cube.sizes["time"])
    with reader.windows(frames) as windows:
        assert list(windows.handle >= 0) == [True, False, False, True]
        for i in frames:
            out = np.empty((5, 43), np.float32)
            assert copy_rows(windows, i, 4, out)
            np.testing.assert_array_equal(out, cube["flux"][i, 4:9].values)
    assert reader.count == len(frames)


def test_a_frame_cut_after_it_was_indexed_opens_no_window(folder):
    cube = open_ffi(folder)
    os.truncate(str(cube["file"].values[2]), 9000)
    with pytest.raises(SourceError, match="bytes early"), open_frames(cube).windows([1, 2]):
        raise AssertionError("a window was opened")


def test_the_frame_reader_gives_the_same_from_many_threads(folder):
    cube = open_ffi(folder)
    reader = open_frames(cube)
    truth = pixels_of(4)

    def differs(i):
        out = np.empty(SHAPE, np.float32)
        reader.read(i % 4, out)
        return not np.array_equal(out, truth[i % 4])

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(differs, range(200)))
    assert reader.count == 200


def test_a_frame_that_vanished_is_an_error_and_no_silent_nan(folder):
    cube = open_ffi(folder)
    gone = str(cube["file"].values[1])
    os.remove(gone)
    with pytest.raises(SourceError, match=f"{os.path.basename(gone)}.*Check the path"):
        open_frames(cube).read(1, np.empty(SHAPE, np.float32))


def test_a_frame_cut_after_it_was_indexed_is_an_error(folder):
    cube = open_ffi(folder)
    os.truncate(str(cube["file"].values[0]), 9000)
    with pytest.raises(SourceError, match="bytes early"):
        open_frames(cube).read(0, np.empty(SHAPE, np.float32))


def test_a_cube_and_its_reader_can_be_sent_to_another_process(folder):
    cube, reader = pickle.loads(pickle.dumps((open_ffi(folder), open_frames(open_ffi(folder)))))
    np.testing.assert_array_equal(cube["flux"].values, pixels_of(4))
    out = np.empty(SHAPE, np.float32)
    reader.read(3, out)
    np.testing.assert_array_equal(out, frame_pixels(3))


def test_names_of_frames_are_those_of_the_mission():
    assert ffi_name(1325.3131) == "tess2018206192942-s0001-1-2-0120-s_ffic.fits"
