"""Claims about movies of frames."""

from __future__ import annotations

import re
import sys

import imageio_ffmpeg
import numpy as np
import pytest

from tasoc_kit.errors import SourceError, StoreError, install_line
from tasoc_kit.exports.movie import CAPTION, arrange, write_movie


def read_movie(path) -> tuple[dict, np.ndarray]:
    """Return what a movie says of itself, and its frames (frame, row, column, 3)."""
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    size = meta["size"][::-1]
    frames = np.stack([np.frombuffer(frame, np.uint8).reshape(*size, 3) for frame in reader])
    reader.close()
    return meta, frames


def test_every_frame_is_there_with_its_date_and_one_stretch_for_all(sector, tmp_path):
    seen: list[tuple[int, int]] = []
    cube = sector.cube.isel(time=slice(0, 12))
    path = write_movie(
        [cube], tmp_path / "ccd.mp4", bin=1, colours="gray", progress=lambda *done: seen.append(done)
    )
    meta, frames = read_movie(path)
    assert meta["codec"].startswith("h264")
    assert frames.shape[:3] == (12, 512 + CAPTION, 512)
    assert seen[-1] == (12, 12)
    shown = frames[:, 1:512:2, ::2, 0].astype(float)
    # The first row of the picture is the last row of the CCD; brightness follows the flux.
    flux = np.flipud(cube["flux"][3].values)
    by_flux = np.argsort(flux.ravel())
    dark, bright = (shown[3].ravel()[by_flux[part]].mean() for part in (slice(0, 5000), slice(-5000, None)))
    assert bright > dark + 40
    captions = frames[:, 512:, :, 0]
    assert captions.max() > 150
    assert (np.abs(np.diff(captions.astype(int), axis=0)).max(axis=(1, 2)) > 50).all()


def test_the_date_below_a_small_picture_is_whole(sector, tmp_path):
    """Light ends before the edge, where the cadence stands that comes last."""
    _, frames = read_movie(write_movie([sector.cube], tmp_path / "small.mp4", bin=16, every=40))
    line = frames[0, -CAPTION:, :, 0].max(axis=0)
    assert frames.shape[2] >= 480
    assert line[:400].max() > 150
    assert line[-8:].max() < 60


def test_every_nth_frame_is_taken_without_its_sky(sector, tmp_path):
    products = {"sky": sector.sky, "reference": sector.reference}
    path = write_movie(
        [sector.cube],
        tmp_path / "sky.mp4",
        bin=2,
        every=10,
        limits=(-20.0, 20.0),
        colours="gray",
        products=products,
    )
    _, frames = read_movie(path)
    assert len(frames) == 5
    # Without sky most pixels lie in the middle between the limits, asinh-stretched.
    from tasoc_kit.plots.stretch import Stretch

    middle = 255 * float(Stretch("asinh", -20.0, 20.0)(np.float32(0.0)))
    assert abs(np.median(frames[:, :-CAPTION, :, 0]) - middle) < 12


def test_the_ccds_lie_as_the_sky_does():
    """From left to right the cameras near the ecliptic pole, without a jump from CCD to CCD."""
    from astropy.coordinates import SkyCoord
    from tess_stars2px import TESS_Spacecraft_Pointing_Data, tess_stars2px_reverse_function_entry

    pointings, places = TESS_Spacecraft_Pointing_Data(), np.array([200.0, 1024.0, 1848.0])
    for number in (1, 14):
        pictures = {}
        for camera in (1, 2, 3):
            for ccd in (1, 2, 3, 4):
                sky = [
                    tess_stars2px_reverse_function_entry(number, camera, ccd, 44 + c, r, scInfo=pointings)[:2]
                    for r in places
                    for c in places
                ]
                latitude = SkyCoord(*np.transpose(sky), unit="deg").barycentrictrueecliptic.lat.deg
                pictures[camera, ccd] = np.abs(latitude).reshape(3, 3).astype(np.float32)
        shown = arrange(pictures)
        assert shown.shape == (6, 18)
        middle = shown[2:4, :14]
        assert (np.diff(middle, axis=1) > 0).all()


def test_a_missing_ccd_stays_dark_and_one_ccd_stands_upright():
    picture = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(arrange({(1, 2): picture}), picture[::-1])
    shown = arrange({(1, 1): picture, (1, 2): picture + 10})
    assert shown.shape == (4, 6)
    assert np.isnan(shown[:2]).all()
    np.testing.assert_array_equal(shown[2:, :3], picture[::-1])
    with pytest.raises(SourceError, match="expected one size"):
        arrange({(1, 1): picture, (1, 2): picture[:1]})


def test_without_ffmpeg_the_extra_is_named(sector, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(SourceError, match=re.escape(install_line("movie"))):
        write_movie([sector.cube], tmp_path / "none.mp4")


def test_a_movie_is_not_lost_and_nothing_half_stays(sector, tmp_path):
    path = tmp_path / "mine.mp4"
    path.write_text("mine")
    with pytest.raises(StoreError, match="--overwrite"):
        write_movie([sector.cube], path)
    with pytest.raises(SourceError, match="expected one of"):
        write_movie([sector.cube], path, colours="beige", overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.mp4"]
    assert path.read_text() == "mine"
