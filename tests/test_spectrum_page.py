"""Claims about the page of spectra."""

from __future__ import annotations

import asyncio

import dashboard_data as data
import numpy as np
import pytest

from tasoc_kit import store
from tasoc_kit.config import settings
from tasoc_kit.dashboards.spectrum import SpectrumView, with_interval
from tasoc_kit.errors import StoreError
from tasoc_kit.numerics.oscillation_model import expected_separation


@pytest.fixture(scope="module")
def giants():
    """Spectra and oscillations of two giants and a quiet star."""
    return data.make_giants()


@pytest.fixture(scope="module")
def one_view(giants, tmp_path_factory) -> SpectrumView:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASOC_STORE", str(tmp_path_factory.mktemp("spectra")))
        settings.cache_clear()
        for product in giants:
            store.write_product(product)
        view = SpectrumView(store.open_product("oscillations", sector=2))
    settings.cache_clear()
    return view


@pytest.fixture
def view(one_view) -> SpectrumView:
    """The page as it was opened: the likeliest star, and what was measured."""
    one_view.likely = False
    one_view.chooser.star = int(one_view.chooser.shown.index[0])
    one_view.measured()
    return one_view


def line_of(view: SpectrumView, name: str) -> np.ndarray:
    """Return what is drawn of a part of the spectrum."""
    return np.asarray(view.figure._sources[name].data["power"])


def test_the_likeliest_star_comes_up_with_its_numbers_and_its_line(view, giants):
    found = giants[1].isel(star=view.chooser.star)
    assert view.chooser.star == int(np.argmax(giants[1]["detection_probability"].values))
    assert view.figure.line.location == pytest.approx(float(found["numax"]))
    assert view.figure.interval.left == pytest.approx(float(found["numax_low"]))
    assert view.slider.value == pytest.approx(float(found["dnu"]))
    assert f"{float(found['numax']):.1f} +" in view.numbers.object
    assert "at the line" not in view.numbers.object
    assert not view.back.visible
    model, background = line_of(view, "model"), line_of(view, "background")
    assert np.nanmax(model / background) > 1.5


def test_a_line_that_is_let_go_of_brings_the_model_and_separation_of_that_place(view):
    before = line_of(view, "model").copy()
    view.figure.released.data = {"numax": [30.0]}
    assert view.figure.line.location == pytest.approx(30.0, rel=0.007)
    assert not np.array_equal(before, line_of(view, "model"), equal_nan=True)
    assert "with νmax at the line" in view.numbers.object
    assert f"{float(expected_separation(view.figure.line.location)):.2f}" in view.numbers.object
    assert view.slider.value == pytest.approx(float(view.tried["dnu"][0]))
    assert view.back.visible
    view.measured()
    np.testing.assert_array_equal(before, line_of(view, "model"))
    assert view.tried is None


def test_the_line_is_kept_within_the_spectrum_and_what_the_server_moved_is_no_drag(view):
    view.try_numax(1e4)
    assert view.figure.line.location == pytest.approx(0.95 * 277.8, rel=0.01)
    tried = view.tried
    view.try_numax(view.figure.line.location)
    assert view.tried is tried


def test_another_separation_cuts_the_spectrum_anew(view):
    source = view.echelle._drawn.handles["source"]
    before = dict(source.data)
    view.slider.value = 0.9 * view.slider.value
    assert source.data["dw"] == [pytest.approx(view.slider.value)]
    assert source.data["image"][0].shape != before["image"][0].shape or (
        not np.array_equal(source.data["image"][0], before["image"][0])
    )
    assert view.echelle._drawn.handles["x_range"].end == pytest.approx(view.slider.value)


def test_a_star_without_oscillations_has_a_line_to_try(view):
    view.chooser.choose(data.FIRST_TIC + 2)
    assert np.isnan(float(view.found["numax"][0]))
    assert np.isnan(line_of(view, "model")).all()
    assert not view.echelle.pane.visible
    assert view.slider.disabled
    assert "unlikely" in view.heading.object
    view.try_numax(80.0)
    assert np.isfinite(line_of(view, "model")).any()
    assert view.echelle.pane.visible
    view.likely = True
    assert (view.chooser.shown["probability"] >= 0.5).all()
    assert len(view.chooser.shown) < len(view.chooser.stars)


def test_a_ccd_without_a_star_has_no_line_to_try_and_says_so(giants):
    for product in giants:
        store.write_product(product.isel(star=slice(0, 0)))
    view = SpectrumView(store.open_product("oscillations", sector=2))
    asyncio.run(view.prepare())
    view.try_numax(80.0)
    assert "This CCD has no star" in view.heading.object
    assert view.tried is None
    assert view.slider.disabled
    assert not view.back.visible
    assert view.main()


def test_oscillations_without_their_spectra_say_what_to_run(giants):
    with pytest.raises(StoreError, match="the spectra that oscillations .*Run 'tasoc run seismology'"):
        SpectrumView(giants[1])


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((106.1234, 105.0, 107.34), "106.1 +1.2 −1.1"),
        ((9.3721, 9.36, 9.39), "9.372 +0.018 −0.012"),
        ((1234.0, 1100.0, 1400.0), "1,234 +166 −134"),
        ((0.5, np.nan, np.nan), "0.5"),
        ((np.nan, 1.0, 2.0), "–"),
        ((2.0, 2.0, 2.5), "2.00 +0.50 −0.00"),
    ],
)
def test_a_value_is_written_to_two_digits_of_its_error(numbers, said):
    assert with_interval(*numbers) == said
