"""A simulated sector is what its truth says, and depends on nothing but its settings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tasoc_kit.errors import SourceError
from tasoc_kit.numerics import detector, prf
from tasoc_kit.simulation import Sector
from tasoc_kit.simulation.variables import KINDS, exposed_curve

QUIET = {
    "rows": 128,
    "columns": 128,
    "noise": False,
    "cosmic_rays": 0.0,
    "asteroid": False,
    "column_noise": 0.0,
    "seed": 4,
}


@pytest.fixture(scope="module")
def sector():
    return Sector(rows=192, columns=160, frames=128, seed=11)


@pytest.fixture(scope="module")
def frame(sector):
    return sector.render(5)


def test_a_frame_is_the_same_whichever_frames_are_made_and_in_which_order(sector, frame):
    later = Sector(rows=192, columns=160, frames=3, first=4, seed=11)
    later.render(2)
    np.testing.assert_array_equal(later.render(1).stored[0], frame.stored[0])
    np.testing.assert_array_equal(sector.render(5).flux_err, frame.flux_err)
    sparse = Sector(rows=192, columns=160, frames=2, every=5, seed=11)
    np.testing.assert_array_equal(sparse.render(1).flux, frame.flux)


def test_another_seed_is_another_sky(frame):
    other = Sector(rows=192, columns=160, frames=6, seed=12).render(5)
    assert not np.allclose(other.flux, frame.flux, atol=1.0)


def test_the_noise_is_the_one_that_the_uncertainty_states(sector, frame):
    expected = sector.expected(5, frame.sky)
    pull = (frame.flux - expected) / frame.flux_err
    assert np.median(pull) == pytest.approx(0.0, abs=0.03)
    assert 1.4826 * np.median(np.abs(pull)) == pytest.approx(1.0, abs=0.02)


def test_the_uncertainty_has_the_size_of_a_real_frame(shared_data):
    from astropy.io import fits

    with fits.open(shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")) as real:
        flux, err = (np.asarray(real[k].data[:, 44:128], float) for k in (1, 2))
    level = np.median(flux)
    simulated = np.sqrt(level / (0.792 * 1800) + 720 * 10.058**2 / (0.792 * 1800) ** 2)
    assert simulated == pytest.approx(np.median(err), rel=0.06)


def test_without_noise_a_frame_is_sky_plus_the_stars_at_their_true_positions():
    sector = Sector(**QUIET, frames=900, variables=False, saturation=False)
    for index in (7, 850):
        frame = sector.render(index)
        exact = np.zeros(frame.flux.shape)
        row, column = sector.pose(index).move(sector.stars.row, sector.stars.column)
        stars = sector.stars
        first = detector.SCIENCE_COLUMNS.start
        prf.add_stars(exact, stars.flux, row, column - first, stars.parts, stars.radius)
        np.testing.assert_allclose(frame.flux - frame.sky, exact, atol=0.05, rtol=2e-4)


def test_the_pointing_moves_by_the_drift_that_was_asked_for():
    sector = Sector(frames=1282, jitter=0.0015, drift=0.2, aberration=0.0, seed=3)
    shift = np.array([sector.pose(k).shift for k in range(len(sector))])
    calm = ~sector.schedule.dump
    assert np.ptp(shift[calm, 0]) == pytest.approx(0.2, abs=0.02)
    jumps = np.diff(shift[:, 0])[calm[1:] & calm[:-1]]
    assert 1.4826 * np.median(np.abs(jumps)) == pytest.approx(0.0015 * np.sqrt(2), rel=0.15)
    assert np.abs(shift[~calm, 0]).max() > 0.2


def test_aberration_moves_opposite_corners_apart():
    sector = Sector(frames=1282, drift=0.0, jitter=0.0, aberration=0.15, seed=3)
    corners = np.array([[0.0, 2047.0], [44.0, 2091.0]])
    early, late = (np.array(sector.pose(k).move(*corners)) for k in (0, 1281))
    change = late - early
    np.testing.assert_allclose(change[:, 0], -change[:, 1], atol=1e-9)
    assert 0.05 < np.abs(change).max() < 0.3


def test_sectors_1_and_2_have_the_cadences_and_the_dumps_of_the_real_ones():
    first, second = (Sector(sector=number, frames=2000).schedule for number in (1, 2))
    assert (len(first.cadenceno), first.cadenceno[0], first.cadenceno[-1]) == (1282, 4697, 6033)
    assert (len(second.cadenceno), second.cadenceno[0], second.cadenceno[-1]) == (1245, 6079, 7393)
    assert np.flatnonzero(first.dump)[:5].tolist() == [121, 241, 361, 481, 601]
    assert set(first.quality[first.dump].tolist()) == {32 | 4}


@pytest.mark.parametrize("cadence", [200, 600, 1800])
def test_every_cadence_covers_the_same_sector(cadence):
    schedule = Sector(sector=30, cadence=cadence, frames=1).schedule
    assert len(schedule.cadenceno) == 1244 * (1800 // cadence)
    assert schedule.stop[-1] - schedule.start[0] == pytest.approx(27.37, abs=0.1)
    np.testing.assert_allclose(schedule.stop - schedule.start, cadence / 86400)


def test_the_field_is_as_full_as_the_sky():
    stars = Sector(rows=2048, columns=2048, frames=1, seed=1).stars
    inside = (stars.row >= 0) & (stars.row < 2048) & (stars.column >= 44) & (stars.column < 2092)
    assert (stars.tmag[inside] < 15).sum() == pytest.approx(12_000, rel=0.05)


def test_the_star_image_is_uneven_enough_between_the_stars():
    sector = Sector(rows=512, columns=512, frames=1, seed=2, variables=False)
    image = sector.expected(0, np.zeros((512, 512), np.float32))
    assert 1.4826 * np.median(np.abs(image - np.median(image))) >= 0.6


def test_charge_above_full_well_bleeds_along_the_column_and_none_is_lost():
    bled = Sector(**QUIET, frames=1, variables=False, scattered=0.0)
    whole = Sector(**QUIET, frames=1, variables=False, scattered=0.0, saturation=False)
    one, two = bled.render(0).flux, whole.render(0).flux
    full = np.flatnonzero(two.max(axis=0) > bled.limit)
    assert len(full) > 0
    assert one.max() == pytest.approx(bled.limit, rel=1e-6)
    np.testing.assert_allclose(one.sum(axis=0), two.sum(axis=0), rtol=1e-5)
    column = full[np.argmax(two[:, full].max(axis=0))]
    assert (one[:, column] >= 0.999 * bled.limit).sum() > (two[:, column] > bled.limit).sum()


def test_there_is_a_saturated_star_and_one_variable_of_every_kind(sector):
    kinds = [variable.kind.name for variable in sector.variables]
    assert set(kinds) == {kind.name for kind in KINDS}
    assert len({variable.star for variable in sector.variables}) == len(kinds)
    assert sector.stars.tmag[0] < 6.4
    assert sector.render(0).flux.max() > 0.9 * sector.limit


def test_planets_dim_binaries_eclipse_flares_brighten_and_a_supernova_rises(sector):
    kinds = [variable.kind.name for variable in sector.variables]
    curve = {name: sector.multipliers[kinds.index(name)] for name in set(kinds)}
    assert 0.005 < 1 - curve["planet"].min() < 0.03
    assert np.median(curve["planet"]) == pytest.approx(1.0)
    assert 1 - curve["eclipsing_binary"].min() > 0.1
    assert curve["flare_star"].max() > 1.01
    assert curve["flare_star"].min() == pytest.approx(1.0, abs=1e-6)
    assert np.all(np.diff(curve["supernova"]) > 0)
    assert 1e-4 < curve["solar_like"].std() < 5e-3


def test_a_variable_star_in_a_frame_is_as_bright_as_its_truth():
    sector = Sector(**QUIET, frames=128)
    constant = Sector(**QUIET, frames=128, variables=False)
    kinds = [variable.kind.name for variable in sector.variables]
    variable = sector.variables[kinds.index("eclipsing_binary")]
    depth = sector.multipliers[kinds.index("eclipsing_binary")]
    index = int(np.argmin(depth))
    stars, star = sector.stars, variable.star
    row, column = round(stars.row[star]), round(stars.column[star])
    stamp = np.s_[max(row - 3, 0) : row + 4, max(column - 47, 0) : column - 40]
    lost = (sector.render(index).flux - constant.render(index).flux)[stamp].sum(dtype=float)
    missing = stars.flux[star] * (depth[index] - 1)
    assert lost == pytest.approx(missing, rel=0.12)


def test_a_light_curve_is_averaged_over_the_exposure():
    flare = KINDS[[kind.name for kind in KINDS].index("flare_star")]
    parameters = {"peak": [10.0], "amplitude": [1.0], "width": [0.005]}
    middle = np.array([10.0])
    short = exposed_curve(flare, parameters, middle, 20 / 86400)
    long = exposed_curve(flare, parameters, middle, 1800 / 86400)
    assert 1 < long[0] < 0.7 * short[0] + 0.3


def test_a_transit_has_the_depth_of_its_radius_and_returns_every_period():
    planet = KINDS[0]
    parameters = {
        "period": 2.0,
        "t0": 1.0,
        "radius_ratio": 0.1,
        "axis_ratio": 8.0,
        "impact": 0.0,
        "limb": 0.0,
    }
    flux = planet.curve(parameters, np.array([1.0, 2.0, 3.0, 5.0, 1.5]))
    np.testing.assert_allclose(1 - flux, [0.01, 0, 0.01, 0.01, 0], atol=1e-12)


def test_an_asteroid_crosses_the_field_in_a_straight_line():
    still = {**QUIET, "variables": False, "frames": 66, "drift": 0.0, "jitter": 0.0, "aberration": 0.0}
    sector, without = Sector(**still | {"asteroid": True}), Sector(**still)
    truth = sector.truth()
    for index in (60, 65):
        light = sector.render(index).flux - without.render(index).flux
        row, column = np.unravel_index(light.argmax(), light.shape)
        assert abs(row - truth.asteroid_row.values[0, index]) < 1.0
        assert abs(column + 44 - truth.asteroid_column.values[0, index]) < 1.0
        total = 10 ** (-0.4 * (sector.asteroids[0].tmag - detector.ZERO_POINT))
        assert light.sum(dtype=float) == pytest.approx(total, rel=0.03)


def test_cosmic_rays_hit_some_pixels_of_each_frame_and_never_the_same():
    settings = {**QUIET, "frames": 2, "cosmic_rays": 20_000.0}
    hits = []
    for index in (0, 1):
        clean = Sector(**QUIET, frames=2).render(index).flux
        hits.append(Sector(**settings).render(index).flux - clean > 0.5)
    assert 20 < hits[0].sum() < 400
    assert (hits[0] & hits[1]).sum() < 0.3 * hits[0].sum()


def test_the_truth_holds_stars_times_and_the_parameters_of_the_variables(sector):
    truth = sector.truth()
    assert truth.sizes["time"] == 128
    assert (truth.tmag.values < 16).all()
    assert np.all(np.diff(truth.tmag.values) >= 0)
    np.testing.assert_allclose(truth.star_flux, 10 ** (-0.4 * (truth.tmag - 20.451)))
    planet = json.loads(truth.attrs["variables"])[0]
    assert planet["kind"] == "planet"
    assert {"period", "t0", "radius_ratio"} <= set(planet)
    flux = sector.star_flux()
    star = int(truth.variable_star.values[1])
    np.testing.assert_allclose(flux[star], truth.star_flux.values[star] * truth.multiplier.values[1])


def test_a_sector_without_stars_is_only_sky():
    frame = Sector(**{**QUIET, "star_density": 0.0, "frames": 1}).render(0)
    np.testing.assert_allclose(frame.flux, frame.sky)


def test_asking_for_more_frames_than_there_are_gives_the_whole_sector():
    assert len(Sector(frames=5000)) == 1282
    assert len(Sector(frames=10, first=1280)) == 2
    assert len(Sector(frames=0)) == 0


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"row": 64}, "unknown setting 'row'; did you mean 'rows'"),
        ({"rows": 4000}, "rows=4000.*less than or equal to 2048.*science rows"),
        ({"cadence": 60}, "cadence=60.*200, 600 or 1800"),
        ({"frames": "many"}, "frames='many'.*integer"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_is_expected(settings, match):
    with pytest.raises(SourceError, match=match):
        Sector(**settings)
