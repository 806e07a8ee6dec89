"""Claims about power density spectra: their scale, their peaks, and gaps."""

import numpy as np
import pytest
from astropy.timeseries import LombScargle

from tasoc_kit.seismology import power_density as module
from tasoc_kit.seismology.power_density import MICROHERTZ, frequency_grid, power_density, spectral_window

CADENCE = 1800 / 86400


def series(stars=6, cadences=1300, seed=1, sigma=100.0):
    random = np.random.default_rng(seed)
    number = np.arange(cadences)
    # Barycentric times are not even: they drift by minutes over a sector.
    time = 1325 + CADENCE * number + 0.004 * np.sin(2 * np.pi * CADENCE * number / 365.25)
    gap = (number > 600) & (number < 680)
    return time[~gap], sigma * random.normal(size=(stars, (~gap).sum()))


@pytest.fixture(params=["finufft", "astropy"])
def way(request, monkeypatch):
    if request.param == "finufft":
        pytest.importorskip("finufft", reason="finufft: the extra 'seismology' is not installed")
    else:
        monkeypatch.setattr(module, "_periodogram", lambda: module._by_astropy)
    return request.param


def test_the_integral_of_a_spectrum_is_the_variance(way):
    time, flux = series(40)
    frequency = frequency_grid(time, CADENCE, 1.0)
    power = power_density(flux, time, frequency, CADENCE)
    step = frequency[1] - frequency[0]
    # The gap makes a seventeenth of the frequencies depend on each other.
    assert np.median(power.sum(axis=1) * step / flux.var(axis=1)) == pytest.approx(1, rel=0.1)
    assert power.mean() == pytest.approx(2 * 100.0**2 * CADENCE / MICROHERTZ, rel=0.03)


def test_a_wave_has_its_peak_where_it_is_and_as_high_as_its_amplitude_says(way):
    time, flux = series(3, sigma=1.0)
    wave = 250.0 * np.sin(2 * np.pi * (123.4 / MICROHERTZ) * time)
    frequency = frequency_grid(time, CADENCE, 10.0)
    power = power_density(flux + wave, time, frequency, CADENCE)
    length = time.size * CADENCE / MICROHERTZ
    assert frequency[np.argmax(power, axis=1)] == pytest.approx(123.4, abs=0.05)
    assert power.max(axis=1) == pytest.approx(250.0**2 / 2 * length, rel=0.01)


def test_spectra_are_those_of_the_exact_periodogram(way):
    time, flux = series(4)
    flux[1, 100:140], flux[2, 1] = np.nan, np.nan
    frequency = frequency_grid(time, CADENCE, 5.0)
    found = power_density(flux, time, frequency, CADENCE)
    for star in range(4):
        known = np.isfinite(flux[star])
        exact = LombScargle(time[known], flux[star, known]).power(frequency / MICROHERTZ, method="cython")
        scale = flux[star, known].var() * known.sum() * CADENCE / MICROHERTZ
        assert np.abs(found[star] / scale - exact).max() < 1e-7 * exact.max()


def test_stars_with_too_little_to_tell_have_no_spectrum():
    time, flux = series(4)
    flux[0], flux[1, 7:], flux[2] = np.nan, np.nan, 5.0
    power = power_density(flux, time, frequency_grid(time, CADENCE, 1.0), CADENCE)
    assert np.isnan(power[:2]).all()
    assert (power[2] == 0).all()
    assert np.isfinite(power[3]).all()


def test_the_window_of_a_gap_has_its_side_lobes():
    time, _ = series(1)
    window = spectral_window(time, np.concatenate([[0.0], frequency_grid(time, CADENCE, 1.0)]))
    assert window[0] == pytest.approx(1)
    assert window[1:].max() < 0.02
    even = 1325 + CADENCE * np.arange(1000)
    assert spectral_window(even, frequency_grid(even, CADENCE, 1.0)).max() < 1e-20
