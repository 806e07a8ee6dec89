"""Simulated sectors on disk: real SPOC FFIs, whole or absent, the same from any run."""

from __future__ import annotations

import filecmp
import json
import multiprocessing
import os
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from tasoc_kit.errors import SourceError
from tasoc_kit.simulation import Sector, open_truth, read_sector, write_sector
from tasoc_kit.storage.whole_file import PART

OURS = {"ORIGIN", "CREATOR", "CHECKSUM"}
SMALL = {"rows": 128, "columns": 128, "frames": 6, "first": 118, "seed": 21}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    goal = tmp_path_factory.mktemp("sectors") / "small"
    write_sector(goal, **SMALL)
    return goal


@pytest.fixture(scope="module")
def files(folder):
    return sorted(folder.glob("*.fits"))


def cards_of(path):
    with fits.open(path) as hdus:
        return [hdu.header.copy() for hdu in hdus]


def test_astropy_opens_every_file_and_every_checksum_holds(files):
    assert len(files) == 6
    for path in files:
        with warnings.catch_warnings(), fits.open(path, checksum=True) as hdus:
            warnings.simplefilter("error")
            hdus.verify("exception")
            assert [hdu.verify_checksum() for hdu in hdus] == [1, 1, 1]
            assert [hdu.verify_datasum() for hdu in hdus] == [1, 1, 1]
            assert path.stat().st_size % 2880 == 0


def test_the_cards_are_those_of_a_real_frame(files, shared_data):
    real = cards_of(shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits"))
    ours = cards_of(files[0])
    for theirs, mine in zip(real, ours, strict=True):
        known = {key.replace("TMOFST14", "TMOFST12") for key in theirs}
        assert known - set(mine) == set()
        assert set(mine) - known <= {"DATASUM", "COMMENT"}
        for key in known & set(theirs):
            assert type(mine[key]) is type(theirs[key]), key
            assert mine.comments[key][:24] == theirs.comments[key][:24] or key in OURS, key


def test_times_are_btjd_in_the_image_and_tjd_in_the_primary(files):
    primary, image, _ = cards_of(files[0])
    for key in ("TSTART", "TSTOP"):
        assert image[key] - image["BARYCORR"] == pytest.approx(primary[key], abs=1e-9)
    assert image["EXPOSURE"] * 86400 == pytest.approx(1425.6)
    assert primary["TSTART"] == pytest.approx(1325.3131006 + 118 / 48, abs=1e-6)


def test_the_first_frame_of_sector_1_has_the_name_and_the_times_of_the_real_one(tmp_path, shared_data):
    real = shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")
    write_sector(tmp_path / "first", rows=64, columns=64, frames=1, ccd=4)
    ours = next((tmp_path / "first").glob("*.fits"))
    assert ours.name == real.name
    for theirs, mine in zip(cards_of(real)[:2], cards_of(ours)[:2], strict=True):
        assert mine["TSTART"] == pytest.approx(theirs["TSTART"], abs=3e-5)
        assert mine["DATE-OBS"][:18] == theirs["DATE-OBS"][:18]


def test_the_place_of_the_pixels_differs_from_frame_to_frame(files):
    offsets = set()
    for path in files:
        with fits.open(path) as hdus:
            offsets.add(hdus[1].fileinfo()["datLoc"])
    assert len(offsets) >= 2


def test_a_crop_keeps_the_lower_left_corner_with_its_leading_columns(files):
    with fits.open(files[0]) as hdus:
        assert hdus[1].data.shape == hdus[2].data.shape == (128, 172)
        assert np.abs(hdus[1].data[:, :44]).max() < 1
        assert np.median(hdus[1].data[:, 44:]) > 50


def test_a_whole_chip_has_the_full_frame(tmp_path):
    write_sector(tmp_path / "full", rows=2048, columns=2048, frames=1, star_density=100.0, variables=False)
    with fits.open(next((tmp_path / "full").glob("*.fits"))) as hdus:
        assert hdus[1].data.shape == hdus[2].data.shape == (2078, 2136)
        assert np.abs(hdus[1].data[2048:]).max() < 1
        assert np.abs(hdus[1].data[:, 2092:]).max() < 1


def test_the_plate_solution_of_each_frame_puts_the_stars_where_they_are(files):
    sector = Sector(**{**SMALL, "wcs_noise": 0.0})
    noisy = open_truth(files[0].parent)
    for index, path in enumerate(files):
        if sector.schedule.dump[sector.places[index]]:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            solution = WCS(cards_of(path)[1])
        column, row = solution.all_world2pix(noisy.ra, noisy.dec, 0, tolerance=1e-6)
        true_row, true_column = sector.star_positions(index)
        for error in (row - true_row, column - true_column):
            assert np.ptp(error) < 1e-4
            assert abs(error.mean()) < 5 * 0.002


def test_a_momentum_dump_is_flagged_and_has_no_plate_solution(files):
    headers = [cards_of(path)[1] for path in files]
    quality = [header["DQUALITY"] for header in headers]
    assert quality.count(36) == 1
    assert "CRVAL1" not in headers[quality.index(36)]
    assert "CRVAL1" in headers[quality.index(0)]


def test_later_sectors_state_their_cadence_and_early_ones_do_not(tmp_path, files):
    assert "FFIINDEX" not in cards_of(files[0])[0]
    for sector, cadence in ((6, 1800), (27, 600), (56, 200)):
        goal = tmp_path / str(sector)
        write_sector(goal, rows=64, columns=64, frames=2, sector=sector, cadence=cadence)
        primary, image, _ = cards_of(sorted(goal.glob("*.fits"))[1])
        assert primary["FFIINDEX"] == Sector(sector=sector, cadence=cadence, frames=2).schedule.cadenceno[1]
        assert image["TIMEDEL"] * 86400 == pytest.approx(cadence)
        assert image["EXPOSURE"] * 86400 == pytest.approx(0.792 * cadence)


def test_one_thread_and_two_write_the_same_bytes(folder, files, tmp_path):
    write_sector(tmp_path / "again", threads=1, **SMALL)
    _, different, missing = filecmp.cmpfiles(
        folder, tmp_path / "again", [path.name for path in files] + ["stars.parquet"], shallow=False
    )
    assert different == missing == []


def test_the_folder_holds_the_star_catalogue_and_the_truth(folder):
    truth = open_truth(folder)
    stars = pd.read_parquet(folder / "stars.parquet")
    assert list(stars.columns) == ["tic", "ra", "dec", "tmag"]
    np.testing.assert_array_equal(stars.tic, truth.tic)
    assert json.loads(truth.attrs["settings"])["seed"] == 21
    assert json.loads((folder / "settings.json").read_text())["frames"] == 6


def test_a_sector_on_disk_renders_its_frames_and_their_sky_again(folder, files):
    sector = read_sector(folder)
    with fits.open(files[3]) as hdus:
        np.testing.assert_array_equal(hdus[1].data[:, 44:], sector.render(3).flux)
    assert sector.truth_sky(3).shape == (128, 128)


def test_a_folder_that_holds_no_sector_is_told(tmp_path):
    with pytest.raises(SourceError, match="no truth.zarr.*write_sector"):
        open_truth(tmp_path)


def test_a_finished_sector_is_left_as_it_is_and_another_one_is_refused(folder, files):
    before = [path.stat().st_mtime_ns for path in files]
    write_sector(folder, **SMALL)
    assert [path.stat().st_mtime_ns for path in files] == before
    with pytest.raises(SourceError, match="holds something else.*another folder"):
        write_sector(folder, **{**SMALL, "seed": 22})


def test_progress_is_told_frame_by_frame(tmp_path):
    told = []
    write_sector(tmp_path / "told", rows=64, columns=64, frames=3, progress=lambda *done: told.append(done))
    assert told[0] == (0, 3)
    assert told[-1] == (3, 3)
    assert len(told) == 4


def test_a_sector_without_frames_has_stars_and_truth(tmp_path):
    truth = write_sector(tmp_path / "none", rows=64, columns=64, frames=0)
    assert truth.sizes["time"] == 0
    assert truth.sizes["star"] > 10


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot write.*Give a folder"):
        write_sector(tmp_path / "file" / "sector", rows=64, columns=64, frames=1)


LONG = {"rows": 160, "columns": 160, "frames": 300, "seed": 9}


def write_long(goal):
    write_sector(goal, threads=1, **LONG)


def test_a_killed_run_leaves_nothing_to_see_and_the_next_one_goes_on_from_it(tmp_path):
    goal = tmp_path / "killed"
    process = multiprocessing.get_context("spawn").Process(target=write_long, args=(goal,))
    process.start()
    deadline = time.monotonic() + 60
    while len(hidden(tmp_path)) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    made = {path: path.stat().st_mtime_ns for path in hidden(tmp_path)}
    assert 10 <= len(made) < 300
    assert not goal.exists()
    write_sector(goal, **LONG)
    assert len(list(goal.glob("*.fits"))) == 300
    assert hidden(tmp_path) == list(goal.glob(f"*{PART}")) == []
    kept = [(goal / path.name).stat().st_mtime_ns == then for path, then in made.items()]
    assert all(kept)


def hidden(folder: Path) -> list[Path]:
    return list(folder.glob(".killed.*/*.fits"))
