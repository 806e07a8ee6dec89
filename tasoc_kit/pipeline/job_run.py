"""Run what one job asks for, in the process that was made for it, and say how it went."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasoc_kit.config import settings
from tasoc_kit.errors import CatalogError, NotebookError, StepParameterError, TasocKitError
from tasoc_kit.pipeline.executors import Result, Silent, kernel_environment, run_plans
from tasoc_kit.pipeline.inputs import open_unit
from tasoc_kit.pipeline.job import Request, check_request
from tasoc_kit.pipeline.notebook import run_notebook
from tasoc_kit.pipeline.noted_runs import note_end, note_start
from tasoc_kit.pipeline.plan import Run, check_start, cut_plan, make_plan
from tasoc_kit.pipeline.request import Outcome, Place
from tasoc_kit.pipeline.schema import find_notebook, find_pipeline, notebook_stage
from tasoc_kit.storage.folders import Folder

__all__ = ["Ending", "run_job"]

Tell = Callable[[Mapping[str, Any]], None]
"""Takes how far a job is."""

_FINAL = (CatalogError, NotebookError, StepParameterError)
"""What a request is refused with: another try would meet the same."""

_WRITER_SECONDS = "3600"
"""How long a job waits for another one that writes the same product."""


@dataclass(frozen=True)
class Ending:
    """How a job ended."""

    ok: bool
    message: str = ""
    again: bool = True
    """Whether another try may mend it."""
    result: dict[str, Any] = field(default_factory=dict)
    """What it made: ``products``, a list with notebook, product, unit, id, state and seconds each."""


def run_job(job: Mapping[str, Any], places: queue.Queue[Place], tell: Tell) -> Ending:
    """
    Run a job to its end; what goes wrong that a person can act on is in what is returned.

    Parameters
    ----------
    job
        Its row.
    places
        Where notebooks run.
    tell
        Told which notebook of how many runs, and how many of its blocks are done.
    """
    os.environ.setdefault("TASOC_WAIT", _WRITER_SECONDS)
    settings.cache_clear()
    try:
        request = check_request(job["kind"], job["name"], job["arguments"])
        plan = _plan(request) if request.kind == "pipeline" else []
    except TasocKitError as error:
        return Ending(False, str(error), again=not isinstance(error, _FINAL))
    try:
        if request.kind == "pipeline":
            return _run_pipeline(job, request, plan, places, tell)
        return _run_notebook(job, request, places, tell)
    except TasocKitError as error:
        return Ending(False, str(error))


def _plan(request: Request) -> list[Run]:
    """Return the runs of a pipeline, from its first stage to the last that is wanted."""
    given = request.arguments
    place = {name: given[name] for name in ("sector", "camera", "ccd", "catalogue")}
    unit = open_unit(given["cube"], **place)
    return make_plan(find_pipeline(request.name), unit, given["settings"], last=given["last"])


class _Watch(Silent):
    """Tell which notebook runs, and how far it is."""

    def __init__(self, total: int, tell: Tell) -> None:
        self.ended_runs, self.total, self.tell = 0, total, tell

    def started(self, run: Run) -> None:
        """Tell the name of the notebook."""
        self.advanced(run, 0, 0)

    def advanced(self, run: Run, done: int, total: int) -> None:
        """Tell how many of its blocks are done."""
        self.tell(_progress(run.stage.notebook, self.ended_runs, self.total, done, total))

    def ended(self, result: Result) -> None:
        """Count one more."""
        self.ended_runs += 1
        self.tell(_progress(result.run.stage.notebook, self.ended_runs, self.total, 0, 0))


def _progress(notebook: str, ended: int, notebooks: int, done: int, total: int) -> dict[str, Any]:
    """Return what a job tells of how far it is; blocks are those of the notebook that runs."""
    return {
        "notebook": notebook,
        "ended": ended,
        "notebooks": notebooks,
        "blocks_done": done,
        "blocks": total,
    }


def _run_pipeline(
    job: Mapping[str, Any], request: Request, plan: list[Run], places: queue.Queue[Place], tell: Tell
) -> Ending:
    pipeline = find_pipeline(request.name)
    check_start(plan, pipeline)
    first, last = request.arguments["first"], request.arguments["last"]
    wanted = cut_plan(plan, {stage.name for stage in pipeline.between(first, last)})
    results = run_plans(
        [wanted], places=places, wait=True, observer=_Watch(len(wanted), tell), job=job["job"]
    )
    made = {"products": [_row(result) for result in results]}
    failed = [result for result in results if result.status == "failed"]
    lacking = sum(result.status == "not run" for result in results)
    told = "; ".join(result.message for result in failed)
    if not failed and not lacking:
        return Ending(True, result=made)
    return Ending(
        False, f"{told} {lacking} notebooks after it were not run." if lacking else told, result=made
    )


def _row(result: Result) -> dict[str, Any]:
    run = result.run
    return {
        "notebook": run.stage.notebook,
        "product": run.stage.name if run.stage.step else "",
        "unit": run.unit.name,
        "id": run.id,
        "state": result.status,
        "seconds": round(result.seconds, 2),
        "log": f"{run.log}.ipynb",
    }


def _run_notebook(job: Mapping[str, Any], request: Request, places: queue.Queue[Place], tell: Tell) -> Ending:
    stage, folder = notebook_stage(request.name), Folder(settings().store)
    log = f"runs/{request.unit or 'jobs'}/{request.name}-job{job['job']}"
    pipeline = stage[0] if stage else ""
    number = note_start(pipeline, request.name, request.unit, request.arguments, job=job["job"])
    spent: list[Outcome] = []
    place, started = places.get(), time.monotonic()
    tell(_progress(request.name, 0, 1, 0, 0))
    try:
        report = run_notebook(
            find_notebook(request.name),
            request.arguments,
            place=place,
            folder=folder,
            log=log,
            step=stage[1].load_step() if stage else None,
            timeout=job["most_seconds"],
            environment=kernel_environment(),
            advanced=lambda done, total: tell(_progress(request.name, 0, 1, done, total)),
            ended=spent.append,
        )
    except TasocKitError as error:
        note_end(number, "failed", str(error), log=log, spent=spent)
        raise
    finally:
        places.put(place)
    note_end(number, "done", f"{folder.url}/{log}.ipynb", log=log, spent=spent, id=report.id)
    made = {
        "notebook": request.name,
        "product": report.product,
        "unit": report.unit,
        "id": report.id,
        "state": "made",
        "seconds": round(time.monotonic() - started, 2),
        "log": f"{log}.ipynb",
        "summary": dict(report.summary),
    }
    return Ending(True, result={"products": [made]})
