"""Every notebook is thin, stripped, says what its step takes, and runs on its defaults."""

from __future__ import annotations

import ast
import queue
import sys
from pathlib import Path

import nbformat
import pytest
from benchmarks.kill_and_resume import PRODUCTS, complete, kill_and_compare

from tasoc_kit import store, vocabulary
from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.executors import Result, run_plans
from tasoc_kit.pipeline.inputs import open_unit
from tasoc_kit.pipeline.notebook import run_notebook
from tasoc_kit.pipeline.parameters import PLACE, check_against_step, read_parameters
from tasoc_kit.pipeline.plan import Run, Stage, load_pipelines, make_plan
from tasoc_kit.pipeline.request import Place
from tasoc_kit.storage.folders import Folder

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
STAGES = [stage for pipeline in load_pipelines().values() for stage in pipeline.notebooks]
MOST_CELLS, MOST_LINES, MOST_SECONDS = 10, 12, 60
MOST_BYTES = 3_500_000
"""Size of an executed notebook; the scripts of its figures take 1.1 MB of it."""
UNTIL = ("--until", "light_curves")
"""Options of a run that makes every product which is compared after a kill."""
LEAST_FIGURE = 5_000
"""Characters of a figure that shows something."""


def code_of(path: Path) -> list[str]:
    return [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def by_stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_a_notebook_is_thin(path: Path) -> None:
    cells = code_of(path)
    assert len(cells) <= MOST_CELLS
    assert max(len(cell.splitlines()) for cell in cells) <= MOST_LINES
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell))]
    assert not [
        n for n in nodes if isinstance(n, ast.FunctionDef | ast.Lambda | ast.For | ast.While | ast.ClassDef)
    ]
    imported = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    assert imported == {"panel", "tasoc_kit"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_a_notebook_is_stripped(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[] for _ in code]
    assert {cell.execution_count for cell in code} == {None}
    assert "widgets" not in notebook.metadata


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_a_notebook_begins_with_what_it_is_for(path: Path) -> None:
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert all(word in first.source for word in ("**In:**", "**Look at:**"))


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.notebook)
def test_the_parameters_are_the_settings_of_the_step(stage: Stage) -> None:
    declared = read_parameters(FOLDER / f"{stage.notebook}.ipynb")
    step = stage.load_step()
    if step is None:
        assert {p.name for p in declared} <= set(PLACE)
        return
    check_against_step(stage.notebook, declared, step)
    meanings = {info.name: info.meaning for info in step.schema()}
    assert {
        p.name: p.comment for p in declared if p.name in meanings and meanings[p.name] not in p.comment
    } == {}
    assert step.product == stage.name
    assert tuple(name.rstrip("?") for name in stage.inputs) == tuple(step.inputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_a_notebook_asks_for_no_star_that_a_small_field_lacks(path: Path) -> None:
    calls = [n for cell in code_of(path) for n in ast.walk(ast.parse(cell)) if isinstance(n, ast.Call)]
    ours = [call for call in calls if ast.unparse(call.func).startswith("tk.")]
    given = [word for call in ours for word in call.args]
    given += [word.value for call in ours for word in call.keywords if word.arg == "star"]
    numbers = [word.value for word in given if isinstance(word, ast.Constant)]
    assert [number for number in numbers if isinstance(number, int) and number > 0] == []
    # What has the least or the most of no star is an error.
    among = [call for call in calls if isinstance(call.func, ast.Attribute) and "arg" in call.func.attr]
    assert [ast.unparse(call) for call in among if "'star'" in map(ast.unparse, call.args)] == []


def test_every_notebook_belongs_to_a_pipeline() -> None:
    assert {stage.notebook for stage in STAGES} == {path.stem for path in NOTEBOOKS}


@pytest.fixture(scope="module")
def executed(
    places: queue.Queue[Place], tmp_path_factory: pytest.TempPathFactory, session_cache: Path
) -> dict[str, Result]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASOC_STORE", str(tmp_path_factory.mktemp("executed") / "store"))
        patch.setenv("TASOC_CACHE", str(session_cache))
        settings.cache_clear()
        unit = open_unit("simulation.tiny")
        plans = [make_plan(pipeline, unit) for pipeline in load_pipelines().values()]
        # One after another, for a pipeline starts from the products of those before it.
        made = [result for plan in plans for result in run_plans([plan], places=places)]
        results = {result.run.stage.notebook: result for result in made}
        results["where"] = settings().store  # type: ignore[assignment]
    settings.cache_clear()
    return results


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_a_notebook_runs_on_its_defaults_in_a_minute(path: Path, executed: dict[str, Result]) -> None:
    result = executed[path.stem]
    assert (result.status, result.message) == ("made", "")
    assert result.seconds < MOST_SECONDS
    assert result.report is not None
    assert result.report.summary
    run: Run = result.run
    log = Folder(str(executed["where"])).get(f"{run.log}.ipynb")
    assert len(log) < MOST_BYTES
    cells = nbformat.reads(log.decode(), as_version=4).cells
    told = [output for cell in cells for output in cell.get("outputs", []) if output.output_type == "stream"]
    assert [output.text for output in told if output.name == "stderr"] == []
    figures = [
        output
        for cell in cells
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result" and "application/vnd.holoviews_exec.v0+json" in output.data
    ]
    assert len(figures) == sum("\npn." in f"\n{cell.source}" for cell in cells)
    assert all(len(figure.data["text/html"]) > LEAST_FIGURE for figure in figures)


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage.step], ids=lambda stage: stage.name)
def test_a_product_holds_only_names_of_the_vocabulary(stage: Stage, executed: dict[str, Result]) -> None:
    result = executed[stage.notebook]
    product = store.open_product(stage.name, id=result.run.id, store=str(executed["where"]))
    named = {str(name) for name in product.variables} - {str(name) for name in product.dims}
    assert named - set(vocabulary.VARIABLES) == set()
    assert product.attrs["provenance_id"] == result.run.id


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.timeout(600)
def test_runs_that_were_killed_end_with_the_products_of_one_that_was_not(
    executed: dict[str, Result], session_cache: Path, tmp_path: Path
) -> None:
    whole = complete(Path(str(executed["where"])))
    assert len(whole) == len(PRODUCTS)
    tally = kill_and_compare(tmp_path, session_cache, kills=2, in_write=1, options=UNTIL, whole=whole)
    assert tally.equal == tally.kills >= 2
    assert tally.in_write >= 1


def test_a_notebook_opened_by_hand_makes_the_inputs_that_are_missing(
    worker: Place, session_cache: Path, tmp_path: Path
) -> None:
    environment = {"TASOC_STORE": settings().store, "TASOC_CACHE": str(session_cache), "TASOC_DATABASE": ""}
    path, folder = FOLDER / "11_pointing.ipynb", Folder(str(tmp_path))
    made = run_notebook(path, {}, place=worker, folder=folder, log="pointing", environment=environment)
    assert made.product == "pointing"
    assert set(store.list_products()["product"]) == {"quality", "pointing"}


def test_a_sector_without_frames_is_a_clear_error(session_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Exception, match="no FITS file|no frame|0 frames") as caught:
        open_unit(str(tmp_path / "empty"))
    assert type(caught.value).__name__.endswith("Error")


def test_an_unknown_parameter_of_a_notebook_is_refused() -> None:
    plan = load_pipelines()["photometry"]
    with pytest.raises(NotebookError, match="unknown parameter 'treshold'; did you mean 'threshold'"):
        make_plan(plan, open_unit("simulation.tiny"), {"apertures": {"treshold": 1.0}})
