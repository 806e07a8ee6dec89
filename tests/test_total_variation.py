"""Claims about the weights of least total variation, held against an exact linear program."""

import numpy as np
import pytest
from astropy.io import fits
from scipy.optimize import linprog

from tasoc_kit.numerics.total_variation import equal_shares, quietest_weights


def variation(series, weights):
    return np.abs(np.diff(series, axis=0) @ weights).mean()


def least_variation(series):
    """Return the least variation that any weights have: sizes s ≥ ±steps·w, their sum made least."""
    steps = np.diff(series, axis=0) / np.abs(np.diff(series, axis=0)).mean()
    times, parts = steps.shape
    size = np.eye(times)
    solved = linprog(
        np.r_[np.zeros(parts), np.ones(times)],
        A_ub=np.block([[steps, -size], [-steps, -size]]),
        b_ub=np.zeros(2 * times),
        A_eq=np.r_[np.ones(parts), np.zeros(times)][None],
        b_eq=[1.0],
    )
    return variation(series, solved.x[:parts])


def moving_star(times=300, parts=24, noise=3e-4, seed=1):
    """Return the common signal, and parts that answer to motion in their own ways."""
    random = np.random.default_rng(seed)
    signal = 1 + 1e-3 * np.sin(np.arange(times) / 9)
    motion = random.normal(size=(times, 2)).cumsum(axis=0) * 1e-2
    response = random.normal(size=(2, parts))
    series = signal[:, None] * (1 + motion @ response + noise * random.normal(size=(times, parts)))
    return signal, series


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_other_weights_are_quieter(seed):
    _, series = moving_star(seed=seed)
    weights = quietest_weights(series, np.ones(series.shape[1]))
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert variation(series, weights) < 1.002 * least_variation(series)


def test_motion_goes_and_the_star_s_own_variation_stays():
    signal, series = moving_star()
    equal = np.full(series.shape[1], 1 / series.shape[1])
    found = series @ quietest_weights(series, equal)
    assert np.std(found - signal) < 0.03 * np.std(series @ equal - signal)
    assert np.std(found / found.mean() - signal / signal.mean()) < 1.5e-4
    assert np.polyfit(signal, found, 1)[0] == pytest.approx(1, abs=0.03)


def test_what_cannot_be_weighed_keeps_the_weights_it_starts_with():
    start = np.array([1.0, 3.0])
    for series in (np.ones((20, 2)), np.ones((1, 2))):
        np.testing.assert_allclose(quietest_weights(series, start), [0.25, 0.75])
    np.testing.assert_allclose(quietest_weights(np.random.default_rng(1).random((20, 1)), start[:1]), [1])


def test_parts_go_by_brightness_and_know_the_flux_about_equally_well():
    light = np.random.default_rng(2).pareto(1.0, 500) + 1
    part = equal_shares(light, light, 10)
    known = np.bincount(part, light)
    assert np.array_equal(np.unique(part), np.arange(part.max() + 1))
    assert part.max() < 10
    assert (np.diff(part[np.argsort(-light)]) >= 0).all()
    several = np.bincount(part) > 3
    assert several.sum() >= 3
    assert known[several].max() < 2 * known[several].min()


def test_a_weight_for_every_pixel_would_undo_what_varies_fast():
    random = np.random.default_rng(4)
    light = random.pareto(1.5, 400) * 100 + 30
    fast = 1 + 2e-4 * np.sin(np.arange(300) * 2.1)
    pixels = light * fast[:, None] + np.sqrt(light) * 0.03 * random.normal(size=(300, 400))
    kept = []
    for part in (np.arange(400), equal_shares(light, light, 20)):
        share = np.bincount(part, light)
        series = np.stack([pixels[:, part == k].sum(axis=1) for k in range(share.size)], axis=1) / share
        found = series @ quietest_weights(series, share)
        kept.append(np.polyfit(fast, found, 1)[0])
    assert kept[0] < 0.5
    assert kept[1] > 0.8


def test_the_halo_of_sirius_is_far_quieter_than_its_sum(shared_data):
    path = shared_data("tess_ffi/tess2018349182459-s0006-0000000322899250-0126-s_tp_10cad.fits")
    with fits.open(path) as file:
        electrons = file[1].data["RAW_CNTS"].reshape(10, -1) * file[1].header["GAINC"]
    light = electrons - np.percentile(electrons, 5, axis=1, keepdims=True)
    mean = light.mean(axis=0)
    # A pixel at full well reads 2.6 million counts; the faint ones are sky.
    lit = (mean > 3e4) & (electrons.max(axis=0) < 2.6e6)
    light, mean, noise = light[:, lit], mean[lit], electrons[:, lit].mean(axis=0)
    part = equal_shares(mean, noise, 4)
    share = np.bincount(part, mean)
    series = np.stack([light[:, part == k].sum(axis=1) for k in range(share.size)], axis=1) / share
    weights = quietest_weights(series, share)
    assert lit.sum() > 2000
    assert variation(series, weights) < 0.05 * variation(series, share / share.sum())
    assert variation(series, weights) < 1.002 * least_variation(series)
