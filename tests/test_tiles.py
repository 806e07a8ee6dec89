"""The threshold map of the whole frame."""

import numpy as np

from tasoc_kit.photometry.masks.tiles import TILE, threshold_map


def test_the_map_follows_the_sky_of_each_tile():
    random = np.random.default_rng(3)
    truth = np.linspace(0, 40, 4 * TILE) * np.ones((2 * TILE, 1))
    found = threshold_map(truth + random.normal(0, 0.5, truth.shape), 0.0)
    inner = slice(TILE, -TILE)
    assert np.abs(found - truth)[:, inner].max() < 5


def test_the_threshold_rises_by_the_scatter_below_the_mode():
    image = np.random.default_rng(4).normal(100, 2.0, (TILE, TILE))
    rise = threshold_map(image, 3.0) - threshold_map(image, 0.0)
    assert np.ptp(rise) < 1e-4
    assert 3 * 1.0 < rise[0, 0] < 3 * 4.0


def test_a_tile_without_data_takes_the_threshold_of_its_neighbour():
    image = np.random.default_rng(5).normal(7, 0.1, (TILE, 3 * TILE))
    image[:, :TILE] = np.nan
    found = threshold_map(image, 0.0)
    np.testing.assert_allclose(found, 7, atol=0.3)


def test_a_frame_without_data_has_no_threshold():
    assert np.isnan(threshold_map(np.full((8, 8), np.nan), 1.0)).all()


def test_a_frame_smaller_than_a_tile_has_one_threshold():
    image = np.random.default_rng(6).normal(0, 1, (6, 9))
    assert np.ptp(threshold_map(image, 0.8)) < 1e-6
