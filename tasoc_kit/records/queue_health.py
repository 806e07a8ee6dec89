"""Whether the queue of jobs moves: what waits, since when, and who works."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tasoc_kit.records.engine import exists, rows
from tasoc_kit.records.jobs import ACTIVE
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
    """Return how the queue is, by the clock of this machine."""
    if not exists(url):
        return QueueHealth(0, 0.0, 0, 0, 0)
    now = datetime.datetime.now(datetime.UTC)
    due: sa.Select[Any] = sa.select(
        sa.func.count().label("waiting"), sa.func.min(Job.not_before).label("oldest")
    )
    waiting = rows(due.where(Job.state == "ready", Job.not_before <= now), url)[0]
    leases: sa.Select[Any] = sa.select(Job.worker, Job.lease_until)
    held = rows(leases.where(Job.state.in_(ACTIVE)), url)
    alive = [row["worker"] for row in held if row["lease_until"] and _utc(row["lease_until"]) > now]
    oldest = (now - _utc(waiting["oldest"])).total_seconds() if waiting["oldest"] else 0.0
    # A worker with several places names each: host/process/code/place.
    workers = {name.rsplit("/", 1)[0] for name in alive}
    return QueueHealth(waiting["waiting"], oldest, len(alive), len(workers), len(held) - len(alive))


def _utc(moment: datetime.datetime) -> datetime.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
