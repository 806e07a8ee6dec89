from __future__ import annotations

import numpy as np
import pytest

from tasoc_kit.errors import StepInputError
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.masks.drawn_masks import make_stamp, sum_mask
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.plots.apertures import aperture_of


@pytest.fixture(scope="module")
def star(sector):
    inside = (sector.apertures["row_size"] > 9) & (sector.apertures["status"] == 1)
    return int(np.flatnonzero(inside)[5])


@pytest.fixture(scope="module")
def stamp(sector, star):
    rows, columns = aperture_of(sector.apertures, star)
    return make_stamp(
        sector.cube,
        sector.sky,
        sector.reference,
        slice(rows.min() - 2, rows.max() + 2),
        slice(columns.min() - 2, columns.max() + 2),
    )


def mask_of(stamp, apertures, star):
    rows, columns = aperture_of(apertures, star)
    mask = np.zeros(stamp["flux"].shape[1:], bool)
    mask[rows - int(stamp["row"][0]), columns - int(stamp["column"][0])] = True
    return mask


def test_the_mask_of_the_pipeline_gives_the_light_curve_of_the_pipeline(sector, star, stamp):
    made = make_light_curves(
        sector.stream, sector.sky, sector.apertures, sector.reference, sector.quality, steady=False
    )
    theirs = made.isel(star=star).compute()
    ours = sum_mask(stamp, mask_of(stamp, sector.apertures, star))
    scale = float(theirs["flux"].median())
    np.testing.assert_allclose(ours["flux"], theirs["flux"], atol=1e-5 * scale)
    np.testing.assert_allclose(ours["background"], theirs["background"], atol=1e-5 * scale)
    # The pipeline's error holds that of the sky besides photons and reading.
    assert (ours["flux_err"] <= theirs["flux_err"] * 1.001).all()
    pixels = theirs["row_size"].item()
    floor = sector.reference["noise_floor"].values.mean() * pixels
    light = sector.reference["noise_slope"].values.mean() * (ours["flux"] + ours["background"])
    np.testing.assert_allclose(ours["flux_err"], np.sqrt(floor + light), rtol=0.05)


def test_the_sky_of_a_stamp_is_that_of_the_whole_frame(sector, stamp):
    whole = sky_image(sector.sky, sector.reference, 7)
    rows, columns = (stamp[name].values - int(sector.reference[name][0]) for name in ("row", "column"))
    np.testing.assert_allclose(stamp["sky"].values[7], whole[np.ix_(rows, columns)], atol=1e-3)


def test_an_empty_mask_has_no_light_curve(stamp):
    assert np.isnan(sum_mask(stamp, np.zeros(stamp["flux"].shape[1:], bool))["flux"]).all()


def test_a_stamp_is_cut_at_the_edge_of_the_frame(sector):
    stamp = make_stamp(sector.cube, sector.sky, sector.reference, slice(-5, 3), slice(40, 50))
    assert stamp["row"].values.tolist() == [0, 1, 2, 3]
    assert stamp["column"].values[0] == 44


def test_a_stamp_off_the_frame_is_refused(sector):
    with pytest.raises(StepInputError, match=r"rows 5000–5010.*expected some of rows 0–255"):
        make_stamp(sector.cube, sector.sky, sector.reference, slice(5000, 5010), slice(50, 60))


def test_frames_of_another_sky_are_refused(sector):
    with pytest.raises(StepInputError, match="10 frames, a sky of 48"):
        make_stamp(
            sector.cube.isel(time=slice(0, 10)), sector.sky, sector.reference, slice(0, 5), slice(50, 60)
        )
