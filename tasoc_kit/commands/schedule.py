"""``tasoc job schedule``: jobs that come again, by the clock."""

from __future__ import annotations

from typing import Annotated

import typer

from tasoc_kit.commands.options import OPTIONS
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

__all__ = ["app"]

app = typer.Typer(help="Jobs that come again, by the clock.", **OPTIONS)

Number = Annotated[int, typer.Argument(help="Number of the schedule.")]


@app.command()
def add(
    cron: Annotated[str, typer.Argument(help="Minute, hour, day, month, weekday, in UTC.")],
    name: Name,
    title: Annotated[str | None, typer.Option(help="What people call it. Default: the name.")] = None,
    assign: Assign = None,
    queue: Queue = "default",
    priority: Priority = 0,
    tries: Tries = 3,
    hours: Hours = 24.0,
    memory: Memory = None,
) -> None:
    """
    Let a job be submitted whenever a cron expression says so, by whichever worker runs then.

    [bold]Examples[/]

    tasoc job schedule add "30 2 * * *" photometry --set sector=1 --set camera=1 --set ccd=2

    tasoc job schedule add "0 6 * * mon" 27_validation --title weekly --set cube=frames/
    """
    from tasoc_kit.commands.look import console
    from tasoc_kit.pipeline.job import check_request
    from tasoc_kit.records.schedules import add_schedule, list_schedules

    kind, arguments = read_arguments(name, assign or [])
    checked = check_request(kind, name, arguments)
    made = add_schedule(
        title or name,
        cron,
        checked.kind,
        checked.name,
        checked.arguments,
        unit=checked.unit,
        queue=queue,
        priority=priority,
        owner=local_user(),
        **limits(tries, hours, memory),
    )
    table = list_schedules().set_index("schedule")
    console.print(f"schedule {made}: the next job at {table.loc[made, 'next_at']:%Y-%m-%d %H:%M} UTC")


@app.command("list")
def list_() -> None:
    """
    List the schedules, the next one first.

    [bold]Example[/]

    tasoc job schedule list
    """
    import pandas as pd

    from tasoc_kit.commands.look import console, table
    from tasoc_kit.records.schedules import list_schedules

    found = list_schedules()
    if found.empty:
        console.print('No schedule. Add one: tasoc job schedule add "30 2 * * *" photometry --set sector=1')
        return
    rows = [
        (
            s.schedule,
            s.cron,
            f"{s.next_at:%Y-%m-%d %H:%M}" if s.enabled else "rests",
            s.request["name"],
            "" if pd.isna(s.last_job) else int(s.last_job),
            s.title,
        )
        for s in found.itertuples()
    ]
    table("schedules", ("schedule", "cron", "next (UTC)", "name", "last job", "title"), rows)


@app.command()
def disable(schedule: Number) -> None:
    """
    Let a schedule rest.

    [bold]Example[/]

    tasoc job schedule disable 3
    """
    from tasoc_kit.records.schedules import enable_schedule

    enable_schedule(schedule, enabled=False)
    say(f"schedule {schedule} rests. Go on: tasoc job schedule enable {schedule}")


@app.command()
def enable(schedule: Number) -> None:
    """
    Let a schedule go on from the next time that it names.

    [bold]Example[/]

    tasoc job schedule enable 3
    """
    from tasoc_kit.records.schedules import enable_schedule

    enable_schedule(schedule)
    say(f"schedule {schedule} goes on")


@app.command()
def remove(schedule: Number) -> None:
    """
    Take a schedule out; the jobs that it submitted stay.

    [bold]Example[/]

    tasoc job schedule remove 3
    """
    from tasoc_kit.records.schedules import remove_schedule

    remove_schedule(schedule)
    say(f"schedule {schedule} is removed")
