"""What waits and what runs, asked of the database once a second for as long as somebody can see it."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import panel as pn

from tasoc_kit import database
from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.controls import Visibility
from tasoc_kit.dashboards.job_changes import JobChanges
from tasoc_kit.errors import TasocKitError
from tasoc_kit.records.jobs import ACTIVE, OPEN, get_job, list_jobs

__all__ = ["OpenJobs", "progress_words"]

PERIOD = 1000
"""Milliseconds between two looks."""
_TOLD = 5
"""Of more jobs of a state than these the others are left out."""


def progress_words(progress: Mapping[str, Any]) -> str:
    """Return how far a job is: ``16_stream, 12 of 64 blocks · 3 of 19 notebooks``; empty before it tells."""
    words = []
    if progress.get("blocks"):
        words.append(f"{progress['notebook']}, {progress['blocks_done']:,} of {progress['blocks']:,} blocks")
    elif progress.get("notebook"):
        words.append(str(progress["notebook"]))
    if progress.get("notebooks", 0) > 1:
        words.append(f"{progress['ended']} of {progress['notebooks']} notebooks")
    return " · ".join(words)


@dataclass(frozen=True)
class _Seen:
    """What the database said."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """Jobs that have not ended, and the one that is asked for."""
    last: list[tuple[int, str]] = field(default_factory=list)
    """Number and status of the newest run."""
    problem: str = ""


def _look(job: int) -> _Seen:
    try:
        found = pd.concat([list_jobs(state=state, limit=_TOLD) for state in reversed(OPEN)])
        one = get_job(job) if job else None
        last = database.list_runs(limit=1)
    except TasocKitError as error:
        return _Seen(problem=str(error))
    rows = found.to_dict("records")
    if one is not None and not any(row["job"] == job for row in rows):
        rows = [one, *rows]
    return _Seen(rows, list(last[["run", "status"]].itertuples(index=False, name=None)))


class OpenJobs(pn.viewable.Viewer):
    """The jobs that have not ended, and the one that is looked at."""

    def __init__(self, changed: Callable[[], None], job: int = 0) -> None:
        """
        Look at the jobs.

        Parameters
        ----------
        changed
            Called when a job or a run begins or ends.
        job
            One that is shown whether or not it has ended; 0 for none.
        """
        super().__init__()
        self._changed, self.job = changed, job
        self.pane = theme.markup("")
        self.changes = JobChanges(self.poll)
        self.card = theme.panel_card(self.pane, self.changes, visible=False)
        self.visibility = Visibility()
        self._known = self._show(_look(job))
        if pn.state.curdoc is not None:
            clock = pn.state.add_periodic_callback(self.follow, period=PERIOD)
            self.visibility.param.watch(
                lambda event: clock.start() if event.new else clock.stop(), "visible_now"
            )

    def poll(self) -> None:
        """Look again; where something began or ended, say so to who asked to be told."""
        self._take(_look(self.job))

    async def follow(self) -> None:
        """Do so beside the server: a database that does not answer keeps no other page waiting."""
        job = self.job
        seen = await asyncio.to_thread(_look, job)
        if job == self.job:
            self._take(seen)

    def _take(self, seen: _Seen) -> None:
        now = self._show(seen)
        if now != self._known:
            self._known = now
            self._changed()

    def _show(self, seen: _Seen) -> tuple[Any, ...]:
        """Show the jobs as they were seen, and return what is told apart."""
        self.card.visible = bool(seen.rows or seen.problem or self.job)
        if seen.problem:
            self.pane.object = f"<h2>Jobs</h2><p>{html.escape(seen.problem)}</p>"
            return ()
        self.pane.object = _markup(seen.rows, self.job)
        self.changes.show(next((row for row in seen.rows if row["job"] == self.job), None))
        return tuple((row["job"], row["state"]) for row in seen.rows), *seen.last

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(self.visibility, self.card, sizing_mode="stretch_width", margin=0)


def _markup(rows: list[dict[str, Any]], job: int) -> str:
    if job and not any(row["job"] == job for row in rows):
        return (
            f"<h2>No job {job}</h2><p>There is none of this number; see which there are:</p>"
            "<pre><code>tasoc job list</code></pre>"
        )
    body = "".join(_row(row, row["job"] == job) for row in rows)
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("job", "state", "what", "of", "progress"))
    return (
        "<h2>Jobs</h2><div style='overflow-x: auto' tabindex='0' role='region' aria-label='Jobs'>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: Mapping[str, Any], chosen: bool) -> str:
    told = progress_words(row["progress"] or {}) if row["state"] in ACTIVE else str(row["message"] or "")
    number = f"<b>{row['job']}</b>" if chosen else str(row["job"])
    address = html.escape(theme.link("runs", job=row["job"]), quote=True)
    cells = (
        f"<a href='{address}'>{number}</a>",
        html.escape(str(row["state"])),
        html.escape(str(row["name"])),
        html.escape(products.name_of(str(row["unit"]))),
    )
    words = f"<td class='words'>{html.escape(told[:300])}</td>"
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}{words}</tr>"
