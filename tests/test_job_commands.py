"""``tasoc job`` and ``tasoc worker`` at the keyboard."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import tasoc
from ffi_files import write_ffi

from tasoc_kit.records import jobs, leases, schedules
from tasoc_kit.records.engine import writing
from tasoc_kit.records.tables import Schedule

Tasoc = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tiny_pipelines: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Tasoc:
    """The command, with the tiny pipelines."""
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    return lambda *words: tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)


def test_a_job_is_submitted_listed_shown_and_changed(run: Tasoc) -> None:
    code, told, _ = run(
        "job", "submit", "tiny", "--set", "sector=1", "--set", "camera=1", "--set", "ccd=2",
        "--set", "doubled.factor=3.0", "--queue", "night", "--memory", "4GB", "--hours", "2",
    )  # fmt: skip
    assert (code, told) == (0, "job 1 is in the queue night. Look: tasoc job show 1\n")
    found = jobs.get_job(1)
    assert (found["kind"], found["unit"], found["submitter"]) == ("pipeline", "s0001-1-2", "ann")
    assert (found["most_bytes"], found["most_seconds"]) == (4 * 10**9, 7200.0)
    assert found["arguments"]["settings"] == {"doubled": {"factor": 3.0}}
    for verb, state in (("hold", "held"), ("release", "ready"), ("cancel", "cancelled"), ("retry", "ready")):
        assert run("job", verb, "1")[0] == 0
        assert jobs.get_job(1)["state"] == state
    _, told, _ = run("job", "list")
    assert "night: 1 ready" in told
    _, told, _ = run("job", "show", "1")
    assert all(word in told for word in ("tiny", "factor", "cancelled", "ann", "tried again"))
    assert run("job", "remove", "1")[0] == 0
    assert "No such job" in run("job", "list")[1]
    assert "removed" in run("job", "list", "--state", "removed")[1]


def test_what_runs_says_how_far_it_is_and_what_waits_says_for_what(run: Tasoc) -> None:
    for factor in (1.0, 2.0):
        place = ("--set", "sector=1", "--set", "camera=1", "--set", "ccd=2")
        run("job", "submit", "tiny", *place, "--set", f"doubled.factor={factor}")
    leases.claim_job("w", ["default"], 60)
    leases.start_job(1, "w")
    progress = {"notebook": "11_summed", "ended": 1, "notebooks": 2, "blocks_done": 3, "blocks": 4}
    leases.renew_lease(1, "w", 60, progress=progress)
    assert "11_summed, 1 of 2 done, block 3 of 4" in run("job", "list")[1]
    assert "job 1, which works on the same unit" in run("job", "show", "2")[1]
    assert run("job", "cancel", "1")[1] == "job 1: its worker is asked to end it\n"


def test_a_notebook_is_submitted_by_its_name(run: Tasoc) -> None:
    assert run("job", "submit", "10_doubled", "--set", "factor=2.5", "--hold")[1].startswith("job 1 is held")
    assert jobs.get_job(1)["kind"] == "notebook"


def test_a_run_may_be_put_into_a_queue_one_job_for_each_unit(run: Tasoc, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for ccd in (1, 3):
        write_ffi(frames, ccd=ccd)
    words = ("run", "tiny", "--cube", str(frames), "--set", "doubled.factor=5.0", "--until", "doubled")
    code, told, _ = run(*words, "--queue", "night")
    assert code == 0
    assert "tasoc worker --queue night" in told
    found = jobs.list_jobs()
    assert found["unit"].tolist() == ["s0001-1-3", "s0001-1-1"]
    assert found["arguments"][0]["settings"] == {"doubled": {"factor": 5.0}}
    assert found["arguments"][0]["last"] == "doubled"
    assert not (tmp_path / "store" / "doubled").exists()


def test_a_schedule_is_added_listed_and_removed(run: Tasoc) -> None:
    assert "No schedule" in run("job", "schedule", "list")[1]
    code, told, _ = run("job", "schedule", "add", "30 2 * * *", "tiny", "--title", "nightly")
    assert code == 0
    assert "02:30 UTC" in told
    assert "nightly" in run("job", "schedule", "list")[1]
    run("job", "schedule", "add", "0 0 1 1 *", "tiny", "--title", "yearly")
    with writing(None) as session:
        session.get(Schedule, 1).next_at -= datetime.timedelta(days=1)
    assert schedules.submit_due() == [1]
    listed = run("job", "schedule", "list")[1].splitlines()
    assert [line.split()[-2:] for line in listed if "ly" in line] == [["1", "nightly"], ["tiny", "yearly"]]
    assert run("job", "schedule", "remove", "2")[0] == 0
    assert run("job", "schedule", "disable", "1")[0] == 0
    assert "rests" in run("job", "schedule", "list")[1]
    assert run("job", "schedule", "enable", "1")[0] == 0
    assert run("job", "schedule", "remove", "1")[0] == 0
    assert "No schedule" in run("job", "schedule", "list")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("job", "submit", "tny"), "did you mean 'tiny'"),
        (("job", "submit", "tiny", "--set", "sector"), "--set 'sector': expected parameter=value"),
        (("job", "submit", "tiny", "--set", "a=[1"), "--set 'a=[1': expected parameter=value"),
        (("job", "submit", "10_doubled", "--set", "a.b=1"), "expected parameter=value"),
        (("job", "submit", "tiny", "--memory", "much"), "--memory 'much': expected a size"),
        (("job", "submit", "tiny", "--queue", "a b"), "queue 'a b' is not usable"),
        (("run", "tiny", "--queue", "q", "--workers", "2", "--wait"), "--workers, --wait with --queue"),
        (("job", "show", "7"), "job 7: there is none of this number"),
        (("job", "cancel", "7"), "job 7: there is none of this number"),
        (("job", "list", "--state", "redy"), "did you mean 'ready'"),
        (("job", "schedule", "add", "often", "tiny"), "'often' is no cron expression"),
        (("job", "schedule", "remove", "7"), "schedule 7: there is none of this number"),
        (("worker", "--memory", "-1"), "--memory '-1': expected a size"),
        (("worker", "--queue", "a b"), "queue 'a b' is not usable"),
        (("worker", "--queue", " , "), "worker: no queue; expected one at least"),
    ],
)
def test_a_mistake_is_one_line_and_the_next_step(run: Tasoc, words: tuple[str, ...], message: str) -> None:
    code, _, told = run(*words)
    assert code == 2
    assert message in told
    assert len(told.splitlines()) == 1
