"""The notebooks that show how a thing is done: thin, stripped, run on their defaults, and leave nothing."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import nbformat
import psutil
import pytest
from test_notebooks import MOST_BYTES, MOST_CELLS, MOST_LINES, by_stem, code_of

import tasoc_kit as tk
from tasoc_kit import store
from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.inputs import open_unit
from tasoc_kit.pipeline.parameters import read_parameters
from tasoc_kit.pipeline.plan import load_pipelines, make_plan
from tasoc_kit.pipeline.progress import read_progress
from tasoc_kit.pipeline.request import Place, Request

FOLDER = Path(__file__).resolve().parents[1] / "notebooks" / "how_to"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CODE = ast.FunctionDef | ast.Lambda | ast.For | ast.While | ast.ClassDef


def last_of(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[-1].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_it_is_thin_stripped_and_works_in_a_scratch_store(path: Path) -> None:
    cells = code_of(path)
    assert len(cells) <= MOST_CELLS
    assert max(len(cell.splitlines()) for cell in cells) <= MOST_LINES
    assert not [node for cell in cells for node in ast.walk(ast.parse(cell)) if isinstance(node, CODE)]
    notebook = nbformat.read(path, as_version=4)
    assert {(cell.execution_count, str(cell.outputs)) for cell in notebook.cells if "outputs" in cell} == {
        (None, "[]")
    }
    assert "folder" in {parameter.name for parameter in read_parameters(path)}
    assert "tk.scratch(folder)" in cells[2]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_it_says_what_it_is_for_and_what_comes_next(path: Path) -> None:
    first, last = nbformat.read(path, as_version=4).cells[0].source, last_of(path)
    assert first.startswith("# ")
    assert all(word in first for word in ("**In:**", "**Look at:**"))
    assert last.startswith("**Next:** ")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", last)]
    assert any(link.startswith("../../docs/") for link in links)
    assert [link for link in links if not (FOLDER / link).exists()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_it_runs_on_its_defaults_and_leaves_nothing(
    path: Path, worker: Place, session_cache: Path, tmp_path: Path
) -> None:
    mark, temporary = uuid.uuid4().hex, tmp_path / "temporary"
    temporary.mkdir()
    environment = {"TASOC_STORE": str(tmp_path / "mine"), "TASOC_CACHE": str(session_cache), "MARK": mark}
    progress = {"TASOC_PROGRESS": str(tmp_path / "progress")}
    output = temporary / path.name
    outcome = worker.run(
        Request(str(path), {}, str(output), folder=str(tmp_path), environment=environment | progress)
    )
    assert (outcome.ok, outcome.cell, outcome.message) == (True, 0, "")
    assert output.stat().st_size < MOST_BYTES
    cells = nbformat.read(output, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.output_type == "stream"] == []
    assert sum("application/vnd.holoviews_exec.v0+json" in output.get("data", {}) for output in outputs) >= 1
    told = read_progress(tmp_path / "progress")
    assert told is None or told[1] == told[2], "the bar ends before its end"
    assert not (tmp_path / "mine").exists()
    assert started_with(mark) == []


def started_with(mark: str) -> list[str]:
    """Return the programs that run with this mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == mark:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_products_made_without_notebooks_are_those_of_the_pipeline() -> None:
    plan = make_plan(load_pipelines()["photometry"], open_unit("simulation.tiny"))
    made = tk.make_products("simulation.tiny", last="stars")
    names = ("quality", "pointing", "reference", "stars")
    ids = {run.stage.name: run.id for run in plan if run.stage.name in names}
    assert {name: getattr(made, name).provenance_id for name in names} == ids
    assert list(vars(made)) == ["cube", *names]
    other = tk.make_products("simulation.tiny", changes={"stars": {"faintest": 14.0}}, last="stars")
    assert other.stars.provenance_id != made.stars.provenance_id
    assert store.list_products()["product"].value_counts().to_dict() == dict.fromkeys(names, 1) | {"stars": 2}
    with pytest.raises(NotebookError, match="did you mean 'faintest'"):
        tk.make_products("simulation.tiny", changes={"stars": {"faintst": 14.0}})


SCRATCH = (
    "import os, signal, tasoc_kit as tk\nfrom tasoc_kit.config import settings\n"
    "before = settings().cache\nhere = tk.scratch()\n"
    "assert settings().store == str(here / 'store') and str(here) in settings().database\n"
    "assert settings().shared_stores == () and settings().cache == here / 'cache'\n"
    "assert (here / 'cache' / 'simulation').resolve() == (before / 'simulation').resolve()\n"
    "print(here)"
)


def test_a_scratch_folder_holds_every_place_and_goes_with_its_process(session_cache: Path) -> None:
    shared = {"TASOC_SHARED_STORES": "/else", "TASOC_DATABASE": "sqlite:////else.sqlite"}
    (session_cache / "simulation").mkdir(exist_ok=True)
    (kept := session_cache / "simulation" / "kept").touch()
    run = subprocess.run(
        [sys.executable, "-c", SCRATCH], env=os.environ | shared, capture_output=True, text=True, check=True
    )
    assert not Path(run.stdout.strip()).exists()
    assert kept.exists()


def test_a_scratch_folder_that_was_named_stays_and_one_that_cannot_be_is_told(tmp_path: Path) -> None:
    code = f"import tasoc_kit as tk; tk.scratch({str(tmp_path / 'kept')!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "kept" / "cache").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(NotebookError, match="expected a folder that can be written"):
        tk.scratch(str(tmp_path / "file"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_small_cluster_listens_on_loopback_and_ends_with_its_process() -> None:
    pytest.importorskip("distributed", reason="cluster: distributed is not installed")
    code = (
        "import time, tasoc_kit as tk\n"
        "cluster = tk.start_cluster(workers=1)\n"
        "print(*[nanny.pid for nanny in cluster.workers.values()], flush=True)\n"
        "time.sleep(300)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
        family = [psutil.Process(owner.pid), *workers]
        listening = [c for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
        assert {one.laddr.ip for one in listening} == {"127.0.0.1"}
        assert len(workers) == 1
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert psutil.wait_procs(workers, timeout=20)[1] == []
