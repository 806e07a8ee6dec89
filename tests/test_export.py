"""Claims about ``tasoc export``: what a person types, reads and finds on the disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.io import fits
from sector import make_sector
from stored_dataset import contents
from tiny_pipeline import make_doubled, make_summed, make_unit

import tasoc_kit as tk
from tasoc_kit import cli, database, store
from tasoc_kit.config import settings
from tasoc_kit.pipeline.executors import run_plans
from tasoc_kit.pipeline.plan import Run, make_plan
from tasoc_kit.vocabulary import Status


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


def test_diagnostics_are_a_row_for_each_star_and_the_seconds_of_the_run(tasoc, sector, tmp_path):
    made = tk.make_diagnostics(sector.light_curves, sector.apertures, sector.quality)
    code, told = tasoc("diagnostics", "--to", tmp_path / "stars.csv")
    assert (code, "the store has no diagnostics" in told) == (2, True)
    store.write_product(made)
    unit, identity = "s0001-1-2", made.attrs["provenance_id"]
    for notebook, product in (("18_light_curves", sector.light_curves), ("21_diagnostics", made)):
        run = database.start_run("photometry", notebook, unit, id=product.attrs["provenance_id"])
        database.finish_run(run, "done")
    failed = database.start_run("photometry", "17_sky", unit, id=sector.sky.attrs["provenance_id"])
    database.finish_run(failed, "failed")
    code, told = tasoc("diagnostics", "--sector", "1", "--to", tmp_path / "stars.csv")
    assert (code, told.partition(":")[0]) == (0, f"{made.sizes['star']} stars written")
    lines = (tmp_path / "stars.csv").read_text().splitlines()
    facts = dict(line.removeprefix("# ").split(": ", 1) for line in lines if line.startswith("#"))
    assert facts["provenance_id"] == identity
    seconds = json.loads(facts["seconds"])
    assert list(seconds) == ["18_light_curves", "21_diagnostics"]
    assert all(0 <= value < 60 for value in seconds.values())
    table = pd.read_csv(tmp_path / "stars.csv", comment="#", keep_default_na=False, na_values={"ptp": [""]})
    assert table["message"].tolist() == made["message"].values.tolist()
    assert table["status"].tolist() == [Status(int(code)).name for code in made["status"].values]
    np.testing.assert_allclose(table["ptp"], made["ptp"], rtol=1e-6)
    assert tasoc("diagnostics", "--to", tmp_path / "stars.parquet")[0] == 0
    assert pd.read_parquet(tmp_path / "stars.parquet")["message"].tolist() == table["message"].tolist()


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


def test_a_run_neither_waits_for_an_export_of_its_ccd_nor_is_changed_by_it(
    tasoc, sector, pipeline, places, tmp_path
):
    """An export that was stopped amid its files holds whatever it will ever hold."""
    kept, files = Path(settings().store), tmp_path / "files"
    before = products(kept)
    words = ["export", "light-curves", "--sector", "1", "--workers", "1", "--to", str(files)]
    export = subprocess.Popen([sys.executable, "-m", "tasoc_kit.cli", *words], stdout=subprocess.DEVNULL)
    try:
        while not (begun := list(files.rglob("*.fits.gz"))):
            assert export.poll() is None
            time.sleep(0.001)
        export.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, export.pid, os.WSTOPPED | os.WNOWAIT)
        plan = make_plan(pipeline, make_unit(tmp_path))
        assert plan[0].unit.name == store.product_unit(sector.light_curves)
        results = run_plans([plan], places=places, timeout=60)
        assert [result.status for result in results] == ["made", "made"]
        store.write_product(sector.light_curves.assign_attrs(provenance_id="f" * 12))
        begun = list(files.rglob("*.fits.gz"))
        assert export.poll() is None
    finally:
        export.send_signal(signal.SIGCONT)
    assert export.wait(timeout=120) == 0
    measured = int((sector.light_curves["row_size"].values > 0).sum())
    assert 0 < len(begun) < len(list(files.rglob("*.fits.gz"))) == measured
    after = products(kept)
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {
        "doubled", "summed", "light_curves"
    }  # fmt: skip
    alone = tmp_path / "alone"
    for run, made in zip(plan, made_by_hand(plan), strict=True):
        store.write_product(made, store=str(alone))
        assert contents(alone / run.stage.name) == contents(kept / run.stage.name)


def products(place: Path) -> dict[str, bytes]:
    """Return the bytes of all products of a store, without logs and database."""
    return {
        name: data
        for name, data in contents(place).items()
        if "/s0001-1-2/" in f"/{name}" and not name.startswith(("runs/", "."))
    }


def made_by_hand(plan: list[Run]) -> list[xr.Dataset]:
    """Return what the tiny pipeline makes, from its steps."""
    doubled = make_doubled(plan[0].unit.cube)
    return [doubled, make_summed(doubled)]


@pytest.fixture
def fast(tmp_path):
    """The products of a sector of 200 s cadence; its stars have the numbers of those of the small sector."""
    made = make_sector(tmp_path / "fast", sector=56, cadence=200, frames=24, rows=128, columns=128)
    for name in ("quality", "pointing", "reference", "stars", "apertures", "sky", "light_curves"):
        store.write_product(getattr(made, name))
    return made


def test_a_sector_of_200_s_is_exported_as_one_and_stands_beside_one_of_1800_s(tasoc, sector, fast, tmp_path):
    measured = [
        set(one.light_curves["tic"].values[one.light_curves["row_size"].values > 0]) for one in (sector, fast)
    ]
    tic = int(min(set.intersection(*measured)))
    star = int(np.flatnonzero(fast.light_curves["tic"].values == tic)[0])
    code, told = tasoc("light-curves", "--sector", "56", "--tic", tic, "--to", tmp_path / "files")
    assert (code, told[:24]) == (0, "1 light curves written: ")
    (path,) = (tmp_path / "files").rglob("*.fits.gz")
    assert path.parent.parent.name == "c0200"
    assert (
        path.name == f"tess{tic:011d}-s056-1-2-c0200-dr{fast.cube.attrs['data_rel']:02d}-v01-tasoc_lc.fits.gz"
    )
    with fits.open(path) as hdus:
        head, table = hdus[1].header, hdus[1].data
        # 100 frames of 2 s, of which cosmic ray mitigation keeps eight in ten, 1.98 s each.
        assert (head["NUM_FRM"], head["NREADOUT"]) == (100, 80)
        assert head["XPOSURE"] == pytest.approx(158.4)
        assert head["DEADC"] == pytest.approx(0.792)
        assert head["TIMEDEL"] * 86400 == pytest.approx(200.0)
        assert head["TELAPSE"] * 86400 == pytest.approx(24 * 200.0, rel=1e-4)
        np.testing.assert_allclose(np.diff(table["TIME"]) * 86400, 200.0, rtol=1e-4)
        assert np.diff(table["CADENCENO"]).tolist() == [1] * 23
        np.testing.assert_array_equal(table["FLUX_RAW"], fast.light_curves["flux"].values[star])
    code, told = tasoc("cutout", tic, "--cube", fast.folder, "--size", "9", "--to", tmp_path / "cut.fits")
    assert (code, "24 frames, sky taken out" in told) == (0, True)
    with fits.open(tmp_path / "cut.fits") as hdus:
        assert (hdus[1].header["XPOSURE"], hdus[1].header["NUM_FRM"]) == (pytest.approx(158.4), 100)
        bits, mask = hdus["APERTURE"].data, fast.reference["star_mask"] | fast.reference["saturated"]
        corner = hdus["APERTURE"].header["CRVAL2P"] - 1, hdus["APERTURE"].header["CRVAL1P"] - 1
        mask = mask.sel(row=range(corner[0], corner[0] + 9), column=range(corner[1], corner[1] + 9))
        np.testing.assert_array_equal(bits & 4 == 0, mask.values)
    cut = tk.open_cube(str(tmp_path / "cut.fits"))
    assert (cut.attrs["cadence"], cut.attrs["sector"]) == (pytest.approx(200.0), 56)
    assert cut.attrs["exposure"] == pytest.approx(158.4)
    both = tk.star(tic)
    assert both.sectors["sector"].tolist() == [1, 56]
    assert both.sectors["cadences"].tolist() == [48, 24]
    for number, seconds in ((1, 1800.0), (56, 200.0)):
        times = both.curve.loc[both.curve["sector"] == number, "time"]
        assert np.median(np.diff(times)) * 86400 == pytest.approx(seconds, rel=1e-3)
    level = both.curve[both.curve["good"]].groupby("sector")["flux"].median()
    np.testing.assert_allclose(level, 1.0, atol=1e-6)
