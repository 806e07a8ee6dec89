"""Simulated sectors open by name, are made once, and lie where the mission looked."""

from __future__ import annotations

import numpy as np
import pytest

from tasoc_kit import catalog
from tasoc_kit.config import settings
from tasoc_kit.errors import CatalogError
from tasoc_kit.numerics.geometry import pixel_to_sky
from tasoc_kit.simulation import read_sector
from tasoc_kit.simulation.driver import open_sector
from tasoc_kit.simulation.field import make_field
from tasoc_kit.simulation.settings import SectorSettings
from tasoc_kit.sources.pointings import where


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TASOC_CACHE", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def test_an_entry_of_the_catalog_is_simulated_when_first_opened_and_kept(cache):
    cube = catalog.open_cube("simulation.tiny", frames=4)
    folder = next((cache / "simulation").glob("s0001-1-2-*"))
    made = [path.stat().st_mtime_ns for path in sorted(folder.glob("*.fits"))]
    assert cube.sizes == {"time": 4, "row": 128, "column": 172}
    catalog.open_cube("simulation.tiny", frames=4)
    assert [path.stat().st_mtime_ns for path in sorted(folder.glob("*.fits"))] == made


def test_the_cube_holds_what_the_truth_says(cache):
    cube = open_sector(rows=64, columns=80, frames=6, first=119, seed=3)
    sector = read_sector(next((cache / "simulation").glob("s0001-1-2-*")))
    np.testing.assert_allclose(cube.time, sector.time, atol=1e-9)
    np.testing.assert_array_equal(cube.cadenceno, sector.truth().cadenceno)
    np.testing.assert_array_equal(cube.quality, sector.truth().quality)
    frame = sector.render(4)
    np.testing.assert_array_equal(cube.flux[4].sel(column=slice(44, None)), frame.flux)
    np.testing.assert_array_equal(cube.flux_err[4].sel(column=slice(44, None)), frame.flux_err)


def test_every_setting_of_the_entry_reaches_the_sector(cache):
    catalog.open_cube(
        "simulation.sector",
        frames=2,
        rows=64,
        columns=96,
        every=3,
        first=5,
        cadence=600,
        structure=2.5,
        sector=30,
    )
    made = read_sector(next((cache / "simulation").glob("s0030-1-2-*"))).settings
    assert (made.rows, made.columns, made.every, made.first) == (64, 96, 3, 5)
    assert (made.cadence, made.structure, made.sector) == (600, 2.5, 30)


def test_a_mistyped_parameter_of_an_entry_is_refused(cache):
    with pytest.raises(CatalogError, match="seeds.*did you mean 'seed'"):
        catalog.open_cube("simulation.tiny", seeds=4)


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
@pytest.mark.parametrize("ccd", [1, 2, 3, 4])
def test_a_field_of_sector_1_lies_on_the_ccd_that_looked_there(camera, ccd):
    field = make_field(SectorSettings(camera=camera, ccd=ccd))
    ra, dec = pixel_to_sky(field, 1000.0, 1000.0)
    found = where(f"{float(ra):.6f} {float(dec):.6f}")
    one = found[found.sector == 1].iloc[0]
    assert (one.camera, one.ccd) == (camera, ccd)
    assert np.hypot(one.row - 1000.0, one.column - 1000.0) < 120.0
