"""Claims about co-trending vectors: whom they are made of, and that they are those of the sector."""

import holoviews as hv
import numpy as np
import pytest
import xarray as xr
from drifting_stars import drifting_stars
from scipy.stats import gaussian_kde

from tasoc_kit.corrections.cbv_light_curves import make_cbv_light_curves
from tasoc_kit.corrections.cbvs import make_cbvs
from tasoc_kit.corrections.cleaning import clean_components, entropy_excess
from tasoc_kit.corrections.common_vectors import common_basis, with_less_noise
from tasoc_kit.corrections.spikes import bridge, split_spikes
from tasoc_kit.corrections.star_areas import join_small, star_areas
from tasoc_kit.errors import StepInputError
from tasoc_kit.plots import cbvs as cbvs_figure
from tasoc_kit.vocabulary import Status, TessQuality


def explained(truth: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the share of the variance of each true vector that lies in the space of the others."""
    basis = np.linalg.qr(np.vstack([np.ones(truth.shape[1]), *vectors]).T)[0]
    return ((truth @ basis) ** 2).sum(axis=1) / (truth**2).sum(axis=1)


def vectors_of(cbvs, area=0):
    both = cbvs["cbv"].values[area] + cbvs["spike_cbv"].values[area]
    return both[np.isfinite(cbvs["cbv_snr"].values[area])].astype(float)


@pytest.fixture(scope="module")
def drifting():
    return drifting_stars(500, 900, seed=3)


@pytest.fixture(scope="module")
def cbvs(drifting):
    return make_cbvs(drifting.light_curves, drifting.diagnostics)


def test_the_vectors_are_those_that_the_stars_drift_by(drifting, cbvs):
    for area in range(cbvs.sizes["area"]):
        assert explained(drifting.vectors, vectors_of(cbvs, area)).min() > 0.9
        assert np.isfinite(cbvs["cbv_snr"].values[area]).sum() <= 6
    both = cbvs["cbv"].values + cbvs["spike_cbv"].values
    assert both[:, 0].std(axis=1) == pytest.approx(1, abs=1e-3)


def test_they_know_every_cadence_by_its_number(drifting):
    """Bad cadences in the middle and at the end are bridged; what they hold changes nothing."""
    curves = drifting.light_curves.copy(deep=True)
    quality = np.zeros(900, np.int32)
    quality[[100, 101, 102, 899]] = int(TessQuality.DESAT)
    curves = curves.assign_coords(quality=("time", quality))
    curves["flux"][:, [100, 101, 102, 899]] = 1e9
    made = make_cbvs(curves, drifting.diagnostics)
    np.testing.assert_array_equal(made["cadenceno"].values, curves["cadenceno"].values)
    assert np.isfinite(made["cbv"].values).all()
    assert np.abs(made["cbv"].values).max() < 20
    assert explained(drifting.vectors, vectors_of(made)).min() > 0.9


def test_a_few_stars_that_vary_together_make_no_vector(drifting):
    curves = drifting.light_curves.copy(deep=True)
    few = np.flatnonzero(star_areas(curves["star_row"].values, curves["star_column"].values, 1, 2) == 123)[:4]
    wave = 1 + 0.003 * np.sin(2 * np.pi * curves["time"].values / 0.9)
    curves["flux"][few] = curves["flux"].values[few] * wave.astype(np.float32)
    with_them = make_cbvs(curves, drifting.diagnostics, entropy=-1e9, correlated=1.0)
    without = make_cbvs(curves, drifting.diagnostics, correlated=1.0)
    place = list(without["area"].values).index(without["star_area"].values[few[0]])
    assert explained(wave[None] - wave.mean(), vectors_of(with_them, place))[0] > 0.8
    assert explained(wave[None] - wave.mean(), vectors_of(without, place))[0] < 0.2
    assert not without["cbv_star"].values[few].any()


def test_variable_and_doubtful_stars_are_not_asked(drifting):
    diagnostics = drifting.diagnostics.copy(deep=True)
    diagnostics["status"][:50] = Status.WARNING
    diagnostics["variability"][50:100] = 1e3
    assert not make_cbvs(drifting.light_curves, diagnostics)["cbv_star"].values[:100].any()


def test_fewer_stars_than_vectors_make_fewer_vectors(drifting):
    some = {"star": slice(0, 9)}
    made = make_cbvs(drifting.light_curves.isel(some), drifting.diagnostics.isel(some), snr=-100.0)
    assert np.isfinite(made["cbv_snr"].values).sum() < 9
    with pytest.raises(StepInputError, match="500 stars in the diagnostics, 9 light curves"):
        make_cbvs(drifting.light_curves.isel(star=slice(0, 9)), drifting.diagnostics)


@pytest.mark.parametrize("some", [{"star": slice(0, 3)}, {"star": slice(0, 0)}, {"time": slice(0, 1)}])
def test_a_field_too_small_for_vectors_has_none_and_its_stars_no_corrected_flux(drifting, some):
    curves = drifting.light_curves.isel(some)
    diagnostics = drifting.diagnostics.isel({k: v for k, v in some.items() if k == "star"})
    made = make_cbvs(curves, diagnostics)
    assert np.isnan(made["cbv_snr"].values).all()
    assert not made["cbv"].values.any()
    corrected = make_cbv_light_curves(curves, diagnostics, made).compute()
    assert np.isnan(corrected["flux_corr"].values).all()
    assert not corrected["cbv_number"].values.any()
    drawn = hv.renderer("bokeh").get_plot(cbvs_figure(made)).state
    assert "no vectors" in drawn.title.text


def test_vectors_beyond_the_colours_are_drawn_as_well():
    cadences = np.arange(30.0)
    made = xr.Dataset(
        {
            "cbv": (("area", "vector", "time"), np.ones((1, 16, 30))),
            "spike_cbv": (("area", "vector", "time"), np.zeros((1, 16, 30))),
            "cbv_snr": (("area", "vector"), np.full((1, 16), 9.0)),
            "star_area": ("star", np.full(5, 122)),
        },
        coords={"area": [122], "time": cadences},
    )
    drawn = list(cbvs_figure(made))
    assert [curve.label for curve in drawn] == [f"vector {k}" for k in range(1, 17)]
    depths = [curve.dimension_values("value")[0] for curve in drawn]
    assert np.ptp(np.diff(depths)) == 0
    assert depths[-1] < depths[0]


def test_stars_without_a_place_or_any_flux_are_passed_over(drifting):
    curves = drifting.light_curves.copy(deep=True)
    curves["flux"][0] = np.nan
    curves["flux"][1] = 7.0
    curves["flux"][2] = -curves["flux"].values[2]
    curves["star_row"][3] = np.nan
    made = make_cbvs(curves, drifting.diagnostics)
    assert not made["cbv_star"].values[:4].any()
    assert made["star_area"].values[3] == 0


def test_the_chunks_of_the_light_curves_change_nothing(drifting, cbvs):
    chunked = drifting.light_curves.chunk(star=70, time=64)
    np.testing.assert_array_equal(make_cbvs(chunked, drifting.diagnostics)["cbv"].values, cbvs["cbv"].values)


def test_a_ring_that_drifts_by_itself_keeps_its_vectors_and_gives_none_away():
    here, there = (drifting_stars(500, 900, seed=seed, noise=150e-6) for seed in (3, 8))
    curves = here.light_curves
    inner = star_areas(curves["star_row"].values, curves["star_column"].values, 1, 2) == 122
    both = curves.assign(
        flux=curves["flux"].where(xr.DataArray(~inner, dims="star"), there.light_curves["flux"])
    )
    made = make_cbvs(both, here.diagnostics)
    for ring, truth in ((122, there.vectors), (123, here.vectors)):
        mine = vectors_of(made, made["area"].values.tolist().index(ring))
        assert len(mine) <= 5
        assert explained(truth, mine).min() > 0.95


def test_all_stars_tell_of_what_areas_have_in_common_and_their_own_stays():
    random = np.random.default_rng(1)
    phase = np.arange(800) / 800
    truth = np.stack([np.sin(2 * np.pi * turns * phase) for turns in (2, 5)])
    few = random.normal(size=(100, 2)) @ truth + random.normal(size=(100, 800))
    many = random.normal(size=(900, 1)) @ truth[:1] + random.normal(size=(900, 800))
    made = [clean_components(flux, 4, -1e9, 0) for flux in (few, many)]
    power = [c.variance * (flux**2).sum() for c, flux in zip(made, (few, many), strict=True)]
    basis = common_basis([c.series for c in made], power, 1)
    alone = made[0].series[:2]
    together = with_less_noise(alone, power[0][:2], basis)
    common, own = np.transpose([1 - explained(truth, vectors) for vectors in (alone, together)])
    # A hundred stars tell of the one, a thousand of the other.
    assert common[1] < 2 * common[0] / 10
    assert own[1] == pytest.approx(own[0], rel=0.05)


# Areas


def test_areas_are_rings_about_the_optical_axis():
    area = star_areas(np.array([2040.0, 1500, 900, 0, np.nan]), np.array([40.0, 100, 1400, 2090, 5]), 2, 2)
    assert area.tolist() == [221, 221, 223, 224, 0]
    fit = np.array([True, True, True, False, True])
    assert join_small(area, fit, 2).tolist() == [221, 221, 221, 221, 0]
    assert join_small(area, fit, 9).tolist() == [221, 221, 221, 221, 0]
    assert join_small(area, np.zeros(5, bool), 1)[4] == 0


# Components


def test_components_are_those_of_a_singular_value_decomposition():
    flux = np.random.default_rng(2).normal(size=(60, 200)) + np.outer(
        np.linspace(1, 3, 60), np.sin(np.arange(200))
    )
    flux /= flux.std(axis=1, keepdims=True)
    made = clean_components(flux, 5, -1e9, 0)
    scores, power, series = np.linalg.svd(flux, full_matrices=False)
    assert np.abs((made.series * series[:5]).sum(axis=1)) == pytest.approx(1, abs=1e-9)
    assert made.variance == pytest.approx((power**2 / (power**2).sum())[:5])
    assert made.kept.all()


@pytest.mark.parametrize("kind", ["normal", "few"])
def test_the_entropy_is_that_of_a_kernel_density(kind):
    scores = np.random.default_rng(4).normal(size=(400, 1))
    if kind == "few":
        scores[:5] += 40
    density = gaussian_kde(scores[:, 0])
    low, high = scores.min() - 30, scores.max() + 30
    grid = np.linspace(low, high, 200_001)
    values = density(grid)
    expected = -np.sum(values * np.log(np.maximum(values, 1e-300))) * (grid[1] - grid[0])
    expected -= 0.5 * np.log(2 * np.pi * np.e * scores.var())
    assert entropy_excess(scores)[0] == pytest.approx(expected, abs=0.03)
    assert (entropy_excess(scores)[0] < -0.5) == (kind == "few")


# Spikes


def test_spikes_are_set_apart_and_add_up_to_the_series():
    random, cadences = np.random.default_rng(5), np.arange(600.0)
    trend = np.sin(cadences / 80)
    series = trend + 0.01 * random.normal(size=600)
    series[[100, 350]] += 0.5
    series[200] -= 0.4
    slow, spikes = split_spikes(series, cadences)
    assert slow + spikes == pytest.approx(series)
    assert np.abs(slow - trend).max() < 0.06
    assert np.flatnonzero(np.abs(spikes) > 0.3).tolist() == [100, 200, 350]
    assert (spikes != 0).mean() < 0.1
    assert split_spikes(trend + 0.01 * random.normal(size=600), cadences)[1].tolist() == [0.0] * 600
    short = series[:20]
    assert split_spikes(short, cadences[:20])[1].tolist() == [0.0] * 20


def test_gaps_are_bridged_and_ends_held():
    cadences = np.arange(8.0)
    series = np.array([np.nan, 1.0, np.nan, 3.0, 4.0, np.nan, np.nan, np.nan])
    assert bridge(series, cadences).tolist() == pytest.approx([1, 1, 2, 3, 4, 4, 4, 4], abs=0.2)
    assert bridge(np.full(3, np.nan), cadences[:3]).tolist() == [0, 0, 0]
