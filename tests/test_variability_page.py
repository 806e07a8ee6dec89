"""Claims about the page of variable stars."""

from __future__ import annotations

import dashboard_data as data
import numpy as np
import pytest

import tasoc_kit as tk
from tasoc_kit import store
from tasoc_kit.config import settings
from tasoc_kit.dashboards.variability import VariabilityView
from tasoc_kit.errors import StoreError
from tasoc_kit.plots.variability import CLASS_NAMES


@pytest.fixture(scope="module")
def made():
    """Six stars of three classes: light curves, rotation, classes."""
    return data.make_variables()


@pytest.fixture(scope="module")
def view(made, tmp_path_factory) -> VariabilityView:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASOC_STORE", str(tmp_path_factory.mktemp("variables")))
        settings.cache_clear()
        for product in made:
            store.write_product(product)
        shown = VariabilityView(store.open_product("variability", sector=3), data.FIRST_VARIABLE + 1)
    settings.cache_clear()
    return shown


def test_a_star_is_shown_with_its_class_and_its_period(view, made):
    _curves, rotation, classified = made
    for star in range(6):
        view.chooser.choose(data.FIRST_VARIABLE + star)
        kind = CLASS_NAMES[int(classified["variability_class"][star])]
        assert f"TIC {data.FIRST_VARIABLE + star}" in view.heading.object
        assert kind in view.heading.object
        period = float(rotation["rotation_period"][star])
        said = f"{period:.4g} ±" if np.isfinite(period) else "none above the noise"
        assert said in view.facts.object
    assert len(view.by_class.objects) == 1
    assert len(view.by_time.objects) == 3


def test_only_the_stars_of_a_class_are_listed_and_the_first_of_them_comes_up(view, made):
    view.chooser.choose(data.FIRST_VARIABLE)
    for kind, name in CLASS_NAMES.items():
        view.kind = name
        expected = np.flatnonzero(made[2]["variability_class"].values == kind)
        assert sorted(view.chooser.shown.index) == expected.tolist()
        if expected.size:
            assert view.chooser.star in expected
    view.kind = "all"
    assert len(view.chooser.shown) == 6


def test_classes_without_their_light_curves_say_what_to_run(made):
    with pytest.raises(StoreError, match="the light_curves that variability .*Run 'tasoc run seismology'"):
        VariabilityView(made[2])


def test_classes_of_a_file_are_shown_once_its_light_curves_are_written(shared_data):
    name = "lightcurves/hlsp_tess-spoc_tess_phot_0000000022876651-s0058_tess_v1_lc.fits"
    curves = tk.open_light_curve_files(shared_data(name))
    store.write_product(tk.classify_stars(curves))
    with pytest.raises(StoreError, match="or write those of files with tk.write_product"):
        VariabilityView(store.open_product("variability", sector=58))
    store.write_product(curves)
    shown = VariabilityView(store.open_product("variability", sector=58))
    assert "TIC 22876651" in shown.heading.object
    assert len(shown.by_class.objects) == 1


def test_without_a_rotation_the_classes_are_still_shown(made):
    store.write_product(made[0])
    store.write_product(made[2])
    shown = VariabilityView(store.open_product("variability", sector=3))
    assert "period of rotation" not in shown.facts.object
    assert not shown.by_time.objects
    assert len(shown.by_class.objects) == 1
