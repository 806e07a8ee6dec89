"""K2P2 masks against a slow implementation that takes one stamp at a time."""

import numpy as np
import pytest
from benchmarks.k2p2_oracle import median_iou, sky_threshold
from star_field import add_star, as_reference, as_stars, bleed, make_field

from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.masks.k2p2 import add_bleed_columns, fill_holes, mask_threshold, stamp_size
from tasoc_kit.photometry.masks.scene import make_scene
from tasoc_kit.vocabulary import Method


@pytest.mark.parametrize(
    ("stars", "noise", "seed"),
    [(500, 0.6, 1), (2500, 0.6, 2), (2500, 3.0, 3)],
    ids=["sparse", "crowded", "noisy"],
)
def test_masks_agree_with_the_slow_implementation(stars, noise, seed):
    reference, catalogue = make_field(220, 220, stars, seed=seed, noise=noise)
    apertures = make_apertures(reference, catalogue)
    median, each = median_iou(reference, catalogue, apertures, sample=120)
    assert median >= 0.98
    assert np.quantile(each, 0.1) >= 0.9


@pytest.mark.parametrize("factor", [0.0, 0.8, 3.0])
def test_the_threshold_is_that_of_the_slow_implementation(factor):
    image = make_field(60, 60, 60, seed=4)[0]["reference"].values
    for corner in range(0, 45, 9):
        stamp = image[corner : corner + 15, corner : corner + 15]
        assert mask_threshold(stamp, factor) == pytest.approx(sky_threshold(stamp, factor), rel=1e-3)


def test_a_stamp_with_three_positive_pixels_has_no_threshold():
    stamp = np.full((5, 5), -1.0, dtype=np.float32)
    stamp[0, :3] = 1.0
    stamp[1, 1] = np.nan
    assert np.isnan(mask_threshold(stamp, 0.8))


def test_bright_stars_have_large_stamps():
    rows, columns = stamp_size(np.array([0.0, 3.16, 4.74, 5.8, 9.0, 14.0, np.nan]))
    assert rows.tolist() == [832, 68, 28, 20, 15, 15, 15]
    assert columns.tolist() == [158, 45, 28, 20, 15, 15, 15]


def test_a_single_hole_is_filled_and_a_double_or_blank_one_is_not():
    image, mask = np.ones((5, 11)), np.ones((5, 11), dtype=bool)
    mask[2, 2] = mask[2, 5] = mask[3, 5] = mask[2, 8] = False
    image[2, 8] = np.nan
    assert fill_holes(image, mask)
    assert mask[2, 2]
    assert not mask[2, [5, 8]].any()
    assert not fill_holes(image, mask)


def test_a_level_column_is_followed_to_its_end_if_the_star_saturates():
    image, mask = np.zeros((40, 7)), np.zeros((40, 7), dtype=bool)
    image[5:35, 3] = 1e5
    image[18:23, 2:5] = 1e5
    mask[18:23, 2:5] = True
    bright, faint = np.zeros((40, 7)), np.zeros((40, 7))
    bright[20, 3], faint[20, 3] = 10 ** (-0.4 * 4), 10 ** (-0.4 * 9)
    kept = mask.copy()
    assert not add_bleed_columns(image, image > 10, faint, kept)
    np.testing.assert_array_equal(kept, mask)
    assert add_bleed_columns(image, image > 10, bright, mask)
    np.testing.assert_array_equal(np.flatnonzero(mask[:, 3]), np.arange(5, 35))


@pytest.mark.parametrize(
    ("step", "level", "tmags", "followed"),
    [
        (0.008, 1.0, [4.0], True),
        (0.012, 1.0, [4.0], False),
        (0.0, 0.52, [4.0], True),
        (0.0, 0.48, [4.0], False),
        (0.0, 1.0, [6.9], True),
        (0.0, 1.0, [7.1], False),
        (0.0, 1.0, [7.5, 7.5], True),
    ],
)
def test_a_column_is_saturated_if_it_is_level_and_half_as_bright_as_the_star(step, level, tmags, followed):
    # Median step over the largest pixel, median over the brightest one, magnitude of all stars inside.
    image, mask, light = np.zeros((40, 7)), np.zeros((40, 7), dtype=bool), np.zeros((40, 7))
    image[5:35, 3] = 1e5 * level * (1 - step * np.arange(30))
    image[5, 2] = 1e5
    mask[5:10, 3] = mask[5, 2] = True
    light[5 : 5 + len(tmags), 3] = 10 ** (-0.4 * np.array(tmags))
    assert add_bleed_columns(image, image > 10, light, mask) == followed
    assert mask[:, 3].sum() == (30 if followed else 5)


@pytest.mark.parametrize(
    ("tmag", "distance", "claimed"),
    [(9.0, 2.8, True), (9.0, 2.9, False), (7.0, 7.0, True), (7.0, 7.2, False), (7.1, 7.0, False)],
)
def test_a_peak_belongs_to_a_star_that_is_near_and_a_saturated_one_may_be_farther_off(
    tmag, distance, claimed
):
    image = np.zeros((40, 40))
    image[20, 20] = 100.0
    scene = make_scene(image, image > 1e9, np.array([20 + distance]), np.array([20.0]), np.array([tmag]))
    assert (scene.markers > 0).any() == claimed


def test_a_bleed_longer_than_the_stamp_is_all_in_the_aperture():
    image = np.random.default_rng(5).normal(0, 1, (600, 60))
    add_star(image, 300.2, 30.1, 1.0)
    bleed(image)
    saturated = image >= 1e5
    enlarged = stamp_size(np.array([5.0]))[0][0] + 2 * 10 * 10
    assert np.ptp(np.flatnonzero(saturated.any(axis=1))) > enlarged
    apertures = make_apertures(as_reference(image), as_stars([300.2], [74.1], [5.0]))
    pixels = set(zip(apertures["pixel_row"].values, apertures["pixel_column"].values, strict=True))
    assert {(i, j + 44) for i, j in np.argwhere(saturated)} <= pixels
    assert apertures["stamp_resizes"].values.tolist() == [10]
    assert apertures["method"].values.tolist() == [Method.HALO]


def test_the_table_tells_the_size_of_the_last_stamp():
    reference, catalogue = make_field(160, 160, 300, seed=5)
    apertures = make_apertures(reference, catalogue)
    high, wide = (size // 2 * 2 + 1 for size in stamp_size(catalogue["tmag"].values))
    resizes = apertures["stamp_resizes"].values
    inner = (abs(catalogue["star_row"] - 80) < 40) & (abs(catalogue["star_column"] - 124) < 40)
    inner = inner.values & (apertures["row_size"].values > 0)
    assert {0, 1} <= set(resizes[inner].tolist())
    for name, first in (("stamp_height", high), ("stamp_width", wide)):
        grown = (apertures[name].values - first)[inner]
        assert ((grown >= 0) & (grown % 10 == 0) & (grown <= 20 * resizes[inner])).all()
    assert not make_apertures(reference, catalogue, mode="tile")["stamp_height"].any()


def test_a_saturated_star_far_from_its_brightest_pixel_is_found():
    image = np.full((200, 21), 5.0) + np.random.default_rng(6).normal(0, 1, (200, 21))
    image[20:180, 9:12] = 1e5
    image[30, 10] = 1.1e5
    scene = make_scene(image, image > 8e4, np.array([100.0]), np.array([10.0]), np.array([2.0]))
    assert scene.markers[30, 10] > 0


def test_a_peak_without_a_star_divides_nothing():
    image = np.random.default_rng(7).normal(0, 0.5, (40, 40))
    add_star(image, 20, 18, 11)
    add_star(image, 20, 21, 12)
    both = as_stars([20, 20], [18, 21], [11, 12])
    scene = make_scene(image, image > 1e9, *(both[n].values for n in ("star_row", "star_column", "tmag")))
    one = make_scene(image, image > 1e9, np.array([20.0]), np.array([18.0]), np.array([11.0]))
    assert (scene.markers > 0).sum() == 2
    assert (one.markers > 0).sum() == 1
