"""Lists of targets as people keep them: numbers, positions, tables; nothing is dropped."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.target_list import read_targets
from tasoc_kit.vocabulary import VARIABLES


def test_the_forms_of_one_target_mean_the_same(tmp_path):
    (tmp_path / "mine.txt").write_text(
        "# my stars\nTIC 261136679\n261136679  # again\n84.2912 -80.4691\n84.2912, -80.4691\n"
        "05:37:09.888 -80:28:08.76\n\nnonsense\n"
    )
    targets = read_targets(tmp_path / "mine.txt")
    assert targets["target_tic"].values.tolist() == [261136679, 261136679, 0, 0, 0, 0]
    np.testing.assert_allclose(targets["target_ra"].values[2:5], 84.2912, atol=1e-7)
    np.testing.assert_allclose(targets["target_dec"].values[2:5], -80.4691, atol=1e-7)
    assert np.isnan(targets["target_ra"].values[[0, 1, 5]]).all()
    for name, variable in targets.variables.items():
        assert variable.dtype == VARIABLES[name].dtype


def test_a_real_table_with_hours_and_degrees_is_read_whole(shared_data):
    path = shared_data("catalogs/cached_tic_database.csv")
    targets, table = read_targets(path), pd.read_csv(path, low_memory=False)
    assert targets.sizes["target"] == len(table) > 6000
    np.testing.assert_array_equal(targets["target_tic"].values, table["TIC ID"])
    from astropy.coordinates import SkyCoord

    truth = SkyCoord(table["RA"].to_list(), table["Dec"].to_list(), unit=("hourangle", "deg"))
    np.testing.assert_allclose(targets["target_ra"].values, truth.ra.deg, atol=1e-9)
    np.testing.assert_allclose(targets["target_dec"].values, truth.dec.deg, atol=1e-9)
    np.testing.assert_allclose(targets["target_tmag"].values, table["TESS Mag"], rtol=1e-6)


def test_a_catalogue_of_the_tic_is_a_list_too(shared_data):
    path = shared_data("tess_ffi/ticentries.csv")
    targets, table = read_targets(path), pd.read_csv(path, low_memory=False)
    np.testing.assert_array_equal(targets["target_tic"].values, table["id"])
    np.testing.assert_array_equal(targets["target_ra"].values, table["ra"])
    # The TIC's own priority is a float; a person's wins nothing here that was not asked for.
    np.testing.assert_allclose(targets["target_priority"].values, table["priority"])


def test_parquet_text_and_python_give_the_same_id_for_the_same_list(tmp_path):
    pd.DataFrame({"TIC": [7, 8]}).to_parquet(tmp_path / "mine.parquet")
    (tmp_path / "mine.csv").write_text("ID\nTIC 7\n8\n")
    (tmp_path / "mine.txt").write_text("7\nTIC-8\n")
    lists = [read_targets(tmp_path / name) for name in ("mine.parquet", "mine.csv", "mine.txt")]
    tables = {"tic": [7, 8]}, pd.DataFrame({"TIC": ["TIC 7", "8"]})
    lists += [read_targets(one) for one in ([7, "TIC 8"], *tables)]
    ids = {one.attrs["provenance_id"] for one in lists}
    assert len(ids) == 1
    assert read_targets([8, 7]).attrs["provenance_id"] not in ids


def test_positions_off_the_sky_and_words_are_nothing_but_stay(tmp_path):
    (tmp_path / "mine.csv").write_text("ra,dec,tmag\n361,0,9\n10,-91,inf\nx,y,\n10,20,-1.4\n")
    targets = read_targets(tmp_path / "mine.csv")
    assert targets.sizes["target"] == 4
    assert np.isfinite(targets["target_ra"].values).tolist() == [False, False, False, True]
    assert targets["target_tmag"].values[3] == np.float32(-1.4)
    assert np.isnan(targets["target_tmag"].values[1:3]).all()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", "ra,teff\n1,2\n", r"without tic, or ra and dec; it has \['ra', 'teff'\]"),
        ("b.parquet", "text", "no parquet file"),
        ("c.txt", "# nothing\n\n", "an empty list of targets"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, name, content, problem):
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=problem):
        read_targets(tmp_path / name)
    with pytest.raises(SourceError, match="there is no such file"):
        read_targets(tmp_path / "absent.txt")
