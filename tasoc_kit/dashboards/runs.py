"""The page on which runs are looked at: parameters, cost, log and lineage; and what may be run again."""

from __future__ import annotations

import asyncio
import html
import json
from functools import partial
from typing import Any

import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param

from tasoc_kit import database
from tasoc_kit.dashboards import page_list, products, theme, visitor
from tasoc_kit.dashboards.controls import Shortcuts, StarTable
from tasoc_kit.dashboards.holdings import as_bytes
from tasoc_kit.dashboards.later import on_page
from tasoc_kit.dashboards.lineage_graph import graph_markup, read_graph
from tasoc_kit.dashboards.open_jobs import OpenJobs
from tasoc_kit.dashboards.run_form import RunForm
from tasoc_kit.dashboards.run_list import as_time, list_all, read_log
from tasoc_kit.dashboards.run_log import facts_of, log_frame, log_markup
from tasoc_kit.dashboards.unit_page import as_number, asked
from tasoc_kit.errors import TasocKitError
from tasoc_kit.records.jobs import get_job

__all__ = ["RunsPage", "page"]

ROWS_PER_PAGE = 14
_ALL = "all"
_COLUMNS = [
    ["number", "Run", "Number of the run; none where only its log is known"],
    ["notebook", "Notebook", ""],
    ["unit", "Unit", "Sector, camera, CCD"],
    ["status", "State", ""],
]
_KEYS = "<kbd>j</kbd> <kbd>k</kbd> next and previous run · <kbd>↑</kbd> <kbd>↓</kbd> in the table"


class RunsPage(pn.viewable.Viewer):
    """The runs of the store, one of them in full."""

    row = param.Integer(default=-1, doc="Index of the chosen run; −1 for none.")

    def __init__(self, wanted: dict[str, str] | None = None) -> None:
        """
        Make the page.

        Parameters
        ----------
        wanted
            ``run``, ``id`` or ``job`` of what is shown first; ``pipeline``, ``unit`` and ``state`` of what is
            listed.
        """
        super().__init__()
        self._wanted = wanted or {}
        self.all = list_all()
        self.state = self._filter("State", "status", "state")
        self.pipeline = self._filter("Pipeline", "pipeline", "pipeline")
        self.unit = pmui.TextInput(
            label="Unit, or a part of it", value=self._wanted.get("unit", ""), size="small",
            sizing_mode="stretch_width",
        )  # fmt: skip
        self.table = StarTable(
            on_step=self.step, columns=_COLUMNS, order="number", descending=True, label="Runs",
            sizing_mode="stretch_width", stylesheets=["th, td { text-align: left !important; }"],
        )  # fmt: skip
        self.pages = pmui.Pagination(
            label="Pages of the table", count=1, value=0, size="small", sibling_count=0, boundary_count=1
        )
        self.count, self.heading, self.facts, self.log = (theme.markup("") for _ in range(4))
        self.lineage, self.told = theme.markup(""), theme.markup("")
        self.again = pn.Column(sizing_mode="stretch_width", margin=0)
        self.below = pn.Column(
            theme.panel_card(theme.caption("What it was made from, and what was made of it"), self.lineage),
            theme.panel_card(theme.caption("The executed notebook"), self.log),
            theme.panel_card(theme.caption("Run again with changed parameters"), self.again),
            sizing_mode="stretch_width", margin=0,
        )  # fmt: skip
        self._form_of: tuple[Any, ...] | None = None
        self._log_of: tuple[Any, ...] | None = None
        self.jobs = OpenJobs(self.reload, as_number(self._wanted.get("job", "")) or 0)
        for widget in (self.state, self.pipeline, self.unit):
            widget.param.watch(lambda _event: self.list_runs(), "value")
        self.table.param.watch(lambda _event: self.list_runs(), ["order", "descending"])
        self.table.param.watch(lambda event: self.param.update(row=event.new), "star")
        self.pages.param.watch(lambda _event: self._draw(), "value")
        self.list_runs()
        self.row = self._first()
        if self.row < 0:
            self._show_none()

    def _filter(self, label: str, column: str, name: str) -> pn.widgets.Select:
        known = sorted(set(self.all[column]) - {""})
        value = self._wanted.get(name, "")
        options = [_ALL, *known, *([value] if value and value not in known else [])]
        return theme.choice(label, options=options, value=value or _ALL)

    def _first(self) -> int:
        """Return the run that is asked for, else the newest that is listed; −1 for none."""
        for name in ("run", "id", "job"):
            value = self._wanted.get(name, "")
            if value and name != "job":
                found = self.all.index[self.all[name].astype(str) == value]
                return int(found[0]) if len(found) else -1
            if value:
                runs = database.list_runs()
                numbers = runs.loc[runs["job"] == as_number(value), "run"]
                found = self.all.index[self.all["run"].isin(numbers)]
                return int(found[0]) if len(found) else -1
        return int(self.shown.index[0]) if len(self.shown) else -1

    # The list

    def list_runs(self) -> None:
        """List the runs that the filters leave, in the order of the chosen column."""
        keep = pd.Series(True, self.all.index)
        for widget, column in ((self.state, "status"), (self.pipeline, "pipeline")):
            if widget.value != _ALL:
                keep &= self.all[column] == widget.value
        said = (self.unit.value or "").strip().lower()
        if said:
            keep &= self.all["unit"].str.contains(said, regex=False)
        order = {"number": "run"}.get(self.table.order, self.table.order)
        self.shown = self.all[keep].sort_values(order, ascending=not self.table.descending, kind="stable")
        self.pages.param.update(
            count=max(1, -(-len(self.shown) // ROWS_PER_PAGE)), value=self._page_of(self.row)
        )
        self._draw()

    def _page_of(self, row: int) -> int:
        places = [place for place, index in enumerate(self.shown.index) if index == row]
        return places[0] // ROWS_PER_PAGE if places else 0

    def _draw(self) -> None:
        some = self.shown.iloc[self.pages.value * ROWS_PER_PAGE :][:ROWS_PER_PAGE]
        rows = [
            {"star": int(one.Index), "verdict": "open", "number": str(one.run or "–")}
            | {name: str(getattr(one, name)) for name in ("notebook", "unit", "status")}
            for one in some.itertuples()
        ]
        self.table.param.update(rows=rows, star=self.row)
        self.count.object = f"<p class='soft'>{len(self.shown):,} of {len(self.all):,} runs</p>"

    def step(self, step: int, by_page: bool = False) -> None:
        """Go to another run in the order of the table."""
        if self.shown.empty:
            return
        places = [place for place, index in enumerate(self.shown.index) if index == self.row]
        there = (places[0] if places else -1) + step * (ROWS_PER_PAGE if by_page else 1)
        self.row = int(self.shown.index[min(max(there, 0), len(self.shown) - 1)])

    def reload(self) -> None:
        """List anew, and show the run in view as it is now."""
        chosen = None if self.row < 0 else self.all.loc[self.row, ["run", "log"]].tolist()
        self.all = list_all()
        here = self.all.index[[one == chosen for one in self.all[["run", "log"]].values.tolist()]]
        self.list_runs()
        if len(here) and int(here[0]) == self.row:
            self._row_changed()
        else:
            self.row = int(here[0]) if len(here) else self._first()

    # One run

    @param.depends("row", watch=True)
    def _row_changed(self) -> None:
        if self.row < 0:
            self._show_none()
            return
        page = self._page_of(self.row)
        self.pages.value = page
        self._draw()
        short = self.all.loc[self.row].to_dict()
        run = (database.get_run(int(short["run"])) or short) if short["run"] else short | _noted(short["log"])
        run["log"] = short["log"]
        detail = f"{products.name_of(run['unit'])} · {run['status']}"
        self.heading.object = theme.heading_markup(run["notebook"], detail) + _pages_of(run)
        self.facts.object = _facts(run)
        graph = read_graph(run["id"])
        without = "<p>It made no product, or none that is recorded.</p>"
        self.lineage.object = graph_markup(graph, run["id"]) if graph else without
        # what is written into a form stays there when a job begins or ends elsewhere
        if (form_of := (run["run"], run["id"])) != self._form_of:
            self._form_of = form_of
            self._show_form(run)
        if (log_of := (run["run"], run["log"], run["status"])) != self._log_of:
            self._log_of = log_of
            self._show_log(run["log"])
        self.below.visible = True
        if run["run"]:
            theme.in_address(run=int(run["run"]), id=None)
        else:
            theme.in_address(id=run["id"], run=None)

    def _show_none(self) -> None:
        asked_for = {name: self._wanted[name] for name in ("run", "id", "job") if self._wanted.get(name)}
        command = "tasoc status"
        if "job" in asked_for:
            words = "No notebook of this job has started yet, or it was run elsewhere."
            job = get_job(as_number(asked_for["job"]) or 0)
            if job and job["state"] == "ready":
                words, command = "No worker has taken this job yet.", f"tasoc worker --queue {job['queue']}"
        elif asked_for:
            name, value = next(iter(asked_for.items()))
            words = f"There is no run with {name} {value[:60]!r}; choose one of the list."
        else:
            words = "No run is like this; choose others on the side."
        self.heading.object = theme.heading_markup("Runs", words)
        self.facts.object = f"<pre><code>{command}</code></pre>"
        self.below.visible = False

    def _show_form(self, run: dict[str, Any]) -> None:
        self.told.object = ""
        who = visitor.identity()
        if not who.may("write"):
            self.again.objects = [theme.markup(f"<p>{html.escape(visitor.words_for_signing_in())}</p>")]
            return
        try:
            form = RunForm(run["notebook"], run.get("parameters") or {}, who.name, self._submitted)
        except TasocKitError as error:
            self.again.objects = [theme.markup(f"<p>{html.escape(str(error))}</p>")]
            return
        self.again.objects = [form, self.told]

    def _submitted(self, job: int) -> None:
        address = html.escape(theme.link("runs", job=job), quote=True)
        self.told.object = (
            f"<p>It is <a href='{address}'>job {job}</a>. A worker runs it:</p>"
            "<pre><code>tasoc worker --queue default</code></pre>"
        )
        self.jobs.job = job
        self.jobs.poll()

    def _show_log(self, key: str) -> None:
        if not key:
            self.log.object = "<p>No executed notebook was kept.</p>"
            return
        self.log.object = f"<p class='soft'>Reading {html.escape(key)} …</p>"
        if pn.state.curdoc is not None:
            pn.state.execute(partial(self.load_log, key), schedule=True)

    async def load_log(self, key: str) -> None:
        """Read and render the executed notebook beside the server, and show it where it is still wanted."""
        document = pn.state.curdoc
        shown = await asyncio.to_thread(_log_markup, key)

        def show() -> None:
            if self.row >= 0 and self.all.at[self.row, "log"] == key:
                self.log.object = shown

        on_page(document, show)

    # The page

    def sidebar(self) -> list[Any]:
        """Return filters and list."""
        keys = theme.markup(f"<p class='keys'>{_KEYS}</p>", margin=(0, 10))
        return [self.state, self.pipeline, self.unit, self.table, self.pages, self.count, keys]

    def main(self) -> list[Any]:
        """Return the run in view: facts, parameters, lineage, log, and the form."""
        ways = {"j": 1, "ArrowRight": 1, "k": -1, "ArrowLeft": -1}
        return [
            Shortcuts({key: partial(self.step, way) for key, way in ways.items()}),
            theme.panel_card(self.heading, self.facts),
            self.jobs,
            self.below,
        ]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(pn.Column(*self.sidebar(), width=360), pn.Column(*self.main()))


def _pages_of(run: dict[str, Any]) -> str:
    """Return links to the pages that show what a run made."""
    product = run["notebook"].partition("_")[2]
    if run["status"] != "done":
        return ""
    ways = [
        theme.button_link(one.title, theme.link(slug, unit=run["unit"], id=run["id"]))
        for slug, one in page_list.pages().items()
        if one.product == product
    ]
    return f"<p>{' '.join(ways)}</p>" if ways else ""


def _facts(run: dict[str, Any]) -> str:
    """Return the markup of what is known of a run, and of its parameters."""
    started, finished = run["started"], run["finished"]
    facts = {"state": html.escape(run["status"])}
    if pd.notna(started):
        facts["started"] = f"{started:%Y-%m-%d %H:%M:%S} UTC on {html.escape(str(run.get('host', '')))}"
    if pd.notna(started) and pd.notna(finished):
        facts["took"] = as_time((finished - started).total_seconds())
    facts |= _cost(run)
    if run.get("job") and pd.notna(run["job"]):
        facts["job"] = f"<a href='{theme.link('runs', job=int(run['job']))}'>{int(run['job'])}</a>"
    if run["id"]:
        facts["id"] = f"<code>{html.escape(run['id'])}</code>"
    if run["log"]:
        facts["log"] = f"<code>{html.escape(run['log'])}</code>"
    elif run.get("message"):
        facts["message"] = html.escape(str(run["message"])[:2000])
    if run["status"] in ("failed", "killed") and run.get("message"):
        facts["message"] = html.escape(str(run["message"])[:2000])
    given = run.get("parameters") or {}
    parameters = {
        html.escape(name): f"<code>{html.escape(json.dumps(v))}</code>" for name, v in given.items()
    }
    more = (
        f"<details><summary>{len(parameters)} parameters</summary>{theme.facts_markup(parameters)}</details>"
        if parameters
        else ""
    )
    return theme.facts_markup(facts) + more


def _noted(key: str) -> dict[str, Any]:
    """Return what an executed notebook says itself, where the database knows no run of it."""
    text = read_log(key)
    noted = {} if text is None else facts_of(text)
    started = pd.to_datetime(noted.get("start_time"), utc=True)
    took = pd.to_timedelta(noted.get("duration"), unit="s")
    return {"parameters": noted.get("parameters") or {}, "started": started, "finished": started + took}


def _cost(run: dict[str, Any]) -> dict[str, str]:
    seconds, peak = run.get("cpu_seconds"), run.get("peak_bytes")
    facts = {}
    if pd.notna(seconds) and seconds is not None:
        facts["time of all cores"] = as_time(float(seconds))
    if pd.notna(peak) and peak:
        facts["largest memory"] = as_bytes(float(peak))
    return facts


def _log_markup(key: str) -> str:
    """Return the markup of an executed notebook, or of what keeps it from being shown."""
    try:
        text = read_log(key)
        if text is None:
            return f"<p>The store has no <code>{html.escape(key)}</code> any more.</p>"
        return log_frame(log_markup(text))
    except TasocKitError as error:
        return f"<p>{html.escape(str(error))}</p>"


def page() -> pmui.Page:
    """Return the page; ``?run=…``, ``?job=…`` or ``?id=…`` asks for one, ``?unit=…&state=…`` for a list."""
    wanted = {name: asked(name)[:100] for name in ("run", "job", "id", "unit", "pipeline", "state")}
    try:
        shown = RunsPage(wanted)
    except TasocKitError as error:
        trouble = theme.empty("The store or its database cannot be read", str(error), ["tasoc doctor"])
        return theme.make_page("runs", main=[theme.heading("Runs"), trouble])
    if shown.all.empty and not wanted["job"] and not shown.jobs.card.visible:
        nothing = theme.empty(
            "Nothing was run yet",
            "This page shows the notebooks that were executed: what they were told, what they took, and "
            "their log. Run a pipeline, or queue a job:",
            ["tasoc run photometry", "tasoc job submit --help"],
        )
        return theme.make_page("runs", main=[theme.heading("Runs"), nothing])
    return theme.make_page("runs", sidebar=shown.sidebar(), main=shown.main(), width=400)


if pn.state.served:
    page().servable()
