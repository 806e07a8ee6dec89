"""Claims about steps in light curves: those of the spacecraft go, and no other."""

import numpy as np
import pytest

from tasoc_kit.corrections.jumps import correct_jumps, jump_places
from tasoc_kit.vocabulary import KitQuality, TessQuality

TIME = 1325.0 + np.arange(1000) / 48
CONSTANT, LINEAR = KitQuality.JUMP_MULTIPLICATIVE_CONSTANT, KitQuality.JUMP_MULTIPLICATIVE_LINEAR


def stars(number=50, noise=300e-6, seed=1):
    return 1 + noise * np.random.default_rng(seed).normal(size=(number, TIME.size))


def test_a_step_may_come_after_a_move_and_after_a_gap():
    quality = np.zeros(TIME.size, np.int32)
    quality[200], quality[400:402] = int(TessQuality.DESAT), int(TessQuality.ATTITUDE_TWEAK)
    quality[600] = int(TessQuality.SCATTERED_LIGHT)
    good = quality == 0
    good[700:730] = False
    assert jump_places(TIME, good, quality).tolist() == [201, 402, 730]
    assert jump_places(TIME, np.zeros(TIME.size, bool), quality).size == 0


@pytest.mark.parametrize("size", [0.003, -0.02])
def test_steps_are_found_and_multiplied_away(size):
    flux = stars()
    flux[:, 300:] *= 1 + size
    flux[:, 700:] *= 1 - size / 2
    factor, bits = correct_jumps(flux, TIME, np.array([300, 700]))
    assert (bits[:, [300, 700]] > 0).all()
    assert np.count_nonzero(bits) == 100
    left = flux / factor
    for before, after in ((slice(200, 300), slice(300, 400)), (slice(600, 700), slice(700, 800))):
        ratio = left[:, after].mean(axis=1) / left[:, before].mean(axis=1)
        # The mean of 100 cadences is good to 30 ppm; a step is told from 48 on either side, by two lines.
        assert np.abs(ratio - 1).max() < 6 * 300e-6 * np.sqrt(8 / 48)
    assert np.median(factor, axis=1) == pytest.approx(1, abs=1e-12)


def test_where_no_step_is_nothing_changes():
    flux = stars(400)
    factor, bits = correct_jumps(flux, TIME, np.array([300, 700]))
    assert np.count_nonzero(bits) <= 1
    wave = stars(100) * (1 + 0.01 * np.sin(2 * np.pi * TIME / 9.0))
    factor, bits = correct_jumps(wave, TIME, np.array([300, 700]))
    assert np.abs(factor - 1).max() < 5e-4


def test_a_slope_that_changes_with_the_step_does_not_spoil_it():
    flux = stars(100, 100e-6)
    flux[:, 500:] *= 1.004 + 0.004 * (TIME[500:] - TIME[500])
    factor, bits = correct_jumps(flux, TIME, np.array([500]))
    assert (bits[:, 500] == int(LINEAR)).mean() > 0.9
    assert factor[:, 600] / factor[:, 400] == pytest.approx(1.004, abs=4e-4)


def test_outliers_and_unknown_cadences_beside_a_step_do_not_matter():
    flux = stars(50)
    flux[:, 500:] *= 1.01
    flux[:, 495:499], flux[:, 503], flux[:, 490] = np.nan, 5.0, 0.1
    factor, bits = correct_jumps(flux, TIME, np.array([500]))
    assert factor[:, 600] / factor[:, 400] == pytest.approx(1.01, abs=8e-4)


def test_too_few_cadences_beside_a_place_tell_nothing():
    flux = stars(5)
    flux[:, 20:] *= 1.05
    flux[:, 5:20] = np.nan
    assert not correct_jumps(flux, TIME, np.array([20]))[1].any()
    nothing = np.full((3, TIME.size), np.nan)
    factor, bits = correct_jumps(nothing, TIME, np.array([500]))
    assert not bits.any()
