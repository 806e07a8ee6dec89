"""Claims about the page of corrections."""

from __future__ import annotations

import dashboard_data as data
import numpy as np
import pandas as pd
import pytest

from tasoc_kit import store
from tasoc_kit.dashboards.corrections import CorrectionsView, numbers_of, why_best
from tasoc_kit.dashboards.star_chooser import Column, StarChooser
from tasoc_kit.errors import StepInputError, StoreError
from tasoc_kit.vocabulary import Correction


@pytest.fixture
def products():
    """Light curves of twelve stars and their corrections, in the store; the choice is the last."""
    cube = data.make_cube()
    curves = data.make_light_curves(data.make_apertures(data.make_reference(cube)))
    made = [curves, *data.make_corrections(curves)]
    for product in made:
        store.write_product(product)
    return made


def test_the_numbers_of_a_star_are_those_of_its_products_in_ppm(products):
    diagnostics, chosen = products[1], products[-1]
    table = numbers_of(chosen, diagnostics, 3)
    assert list(table.index) == [Correction.NONE, Correction.CBV, Correction.ENSEMBLE, Correction.FILTER]
    before = 1e6 * float(diagnostics["rms_hour"][3])
    np.testing.assert_allclose(table["rms_hour"], before * np.array([1, 0.5, 0.7, 0.4]))
    np.testing.assert_allclose(table["deviation"], before * np.sqrt([1, 0.5, 0.7, 0.4]))
    np.testing.assert_allclose(table["sum"], [0.6, 0.21, 0.11, 0.01])


def test_the_reason_names_the_best_and_what_it_is_better_than(products):
    table = numbers_of(products[-1], products[1], 3)
    said = why_best(table, Correction.ENSEMBLE)
    assert "the least with neighbours (vectors 0.210, neighbours 0.110; as measured 0.600)" in said
    assert "The filter does not compete" in said
    assert "no worse than with vectors 0.210" in why_best(table, Correction.NONE)
    table.loc[Correction.NONE, "sum"] = np.nan
    assert "is not known" in why_best(table, Correction.NONE)


def test_another_star_replaces_the_numbers_and_the_best_one_is_framed(products):
    view = CorrectionsView(store.open_product("corrections", sector=1), data.FIRST_TIC + 2)
    assert "TIC 261136602" in view.heading.object
    assert "vectors ✓ best" in view.table.object
    figures, frames = view.panels._figures, view.panels.frames
    assert [name for name, frame in frames.items() if frame.visible] == ["vectors"]
    before = [dict(source.data) for sources in view.panels._sources for source in sources]
    view.chooser.step(1)
    assert "neighbours ✓ best" in view.table.object
    assert view.panels._figures is figures
    assert [name for name, frame in frames.items() if frame.visible] == ["neighbours"]
    after = [dict(source.data) for sources in view.panels._sources for source in sources]
    assert any(not np.array_equal(a["flux"], b["flux"]) for a, b in zip(before, after, strict=True))
    assert len({id(figure.x_range) for figure in figures}) == 1


def test_panels_have_one_scale_or_each_its_own(products):
    view = CorrectionsView(store.open_product("corrections", sector=1))
    spans = lambda: {(f.y_range.start, f.y_range.end) for f in view.panels._figures}  # noqa: E731
    assert len(spans()) == 1
    view.panels.tables["filter"] = view.panels.tables["filter"].assign(
        flux=1000 + 0.1 * view.panels.tables["filter"]["flux"]
    )
    view.one_scale = False
    assert len(spans()) == 3


def test_corrections_without_their_light_curves_say_what_to_run(products):
    chosen = products[-1]
    alone = chosen.assign_attrs(provenance="{}")
    with pytest.raises(StoreError, match="the light_curves that corrections .*Run 'tasoc run photometry'"):
        CorrectionsView(alone)


@pytest.fixture
def chooser() -> StarChooser:
    """Forty stars, of which every fourth has no noise."""
    noise = np.arange(40.0)
    noise[::4] = np.nan
    stars = pd.DataFrame({"tic": 1000 + np.arange(40), "noise": noise})
    return StarChooser(stars, [Column("tic", "TIC"), Column("noise", "ppm", "", ".1f")], order="noise")


def test_stars_are_ordered_and_those_without_a_value_come_last(chooser):
    assert chooser.star == 1
    chooser.table.descending = True
    assert chooser.pages.value == 2  # the star in view stays in the list
    chooser.pages.value = 0
    assert chooser.table.rows[0] == {"star": 39, "verdict": "open", "tic": "1039", "noise": "39.0"}
    chooser.pages.value = 2
    assert chooser.table.rows[-1]["noise"] == "–"


def test_stars_are_walked_over_the_pages_of_the_list_and_stop_at_its_ends(chooser):
    chooser.step(-1)
    assert chooser.star == 1
    chooser.step(1, by_page=True)
    assert chooser.pages.value == 1
    chooser.step(100)
    assert chooser.star == chooser.shown.index[-1]
    assert chooser.star_name() == f"TIC {1000 + chooser.star}"


def test_a_star_is_found_by_number_or_a_part_of_it(chooser):
    chooser.choose(1017)
    assert chooser.star == 17
    chooser.search.value = "102"
    assert len(chooser.shown) == 10
    chooser.keep(lambda stars: stars["noise"] > 25)
    assert chooser.shown["tic"].tolist() == [1026, 1027, 1029]
    with pytest.raises(StepInputError, match="no TIC 5 among 40 stars.*tasoc where 5"):
        chooser.choose(5)
