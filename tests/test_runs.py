"""Claims about apertures as runs, held against sums over single pixels."""

import numpy as np
import pytest

from tasoc_kit.numerics.runs import column_sums, find_runs, image_moments, some_stars, surface_sums
from tasoc_kit.numerics.splines import Ladder

SHAPE = (256, 192)


@pytest.fixture
def pixels():
    """Pixels of four apertures, the second of them empty, in no order."""
    random = np.random.default_rng(3)
    size = np.array([30, 0, 1, 60])
    chosen = np.concatenate([random.choice(20 * 15, n, replace=False) for n in size])
    star = np.repeat(np.arange(4), size)
    corner = np.array([[5, 8], [0, 0], [250, 190], [100, 90]])
    row = np.minimum(corner[star, 0] + chosen // 15, SHAPE[0] - 1)
    column = np.minimum(corner[star, 1] + chosen % 15, SHAPE[1] - 1)
    return size, row, column, star


@pytest.fixture
def runs(pixels):
    size, row, column, _ = pixels
    return find_runs(size, row, column, (np.array([8, 0, 251, 110]), np.array([15, 0, 190, 95])))


def offsets(runs, pixels):
    _, row, column, star = pixels
    return row - runs.centre_row[star], column - runs.centre_column[star]


def by_star(pixels, values):
    return np.bincount(pixels[3], values, minlength=4)


def test_runs_hold_every_pixel_once(runs, pixels):
    _, row, column, star = pixels
    found = [
        (s, int(runs.row[k]), c)
        for s in range(4)
        for k in range(runs.start[s], runs.start[s + 1])
        for c in range(runs.first[k], runs.stop[k])
    ]
    assert found == sorted(zip(star.tolist(), row.tolist(), column.tolist(), strict=True))
    assert runs.row.size < row.size


def test_pixels_of_two_stars_that_touch_stay_apart():
    runs = find_runs(np.array([2, 2]), np.array([4, 4, 4, 4]), np.array([7, 8, 9, 10]), (np.zeros(2),) * 2)
    assert runs.start.tolist() == [0, 1, 2]
    assert (runs.first.tolist(), runs.stop.tolist()) == ([7, 9], [9, 11])


def test_no_pixel_at_all_gives_no_run():
    runs = find_runs(np.zeros(3, int), np.empty(0, int), np.empty(0, int), (np.zeros(3),) * 2)
    assert runs.start.tolist() == [0, 0, 0, 0]
    assert image_moments(np.ones((4, 4)), runs).tolist() == np.zeros((5, 3)).tolist()


def test_moments_of_an_image_are_plain_sums(runs, pixels):
    image = np.random.default_rng(1).normal(size=SHAPE)
    values = image[pixels[1], pixels[2]]
    y, x = offsets(runs, pixels)
    expected = [by_star(pixels, values * w) for w in (1, y, x, y**2, x**2)]
    np.testing.assert_allclose(image_moments(image, runs), expected, rtol=1e-12, atol=1e-10)


def test_some_stars_keep_their_pixels(runs):
    image = np.random.default_rng(1).normal(size=SHAPE)
    chosen = np.array([3, 1, 0])
    found = image_moments(image, some_stars(runs, chosen))
    np.testing.assert_array_equal(found, image_moments(image, runs)[:, chosen])


def test_column_sums_count_the_pixels_of_each_column(runs, pixels):
    sums = column_sums(runs)
    y, _ = offsets(runs, pixels)
    for s in range(4):
        mine = pixels[3] == s
        part = slice(sums.start[s], sums.start[s + 1])
        columns = np.arange(sums.first[s], sums.first[s] + sums.start[s + 1] - sums.start[s])
        for found, weight in ((sums.count, 1.0), (sums.row_moment, y[mine])):
            expected = np.bincount(pixels[2][mine], weight * np.ones(mine.sum()), minlength=SHAPE[1])
            np.testing.assert_allclose(found[part], expected[columns])
            assert expected.sum() == pytest.approx(found[part].sum())


@pytest.mark.parametrize("level", [0, 1, 2, 3, 5])
def test_surface_sums_are_those_of_the_surface_on_the_pixels(runs, pixels, level):
    random = np.random.default_rng(level)
    surface = Ladder(SHAPE, 16).surfaces[level]
    gain = np.where(np.arange(SHAPE[1]) < 20, random.normal(size=SHAPE[1]), 0.0)
    coefficients = random.normal(size=surface.coefficient_shape)
    sums = surface_sums(surface, runs, gain)
    values = surface.on_pixels(coefficients)[pixels[1], pixels[2]]
    y, x = offsets(runs, pixels)
    for found, scale in ((sums.plain, 1.0), (sums.gained, gain[pixels[2]])):
        expected = np.stack([by_star(pixels, scale * values * w) for w in (1, y, x)], axis=1)
        np.testing.assert_allclose(_apply(sums, found, coefficients), expected, rtol=1e-7, atol=1e-8)
    assert sums.has_gain.tolist() == [True, False, False, False]


def _apply(sums, data, coefficients):
    """Return what a sum over splines gives for every star, in plain loops."""
    out = np.zeros((4, 3))
    for s in range(4):
        for k, e in enumerate(range(sums.start[s], sums.start[s + 1])):
            place = sums.corner[s] + k // sums.width[s] * sums.stride + k % sums.width[s]
            out[s] += data[e] * coefficients.ravel()[place]
    return out
