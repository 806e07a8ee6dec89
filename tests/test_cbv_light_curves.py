"""Claims about light curves that vectors correct: what all share goes, what a star does by itself stays."""

import dask
import numpy as np
import pytest
from drifting_stars import drifting_stars

from tasoc_kit.corrections.cbv_light_curves import make_cbv_light_curves
from tasoc_kit.corrections.cbvs import make_cbvs
from tasoc_kit.corrections.neighbour_prior import expected_coefficients
from tasoc_kit.corrections.vector_fit import design_of, fit_near, fit_vectors
from tasoc_kit.errors import StepInputError
from tasoc_kit.vocabulary import KitQuality, Status


def relative(curves, flux):
    return flux / np.median(curves["flux"].values, axis=1, keepdims=True)


def left(drifting, corrected):
    """Return the rms (star) of what is left of the systematics, or was taken beside them."""
    model = drifting.light_curves["flux"].values / corrected["flux_corr"].values - 1 - drifting.model
    return (model - model.mean(axis=1, keepdims=True)).std(axis=1)


def fitted_with_the_truth(drifting):
    basis = np.vstack([np.ones(drifting.model.shape[1]), *drifting.vectors]).T
    flux = relative(drifting.light_curves, drifting.light_curves["flux"].values)
    found = basis @ np.linalg.lstsq(basis, flux.T, rcond=None)[0]
    model = found.T - drifting.model
    return (model - model.mean(axis=1, keepdims=True)).std(axis=1)


def amplitude(drifting, flux, star):
    turn = 2 * np.pi * drifting.light_curves["time"].values / drifting.period[star]
    basis = np.stack([np.ones(turn.size), np.sin(turn), np.cos(turn)], axis=1)
    return np.hypot(*np.linalg.lstsq(basis, flux, rcond=None)[0][1:])


@pytest.fixture(scope="module")
def drifting():
    return drifting_stars(700, 900, seed=6, varying=0.2)


@pytest.fixture(scope="module")
def cbvs(drifting):
    return make_cbvs(drifting.light_curves, drifting.diagnostics)


@pytest.fixture(scope="module")
def corrected(drifting, cbvs):
    return make_cbv_light_curves(drifting.light_curves, drifting.diagnostics, cbvs).compute()


def test_systematics_go(drifting, corrected):
    quiet = np.setdiff1d(np.arange(700), drifting.varies)
    assert np.median(drifting.model.std(axis=1)) == pytest.approx(1e-3, rel=0.1)
    # Four vectors made of some 300 stars have the noise of a star over the root of these, beside the fit.
    oracle = np.median(fitted_with_the_truth(drifting)[quiet])
    expected = np.hypot(oracle, drifting.noise * np.sqrt(4 / 300))
    assert np.median(left(drifting, corrected)[quiet]) < 1.3 * expected


@pytest.mark.parametrize("prior", [True, False])
def test_what_a_star_does_by_itself_stays(drifting, cbvs, corrected, prior):
    if not prior:
        corrected = make_cbv_light_curves(
            drifting.light_curves, drifting.diagnostics, cbvs, prior=False
        ).compute()
    flux = relative(drifting.light_curves, corrected["flux_corr"].values)
    kept = [amplitude(drifting, flux[star], star) / drifting.size[star] for star in drifting.varies]
    # Without a prior the vectors follow slow variation; that is what the prior is for.
    assert np.percentile(kept, 5) > (0.95 if prior else 0.6)
    assert np.median(kept) == pytest.approx(1, abs=0.03)


def test_errors_follow_and_bits_are_kept(drifting, cbvs):
    curves = drifting.light_curves.copy(deep=True)
    bits = np.zeros(curves["flux"].shape, np.int32)
    bits[5, 7] = int(KitQuality.BACKGROUND_SHENANIGANS)
    curves["pixel_quality"] = ("star", "time"), bits
    made = make_cbv_light_curves(curves, drifting.diagnostics, cbvs).compute()
    np.testing.assert_array_equal(made["pixel_quality"].values, bits)
    ratio = curves["flux"].values / made["flux_corr"].values
    np.testing.assert_allclose(curves["flux_err"].values / made["flux_corr_err"].values, ratio, rtol=1e-5)
    for name in ("quality", "frame_quality", "tic", "time"):
        np.testing.assert_array_equal(made[name].values, curves[name].values)


def test_stars_with_nothing_to_fit_are_nan_and_spoil_no_other(drifting, cbvs, corrected):
    curves = drifting.light_curves.copy(deep=True)
    curves["flux"][0] = np.nan
    curves["flux"][1, 3:] = np.nan
    curves["flux"][2] = -1.0
    diagnostics = drifting.diagnostics.copy(deep=True)
    diagnostics["status"][:3] = Status.ERROR
    made = make_cbv_light_curves(curves, diagnostics, cbvs).compute()
    assert np.isnan(made["flux_corr"].values[:3]).all()
    assert np.isnan(made["cbv_coefficient"].values[:3]).all()
    np.testing.assert_allclose(made["flux_corr"].values[50:], corrected["flux_corr"].values[50:], rtol=2e-4)


def test_the_flux_is_lazy_and_the_chunks_change_nothing(drifting, cbvs, corrected):
    chunked = drifting.light_curves.chunk(star=100, time=64)
    made = make_cbv_light_curves(chunked, drifting.diagnostics, cbvs)
    assert dask.is_dask_collection(made["flux_corr"].data)
    np.testing.assert_array_equal(made["flux_corr"].values, corrected["flux_corr"].values)


@pytest.fixture(scope="module")
def few():
    return drifting_stars(130, 400, seed=9)


@pytest.mark.parametrize("cadence", [1800, 600, 200])
def test_vectors_and_light_curves_meet_by_the_numbers_of_cadences(few, cadence):
    first = {1800: 4697, 600: 116470, 200: 693_000}[cadence]
    curves = few.light_curves.assign_attrs(cadence=cadence)
    curves = curves.assign_coords(cadenceno=("time", first + np.arange(400, dtype=np.int32)))
    lacking, missing = np.r_[0:100, 120:400], np.r_[0:50, 60:400]
    cbvs = make_cbvs(curves.isel(time=lacking), few.diagnostics)
    made = make_cbv_light_curves(curves.isel(time=missing), few.diagnostics, cbvs)
    flux, bits = made["flux_corr"].values, made["pixel_quality"].values
    unknown = np.isin(missing, np.r_[100:120])
    np.testing.assert_array_equal(np.isnan(flux), np.broadcast_to(unknown, flux.shape))
    np.testing.assert_array_equal(
        bits, np.where(unknown, int(KitQuality.NO_DATA), 0)[None].repeat(130, axis=0)
    )
    # Those that both have come to the same as if neither had others, in whatever order they stand.
    both = np.setdiff1d(missing, np.r_[100:120])
    turned = cbvs.isel(time=np.arange(lacking.size)[::-1])
    alone = make_cbv_light_curves(curves.isel(time=both), few.diagnostics, turned)
    np.testing.assert_allclose(flux[:, ~unknown], alone["flux_corr"].values, rtol=1e-6)


def test_vectors_of_another_unit_or_of_other_cadences_are_refused(few):
    curves, diagnostics = few.light_curves.assign_attrs(cadence=1800), few.diagnostics
    cbvs = make_cbvs(curves, diagnostics)
    for name, value in (("sector", 2), ("ccd", 3), ("cadence", 600)):
        with pytest.raises(StepInputError, match=f"vectors of {name} {value}, light curves of {name}"):
            make_cbv_light_curves(curves, diagnostics, cbvs.assign_attrs({name: value}))
    later = cbvs.assign_coords(cadenceno=cbvs["cadenceno"] + 300)
    with pytest.raises(StepInputError, match="100 of the 400 cadences of the light curves.*4697 to 5096"):
        make_cbv_light_curves(curves, diagnostics, later)
    with pytest.raises(StepInputError, match="399 cadence numbers of the vectors stand twice"):
        make_cbv_light_curves(curves, diagnostics, cbvs.assign_coords(cadenceno=0 * cbvs["cadenceno"]))
    with pytest.raises(StepInputError, match="vectors for 130 stars, 9 light curves"):
        make_cbv_light_curves(curves.isel(star=slice(0, 9)), diagnostics.isel(star=slice(0, 9)), cbvs)


def test_vectors_that_know_no_stars_serve_those_of_their_ring(few):
    cbvs = make_cbvs(few.light_curves, few.diagnostics)
    made, bare = (
        make_cbv_light_curves(few.light_curves, few.diagnostics, some)["flux_corr"].values
        for some in (cbvs, cbvs.isel(star=slice(0, 0)))
    )
    np.testing.assert_array_equal(made, bare)
    nowhere = few.light_curves.assign(
        star_row=few.light_curves["star_row"].where(few.light_curves["tic"] != 3)
    )
    made = make_cbv_light_curves(nowhere, few.diagnostics, cbvs.isel(star=slice(0, 0)))
    assert np.isnan(made["flux_corr"].values).all(axis=1).nonzero()[0].tolist() == [2]


# Fits


def test_a_fit_is_that_of_least_squares_and_the_criterion_takes_the_true_number():
    random = np.random.default_rng(7)
    vectors = np.linalg.qr(random.normal(size=(400, 6)))[0].T * 20
    design = design_of(vectors, None)
    flux = (np.array([3.0, 2.0, 1.0, 0, 0, 0]) * 1e-3 @ vectors) + 1e-3 * random.normal(size=400)
    flux[17] = np.nan
    flux[40] = 0.5
    made = fit_vectors(flux[None], design, 1)
    assert made.number.tolist() == [3]
    used = np.isfinite(flux) & (np.arange(400) != 40)
    used &= np.abs(flux - design @ made.coefficient[0]) < 4.5e-3
    expected = np.linalg.lstsq(design[used, :4], flux[used], rcond=None)[0]
    np.testing.assert_allclose(made.coefficient[0, :4], expected, rtol=0.02)
    assert made.coefficient[0, 4:].tolist() == [0, 0, 0]
    assert made.variance[0] == pytest.approx(1e-6, rel=0.2)
    assert abs(made.correlation[0]) < 0.15


def test_neighbours_count_where_the_star_itself_tells_little():
    random = np.random.default_rng(8)
    vector = np.cumsum(random.normal(size=600))
    vector = (vector - vector.mean()) / vector.std()
    design, noise = design_of(vector[None], None), random.normal(size=600)
    mean, scatter = np.array([[0.0, 2e-3]]), np.array([[0.0, 2e-4]])
    quiet = fit_near((3e-3 * vector + 1e-5 * noise)[None], design, mean, scatter)
    assert quiet.coefficient[0, 1] == pytest.approx(3e-3, rel=0.02)
    loud = fit_near((2e-3 * vector + 0.05 * np.sin(np.arange(600) / 90))[None], design, mean, scatter)
    assert loud.coefficient[0, 1] == pytest.approx(2e-3, abs=3e-4)
    free = fit_near((3e-3 * vector + 1e-3 * noise)[None], design, 0 * mean, np.full((1, 2), np.inf))
    assert free.coefficient[0, 1] == pytest.approx(3e-3, rel=0.05)


def test_vectors_that_a_star_could_not_have_fitted_are_no_measurement_for_its_neighbours():
    random = np.random.default_rng(10)
    vectors = np.linalg.qr(random.normal(size=(400, 6)))[0].T * 20
    design, stars = design_of(vectors, None), 30
    flux = 1e-3 * vectors.sum(axis=0) + 1e-5 * random.normal(size=(stars, 400))
    flux[:20, 15:] = np.nan
    every, some = (fit_vectors(flux, design, 1, every=every) for every in (True, False))
    assert np.isnan(every.coefficient[:20]).all()
    assert np.isfinite(some.coefficient).all()
    np.testing.assert_array_equal(every.number, some.number)
    places = (random.uniform(0, 100, stars) for _ in range(3))
    mean, _ = expected_coefficients(every, np.ones(7), *places, np.ones(stars, bool))
    np.testing.assert_allclose(mean[:, 1:], 1e-3, rtol=0.01)


@pytest.mark.parametrize("cadences", [9, 12])
def test_a_star_of_few_cadences_has_what_its_neighbours_let_expect_and_follows_no_noise(cadences):
    random = np.random.default_rng(9)
    vectors = np.linalg.qr(np.cumsum(random.normal(size=(400, 12)), axis=0))[0].T * 20
    design, stars = design_of(vectors, None), 40
    mean = np.broadcast_to(np.append(0, np.linspace(1e-3, 2e-4, 12)), (stars, 13))
    scatter = np.full(mean.shape, 1e-4)
    truth = mean + np.append(0, np.ones(12)) * scatter * random.normal(size=mean.shape)
    flux = np.full((stars, 400), np.nan)
    flux[:, :cadences] = (truth @ design.T + 1e-2 * random.normal(size=(stars, 400)))[:, :cadences]
    found = fit_near(flux, design, mean, scatter).coefficient
    off, expected = (((some - truth) @ design[:cadences].T).std(axis=1) for some in (found, mean))
    assert np.median(off) < 1.5 * np.median(expected)
