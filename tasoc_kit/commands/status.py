"""``tasoc status``: what is done, what runs, what failed and where its log is."""

from __future__ import annotations

import pandas as pd

from tasoc_kit import database
from tasoc_kit.commands.look import as_time, console, table
from tasoc_kit.config import settings
from tasoc_kit.errors import without_secrets
from tasoc_kit.storage.folders import Folder

__all__ = ["read_status", "show_status"]


def read_status(unit: str | None = None) -> pd.DataFrame:
    """
    Return the newest run of every notebook on every unit.

    Columns: unit, notebook, state, id, seconds, started, note. A run whose process is gone
    without having said how it ended was ``killed``; how long it took is not known.
    """
    runs = database.newest_runs().sort_values(["unit", "notebook"])
    wanted = runs if unit is None else runs[runs["unit"] == unit]
    rows = [_row(run) for run in wanted.itertuples()]
    return pd.DataFrame(rows, columns=["unit", "notebook", "state", "id", "seconds", "started", "note"])


def _row(run: object) -> tuple[object, ...]:
    state, end = str(run.status), run.finished
    note = "" if state == "done" else str(run.message)
    if state == "running":
        note, end = f"process {run.pid} on {run.host}", pd.Timestamp.now("UTC")
    elif state == "killed":
        note = note or "its process is gone; run the pipeline again"
    return (run.unit, run.notebook, state, run.id, (end - run.started).total_seconds(), run.started, note)


def show_status(unit: str | None = None) -> None:
    """Show the table of runs."""
    status = read_status(unit)
    if not len(status):
        console.print("No run yet. Start one: tasoc run photometry")
        return
    rows = [
        (r.unit, r.notebook, r.state, r.id, as_time(r.seconds), f"{r.started:%Y-%m-%d %H:%M}", r.note)
        for r in status.itertuples()
    ]
    columns = ("unit", "notebook", "state", "id", "time", "started (UTC)", "note")
    table("the last run of every notebook", columns, rows, ("time",))
    counts = status["state"].value_counts()
    told = ", ".join(f"{number} {state}" for state, number in counts.items())
    console.print(f"{told}. Executed notebooks: {without_secrets(Folder(settings().store).url)}/runs")
