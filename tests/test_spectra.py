"""Claims about the product of spectra: whose flux it is of, its grid, its blocks, and what cannot be used."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from drifting_stars import PLACE, drifting_stars

from tasoc_kit import star_series
from tasoc_kit.errors import StepInputError, StepParameterError
from tasoc_kit.seismology.oscillations import measure_oscillations
from tasoc_kit.seismology.power_density import MICROHERTZ
from tasoc_kit.seismology.spectra import make_spectra
from tasoc_kit.vocabulary import Correction, KitQuality, TessQuality

STARS, CADENCES = 12, 400
WAVES = {Correction.CBV: 40.0, Correction.ENSEMBLE: 90.0, Correction.FILTER: 150.0}
"""µHz of the wave that the light curves of each correction have."""


@pytest.fixture(scope="module")
def light_curves():
    return drifting_stars(STARS, CADENCES).light_curves


@pytest.fixture(scope="module")
def corrected(light_curves):
    """Light curves of each correction: no two have the same wave."""
    tables = {}
    for kind, frequency in WAVES.items():
        wave = 1 + 1e-2 * np.sin(2 * np.pi * frequency / MICROHERTZ * light_curves["time"].values)
        tables[kind] = light_curves.rename(flux="flux_corr", flux_err="flux_corr_err").assign(
            flux_corr=(("star", "time"), (light_curves["flux"].values * wave).astype(np.float32))
        )
    return tables


@pytest.fixture(scope="module")
def corrections():
    best = np.array([0, 1, 2] * (STARS // 3), np.int8)
    return xr.Dataset({"best_correction": ("star", best)}, attrs=PLACE | {"product": "corrections"})


@pytest.fixture(scope="module")
def spectra(light_curves, corrections, corrected):
    return make_spectra(light_curves, corrections, *corrected.values())


def highest(spectra, star):
    return float(spectra["frequency"].values[np.argmax(spectra["power"].values[star])])


def test_a_spectrum_is_that_of_the_correction_that_serves_a_star_best(spectra, corrections):
    assert spectra["spectrum_correction"].values.tolist() == corrections["best_correction"].values.tolist()
    resolution = spectra.attrs["resolution"]
    assert highest(spectra, 1) == pytest.approx(WAVES[Correction.CBV], abs=resolution)
    assert highest(spectra, 2) == pytest.approx(WAVES[Correction.ENSEMBLE], abs=resolution)


def test_one_correction_can_be_taken_for_all(light_curves, corrections, corrected):
    found = make_spectra(light_curves, corrections, *corrected.values(), method="filtered")
    assert (found["spectrum_correction"] == Correction.FILTER).all()
    for star in range(3):
        assert highest(found, star) == pytest.approx(WAVES[Correction.FILTER], abs=found.attrs["resolution"])


def test_the_grid_ends_at_half_the_sampling_and_its_window_begins_with_one(spectra):
    frequency = spectra["frequency"].values
    assert spectra.attrs["nyquist"] == pytest.approx(277.8, abs=0.1)
    assert frequency[0] == pytest.approx(spectra.attrs["resolution"])
    assert spectra.attrs["nyquist"] - 2 * frequency[0] < frequency[-1] < spectra.attrs["nyquist"]
    assert np.ptp(np.diff(frequency)) < 1e-9
    assert spectra["spectral_window"].values[0] == pytest.approx(1)
    # A sector without gaps: beyond one resolution little is left of a wave.
    assert spectra["spectral_window"].values[8:].max() < 0.06


def test_white_noise_has_the_level_that_its_scatter_says(light_curves):
    random = np.random.default_rng(3)
    flux = 5e3 * (1 + 3e-4 * random.normal(size=(STARS, CADENCES)))
    noisy = light_curves.assign(flux=(("star", "time"), flux.astype(np.float32)))
    found = make_spectra(noisy)
    expected = 2 * 300.0**2 * 1800e-6
    assert float(found["noise_level"].mean()) == pytest.approx(expected, rel=0.1)
    assert float(found["power"].mean()) == pytest.approx(expected, rel=0.05)


def test_oscillations_are_the_same_from_an_oversampled_spectrum(light_curves):
    fine, plain = make_spectra(light_curves, oversampling=3), make_spectra(light_curves)
    assert fine.sizes["frequency"] > 2.9 * plain.sizes["frequency"]
    found, expected = measure_oscillations(fine), measure_oscillations(plain)
    xr.testing.assert_allclose(found["detection_probability"], expected["detection_probability"], rtol=0.02)


def test_any_chunks_and_blocks_give_the_same(light_curves, corrections, corrected, spectra, monkeypatch):
    monkeypatch.setattr(star_series, "VALUES_AT_ONCE", 5 * CADENCES)
    chunked = [table.chunk({"time": 64}) for table in corrected.values()]
    found = make_spectra(light_curves.chunk({"time": 64}), corrections, *chunked)
    np.testing.assert_allclose(found["power"].values, spectra["power"].values, rtol=1e-6)


def test_cadences_that_a_bit_sets_apart_are_not_used(light_curves):
    flux, bits = light_curves["flux"].values.copy(), np.zeros(CADENCES, np.int32)
    of_star = np.zeros(flux.shape, np.int32)
    bits[50], of_star[3, 70] = TessQuality.DESAT, KitQuality.COSMIC_RAY
    flux[:, 50], flux[3, 70] = 1e9, 1e9
    changed = light_curves.assign(flux=(("star", "time"), flux), pixel_quality=(("star", "time"), of_star))
    found = make_spectra(changed.assign_coords(quality=("time", bits)))
    assert found["known_cadences"].values.tolist() == [399] * 3 + [398] + [399] * 8
    plain = make_spectra(light_curves)
    assert float(found["power"].mean() / plain["power"].mean()) == pytest.approx(1, abs=0.1)


def test_a_light_curve_from_a_file_needs_no_more_than_flux_time_and_bits(light_curves):
    one = light_curves[["flux", "flux_err"]].isel(star=[0])
    bare = one.drop_vars(["frame_quality", "cadenceno", "star_row", "star_column"])
    found = make_spectra(bare)
    np.testing.assert_array_equal(found["power"].values, make_spectra(one)["power"].values)


def bad_curves(time):
    """Return light curves that nothing, or not much, can be made of."""
    level = np.full((8, time.size), 1e4, np.float32)
    random = np.random.default_rng(2)
    level += random.normal(size=level.shape).astype(np.float32)
    level[0] = np.nan
    level[1] = 1e4
    level[2, 3:] = np.nan
    level[3] *= -1
    level[4] = 0
    level[5, 20:] = np.nan
    level[6, ::2] = np.inf
    return level


@pytest.mark.parametrize("cadences", [0, 1, 3, 9, 40, CADENCES])
def test_light_curves_that_tell_nothing_give_nan_and_no_noise(light_curves, cadences):
    some = light_curves.isel(star=slice(0, 8), time=slice(0, cadences))
    flux = bad_curves(some["time"].values)
    bad = some.assign(flux=(("star", "time"), flux), flux_err=(("star", "time"), np.full_like(flux, np.nan)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectra = make_spectra(bad)
        found = measure_oscillations(spectra)
    assert np.isnan(spectra["power"].values[[0, 2, 3, 4]]).all()
    assert (spectra["power"].values[1] == 0).all()
    assert np.isnan(found["numax"].values[:5]).all()
    assert found.sizes["star"] == 8
    if cadences == CADENCES:
        assert np.isfinite(spectra["power"].values[5:]).all()
        assert (found["detection_probability"].values[5:] < 0.5).all()


def test_a_table_without_stars_is_one_without_oscillations(light_curves):
    found = measure_oscillations(make_spectra(light_curves.isel(star=slice(0, 0))))
    assert found.sizes["star"] == 0


def test_what_does_not_fit_is_refused(light_curves, corrections, corrected):
    with pytest.raises(StepInputError, match=r"CBV light curves .* are None; expected \(12, 400\)"):
        make_spectra(light_curves, corrections)
    with pytest.raises(StepInputError, match=r"corrections of 11 stars, light curves of 12"):
        make_spectra(light_curves, corrections.isel(star=slice(1, None)), *corrected.values())
    with pytest.raises(StepParameterError, match="method='median'"):
        make_spectra(light_curves, method="median")
    with pytest.raises(StepInputError, match=r"no attributes \['nyquist', 'resolution'\]"):
        measure_oscillations(make_spectra(light_curves).drop_attrs())
