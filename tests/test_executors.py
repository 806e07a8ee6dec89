"""Plans, run on units: what is done stays, what fails stops nothing else, one run holds a unit."""

from __future__ import annotations

import os
import queue
import shutil
from pathlib import Path

import pytest
import xarray as xr
from tiny_pipeline import make_unit, write_notebook

from tasoc_kit import database, store
from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.executors import Result, run_plans
from tasoc_kit.pipeline.places import start_places
from tasoc_kit.pipeline.plan import Pipeline, Run, make_plan
from tasoc_kit.pipeline.request import Place
from tasoc_kit.storage.locks import hold


def statuses(results: list[Result]) -> dict[str, str]:
    return {result.run.name: result.status for result in results}


def open_made(run: Run) -> xr.Dataset:
    return store.open_product(run.stage.name, id=run.id)


def test_products_are_made_once_and_kept_after(
    pipeline: Pipeline, places: queue.Queue[Place], tmp_path: Path
) -> None:
    plan = make_plan(pipeline, make_unit(tmp_path))
    results = run_plans([plan], places=places)
    assert statuses(results) == {"s0001-1-2/doubled": "made", "s0001-1-2/summed": "made"}
    assert float(open_made(plan[1])["flux"]) == 12.0
    assert results[1].report is not None
    assert results[1].report.summary == {"total": 12.0}
    assert set(statuses(run_plans([plan], places=places)).values()) == {"kept"}


def test_another_setting_makes_a_new_product_and_keeps_the_old_one(
    pipeline: Pipeline, places: queue.Queue[Place], tmp_path: Path
) -> None:
    unit = make_unit(tmp_path)
    first = make_plan(pipeline, unit, last="doubled")
    second = make_plan(pipeline, unit, {"doubled": {"factor": 5.0}}, last="doubled")
    run_plans([first], places=places)
    assert set(statuses(run_plans([second], places=places)).values()) == {"made"}
    assert float(open_made(first[0])["flux"].sum()) == 12.0
    assert float(open_made(second[0])["flux"].sum()) == 30.0


def test_a_failed_unit_stops_what_depends_on_it_and_nothing_else(
    pipeline: Pipeline, places: queue.Queue[Place], tmp_path: Path
) -> None:
    broken, whole = make_unit(tmp_path, ccd=1), make_unit(tmp_path, ccd=2)
    plans = [make_plan(pipeline, broken), make_plan(pipeline, whole)]
    shutil.rmtree(broken.source)
    results = {result.run.name: result for result in run_plans(plans, places=places)}
    assert results["s0001-1-1/doubled"].status == "failed"
    assert results["s0001-1-1/doubled"].message.startswith("10_doubled, cell 3: ")
    assert results["s0001-1-1/summed"].status == "not run"
    assert results["s0001-1-2/summed"].status == "made"
    runs = database.list_runs()
    assert sorted(runs["status"]) == ["done", "done", "failed"]


def test_a_second_run_of_a_unit_names_the_one_that_holds_it(
    pipeline: Pipeline, places: queue.Queue[Place], tmp_path: Path
) -> None:
    plans = [make_plan(pipeline, make_unit(tmp_path, ccd=ccd)) for ccd in (1, 2)]
    with hold(settings().store, "runs/tiny/s0001-1-1"):
        results = run_plans(plans, places=places)
    assert statuses(results) == {
        "s0001-1-1/doubled": "failed",
        "s0001-1-1/summed": "not run",
        "s0001-1-2/doubled": "made",
        "s0001-1-2/summed": "made",
    }
    held = next(result for result in results if result.status == "failed")
    assert f"process {os.getpid()} on" in held.message


def test_a_product_of_another_id_than_planned_is_an_error(
    pipeline: Pipeline, places: queue.Queue[Place], tmp_path: Path
) -> None:
    plan = make_plan(pipeline, make_unit(tmp_path), last="doubled")
    path = plan[0].stage.path
    declare = "from tasoc_kit.pipeline.report import Report\nReport('doubled', 's0001-1-2', 'f' * 12)"
    write_notebook(path, "cube: str = ''\nids: dict[str, str] = {}\nfactor: float = 2.0", declare)
    (result,) = run_plans([plan], places=places)
    assert result.status == "failed"
    assert f"expected {plan[0].id}" in result.message


def test_an_executor_that_does_not_exist_is_refused() -> None:
    with pytest.raises(NotebookError, match="expected 'local', or 'dask'"), start_places("slurm"):
        pass
    with (
        pytest.raises(NotebookError, match="no Dask scheduler answers|--scheduler"),
        start_places("dask", scheduler="nonsense"),
    ):
        pass
