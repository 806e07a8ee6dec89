"""Claims about skies brought together in time: algebra on coefficients, no pixel is read."""

import numpy as np
import pytest

from tasoc_kit.errors import StepParameterError
from tasoc_kit.numerics.splines import Ladder
from tasoc_kit.photometry.skies.frame_sky import FrameSky
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.photometry.skies.sky_smoothing import replace_outliers, smooth_skies
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.vocabulary import KitQuality

LADDER = Ladder((128, 128), 16)


def constant(value, level=0):
    """Return the sky of a frame that is one number, on some level."""
    coefficients = np.full((1, 1), float(value))
    if level:
        coefficients = LADDER.refine(0, coefficients)
    errors = 0.1, 0.05, 0.0
    return FrameSky(level, coefficients, np.zeros(128), 0.0, float(value), 1.0, *errors, False)


def values(skies):
    return [float(np.median(LADDER.surfaces[s.level].on_pixels(s.coefficients))) for s in skies]


@pytest.mark.parametrize(("cadence", "frames"), [(1800, 3), (600, 9), (200, 27)])
def test_an_hour_and_a_half_holds_the_frames_that_tasoc_s_window_does(cadence, frames):
    skies = [constant(1.0 if k == 40 else 0.0) for k in range(81)]
    smooth = smooth_skies(skies, 1500 + np.arange(81) * cadence / 86400, LADDER, 1.5)
    assert np.count_nonzero(values(smooth)) == frames
    assert smooth[40].median == pytest.approx(1 / frames)
    assert smooth[40].error == pytest.approx(0.1 / np.sqrt(frames))
    assert smooth[40].cell_error == pytest.approx(0.05 / np.sqrt(frames))


def test_the_window_is_cut_off_at_the_ends_and_never_spans_a_gap():
    times = np.array([0, 1, 2, 30, 31, 32]) / 48
    smooth = smooth_skies([constant(k) for k in range(6)], times, LADDER, 1.5)
    np.testing.assert_allclose(values(smooth), [0.5, 1.0, 1.5, 3.5, 4.0, 4.5])


def test_frames_of_different_levels_meet_on_the_finer():
    skies = [constant(1.0), constant(2.0, level=1), constant(3.0)]
    smooth = smooth_skies(skies, np.arange(3) / 48, LADDER, 1.5)
    assert [s.level for s in smooth] == [1, 1, 1]
    np.testing.assert_allclose(values(smooth), [1.5, 2.0, 2.5])


def test_a_frame_without_data_is_neither_used_nor_filled():
    skies = [constant(1.0), constant(np.nan), constant(3.0)]
    smooth = smooth_skies(skies, np.arange(3) / 144, LADDER, 1.5)
    np.testing.assert_allclose(values(smooth), [2.0, np.nan, 2.0])


def test_a_sky_that_stands_out_is_replaced_by_its_neighbours_and_a_ramp_is_not():
    noise = np.random.default_rng(1).normal(0, 0.01, 60)
    levels = 0.02 * np.arange(60) ** 1.5 + noise
    spoiled = levels.copy()
    spoiled[31] += 2.0
    skies, replaced = replace_outliers([constant(v) for v in spoiled], np.arange(60) / 48, LADDER, 20.0)
    assert np.flatnonzero(replaced).tolist() == [31]
    assert abs(values(skies)[31] - levels[31]) < 0.1


def test_smoothing_reads_no_pixel_and_changes_the_sky_as_it_should(sector, monkeypatch):
    def no_reader(cube):
        raise AssertionError("a pixel was asked for")

    monkeypatch.setattr("tasoc_kit.photometry.stream.open_frames", no_reader)
    monkeypatch.setattr("tasoc_kit.sources.frame_reader.FrameReader.read", no_reader)
    tables = sector.stream, sector.reference, sector.quality
    smooth = fit_sky(*tables, smooth=1.5)
    middle = np.flatnonzero(sector.quality["quality"].values == 0)[20]
    window = [sky_image(sector.sky, sector.reference, int(i)) for i in range(middle - 1, middle + 2)]
    # Every frame keeps the offsets of its own columns.
    bare = [
        image - sector.sky["column_noise"].values[i]
        for image, i in zip(window, range(middle - 1, middle + 2), strict=True)
    ]
    found = sky_image(smooth, sector.reference, int(middle)) - smooth["column_noise"].values[middle]
    np.testing.assert_allclose(found, np.mean(bare, axis=0), atol=0.02)
    assert smooth.attrs["provenance_id"] != sector.sky.attrs["provenance_id"]
    assert (smooth["sky_err"] < sector.sky["sky_err"] + 1e-6).all()


def test_a_replaced_sky_is_flagged(sector):
    stream = sector.stream.copy(deep=True)
    stream["cells"][25] += 3.0
    stream["column_cells"][25] += 3.0
    sky = fit_sky(stream, sector.reference, sector.quality, outlier=20.0)
    flagged = np.flatnonzero(sky["frame_quality"].values & KitQuality.INTERPOLATED)
    assert 25 in flagged
    assert flagged.size <= 3
    assert abs(float(sky["sky_median"][25] - sector.sky["sky_median"][25])) < 0.5


def test_a_window_of_negative_width_is_refused(sector):
    with pytest.raises(StepParameterError, match="smooth=-1"):
        fit_sky(sector.stream, sector.reference, sector.quality, smooth=-1.0)
