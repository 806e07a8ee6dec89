"""What people said and what ran: provenance, products, tags, runs and reviews, in SQL.

Products are the truth: what the database says of them can be rebuilt from their attributes.
Reading never makes a database; the first write does.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import psutil
import sqlalchemy as sa

from tasoc_kit.errors import DatabaseError
from tasoc_kit.records import objects
from tasoc_kit.records.engine import connect, exists, frame, plain_text, rows, upgrade, upsert, writing
from tasoc_kit.records.tables import Product, Provenance, Review, Run, Tag

__all__ = [
    "connect",
    "finish_run",
    "get_run",
    "get_tag",
    "list_runs",
    "newest_runs",
    "record_product",
    "remove_product",
    "reviews",
    "run_seconds",
    "save_review",
    "set_tag",
    "start_run",
    "tags",
    "upgrade",
]

VERDICTS = ("accept", "reject", "")

Stars = Callable[[], Mapping[str, np.ndarray]]
"""Returns ``tic``, ``ra``, ``dec`` and ``tmag`` (star) of a product, when they are asked for."""

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def record_product(
    product: str,
    unit: str,
    id: str,
    location: str,
    attrs: Mapping[str, Any],
    *,
    bytes: int = 0,
    created: float | None = None,
    stars: Stars | None = None,
    url: str | None = None,
) -> None:
    """
    Enter a product and the records of all its ancestors, as its attributes hold them.

    Parameters
    ----------
    bytes
        The size of all its files.
    created
        When it was completed, in seconds since 1970; by default now.
    stars
        Of light curves, for whoever looks for a star.
    """
    records = json.loads(attrs.get("provenance", "{}"))
    names = ("step", "version", "parameters", "parents", "libraries")
    with writing(url) as session:
        upsert(
            session,
            Provenance,
            [
                {"id": key, **{name: record[name] for name in names}}
                for key, record in sorted(records.items())
            ],
        )
        row = {"product": product, "unit": unit, "id": id, "url": location, "recorded": _now()}
        upsert(session, Product, [row | {"bytes": bytes}])
        if stars is not None:
            moment = _now().timestamp() if created is None else created
            objects.enter_stars(session, unit, id, moment, stars)


def remove_product(product: str, unit: str, id: str, *, url: str | None = None) -> None:
    """Take a product out; its provenance stays, for others may descend from it."""
    if not exists(url):
        return
    with writing(url) as session:
        session.execute(
            sa.delete(Product).where(Product.product == product, Product.unit == unit, Product.id == id)
        )
        if product == objects.PRODUCT:
            objects.remove_stars(session, unit, id)


def replace_products(enter: Callable[[], int], *, url: str | None = None) -> int:
    """Make the tables of products, provenance and stars anew by what a function enters."""
    upgrade(url)
    with writing(url) as session:
        session.execute(sa.delete(Product))
        objects.remove_stars(session)
    return enter()


def products(*, url: str | None = None) -> pd.DataFrame:
    """Return the products that the database knows, one row each."""
    return frame(Product, sa.select(*Product.__table__.columns).order_by(Product.recorded.desc()), url)


def chosen_products(
    product: str, *, tag: str | None = None, id: str | None = None, url: str | None = None
) -> list[tuple[str, str]]:
    """
    Return unit and id of the product of each unit that opens when it is asked for, in order of unit.

    Parameters
    ----------
    product
        Name of the product.
    tag, id
        Only those with this tag, or this id; else the tag ``current``, else the newest that was recorded.
    """
    statement = sa.select(Product.unit, Product.id).where(Product.product == product)
    if id is not None:
        statement = statement.where(Product.id == id)
    found = rows(statement.order_by(Product.unit, Product.recorded.desc(), Product.id.desc()), url)
    named = sa.select(Tag.unit, Tag.id).where(Tag.product == product, Tag.tag == check_tag(tag or "current"))
    tagged = {row["unit"]: row["id"] for row in rows(named, url)}
    chosen: dict[str, str] = {}
    for row in found:
        is_tagged = tagged.get(row["unit"]) == row["id"]
        if is_tagged or (tag is None and row["unit"] not in chosen) or id is not None:
            chosen[row["unit"]] = row["id"]
    return sorted(chosen.items())


def check_tag(tag: str) -> str:
    """Return the tag, or raise DatabaseError where it is not a plain word."""
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):
        raise DatabaseError(
            f"database: tag {tag!r} is not usable; expected letters, digits, '.', '_' and '-', at most 64. "
            "Choose another name."
        )
    return tag


def set_tag(tag: str, product: str, unit: str, id: str, *, url: str | None = None) -> None:
    """Point a tag of one product and unit at an id; where it pointed before is forgotten."""
    row = {"tag": check_tag(tag), "product": product, "unit": unit, "id": id, "changed": _now()}
    with writing(url) as session:
        upsert(session, Tag, [row])
        if (tag, product) == (objects.CURRENT, objects.PRODUCT):
            objects.choose_list(session, unit)


def get_tag(tag: str, product: str, unit: str, *, url: str | None = None) -> str | None:
    """Return the id that a tag of one product and unit points at, or None."""
    statement = sa.select(Tag.id).where(Tag.tag == check_tag(tag), Tag.product == product, Tag.unit == unit)
    found = rows(statement, url)
    return found[0]["id"] if found else None


def tags(*, url: str | None = None) -> dict[tuple[str, str, str], list[str]]:
    """Return the tags of every ``(product, unit, id)`` that has any, sorted."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows(sa.select(*Tag.__table__.columns).order_by(Tag.tag), url):
        found.setdefault((row["product"], row["unit"], row["id"]), []).append(row["tag"])
    return found


def start_run(
    pipeline: str,
    notebook: str,
    unit: str,
    *,
    id: str = "",
    parameters: Mapping[str, Any] | None = None,
    job: int | None = None,
    url: str | None = None,
) -> int:
    """Note that a notebook has started, for a job where one asks for it, and return the number of the run."""
    run = Run(
        pipeline=pipeline,
        notebook=notebook,
        unit=unit,
        id=id,
        status="running",
        parameters=dict(parameters or {}),
        message="",
        host=socket.gethostname(),
        pid=os.getpid(),
        started=_now(),
        finished=None,
        job=job,
    )
    with writing(url) as session:
        session.add(run)
        session.flush()
        return run.run


def finish_run(
    run: int,
    status: str,
    *,
    message: str = "",
    id: str | None = None,
    log: str = "",
    cpu_seconds: float | None = None,
    peak_bytes: int | None = None,
    url: str | None = None,
) -> None:
    """
    Note how a run ended.

    Parameters
    ----------
    run
        Its number.
    status, message
        ``done``, ``failed``, or what the caller calls it, and what there is to say.
    id
        Id of what it made, where that was not known before.
    log
        Key of the executed notebook in the store.
    cpu_seconds, peak_bytes
        Time of all cores, and largest memory, that its kernel took.
    """
    said = plain_text(message)
    values: dict[str, Any] = {"status": status, "message": said, "finished": _now(), "log": log}
    values |= {"cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes}
    if id is not None:
        values["id"] = id
    with writing(url) as session:
        session.execute(sa.update(Run).where(Run.run == run).values(values))


def list_runs(
    *, unit: str | None = None, status: str | None = None, limit: int = 1000, url: str | None = None
) -> pd.DataFrame:
    """
    Return the newest runs, one row each.

    A run of this host whose process is gone without a word has the status ``killed``.
    """
    statement = sa.select(*Run.__table__.columns).order_by(Run.run.desc()).limit(limit)
    if unit is not None:
        statement = statement.where(Run.unit == unit)
    found = _with_killed(frame(Run, statement, url))
    return found if status is None else found[found["status"] == status].reset_index(drop=True)


def get_run(run: int, *, url: str | None = None) -> dict[str, Any] | None:
    """Return one run, as ``list_runs`` tells it; None where there is none of this number."""
    found = _with_killed(frame(Run, sa.select(*Run.__table__.columns).where(Run.run == run), url))
    return None if found.empty else {str(name): value for name, value in found.iloc[0].items()}


def newest_runs(
    by: Sequence[str] = ("unit", "notebook"),
    *,
    status: Sequence[str] = (),
    given: str = "",
    url: str | None = None,
) -> pd.DataFrame:
    """
    Return the newest run of each unit and notebook, one row each, the newest first.

    Parameters
    ----------
    by
        The columns that are told apart.
    status
        Of these, only those of this status, as ``list_runs`` tells it.
    given
        Only runs whose parameters have a text of this name are looked at.
    """
    newest = sa.select(sa.func.max(Run.run)).group_by(*(getattr(Run, name) for name in by))
    if given:
        newest = newest.where(sa.cast(Run.parameters, sa.Text).like(f'%"{given}": "%'))
    statement = sa.select(*Run.__table__.columns).where(Run.run.in_(newest)).order_by(Run.run.desc())
    if status:
        told = {"running" if name == "killed" else name for name in status}
        statement = statement.where(Run.status.in_(told | set(status)))
    found = _with_killed(frame(Run, statement, url))
    return found[found["status"].isin(status)].reset_index(drop=True) if status else found


def _with_killed(found: pd.DataFrame) -> pd.DataFrame:
    """Give the runs of this host whose process is gone without a word the status ``killed``."""
    here = (found["status"] == "running") & (found["host"] == socket.gethostname())
    gone = here & ~found["pid"].map(psutil.pid_exists).astype(bool)
    found.loc[gone, "status"] = "killed"
    return found


def run_seconds(ids: Iterable[str], *, url: str | None = None) -> dict[str, float]:
    """Return the seconds of the last run that made each of these products, by notebook."""
    statement = sa.select(Run.notebook, Run.started, Run.finished).order_by(Run.run)
    made = rows(statement.where(Run.id.in_(list(ids)), Run.status == "done"), url)
    return {run["notebook"]: round((run["finished"] - run["started"]).total_seconds(), 2) for run in made}


def save_review(
    unit: str,
    id: str,
    star: int,
    *,
    tic: int = 0,
    verdict: str = "",
    comment: str = "",
    reviewer: str = "",
    url: str | None = None,
) -> int:
    """
    Keep what a person said about one star and return the number of the review.

    Parameters
    ----------
    unit, id
        The unit and the id of the product that was looked at.
    star, tic
        Index of the star in that product, and its TIC number (0 where it has none).
    verdict
        ``accept``, ``reject``, or empty for a comment alone.

    Raises
    ------
    DatabaseError
        If the verdict is another word, or the database cannot be written.
    """
    if verdict not in VERDICTS:
        raise DatabaseError(
            f"review of star {star}: verdict {verdict!r}; expected one of {VERDICTS}. Choose one."
        )
    review = Review(
        unit=unit,
        id=id,
        star=int(star),
        tic=int(tic),
        verdict=verdict,
        comment=comment,
        reviewer=reviewer,
        made=_now(),
    )
    with writing(url) as session:
        session.add(review)
        session.flush()
        return review.review


def reviews(
    unit: str | None = None,
    *,
    id: str | None = None,
    history: bool = False,
    url: str | None = None,
) -> pd.DataFrame:
    """Return the last review of every star by every reviewer, or with ``history`` all of them."""
    statement = sa.select(*Review.__table__.columns).order_by(Review.review)
    if unit is not None:
        statement = statement.where(Review.unit == unit)
    if id is not None:
        statement = statement.where(Review.id == id)
    table = frame(Review, statement, url)
    if not history:
        table = table.drop_duplicates(["unit", "id", "star", "reviewer"], keep="last")
    return table.reset_index(drop=True)
