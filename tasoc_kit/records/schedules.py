"""Jobs that come again: a cron expression in UTC, and what it submits.

Whichever worker looks first after the time submits, once, and sets the next time in the same
transaction. Times that passed while no worker ran are made up for once, not one by one.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pandas as pd
import sqlalchemy as sa
from cronsim import CronSim, CronSimError
from sqlalchemy.orm import Session

from tasoc_kit.errors import JobError
from tasoc_kit.records.engine import exists, frame, rows, writing
from tasoc_kit.records.jobs import check_request_values, database_time, enter_job
from tasoc_kit.records.tables import Schedule

__all__ = [
    "add_schedule",
    "enable_schedule",
    "list_schedules",
    "next_time",
    "remove_schedule",
    "submit_due",
]


def next_time(cron: str, after: datetime.datetime) -> datetime.datetime:
    """
    Return the first time after another one that an expression names, in UTC.

    Raises
    ------
    JobError
        If it is no cron expression, or no time ever comes.
    """
    try:
        return next(CronSim(cron, after.astimezone(datetime.UTC)))
    except (CronSimError, StopIteration):
        raise _no_cron(cron) from None


def _no_cron(cron: str) -> JobError:
    return JobError(
        f"schedule: {cron!r} is no cron expression; expected minute, hour, day, month, weekday in UTC, "
        "as '30 2 * * *' for half past two each night. Correct it."
    )


def add_schedule(
    title: str,
    cron: str,
    kind: str,
    name: str,
    arguments: Mapping[str, Any],
    *,
    queue: str = "default",
    priority: int = 0,
    unit: str = "",
    owner: str = "",
    most_tries: int = 3,
    most_seconds: float = 86_400.0,
    most_bytes: int = 0,
    url: str | None = None,
) -> int:
    """
    Let a job be submitted whenever a cron expression says so, and return the number of the schedule.

    Parameters
    ----------
    title
        What people call it.
    cron
        Minute, hour, day of the month, month and weekday, in UTC.
    owner
        Who asks; the submitter of its jobs.
    kind, name, arguments, queue, priority, unit, most_tries, most_seconds, most_bytes
        As ``submit_job`` takes them. While an equal job has not ended, no other is submitted.

    Raises
    ------
    JobError
        If the expression is none, or the job could not be submitted.
    """
    request = {
        "kind": kind,
        "name": name,
        "arguments": dict(arguments),
        "queue": queue,
        "priority": priority,
        "unit": unit,
        "submitter": owner,
        "most_tries": most_tries,
        "most_seconds": most_seconds,
        "most_bytes": most_bytes,
    }
    check_request_values(request)
    if len(cron.split()) != 5:
        # The library takes six for seconds first, which nobody means here.
        raise _no_cron(cron)
    if not 0 < len(title) <= 96 or "\0" in title:
        raise JobError(f"schedule: title {title[:99]!r}; expected 1 to 96 characters. Choose another one.")
    with writing(url) as session:
        now = database_time(session)
        made = Schedule(
            title=title,
            cron=cron,
            request=request,
            enabled=True,
            next_at=next_time(cron, now),
            last_job=None,
            owner=owner,
            made=now,
        )
        session.add(made)
        session.flush()
        return made.schedule


def list_schedules(*, url: str | None = None) -> pd.DataFrame:
    """Return the schedules, one row each, the next one first."""
    statement = sa.select(*Schedule.__table__.columns).order_by(Schedule.next_at, Schedule.schedule)
    return frame(Schedule, statement, url)


def _found(session: Session, schedule: int) -> Schedule:
    found = session.get(Schedule, schedule, with_for_update=True) if 0 < schedule < 2**31 else None
    if found is None:
        raise JobError(
            f"schedule {schedule}: there is none of this number; expected one of 'tasoc job schedule list'. "
            "Correct it."
        )
    return found


def enable_schedule(schedule: int, *, enabled: bool = True, url: str | None = None) -> None:
    """Let a schedule rest, or go on from the next time that it names; raise JobError where there is none."""
    with writing(url) as session:
        found = _found(session, schedule)
        if enabled and not found.enabled:
            found.next_at = next_time(found.cron, database_time(session))
        found.enabled = enabled


def remove_schedule(schedule: int, *, url: str | None = None) -> None:
    """Take a schedule out; the jobs that it submitted stay. Raise JobError where there is none."""
    with writing(url) as session:
        session.delete(_found(session, schedule))


def submit_due(*, url: str | None = None) -> list[int]:
    """Submit the jobs whose time has come, and return their numbers."""
    if not exists(url) or not rows(sa.select(Schedule.schedule).where(Schedule.enabled).limit(1), url):
        return []
    with writing(url) as session:
        now = database_time(session)
        due = sa.select(Schedule).where(Schedule.enabled, Schedule.next_at <= now)
        submitted = []
        for schedule in session.scalars(due.order_by(Schedule.schedule).with_for_update(skip_locked=True)):
            schedule.last_job = enter_job(session, schedule.request, schedule=schedule.schedule)
            schedule.next_at = next_time(schedule.cron, now)
            submitted.append(schedule.last_job)
        return submitted
