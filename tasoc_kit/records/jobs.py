"""The queue: what somebody wants run, in which state it is, and every change of it.

A job is ``held`` or ``ready`` until a worker claims it (see ``leases``); then it is ``claimed``,
``running``, and in the end ``done``, ``failed`` or ``cancelled``. One that is ``removed`` keeps its
row. Every change writes an event in its own transaction, and all times are those of the clock of
the database, so that machines whose clocks differ agree.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from tasoc_kit.errors import JobError
from tasoc_kit.records.engine import frame, rows, writing
from tasoc_kit.records.tables import Job, JobEvent, in_utc

__all__ = [
    "ACTIVE",
    "CHANGES",
    "KINDS",
    "OPEN",
    "STATES",
    "cancel_job",
    "change_job",
    "change_state",
    "check_queue",
    "check_request_values",
    "jobs_in_queues",
    "database_time",
    "enter_job",
    "get_job",
    "hold_job",
    "job_events",
    "list_jobs",
    "release_job",
    "remove_job",
    "retry_job",
    "submit_job",
    "take_turns",
    "unit_holder",
]

KINDS = ("notebook", "pipeline")
ACTIVE = ("claimed", "running")
OPEN = ("held", "ready", *ACTIVE)
STATES = (*OPEN, "done", "failed", "cancelled", "removed")
CHANGES = {
    "cancel": OPEN,
    "hold": ("ready",),
    "release": ("held",),
    "retry": ("failed", "cancelled"),
    "remove": ("held", "ready", "done", "failed", "cancelled"),
}
"""What a person may do to a job, and the states in which that makes sense."""

_QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LARGEST = 2**31 - 1
"""Largest number of a job, a priority or a page."""


def database_time(session: Session) -> datetime.datetime:
    """Return the time of the clock that all workers share: that of the database, in UTC."""
    if session.get_bind().dialect.name == "postgresql":
        told: datetime.datetime = session.scalars(sa.select(sa.func.clock_timestamp())).one()
        return told.astimezone(datetime.UTC)
    text = session.scalars(sa.text("SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')")).one()
    return datetime.datetime.fromisoformat(text)


def check_queue(queue: str) -> str:
    """Return the name of a queue, or raise JobError where it is not a plain word."""
    if not isinstance(queue, str) or not _QUEUE.fullmatch(queue):
        raise JobError(
            f"jobs: queue {queue!r} is not usable; expected letters, digits, '.', '_' and '-', at most 64. "
            "Choose another name."
        )
    return queue


def submit_job(
    kind: str,
    name: str,
    arguments: Mapping[str, Any],
    *,
    queue: str = "default",
    priority: int = 0,
    unit: str = "",
    submitter: str = "",
    held: bool = False,
    not_before: datetime.datetime | None = None,
    most_tries: int = 3,
    most_seconds: float = 86_400.0,
    most_bytes: int = 0,
    url: str | None = None,
) -> int:
    """
    Put a job into a queue and return its number.

    An equal request (kind, name and arguments) that has not ended is returned, not doubled. What is
    asked for is not looked at here: ``pipeline.job`` does that.

    Parameters
    ----------
    kind, name, arguments
        ``notebook`` or ``pipeline``, which one, and with what; the arguments are JSON.
    queue, priority
        Which workers take it, and how early: the higher the sooner.
    unit
        The unit that it works on. Two jobs of one name and unit never run at the same time.
    submitter
        Who asks.
    held
        Let it wait until it is released.
    not_before
        Time before which it does not start, in UTC where it has no zone; by default at once.
    most_tries
        How often it may be started.
    most_seconds, most_bytes
        Wall time and resident memory that it may take; 0 bytes for what its worker gives.

    Raises
    ------
    JobError
        If the kind, the queue or a limit is of no use.
    DatabaseError
        If the database cannot be written.
    """
    values = {
        "kind": kind,
        "name": name,
        "arguments": dict(arguments),
        "queue": queue,
        "priority": priority,
        "unit": unit,
        "submitter": submitter,
        "most_tries": most_tries,
        "most_seconds": most_seconds,
        "most_bytes": most_bytes,
    }
    check_request_values(values)
    with writing(url) as session:
        return enter_job(session, values, held=held, not_before=not_before)


def check_request_values(values: Mapping[str, Any]) -> None:
    """Raise JobError for what no worker could keep to."""
    check_queue(values["queue"])
    bounds = {"priority": (-_LARGEST, _LARGEST), "most_tries": (1, 100), "most_bytes": (0, 2**62)}
    wrong = [name for name, (least, most) in bounds.items() if not least <= values[name] <= most]
    if not 0 < values["most_seconds"] < math.inf:
        wrong.append("most_seconds")
    if values["kind"] not in KINDS:
        wrong.insert(0, "kind")
    if wrong:
        raise JobError(
            f"jobs: {wrong[0]}={values[wrong[0]]!r}; expected a kind of {KINDS}, 1 to 100 tries, more than "
            "0 seconds and no negative bytes. Correct it."
        )


def enter_job(
    session: Session,
    values: Mapping[str, Any],
    *,
    held: bool = False,
    not_before: datetime.datetime | None = None,
    schedule: int | None = None,
) -> int:
    """Enter a checked job in a transaction that is open, or return the equal one that has not ended."""
    asked = [values["kind"], values["name"], values["arguments"]]
    fingerprint = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    take_turns(session, fingerprint)
    equal = _open_equal(session, fingerprint)
    if equal is not None:
        return equal
    now = database_time(session)
    job = Job(
        **values,
        fingerprint=fingerprint,
        state="",
        not_before=now if not_before is None else in_utc(not_before),
        tries=0,
        worker="",
        lease_until=None,
        cancelled=False,
        progress={},
        result={},
        message="",
        schedule=schedule,
        submitted=now,
        started=None,
        finished=None,
    )
    session.add(job)
    session.flush()
    change_state(session, job, "held" if held else "ready", values["submitter"], now=now)
    return job.job


def take_turns(session: Session, words: str) -> None:
    """Wait until no other transaction has these words; SQLite has one writer anyhow."""
    if session.get_bind().dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], signed=True)
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def _open_equal(session: Session, fingerprint: str) -> int | None:
    equal = sa.select(Job.job).where(Job.fingerprint == fingerprint, Job.state.in_(OPEN))
    return session.scalars(equal.order_by(Job.job).limit(1)).first()


def change_state(
    session: Session,
    job: Job,
    after: str,
    actor: str,
    detail: str = "",
    *,
    now: datetime.datetime | None = None,
) -> None:
    """Give a job that this transaction holds another state, and write the event."""
    at = now or database_time(session)
    session.add(JobEvent(job=job.job, before=job.state, after=after, at=at, actor=actor[:255], detail=detail))
    job.state = after


def get_job(job: int, *, url: str | None = None) -> dict[str, Any] | None:
    """Return a job, its times in UTC; None where there is none of this number."""
    if not 0 < job <= _LARGEST:
        return None
    found = rows(sa.select(*Job.__table__.columns).where(Job.job == job), url)
    return dict(found[0]) if found else None


def list_jobs(
    *,
    state: str | None = None,
    queue: str | None = None,
    unit: str | None = None,
    submitter: str | None = None,
    after: int | None = None,
    limit: int = 1000,
    url: str | None = None,
) -> pd.DataFrame:
    """
    Return the newest jobs first, one row each.

    Parameters
    ----------
    state, queue, unit, submitter
        Only these; jobs that were removed are shown only where ``state`` is ``removed``.
    after
        Only jobs that come after this one in the list: those with a smaller number.
    limit
        How many at most.
    """
    statement = sa.select(*Job.__table__.columns).order_by(Job.job.desc()).limit(min(limit, _LARGEST))
    statement = statement.where(Job.state == state) if state else statement.where(Job.state != "removed")
    for column, value in ((Job.queue, queue), (Job.unit, unit), (Job.submitter, submitter)):
        if value is not None:
            # PostgreSQL has no text with this character, so no job has it either.
            statement = statement.where(column == value if "\0" not in value else sa.false())
    if after is not None:
        statement = statement.where(Job.job < min(max(after, 0), _LARGEST))
    return frame(Job, statement, url)


def job_events(job: int, *, url: str | None = None) -> pd.DataFrame:
    """Return every change of one job, the first one first: before, after, at, actor, detail."""
    statement = sa.select(*JobEvent.__table__.columns).order_by(JobEvent.event)
    return frame(JobEvent, statement.where(JobEvent.job == min(max(job, 0), _LARGEST)), url)


def jobs_in_queues(*, url: str | None = None) -> pd.DataFrame:
    """Return how many jobs there are of each queue and state: queue, state, jobs."""
    number = sa.func.count().label("jobs")
    statement = sa.select(Job.queue, Job.state, number).group_by(Job.queue, Job.state)
    found = rows(statement.order_by(Job.queue, Job.state), url)
    return pd.DataFrame([tuple(row.values()) for row in found], columns=["queue", "state", "jobs"])


def unit_holder(job: int, *, url: str | None = None) -> int | None:
    """Return the job that works on the unit that another one waits for, or None."""
    mine, other = aliased(Job), aliased(Job)
    same = (other.unit == mine.unit, other.name == mine.name, other.unit != "", other.job != mine.job)
    statement = sa.select(other.job).join(mine, sa.and_(*same))
    found = rows(statement.where(mine.job == job, mine.state == "ready", other.state.in_(ACTIVE)), url)
    return int(found[0]["job"]) if found else None


def _taken(session: Session, job: int, action: str, allowed: tuple[str, ...]) -> Job:
    """Return a job for a change by a person, locked; raise JobError where the change makes no sense."""
    found = session.get(Job, job, with_for_update=True) if 0 < job <= _LARGEST else None
    if found is None:
        raise JobError(
            f"job {job}: there is none of this number; expected one of 'tasoc job list'. Correct it."
        )
    if found.state not in allowed:
        states = ", ".join(allowed[:-1]) + " or " + allowed[-1] if len(allowed) > 1 else allowed[0]
        raise JobError(
            f"job {job}: it is {found.state} and cannot be {action}; expected one that is {states}. "
            f"Look: tasoc job show {job}"
        )
    return found


def cancel_job(job: int, actor: str, *, url: str | None = None) -> str:
    """
    Cancel a job and return its state: a worker that has it ends it within a renewal of its lease.

    Raises
    ------
    JobError
        If there is no such job, or it has ended.
    """
    with writing(url) as session:
        found = _taken(session, job, "cancelled", CHANGES["cancel"])
        if found.state in ACTIVE:
            found.cancelled = True
            change_state(session, found, found.state, actor, "its worker is asked to end it")
        else:
            found.finished = database_time(session)
            found.message = f"cancelled by {actor}" if actor else "cancelled"
            change_state(session, found, "cancelled", actor, now=found.finished)
        return found.state


def hold_job(job: int, actor: str, *, url: str | None = None) -> None:
    """Let a job that is ready wait until it is released; raise JobError where it is not ready."""
    with writing(url) as session:
        change_state(session, _taken(session, job, "held", CHANGES["hold"]), "held", actor)


def release_job(job: int, actor: str, *, url: str | None = None) -> None:
    """Let a job that is held start; raise JobError where it is not held."""
    with writing(url) as session:
        found, now = _taken(session, job, "released", CHANGES["release"]), database_time(session)
        # It could not start before: else the queue would seem to stand still since it was submitted.
        found.not_before = max(found.not_before, now)
        change_state(session, found, "ready", actor, now=now)


def retry_job(job: int, actor: str, *, url: str | None = None) -> None:
    """
    Let a job that failed or was cancelled start again, with all its tries.

    Raises
    ------
    JobError
        If there is no such job, it did not end so, or an equal one is open.
    """
    with writing(url) as session:
        found = _taken(session, job, "tried again", CHANGES["retry"])
        take_turns(session, found.fingerprint)
        equal = _open_equal(session, found.fingerprint)
        if equal is not None:
            raise JobError(
                f"job {job}: an equal one, {equal}, has not ended; expected one at a time. "
                f"Look: tasoc job show {equal}"
            )
        found.tries, found.cancelled, found.message = 0, False, ""
        found.started = found.finished = None
        found.not_before = database_time(session)
        change_state(session, found, "ready", actor, "tried again", now=found.not_before)


def remove_job(job: int, actor: str, *, url: str | None = None) -> None:
    """
    Take a job out of the lists; its row and its events stay.

    Raises
    ------
    JobError
        If there is no such job, or a worker has it: cancel it first.
    """
    with writing(url) as session:
        change_state(session, _taken(session, job, "removed", CHANGES["remove"]), "removed", actor)


def change_job(job: int, change: str, actor: str, *, url: str | None = None) -> None:
    """Make one of the ``CHANGES``; raise JobError where the job is in no state for it."""
    made = {
        "cancel": cancel_job,
        "hold": hold_job,
        "release": release_job,
        "retry": retry_job,
        "remove": remove_job,
    }
    made[change](job, actor, url=url)
