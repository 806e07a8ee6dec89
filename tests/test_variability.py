"""Claims about classes: stars of another generator, real stars, honest probabilities, trees as arrays."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

import numpy as np
import pytest
from astropy.io import fits
from variable_stars import SHAPES, as_light_curves, bad_light_curves, variable_stars

from tasoc_kit.seismology import boosted_trees
from tasoc_kit.seismology.boosted_trees import class_probabilities, class_scores, shipped_forest
from tasoc_kit.seismology.box_search import search_boxes
from tasoc_kit.seismology.curve_features import FEATURES, curve_features
from tasoc_kit.seismology.training import forest_of, train_forest, write_forest
from tasoc_kit.seismology.variability import classify_stars
from tasoc_kit.simulation.variability import simulate_variability
from tasoc_kit.vocabulary import VariabilityClass

CADENCE = 1800 / 86400
USUAL_BITS = 1130799
"""Bits of Kepler that lightkurve leaves out by default."""


@pytest.fixture(scope="module")
def stars():
    """Eighteen stars of each class, T 8 to 13, of the generator that nothing was learned from."""
    return variable_stars(18, seed=20)


@pytest.fixture(scope="module")
def classified(stars):
    return classify_stars(as_light_curves(stars.time, stars.flux, stars.error))


def test_classes_of_another_generator_are_recognised(stars, classified):
    told = classified["variability_class"].values
    recall = {kind.name: float((told[stars.kind == kind] == kind).mean()) for kind in SHAPES}
    print(recall)
    assert np.mean(list(recall.values())) >= 0.92
    assert min(recall.values()) >= 0.75


def test_probabilities_are_what_they_say(stars, classified):
    probability = classified["class_probability"].values
    assert probability.sum(axis=1) == pytest.approx(1, abs=1e-5)
    right = classified["class"].values[probability.argmax(axis=1)] == stars.kind
    sure = probability.max(axis=1)
    assert abs(sure.mean() - right.mean()) < 0.04
    assert right[sure > 0.99].mean() > 0.98
    doubtful = sure < 0.8
    assert doubtful.sum() > 5
    assert right[doubtful].mean() < 0.9


def test_a_star_of_no_probable_class_is_unknown(stars):
    curves = as_light_curves(stars.time, stars.flux[::8], stars.error[::8])
    told = classify_stars(curves, least=0.999)
    sure = told["class_probability"].values.max(axis=1) >= 0.999
    assert 0 < sure.sum() < sure.size
    assert ((told["variability_class"].values == VariabilityClass.UNKNOWN) == ~sure).all()


def test_light_curves_of_a_few_days_are_unknown(stars):
    early = stars.time < stars.time[0] + 11
    told = classify_stars(as_light_curves(stars.time[early], stars.flux[::8, early], stars.error[::8]))
    assert (told["variability_class"].values == VariabilityClass.UNKNOWN).all()
    assert np.isnan(told["class_probability"].values).all()


def test_other_trees_make_another_product():
    """The id of a product knows the version of its step, not the trees: who trains anew raises it."""
    trees = (files("tasoc_kit.seismology") / boosted_trees.SHIPPED).read_bytes()
    assert (classify_stars.version, sha256(trees).hexdigest()[:12]) == (1, "a5ad75411ce1")


@pytest.mark.filterwarnings("error")
def test_bad_light_curves_are_unknown_and_give_no_warning():
    curves = bad_light_curves()
    told, good = classify_stars(curves), curves["good"].values
    assert (told["variability_class"].values[~good] == VariabilityClass.UNKNOWN).all()
    assert np.isnan(told["class_probability"].values[~good]).all()
    assert told["class_probability"].values[good].sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_exposures_of_200_s_have_the_features_of_their_half_hours(stars):
    some = np.arange(3, 144, 18)
    rapid = np.repeat(stars.flux[some], 9, axis=1)
    # What nine exposures scatter by about their mean is gone from it.
    scatter = (
        np.random.default_rng(3).normal(size=(some.size, stars.time.size, 9)) * stars.error[some, None, None]
    )
    rapid += (scatter - scatter.mean(axis=2, keepdims=True)).reshape(rapid.shape)
    time = stars.time[0] + CADENCE / 9 * (np.arange(rapid.shape[1]) - 4)
    slow = classify_stars(as_light_curves(stars.time, stars.flux[some], stars.error[some]))
    fast = classify_stars(as_light_curves(time, rapid, 3 * stars.error[some]))
    assert fast["features"].values == pytest.approx(slow["features"].values, rel=0.01, abs=0.02)
    assert (fast["variability_class"].values == slow["variability_class"].values).all()


def kepler(path, column):
    table = fits.getdata(path, 1)
    bits = table["SAP_QUALITY" if "SAP_QUALITY" in table.names else "QUALITY"]
    good = np.isfinite(table["TIME"]) & np.isfinite(table[column]) & ((bits & USUAL_BITS) == 0)
    good &= table["TIME"] < table["TIME"][good][0] + 27
    return tuple(table[name][good].astype(float) for name in ("TIME", column, f"{column}_ERR"))


def half_hours(time, flux):
    """Return means over 30 min, and how many values each has."""
    _, number = np.unique(np.floor((time - time[0]) / CADENCE), return_inverse=True)
    count = np.bincount(number)
    return np.bincount(number, time) / count, np.bincount(number, flux) / count, np.median(count)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hlsp_tess-data-alerts_tess_phot_00025155310-s01_tess_v1_lc.fits", VariabilityClass.ECLIPSE),
        ("hlsp_tess-data-alerts_tess_phot_00055652896-s01_tess_v1_lc.fits", VariabilityClass.ECLIPSE),
        ("hlsp_tess-spoc_tess_phot_0000000022876651-s0058_tess_v1_lc.fits", VariabilityClass.ECLIPSE),
        ("kplr009726699-2009350155506_llc.fits", VariabilityClass.CONTACT_ROT),
        ("kic11618103_LC.txt", VariabilityClass.SOLARLIKE),
    ],
)
def test_real_stars_are_what_they_are_known_to_be(shared_data, name, kind):
    path = shared_data(f"lightcurves/{name}")
    time, flux, *stated = (
        kepler(path, "PDCSAP_FLUX") if name.endswith("fits") else np.loadtxt(path, unpack=True)
    )
    time, flux, count = half_hours(time[time < time[0] + 27], flux[time < time[0] + 27])
    error = np.median(stated[0]) / np.median(flux) / np.sqrt(count) if stated else np.nan
    curves = as_light_curves(time, 1e6 * (flux / np.median(flux) - 1)[None], np.full(1, 1e6 * error))
    told = classify_stars(curves)
    assert int(told["class"].values[told["class_probability"].values[0].argmax()]) == kind


@pytest.fixture(scope="module")
def small():
    return train_forest(stars=10, turns=3, seed=1)


def test_trees_give_what_the_library_that_grew_them_gives(small, stars):
    forest, model = small
    features = curve_features(stars.flux[::10], stars.error[::10], stars.time, stars.cadence)
    assert class_scores(forest, features) == pytest.approx(model.decision_function(features), abs=1e-5)
    calm = forest_of(model, temperature=1.0)
    assert class_probabilities(calm, features) == pytest.approx(model.predict_proba(features), abs=1e-5)


def test_training_is_reproducible_and_trees_are_arrays_without_pickles(small, tmp_path):
    write_forest(small[0], tmp_path / "forest.npz")
    with np.load(tmp_path / "forest.npz", allow_pickle=False) as stored:
        assert set(stored.files) == set(boosted_trees.Forest._fields)
    again = simulate_variability(2, seed=1)
    np.testing.assert_array_equal(again.flux, simulate_variability(2, seed=1).flux)
    assert not np.array_equal(again.flux, simulate_variability(2, seed=2).flux)


def test_the_shipped_trees_are_those_of_these_features_and_small():
    forest = shipped_forest()
    assert tuple(forest.feature_name) == FEATURES
    assert forest.class_value.tolist() == [int(kind) for kind in SHAPES]
    assert 0.5 < float(forest.temperature) < 2
    where = boosted_trees.files("tasoc_kit.seismology") / boosted_trees.SHIPPED
    assert len(where.read_bytes()) < 1_000_000


def test_features_do_not_depend_on_the_stars_beside(stars):
    some = np.arange(0, 144, 18)
    whole = curve_features(stars.flux[some], stars.error[some], stars.time, stars.cadence)
    alone = curve_features(stars.flux[some[3:4]], stars.error[some[3:4]], stars.time, stars.cadence)
    assert whole[3] == pytest.approx(alone[0], rel=1e-4, abs=1e-6)
    assert np.isfinite(whole).all()


def test_dips_are_found_with_their_period_depth_and_companions():
    time = CADENCE * np.arange(1296)
    phase = (time / 3.3 + 0.3) % 1
    dips = np.where(np.abs(phase - 0.5) < 0.02, -2000.0, 0.0) + np.where(phase % 1 < 0.02, -600.0, 0.0)
    flux = np.stack([dips, -dips]) + 200 * np.random.default_rng(1).normal(size=(2, time.size))
    found = search_boxes(flux - flux.mean(axis=1, keepdims=True), time, np.full(2, 200.0))
    assert found.period[0] == pytest.approx(3.3, rel=0.005)
    assert found.depth[0] == pytest.approx(2000, rel=0.2)
    assert found.odd_even[0] < 0.2
    assert found.dips[0] == 8
    assert found.snr[0] > 2 * found.bump_snr[0]
    assert found.snr[1] < found.bump_snr[1]


def test_a_star_that_is_known_at_both_ends_of_a_sector_alone_has_features():
    """Folded with some periods, all of its cadences fall into one box."""
    time = CADENCE * np.arange(1296)
    flux = 200 * np.random.default_rng(2).normal(size=(1, time.size))
    flux[:, 60:-60] = np.nan
    assert np.isfinite(curve_features(flux, np.full(1, 200.0), time, CADENCE)).all()
