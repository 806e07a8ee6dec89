"""Claims about the sky as images, made when they are asked for."""

import numpy as np
import pytest

from tasoc_kit.errors import StepInputError
from tasoc_kit.photometry.skies.sky_images import background_cube, sky_image, sky_window, subtracted_cube
from tasoc_kit.sources.frame_reader import open_frames


def test_the_cube_of_skies_holds_the_sky_of_every_frame(sector):
    background = background_cube(sector.sky, sector.reference)
    assert background["sky"].dims == ("time", "row", "column")
    assert background["sky"].dtype == np.float32
    for frame in (0, 17):
        truth = sky_image(sector.sky, sector.reference, frame)
        np.testing.assert_allclose(background["sky"][frame].values, truth, rtol=1e-6)


def test_nothing_is_evaluated_until_it_is_asked_for_and_then_one_frame(sector, forbid_compute):
    background = background_cube(sector.sky, sector.reference)
    flat = subtracted_cube(sector.cube, sector.sky, sector.reference)
    assert background["sky"].data.chunks[0] == (1,) * sector.sky.sizes["time"]
    assert flat["flux"].data.chunks[0] == (1,) * sector.sky.sizes["time"]


def test_one_frame_costs_one_frame(sector, monkeypatch):
    evaluated = []
    image = "tasoc_kit.photometry.skies.sky_images._Skies.image"
    from tasoc_kit.photometry.skies.sky_images import _Skies

    made = _Skies.image
    monkeypatch.setattr(image, lambda *given: evaluated.append(1) or made(*given))
    background_cube(sector.sky, sector.reference)["sky"][5].compute()
    assert len(evaluated) == 1


def test_some_frames_are_those_frames(sector):
    some = background_cube(sector.sky, sector.reference, slice(4, 7))
    np.testing.assert_array_equal(some["cadenceno"], sector.sky["cadenceno"][4:7])
    np.testing.assert_array_equal(
        some["sky"][1].values, background_cube(sector.sky, sector.reference)["sky"][5].values
    )


def test_a_lazy_sky_gives_the_same_images(sector):
    lazy = sector.sky.chunk({"time": 20})
    np.testing.assert_array_equal(
        background_cube(lazy, sector.reference)["sky"][21].values,
        background_cube(sector.sky, sector.reference)["sky"][21].values,
    )


def test_a_subtracted_frame_is_the_frame_less_its_sky_for_every_reader(sector):
    flat = subtracted_cube(sector.cube, sector.sky, sector.reference)
    truth = sector.cube["flux"][9].values - sky_image(sector.sky, sector.reference, 9)
    np.testing.assert_allclose(flat["flux"][9].values, truth, atol=1e-3)
    frame = np.empty(truth.shape, np.float32)
    open_frames(flat.isel(time=slice(8, 10))).read(1, frame)
    np.testing.assert_allclose(frame, truth, atol=1e-3)
    dark = ~sector.reference["star_mask"].values
    assert abs(np.median(frame[dark])) < 0.2
    assert "provenance_id" not in flat.attrs


def test_skies_of_other_frames_or_pixels_are_refused(sector):
    with pytest.raises(StepInputError, match="Select the same frames"):
        subtracted_cube(sector.cube.isel(time=slice(0, 5)), sector.sky, sector.reference)
    with pytest.raises(StepInputError, match="expected the reference the sky was fitted over"):
        background_cube(sector.sky, sector.reference.isel(row=slice(0, 50)))
    with pytest.raises(StepInputError, match=r"Take science\(cube\)"):
        subtracted_cube(sector.cube.isel(row=slice(0, 50)), sector.sky, sector.reference)


def test_a_window_shows_the_same_sky_as_the_whole_frame(sector):
    rows, columns = sector.sky["row"].values[30:41], sector.sky["column"].values[100:140:3]
    window = sky_window(sector.sky, sector.reference, rows, columns)
    for frame in (0, 17):
        truth = sky_image(sector.sky, sector.reference, frame)[30:41, 100:140:3]
        np.testing.assert_allclose(window[frame], truth, rtol=1e-6)
