"""Medians and ranks against NumPy's."""

import numpy as np
import pytest

from tasoc_kit.numerics.statistics import median_of_some, order_statistic


@pytest.mark.parametrize("count", [1, 2, 3, 10, 4096, 16_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_median_is_that_of_numpy(count, dtype):
    random = np.random.default_rng(count)
    for values in (random.normal(size=count), np.round(random.normal(size=count))):
        some = values.astype(dtype)
        expected = float(np.median(some.astype(float)))
        assert median_of_some(some) == pytest.approx(expected, rel=1e-7, abs=1e-30)
        assert median_of_some(np.repeat(some, 4)[::4]) == median_of_some(some)


def test_nothing_has_no_median():
    assert np.isnan(median_of_some(np.empty(0)))


@pytest.mark.parametrize("rank", [0, 1, 450, 899, 999])
def test_a_rank_is_that_of_a_sort(rank):
    values = np.random.default_rng(3).normal(size=1000)
    assert order_statistic(values, rank) == np.sort(values)[rank]
    assert (np.diff(values) < 0).any()
