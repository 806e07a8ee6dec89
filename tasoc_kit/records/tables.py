"""The tables of the database: one model for SQLite and PostgreSQL.

``provenance``, ``products``, ``star_lists`` and ``objects`` mirror what stands in the products
themselves and can be rebuilt from them; the others exist only here. Times are UTC.
"""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "File",
    "Job",
    "JobEvent",
    "Product",
    "Provenance",
    "Review",
    "Run",
    "Schedule",
    "SkyObject",
    "StarList",
    "Table",
    "Tag",
    "Token",
    "Utc",
    "in_utc",
]


def in_utc(moment: datetime.datetime) -> datetime.datetime:
    """Return a moment in UTC; one without a zone is taken as UTC, wherever this machine is."""
    return moment.astimezone(datetime.UTC) if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


class Utc(TypeDecorator[datetime.datetime]):
    """A moment in UTC, whatever zone it is given in; SQLite alone would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Any) -> Any:
        """Return what is written."""
        return None if value is None else in_utc(value)

    def process_result_value(self, value: Any, dialect: Any) -> datetime.datetime | None:
        """Return what is read."""
        return None if value is None else in_utc(value)


class Table(DeclarativeBase):
    """What all tables share: names of constraints that a migration can refer to."""

    metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(column_0_label)s"})


class Provenance(Table):
    """The record of one product or raw input, as its attributes hold it."""

    __tablename__ = "provenance"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    step: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(Integer)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    parents: Mapped[list[str]] = mapped_column(JSON)
    libraries: Mapped[dict[str, str]] = mapped_column(JSON)


class Product(Table):
    """One complete product of a store."""

    __tablename__ = "products"
    # What is counted of a sector and camera is found in the order of the groups.
    __table_args__ = (
        Index("ix_products_counted", "product", text("substr(unit, 1, 7)"), "recorded", "bytes"),
    )

    product: Mapped[str] = mapped_column(String(64), primary_key=True)
    unit: Mapped[str] = mapped_column(String(96), primary_key=True)
    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    recorded: Mapped[datetime.datetime] = mapped_column(Utc)
    bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Tag(Table):
    """A human name for one product of one unit, as ``current`` or ``paper-1``."""

    __tablename__ = "tags"

    tag: Mapped[str] = mapped_column(String(64), primary_key=True)
    product: Mapped[str] = mapped_column(String(64), primary_key=True)
    unit: Mapped[str] = mapped_column(String(96), primary_key=True)
    id: Mapped[str] = mapped_column(String(12))
    changed: Mapped[datetime.datetime] = mapped_column(Utc)


class Run(Table):
    """One execution of a notebook: when, with what, and how it ended."""

    __tablename__ = "runs"
    __table_args__ = (Index("ix_runs_unit_started", "unit", "started"),)

    run: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pipeline: Mapped[str] = mapped_column(String(64))
    notebook: Mapped[str] = mapped_column(String(64))
    unit: Mapped[str] = mapped_column(String(96))
    id: Mapped[str] = mapped_column(String(12))
    status: Mapped[str] = mapped_column(String(16))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    message: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column(Integer)
    started: Mapped[datetime.datetime] = mapped_column(Utc)
    finished: Mapped[datetime.datetime | None] = mapped_column(Utc)
    job: Mapped[int | None] = mapped_column(Integer)
    cpu_seconds: Mapped[float | None] = mapped_column(Float)
    peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    log: Mapped[str] = mapped_column(Text, server_default="")


class Review(Table):
    """What a person said about one star of one product; later rows supersede earlier ones."""

    __tablename__ = "reviews"
    __table_args__ = (Index("ix_reviews_unit_star", "unit", "star"),)

    review: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    unit: Mapped[str] = mapped_column(String(96))
    id: Mapped[str] = mapped_column(String(12))
    star: Mapped[int] = mapped_column(Integer)
    tic: Mapped[int] = mapped_column(BigInteger)
    verdict: Mapped[str] = mapped_column(String(16))
    comment: Mapped[str] = mapped_column(Text)
    reviewer: Mapped[str] = mapped_column(String(64))
    made: Mapped[datetime.datetime] = mapped_column(Utc)


class Job(Table):
    """A notebook or pipeline that somebody wants run; a worker that takes it holds a lease."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state_queue_priority", "state", "queue", "priority", "job"),
        Index("ix_jobs_fingerprint", "fingerprint"),
    )

    job: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(96))
    unit: Mapped[str] = mapped_column(String(96))
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON)
    fingerprint: Mapped[str] = mapped_column(String(64))
    queue: Mapped[str] = mapped_column(String(64))
    priority: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    not_before: Mapped[datetime.datetime] = mapped_column(Utc)
    tries: Mapped[int] = mapped_column(Integer)
    most_tries: Mapped[int] = mapped_column(Integer)
    most_seconds: Mapped[float] = mapped_column(Float)
    most_bytes: Mapped[int] = mapped_column(BigInteger)
    worker: Mapped[str] = mapped_column(String(255))
    lease_until: Mapped[datetime.datetime | None] = mapped_column(Utc)
    cancelled: Mapped[bool] = mapped_column(Boolean)
    progress: Mapped[dict[str, Any]] = mapped_column(JSON)
    result: Mapped[dict[str, Any]] = mapped_column(JSON)
    message: Mapped[str] = mapped_column(Text)
    submitter: Mapped[str] = mapped_column(String(64))
    schedule: Mapped[int | None] = mapped_column(Integer)
    submitted: Mapped[datetime.datetime] = mapped_column(Utc)
    started: Mapped[datetime.datetime | None] = mapped_column(Utc)
    finished: Mapped[datetime.datetime | None] = mapped_column(Utc)


class JobEvent(Table):
    """One change of the state of a job: when, by whom, and why."""

    __tablename__ = "job_events"
    __table_args__ = (Index("ix_job_events_job", "job"),)

    event: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    job: Mapped[int] = mapped_column(Integer)
    before: Mapped[str] = mapped_column(String(16))
    after: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime.datetime] = mapped_column(Utc)
    actor: Mapped[str] = mapped_column(String(255))
    detail: Mapped[str] = mapped_column(Text)


class Schedule(Table):
    """A job that is submitted again and again, as a cron expression says."""

    __tablename__ = "schedules"

    schedule: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    title: Mapped[str] = mapped_column(String(96))
    cron: Mapped[str] = mapped_column(String(96))
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    enabled: Mapped[bool] = mapped_column(Boolean)
    next_at: Mapped[datetime.datetime] = mapped_column(Utc)
    last_job: Mapped[int | None] = mapped_column(Integer)
    owner: Mapped[str] = mapped_column(String(64))
    made: Mapped[datetime.datetime] = mapped_column(Utc)


class Token(Table):
    """What a person or program shows to be let in; only its hash is kept."""

    __tablename__ = "tokens"
    __table_args__ = (Index("ix_tokens_hash", "hash", unique=True),)

    token: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(16))
    made: Mapped[datetime.datetime] = mapped_column(Utc)
    expires: Mapped[datetime.datetime | None] = mapped_column(Utc)
    used: Mapped[datetime.datetime | None] = mapped_column(Utc)
    revoked: Mapped[datetime.datetime | None] = mapped_column(Utc)


class File(Table):
    """One raw file that was brought in: an FFI or a cutout, named by the hash of its bytes."""

    __tablename__ = "files"
    __table_args__ = (
        Index("ix_files_place_started", "sector", "camera", "ccd", "started"),
        Index("ix_files_started", "started"),
    )

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(16))
    bytes: Mapped[int] = mapped_column(BigInteger)
    location: Mapped[str] = mapped_column(Text)
    sector: Mapped[int] = mapped_column(Integer)
    camera: Mapped[int] = mapped_column(Integer)
    ccd: Mapped[int] = mapped_column(Integer)
    cadenceno: Mapped[int | None] = mapped_column(Integer)
    quality: Mapped[int | None] = mapped_column(BigInteger)
    started: Mapped[datetime.datetime | None] = mapped_column(Utc)
    ended: Mapped[datetime.datetime | None] = mapped_column(Utc)
    received: Mapped[datetime.datetime] = mapped_column(Utc)
    sender: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))


class StarList(Table):
    """The stars of one product of light curves; ``chosen`` is the one of its unit that opens unasked."""

    __tablename__ = "star_lists"
    __table_args__ = (
        Index("ix_star_lists_id", "id", "unit", unique=True),
        Index("ix_star_lists_unit", "unit"),
        Index("ix_star_lists_place", "sector", "camera", "ccd"),
    )

    star_list: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    unit: Mapped[str] = mapped_column(String(96))
    id: Mapped[str] = mapped_column(String(12))
    sector: Mapped[int] = mapped_column(Integer)
    camera: Mapped[int] = mapped_column(Integer)
    ccd: Mapped[int] = mapped_column(Integer)
    stars: Mapped[int] = mapped_column(Integer)
    created: Mapped[float] = mapped_column(Float)
    chosen: Mapped[bool] = mapped_column(Boolean)


class SkyObject(Table):
    """One star of one product of light curves: where it stands, and how to find it in the sky."""

    __tablename__ = "objects"
    __table_args__ = (
        Index("ix_objects_tic", "tic", "star_list", "star"),
        Index("ix_objects_cell", "cell", "star_list", "star"),
        Index("ix_objects_tmag", "tmag", "star_list", "star"),
    )

    star_list: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    star: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    tic: Mapped[int] = mapped_column(BigInteger)
    ra: Mapped[float | None] = mapped_column(Float)
    dec: Mapped[float | None] = mapped_column(Float)
    tmag: Mapped[float | None] = mapped_column(Float)
    x: Mapped[float | None] = mapped_column(Float)
    y: Mapped[float | None] = mapped_column(Float)
    z: Mapped[float | None] = mapped_column(Float)
    cell: Mapped[int | None] = mapped_column(Integer)
