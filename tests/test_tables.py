"""Claims about tables of light curves."""

from __future__ import annotations

import json

import dashboard_data as data
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from tasoc_kit import store
from tasoc_kit.errors import StoreError
from tasoc_kit.exports.tables import write_table


@pytest.fixture
def curves():
    made = data.make_light_curves(data.make_apertures(data.make_reference(data.make_cube())))
    store.write_product(made)
    return made


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_a_table_has_a_row_for_each_cadence_of_each_star(curves, ending, tmp_path):
    ref = store.find_product("light_curves")
    path = tmp_path / f"all{ending}"
    measured = np.flatnonzero(curves["row_size"].values > 0)
    assert write_table(ref, path) == measured.size
    table = pd.read_parquet(path) if ending == ".parquet" else pd.read_csv(path, comment="#")
    assert len(table) == measured.size * curves.sizes["time"]
    one = table[table["tic"] == int(curves["tic"][measured[3]])]
    for name in ("flux", "flux_err", "background", "centroid_row", "pixel_quality"):
        np.testing.assert_allclose(one[name], curves[name].values[measured[3]], rtol=1e-6)
    np.testing.assert_array_equal(one["quality"], curves["quality"].values)
    assert set(one["method"]) == {"aperture"}


def test_a_table_says_what_it_was_made_from(curves, tmp_path):
    ref = store.find_product("light_curves")
    tics = curves["tic"].values[:2].tolist()
    for name in ("two.csv", "two.parquet"):
        assert write_table(ref, tmp_path / name, tics=tics) == 2
    assert f"# provenance_id: {ref.id}\n" in (tmp_path / "two.csv").read_text()
    metadata = parquet.read_schema(tmp_path / "two.parquet").metadata
    assert metadata[b"provenance_id"].decode() == ref.id
    assert json.loads(metadata[b"units"])["flux"] == "electron / s"


def test_a_table_is_neither_lost_nor_half_written(curves, tmp_path):
    ref = store.find_product("light_curves")
    path = tmp_path / "mine.csv"
    path.write_text("mine")
    with pytest.raises(StoreError, match="--overwrite"):
        write_table(ref, path)
    with pytest.raises(StoreError, match=r"expected .csv, .csv.gz or .parquet"):
        write_table(ref, tmp_path / "table.xlsx")
    with pytest.raises(StoreError, match="is not among"):
        write_table(ref, tmp_path / "new.csv", tics=[4])
    assert [file.name for file in tmp_path.iterdir() if file.name != "store"] == ["mine.csv"]
    assert path.read_text() == "mine"
