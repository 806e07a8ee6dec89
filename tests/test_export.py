"""Claims about ``tasoc export``: what a person types, reads and finds on the disk."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import tasoc_kit as tk
from tasoc_kit import cli, store
from tasoc_kit.config import settings


@pytest.fixture
def tasoc(sector, tmp_path, monkeypatch, capsys):
    """Run the command on a store with the products of the small sector."""
    for name in ("pointing", "reference", "apertures", "sky", "light_curves"):
        store.write_product(getattr(sector, name))
    settings.cache_clear()

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tasoc", "export", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((told.out + told.err).split())

    return run


def tics(sector, count: int) -> list[int]:
    measured = np.flatnonzero(sector.light_curves["row_size"].values > 0)[:count]
    return sector.light_curves["tic"].values[measured].tolist()


def test_light_curves_are_written_kept_and_never_lost(tasoc, sector, tmp_path):
    first, second = tics(sector, 2)
    folder = tmp_path / "files"
    code, told = tasoc("light-curves", "--tic", first, "--tic", second, "--to", folder)
    assert code == 0
    assert told.startswith("2 light curves written")
    assert len(list(folder.rglob("*-tasoc_lc.fits.gz"))) == 2
    code, told = tasoc("light-curves", "--tic", first, "--to", folder)
    assert (code, "1 were there" in told) == (0, True)
    code, told = tasoc("light-curves", "--sector", "1", "--tic", first, "--to", tmp_path / "one.parquet")
    assert code == 0
    assert set(pd.read_parquet(tmp_path / "one.parquet")["tic"]) == {first}
    code, told = tasoc("light-curves", "--tic", first, "--to", tmp_path / "one.parquet")
    assert (code, "--overwrite" in told) == (2, True)


def test_a_cutout_uses_what_the_store_knows_of_its_frames(tasoc, sector, tmp_path):
    (tic,) = tics(sector, 1)
    code, told = tasoc(
        "cutout", f"TIC {tic}", "--cube", sector.folder, "--size", "9", "--to", tmp_path / "cut.fits"
    )
    assert (code, "sky taken out" in told) == (0, True)
    cut = tk.open_cube(str(tmp_path / "cut.fits"))
    assert (cut.attrs["tic"], cut.attrs["background_subtracted"]) == (tic, 1)


def test_a_movie_of_some_frames_is_made(tasoc, sector, tmp_path):
    code, told = tasoc(
        "movie",
        "--cube",
        sector.folder,
        "--every",
        "12",
        "--bin",
        "2",
        "--without-sky",
        "--to",
        tmp_path / "m.mp4",
    )
    assert (code, "m.mp4" in told) == (0, True)
    assert (tmp_path / "m.mp4").stat().st_size > 1000


def test_what_is_not_there_is_one_line_that_says_what_to_do(tasoc, sector, tmp_path):
    code, told = tasoc("light-curves", "--sector", "77", "--to", tmp_path)
    assert (code, "no light curves of sector 77" in told, "tasoc run photometry" in told) == (2, True, True)
    code, told = tasoc("light-curves", "--tic", "4", "--to", tmp_path)
    assert (code, "TIC 4 is in none" in told) == (2, True)
    code, told = tasoc("cutout", "nonsense", "--cube", sector.folder, "--to", tmp_path / "x.fits")
    assert (code, "expected" in told) == (2, True)
    code, told = tasoc("movie", "--cube", sector.folder, "--camera", "a", "--to", tmp_path / "m.mp4")
    assert (code, "expected numbers" in told) == (2, True)
