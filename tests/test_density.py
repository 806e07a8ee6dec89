"""The mode of a kernel density against SciPy."""

import numpy as np
import pytest
from scipy import stats

from tasoc_kit.numerics.density import kernel_mode, sort_positive, sorted_quantile


@pytest.mark.parametrize("seed", range(8))
def test_the_mode_is_the_highest_point_of_scipys_density(seed):
    random = np.random.default_rng(seed)
    values = np.sort(np.concatenate([random.normal(10, 1, 150), random.exponential(20, 60)]))
    scale = min(values.std(ddof=1), stats.iqr(values) / 1.349)
    density = stats.gaussian_kde(values, 1.059 * scale * values.size**-0.2 / values.std(ddof=1))
    grid = np.linspace(values[0], values[-1], 20000)
    assert kernel_mode(values) == pytest.approx(grid[np.argmax(density(grid))], abs=2 * (grid[1] - grid[0]))


def test_the_mode_of_equal_values_is_that_value():
    assert kernel_mode(np.full(9, 3.5)) == 3.5


def test_quantiles_equal_those_of_numpy():
    values = np.sort(np.random.default_rng(3).normal(size=37))
    for share in (0.0, 0.25, 0.5, 0.77, 1.0):
        assert sorted_quantile(values, share) == pytest.approx(np.quantile(values, share))
    assert np.isnan(sorted_quantile(values[:0], 0.5))


def test_positive_values_are_sorted_as_numpy_does():
    values = np.random.default_rng(5).lognormal(0, 8, 700).astype(np.float32)
    values[::7] = 0
    np.testing.assert_array_equal(sort_positive(values), np.sort(values))
    assert sort_positive(values[:0]).size == 0
