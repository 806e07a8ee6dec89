"""Flags of 2-minute targets reach the frames they fall in, and only those that concern a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tasoc_kit.errors import SourceError, StepInputError
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.sources.target_flags import FRAME_BITS, read_target_flags
from tasoc_kit.vocabulary import TessQuality


def write_target(path: Path, times: np.ndarray, bits: np.ndarray, corr: float = 0.004) -> Path:
    """Write a light curve file; cadences with a bit have no time, as in real ones."""
    columns = [
        fits.Column("TIME", "D", array=np.where(bits > 0, np.nan, times + corr)),
        fits.Column("TIMECORR", "E", array=np.full(times.size, corr)),
        fits.Column("CADENCENO", "J", array=np.arange(times.size)),
        fits.Column("QUALITY", "J", array=bits),
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
    return path


@pytest.fixture
def files(tmp_path, sector) -> list[Path]:
    """Two targets: one sees scattered light in frame 5, both a tweak in frame 7; cosmic rays anywhere."""
    start = (sector.cube["time_start"] - sector.cube["timecorr"]).values
    times = start[0] - 0.01 + np.arange(48 * 15 + 30) / 720
    made = []
    for k, frame in enumerate((5, 7)):
        bits = np.zeros(times.size, np.int32)
        bits[np.searchsorted(times, start[frame] + 0.003)] |= (
            int(TessQuality.SCATTERED_LIGHT) if k == 0 else 0
        )
        bits[np.searchsorted(times, start[7] + 0.01)] |= int(TessQuality.ATTITUDE_TWEAK)
        bits[20:] |= int(TessQuality.IMPULSIVE_OUTLIER) * (np.arange(times.size - 20) % 9 == 0)
        made.append(write_target(tmp_path / f"target{k}.fits", times, bits))
    return made


def test_only_what_falls_into_a_frame_is_added_to_it(files, sector):
    made = make_quality(sector.cube, target_flags=read_target_flags(files))
    added = made["quality"].values & ~sector.quality["quality"].values
    expected = np.zeros(48, np.int32)
    expected[5], expected[7] = int(TessQuality.SCATTERED_LIGHT), int(TessQuality.ATTITUDE_TWEAK)
    np.testing.assert_array_equal(added, expected)
    np.testing.assert_array_equal(made["quality"] & sector.quality["quality"], sector.quality["quality"])
    np.testing.assert_array_equal(made["frame_quality"], sector.quality["frame_quality"])
    assert made.attrs["provenance_id"] != sector.quality.attrs["provenance_id"]


def test_a_real_file_gives_the_bits_that_concern_frames(shared_data):
    name = "lightcurves/tess2018206045859-s0001-0000000261136679-0120-s_lc.fits"
    flags = read_target_flags(shared_data(name))
    assert flags.sizes["time"] == 20076
    assert not (flags["quality"].values & ~FRAME_BITS).any()
    assert (flags["quality"].values & int(TessQuality.DESAT)).any()
    assert np.all(np.diff(flags["time"]) > 0)
    assert FRAME_BITS == 1 | 2 | 4 | 8 | 32 | 2048 | 4096


def test_targets_of_another_time_are_refused(files, sector):
    flags = read_target_flags(files[0])
    with pytest.raises(StepInputError, match=r"cover TJD 1\d+\.\d+–.*targets of the same sector"):
        make_quality(sector.cube, target_flags=flags.assign_coords(time=flags["time"] + 50))


def test_what_is_no_target_file_is_refused(tmp_path):
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(SourceError, match=r"image\.fits: no target file .*Leave the file out"):
        read_target_flags(tmp_path / "image.fits")
    with pytest.raises(SourceError, match="no FITS file there"):
        read_target_flags(tmp_path / "absent")
