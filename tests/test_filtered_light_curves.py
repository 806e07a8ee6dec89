"""Claims about filtered light curves: slow things go, transits of known periods and oscillations stay."""

import numpy as np
import pytest
from drifting_stars import drifting_stars

from tasoc_kit.corrections.filtered_light_curves import make_filtered_light_curves, read_periods
from tasoc_kit.corrections.kasoc_filter import clip_outliers, moving_median, phase_curve
from tasoc_kit.errors import StepParameterError
from tasoc_kit.vocabulary import DEFAULT_BAD_KIT_BITS, KitQuality, TessQuality

DEPTH, PERIOD, HOURS = 0.002, 3.7, 4.0


@pytest.fixture(scope="module")
def drifting():
    return drifting_stars(60, 1300, seed=2, noise=100e-6)


def with_transits(drifting, depth=DEPTH):
    curves = drifting.light_curves.copy(deep=True)
    time = curves["time"].values
    inside = np.abs((time - time[0] - 1.2 + PERIOD / 2) % PERIOD - PERIOD / 2) < HOURS / 48
    curves["flux"][:] = curves["flux"].values * np.where(inside, 1 - depth, 1).astype(np.float32)
    return curves, inside


def depth_of(flux, inside):
    near = np.convolve(inside, np.ones(25), "same") > 0
    return 1 - np.nanmedian(flux[:, inside], axis=1) / np.nanmedian(flux[:, near & ~inside], axis=1)


def good_flux(made):
    """Return the flux without the cadences that are set apart, as a user takes it."""
    return made["flux_corr"].where((made["pixel_quality"] & DEFAULT_BAD_KIT_BITS) == 0).values


def test_a_moving_median_is_that_of_the_finite_values_in_its_window():
    values = np.random.default_rng(1).normal(size=(3, 60))
    values[:, 20:24] = np.nan
    values[0, 40:] = np.nan
    moved = moving_median(values, 9)
    for place in range(60):
        window = values[:, max(0, place - 4) : place + 5]
        for star in range(3):
            known = window[star][np.isfinite(window[star])]
            expected = np.median(known) if known.size else np.nan
            np.testing.assert_allclose(moved[star, place], expected)
    np.testing.assert_array_equal(moving_median(values, 1), values)
    assert moving_median(values, 1001).shape == values.shape


def test_slow_drifts_go_and_the_level_of_a_star_stays(drifting):
    made = make_filtered_light_curves(drifting.light_curves)
    flux, before = made["flux_corr"].values, drifting.light_curves["flux"].values
    assert np.median(flux, axis=1) == pytest.approx(np.median(before, axis=1), rel=1e-3)
    scatter = [values.std(axis=1) / np.median(values, axis=1) for values in (before, flux)]
    assert np.median(scatter[0]) > 9e-4
    # These drift within days: six of them follow half of it.
    assert np.median(scatter[1]) < 0.5 * np.median(scatter[0])
    sooner = make_filtered_light_curves(drifting.light_curves, long=0.5)["flux_corr"].values
    assert np.median(sooner.std(axis=1) / np.median(sooner, axis=1)) < 1.3 * drifting.noise
    np.testing.assert_allclose(
        made["flux_corr_err"].values / flux, drifting.light_curves["flux_err"].values / before, rtol=1e-5
    )


def test_transits_of_a_known_period_keep_their_depth(drifting):
    curves, inside = with_transits(drifting)
    periods = "; ".join(f"{tic}:{PERIOD}" for tic in curves["tic"].values)
    flux = good_flux(make_filtered_light_curves(curves, transits=periods))
    assert np.isfinite(flux[:, inside]).mean() > 0.99
    known = depth_of(flux, inside)
    assert np.median(known) == pytest.approx(DEPTH, rel=0.02)
    assert np.abs(known / DEPTH - 1).max() < 0.1


@pytest.mark.parametrize("depth", [0.002, 0.05])
def test_dips_of_a_period_that_nobody_knows_are_not_set_apart(drifting, depth):
    curves, inside = with_transits(drifting, depth)
    flux = good_flux(make_filtered_light_curves(curves))
    assert np.isfinite(flux[:, inside]).all()
    assert np.isfinite(flux).mean() > 0.999


@pytest.mark.parametrize(("depth", "period", "hours"), [(0.01, 12.0, 7.0), (0.002, 8.3, 5.0)])
def test_long_transits_keep_their_depth_beside_a_place_of_a_step_too(drifting, depth, period, hours):
    """The fast median follows a transit of half its window, and one beside a dump looks like a step."""
    curves = drifting.light_curves.isel(star=slice(0, 6)).copy(deep=True)
    time, quality = curves["time"].values, np.zeros(1300, np.int32)
    quality[300] = int(TessQuality.DESAT)
    curves = curves.assign_coords(quality=("time", quality))
    off = np.abs((time - time[308] + period / 2) % period - period / 2)
    inside = off < hours / 48
    dimmed = curves["flux"].values * np.where(inside, 1 - depth, 1).astype(np.float32)
    known = "; ".join(f"{tic}:{period}" for tic in curves["tic"].values)
    made = [
        good_flux(make_filtered_light_curves(some, transits=known))
        for some in (curves.assign(flux=(("star", "time"), dimmed)), curves)
    ]
    change = np.subtract(*(flux / np.nanmedian(flux, axis=1, keepdims=True) for flux in made))
    near = (off < hours / 12) & ~inside & (quality == 0)
    found = np.nanmedian(change[:, near], axis=1) - np.nanmedian(change[:, inside & (quality == 0)], axis=1)
    assert found == pytest.approx(np.full(6, depth), rel=0.06)


def test_two_planets_of_one_star_are_told_apart():
    time = 1325 + np.arange(1300) / 48
    flux = np.ones(time.size)
    for period, depth in ((3.7, 0.01), (5.3, 0.004)):
        flux = flux * np.where((time % period) < 0.2, 1 - depth, 1)
    curve = phase_curve(flux, time, 3.7)
    assert 1 - curve[(time % 3.7) < 0.15].mean() == pytest.approx(0.01, rel=0.1)


def test_oscillations_of_hours_stay(drifting):
    curves = drifting.light_curves.copy(deep=True)
    time = curves["time"].values
    curves["flux"][:] = curves["flux"].values * (1 + 1e-3 * np.sin(2 * np.pi * time / 0.25)).astype(
        np.float32
    )
    flux = make_filtered_light_curves(curves)["flux_corr"].values
    basis = np.stack([np.ones(time.size), *(f(2 * np.pi * time / 0.25) for f in (np.sin, np.cos))], axis=1)
    found = np.linalg.lstsq(basis, (flux / np.median(flux, axis=1, keepdims=True)).T, rcond=None)[0]
    assert np.median(np.hypot(*found[1:])) == pytest.approx(1e-3, rel=0.05)


def test_bits_are_added_and_none_is_lost(drifting):
    curves = drifting.light_curves.copy(deep=True)
    quality = curves["quality"].values.copy()
    quality[600] = int(TessQuality.DESAT)
    curves = curves.assign_coords(quality=("time", quality))
    curves["flux"][:, 601:] *= np.float32(1.01)
    curves["flux"][3, 100] *= np.float32(1.05)
    curves["pixel_quality"][:, 50] = int(KitQuality.BACKGROUND_SHENANIGANS)
    made = make_filtered_light_curves(curves)
    bits = made["pixel_quality"].values
    assert (bits[:, 50] & int(KitQuality.BACKGROUND_SHENANIGANS)).all()
    assert bits[3, 100] & int(KitQuality.SIGMA_CLIP)
    assert (
        bits[:, 601] & int(KitQuality.JUMP_MULTIPLICATIVE_CONSTANT | KitQuality.JUMP_MULTIPLICATIVE_LINEAR)
    ).all()
    flux = made["flux_corr"].values
    assert np.abs(np.median(flux[:, 601:620], axis=1) / np.median(flux[:, 580:600], axis=1) - 1).max() < 1e-3
    assert flux[3, 100] / np.median(flux[3]) > 1.04


def test_missing_cadences_and_stars_without_flux_are_borne(drifting):
    curves = drifting.light_curves.isel(star=slice(0, 4), time=np.r_[0:300, 420:1300]).copy(deep=True)
    curves["flux"][0] = np.nan
    curves["flux"][1] = -curves["flux"][1]
    curves["flux"][2, 10:] = np.nan
    made = make_filtered_light_curves(curves)["flux_corr"].values
    assert np.isnan(made[:2]).all()
    assert np.isfinite(made[2, :10]).all()
    assert np.isfinite(made[3]).all()


def test_clipping_goes_on_until_nothing_is_above():
    flux = np.random.default_rng(1).normal(size=(1, 1000))
    flux[0, :3], flux[0, 3:5] = (1e6, 1e3, 8.0), (np.nan, -1e3)
    out = clip_outliers(flux, 4.5)
    assert out[0, :3].all()
    assert out.sum() == 3


@pytest.mark.parametrize("text", ["12", "12:", "x:3.0", "12:-1", "12:1.0 a", "12:0", "12: 3..4"])
def test_a_list_of_periods_that_is_none_is_refused_by_its_words(drifting, text):
    with pytest.raises(StepParameterError, match="transits has .*expected a TIC number, a colon and periods"):
        make_filtered_light_curves(drifting.light_curves, transits=text)


def test_periods_are_read_and_belong_to_stars(drifting):
    assert read_periods(" 12: 3.5 7 ; 13:1e-1;") == {12: [3.5, 7.0], 13: [0.1]}
    assert read_periods("12:3.5 7; 13:0.1; 12:1.5") == {12: [3.5, 7.0, 1.5], 13: [0.1]}
    with pytest.raises(StepParameterError, match="TIC 999999, which has no light curve"):
        make_filtered_light_curves(drifting.light_curves, transits="999999:3.0")
