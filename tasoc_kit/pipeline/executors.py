"""Run plans: doit walks the graph, worker processes or a Dask cluster run the notebooks.

The graph and its parallel walk are doit's; its memory is thrown away with each run, because the
store alone knows what is done. A failed notebook stops what depends on it and nothing else. A
unit is held by one run at a time.
"""

from __future__ import annotations

import os
import queue
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from doit.cmd_base import TaskLoader2
from doit.doit_cmd import DoitMain
from doit.exceptions import TaskFailed, UnmetDependency
from doit.reporter import ZeroReporter
from doit.task import Task, dict_to_task

from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError, TasocKitError
from tasoc_kit.pipeline.notebook import run_notebook
from tasoc_kit.pipeline.noted_runs import note_end, note_start
from tasoc_kit.pipeline.places import start_places
from tasoc_kit.pipeline.plan import Run
from tasoc_kit.pipeline.report import Report
from tasoc_kit.pipeline.request import Outcome, Place
from tasoc_kit.pipeline.scratch import scratch_folder
from tasoc_kit.storage.folders import Folder
from tasoc_kit.storage.locks import hold

__all__ = ["Observer", "Result", "Silent", "kernel_environment", "run_plans"]


@dataclass(frozen=True)
class Result:
    """What became of one run."""

    run: Run
    status: str
    """``kept`` (it was done), ``made``, ``failed``, or ``not run`` because an input is missing."""
    seconds: float = 0.0
    message: str = ""
    report: Report | None = None


class Observer(Protocol):
    """Who is told how far the runs are."""

    def started(self, run: Run) -> None:
        """Take note that a notebook has started."""

    def advanced(self, run: Run, done: int, total: int) -> None:
        """Take note that a notebook has finished some of its blocks."""

    def ended(self, result: Result) -> None:
        """Take note of how a run ended."""


class Silent:
    """An observer that keeps what it sees to itself."""

    def started(self, run: Run) -> None:
        """Do nothing."""

    def advanced(self, run: Run, done: int, total: int) -> None:
        """Do nothing."""

    def ended(self, result: Result) -> None:
        """Do nothing."""


class _Failures(ZeroReporter):  # type: ignore[misc]
    """Keep what doit was told of tasks that failed in a way that no error of ours describes."""

    def __init__(self) -> None:
        super().__init__(sys.stderr, {})
        self.messages: dict[str, str] = {}

    def add_failure(self, task: Task, fail: Any) -> None:
        """Keep the last line of the failure of a task; a task whose input is missing has none."""
        if not isinstance(fail, UnmetDependency):
            self.messages[task.name] = str(fail.get_msg()).strip().splitlines()[-1]


class _Loader(TaskLoader2):  # type: ignore[misc]
    """Hand doit the tasks, and a memory that ends with the run."""

    def __init__(self, tasks: list[Task], memory: Path, number: int) -> None:
        super().__init__()
        self.tasks, self.memory, self.number = tasks, memory, number
        self.failures = _Failures()

    def load_doit_config(self) -> dict[str, Any]:
        """Return how doit is to walk the graph."""
        parallel = {"num_process": self.number, "par_type": "thread"} if self.number > 1 else {}
        return parallel | {
            "continue": True,
            "dep_file": str(self.memory / "doit"),
            "backend": "json",
            "reporter": self.failures,
            "verbosity": 0,
        }

    def load_tasks(self, cmd: Any, pos_args: Any) -> list[Task]:
        """Return the tasks."""
        return self.tasks


class _Execution:
    """The runs of one call, and what became of them."""

    def __init__(
        self,
        places: queue.Queue[Place],
        environment: Mapping[str, str],
        timeout: float,
        observer: Observer,
        job: int | None,
    ) -> None:
        self.places, self.environment = places, dict(environment)
        self.timeout, self.observer, self.job = timeout, observer, job
        self.folder = Folder(settings().store)
        self.results: dict[str, Result] = {}

    def end(self, result: Result) -> None:
        self.results[result.run.name] = result
        self.observer.ended(result)

    def is_done(self, run: Run) -> bool:
        """Tell doit whether there is anything to do; asked when the turn of the run has come."""
        done = run.done()
        if done:
            self.end(Result(run, "kept"))
        return done

    def execute(self, run: Run) -> TaskFailed | None:
        """Run one notebook and keep how it ended, in the database too."""
        self.observer.started(run)
        started = time.monotonic()
        unit, notebook = run.unit.name, run.stage.notebook
        number = note_start(run.pipeline, notebook, unit, run.parameters, id=run.id, job=self.job)
        spent: list[Outcome] = []
        try:
            report = self._run(run, spent.append)
        except TasocKitError as error:
            note_end(number, "failed", str(error), log=run.log, spent=spent)
            self.end(Result(run, "failed", time.monotonic() - started, str(error)))
            return TaskFailed(str(error))
        note_end(number, "done", f"{self.folder.url}/{run.log}.ipynb", log=run.log, spent=spent)
        self.end(Result(run, "made", time.monotonic() - started, report=report))
        return None

    def _run(self, run: Run, ended: Callable[[Outcome], None]) -> Report:
        place = self.places.get()
        try:
            return run_notebook(
                run.stage.path,
                run.parameters,
                place=place,
                folder=self.folder,
                log=run.log,
                step=run.stage.load_step(),
                expected=run.id if run.stage.step else None,
                timeout=self.timeout,
                environment=self.environment,
                advanced=lambda done, total: self.observer.advanced(run, done, total),
                ended=ended,
            )
        finally:
            self.places.put(place)


def _tasks(execution: _Execution, plan: Sequence[Run]) -> list[Task]:
    """Return the doit tasks of one unit; a run waits for those runs that make its inputs."""
    names = {run.stage.name: run.name for run in plan}
    return [
        dict_to_task(
            {
                "name": run.name,
                "actions": [(execution.execute, (run,))],
                "uptodate": [(lambda task, values, run=run: execution.is_done(run),)],
                "task_dep": [names[made] for made in run.stage.products if made in names],
                "io": {"capture": False},
            }
        )
        for run in plan
    ]


def run_plans(
    plans: Iterable[Sequence[Run]],
    *,
    places: queue.Queue[Place] | None = None,
    wait: bool = False,
    timeout: float = 86_400.0,
    observer: Observer | None = None,
    job: int | None = None,
) -> list[Result]:
    """
    Run what is not done of some units, and return what became of every run.

    Parameters
    ----------
    plans
        The runs of each unit, in order.
    places
        Where they run, from ``start_places``; by default one process on this machine.
    wait
        Wait for another run of a unit to end; else that unit fails, naming the holder.
    timeout
        Seconds that one cell may take.
    observer
        Told what starts, advances and ends.
    job
        The job that asks for it, to be noted with every run.
    """
    units = [list(plan) for plan in plans if plan]
    observer = observer or Silent()
    with ExitStack() as stack:
        held, refused = _hold_units(stack, units, wait)
        for result in refused:
            observer.ended(result)
        places = places or stack.enter_context(start_places())
        execution = _Execution(places, kernel_environment(places.qsize()), timeout, observer, job)
        memory = stack.enter_context(scratch_folder())
        tasks = [task for plan in held for task in _tasks(execution, plan)]
        loader = _Loader(tasks, memory, places.qsize())
        if tasks:
            DoitMain(loader, config_filenames=()).run(["run"])
    for run in (run for plan in held for run in plan):
        if run.name not in execution.results:
            problem = loader.failures.messages.get(run.name, "")
            status, message = ("failed", problem) if problem else ("not run", "an input of it was not made")
            execution.end(Result(run, status, message=message))
    return refused + [execution.results[run.name] for plan in held for run in plan]


def _hold_units(stack: ExitStack, plans: list[list[Run]], wait: bool) -> tuple[list[list[Run]], list[Result]]:
    """Hold every unit for this run; those that another run holds are refused with its name."""
    held, refused = [], []
    for plan in plans:
        first = plan[0]
        name = f"runs/{first.pipeline}/{first.unit.name}"
        try:
            stack.enter_context(hold(settings().store, name, wait=float("inf") if wait else 0.0))
        except StoreError as error:
            refused += [Result(run, "failed", message=str(error)) for run in plan[:1]]
            refused += [Result(run, "not run", message="another run holds the unit") for run in plan[1:]]
        else:
            held.append(plan)
    return held, refused


def kernel_environment(places: int = 1) -> dict[str, str]:
    """Return what a kernel must know that is not in its parameters; no number depends on it."""
    chosen = settings()

    def whole(place: object) -> str:
        return str(place) if "://" in str(place) else os.path.abspath(str(place))

    return {
        "TASOC_STORE": whole(chosen.store),
        "TASOC_SHARED_STORES": ",".join(whole(url) for url in chosen.shared_stores),
        "TASOC_DATABASE": chosen.database,
        "TASOC_DATA": whole(chosen.data),
        "TASOC_CACHE": whole(chosen.cache),
        "TASOC_CATALOGS": ",".join(map(whole, chosen.catalogs)),
        "TASOC_NOTEBOOKS": ",".join(map(whole, chosen.notebooks)),
        "TASOC_THREADS": str(max(1, chosen.threads // places)),
        "TASOC_PATIENCE": str(chosen.patience),
    }
