"""Claims about corrections of bad input: nothing is raised or warned of, nothing spoils another star."""

import warnings

import numpy as np
import pytest
from drifting_stars import drifting_stars
from scipy.spatial import cKDTree

from tasoc_kit.corrections.cbv_light_curves import make_cbv_light_curves
from tasoc_kit.corrections.cbvs import make_cbvs
from tasoc_kit.corrections.corrections import choose_corrections
from tasoc_kit.corrections.ensemble_light_curves import make_ensemble_light_curves
from tasoc_kit.corrections.filtered_light_curves import make_filtered_light_curves
from tasoc_kit.corrections.nearest_stars import nearest_others
from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.curve_measures import MEASURES, measure_curves
from tasoc_kit.vocabulary import Correction, Status, TessQuality

CADENCES = 400
KINDS = (
    "nothing known", "constant", "zero", "one gap", "three points", "negative", "infinite", "no errors",
    "one cadence",
)  # fmt: skip
UNKNOWN = ("nothing known", "zero", "negative")
"""Of which no relative light curve can be made."""


def spoil(curves, star, kind):
    flux, error = curves["flux"].values, curves["flux_err"].values
    if kind == "nothing known":
        flux[star] = np.nan
    elif kind in ("constant", "zero"):
        flux[star] = 1000.0 if kind == "constant" else 0.0
    elif kind == "one gap":
        flux[star, 150:250] = np.nan
    elif kind in ("three points", "one cadence"):
        flux[star, 3 if kind == "three points" else 1 :] = np.nan
    elif kind == "negative":
        flux[star] *= -1
    elif kind == "infinite":
        flux[star, 10:20] = np.inf
    else:
        error[star] = np.nan


def corrected(curves, diagnostics, **options):
    """Return every correction; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cbvs = make_cbvs(curves, diagnostics)
        made = {
            Correction.CBV: make_cbv_light_curves(curves, diagnostics, cbvs, **options).compute(),
            Correction.ENSEMBLE: make_ensemble_light_curves(curves, diagnostics),
            Correction.FILTER: make_filtered_light_curves(curves),
        }
        return made, choose_corrections(curves, diagnostics, *made.values())


def diagnosed(curves):
    """Return diagnostics of such light curves, where a star without any is an error."""
    flux = curves["flux"].values.astype(float)
    finite = np.isfinite(flux)
    measures = measure_curves(
        np.where(finite, flux, np.nan), curves["flux_err"].values.astype(float), curves["time"].values
    )
    known = finite.any(axis=1)
    made = drifting_stars(len(flux), 10).diagnostics
    status = np.where(known, Status.OK, Status.ERROR).astype(np.int8)
    told = {n: ("star", v.astype(np.float32)) for n, v in zip(MEASURES, measures, strict=True)}
    return made.assign(told | {"status": ("star", status)})


@pytest.fixture(scope="module")
def clean():
    made = drifting_stars(160, CADENCES, seed=14)
    quality = np.zeros(CADENCES, np.int32)
    quality[200] = int(TessQuality.DESAT)
    return made.light_curves.assign_coords(quality=("time", quality)), made.diagnostics


@pytest.fixture(scope="module")
def spoiled(clean):
    curves = clean[0].copy(deep=True)
    for star, kind in enumerate(KINDS):
        spoil(curves, star, kind)
    return curves, *corrected(curves, diagnosed(curves))


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_light_curve_is_nan_where_nothing_is_known_and_keeps_its_place(spoiled, kind):
    curves, made, chosen = spoiled
    star = KINDS.index(kind)
    before = curves["flux"].values[star]
    for table in made.values():
        assert table["tic"].values[star] == star + 1
        flux, error = table["flux_corr"].values[star], table["flux_corr_err"].values[star]
        if kind in UNKNOWN:
            assert np.isnan(flux).all()
        # What was not measured is not made up.
        assert not np.isfinite(flux[~np.isfinite(before)]).any()
        if kind == "no errors":
            assert np.isnan(error).all()
            assert np.isfinite(flux[:190]).all()
        if kind in ("one gap", "infinite"):
            assert np.isfinite(flux[260:]).all()
    if kind in UNKNOWN:
        assert chosen["best_correction"].values[star] == Correction.NONE


def test_other_stars_are_not_spoiled_by_bad_ones(clean, spoiled):
    made, _ = corrected(*clean)
    good = slice(len(KINDS), None)
    for kind, table in spoiled[1].items():
        ours, theirs = (one["flux_corr"].values[good] for one in (table, made[kind]))
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        known = np.isfinite(ours)
        # Neighbours and vectors change a little with the stars that they are made of.
        assert np.abs(ours[known] / theirs[known] - 1).mean() < 1e-4


def test_a_ccd_without_one_good_star_is_borne(clean):
    curves, diagnostics = clean[0].isel(star=slice(0, 12)).copy(deep=True), clean[1].isel(star=slice(0, 12))
    curves["flux"][:] = np.nan
    diagnostics = diagnostics.assign(status=("star", np.full(12, int(Status.ERROR), np.int8)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cbvs = make_cbvs(curves, diagnostics)
        by_vectors = make_cbv_light_curves(curves, diagnostics, cbvs).compute()
        filtered = make_filtered_light_curves(curves)
        ensemble = make_ensemble_light_curves(curves, diagnostics)
        chosen = choose_corrections(curves, diagnostics, by_vectors, ensemble, filtered)
    assert np.isnan(cbvs["cbv_snr"].values).all()
    for table in (by_vectors, filtered, ensemble):
        assert np.isnan(table["flux_corr"].values).all()
    assert (chosen["best_correction"].values == Correction.NONE).all()
    assert np.isnan(chosen["underfit"].values).all()


def test_cadences_that_are_all_bad_correct_nothing(clean):
    curves = clean[0].assign_coords(quality=("time", np.full(CADENCES, int(TessQuality.DESAT), np.int32)))
    cbvs = make_cbvs(*clean)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = make_cbv_light_curves(curves, clean[1], cbvs).compute()
        filtered = make_filtered_light_curves(curves)
    for table in (made, filtered):
        assert np.isnan(table["flux_corr"].values).all()


@pytest.mark.parametrize(("cadences", "stars"), [(0, 40), (1, 40), (2, 5)])
def test_a_sector_of_one_or_two_good_cadences_is_borne_without_a_warning(clean, cadences, stars):
    quality, some = np.full(CADENCES, int(TessQuality.DESAT), np.int32), {"star": slice(0, stars)}
    quality[:cadences] = 0
    curves = clean[0].assign_coords(quality=("time", quality)).isel(some)
    made, chosen = corrected(curves, clean[1].isel(some))
    assert np.isnan(made[Correction.CBV]["flux_corr"].values).all()
    assert (chosen["best_correction"].values == Correction.NONE).all()


@pytest.mark.parametrize("period", [100.0, 8.2, 1e-3])
def test_periods_beyond_the_data_or_within_a_cadence_do_no_harm(clean, period):
    curves = clean[0].isel(star=slice(0, 3))
    tic = int(curves["tic"][1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with_period, without = (
            make_filtered_light_curves(curves, transits=text) for text in (f"{tic}:{period}", "")
        )
    ours, theirs = (table["flux_corr"].values for table in (with_period, without))
    np.testing.assert_array_equal(ours[[0, 2]], theirs[[0, 2]])
    assert np.isfinite(ours[1]).all()
    level = np.median(ours[1])
    assert level == pytest.approx(np.median(theirs[1]), rel=2e-3)


@pytest.mark.parametrize("asked", [np.array([2, 3, 5, 8, 9, 11, 17]), np.arange(20), np.array([4, 7])])
def test_every_star_has_as_many_neighbours_whether_it_is_asked_itself_or_not(asked):
    place, count = np.random.default_rng(3).uniform(0, 100, (20, 2)), 4
    place[13] = np.nan
    asked = np.setdiff1d(asked, 13)
    near = nearest_others(cKDTree(place[asked]), asked, place, np.arange(20), count)
    for star in np.setdiff1d(np.arange(20), 13):
        others = np.setdiff1d(asked, star)
        order = others[np.argsort(np.hypot(*(place[others] - place[star]).T))][:count]
        assert asked[near[star, : order.size]].tolist() == order.tolist()
        assert (near[star, order.size :] == -1).all()
    assert (near[13] == -1).all()
    nobody = nearest_others(cKDTree(place[:0]), asked[:0], place, np.arange(20), count)
    assert (nobody == -1).all()


def test_steps_read_what_they_ask_for_and_of_diagnostics_nothing_is_asked_for_in_vain(clean):
    curves, diagnostics = (table.isel(star=slice(0, 40)) for table in clean)
    cbvs = make_cbvs(curves, diagnostics)
    tables = [
        make_cbv_light_curves(curves, diagnostics, cbvs).compute(),
        make_ensemble_light_curves(curves, diagnostics).compute(),
        make_filtered_light_curves(curves),
    ]
    for step, inputs in (
        (make_cbvs, (curves, diagnostics)),
        (make_cbv_light_curves, (curves, diagnostics, cbvs)),
        (make_ensemble_light_curves, (curves, diagnostics)),
        (make_filtered_light_curves, (curves,)),
        (choose_corrections, (curves, diagnostics, *tables)),
    ):
        bare = {
            name: table.drop_vars(set(table.variables) - set(step.needs[name]))
            for name, table in zip(step.inputs, inputs, strict=True)
        }
        step(*bare.values()).compute()
        for name in step.needs.get("diagnostics", ()):
            with pytest.raises(KeyError, match=name):
                step.function(**bare | {"diagnostics": bare["diagnostics"].drop_vars(name)})


def test_diagnostics_of_other_stars_are_refused_by_every_step_that_takes_them(clean):
    curves, diagnostics = clean
    fewer, cbvs = diagnostics.isel(star=slice(1, None)), make_cbvs(*clean)
    for step, inputs in (
        (make_cbvs, (curves, fewer)),
        (make_cbv_light_curves, (curves, fewer, cbvs)),
        (make_ensemble_light_curves, (curves, fewer)),
        (choose_corrections, (curves, fewer, curves, curves, curves)),
    ):
        with pytest.raises(StepInputError, match=f"{step.name}: .* stars in the diagnostics"):
            step.function(*inputs)
