"""Claims about the page of one star."""

from __future__ import annotations

import io

import dashboard_data as data
import pandas as pd
import pytest
from test_star import a_sector

from tasoc_kit import store
from tasoc_kit.dashboards.star import StarPage


def words(page: StarPage) -> str:
    """Return all markup on the page."""
    return " ".join(
        str(pane.object) for view in page.main() for pane in view.select() if hasattr(pane, "object")
    )


@pytest.fixture
def two_sectors() -> None:
    for number in (14, 41):
        store.write_product(a_sector(number, level=number / 14))


def test_a_star_has_a_row_for_each_sector_that_leads_to_its_ccd(two_sectors):
    tic = data.FIRST_TIC + 1
    page = StarPage(str(tic))
    shown = words(page)
    assert f"<h1>TIC {tic}</h1>" in shown
    assert "2 sectors" in shown
    for number in (14, 41):
        assert f"./light_curves?unit=s{number:04d}-1-2&amp;id={number:04d}10000000&amp;tic={tic}" in shown
    table = pd.read_csv(io.BytesIO(page._csv().getvalue()), comment="#")
    assert table["sector"].unique().tolist() == [14, 41]


def test_flux_as_measured_and_without_other_stars_can_be_chosen(two_sectors):
    page = StarPage(str(data.FIRST_TIC + 1))
    assert page.star.normalised
    page.flux = "e⁻/s"
    assert not page.star.normalised
    level = page.star.sectors["level"][0]
    page.decontaminate = True
    assert page.star.sectors["level"][0] < level


def test_another_star_is_found_by_what_is_typed(two_sectors):
    page = StarPage()
    assert "Which star?" in words(page)
    page.search.value = f" TIC {data.FIRST_TIC + 3} "
    assert page.star.name == f"TIC {data.FIRST_TIC + 3}"


def test_what_is_not_there_says_what_to_do(two_sectors):
    assert "tasoc where 4" in words(StarPage("4"))
    assert "is no target" in words(StarPage("nonsense"))


def test_an_empty_store_says_how_to_fill_it():
    assert "tasoc run photometry" in words(StarPage())
