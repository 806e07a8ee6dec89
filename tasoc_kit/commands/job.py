"""``tasoc job``: put notebooks and pipelines into queues, and see what becomes of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tasoc_kit.commands.options import OPTIONS
from tasoc_kit.commands.schedule import app as schedules
from tasoc_kit.commands.submitting import (
    Assign,
    Hours,
    Memory,
    Name,
    Priority,
    Queue,
    Tries,
    limits,
    read_arguments,
    say,
)
from tasoc_kit.config import local_user
from tasoc_kit.errors import JobError

__all__ = ["app"]

app = typer.Typer(help="Notebooks and pipelines that workers run.", **OPTIONS)
app.add_typer(schedules, name="schedule")

Number = Annotated[int, typer.Argument(help="Number of the job.")]


@app.command()
def submit(
    name: Name,
    assign: Assign = None,
    queue: Queue = "default",
    priority: Priority = 0,
    tries: Tries = 3,
    hours: Hours = 24.0,
    memory: Memory = None,
    hold: Annotated[bool, typer.Option("--hold", help="Let it wait until it is released.")] = False,
) -> None:
    """
    Check a request and put it into a queue; an equal one that has not ended is not doubled.

    [bold]Examples[/]

    tasoc job submit photometry --set sector=1 --set camera=1 --set ccd=2

    tasoc job submit photometry --set cube=frames/ --set apertures.threshold=1.0 --queue urgent

    tasoc job submit 17_sky --set sector=1 --set camera=1 --set ccd=2 --memory 4GB
    """
    from tasoc_kit.commands.look import console
    from tasoc_kit.pipeline.job import request_job

    kind, arguments = read_arguments(name, assign or [])
    job = request_job(
        kind,
        name,
        arguments,
        queue=queue,
        priority=priority,
        submitter=local_user(),
        held=hold,
        **limits(tries, hours, memory),
    )
    console.print(f"job {job} is {'held' if hold else 'in the queue ' + queue}. Look: tasoc job show {job}")


@app.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option(help="Only these: ready, running, failed, removed …")] = None,
    queue: Annotated[str | None, typer.Option(help="Only of this queue.")] = None,
    unit: Annotated[str | None, typer.Option(help="Only of this unit, as s0001-1-2.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
) -> None:
    """
    List the newest jobs, and count them by queue and state.

    [bold]Examples[/]

    tasoc job list

    tasoc job list --state failed
    """
    from tasoc_kit.commands.look import console, table
    from tasoc_kit.errors import suggest
    from tasoc_kit.records import jobs

    if state is not None and state not in jobs.STATES:
        raise JobError(
            f"--state {state!r}: there is none{suggest(state, jobs.STATES)} Choose one of {jobs.STATES}."
        )
    found = jobs.list_jobs(state=state, queue=queue, unit=unit, limit=limit)
    if found.empty:
        console.print("No such job. Submit one: tasoc job submit photometry --set sector=1")
        return
    rows = [
        (r.job, r.queue, r.name, r.unit, r.state, r.tries, f"{r.submitted:%Y-%m-%d %H:%M}", _note(r))
        for r in found.itertuples()
    ]
    columns = ("job", "queue", "name", "unit", "state", "tries", "submitted (UTC)", "note")
    table("the newest jobs", columns, rows, ("job", "tries"))
    counts = [f"{r.queue}: {r.jobs} {r.state}" for r in jobs.jobs_in_queues().itertuples()]
    console.print(", ".join(counts))


def _note(job: Any) -> str:
    """Return how far a job is, or why it is as it is."""
    told = job.progress if job.state == "running" else {}
    if told:
        blocks = f", block {told['blocks_done']} of {told['blocks']}" if told.get("blocks") else ""
        return f"{told['notebook']}, {told['ended']} of {told['notebooks']} done{blocks}"
    return str(job.message)


@app.command()
def show(job: Number) -> None:
    """
    Show one job: what it was asked for, what it made, and everything that happened to it.

    [bold]Example[/]

    tasoc job show 12
    """
    from tasoc_kit.commands.look import console, table
    from tasoc_kit.records import jobs

    found = jobs.get_job(job)
    if found is None:
        raise JobError(
            f"job {job}: there is none of this number; expected one of 'tasoc job list'. Correct it."
        )
    shown = (
        "kind",
        "name",
        "unit",
        "state",
        "queue",
        "priority",
        "tries",
        "most_tries",
        "submitter",
        "message",
    )
    rows = [(name.replace("_", " "), found[name]) for name in shown if found[name] not in ("", None)]
    rows += [(name, value) for name, value in found["arguments"].items() if value not in (None, {})]
    holder = jobs.unit_holder(job)
    if holder is not None:
        rows.append(("waits for", f"job {holder}, which works on the same unit"))
    table(f"job {job}", ("what", "value"), rows)
    made = found["result"].get("products", [])
    if made:
        products = [(one["notebook"], one["state"], one["id"], one["seconds"], one["log"]) for one in made]
        table("what it made", ("notebook", "state", "id", "seconds", "log"), products, ("seconds",))
    events = [
        (f"{e.at:%Y-%m-%d %H:%M:%S}", e.before, e.after, e.actor, e.detail)
        for e in jobs.job_events(job).itertuples()
    ]
    table("what happened", ("at (UTC)", "from", "to", "by", "detail"), events)
    if found["state"] in ("failed", "cancelled"):
        console.print(f"Try it again: tasoc job retry {job}")


@app.command()
def cancel(job: Number) -> None:
    """
    Cancel a job; one that runs is ended by its worker, with all its processes.

    [bold]Example[/]

    tasoc job cancel 12
    """
    from tasoc_kit.records.jobs import cancel_job

    state = cancel_job(job, local_user())
    say(f"job {job} is {state}" if state == "cancelled" else f"job {job}: its worker is asked to end it")


@app.command()
def retry(job: Number) -> None:
    """
    Let a job that failed or was cancelled start again.

    [bold]Example[/]

    tasoc job retry 12
    """
    from tasoc_kit.records.jobs import retry_job

    retry_job(job, local_user())
    say(f"job {job} is ready")


@app.command()
def hold(job: Number) -> None:
    """
    Let a job wait until it is released.

    [bold]Example[/]

    tasoc job hold 12
    """
    from tasoc_kit.records.jobs import hold_job

    hold_job(job, local_user())
    say(f"job {job} is held. Let it go: tasoc job release {job}")


@app.command()
def release(job: Number) -> None:
    """
    Let a job that is held start.

    [bold]Example[/]

    tasoc job release 12
    """
    from tasoc_kit.records.jobs import release_job

    release_job(job, local_user())
    say(f"job {job} is ready")


@app.command()
def remove(job: Number) -> None:
    """
    Take a job out of the lists; what happened to it stays on record.

    [bold]Example[/]

    tasoc job remove 12
    """
    from tasoc_kit.records.jobs import remove_job

    remove_job(job, local_user())
    say(f"job {job} is removed")
