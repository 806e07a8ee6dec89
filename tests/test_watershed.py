"""The watershed against scikit-image."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from tasoc_kit.numerics.watershed import bright_first, flood


@pytest.mark.parametrize("seed", range(10))
def test_the_flood_divides_an_image_as_scikit_image_does(seed):
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(50, 40)), 0.7)
    image, allowed = random.normal(size=(50, 40)), smooth > np.quantile(smooth, 0.4)
    markers = np.zeros((50, 40), dtype=np.int32)
    markers[random.integers(0, 50, 12), random.integers(0, 40, 12)] = np.arange(1, 13)
    expected = watershed(-image, markers, mask=allowed)
    flood(image, allowed, markers)
    np.testing.assert_array_equal(markers, expected)


def test_hills_without_a_marker_join_the_basin_they_touch_first():
    random = np.random.default_rng(12)
    image = ndimage.gaussian_filter(random.normal(size=(300, 200)), 1.5)
    markers = np.zeros(image.shape, dtype=np.int32)
    markers[random.integers(0, 300, 40), random.integers(0, 200, 40)] = np.arange(1, 41)
    expected = watershed(-image, markers, mask=image > -0.1)
    flood(image, image > -0.1, markers)
    assert (markers != expected).sum() == 0
    assert len(np.unique(markers)) > 30


def test_a_level_plateau_is_flooded_whole():
    image, labels = np.ones((9, 9)), np.zeros((9, 9), dtype=np.int32)
    labels[8, 8] = 3
    flood(image, image > 0, labels)
    assert (labels == 3).all()


def test_what_no_marker_reaches_stays_dark():
    allowed = np.array([[True, True, False, True]])
    labels = np.array([[7, 0, 9, 0]], dtype=np.int32)
    flood(np.array([[3.0, 2.0, 9.0, 1.0]]), allowed, labels)
    assert labels.tolist() == [[7, 7, 0, 0]]


@pytest.mark.parametrize("count", [0, 1, 40, 5000, 40_000])
def test_places_are_sorted_from_bright_to_faint_and_equal_ones_keep_their_order(count):
    random = np.random.default_rng(2)
    some = [0.0, 1e-30, -1e-30, 3.0, 3.0, 1e30]
    flux = np.concatenate([random.normal(0, 1e3, count), np.round(random.normal(0, 9, count)) + 0.0, some])
    flux = random.permutation(flux).astype(np.float32)
    places = random.permutation(flux.size).astype(np.int32)
    np.testing.assert_array_equal(bright_first(flux, places), places[np.argsort(-flux, kind="stable")])


def test_patches_are_flooded_as_if_they_were_one_image():
    random = np.random.default_rng(21)
    image, allowed = random.normal(size=(90, 70)), random.random((90, 70)) < 0.55
    markers = np.zeros(image.shape, dtype=np.int32)
    markers[random.integers(0, 90, 60), random.integers(0, 70, 60)] = np.arange(1, 61)
    assert ndimage.label(allowed)[1] > 100
    expected = watershed(-image, markers, mask=allowed)
    flood(image, allowed, markers)
    np.testing.assert_array_equal(markers, expected)
