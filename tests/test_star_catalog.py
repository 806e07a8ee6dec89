"""Star catalogues: the TIC's columns and ours, proper motion, and rows that are left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.star_catalog import at_epoch, read_stars
from tasoc_kit.vocabulary import VARIABLES

TABLE = {
    "ID": [11, 12, 13, 14, 15],
    "ra": [10.0, 20.0, 30.0, 40.0, np.nan],
    "dec": [-1.0, -2.0, -3.0, -4.0, -5.0],
    "Tmag": [12.0, 7.5, 10.0, np.nan, 9.0],
    "pmRA": [0.0, 1000.0, np.nan, 0.0, 0.0],
    "pmDEC": [0.0, 0.0, np.nan, 0.0, 0.0],
    "disposition": ["", "", "ARTIFACT", "", ""],
}


@pytest.fixture
def csv(tmp_path):
    pd.DataFrame(TABLE).to_csv(tmp_path / "tic.csv", index=False)
    return tmp_path / "tic.csv"


def test_stars_are_brightest_first_and_unusable_rows_are_counted(csv):
    stars = read_stars(csv)
    assert list(stars["tic"].values) == [12, 11]
    assert stars.attrs["left_out"] == 3
    assert stars["tmag"].attrs["units"] == "mag"
    for name, variable in stars.variables.items():
        assert variable.dtype == VARIABLES[name].dtype


def test_parquet_in_our_names_gives_the_same_stars(csv, tmp_path):
    ours = read_stars(csv).to_dataframe()
    ours.to_parquet(tmp_path / "stars.parquet")
    pd.testing.assert_frame_equal(read_stars(tmp_path / "stars.parquet").to_dataframe()[ours.columns], ours)


def test_the_real_tic_excerpt_is_read_whole(shared_data):
    path = shared_data("tess_ffi/ticentries.csv")
    stars, table = read_stars(path), pd.read_csv(path)
    assert stars.sizes["star"] == len(table) == 206
    truth = table.set_index("id").loc[stars["tic"].values]
    np.testing.assert_array_equal(stars["ra"].values, truth["ra"])
    np.testing.assert_allclose(stars["tmag"].values, truth["tmag"], rtol=1e-6)


def test_proper_motion_carries_stars_to_the_date(csv):
    stars = read_stars(csv, btjd=1325.0)
    years = stars.attrs["epoch"] - 2000.0
    assert years == pytest.approx((2458325.0 - 2451545.0) / 365.25, abs=1e-9)
    shift = (stars["ra"].values[0] - 20.0) * np.cos(np.radians(2.0)) * 3.6e6
    assert shift == pytest.approx(1000.0 * years, rel=1e-4)
    back = at_epoch(stars, 2451545.0 - 2457000.0)
    np.testing.assert_allclose(back["ra"].values, [20.0, 10.0], atol=1e-8)


def test_stars_without_proper_motion_stay(tmp_path):
    pd.DataFrame({"tic": [1], "ra": [5.0], "dec": [6.0], "tmag": [9.0]}).to_csv(tmp_path / "s.csv")
    assert read_stars(tmp_path / "s.csv", btjd=2000.0)["ra"].item() == 5.0


def test_a_catalogue_without_numbers_gets_zeros_and_one_without_rows_is_empty(tmp_path):
    pd.DataFrame({"RA": [5.0], "Dec": [6.0], "Tmag": [9.0]}).to_csv(tmp_path / "s.csv")
    assert list(read_stars(tmp_path / "s.csv")["tic"].values) == [0]
    pd.DataFrame({"ra": [], "dec": [], "tmag": []}).to_parquet(tmp_path / "none.parquet")
    assert read_stars(tmp_path / "none.parquet").sizes["star"] == 0


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", "ra,dec\n1,2\n", r"without \['tmag'\]; it has \['dec', 'ra'\]"),
        ("b.parquet", "text", "no star catalogue"),
        ("c.csv", "", "no star catalogue"),
    ],
)
def test_what_is_no_star_catalogue_is_refused(tmp_path, name, content, problem):
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=problem):
        read_stars(tmp_path / name)
    with pytest.raises(SourceError, match="there is no such file"):
        read_stars(tmp_path / "absent.csv")
