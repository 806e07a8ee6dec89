"""The queue: one state at a time, one worker a job, every change on record, by both databases alike."""

from __future__ import annotations

import datetime
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tasoc_kit import database
from tasoc_kit.config import settings
from tasoc_kit.errors import DatabaseError, JobError
from tasoc_kit.records import jobs, leases, schedules
from tasoc_kit.records.engine import writing
from tasoc_kit.records.queue_health import queue_health
from tasoc_kit.records.tables import Job, JobEvent, Run, Schedule

UNIT = "s0001-1-2"
HOUR = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database in a file, for all tests of this module."""
    return f"sqlite:///{tmp_path_factory.mktemp('jobs') / 'jobs.sqlite'}"


@pytest.fixture(scope="module")
def postgres_database(postgres_server: str) -> str:
    """A database of the server, for all tests of this module."""
    engine = sa.create_engine(f"{postgres_server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as server:
        server.execute(sa.text("CREATE DATABASE jobs"))
    engine.dispose()
    return f"{postgres_server}/jobs"


def emptied(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the settings name a database, and empty it."""
    monkeypatch.setenv("TASOC_DATABASE", url)
    settings.cache_clear()
    with writing(url) as session:
        for table in (Job, JobEvent, Run, Schedule):
            session.execute(sa.delete(table))
    return url


@pytest.fixture(params=["sqlite_file", "postgres_database"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings' database: an empty one, of each kind."""
    return emptied(request.getfixturevalue(request.param), monkeypatch)


@pytest.fixture
def sqlite(sqlite_file: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings' database: an empty one, in a file."""
    return emptied(sqlite_file, monkeypatch)


def submit(number: int = 0, **options: object) -> int:
    return jobs.submit_job("notebook", "10_a", {"n": number}, **options)


def claim(worker: str = "me", *queues: str, seconds: float = 60.0, **options: object) -> int | None:
    found = leases.claim_job(worker, queues or ("default",), seconds, **options)
    return found and found["job"]


def state(job: int) -> str:
    return jobs.get_job(job)["state"]


def states(job: int) -> list[str]:
    return jobs.job_events(job)["after"].tolist()


def due(job: int) -> float:
    """Return in how many seconds, after its last event, a job may start."""
    found = jobs.get_job(job)
    return (found["not_before"] - jobs.job_events(job)["at"].iloc[-1]).total_seconds()


def make_ready(job: int) -> None:
    """Let the time pass that a job waits for."""
    with writing(None) as session:
        session.get(Job, job).not_before -= HOUR


def in_processes(number: int, work: Callable[[int], None]) -> None:
    """Do some work in several processes at once; it fails here where it fails there."""
    children = []
    for index in range(number):
        pid = os.fork()
        if pid == 0:
            try:
                work(index)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * number


def test_a_job_goes_from_ready_to_done_and_every_change_is_on_record(url: str) -> None:
    job = submit(unit=UNIT, submitter="ann")
    assert claim("w1") == job
    assert leases.start_job(job, "w1")
    assert leases.renew_lease(job, "w1", 60, progress={"ended": 1}) == "go on"
    assert jobs.get_job(job)["progress"] == {"ended": 1}
    assert leases.finish_job(job, "w1", {"products": []})
    found, events = jobs.get_job(job), jobs.job_events(job)
    assert (found["state"], found["tries"], found["result"], found["lease_until"]) == (
        "done",
        1,
        {"products": []},
        None,
    )
    assert events["before"].tolist() == ["", "ready", "claimed", "running"]
    assert events["after"].tolist() == ["ready", "claimed", "running", "done"]
    assert events["actor"].tolist() == ["ann", "w1", "w1", "w1"]
    assert events["at"].is_monotonic_increasing
    assert found["submitted"] <= found["started"] <= found["finished"]
    assert found["submitted"].utcoffset() == datetime.timedelta(0)


def test_what_is_urgent_comes_first_then_what_is_old_and_only_of_its_queues(url: str) -> None:
    plain, later, urgent, other = (
        submit(1),
        submit(2, not_before=datetime.datetime.now(datetime.UTC) + HOUR),
        submit(3, priority=5),
        submit(4, queue="night"),
    )
    assert [claim(), claim(), claim()] == [urgent, plain, None]
    assert claim("me", "default", "night") == other
    assert state(later) == "ready"


def test_an_equal_request_is_doubled_only_once_the_first_has_ended(url: str) -> None:
    first = submit(1, held=True)
    assert submit(1, priority=9, queue="night") == first
    assert submit(2) != first
    jobs.release_job(first, "ann")
    assert claim() == first
    assert submit(1) == first
    leases.finish_job(first, "me", {})
    assert submit(1) not in (first, None)


def test_equal_requests_at_the_same_moment_are_one_job(url: str, tmp_path: Path) -> None:
    def ask(index: int) -> None:
        (tmp_path / str(index)).write_text(" ".join(str(submit(n)) for n in range(5)))

    in_processes(4, ask)
    assert len({(tmp_path / str(index)).read_text() for index in range(4)}) == 1
    assert len(jobs.list_jobs()) == 5


def test_every_job_is_claimed_once_whoever_asks(url: str, tmp_path: Path) -> None:
    """Jobs of four units and of none, four workers: each once, and no unit by two at a time."""
    wanted = [submit(n, unit=f"s{n % 4:04d}-1-1" if n % 2 else "") for n in range(24)]

    def work(index: int) -> None:
        me, log = f"w{index}", (tmp_path / f"log{index}").open("w")
        while True:
            found = leases.claim_job(me, ["default"], 60.0)
            if found is None:
                if not set(jobs.list_jobs()["state"]) & {"ready", "claimed", "running"}:
                    return
                continue
            place = tmp_path / (found["unit"] or f"job{found['job']}")
            place.mkdir()
            assert leases.start_job(found["job"], me)
            log.write(f"{found['job']} ")
            log.flush()
            place.rmdir()
            assert leases.finish_job(found["job"], me, {})

    in_processes(4, work)
    done = Counter(int(word) for path in tmp_path.glob("log*") for word in path.read_text().split())
    assert done == Counter(wanted)
    assert {tuple(states(job)) for job in wanted} == {("ready", "claimed", "running", "done")}


def test_two_jobs_of_one_unit_and_pipeline_wait_for_each_other_and_others_do_not(url: str) -> None:
    first, second = submit(1, unit=UNIT), submit(2, unit=UNIT)
    other = jobs.submit_job("notebook", "11_b", {}, unit=UNIT)
    assert [claim(), claim(), claim()] == [first, other, None]
    assert jobs.unit_holder(second) == first
    assert jobs.unit_holder(first) is None
    leases.finish_job(first, "me", {})
    assert claim() == second


def test_a_job_is_tried_again_after_10_s_1_min_and_10_min_and_then_failed(url: str) -> None:
    job = submit(most_tries=5)
    waits = []
    for _ in range(4):
        assert claim() == job
        assert leases.fail_job(job, "me", "no room") == "ready"
        assert claim() is None
        waits.append(round(due(job)))
        make_ready(job)
    assert waits == [10, 60, 600, 600]
    assert claim() == job
    assert leases.fail_job(job, "me", "no room") == "failed"
    assert jobs.get_job(job)["message"] == "no room"
    jobs.retry_job(job, "ann")
    assert claim() == job
    assert jobs.get_job(job)["tries"] == 1


def test_what_a_retry_cannot_mend_fails_at_once(url: str) -> None:
    job = submit()
    claim()
    assert leases.fail_job(job, "me", "no such parameter", again=False) == "failed"


def test_a_worker_that_lost_its_lease_changes_nothing(url: str) -> None:
    job = submit()
    assert claim("slow", seconds=0.0) == job
    run = database.start_run("", "10_a", "", job=job)
    assert leases.release_stale("keeper") == [job]
    assert claim("quick") == job
    before = jobs.get_job(job)
    assert leases.renew_lease(job, "slow", 60) == "lost"
    assert not leases.start_job(job, "slow")
    assert not leases.finish_job(job, "slow", {"products": ["x"]})
    assert leases.fail_job(job, "slow", "x") == ""
    assert not leases.give_back_job(job, "slow", "x")
    assert not leases.cancel_claimed(job, "slow", "x")
    assert jobs.get_job(job) == before
    assert states(job) == ["ready", "claimed", "ready", "claimed"]
    assert database.list_runs().set_index("run").loc[run, "status"] == "killed"
    assert leases.finish_job(job, "quick", {})


@pytest.mark.parametrize("end", ["done", "failed", "given back", "cancelled"])
def test_a_job_and_its_runs_end_together_or_not_at_all(sqlite: str, end: str) -> None:
    """A worker that cannot note the one tries again, and would find that the job is no more its own."""
    ways: dict[str, Callable[[], object]] = {
        "done": lambda: leases.finish_job(job, "me", {}, costs=(2.5, 7)),
        "failed": lambda: leases.fail_job(job, "me", "x", again=False, costs=(2.5, 7)),
        "given back": lambda: leases.give_back_job(job, "me", "x", costs=(2.5, 7)),
        "cancelled": lambda: leases.cancel_claimed(job, "me", "x", costs=(2.5, 7)),
    }
    job = submit()
    claim()
    database.start_run("", "10_a", "", job=job)
    with no_runs_change(), pytest.raises(DatabaseError, match="no room"):
        ways[end]()
    assert state(job) == "claimed"
    assert ways[end]()
    run = database.list_runs().iloc[0]
    assert (run["status"], run["cpu_seconds"], run["peak_bytes"]) == (
        "done" if end == "done" else "killed", 2.5, 7
    )  # fmt: skip
    assert state(job) == {"given back": "ready"}.get(end, end)


@contextmanager
def no_runs_change() -> Iterator[None]:
    """Let the database refuse to change what is noted of runs."""
    refuse = "CREATE TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no room'); END"
    with writing(None) as session:
        session.execute(sa.text(refuse))
    try:
        yield
    finally:
        with writing(None) as session:
            session.execute(sa.text("DROP TRIGGER full"))


def test_a_job_that_kills_its_workers_fails_after_its_last_try(url: str) -> None:
    job = submit(most_tries=2)
    for _ in range(2):
        assert claim("w", seconds=0.0) == job
        assert leases.release_stale() == [job]
    assert state(job) == "failed"
    assert "was not heard of again, 2 times" in jobs.get_job(job)["message"]


def test_a_lease_that_is_renewed_is_not_stale(url: str) -> None:
    job = submit()
    claim("w", seconds=0.0)
    assert leases.renew_lease(job, "w", 60) == "go on"
    assert leases.release_stale() == []
    assert state(job) == "claimed"


@contextmanager
def wrong_clock(monkeypatch: pytest.MonkeyPatch, wrong: datetime.timedelta) -> Iterator[None]:
    """Let the clock of this machine, not that of the database, be early or late."""
    real = datetime.datetime

    class Skewed(real):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> real:
            return real.now(tz) + wrong

    with monkeypatch.context() as patch:
        patch.setattr(datetime, "datetime", Skewed)
        patch.setattr(time, "time", lambda: real.now().timestamp() + wrong.total_seconds())
        yield


def test_a_worker_whose_clock_is_wrong_agrees_with_the_others(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day early or late: only the clock of the database counts."""
    for number, wrong in enumerate((24 * HOUR, -24 * HOUR)):
        job = submit(number)
        with wrong_clock(monkeypatch, wrong):
            assert claim("skewed") == job
            assert leases.release_stale("skewed") == []
        with Session(database.connect()) as session:
            left = jobs.database_time(session) + HOUR
        assert leases.release_stale("right") == []
        assert jobs.get_job(job)["lease_until"] < left
        assert leases.finish_job(job, "skewed", {})


@pytest.mark.parametrize("wrong", [24 * HOUR, -24 * HOUR])
def test_the_health_of_the_queue_is_told_by_the_clock_of_the_database(
    url: str, monkeypatch: pytest.MonkeyPatch, wrong: datetime.timedelta
) -> None:
    submit(1)
    claim("busy/1")
    submit(2)
    with wrong_clock(monkeypatch, wrong):
        found = queue_health()
    assert (found.waiting, found.running, found.workers, found.stale) == (1, 1, 1, 0)
    assert 0 <= found.oldest_seconds < HOUR.total_seconds()
    assert not found.abandoned


def test_what_waits_is_cancelled_at_once_and_what_runs_by_its_worker(url: str) -> None:
    waiting, running = submit(1), submit(2, priority=1)
    assert claim() == running
    assert jobs.cancel_job(waiting, "ann") == "cancelled"
    assert jobs.cancel_job(running, "ann") == "claimed"
    assert leases.renew_lease(running, "me", 60) == "cancelled"
    assert leases.cancel_claimed(running, "me", "ended")
    assert (state(waiting), state(running)) == ("cancelled", "cancelled")
    jobs.retry_job(running, "ann")
    assert claim() == running
    assert leases.renew_lease(running, "me", 60) == "go on"


@pytest.mark.parametrize("end", ["stale", "failed", "given back"])
def test_a_job_that_is_cancelled_is_not_tried_again_however_it_ends(sqlite: str, end: str) -> None:
    job = submit()
    claim(seconds=0.0)
    jobs.cancel_job(job, "ann")
    if end == "stale":
        leases.release_stale()
    elif end == "failed":
        leases.fail_job(job, "me", "x")
    else:
        leases.give_back_job(job, "me", "x")
    assert state(job) == "cancelled"


def test_a_job_given_back_has_lost_no_try(url: str) -> None:
    job = submit()
    claim()
    assert leases.give_back_job(job, "me", "the worker ended")
    assert (state(job), jobs.get_job(job)["tries"]) == ("ready", 0)
    assert claim("other") == job


def test_a_worker_leaves_jobs_alone_that_need_more_memory(url: str) -> None:
    large, small = submit(1, most_bytes=8 * 10**9), submit(2)
    assert claim(most_bytes=4 * 10**9) == small
    assert claim(most_bytes=4 * 10**9) is None
    assert claim() == large


def test_a_held_job_waits_until_it_is_released(url: str) -> None:
    job = submit()
    jobs.hold_job(job, "ann")
    assert claim() is None
    make_ready(job)
    jobs.release_job(job, "ann")
    assert queue_health().oldest_seconds < HOUR.total_seconds()
    assert claim() == job
    later = submit(1, held=True, not_before=datetime.datetime.now(datetime.UTC) + HOUR)
    jobs.release_job(later, "ann")
    assert claim() is None


@contextmanager
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine be nine hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC-9")
        time.tzset()
        yield
    time.tzset()


def test_a_time_without_a_zone_is_utc_wherever_the_machine_is(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    east = datetime.timezone(5 * HOUR)
    with far_east(monkeypatch):
        given = [expected.replace(tzinfo=None), expected, expected.astimezone(east)]
        made = [submit(number, not_before=moment) for number, moment in enumerate(given)]
        assert [jobs.get_job(job)["not_before"] for job in made] == [expected] * 3
        assert jobs.list_jobs()["not_before"].tolist() == [expected] * 3


def test_a_job_that_is_removed_keeps_its_row_and_who_did_it(url: str) -> None:
    job, kept = submit(1), submit(2)
    jobs.remove_job(job, "ann")
    assert jobs.list_jobs()["job"].tolist() == [kept]
    assert jobs.list_jobs(state="removed")["job"].tolist() == [job]
    assert jobs.job_events(job).iloc[-1][["before", "after", "actor"]].tolist() == ["ready", "removed", "ann"]
    assert claim() == kept


CHANGES = {
    "cancel": (jobs.cancel_job, {"held", "ready", "claimed", "running"}),
    "hold": (jobs.hold_job, {"ready"}),
    "release": (jobs.release_job, {"held"}),
    "retry": (jobs.retry_job, {"failed", "cancelled"}),
    "remove": (jobs.remove_job, {"held", "ready", "done", "failed", "cancelled"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(sqlite: str, change: str) -> None:
    do, allowed = CHANGES[change]
    for number, found in enumerate(state for state in jobs.STATES if state not in allowed):
        job = submit(number)
        with writing(None) as session:
            session.get(Job, job).state = found
        before = jobs.get_job(job)
        with pytest.raises(
            JobError, match=f"job {job}: it is {found} and cannot be .*; expected one that is"
        ):
            do(job, "ann")
        assert jobs.get_job(job) == before
        assert len(jobs.job_events(job)) == 1


@pytest.mark.parametrize("job", [77, 0, -1, 10**30])
def test_a_job_that_does_not_exist_is_said_so(url: str, job: int) -> None:
    submit()
    assert jobs.get_job(job) is None
    assert jobs.job_events(job).empty
    with pytest.raises(JobError, match=f"job {job}: there is none of this number"):
        jobs.cancel_job(job, "ann")


def test_a_retry_beside_an_equal_open_job_is_refused(url: str) -> None:
    first = submit(1)
    jobs.cancel_job(first, "ann")
    second = submit(1)
    with pytest.raises(JobError, match=f"job {first}: an equal one, {second}, has not ended"):
        jobs.retry_job(first, "ann")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"queue": "a b"}, "queue 'a b' is not usable"),
        ({"queue": ""}, "queue '' is not usable"),
        ({"queue": "x'; DROP TABLE jobs; --"}, "is not usable"),
        ({"most_tries": 0}, "most_tries=0"),
        ({"most_seconds": float("nan")}, "most_seconds=nan"),
        ({"most_seconds": -1.0}, r"most_seconds=-1\.0"),
        ({"most_bytes": -5}, "most_bytes=-5"),
        ({"priority": 2**40}, "priority="),
    ],
)
def test_a_limit_that_nobody_can_keep_is_refused(sqlite: str, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(JobError, match=message):
        submit(**wrong)
    assert jobs.list_jobs().empty


def test_jobs_are_listed_newest_first_by_what_they_are_and_page_by_page(url: str) -> None:
    made = [submit(n, unit=UNIT if n % 2 else "", submitter="ann" if n < 3 else "bob") for n in range(6)]
    assert jobs.list_jobs()["job"].tolist() == made[::-1]
    assert jobs.list_jobs(unit=UNIT, submitter="ann")["job"].tolist() == [made[1]]
    assert jobs.list_jobs(limit=2)["job"].tolist() == made[:3:-1]
    assert jobs.list_jobs(limit=2, after=made[4])["job"].tolist() == [made[3], made[2]]
    assert jobs.list_jobs(after=10**30)["job"].tolist() == made[::-1]
    for strange in ("\0", "'; DROP TABLE jobs; --", "ünïcödé ✨", "%"):
        assert jobs.list_jobs(queue=strange, unit=strange, submitter=strange).empty
    jobs.cancel_job(made[0], "ann")
    counted = jobs.jobs_in_queues().to_dict("records")
    assert counted == [
        {"queue": "default", "state": "cancelled", "jobs": 1},
        {"queue": "default", "state": "ready", "jobs": 5},
    ]


def test_arguments_come_back_as_they_were_given(url: str) -> None:
    given = {
        "text": "ünïcödé \0 '; DROP TABLE jobs; --",
        "list": [1, 2.5, None, True],
        "deep": {"a": {"b": []}},
    }
    job = jobs.submit_job("notebook", "10_a", given)
    assert jobs.get_job(job)["arguments"] == given


def test_whatever_an_error_says_can_be_noted(url: str) -> None:
    """PostgreSQL takes no null character and no NaN, and neither takes half a character."""
    job = submit()
    run = database.start_run("", "10_a", "", job=job)
    claim()
    odd = {"summary": {"a": float("nan"), "b": [float("inf"), "\0"], "c": "\ud800"}}
    assert leases.renew_lease(job, "me", 60, progress=odd) == "go on"
    assert leases.fail_job(job, "me", "at \0 and \ud800", again=False, result=odd) == "failed"
    database.finish_run(run, "failed", message="at \0 and \ud800")
    found = jobs.get_job(job)
    assert found["message"] == database.list_runs()["message"][0] == "at \\0 and ?"
    assert found["result"] == found["progress"] == {"summary": {"a": None, "b": [None, "\0"], "c": "?"}}


def test_without_a_database_there_is_nothing_and_none_is_made() -> None:
    assert claim() is None
    assert leases.release_stale() == []
    assert schedules.submit_due() == []
    assert jobs.jobs_in_queues().empty
    assert not (Path(settings().store) / "tasoc.sqlite").exists()


def add(cron: str = "30 2 * * *", number: int = 0, **options: object) -> int:
    return schedules.add_schedule("nightly", cron, "notebook", "10_a", {"n": number}, **options)


def pass_time(schedule: int, hours: float) -> None:
    """Let a schedule have been due since some hours."""
    with writing(None) as session:
        found = session.get(Schedule, schedule)
        found.next_at = jobs.database_time(session) - hours * HOUR


def test_a_schedule_submits_when_its_time_has_come_and_names_the_next(url: str) -> None:
    schedule = add("30 2 * * *", owner="ann", queue="night", priority=2)
    assert schedules.submit_due() == []
    pass_time(schedule, 0.1)
    (job,) = schedules.submit_due()
    found = jobs.get_job(job)
    assert (found["schedule"], found["submitter"], found["queue"], found["priority"]) == (
        schedule,
        "ann",
        "night",
        2,
    )
    (row,) = schedules.list_schedules().to_dict("records")
    assert row["last_job"] == job
    assert row["next_at"] > found["submitted"]
    assert (row["next_at"].hour, row["next_at"].minute, str(row["next_at"].tz)) == (2, 30, "UTC")
    assert schedules.submit_due() == []


def test_times_that_were_missed_are_made_up_for_once(url: str) -> None:
    schedule = add("*/5 * * * *")
    pass_time(schedule, 100)
    assert len(schedules.submit_due()) == 1
    assert schedules.submit_due() == []
    assert len(jobs.list_jobs()) == 1


def test_whoever_looks_first_submits_and_nobody_else(url: str, tmp_path: Path) -> None:
    for number in range(3):
        pass_time(add("0 0 1 1 *", number), 1)

    def look(index: int) -> None:
        (tmp_path / str(index)).write_text(" ".join(map(str, schedules.submit_due())))

    in_processes(4, look)
    submitted = itertools.chain(*((tmp_path / str(index)).read_text().split() for index in range(4)))
    assert sorted(map(int, submitted)) == sorted(jobs.list_jobs()["job"])
    assert len(jobs.list_jobs()) == 3


def test_a_schedule_rests_goes_on_and_is_removed(url: str) -> None:
    schedule = add("*/5 * * * *")
    pass_time(schedule, 1)
    schedules.enable_schedule(schedule, enabled=False)
    assert schedules.submit_due() == []
    schedules.enable_schedule(schedule)
    assert schedules.submit_due() == [], "what passed while it rested is not made up for"
    pass_time(schedule, 1)
    (job,) = schedules.submit_due()
    schedules.remove_schedule(schedule)
    assert schedules.list_schedules().empty
    assert state(job) == "ready"
    with pytest.raises(JobError, match=f"schedule {schedule}: there is none"):
        schedules.remove_schedule(schedule)


@pytest.mark.parametrize(
    "cron", ["", "nonsense", "61 * * * *", "* * *", "0 0 30 2 *", "30 2 * * * *", "* * * * * * * *"]
)
def test_what_is_no_cron_expression_is_refused(sqlite: str, cron: str) -> None:
    with pytest.raises(JobError, match="is no cron expression; expected minute, hour"):
        add(cron)
    with pytest.raises(JobError, match="is not usable"):
        add(queue="a b")
    assert schedules.list_schedules().empty


def test_the_table_of_jobs_has_an_index_for_every_question_a_worker_asks(url: str) -> None:
    submit()
    found = {tuple(index["column_names"]) for index in sa.inspect(database.connect()).get_indexes("jobs")}
    assert ("state", "queue", "priority", "job") in found
    assert ("fingerprint",) in found
