"""The notebooks that were executed: those the database knows, and those whose log the store has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from tasoc_kit import database
from tasoc_kit.dashboards import products, theme
from tasoc_kit.records.jobs import list_jobs
from tasoc_kit.storage.units import LOG, parse_unit
from tasoc_kit.store import stores

__all__ = ["Newest", "as_time", "list_all", "log_of", "newest", "read_log"]

COLUMNS = ["run", "pipeline", "notebook", "unit", "id", "status", "started", "finished", "log"]


@dataclass(frozen=True)
class Newest:
    """One run or job, for a list of what ran last."""

    state: str
    name: str
    where: str
    when: str
    took: str
    address: str


def as_time(seconds: float) -> str:
    """Return a duration for people: ``2 min 5 s``; a dash where it is not known."""
    if seconds != seconds or seconds < 0:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _newest(row: Any, name: str, state: str, since: Any, **number: int) -> tuple[pd.Timestamp, Newest]:
    since = since if pd.isna(row.started) else row.started
    took = as_time((row.finished - row.started).total_seconds())
    where, when = products.name_of(row.unit), f"{since:%Y-%m-%d %H:%M}"
    return since, Newest(state, name, where, when, took, theme.link("runs", **number))


def newest(count: int) -> list[Newest]:
    """Return the newest runs and jobs, the last one first; the runs of a job that is listed are left out."""
    jobs = list_jobs(limit=count)
    runs = database.list_runs(limit=4 * count)
    runs = runs[~runs["job"].isin(jobs["job"])].head(count)
    told = [
        _newest(one, f"job {one.job}: {one.name}", one.state, one.submitted, job=one.job)
        for one in jobs.itertuples()
    ]
    told += [_newest(one, one.notebook, one.status, one.started, run=one.run) for one in runs.itertuples()]
    return [one for _, one in sorted(told, key=lambda pair: pair[0], reverse=True)[:count]]


def list_all(limit: int = 5000) -> pd.DataFrame:
    """
    Return the runs, the newest first, and behind them the logs of the store that no run names.

    Returns
    -------
    ``run`` (0 for a log alone), ``pipeline``, ``notebook``, ``unit``, ``id``, ``status``, ``started``,
    ``finished`` and ``log`` (its key in the store; empty where none was kept).
    """
    runs = database.list_runs(limit=limit)
    runs["log"] = [log_of(run) for run in runs.to_dict("records")]
    known = set(runs["log"]) | {log.replace(".ipynb", "-failed.ipynb") for log in runs["log"]}
    lone = [row for row in _stored_logs() if row["log"] not in known]
    if not lone:
        return runs[COLUMNS]
    return pd.concat([runs[COLUMNS], pd.DataFrame(lone, columns=COLUMNS)], ignore_index=True)


def _stored_logs() -> list[dict[str, Any]]:
    found = []
    for folder in stores(None):
        for unit in folder.names("runs"):
            for name in folder.names(f"runs/{unit}"):
                parts = LOG.fullmatch(f"runs/{unit}/{name}")
                if parts:
                    row = {"run": 0, "pipeline": "", "started": pd.NaT, "finished": pd.NaT, "log": parts[0]}
                    status = "failed" if parts["failed"] else "done"
                    named = {name: parts[name] or "" for name in ("notebook", "id")}
                    found.append(row | named | {"unit": unit if parse_unit(unit) else "", "status": status})
    return found


def log_of(run: dict[str, Any]) -> str:
    """Return the key of the executed notebook of a run; empty where none was kept."""
    said = LOG.search(str(run.get("log") or "")) or LOG.search(str(run.get("message") or ""))
    return said[0] if said else ""


def read_log(key: str) -> bytes | None:
    """Return an executed notebook of the store, or of a shared one; None where there is none."""
    if not LOG.fullmatch(key):
        return None
    return next((text for text in (folder.get(key) for folder in stores(None)) if text is not None), None)
