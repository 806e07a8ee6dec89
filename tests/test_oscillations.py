"""Claims about νmax, Δν and what follows: on simulated giants, two real stars, stars without oscillations."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from giants import as_light_curves, simulate_giants

from tasoc_kit.numerics.oscillation_model import envelope_height, expected_separation, model_of
from tasoc_kit.seismology.envelope import find_envelope, make_trials
from tasoc_kit.seismology.oscillations import measure_oscillations
from tasoc_kit.seismology.power_density import MICROHERTZ
from tasoc_kit.seismology.scaling import SUN_DNU, SUN_LOGG, SUN_NUMAX, SUN_TEFF, scale_stars
from tasoc_kit.seismology.spectra import make_spectra
from tasoc_kit.vocabulary import OscillationFlag

STARS, NOISE = 60, 150.0
WHITE = 2 * NOISE**2 * 1800e-6


def measure(flux, time, **options):
    """Return the oscillations of light curves in ppm."""
    return measure_oscillations(make_spectra(as_light_curves(flux, time, **options)))


def inside(measured, name, truth):
    """Return the share of the stars whose interval holds the truth."""
    return float(((measured[f"{name}_low"] < truth) & (truth < measured[f"{name}_high"])).mean())


def has(measured, flag):
    return (measured["oscillation_flags"].values & flag) > 0


@pytest.fixture(scope="module")
def giants():
    return simulate_giants(STARS, seed=2, noise=NOISE)


@pytest.fixture(scope="module")
def spectra(giants):
    return make_spectra(as_light_curves(giants.flux, giants.time))


@pytest.fixture(scope="module")
def measured(spectra):
    return measure_oscillations(spectra)


def test_a_simulated_spectrum_is_the_one_that_was_asked_for(giants, spectra):
    """White noise at the end of the spectrum: two variances times the sampling."""
    frequency = spectra["frequency"].values
    end = spectra["power"].values[giants.numax < 80][:, frequency > 0.97 * frequency[-1]]
    assert np.median(end.mean(axis=1)) == pytest.approx(WHITE, rel=0.1)


def test_numax_of_giants_is_found(giants, measured):
    off = np.abs(measured["numax"].values / giants.numax - 1)
    assert np.mean(off < 0.1) >= 0.9
    assert np.median(off) < 0.03
    assert np.mean(measured["detection_probability"] > 0.5) > 0.9


def test_separations_of_giants_are_found(giants, measured):
    off = np.abs(measured["dnu"].values / giants.dnu - 1)
    assert np.mean(off < 0.05) >= 0.85
    assert np.median(off) < 0.01
    assert not has(measured, OscillationFlag.DISAGREE).any()


def test_two_thirds_of_the_intervals_hold_the_truth(giants, measured):
    """Of 60 stars between 0.5 and 0.85 by chance, at two and a half standard deviations."""
    truths = {
        "numax": giants.numax,
        "dnu": giants.dnu,
        "envelope_height": envelope_height(giants.numax),
        "white_noise": WHITE,
        "granulation_amplitude": giants.granulation,
    }
    assert all(0.5 < inside(measured, name, truth) < 0.85 for name, truth in truths.items())


def test_the_granulation_is_as_strong_as_it_was_made(giants, measured):
    ratio = measured["granulation_amplitude"].values / giants.granulation
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    assert np.std(np.log(ratio)) < 0.06


def test_mass_radius_and_gravity_are_those_of_the_scaling_relations(giants, measured):
    truth = {name: getattr(giants, name)[:, None] for name in ("numax", "dnu")}
    seen = {name + end: values[:, 0] for name, values in truth.items() for end in ("", "_low", "_high")}
    expected = scale_stars(seen, np.full(STARS, 4800.0))
    assert np.median(np.abs(measured["radius"] / expected["radius"] - 1)) < 0.04
    assert np.median(np.abs(measured["mass"] / expected["mass"] - 1)) < 0.12
    assert np.median(np.abs(measured["logg"] - expected["logg"])) < 0.02
    assert 0.5 < inside(measured, "logg", expected["logg"]) < 0.9


def test_the_sun_is_the_sun():
    seen = {"numax": SUN_NUMAX, "numax_low": 3060.0, "numax_high": 3120.0}
    seen |= {"dnu": SUN_DNU, "dnu_low": 135.0, "dnu_high": 135.2}
    sun = scale_stars({name: np.array([value]) for name, value in seen.items()}, np.array([SUN_TEFF]))
    assert [float(sun[name][0]) for name in ("mass", "radius", "logg")] == pytest.approx([1, 1, SUN_LOGG])
    # Errors of 1, 0.07 and 2 %, with their exponents.
    assert float(sun["mass_high"][0]) == pytest.approx(1 + np.hypot(3 * 0.0097, 1.5 * 0.02), rel=2e-3)
    assert float(sun["radius_low"][0]) == pytest.approx(1 - np.hypot(0.0098, 0.5 * 0.02), rel=2e-3)


def test_a_star_without_a_temperature_keeps_numax_and_has_no_mass(giants):
    found = measure(giants.flux[:2], giants.time, teff=np.nan)
    assert np.isfinite(found["numax"]).all()
    assert np.isnan(found["mass"]).all()
    assert np.isnan(found["logg"]).all()
    assert has(found, OscillationFlag.NO_TEFF).all()


def test_the_model_follows_the_spectrum(spectra, measured):
    frequency = spectra["frequency"].values
    for star in range(5):
        one = measured.isel(star=star)
        model = model_of(
            frequency, float(one["numax"]), one["part_height"].values, spectra.attrs["nyquist"],
            spectra.attrs["resolution"], float(one["envelope_width"]),
        ).sum(axis=0)  # fmt: skip
        ratio = spectra["power"].values[star] / model
        assert [part.mean() for part in np.array_split(ratio, 8)] == pytest.approx(np.ones(8), abs=0.25)


def test_any_blocks_give_the_same(spectra, measured, monkeypatch):
    from tasoc_kit.seismology import oscillations as module

    monkeypatch.setattr(module, "STARS_AT_ONCE", 7)
    some = {"star": slice(0, 20)}
    found = measure_oscillations(spectra.isel(some).chunk({"star": 6}))
    np.testing.assert_array_equal(found["numax"].values, measured["numax"].values[:20])
    np.testing.assert_array_equal(found["dnu_low"].values, measured["dnu_low"].values[:20])


def test_the_interval_of_a_probability_holds_that_of_the_same_star_at_another_time():
    """Two halves of a light curve differ by the luck of both: half of the intervals hold the other half."""
    made = simulate_giants(90, seed=21, days=54.0, noise=400.0)
    first = made.time < made.time.mean()
    one, other = (measure(made.flux[:, some], made.time[some]) for some in (first, ~first))
    mean = 0.5 * (one["detection_probability"] + other["detection_probability"])
    some = {"star": np.flatnonzero((mean > 0.05) & (mean < 0.99))}
    assert some["star"].size > 15
    held = inside(one.isel(some), "detection_probability", other["detection_probability"].isel(some))
    assert 0.25 < held < 0.75


@pytest.fixture(scope="module")
def quiet():
    return simulate_giants(60, seed=9, days=27.0, oscillating=False)


def test_granulation_and_white_noise_alone_are_no_oscillations(quiet):
    random = np.random.default_rng(4)
    white = 300 * random.normal(size=(60, quiet.time.size))
    for flux in (quiet.flux, white):
        found = measure(flux, quiet.time)
        assert (found["detection_probability"] < 0.5).all()
        assert has(found, OscillationFlag.UNLIKELY).all()
        # Most are not worth the fine pass.
        assert has(found, OscillationFlag.FIRST_PASS).mean() > 0.7


def test_pulsations_that_are_not_like_the_suns_are_refused(quiet):
    random = np.random.default_rng(6)
    amplitude = 10 ** random.uniform(2.5, 4, (40, 1))
    turn = 2 * np.pi * random.uniform(20, 200, (40, 1)) / MICROHERTZ * quiet.time
    found = measure(150 * random.normal(size=turn.shape) + amplitude * np.sin(turn), quiet.time)
    assert np.mean(found["detection_probability"] < 0.5) >= 0.9
    assert np.mean(has(found, OscillationFlag.COHERENT | OscillationFlag.TOO_HIGH)) > 0.8


def test_oscillations_beyond_the_data_are_not_found_within():
    slow = simulate_giants(10, seed=5, days=27.0, span=(0.8, 1.5))
    fast = simulate_giants(10, seed=6, days=27.0, span=(330.0, 420.0))
    for made in (slow, fast):
        found = measure(made.flux, made.time)
        claimed = (found["detection_probability"] > 0.5).values & ~has(found, OscillationFlag.AT_THE_END)
        assert claimed.sum() <= 1


@pytest.mark.parametrize(
    ("name", "numax", "dnu"),
    [("kic1435467", (1340, 0.06), (70.6, 0.015)), ("kic11618103", (106, 0.04), (9.4, 0.015))],
)
def test_real_stars_are_those_that_were_published(shared_data, name, numax, dnu):
    time, flux = np.loadtxt(shared_data(f"lightcurves/{name}_LC.txt")).T
    found = measure(1e6 * (flux[None] - 1), time)
    assert float(found["numax"][0]) == pytest.approx(numax[0], rel=numax[1])
    assert float(found["dnu"][0]) == pytest.approx(dnu[0], rel=dnu[1])
    assert float(found["detection_probability"][0]) > 0.9
    assert not has(found, OscillationFlag.COHERENT | OscillationFlag.TOO_HIGH | OscillationFlag.DISAGREE)[0]


def test_a_spectrum_that_tells_nothing_has_no_numax():
    frequency = np.linspace(1, 280, 280)
    power = np.stack([np.full(280, np.nan), np.zeros(280)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(find_envelope(power, make_trials(frequency, 277.0)).numax).all()
        assert np.isnan(find_envelope(power[:, :3], make_trials(frequency[:3], 4.0)).numax).all()
    assert make_trials(frequency[:0], 277.0) is None
    assert expected_separation(135.0) == pytest.approx(11.6, rel=0.02)
