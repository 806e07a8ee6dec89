"""Claims about rotation: known periods, a real star, and nothing from noise."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from variable_stars import CADENCE, as_light_curves, bad_light_curves, spotted_stars, variable_stars

from tasoc_kit.numerics.autocorrelation import autocorrelation, even_grid
from tasoc_kit.seismology.rotation import measure_rotation, photometric_activity
from tasoc_kit.vocabulary import RotationFlag, VariabilityClass

GJ_1243 = "lightcurves/kplr009726699-2009350155506_llc.fits"


@pytest.fixture(scope="module")
def rotators():
    return spotted_stars(150, seed=3)


@pytest.fixture(scope="module")
def measured(rotators):
    return measure_rotation(as_light_curves(rotators.time, rotators.flux, rotators.error))


def off(measured, truth):
    return measured["rotation_period"].values / truth - 1


def test_periods_of_spotted_stars_are_found(rotators, measured):
    wrong = np.abs(off(measured, rotators.period))
    assert np.isfinite(wrong).mean() > 0.9
    assert (wrong[np.isfinite(wrong)] < 0.1).mean() > 0.94
    assert np.nanmedian(wrong) < 0.02


def test_two_of_three_periods_are_within_their_errors(rotators, measured):
    pull = off(measured, rotators.period) * rotators.period / measured["rotation_period_err"].values
    right = np.abs(off(measured, rotators.period)) < 0.1
    assert 0.5 < (np.abs(pull[right]) < 1).mean() < 0.9


def test_spots_on_either_side_do_not_halve_the_period():
    time = 1325 + CADENCE * np.arange(1296)
    turn = 2 * np.pi * time / 4.2
    flux = 3000 * (np.sin(2 * turn) + 0.35 * np.sin(turn)) + 100 * np.random.default_rng(1).normal(
        size=(3, 1296)
    )
    told = measure_rotation(as_light_curves(time, flux, np.full(3, 100.0)))
    assert told["spectrum_period"].values == pytest.approx(2.1, rel=0.03)
    assert told["rotation_period"].values == pytest.approx(4.2, rel=0.01)
    assert (told["rotation_flags"].values == RotationFlag.TWICE).all()


def test_constant_stars_with_drifts_have_no_period():
    made = variable_stars(150, seed=4, kinds=(VariabilityClass.CONSTANT,))
    told = measure_rotation(as_light_curves(made.time, made.flux, made.error))
    flags = told["rotation_flags"].values
    assert np.isfinite(told["rotation_period"].values).mean() <= 0.02
    assert ((flags & RotationFlag.NOT_FOUND) > 0).mean() >= 0.98
    assert np.isfinite(told["acf_period"].values).mean() > 0.6


def test_a_period_longer_than_half_the_light_curve_is_not_stated():
    time = 1325 + CADENCE * np.arange(1296)
    flux = 5000 * np.sin(2 * np.pi * time / np.array([[19.0], [26.0], [60.0]]))
    flux = flux + 100 * np.random.default_rng(6).normal(size=flux.shape)
    told = measure_rotation(as_light_curves(time, flux, np.full(3, 100.0)))
    assert np.isnan(told["rotation_period"].values).all()
    assert np.isnan(told["photometric_activity"].values).all()
    assert ((told["rotation_flags"].values & RotationFlag.LONG) > 0).all()


@pytest.mark.parametrize("column", ["SAP_FLUX", "PDCSAP_FLUX"])
def test_gj_1243_turns_in_0_5926_days(shared_data, column):
    table = fits.getdata(shared_data(GJ_1243), 1)
    good = np.isfinite(table["TIME"]) & np.isfinite(table[column]) & (table["SAP_QUALITY"] == 0)
    good &= table["TIME"] < table["TIME"][good][0] + 27
    flux = table[column][good].astype(float)
    curves = as_light_curves(table["TIME"][good], 1e6 * (flux / np.median(flux) - 1)[None], np.full(1, 100.0))
    told = measure_rotation(curves)
    assert float(told["rotation_period"][0]) == pytest.approx(0.5926, rel=0.01)
    assert float(told["spectrum_period"][0]) == pytest.approx(0.5926, rel=0.01)
    assert int(told["rotation_flags"][0]) == 0


def test_the_autocorrelation_is_that_of_its_definition_with_gaps():
    random = np.random.default_rng(2)
    time = np.delete(CADENCE * np.arange(300), np.r_[50:80, 200])
    flux = np.cumsum(random.normal(size=(2, time.size)), axis=1)
    even = even_grid(flux, time, CADENCE)
    assert even.shape == (2, 300)
    one = even[0] - np.nanmean(even[0])
    expected = [np.nanmean(one[: one.size - lag] * one[lag:]) for lag in (0, 1, 7, 100)]
    assert autocorrelation(even)[0, [0, 1, 7, 100]] == pytest.approx(np.array(expected) / expected[0])


def test_activity_is_the_scatter_over_five_rotations():
    time = CADENCE * np.arange(1296)
    drift = 1e4 * (time > 13.49)
    wave = 1000 * np.sin(2 * np.pi * time / 2.7)
    told = photometric_activity(np.stack([wave, wave + drift]), time, np.array([2.7, 2.7]))
    assert told == pytest.approx(1000 / np.sqrt(2), rel=0.01)
    assert np.isnan(photometric_activity(wave[None], time, np.array([np.nan])))


@pytest.mark.filterwarnings("error")
def test_bad_light_curves_have_no_period_and_give_no_warning():
    curves = bad_light_curves()
    told = measure_rotation(curves)
    sure = curves["good"].values
    assert np.isnan(told["rotation_period"].values[~sure]).all()
    assert told["rotation_period"].values[sure] == pytest.approx(1.5, rel=0.01)
