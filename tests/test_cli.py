"""The command: what a person types, reads, and gets as exit code."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import tasoc
from tiny_pipeline import make_unit
from typer.testing import CliRunner

from tasoc_kit import cli, database, store
from tasoc_kit.commands import look
from tasoc_kit.commands.run import Bars, Options
from tasoc_kit.commands.status import read_status
from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.discovery import find_units
from tasoc_kit.pipeline.estimate import estimate
from tasoc_kit.pipeline.executors import run_plans
from tasoc_kit.pipeline.inputs import open_unit
from tasoc_kit.pipeline.plan import Pipeline, cut_plan, load_pipelines, make_plan
from tasoc_kit.pipeline.request import Place
from tasoc_kit.records import jobs

VERBS = [
    ("run",),
    ("worker",),
    *(("job", verb) for verb in ("submit", "list", "show", "cancel", "retry", "hold", "release", "remove")),
    *(("job", "schedule", verb) for verb in ("add", "list", "disable", "enable", "remove")),
    ("parameters",),
    ("status",),
    ("products",),
    ("prune",),
    ("where",),
    ("simulate",),
    ("fetch",),
    ("archive", "push"),
    ("archive", "pull"),
    ("archive", "verify"),
    ("dashboard",),
    ("doctor",),
    ("catalog", "list"),
    ("catalog", "describe"),
    ("catalog", "check"),
    ("catalog", "index"),
    ("provenance", "show"),
    ("provenance", "tag"),
    ("provenance", "diff"),
    ("export", "light-curves"),
    ("export", "diagnostics"),
    ("export", "cutout"),
    ("export", "movie"),
    ("database", "upgrade"),
    ("database", "rebuild"),
    ("targets", "fetch"),
    ("targets", "list"),
    ("targets", "show"),
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_a_help_with_an_example(verb: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, [*verb, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"tasoc {' '.join(verb)}" in result.output.split("Example", 1)[1]


def test_help_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom tasoc_kit import cli\n"
        "assert CliRunner().invoke(cli.app, ['--help']).exit_code == 0\n"
        "print(sorted({'xarray', 'numba', 'panel', 'zarr', 'papermill', 'pandas'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "photomtry"), "did you mean 'photometry'"),
        (("run", "--cube", "simulation.tny", "--dry-run"), "did you mean 'simulation.tiny'"),
        (("run", "--cube", "nowhere/", "--dry-run"), "nowhere/: there is no FITS file"),
        (("run", "--cube", "simulation.tiny", "--camera", "7", "--dry-run"), "camera=7"),
        (("run", "--camera", "one"), "expected numbers"),
        (("run", "--cube", "simulation.tiny", "--set", "apertures.treshold=1", "--dry-run"), "'threshold'"),
        (("run", "--cube", "simulation.tiny", "--from", "apertres"), "did you mean 'apertures'"),
        (("run", "--cube", "simulation.tiny", "--executor", "dask"), "address of a running scheduler"),
        (("run", "--config", "absent.yaml"), "absent.yaml"),
        (("products", "Light Curves"), "Light Curves"),
        (("provenance", "show", "abc"), "no product"),
        (("catalog", "describe", "fii.local"), "did you mean 'ffi.local'"),
        (("where", "nothing"), "where"),
        (("simulate", "frames", "--set", "zodical=1"), "did you mean 'zodiacal'"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, told = tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert message in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) <= 2


def test_a_run_of_units_without_frames_says_so_for_each_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("run", "photometry", "--cube", "nowhere/", "--sector", "1", "--camera", "1-2")
    code, told, errors = tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, errors.count("nowhere/: there is no FITS file")) == (1, 2)
    assert "nothing to do" not in told


@pytest.mark.parametrize("words", [("--workers", "2"), ("--queue", "default")])
def test_without_frames_nothing_is_run_or_queued_and_a_way_to_frames_is_named(
    words: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TASOC_DATA", str(tmp_path / "none"))
    settings.cache_clear()
    code, _, errors = tasoc("run", "--sector", "1", *words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, len(errors.strip().splitlines())) == (2, 1)
    assert "tasoc fetch" in errors
    assert len(jobs.list_jobs()) == 0


def test_the_lineage_has_every_id_in_full(
    pipeline: Pipeline,
    places: queue.Queue[Place],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """However many inputs a product has, they stand one below the other."""
    plan = make_plan(pipeline, make_unit(tmp_path))
    run_plans([plan], places=places)
    code, told, _ = tasoc("provenance", "show", plan[-1].id, monkeypatch=monkeypatch, capsys=capsys)
    ids = [re.findall(r"\b[0-9a-f]{12}\b", line) for line in told.splitlines()]
    assert code == 0
    assert {run.id for run in plan} <= {id_ for line in ids for id_ in line}
    assert max(map(len, ids)) == 2


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_breaks_what_is_long_and_cuts_nothing(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(look.console, "width", width)
    rows = [("2cc5d4f48b57", "light_curves.local", "a " * 50 + "last", "x" * 90, 1.5)]
    look.table("", ("id", "entry", "meaning", "path", "time"), rows)
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= width
    assert "2cc5d4f48b57" in told
    assert "1.5" in told
    assert told.count("x") == 90
    assert re.sub(r"\s", "", told).count("a") >= 50


def test_the_catalog_is_listed_in_a_narrow_terminal_with_names_and_meanings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(look.console, "width", 110)
    code, told, _ = tasoc("catalog", "list", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert all(name in told for name in ("light_curves.local", "simulation.tiny", "products.light_curves"))
    assert "tasoc catalog describe" in told


def test_a_dry_run_says_what_would_be_read_and_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, _ = tasoc(
        "run", "--cube", "simulation.tiny", "--dry-run", monkeypatch=monkeypatch, capsys=capsys
    )
    assert code == 0
    assert told.count("to do") >= 9
    once = 4 * open_unit("simulation.tiny").cube["flux"].size
    assert f"reads {2 * once / 1e6:.1f} MB" in told  # 32 frames: all for the reference, all for the stream
    assert len(store.list_products()) == 0


def test_parameters_come_from_the_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, _ = tasoc("parameters", "photometry", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    line = next(line for line in told.splitlines() if "apertures.threshold" in line)
    assert "0.8" in line
    assert "lit" in line
    for stage in load_pipelines()["photometry"].notebooks:
        for name in stage.side_tables:
            assert f"{stage.name}.{name} " in told


def test_a_simulated_folder_is_scanned_into_its_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = tmp_path / "frames"
    for ccd in ("2", "3"):
        words = ("simulate", str(frames / ccd), "--frames", "1", "--size", "64", "--ccd", ccd)
        assert tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    for ccd in ("2", "3"):
        for path in (frames / ccd).glob("*.fits"):
            path.rename(frames / path.name)
    units = [(u["sector"], u["camera"], u["ccd"]) for u in find_units(str(frames), [], [], [])]
    assert units == [(1, 1, 2), (1, 1, 3)]
    assert [u["ccd"] for u in find_units(str(frames), [1], [1], [3])] == [3]
    with pytest.raises(Exception, match=r"nothing of camera \[2\]; it holds 1-1-2, 1-1-3"):
        find_units(str(frames), [], [2], [])
    code, told, _ = tasoc("catalog", "index", str(frames), monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert "2 frames" in told


def test_a_run_that_starts_late_needs_what_comes_before(pipeline: Pipeline, tmp_path: Path) -> None:
    plan = make_plan(pipeline, make_unit(tmp_path))
    with pytest.raises(NotebookError, match=r"--from summed needs \['doubled'\]"):
        cut_plan(plan, {"summed"})


def test_status_tells_done_running_failed_and_killed(
    pipeline: Pipeline, places: queue.Queue[Place], tmp_path: Path
) -> None:
    plan = make_plan(pipeline, make_unit(tmp_path))
    with Bars(2) as bars:
        run_plans([plan], places=places, observer=bars)
    failed = database.start_run("tiny", "10_doubled", "s0001-1-3")
    database.finish_run(failed, "failed", message="no frame")
    database.start_run("tiny", "11_summed", "s0001-1-3")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "getpid", lambda: dead.pid)
        database.start_run("tiny", "11_summed", "s0001-1-4")
    status = read_status().set_index(["unit", "notebook"])
    assert status.loc[("s0001-1-2", "11_summed"), "state"] == "done"
    assert status.loc[("s0001-1-3", "10_doubled"), ["state", "note"]].tolist() == ["failed", "no frame"]
    assert status.loc[("s0001-1-3", "11_summed"), "state"] == "running"
    killed = status.loc[("s0001-1-4", "11_summed")]
    assert (killed["state"], killed["note"]) == ("killed", "its process is gone; run the pipeline again")
    assert np.isnan(killed["seconds"])
    assert read_status("s0001-1-4")["unit"].tolist() == ["s0001-1-4"]


def test_an_estimate_is_nothing_for_what_is_done(pipeline: Pipeline, tmp_path: Path) -> None:
    unit = make_unit(tmp_path)
    plan = make_plan(pipeline, unit)
    wide = unit.cube.expand_dims(row=[0], column=[0])
    plan = make_plan(pipeline, type(unit)(unit.source, wide))
    assert all(one.seconds > 0 and not one.done for one in estimate(plan))


def test_the_source_is_the_demonstration_unless_a_place_is_named() -> None:
    assert Options("photometry").source == "simulation.demo"
    assert Options("photometry", sectors=[14]).source == "ffi.local"
    assert Options("photometry", cube="frames/", sectors=[14]).source == "frames/"


def test_a_field_without_stars_ends_in_a_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = tmp_path / "frames"
    words = ("--frames", "4", "--size", "64", "--set", "star_density=0")
    assert tasoc("simulate", str(frames), *words, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    words = ("run", "--cube", str(frames), "--until", "apertures")
    code, table, told = tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 1
    assert "13_stars" in table
    assert "star" in told
    assert "Traceback" not in told
    assert "14_apertures, cell" in told
    assert not told.startswith("14_apertures")


def test_a_sector_of_no_frame_and_of_one_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for frames in ("0", "1"):
        words = ("simulate", str(tmp_path / frames), "--frames", frames, "--size", "64")
        assert tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    code, _, told = tasoc("run", "--cube", str(tmp_path / "0"), monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "no FFI there" in told) == (2, True)
    words = ("run", "--cube", str(tmp_path / "1"))
    assert tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    assert store.open_product("light_curves").sizes["time"] == 1


def test_a_list_of_targets_changes_the_stars_and_a_missing_one_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pipeline = load_pipelines()["photometry"]
    unit = open_unit("simulation.tiny")
    (tmp_path / "mine.txt").write_text("TIC 7\n")
    (tmp_path / "copy.csv").write_text("tic\n7\n")
    ids = [
        make_plan(pipeline, unit, {"stars": {"targets": place}} if place else {}, last="stars")[-1].id
        for place in ("", str(tmp_path / "mine.txt"), str(tmp_path / "copy.csv"))
    ]
    assert ids[0] != ids[1] == ids[2]
    monkeypatch.chdir(tmp_path)
    dry = ("run", "--cube", "simulation.tiny", "--until", "stars", "--dry-run")
    code, told, _ = tasoc(*dry, "--targets", "mine.txt", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert ids[1] in told
    code, _, told = tasoc(*dry, "--targets", "absent.txt", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert "absent.txt: there is no such file" in told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (float("nan"), "–"),
        (3.14, "3.1 s"),
        (119.6, "2 min 00 s"),
        (61.4, "1 min 01 s"),
        (3599.7, "1 h 00 min"),
        (7325, "2 h 02 min"),
    ],
)
def test_a_duration_is_told_as_a_clock_would(seconds, told):
    assert look.as_time(seconds) == told
