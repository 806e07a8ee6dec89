"""``tasoc run``: plan every unit, show what would be done or do it, and end with a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from tasoc_kit.commands.look import as_size, as_time, console, show_error, table
from tasoc_kit.commands.submitting import whole
from tasoc_kit.config import local_user
from tasoc_kit.errors import TasocKitError
from tasoc_kit.pipeline.bound import do_apart
from tasoc_kit.pipeline.discovery import find_units
from tasoc_kit.pipeline.estimate import estimate
from tasoc_kit.pipeline.executors import Result, run_plans
from tasoc_kit.pipeline.inputs import open_unit
from tasoc_kit.pipeline.job import request_job
from tasoc_kit.pipeline.places import start_places
from tasoc_kit.pipeline.plan import Pipeline, Run, check_start, cut_plan, make_plan, read_settings
from tasoc_kit.pipeline.preload import compute_here
from tasoc_kit.pipeline.schema import find_pipeline

__all__ = ["Options", "run_pipeline"]


@dataclass(frozen=True)
class Options:
    """What a person asked for."""

    pipeline: str
    cube: str | None = None
    sectors: Sequence[int] = ()
    cameras: Sequence[int] = ()
    ccds: Sequence[int] = ()
    catalogue: str | None = None
    first: str | None = None
    last: str | None = None
    assignments: Sequence[str] = ()
    config: Path | None = None
    dry_run: bool = False
    executor: str = "local"
    scheduler: str | None = None
    workers: int | None = None
    wait: bool = False
    timeout: float = 86_400.0
    to_queue: str | None = None

    @property
    def source(self) -> str:
        """Where the frames are: what was named; else the data folder, or the demonstration for nothing."""
        if self.cube:
            return self.cube
        return "ffi.local" if self.sectors or self.cameras or self.ccds else "simulation.demo"


class Bars:
    """Progress in a terminal: one line per unit; a plain line per notebook where there is no terminal."""

    def __init__(self, total: int, width: int = 0) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._total, self._width = total, width
        self._ended = 0
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def started(self, run: Run) -> None:
        """Show the notebook that runs."""
        label = f"{run.unit.name} {run.stage.notebook}"
        self._tasks[run.name] = self._bars.add_task(label, total=None, note="")

    def advanced(self, run: Run, done: int, total: int) -> None:
        """Show how many blocks are done."""
        self._bars.update(self._tasks[run.name], completed=done, total=total, note=f"{done}/{total} blocks")

    def ended(self, result: Result) -> None:
        """Say how a notebook ended, in a line that stays."""
        self._ended += 1
        task = self._tasks.pop(result.run.name, None)
        if task is not None:
            self._bars.remove_task(task)
        mark = {"made": "[green]✓[/]", "kept": "[dim]·[/]", "failed": "[red]✗[/]"}.get(
            result.status, "[yellow]–[/]"
        )
        took = as_time(result.seconds) if result.status in ("made", "failed") else result.status
        name = _shown_name(result.run)
        self._bars.console.print(f"{mark} {self._ended:>3}/{self._total}  {name:<{self._width}}  {took}")


def _shown_name(run: Run) -> str:
    return f"{run.unit.name}  {run.stage.notebook}"


def run_pipeline(options: Options) -> int:
    """Run a pipeline on its units and return the exit code: 0, or 1 where a run failed."""
    started = time.monotonic()
    compute_here()
    pipeline = find_pipeline(options.pipeline)
    stages = {stage.name for stage in pipeline.between(options.first, options.last)}
    chosen = read_settings(pipeline, options.assignments, options.config)
    if options.dry_run:
        plans, lost = _plan(options, pipeline, chosen)
        _show_estimate(options, pipeline, plans, stages)
        return 1 if lost else 0
    if options.to_queue is not None:
        return _submit(options, chosen)
    # What the steps import before the fork is shared with the notebooks that run them.
    for stage in pipeline.notebooks:
        stage.load_step()
    with start_places(options.executor, options.workers, options.scheduler, fork=True) as places:
        console.print(f"[bold]{pipeline.name}[/]: {pipeline.title}, from {options.source}")
        do_apart(lambda: _open_once(options))
        plans, lost = _plan(options, pipeline, chosen)
        if not plans:
            return 1
        check_start(plans, pipeline)
        wanted = [cut_plan(plan, stages) for plan in plans]
        names = [_shown_name(run) for plan in wanted for run in plan]
        with Bars(len(names), max(map(len, names), default=0)) as bars:
            results = run_plans(
                wanted, places=places, wait=options.wait, timeout=options.timeout, observer=bars
            )
    _show_results(results, lost, time.monotonic() - started)
    return 1 if lost or any(result.status in ("failed", "not run") for result in results) else 0


def _submit(options: Options, chosen: dict[str, dict[str, object]]) -> int:
    """Put a job for every unit into a queue and show their numbers."""
    given = {
        "--executor": options.executor != Options.executor,
        "--scheduler": options.scheduler is not None,
        "--workers": options.workers is not None,
        "--wait": options.wait,
        "--timeout": options.timeout != Options.timeout,
    }
    idle = [name for name, is_given in given.items() if is_given]
    if idle:
        raise TasocKitError(
            f"tasoc run: {', '.join(idle)} with --queue, which runs nothing here; expected --queue without. "
            "Tell those who run the jobs: tasoc worker --help."
        )
    rows = []
    for place in find_units(options.source, options.sectors, options.cameras, options.ccds):
        arguments = place | {
            "cube": whole(options.source),
            "catalogue": whole(options.catalogue),
            "first": options.first,
            "last": options.last,
            "settings": chosen,
        }
        job = request_job(
            "pipeline", options.pipeline, arguments, queue=options.to_queue, submitter=local_user()
        )
        rows.append((job, options.to_queue, *("" if n is None else n for n in place.values())))
    table(f"{options.pipeline}: jobs", ("job", "queue", *place), rows)
    console.print("Run them: tasoc worker --queue " + str(options.to_queue) + ". Look: tasoc job list")
    return 0


def _open_once(options: Options) -> None:
    """Do what frames need on first sight, so that it lies in the cache: simulate a sector, index headers."""
    for place in find_units(options.source, options.sectors, options.cameras, options.ccds):
        with suppress(TasocKitError):
            open_unit(options.source, catalogue=options.catalogue, **place)


def _plan(
    options: Options, pipeline: Pipeline, chosen: dict[str, dict[str, object]]
) -> tuple[list[list[Run]], int]:
    """Return the plan of every unit, and how many units could not be opened."""
    places = find_units(options.source, options.sectors, options.cameras, options.ccds)
    plans, lost = [], 0
    for place in places:
        try:
            unit = open_unit(options.source, catalogue=options.catalogue, **place)
        except TasocKitError as error:
            if len(places) == 1:
                raise
            show_error(str(error))
            lost += 1
        else:
            plans.append(make_plan(pipeline, unit, chosen, last=options.last))
    return plans, lost


def _show_estimate(options: Options, pipeline: Pipeline, plans: list[list[Run]], stages: set[str]) -> None:
    rows, read, seconds, disk = [], 0, 0.0, 0
    for plan in plans:
        for one in estimate([run for run in plan if run.stage.name in stages]):
            todo = not one.done
            rows.append(
                (
                    one.run.unit.name,
                    one.run.stage.notebook,
                    one.run.id,
                    "to do" if todo else "done",
                    as_size(one.read) if one.read else "",
                    as_time(one.seconds) if todo else "",
                    as_size(one.disk) if one.disk else "",
                )
            )
            read, seconds, disk = read + one.read, seconds + one.seconds, disk + one.disk
    columns = ("unit", "notebook", "id", "state", "reads", "time", "disk")
    table(f"{pipeline.name}: what would run, from {options.source}", columns, rows, columns[4:])
    todo = sum(row[3] == "to do" for row in rows)
    time_left = as_time(seconds / max(1, min(options.workers or 1, len(plans))))
    console.print(
        f"units {len(plans)}, notebooks {len(rows)}, to do {todo}: reads {as_size(read)}, "
        f"about {time_left}, {as_size(disk)} of disk. Nothing was run."
    )


def _show_results(results: list[Result], lost: int, seconds: float) -> None:
    rows = []
    for result in results:
        summary = dict(result.report.summary) if result.report else {}
        told = ", ".join(f"{k.replace('_', ' ')} {_short(v)}" for k, v in summary.items())
        run = result.run
        took = as_time(result.seconds) if result.seconds else ""
        rows.append((run.unit.name, run.stage.name, result.status, run.id, took, told))
    table("", ("unit", "step", "state", "id", "time", "result"), rows, ("time",))
    for result in results:
        if result.status == "failed":
            show_error(result.message)
    counts = {name: sum(r.status == name for r in results) for name in ("made", "kept", "failed", "not run")}
    counts["not opened"] = lost
    told = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    console.print(f"{told or 'nothing to do'} in {as_time(seconds)}. Look: tasoc dashboard, tasoc products")
    sys.stdout.flush()


def _short(value: object) -> str:
    if value is None:
        return "not known"
    return f"{value:.4g}" if isinstance(value, float) else str(value).removesuffix(".")
