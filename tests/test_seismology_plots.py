"""Claims about the figures of frequencies, rotation and classes."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pytest
import xarray as xr
from variable_stars import CADENCE, as_light_curves

from tasoc_kit import plots
from tasoc_kit.seismology.frequencies import extract_frequencies
from tasoc_kit.seismology.oscillations import measure_oscillations
from tasoc_kit.seismology.rotation import measure_rotation
from tasoc_kit.seismology.spectra import make_spectra
from tasoc_kit.seismology.star_flux import star_flux
from tasoc_kit.seismology.variability import classify_stars, clearest_stars
from tasoc_kit.vocabulary import VariabilityClass

TIME = 1325 + CADENCE * np.arange(1000)


@pytest.fixture(scope="module")
def curves():
    """A wave of 3 d with another of 0.11 d, and noise."""
    noise = 50 * np.random.default_rng(4).normal(size=(2, TIME.size))
    noise[0] += 4000 * np.sin(2 * np.pi * TIME / 3) + 800 * np.sin(2 * np.pi * TIME / 0.11)
    return as_light_curves(TIME, noise, np.full(2, 50.0))


def elements(figure, kind):
    return list(figure.traverse(lambda one: one, [kind]))


def test_what_is_left_of_a_spectrum_is_without_its_peaks(curves):
    found = extract_frequencies(curves)
    figure = plots.prewhitening(found, 0, star_flux([0], curves))
    before, after = (curve.dimension_values(1) for curve in elements(figure, hv.Curve))
    assert before.max() == pytest.approx(4000, rel=0.02)
    assert after.max() < 15
    heads = elements(figure, hv.Scatter)[0].dimension_values(0)
    assert np.sort(heads)[:2] == pytest.approx(1e6 / 86400 / np.array([3, 0.11]), rel=1e-3)
    assert "2 frequencies" in figure.opts.get("plot").kwargs["title"]
    assert len(elements(plots.prewhitening(found, 1, star_flux([1], curves)), hv.Curve)) == 2
    hv.render(plots.frequencies(found))


def test_a_table_without_a_star_has_figures_that_say_so(curves):
    none = curves.isel(star=slice(0, 0))
    spectra, waves, periods = make_spectra(none), extract_frequencies(none), measure_rotation(none)
    oscillations, flux = measure_oscillations(spectra), star_flux([], none)
    for figure in (
        plots.spectrum(spectra, 0, oscillations),
        plots.echelle(spectra, oscillations, 0),
        plots.prewhitening(waves, 0, flux),
        plots.repetition(periods, 0, flux),
        plots.before_and_after(none, 0, vectors=none),
        plots.light_curve(none, 0),
        plots.stamp(none, none, 0),
    ):
        assert [text.data[2] for text in elements(figure, hv.Text)] == ["There is no star to show"]
        hv.render(figure)


def test_the_star_that_is_shown_has_the_least_of_a_value():
    values = xr.DataArray([np.nan, 3.0, 1.0, 2.0], dims="star")
    assert plots.star_of_least(values) == 2
    assert plots.star_of_least(-values) == 1
    assert plots.star_of_least(values[:1]) == plots.star_of_least(values[:0]) == 0


def test_the_periods_stand_in_the_autocorrelation_and_the_curve_is_folded_with_them(curves):
    measured = measure_rotation(curves)
    figure = plots.repetition(measured, 0, star_flux([0], curves))
    lines = [line.data for line in elements(figure, hv.VLine)]
    assert lines == pytest.approx([3.0, 3.0], rel=0.02)
    assert elements(figure, hv.Curve)[0].dimension_values(1).max() == 1
    phase = elements(figure, hv.Scatter)[0].dimension_values(0)
    assert (phase.min(), phase.max()) == pytest.approx((0, 2), abs=0.01)
    hv.render(plots.repetition(measured, 1, star_flux([1], curves)))
    hv.render(plots.rotation(measured))


def test_classes_are_counted_and_the_clearest_star_of_each_is_drawn(curves):
    classified = classify_stars(curves)
    bars = dict(zip(*(plots.classes(classified).dimension_values(k) for k in (0, 1)), strict=True))
    assert sum(bars.values()) == 2
    kinds = classified["variability_class"].values
    assert bars["constant"] == (kinds == VariabilityClass.CONSTANT).sum() >= 1
    stars = clearest_stars(classified)
    assert kinds[stars].tolist() == sorted(set(kinds) - {0})
    figure = plots.class_examples(classified.isel(star=stars), star_flux(stars, curves))
    assert len(elements(figure, hv.Scatter)) == stars.size
    nobody = classified.isel(star=[])
    assert len(clearest_stars(nobody)) == 0
    hv.render(plots.class_examples(nobody, star_flux([], curves)))


def test_chunks_of_the_flux_change_nothing(curves):
    lazy = curves.chunk(star=1, time=300)
    for step in (extract_frequencies, measure_rotation, classify_stars):
        one, other = step(curves), step(lazy)
        for name in one.data_vars:
            np.testing.assert_array_equal(one[name].values, other[name].values)
