"""What workers do to jobs: claim one, renew the lease on it, and say how it ended.

A lease lasts as long as its worker renews it. A worker that is killed, or cut off, loses it, any
other worker then gives the job back to its queue, and a late word of the first changes nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from tasoc_kit.records.engine import exists, plain_text, rows, writing
from tasoc_kit.records.jobs import ACTIVE, change_state, database_time, take_turns
from tasoc_kit.records.tables import Job, JobEvent, Run

__all__ = [
    "RETRY_SECONDS",
    "cancel_claimed",
    "claim_job",
    "fail_job",
    "finish_job",
    "give_back_job",
    "release_stale",
    "renew_lease",
    "retry_seconds",
    "start_job",
]

Costs = tuple[float, int]
"""Time of all cores in seconds, and largest memory in bytes."""

RETRY_SECONDS = (10.0, 60.0, 600.0)
"""How long a job waits after its first, second and any further failure."""


def retry_seconds(tries: int) -> float:
    """Return how long a job waits that has failed so often."""
    return RETRY_SECONDS[min(max(tries, 1), len(RETRY_SECONDS)) - 1]


def claim_job(
    worker: str,
    queues: Sequence[str],
    lease_seconds: float,
    *,
    most_bytes: int = 0,
    url: str | None = None,
) -> dict[str, Any] | None:
    """
    Take the job of highest priority, and of those the oldest, for a worker; None where none is ready.

    Parameters
    ----------
    worker
        Who takes it: a name that no other worker has.
    queues
        From which queues.
    lease_seconds
        How long it is the worker's own; ``renew_lease`` lengthens that.
    most_bytes
        Leave jobs alone that need more memory; 0 takes all.
    """
    if not exists(url):
        return None
    with writing(url) as session:
        now = database_time(session)
        wanted = [Job.state == "ready", Job.not_before <= now, Job.queue.in_(queues), ~_unit_is_taken()]
        if most_bytes:
            wanted.append(Job.most_bytes <= most_bytes)
        first = sa.select(Job.job, Job.name, Job.unit).where(*wanted)
        first = first.order_by(Job.priority.desc(), Job.job).limit(1)
        found = session.execute(first.with_for_update(skip_locked=True)).first()
        if found is None:
            return None
        if found.unit:
            # Another worker may be about to claim another job of this unit; then it is seen below.
            take_turns(session, f"{found.name} {found.unit}")
        values = {
            "state": "claimed",
            "worker": worker,
            "lease_until": now + datetime.timedelta(seconds=lease_seconds),
            "tries": Job.tries + 1,
            "progress": {},
            "message": "",
        }
        mine = sa.update(Job).where(Job.job == found.job, Job.state == "ready", ~_unit_is_taken())
        claimed = session.execute(mine.values(values).returning(*Job.__table__.columns)).mappings().first()
        if claimed is None:
            return None
        session.add(JobEvent(job=found.job, before="ready", after="claimed", at=now, actor=worker, detail=""))
        return dict(claimed)


def _unit_is_taken() -> sa.ColumnElement[bool]:
    """Tell of a job whether a worker has another one of the same name and unit."""
    other = aliased(Job)
    same = (other.unit == Job.unit, other.name == Job.name, other.unit != "")
    return sa.exists().where(other.state.in_(ACTIVE), *same).correlate(Job)


def _own(session: Session, job: int, worker: str) -> Job | None:
    """Return a job that a worker still has, locked."""
    found = session.get(Job, job, with_for_update=True)
    return found if found is not None and found.worker == worker and found.state in ACTIVE else None


def start_job(job: int, worker: str, *, url: str | None = None) -> bool:
    """Note that a claimed job runs; False where the worker has it no more."""
    with writing(url) as session:
        found = _own(session, job, worker)
        if found is None:
            return False
        found.started = database_time(session)
        change_state(session, found, "running", worker, f"try {found.tries}", now=found.started)
        return True


def renew_lease(
    job: int,
    worker: str,
    lease_seconds: float,
    *,
    progress: Mapping[str, Any] | None = None,
    url: str | None = None,
) -> str:
    """
    Keep a job for another while, and note how far it is.

    Returns
    -------
    ``go on``; ``cancelled`` where somebody wants it ended; ``lost`` where it is the worker's no more.
    """
    with writing(url) as session:
        found = _own(session, job, worker)
        if found is None:
            return "lost"
        found.lease_until = database_time(session) + datetime.timedelta(seconds=lease_seconds)
        if progress is not None:
            found.progress = dict(progress)
        return "cancelled" if found.cancelled else "go on"


def finish_job(
    job: int, worker: str, result: Mapping[str, Any], *, costs: Costs | None = None, url: str | None = None
) -> bool:
    """Note that a job is done, and what it made; False, and no change, where the lease was lost."""
    with writing(url) as session:
        found = _own(session, job, worker)
        if found is None:
            return False
        found.result, found.message = dict(result), ""
        # Its own process notes how a run ended, but where no database was in reach just then.
        _close_runs(session, [job], "done", "its log was not noted: no database was in reach", costs)
        _end(session, found, "done", worker)
        return True


def fail_job(
    job: int,
    worker: str,
    message: str,
    *,
    again: bool = True,
    result: Mapping[str, Any] | None = None,
    costs: Costs | None = None,
    url: str | None = None,
) -> str:
    """
    Note that a job failed, and return its state: ``ready`` where it has tries left, else ``failed``.

    Parameters
    ----------
    job, worker
        The job, and who had it.
    message
        Why.
    again
        Whether another try may mend it.
    result
        What it made nevertheless.
    costs
        What it took, for runs whose end nobody noted.

    Returns
    -------
    The state; empty, and nothing is changed, where the lease was lost.
    """
    with writing(url) as session:
        found = _own(session, job, worker)
        if found is None:
            return ""
        found.result, message = dict(result or {}), plain_text(message)
        _close_runs(session, [job], "killed", message, costs)
        if found.cancelled:
            found.message = message
            _end(session, found, "cancelled", worker, message)
        elif again and found.tries < found.most_tries:
            _back(session, found, worker, message, retry_seconds(found.tries))
        else:
            found.message = message
            _end(session, found, "failed", worker, message)
        return found.state


def cancel_claimed(
    job: int, worker: str, message: str, *, costs: Costs | None = None, url: str | None = None
) -> bool:
    """Note that a worker has ended a job that somebody cancelled; False where the lease was lost."""
    with writing(url) as session:
        found = _own(session, job, worker)
        if found is None:
            return False
        found.message = message
        _close_runs(session, [job], "killed", message, costs)
        _end(session, found, "cancelled", worker, message)
        return True


def give_back_job(
    job: int, worker: str, reason: str, *, costs: Costs | None = None, url: str | None = None
) -> bool:
    """Put a job back that its worker cannot end; the try does not count. False where the lease was lost."""
    with writing(url) as session:
        found = _own(session, job, worker)
        if found is None:
            return False
        _close_runs(session, [job], "killed", reason, costs)
        if found.cancelled:
            _end(session, found, "cancelled", worker, reason)
        else:
            found.tries -= 1
            _back(session, found, worker, reason, 0.0)
        return True


def release_stale(actor: str = "", *, url: str | None = None) -> list[int]:
    """
    Take jobs from workers whose lease has expired, and return their numbers.

    They are ready again, or ``failed`` after their last try; what was noted of their runs says ``killed``.
    """
    if not exists(url):
        return []
    stale = sa.select(Job.job).where(Job.state.in_(ACTIVE))
    if not rows(stale.limit(1), url):
        return []
    with writing(url) as session:
        now = database_time(session)
        # Of those that another worker looks at just now it takes care itself.
        found = sa.select(Job).where(Job.state.in_(ACTIVE), Job.lease_until < now)
        released = list(session.scalars(found.with_for_update(skip_locked=True)))
        for job in released:
            message = f"its worker {job.worker} was not heard of again"
            if job.cancelled:
                job.message = message
                _end(session, job, "cancelled", actor, message)
            elif job.tries < job.most_tries:
                _back(session, job, actor, message, 0.0)
            else:
                job.message = f"{message}, {job.tries} times"
                _end(session, job, "failed", actor, job.message)
        numbers = [job.job for job in released]
        _close_runs(session, numbers, "killed", "its worker was lost")
        return numbers


def _close_runs(
    session: Session, jobs: Sequence[int], status: str, message: str, costs: Costs | None = None
) -> None:
    """Note of the runs of jobs whose end was not noted how they ended, and what was seen of their cost."""
    values = {"status": status, "message": message, "finished": database_time(session)}
    values |= {} if costs is None else {"cpu_seconds": costs[0], "peak_bytes": costs[1]}
    session.execute(sa.update(Run).where(Run.job.in_(jobs), Run.status == "running").values(values))


def _end(session: Session, job: Job, state: str, actor: str, detail: str = "") -> None:
    job.finished = database_time(session)
    job.lease_until, job.cancelled = None, False
    change_state(session, job, state, actor, detail, now=job.finished)


def _back(session: Session, job: Job, actor: str, reason: str, wait: float) -> None:
    now = database_time(session)
    job.worker, job.lease_until, job.started = "", None, None
    job.message, job.not_before = reason, now + datetime.timedelta(seconds=wait)
    change_state(session, job, "ready", actor, reason, now=now)
