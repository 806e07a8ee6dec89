"""Claims about the échelle diagram, and the figures of a spectrum."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pytest
from giants import as_light_curves, simulate_giants

from tasoc_kit import plots
from tasoc_kit.numerics.echelle import echelle
from tasoc_kit.seismology.oscillations import measure_oscillations
from tasoc_kit.seismology.spectra import make_spectra

STEP, DNU = 0.1, 9.0


@pytest.fixture(scope="module")
def comb():
    """A spectrum with a peak every Δν, 2.5 µHz above its multiples."""
    frequency = STEP * np.arange(1, 2000)
    off = (frequency - 2.5 + 0.5 * DNU) % DNU - 0.5 * DNU
    return frequency, 1 + 20 * np.exp(-0.5 * (off / 0.15) ** 2)


@pytest.fixture(scope="module")
def products():
    """A giant, and a star without any flux."""
    made = simulate_giants(1, seed=2)
    flux = np.concatenate([made.flux, np.full_like(made.flux, np.nan)])
    spectra = make_spectra(as_light_curves(flux, made.time))
    return spectra, measure_oscillations(spectra)


def rendered(figure: hv.Dimensioned) -> object:
    return hv.renderer("bokeh").get_plot(figure)


def test_modes_of_one_degree_stand_above_each_other(comb):
    made = echelle(*comb, DNU, low=40, high=160)
    assert made.power.shape == (made.order.size, made.modulo.size)
    highest = made.modulo[np.nanargmax(made.power, axis=1)]
    np.testing.assert_allclose(highest, 2.5, atol=1.1 * DNU / made.modulo.size)
    assert np.ptp(made.order % DNU) < 1e-9
    assert made.order[0] <= 40 < made.order[0] + DNU


def test_they_lean_where_the_separation_is_wrong(comb):
    made = echelle(*comb, DNU + 0.1, low=40, high=160)
    place = made.modulo[np.nanargmax(made.power, axis=1)]
    assert np.median(np.diff(place)) == pytest.approx(-0.1, abs=0.06)


def test_columns_are_no_finer_than_the_frequencies_and_not_too_many(comb):
    assert echelle(*comb, DNU).modulo.size == int(DNU / STEP)
    assert echelle(*comb, 120.0).modulo.size == 400


@pytest.mark.parametrize("dnu", [np.nan, 0.0, -3.0])
def test_without_a_separation_there_is_no_diagram(comb, dnu):
    assert echelle(*comb, dnu).power.size == 0
    assert echelle(comb[0][:0], comb[1][:0], DNU).power.size == 0


def test_figures_of_a_star_are_drawn_with_and_without_a_model(products):
    spectra, oscillations = products
    labels = {element.label for element in plots.spectrum(spectra, 0, oscillations)}
    assert {"power density", "smoothed", "granulation", "oscillations", "all of it"} <= labels
    assert plots.spectrum_model(oscillations, 1, spectra["frequency"].values) == {}
    for figure in (
        *(plots.spectrum(spectra, star, oscillations) for star in (0, 1)),
        *(plots.echelle(spectra, oscillations, star) for star in (0, 1)),
        plots.oscillations(oscillations),
        plots.oscillations(oscillations.isel(star=[1])),
        plots.spectral_window(spectra),
    ):
        assert rendered(figure) is not None


def test_a_star_whose_separation_is_not_known_has_an_empty_diagram(products):
    opaque = [
        hv.Store.lookup_options("bokeh", plots.echelle(*products, star), "style").kwargs["alpha"]
        for star in (0, 1)
    ]
    assert opaque == [1.0, 0.0]


def test_the_power_over_the_background_is_one_where_nothing_oscillates(products):
    spectra, oscillations = products
    ratio = plots.over_background(spectra, oscillations, 0)
    numax, width = (float(oscillations[name][0]) for name in ("numax", "envelope_width"))
    away = np.abs(spectra["frequency"].values - numax) > 3 * width
    assert ratio[away].mean() == pytest.approx(1, abs=0.1)
    assert ratio[~away].mean() > 1.2
    drawn = plots.echelle(spectra, oscillations, 0, 10.0, ratio=ratio)
    assert "10.000" in drawn.opts.get("plot").kwargs["title"]
