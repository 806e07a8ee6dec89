"""Runs as people see them: the list, the log in its frame, the lineage, and the form that runs one again."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import dashboard_data as data
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat import v4

from tasoc_kit import database, store
from tasoc_kit.dashboards import holdings, overview, visitor
from tasoc_kit.dashboards.lineage_graph import Node, graph_markup, read_graph
from tasoc_kit.dashboards.open_jobs import OpenJobs, progress_words
from tasoc_kit.dashboards.run_form import RunForm
from tasoc_kit.dashboards.run_list import list_all, newest, read_log
from tasoc_kit.dashboards.run_log import log_frame, log_markup
from tasoc_kit.dashboards.runs import RunsPage, page
from tasoc_kit.errors import NotebookError
from tasoc_kit.identity import NOBODY, READER, Identity
from tasoc_kit.pipeline.plan import load_pipelines
from tasoc_kit.records import leases
from tasoc_kit.records.jobs import get_job, job_events, list_jobs, submit_job

UNIT = "s0001-1-2"
GIVEN = {"cube": "simulation.tiny", "sector": 1, "camera": 1, "ccd": 2, "frames": 24, "ids": {}}
EVIL = "<script>document.title = 'reached'</script><img src='https://example.org/x.png'>"


@pytest.fixture
def made() -> list[Any]:
    """A reference, apertures and light curves in the store, each with its record."""
    reference = data.make_reference(data.make_cube())
    apertures = data.make_apertures(reference)
    found = [reference, apertures, data.make_light_curves(apertures)]
    for product in found:
        store.write_product(product)
    return found


def write_log(identity: str, notebook: str = "12_reference", ending: str = "", *, folder: str = UNIT) -> str:
    """Put an executed notebook that shows something evil into the store, and return its key."""
    output = v4.new_output("display_data", {"text/html": EVIL})
    cell = v4.new_code_cell("1 + 1", outputs=[output])
    noted = {"papermill": {"parameters": GIVEN, "start_time": "2026-01-02T03:04:05+00:00", "duration": 4.5}}
    key = f"runs/{folder}/{notebook}-{identity}{ending}.ipynb"
    path = Path(store.own(None).root) / key
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=[cell], metadata=noted), path)
    return key


def run(identity: str, status: str = "done", **end: Any) -> int:
    number = database.start_run("photometry", "12_reference", UNIT, id=identity, parameters=GIVEN)
    database.finish_run(number, status, **end)
    return number


@pytest.fixture(autouse=True)
def reader() -> Any:
    """Let who shows nothing read, as a server on loopback does."""
    before = dict(visitor._LET_IN)
    visitor.let_in(READER)
    yield
    visitor._LET_IN.update(before)


@pytest.fixture
def writer(reader: None) -> None:
    visitor.let_in(Identity("ann", "write", "start"))


def words(parts: Any) -> str:
    return " ".join(
        str(part.object) for part in parts.select() if isinstance(getattr(part, "object", 0), str)
    )


def test_a_run_is_shown_with_its_cost_its_parameters_its_lineage_and_its_log(made):
    identity = made[0].attrs["provenance_id"]
    key = write_log(identity)
    number = run(identity, message=f"/somewhere/{key}", log=key, cpu_seconds=12.34, peak_bytes=512_000_000)
    run("f" * 12, "failed", message="make_reference: <b>no</b> frame")
    shown = RunsPage({"run": str(number)})
    assert shown.all.at[shown.row, "run"] == number
    for said in ("12.3 s", "512.0 MB", key, "&quot;simulation.tiny&quot;"):
        assert said in shown.facts.object
    assert made[1].attrs["provenance_id"] in shown.lineage.object
    asyncio.run(shown.load_log(key))
    assert "sandbox='allow-scripts'" in shown.log.object
    assert "<script>document.title" not in shown.log.object
    shown.step(-1)
    assert "&lt;b&gt;no&lt;/b&gt; frame" in shown.facts.object
    assert "No executed notebook was kept" in shown.log.object


def test_a_log_that_no_run_names_is_listed_and_tells_what_it_was_told():
    write_log("a" * 12)
    write_log("b" * 12, ending="-failed")
    (Path(store.own(None).root) / "runs" / UNIT / "notes.txt").write_text("mine")
    table = list_all()
    assert sorted(table[["run", "status", "id"]].values.tolist()) == [
        [0, "done", "a" * 12], [0, "failed", "b" * 12],
    ]  # fmt: skip
    shown = RunsPage({"id": "a" * 12})
    assert "4.5 s" in shown.facts.object
    assert "24" in shown.facts.object
    known = run("a" * 12, log=f"runs/{UNIT}/12_reference-{'a' * 12}.ipynb")
    assert list_all()["run"].tolist() == [known, 0]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_log_that_is_damaged_is_listed_and_said_to_be(content):
    key = write_log("a" * 12)
    (Path(store.own(None).root) / key).write_bytes(content)
    shown = RunsPage()
    assert key in shown.facts.object
    asyncio.run(shown.load_log(key))
    assert "it is not a notebook" in shown.log.object


@pytest.mark.parametrize("folder", [UNIT, "jobs"])
def test_the_log_of_a_notebook_that_a_job_ran_is_shown(folder):
    key, lone = write_log("job3", folder=folder), write_log("job4", ending="-failed", folder=folder)
    number = database.start_run("photometry", "12_reference", "", job=3)
    database.finish_run(number, "done", id="a" * 12, log=key)
    shown = RunsPage({"run": str(number)})
    asyncio.run(shown.load_log(key))
    assert "sandbox='allow-scripts'" in shown.log.object
    other = list_all().loc[1, ["run", "unit", "id", "status", "log"]].tolist()
    assert other == [0, UNIT if folder == UNIT else "", "", "failed", lone]


@pytest.mark.parametrize(
    "key", ["../secret.ipynb", "runs/../../x-aaaaaaaaaaaa.ipynb", "runs/s0001-1-2/x.ipynb", "tasoc.sqlite"]
)
def test_no_other_file_is_read_for_a_log(key):
    assert read_log(key) is None


def test_a_log_is_a_page_without_an_origin_that_may_ask_nothing_of_the_network(tmp_path):
    key = write_log("c" * 12)
    text = read_log(key)
    made = log_markup(text)
    assert made.index("Content-Security-Policy") < made.index("document.title")
    assert "default-src 'none'" in made
    assert "connect-src" not in made
    frame = log_frame(made)
    assert "allow-same-origin" not in frame
    assert frame.count('"') == 2  # nothing inside ends the attribute
    with pytest.raises(NotebookError, match="it is not a notebook"):
        log_markup(b"{")


def test_the_lineage_leads_from_product_to_product(made):
    ids = [product.attrs["provenance_id"] for product in made]
    nodes = read_graph(ids[1])
    assert nodes.keys() >= set(ids)
    assert nodes[ids[2]].parents == (ids[1],)
    drawn = graph_markup(nodes, ids[1])
    assert f"id={ids[0]}" in drawn
    assert f"id={ids[1]}" not in drawn
    assert read_graph("0" * 12) == {}


PARENTS = {
    "raw": "", "quality": "raw", "pointing": "quality", "reference": "raw quality pointing",
    "stars": "reference", "apertures": "reference stars", "psf": "reference apertures",
    "stream": "raw apertures psf quality",
    "sky": "stream reference quality", "curves": "stream sky apertures quality", "noise": "curves apertures",
    "filtered": "curves", "vectors": "curves noise", "cbv": "vectors curves", "halo": "stream sky",
    "ensemble": "curves noise", "chosen": "cbv filtered ensemble curves noise", "validation": "chosen halo",
}  # fmt: skip


def test_no_line_of_the_lineage_runs_through_a_box():
    nodes = {name: Node(name, name, tuple(parents.split())) for name, parents in PARENTS.items()}
    drawn = graph_markup(nodes, "validation")
    found = re.findall(r"<rect x='([\d.]+)' y='([\d.]+)' width='(\d+)' height='(\d+)'.*?>(\w+)</text>", drawn)
    boxes = {name: [float(number) for number in numbers] for *numbers, name in found}
    assert boxes.keys() == nodes.keys()
    share = np.linspace(0, 1, 41)
    weights = [(1 - share) ** 3, 3 * share * (1 - share) ** 2, 3 * share**2 * (1 - share), share**3]
    begins, ends = set(), set()
    for path in re.findall(r"<path d='([^']+)'", drawn):
        numbers = [float(number) for number in re.findall(r"[\d.]+", path)]
        if "H" in path:
            x, y = np.linspace(numbers[0], numbers[2], 41), np.full(41, numbers[1])
        else:
            x, y = (sum(w * at for w, at in zip(weights, numbers[k::2], strict=True)) for k in (0, 1))
        begins.add((x[0], y[0]))
        ends.add((x[-1], y[-1]))
        for left, top, wide, high in boxes.values():
            inside = (x > left + 1) & (x < left + wide - 1) & (y > top + 1) & (y < top + high - 1)
            assert not inside.any(), path
    for name, (left, top, wide, high) in boxes.items():
        assert ((left, top + high / 2) in ends) == (name != "raw")
        assert ((left + wide, top + high / 2) in begins) == (name != "validation")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"run": "999"}, "There is no run with run &#x27;999&#x27;"),
        ({"id": "' OR 1=1 --"}, "There is no run with id &quot;&#x27; OR 1=1 --&quot;"),
        ({"job": "9" * 30}, "No notebook of this job has started yet"),
        ({"unit": "☃"}, "No run is like this"),
    ],
)
def test_what_is_asked_for_and_not_there_is_said(made, wanted, said):
    run(made[0].attrs["provenance_id"])
    shown = RunsPage(wanted)
    assert (shown.row, shown.below.visible) == (-1, False)
    assert said in shown.heading.object


def test_who_may_not_write_is_told_how_to_sign_in(made):
    run(made[0].attrs["provenance_id"])
    assert "sign-in" in words(RunsPage().again)


@pytest.mark.usefixtures("writer")
def test_a_run_is_started_again_with_a_changed_parameter(made):
    run(made[0].attrs["provenance_id"])
    told: list[int] = []
    form = RunForm("12_reference", GIVEN, "ann", told.append)
    assert form.arguments()["frames"] == 24
    form.fields["frames"].value = "3.5.1"
    form.submit()
    assert "frames: &#x27;3.5.1&#x27; is no value" in form.alert.object
    form.fields["frames"].value = "-3"
    form.submit()
    assert "frames=-3" in form.alert.object
    assert list_jobs().empty
    form.fields["frames"].value = "32"
    form.submit()
    (job,) = told
    asked = get_job(job)
    assert (asked["name"], asked["arguments"]["frames"], asked["submitter"]) == ("12_reference", 32, "ann")
    assert asked["unit"] == UNIT
    shown = RunsPage({"job": str(job)})
    assert f"<b>{job}</b>" in shown.jobs.pane.object
    assert "No worker has taken this job yet" in shown.heading.object
    assert "tasoc worker --queue default" in shown.facts.object


@pytest.mark.usefixtures("writer")
def test_what_is_written_in_a_form_stays_when_jobs_begin_and_end_elsewhere(made):
    number = run(made[0].attrs["provenance_id"])
    shown = RunsPage({"run": str(number)})
    (frames,) = shown.again.select(lambda part: getattr(part, "label", "") == "frames")
    (button,) = shown.again.select(lambda part: getattr(part, "label", "") == "Run again")
    frames.value = "32"
    button.clicks += 1
    assert list_jobs()["arguments"][0]["frames"] == 32
    run("f" * 12, "failed", message="no frame")
    shown.jobs.poll()
    assert shown.all["run"].tolist() == [number + 1, number]
    assert (shown.again.select(type(frames)).count(frames), frames.value) == (1, "32")
    assert "job 1" in shown.told.object
    shown.step(-1)
    assert frames not in shown.again.select(type(frames))
    assert shown.told.object == ""


def test_a_form_has_a_field_of_its_kind_for_every_parameter_of_every_notebook():
    for pipeline in load_pipelines().values():
        for stage in pipeline.notebooks:
            form = RunForm(stage.notebook, {}, "", lambda job: None)
            defaults = {name: told.get("default") for name, told in form.properties.items()}
            assert form.arguments() == defaults, stage.notebook


def test_jobs_are_looked_at_and_what_changed_is_told():
    told: list[bool] = []
    jobs = OpenJobs(lambda: told.append(True))
    jobs.poll()
    assert (told, jobs.card.visible) == ([], False)
    submit_job("notebook", "12_reference", GIVEN, unit=UNIT)
    asyncio.run(jobs.follow())
    jobs.poll()
    assert told == [True]
    assert "ready" in jobs.pane.object
    progress = {"notebook": "16_stream", "blocks_done": 12, "blocks": 64, "ended": 3, "notebooks": 19}
    assert progress_words(progress) == "16_stream, 12 of 64 blocks · 3 of 19 notebooks"
    assert progress_words({}) == ""


@pytest.mark.usefixtures("writer")
def test_a_job_is_changed_on_its_page_by_whose_it_is():
    job = submit_job("notebook", "12_reference", GIVEN, unit=UNIT, submitter="ann")
    shown = RunsPage({"job": str(job)}).jobs

    def offered() -> list[str]:
        return [button.label for button in shown.changes.buttons.values() if button.visible]

    assert offered() == [f"Cancel job {job}", f"Hold job {job}"]
    shown.changes.buttons["hold"].clicks += 1
    assert (get_job(job)["state"], "held" in shown.pane.object) == ("held", True)
    shown.changes.buttons["release"].clicks += 1
    leases.start_job(leases.claim_job("w", ["default"], 60.0)["job"], "w")
    shown.poll()
    assert offered() == [f"Cancel job {job}"]
    shown.changes.buttons["cancel"].clicks += 1
    assert (get_job(job)["cancelled"], offered()) == (True, [])
    assert "asked to end it" in shown.changes.told.object
    leases.cancel_claimed(job, "w", "cancelled")
    shown.poll()
    assert offered() == [f"Try job {job} again"]
    assert job_events(job)["actor"].tolist()[1:3] == ["ann", "ann"]


@pytest.mark.usefixtures("writer")
def test_a_job_of_another_is_not_changed_and_nothing_after_the_token_is_gone():
    theirs = OpenJobs(lambda: None, job=submit_job("notebook", "12_reference", GIVEN, submitter="bob"))
    assert not any(button.visible for button in theirs.changes.buttons.values())
    assert "It is bob's" in theirs.changes.told.object
    theirs.changes.buttons["cancel"].clicks += 1
    assert "it is not ann&#x27;s" in theirs.changes.told.object
    mine = OpenJobs(lambda: None, job=submit_job("notebook", "17_sky", GIVEN, submitter="ann"))
    visitor.let_in(READER)
    mine.changes.buttons["cancel"].clicks += 1
    assert "this browser may only look" in mine.changes.told.object
    assert list_jobs()["state"].tolist() == ["ready", "ready"]


def test_the_first_page_says_what_ran_last_and_what_to_make_next(made):
    run(made[0].attrs["provenance_id"])
    submit_job("notebook", "12_reference", GIVEN, unit=UNIT)
    assert [one.state for one in newest(5)] == ["ready", "done"]
    said = words(overview.page())
    assert "Next: quality of Sector 1 · camera 1 · CCD 2" in said
    # A line of the browser ends between words, and not after the first dash of --sector.
    command = "tasoc run photometry --cube simulation.tiny --sector 1 --camera 1 --ccd 2"
    assert " ".join(f"<span>{word}</span>" for word in command.split()) in said
    assert "1 CCD, 1 sector, 3 products" in said


def test_ccds_are_found_by_any_part_of_their_name(made):
    found = store.list_products()
    many = pd.concat([found.assign(unit=f"s{n:04d}-{c}-2") for n in (1, 12) for c in (1, 2)])
    cards = overview._Cards(holdings.units(many, database.reviews()), many, {})
    for said, number in (("", 4), ("Sector 12", 2), ("camera 1 s0012", 1), ("<b>", 0), ("s0001-2", 1)):
        cards.search.value = said
        assert len(cards.shown) == number, said
    cards.search.value = "<b>"
    assert "&lt;b&gt;" in cards.cards.object


def test_a_server_that_is_not_open_to_all_shows_nothing_without_a_token(made):
    from tasoc_kit.dashboards.app import pages

    run(made[0].attrs["provenance_id"])
    visitor.let_in(NOBODY)
    said = words(pages()["runs"]())
    assert "Sign in to see this" in said
    assert "12_reference" not in said


def test_without_a_run_the_page_says_what_to_run():
    assert "tasoc run photometry" in words(page())
