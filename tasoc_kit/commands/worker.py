"""``tasoc worker``: take jobs from queues and run them, until told to end."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from tasoc_kit.commands.submitting import read_bytes

__all__ = ["worker"]


def worker(
    queue: Annotated[str, typer.Option(help="Queue, or several: photometry or urgent,default.")] = "default",
    max_jobs: Annotated[int | None, typer.Option(min=1, help="Take so many jobs, and end.")] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0, help="Take no job after so many hours, and end.")
    ] = None,
    slots: Annotated[int, typer.Option(min=1, max=256, help="Jobs at the same time.")] = 1,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory of one job, as 4GB; it is killed over that. No job that asks for more is taken."
        ),
    ] = None,
    lease: Annotated[
        float,
        typer.Option(
            min=1, max=86_400, help="Seconds after which another worker takes over from one that is dead."
        ),
    ] = 60.0,
) -> None:
    """
    Take jobs from queues and run them; Ctrl-C or SIGTERM ends it after what runs, twice at once.

    Workers of one database share its jobs, on any number of machines that see the same store. What a
    worker that is killed had is run again by another one; what the store has already is kept.

    [bold]Examples[/]

    tasoc worker

    tasoc worker --queue urgent,default --slots 2 --memory 4GB

    tasoc worker --max-jobs 100 --max-hours 23.5            in a batch job of a cluster
    """
    from tasoc_kit.commands.look import console
    from tasoc_kit.pipeline.job_worker import JobWorker, WorkerOptions

    options = WorkerOptions(
        queues=[part.strip() for part in queue.split(",") if part.strip()],
        slots=slots,
        most_jobs=math.inf if max_jobs is None else max_jobs,
        most_seconds=math.inf if max_hours is None else max_hours * 3600,
        most_bytes=read_bytes("--memory", memory),
        lease_seconds=lease,
    )
    JobWorker(options, say=lambda line: console.print(line, markup=False, soft_wrap=True)).run()
