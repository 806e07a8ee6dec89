"""Lists of stars whose photometry a person chose."""

from __future__ import annotations

import pandas as pd
import pytest

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.overrides import read_overrides
from tasoc_kit.vocabulary import VARIABLES, Method


def test_the_forms_of_one_list_are_one_input(tmp_path):
    (tmp_path / "mine.csv").write_text("# chosen\nTmag,Method,TIC\n9.1,PSF,TIC 8\n\n3.0,halo,7  # bright\n")
    (tmp_path / "mine.txt").write_text("7:halo\n# twice\nTIC 8 psf\n8,psf\n")
    pd.DataFrame({"ID": [8, 7], "method": ["psf", "halo"]}).to_parquet(tmp_path / "mine.parquet")
    lists = [read_overrides(tmp_path / f"mine.{ending}") for ending in ("csv", "txt", "parquet")]
    lists.append(read_overrides([" 8 : PSF", "7:halo"]))
    assert len({one.attrs["provenance_id"] for one in lists}) == 1
    for one in lists:
        assert one["override_tic"].values.tolist() == [7, 8]
        assert one["override_method"].values.tolist() == [Method.HALO, Method.PSF]
        for name, variable in one.variables.items():
            assert variable.dtype == VARIABLES[name].dtype
    other = read_overrides(["8:psf", "7:none"])
    assert other.attrs["provenance_id"] != lists[0].attrs["provenance_id"]


@pytest.mark.parametrize("entry", ["7", "7:", "seven:psf", ":psf", "7:best", "-7:psf", "0:psf", "7:psf:halo"])
def test_an_override_that_says_nothing_is_refused_with_what_was_expected(entry):
    with pytest.raises(
        SourceError, match=f"entry 2: '{entry}'; expected .TIC:method. with one of none, aperture, psf, halo"
    ):
        read_overrides(["5:psf", entry])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", "tic,method\n\n# mine\n7,psf\n8,pfs\n", r"a\.csv, line 5: '8, pfs'; expected"),
        ("b.csv", "tic,method\n7,psf\n,halo\n", r"b\.csv, line 3: ', halo'; expected"),
        ("c.csv", "tic,tmag\n7,9.0\n", r"without tic and method; it has \['tic', 'tmag'\]"),
        (
            "d.csv",
            "tic,method\n7,psf\n8,psf,halo\n",
            r"d\.csv: no table \(Expected 2 fields in line 3, saw 3\)",
        ),
        ("e.txt", "7 psf\n\n8 halo\n7 aperture\n", r"e\.txt, line 4: '7 aperture'; expected psf, for star 7"),
        ("f.parquet", "text", "no parquet file"),
        ("g.txt", "# nothing\n", "an empty list of overrides"),
    ],
)
def test_what_is_no_list_is_refused_by_its_line(tmp_path, name, content, problem):
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=problem):
        read_overrides(tmp_path / name)


def test_a_row_of_a_parquet_table_is_named(tmp_path):
    pd.DataFrame({"tic": [7, 8], "method": ["psf", None]}).to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(SourceError, match=r"mine\.parquet, row 2: '8, '; expected"):
        read_overrides(tmp_path / "mine.parquet")
