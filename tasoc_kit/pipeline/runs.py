"""A pipeline on every unit of a source, from Python: what ``tasoc run`` does, as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tasoc_kit.pipeline.discovery import find_units
from tasoc_kit.pipeline.executors import Result, Silent, run_plans
from tasoc_kit.pipeline.inputs import open_unit
from tasoc_kit.pipeline.places import start_places
from tasoc_kit.pipeline.plan import Run, check_start, find_pipeline, make_plan
from tasoc_kit.pipeline.progress import progress

__all__ = ["run_pipeline"]

COLUMNS = ["unit", "notebook", "state", "id", "start", "seconds", "message", "log"]


class _Watch(Silent):
    """Note when each notebook starts, and tell how many of all have ended."""

    def __init__(self, total: int) -> None:
        self.begun, self.starts = time.monotonic(), dict[str, float]()
        self.done, self.total, self.tell = 0, total, progress("notebooks")

    def started(self, run: Run) -> None:
        """Note the time, in seconds since the first."""
        self.starts[run.name] = time.monotonic() - self.begun

    def ended(self, result: Result) -> None:
        """Count one more."""
        self.done += 1
        self.tell(self.done, self.total)


def run_pipeline(
    cube: str,
    *,
    sectors: Sequence[int] = (),
    cameras: Sequence[int] = (),
    ccds: Sequence[int] = (),
    catalogue: str | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    last: str | None = None,
    pipeline: str = "photometry",
    scheduler: str | None = None,
    workers: int | None = None,
) -> pd.DataFrame:
    """
    Run the notebooks of a pipeline on every unit of a source; what the store has already is kept.

    Parameters
    ----------
    cube
        Catalog entry, folder, file or URL of the frames.
    sectors, cameras, ccds
        Which units; empty for all that the source holds.
    catalogue
        Star catalogue; by default the one that serves the frames.
    changes
        Settings by stage that differ from the defaults, as ``{"apertures": {"mode": "tile"}}``.
    last
        The last stage that is wanted; by default all.
    pipeline
        Name of the pipeline.
    scheduler
        Address of a Dask scheduler; by default notebooks run in processes of this machine.
    workers
        Notebooks that run at the same time; by default one, or one for each worker of the cluster.

    Returns
    -------
    One row a notebook: unit, notebook, state (``made``, ``kept``, ``failed`` or ``not run``), id of its
    product, start (s since the run began), seconds, the message of what failed, and the key of its executed
    copy in the store.

    Raises
    ------
    NotebookError, StepParameterError
        If a setting does not exist or does not fit, or the cluster is of no use, before anything runs.
    """
    found = find_pipeline(pipeline)
    units = [
        open_unit(cube, catalogue=catalogue, **place) for place in find_units(cube, sectors, cameras, ccds)
    ]
    plans = [make_plan(found, unit, changes, last=last) for unit in units]
    check_start(plans, found)
    with start_places("dask" if scheduler else "local", workers, scheduler) as places:
        watch = _Watch(sum(map(len, plans)))
        results = run_plans(plans, places=places, observer=watch)
    return pd.DataFrame([_row(result, watch.starts) for result in results], columns=COLUMNS)


def _row(result: Result, starts: Mapping[str, float]) -> tuple[Any, ...]:
    run = result.run
    start = round(starts.get(run.name, float("nan")), 2)
    told = (result.status, run.id, start, round(result.seconds, 2), result.message)
    return (run.unit.name, run.stage.notebook, *told, f"{run.log}.ipynb")
