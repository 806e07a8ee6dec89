"""Claims about light curves over those of their neighbours."""

import dask
import numpy as np
import pytest
from drifting_stars import drifting_stars

from tasoc_kit.corrections.cbv_light_curves import make_cbv_light_curves
from tasoc_kit.corrections.cbvs import make_cbvs
from tasoc_kit.corrections.corrections import choose_corrections
from tasoc_kit.corrections.ensemble_light_curves import make_ensemble_light_curves
from tasoc_kit.corrections.filtered_light_curves import make_filtered_light_curves
from tasoc_kit.errors import StepInputError
from tasoc_kit.vocabulary import Correction, KitQuality, TessQuality


@pytest.fixture(scope="module")
def drifting():
    return drifting_stars(700, 900, seed=6, varying=0.2, noise=200e-6)


@pytest.fixture(scope="module")
def ensemble(drifting):
    return make_ensemble_light_curves(drifting.light_curves, drifting.diagnostics).compute()


def scatter(flux):
    return flux.std(axis=1) / np.median(flux, axis=1)


def test_what_neighbours_share_goes(drifting, ensemble):
    quiet = np.setdiff1d(np.arange(700), drifting.varies)
    before, after = (scatter(x.values[quiet]) for x in (drifting.light_curves["flux"], ensemble["flux_corr"]))
    assert np.median(before) > 9e-4
    # Stars beside each other drift alike to 30 %; the rest no neighbour knows.
    assert np.median(after) < 0.6 * np.median(before)
    assert (ensemble["ensemble_size"].values >= 5).all()


def test_the_level_of_a_star_and_its_relative_error_stay(drifting, ensemble):
    before, after = drifting.light_curves["flux"].values, ensemble["flux_corr"].values
    assert np.median(after, axis=1) == pytest.approx(np.median(before, axis=1), rel=2e-3)
    np.testing.assert_allclose(
        ensemble["flux_corr_err"].values / after, drifting.light_curves["flux_err"].values / before, rtol=1e-5
    )


def test_a_correction_is_of_light_curves_as_they_were_measured(drifting, ensemble):
    """TASOC divides anew, at every number of neighbours that it tries, what it has divided before."""
    before = drifting.light_curves["flux"].values.astype(float)
    relative = before / np.median(before, axis=1, keepdims=True) - 1
    for star in (0, 350, 699):
        members, scales = (ensemble[f"ensemble_{name}"].values[star] for name in ("star", "scale"))
        taken = members >= 0
        assert taken.sum() == ensemble["ensemble_size"].values[star]
        assert star not in members
        shared = np.median(scales[taken, None] * relative[members[taken]], axis=0)
        np.testing.assert_allclose(ensemble["flux_corr"].values[star], before[star] / (1 + shared), rtol=1e-6)


def test_no_more_neighbours_are_asked_than_wanted(drifting):
    alone = make_ensemble_light_curves(drifting.light_curves, drifting.diagnostics, nearest=5)
    assert set(np.unique(alone["ensemble_size"].values)) <= {0, 5}


def test_the_flux_is_lazy_and_the_chunks_change_nothing(drifting, ensemble):
    chunked = drifting.light_curves.chunk(star=200, time=128)
    made = make_ensemble_light_curves(chunked, drifting.diagnostics)
    for name in ("flux_corr", "flux_corr_err"):
        assert dask.is_dask_collection(made[name].data)
        np.testing.assert_array_equal(made[name].values, ensemble[name].values)


def test_bad_cadences_and_bits_are_left_as_they_are(drifting):
    curves = drifting.light_curves.copy(deep=True)
    quality = curves["quality"].values.copy()
    quality[100] = int(TessQuality.DESAT)
    curves = curves.assign_coords(quality=("time", quality))
    curves["flux"][:, 100] = 1e9
    curves["pixel_quality"][:, 50] = int(KitQuality.BACKGROUND_SHENANIGANS)
    made = make_ensemble_light_curves(curves, drifting.diagnostics)
    np.testing.assert_array_equal(made["pixel_quality"].values, curves["pixel_quality"].values)
    assert np.isnan(made["flux_corr"].values[:, 100]).all()
    assert np.isfinite(np.delete(made["flux_corr"].values, 100, axis=1)).all()


def test_a_cadence_without_any_light_is_unknown_and_stops_nothing(drifting):
    some = {"star": slice(0, 40)}
    curves = drifting.light_curves.isel(some).copy(deep=True)
    curves["flux"][:] = curves["flux"].values[:1]
    curves["flux"][:, 50] = 0
    flux = make_ensemble_light_curves(curves, drifting.diagnostics.isel(some))["flux_corr"].values
    assert np.isnan(flux[:, 50]).all()
    assert np.isfinite(np.delete(flux, 50, axis=1)).all()


def test_a_ccd_without_good_neighbours_is_borne(drifting):
    some = {"star": slice(0, 4)}
    made = make_ensemble_light_curves(drifting.light_curves.isel(some), drifting.diagnostics.isel(some))
    assert np.isnan(made["flux_corr"].values).all()
    assert not made["ensemble_size"].values.any()
    with pytest.raises(StepInputError, match="4 stars in the diagnostics, 700 light curves"):
        make_ensemble_light_curves(drifting.light_curves, drifting.diagnostics.isel(some))


@pytest.fixture(scope="module")
def tables(drifting, ensemble):
    curves, diagnostics = drifting.light_curves, drifting.diagnostics
    cbvs = make_cbvs(curves, diagnostics)
    return (
        make_cbv_light_curves(curves, diagnostics, cbvs).compute(),
        ensemble,
        make_filtered_light_curves(curves),
    )


def test_the_best_correction_leaves_little_in_common_and_adds_little(drifting, tables):
    made = choose_corrections(drifting.light_curves, drifting.diagnostics, *tables)
    quiet = np.setdiff1d(np.arange(700), drifting.varies)
    assert np.median(made["shared"].values[quiet]) > 0.3
    cbv = made.sel(correction=int(Correction.CBV))
    assert np.median(cbv["underfit"].values[quiet]) < 0.05
    assert np.median(cbv["overfit"].values[quiet]) < 0.05
    assert (made["best_correction"].values[quiet] == int(Correction.CBV)).mean() > 0.8
    assert not (made["best_correction"].values == int(Correction.FILTER)).any()


def test_where_no_correction_helps_none_is_taken(drifting, tables):
    """Curves that share nothing: what a correction does can only add."""
    random = np.random.default_rng(5)
    curves = drifting.light_curves.copy(deep=True)
    level = np.median(curves["flux"].values, axis=1, keepdims=True)
    curves["flux"][:] = (level * (1 + 200e-6 * random.normal(size=curves["flux"].shape))).astype(np.float32)
    noisy = [
        t.assign(flux_corr=curves["flux"] * (1 + 1e-3 * random.normal(size=curves["flux"].shape)))
        for t in tables
    ]
    diagnostics = drifting.diagnostics.assign(ptp=("star", np.full(700, 200e-6 * 0.95, np.float32)))
    made = choose_corrections(curves, diagnostics, *noisy)
    assert (made["best_correction"].values == int(Correction.NONE)).mean() > 0.9
