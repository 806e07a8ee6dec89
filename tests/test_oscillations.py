"""Claims about νmax, Δν and their intervals: on simulated giants, and on two real stars."""

from types import SimpleNamespace

import numpy as np
import pytest
from giants import simulate_giants

from tasoc_kit.numerics.oscillation_model import envelope_width, expected_separation
from tasoc_kit.seismology.envelope import background_of, find_envelope
from tasoc_kit.seismology.power_density import MICROHERTZ, frequency_grid, power_density
from tasoc_kit.seismology.separation import find_separation

STARS = 60


def measure(flux, time, cadence):
    """Return spectra, envelopes and separations of light curves in ppm."""
    frequency, nyquist = frequency_grid(time, cadence, 1.0), 0.5 / cadence * MICROHERTZ
    power = power_density(flux, time, frequency, cadence)
    found = find_envelope(frequency, power, nyquist)
    random, separations = np.random.default_rng(1), []
    for star, numax in enumerate(found.numax):
        ratio = power[star] / background_of(frequency, numax, found.heights[star], nyquist)
        separations.append(find_separation(frequency, ratio, numax, envelope_width(numax), random))
    return SimpleNamespace(frequency=frequency, power=power, envelope=found, dnu=np.array(separations))


@pytest.fixture(scope="module")
def giants():
    return simulate_giants(STARS, seed=2)


@pytest.fixture(scope="module")
def measured(giants):
    return measure(giants.flux, giants.time, giants.cadence)


def test_a_simulated_spectrum_is_the_one_that_was_asked_for(giants, measured):
    """White noise at the end of the spectrum: two variances times the sampling."""
    end = measured.frequency > 0.97 * measured.frequency[-1]
    white = 2 * 150.0**2 * giants.cadence / MICROHERTZ
    faint = giants.numax < 80
    assert np.median(measured.power[faint][:, end].mean(axis=1)) == pytest.approx(white, rel=0.1)


def test_numax_of_giants_is_found(giants, measured):
    off = np.abs(measured.envelope.numax / giants.numax - 1)
    assert np.mean(off < 0.1) >= 0.9
    assert np.median(off) < 0.03
    assert np.mean(measured.envelope.probability > 0.5) > 0.9


def test_separations_of_giants_are_found(giants, measured):
    off = np.abs(measured.dnu[:, 0] / giants.dnu - 1)
    assert np.mean(off < 0.05) >= 0.85
    assert np.median(off) < 0.01


def test_two_thirds_of_the_intervals_hold_the_truth(giants, measured):
    """Of 60 stars between 0.5 and 0.85 by chance, at two and a half standard deviations."""
    found = measured.envelope
    for low, high, truth in (
        (found.numax_low, found.numax_high, giants.numax),
        (measured.dnu[:, 1], measured.dnu[:, 2], giants.dnu),
    ):
        assert 0.5 < np.mean((low < truth) & (truth < high)) < 0.85


def test_granulation_alone_is_no_oscillation():
    quiet = simulate_giants(30, seed=9, oscillating=False)
    found = measure(quiet.flux, quiet.time, quiet.cadence).envelope
    assert np.mean(found.probability > 0.5) < 0.1


@pytest.mark.parametrize(
    ("name", "numax", "dnu"),
    [("kic1435467", (1340, 0.06), (70.6, 0.015)), ("kic11618103", (106, 0.04), (9.4, 0.015))],
)
def test_real_stars_are_those_that_were_published(shared_data, name, numax, dnu):
    time, flux = np.loadtxt(shared_data(f"lightcurves/{name}_LC.txt")).T
    measured = measure(1e6 * (flux[None] - 1), time, float(np.median(np.diff(time))))
    assert measured.envelope.numax[0] == pytest.approx(numax[0], rel=numax[1])
    assert measured.dnu[0, 0] == pytest.approx(dnu[0], rel=dnu[1])
    assert measured.envelope.probability[0] > 0.9


def test_a_spectrum_that_tells_nothing_has_no_numax(giants):
    frequency = np.linspace(1, 280, 300)
    power = np.stack([np.full(300, np.nan), np.zeros(300)])
    found = find_envelope(frequency, power, 277.0)
    assert np.isnan(found.numax).all()
    assert np.isnan(find_envelope(frequency[:3], power[:, :3], 4.0).numax).all()
    assert expected_separation(135.0) == pytest.approx(11.6, rel=0.02)
