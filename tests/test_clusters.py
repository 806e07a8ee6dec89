"""Clusters on the pixel grid against scikit-learn and SciPy."""

import numpy as np
import pytest
from benchmarks.k2p2_oracle import dbscan_mismatches
from scipy import ndimage
from scipy.spatial import cKDTree

from tasoc_kit.numerics.clusters import claim_peaks, core_pixels, dbscan_labels, find_maxima


def clumps(seed: int, shape: tuple[int, int], share: float) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 0.7)
    return smooth > np.quantile(smooth, 1 - share)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.59, 0.95])
def test_labels_equal_those_of_scikit_learn(share):
    mismatches, points = dbscan_mismatches(clumps(1, (220, 190), share))
    assert points > 2000
    assert mismatches == 0


@pytest.mark.parametrize("seed", range(20))
def test_labels_equal_those_of_scikit_learn_on_scattered_pixels(seed):
    assert dbscan_mismatches(np.random.default_rng(seed).random((30, 40)) < 0.35)[0] == 0


def test_a_dark_image_has_no_cluster():
    assert (dbscan_labels(np.zeros((5, 7), dtype=bool)) == -1).all()


def test_a_border_pixel_between_two_clusters_joins_the_first():
    lit = np.zeros((4, 9), dtype=bool)
    lit[0:2, 0:3] = lit[0:2, 6:9] = True
    lit[2, 3] = lit[3, 4] = lit[2, 5] = True
    labels = dbscan_labels(lit)
    assert labels[2, 3] == 0
    assert labels[2, 5] == 1
    assert labels[3, 4] == -1


def test_a_core_pixel_has_four_lit_ones_with_itself():
    lit = np.array([[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 1]], dtype=bool)
    np.testing.assert_array_equal(core_pixels(lit, 4), lit & (np.arange(4) < 2))


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (60, 51)])
def test_maxima_are_those_of_a_smoothed_image(shape):
    image = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    smooth = ndimage.gaussian_filter(image.astype(float), 0.5, mode="constant")
    highest = ndimage.maximum_filter(smooth, size=3, mode="constant")
    np.testing.assert_array_equal(find_maxima(image, 0.5), (smooth == highest) & (smooth > 0))


def test_every_star_of_a_sparse_field_is_a_maximum():
    image = np.zeros((20, 20))
    image[[3, 3, 15], [4, 12, 9]] = [5.0, 100.0, 20.0]
    image[10, 10] = np.nan
    assert np.argwhere(find_maxima(image, 0.5)).tolist() == [[3, 4], [3, 12], [15, 9]]


def test_the_maxima_of_one_saturated_patch_are_one_peak():
    maxima, patches = np.zeros((9, 9), dtype=bool), np.zeros((9, 9), dtype=bool)
    patches[[1, 2, 3, 4, 5, 6], [4, 4, 4, 3, 4, 4]] = True
    maxima[[1, 3, 6, 2, 8], [4, 4, 4, 0, 8]] = True
    markers, peaks = claim_peaks(maxima, patches, *np.array([[3.4, 8.0], [4.2, 7.0]]), np.full(2, 2.0))
    assert np.argwhere(markers == 1).tolist() == [[1, 4], [3, 4], [6, 4]]
    assert np.argwhere(markers == 2).tolist() == [[8, 8]]
    assert peaks[1:].tolist() == [[6, 4], [8, 8]]


def test_a_star_claims_the_nearest_maximum_within_its_reach():
    random = np.random.default_rng(8)
    maxima = random.random((60, 50)) < 0.02
    row, column = random.uniform(-6, 66, 400), random.uniform(-6, 56, 400)
    row[3], column[9] = np.nan, np.nan
    reach = random.choice([2.8, 7.1], 400)
    places = np.argwhere(maxima)
    known = np.isfinite(row + column)
    distance, nearest = cKDTree(places).query(np.column_stack([row, column])[known])
    claimed = {tuple(places[k]) for k in nearest[distance < reach[known]]}
    markers, peaks = claim_peaks(maxima, np.zeros_like(maxima), row, column, reach)
    assert 0 < len(claimed) < len(places)
    assert {tuple(place) for place in np.argwhere(markers)} == claimed
    assert sorted(markers[markers > 0]) == list(range(1, len(claimed) + 1))
    assert markers[tuple(peaks[1:].T)].tolist() == list(range(1, len(claimed) + 1))


def test_without_stars_no_maximum_is_claimed():
    nothing = np.zeros(0)
    markers, peaks = claim_peaks(np.ones((3, 3), bool), np.zeros((3, 3), bool), nothing, nothing, nothing)
    assert not markers.any()
    assert peaks.shape == (1, 2)
