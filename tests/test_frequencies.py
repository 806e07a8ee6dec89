"""Claims about frequency lists: what was put in comes out, with its errors, and noise does not."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from astropy.timeseries import LombScargle
from variable_stars import as_light_curves, bad_light_curves, variable_stars

from tasoc_kit.errors import StepInputError, StepParameterError
from tasoc_kit.seismology.frequencies import PEAKS, extract_frequencies
from tasoc_kit.seismology.power_density import MICROHERTZ
from tasoc_kit.seismology.prewhitening import least_snr
from tasoc_kit.vocabulary import VariabilityClass

CADENCE, NOISE, WAVES = 1800 / 86400, 100.0, 6
TIME = 1325 + CADENCE * np.arange(1296)
KNOWN = (TIME < 1338.2) | (TIME > 1339.3)
SPAN = float(np.ptp(TIME)) + CADENCE


@pytest.fixture(scope="module")
def pulsators():
    """Six waves 0.1 cycles a day and more apart, in noise: 40 stars, and 10 of noise alone."""
    random = np.random.default_rng(11)
    slots = np.stack([random.choice(170, WAVES, replace=False) for _ in range(40)])
    frequency = 5.0 + 0.1 * slots + random.uniform(0, 0.01, slots.shape)
    amplitude, phase = 10 ** random.uniform(1.7, 3.5, slots.shape), random.uniform(-np.pi, np.pi, slots.shape)
    middle = 0.5 * (TIME[KNOWN][0] + TIME[KNOWN][-1])
    turn = 2 * np.pi * frequency[:, :, None] * (TIME - middle) + phase[:, :, None]
    flux = NOISE * random.normal(size=(50, TIME.size))
    flux[:40] += (amplitude[:, :, None] * np.sin(turn)).sum(axis=1)
    return (
        as_light_curves(TIME, np.where(KNOWN, flux, np.nan), np.full(50, NOISE)),
        frequency,
        amplitude,
        phase,
    )


@pytest.fixture(scope="module")
def found(pulsators):
    return extract_frequencies(pulsators[0], number=12)


def matched(pulsators, found):
    """Return the columns (quantity, match) of what was found beside what was put in."""
    _, frequency, amplitude, phase = pulsators
    rows = []
    for star, wave in np.ndindex(frequency.shape):
        off = np.abs(found["peak_frequency"].values[star] / MICROHERTZ - frequency[star, wave])
        if np.nanmin(off) < 0.5 / SPAN:
            rank = int(np.nanargmin(off))
            told = [float(found[name].values[star, rank]) for name in PEAKS]
            rows.append([frequency[star, wave] * MICROHERTZ, amplitude[star, wave], phase[star, wave], *told])
    return np.array(rows).T


def test_waves_that_stand_out_are_found_and_no_others(pulsators, found):
    _, frequency, amplitude, _ = pulsators
    number = found["peak_number"].values
    visible = (amplitude > 6 * NOISE * np.sqrt(np.pi / KNOWN.sum())).sum()
    assert matched(pulsators, found).shape[1] >= 0.99 * visible
    assert number.sum() - matched(pulsators, found).shape[1] <= 2
    assert (number[40:] == 0).all()
    assert np.isnan(found["peak_frequency"].values[40:]).all()
    assert found["residual_scatter"].values == pytest.approx(np.full(50, NOISE), rel=0.08)


def test_errors_are_as_large_as_what_waves_are_off(pulsators, found):
    frequency, amplitude, phase, *told = matched(pulsators, found)
    off = (
        (told[0] - frequency) / told[4],
        (told[1] - amplitude) / told[5],
        ((told[2] - phase + np.pi) % (2 * np.pi) - np.pi) / told[6],
    )
    for pull in off:
        assert np.percentile(np.abs(pull), 68) == pytest.approx(1.0, abs=0.2)
        assert abs(np.median(pull)) < 0.25


def test_errors_are_those_of_the_formula_for_white_noise(pulsators, found):
    _, _, _, _, amplitude, _, _, frequency_err, amplitude_err, phase_err = matched(pulsators, found)
    # Montgomery & O'Donoghue (1999), eq. 10 to 12.
    expected = np.sqrt(2 / KNOWN.sum()) * NOISE
    assert np.median(amplitude_err) == pytest.approx(expected, rel=0.08)
    assert phase_err == pytest.approx(amplitude_err / amplitude, rel=1e-3)
    expected = np.sqrt(6 / KNOWN.sum()) * NOISE / (np.pi * SPAN * amplitude) * MICROHERTZ
    assert np.median(frequency_err / expected) == pytest.approx(1.0, abs=0.08)


def test_the_first_is_the_highest_peak_of_the_exact_periodogram(pulsators, found):
    flux = pulsators[0]["flux"].values[:5]
    grid = np.arange(0.5, 23.5, 0.02 / SPAN)
    for star in range(5):
        peak = grid[LombScargle(TIME[KNOWN], flux[star, KNOWN]).power(grid, method="fast").argmax()]
        assert found["peak_frequency"].values[star, 0] / MICROHERTZ == pytest.approx(peak, abs=0.1 / SPAN)


def test_no_two_frequencies_are_closer_than_can_be_resolved():
    turn = 2 * np.pi * np.array([8.0, 8.0 + 0.8 / SPAN, 12.0, 12.0 + 2.2 / SPAN])[:, None] * TIME
    flux = 5000 * np.sin(turn).sum(axis=0) + NOISE * np.random.default_rng(2).normal(size=(4, TIME.size))
    told = extract_frequencies(as_light_curves(TIME, flux, np.full(4, NOISE)), number=10)
    listed = np.sort(told["peak_frequency"].values / MICROHERTZ, axis=1)
    assert (told["peak_number"].values >= 3).all()
    assert np.nanmin(np.diff(listed, axis=1)) >= 1.5 / SPAN


def test_noise_has_a_frequency_as_seldom_as_is_stated():
    flux = np.random.default_rng(5).normal(size=(400, TIME.size))
    flux[:, ~KNOWN] = np.nan
    told = extract_frequencies(as_light_curves(TIME, flux, np.ones(400)), number=1, false_alarm=0.02)
    assert (told["peak_number"].values > 0).mean() <= 0.035
    assert least_snr(np.array(1240), 0.001) == pytest.approx(4.53, abs=0.01)
    assert least_snr(np.array(60), 0.5) == 4.0


def test_pulsators_of_another_generator_end_with_little_more_than_their_noise():
    kinds = (VariabilityClass.DSCT_BCEP, VariabilityClass.GDOR_SPB, VariabilityClass.RRLYR_CEPHEID)
    made = variable_stars(5, seed=9, kinds=kinds, span=(8, 10))
    told = extract_frequencies(as_light_curves(made.time, made.flux, made.error), number=30)
    before = np.nanstd(made.flux, axis=1)
    assert (told["peak_number"].values > 0).all()
    assert np.median(told["residual_scatter"].values / before) < 0.1


@pytest.mark.filterwarnings("error")
def test_bad_light_curves_have_no_frequencies_and_give_no_warning():
    curves = bad_light_curves()
    told = extract_frequencies(curves, number=3)
    sure = curves["good"].values
    assert np.isnan(told["peak_frequency"].values[~sure]).all()
    assert (told["peak_number"].values[sure] > 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("cadences", [0, 1, 2])
def test_light_curves_of_few_cadences_have_no_frequencies(pulsators, cadences):
    told = extract_frequencies(pulsators[0].isel(star=slice(0, 3), time=slice(0, cadences)))
    assert told.sizes["star"] == 3
    assert (told["peak_number"].values == 0).all()


def test_what_does_not_fit_is_refused(pulsators):
    with pytest.raises(StepParameterError, match="number"):
        extract_frequencies(pulsators[0], number=0)
    chosen = xr.Dataset({"best_correction": ("star", np.ones(50, np.int8))})
    with pytest.raises(StepInputError, match="CBV"):
        extract_frequencies(pulsators[0], chosen)
