"""Whether the queue of jobs moves: what waits, since when, and who works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tasoc_kit.records.engine import exists, reading
from tasoc_kit.records.jobs import ACTIVE, database_time
from tasoc_kit.records.tables import Job

__all__ = ["QueueHealth", "queue_health"]

_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class QueueHealth:
    """The queue at one moment."""

    waiting: int
    """Jobs that could start."""
    oldest_seconds: float
    """How long the first of them could have started."""
    running: int
    """Jobs whose worker was heard of lately."""
    workers: int
    """Workers that have one."""
    stale: int
    """Jobs whose worker was not heard of for the time of its lease."""

    @property
    def abandoned(self) -> bool:
        """Whether jobs wait for long, and nobody works."""
        return bool(self.waiting) and not self.workers and self.oldest_seconds > _PATIENCE_SECONDS

    @property
    def facts(self) -> dict[str, float]:
        """The numbers by name."""
        return {
            "waiting": self.waiting,
            "oldest_seconds": round(self.oldest_seconds, 1),
            "running": self.running,
            "workers": self.workers,
            "stale": self.stale,
        }


def queue_health(*, url: str | None = None) -> QueueHealth:
    """Return how the queue is, by the clock of the database, which leases are told by."""
    if not exists(url):
        return QueueHealth(0, 0.0, 0, 0, 0)
    due: sa.Select[Any] = sa.select(sa.func.count(), sa.func.min(Job.not_before)).where(Job.state == "ready")
    leases: sa.Select[Any] = sa.select(Job.worker, Job.lease_until).where(Job.state.in_(ACTIVE))
    with reading(url) as session:
        now = database_time(session)
        waiting, first = session.execute(due.where(Job.not_before <= now)).one()
        held = session.execute(leases).all()
    alive = [worker for worker, lease_until in held if lease_until and lease_until > now]
    oldest = (now - first).total_seconds() if first else 0.0
    # A worker with several places names each: host/process/code/place.
    workers = {name.rsplit("/", 1)[0] for name in alive}
    return QueueHealth(waiting, oldest, len(alive), len(workers), len(held) - len(alive))
