"""The tables of the database: one model for SQLite and PostgreSQL.

``provenance`` and ``products`` mirror what stands in the products themselves and can be rebuilt
from them; ``tags``, ``runs`` and ``reviews`` exist only here. Times are UTC.
"""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Product", "Provenance", "Review", "Run", "Table", "Tag"]


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

    product: Mapped[str] = mapped_column(String(64), primary_key=True)
    unit: Mapped[str] = mapped_column(String(96), primary_key=True)
    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    recorded: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True))


class Tag(Table):
    """A human name for one product of one unit, as ``current`` or ``paper-1``."""

    __tablename__ = "tags"

    tag: Mapped[str] = mapped_column(String(64), primary_key=True)
    product: Mapped[str] = mapped_column(String(64), primary_key=True)
    unit: Mapped[str] = mapped_column(String(96), primary_key=True)
    id: Mapped[str] = mapped_column(String(12))
    changed: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True))


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
    started: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True))
    finished: Mapped[datetime.datetime | None] = mapped_column(DateTime(timezone=True))


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
    made: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True))
