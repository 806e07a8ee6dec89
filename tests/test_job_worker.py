"""Workers run jobs once, within their limits, and leave no process behind, however they end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from ffi_files import frame_pixels, write_ffi
from tiny_pipeline import FINISH, IMPORTS, MAKE, PARAMETERS, write_notebook, write_pipeline
from worker_forge import Forge, alive, state, wait_until

from tasoc_kit import database, store
from tasoc_kit.config import settings
from tasoc_kit.pipeline.job_process import _Teller
from tasoc_kit.pipeline.job_worker import JobWorker, WorkerOptions
from tasoc_kit.records import jobs
from tasoc_kit.storage.folders import Folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")

BEGIN = """import os, pathlib, subprocess, time
place = pathlib.Path({place!r})
child = subprocess.Popen(['sleep', '300'], start_new_session=True)
told = place / f'{{n}}-{{os.getpid()}}.part'
told.write_text(f'{{os.getpid()}} {{child.pid}}')
told.rename(told.with_suffix('.begun'))"""
"""What a notebook begins with: it starts another process, and says which two they are."""
CELLS = {
    "50_short": "time.sleep(0.1)",
    "51_once": "time.sleep(300) if len(list(place.glob(f'{n}-*.begun'))) == 1 else None",
    "52_endless": "import signal\n"
    "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n"
    "while not time.sleep(0.01): pass",
    "53_large": "filled = b'x' * 900_000_000\ntime.sleep(300)",
    "54_two": "while len({p.name.split('-')[0] for p in place.glob('*.begun')}) < 2: time.sleep(0.05)",
    "55_wrong": "1 / 0",
    "56_waits": "while not (place / 'go').exists(): time.sleep(0.05)",
}
END = """with (place / 'done').open('a') as log: log.write(f"{n} {os.environ['POOL']}\\n")
from tasoc_kit.pipeline.report import Report
Report('tiny', 's0001-1-2', '0123456789ab', {'n': n})"""


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    """The one program of this module that workers are forked from."""
    tests = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tests.parent), str(tests)]))
        started = Forge()
    yield started
    started.close()


class Bench:
    """Notebooks that say what they do, and workers that run them."""

    def __init__(self, forge: Forge, folder: Path) -> None:
        self.forge, self.folder, self.notebooks = forge, folder, folder / "notebooks"
        self.place = folder / "place"
        self.place.mkdir()
        write_pipeline(self.notebooks)
        opened = MAKE["doubled"].replace("xr.open_zarr", "tk.open_cube")
        write_notebook(self.notebooks / "10_doubled.ipynb", PARAMETERS["doubled"], IMPORTS, opened, FINISH)
        for name, cell in CELLS.items():
            begin = BEGIN.format(place=str(self.place))
            write_notebook(self.notebooks / f"{name}.ipynb", "n: int = 1  # number", begin, cell, END)

    def submit(self, name: str, n: int = 1, **options: Any) -> int:
        """Put a notebook into the queue."""
        return jobs.submit_job("notebook", name, {"n": n}, **options)

    def environment(self, pool: str) -> dict[str, str]:
        """Return the variables of a pool of workers, which has a scratch folder of its own."""
        scratch = self.folder / f"scratch-{pool}"
        scratch.mkdir(exist_ok=True)
        names = [name for name in os.environ if name.startswith(("TASOC_", "IPYTHON", "JUPYTER_DATA"))]
        own = {"TMPDIR": str(scratch), "POOL": pool, "TASOC_NOTEBOOKS": str(self.notebooks)}
        return {name: os.environ[name] for name in names} | own

    def start(self, pool: str = "a", **options: Any) -> int:
        """Start a worker of a pool, and return its process id."""
        quick = {"lease_seconds": 10.0, "poll_seconds": 0.1}
        return self.forge.start(self.environment(pool), self.folder / "log", **quick | options)

    def run(self, number: int = 1, **options: Any) -> None:
        """Let a worker run so many jobs."""
        assert self.forge.wait(self.start(most_jobs=number, **options)) == 0, self.log()

    def log(self) -> str:
        """Return what workers said."""
        return (self.folder / "log").read_text()

    def begun(self) -> list[int]:
        """Wait until a notebook has begun, and return the processes of all that have."""
        wait_until(lambda: any(self.place.glob("*.begun")), "a notebook that begins")
        return [int(pid) for path in self.place.glob("*.begun") for pid in path.read_text().split()]

    def done(self) -> list[tuple[int, str]]:
        """Return number and pool of every notebook that came to its end, in order."""
        path = self.place / "done"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(line.split()[0]), line.split()[1]) for line in lines]

    def nothing_is_left(self) -> None:
        """Fail where a process that a notebook was, or has started, lives on, or a scratch folder."""
        wait_until(lambda: not any(map(alive, self.begun())), "the end of all processes")
        assert [path for folder in self.folder.glob("scratch-*") for path in folder.iterdir()] == []


@pytest.fixture
def bench(forge: Forge, tmp_path: Path) -> Bench:
    return Bench(forge, tmp_path)


def stop_between_writes(pid: int) -> bool:
    """
    Stop a process; let it go on, and tell so, where it holds the one lock of SQLite.

    A process that is stopped within a write has that lock for as long, so nobody else could write.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state(pid) == "T", "its stop")
    with closing(sqlite3.connect(settings().database.removeprefix("sqlite:///"), timeout=0.0)) as writer:
        try:
            writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            return False
    return True


def on_postgres(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASOC_DATABASE", url)
    settings.cache_clear()


def test_pipelines_and_notebooks_are_run_and_all_is_noted(bench: Bench, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        write_ffi(frames, number)
    request = {"cube": str(frames), "settings": {"doubled": {"factor": 3.0}}}
    pipeline = jobs.submit_job("pipeline", "tiny", request)
    notebook = bench.submit("50_short")
    bench.run(2, lease_seconds=4.0)
    found, other = jobs.get_job(pipeline), jobs.get_job(notebook)
    assert (found["state"], other["state"]) == ("done", "done"), bench.log()
    doubled, summed = found["result"]["products"]
    made = store.open_product("doubled", id=doubled["id"])["flux"]
    np.testing.assert_array_equal(made[2], 3 * frame_pixels(2))
    assert store.is_complete("summed", "s0001-1-2", summed["id"])
    assert [one["state"] for one in (doubled, summed)] == ["made", "made"]
    assert found["progress"]["notebooks"] == 2
    assert other["result"]["products"][0]["summary"] == {"n": 1}
    assert found["result"]["spent"]["cpu_seconds"] > 0
    runs = database.list_runs().sort_values("run")
    assert runs["notebook"].tolist() == ["10_doubled", "11_summed", "50_short"]
    assert runs["job"].tolist() == [pipeline, pipeline, notebook]
    assert runs["status"].tolist() == ["done"] * 3
    assert (runs["cpu_seconds"] > 0).all()
    assert (runs["peak_bytes"] > 10**8).all()
    folder = Folder(settings().store)
    assert all(folder.modified(log) > 0 for log in runs["log"])
    bench.nothing_is_left()


def test_what_a_killed_worker_had_is_run_again_and_nothing_of_it_lives_on(bench: Bench) -> None:
    job = bench.submit("51_once")
    worker = bench.start(lease_seconds=2.0)
    assert all(map(alive, bench.begun()))
    os.kill(worker, signal.SIGKILL)
    assert bench.forge.wait(worker) == -signal.SIGKILL
    wait_until(lambda: not any(map(alive, bench.begun())), "the end of all processes")
    assert jobs.get_job(job)["state"] == "running"
    bench.run(lease_seconds=2.0)
    assert (jobs.get_job(job)["state"], jobs.get_job(job)["tries"]) == ("done", 2)
    assert bench.done() == [(1, "a")]
    assert database.list_runs().sort_values("run")["status"].tolist() == ["killed", "done"]
    assert jobs.job_events(job)["after"].tolist().count("claimed") == 2


def test_a_worker_that_is_stopped_for_longer_than_its_lease_runs_nothing_beside_the_next_one(
    bench: Bench,
) -> None:
    """The first is stopped in the middle of a cell, and goes on after another one has begun anew."""
    job = bench.submit("56_waits")
    stopped = bench.start(lease_seconds=2.0)
    first = bench.begun()
    wait_until(lambda: stop_between_writes(stopped), "a moment when the worker writes nothing")
    second = bench.start("b", most_jobs=1)
    try:
        wait_until(lambda: len(bench.begun()) == 4, "the notebook begins anew")
        wait_until(lambda: not any(map(alive, first)), "the end of all processes of the first")
    finally:
        os.kill(stopped, signal.SIGCONT)
    (bench.place / "go").touch()
    assert bench.forge.wait(second) == 0
    os.kill(stopped, signal.SIGTERM)
    assert bench.forge.wait(stopped) == 0
    assert (jobs.get_job(job)["state"], jobs.get_job(job)["tries"]) == ("done", 2)
    assert bench.done() == [(1, "b")]
    assert database.list_runs().sort_values("run")["status"].tolist() == ["killed", "done"]
    assert "its lease was lost" in bench.log()
    bench.nothing_is_left()


def test_a_job_waits_for_nobody_to_hear_how_far_it_is() -> None:
    """Its worker may be stopped; a job that waited for it would not see that its lease has ended."""
    heard, tell = os.pipe()
    teller = _Teller(tell)
    told = (teller.advanced({"ended": number}) for number in range(10_000))
    telling = threading.Thread(target=lambda: list(told), daemon=True)
    with os.fdopen(heard) as lines:
        telling.start()
        telling.join(30)
        assert not telling.is_alive()
        os.close(tell)
        found = [json.loads(line)["progress"]["ended"] for line in lines]
    assert found == list(range(len(found)))
    assert len(found) > 100


def test_a_job_over_its_memory_is_killed_and_says_the_number(bench: Bench) -> None:
    job = bench.submit("53_large", most_bytes=800_000_000)
    bench.run()
    found = jobs.get_job(job)
    assert (found["state"], found["tries"]) == ("failed", 1)
    used = int(found["message"].split("it took ")[1].split()[0])
    assert used > 800
    assert "MB of memory; expected 800 MB at most" in found["message"]
    (run,) = database.list_runs().to_dict("records")
    assert (run["status"], run["message"]) == ("killed", found["message"])
    assert run["peak_bytes"] > 800_000_000
    bench.nothing_is_left()


def test_a_kernel_that_never_ends_is_killed_when_its_time_is_up(bench: Bench) -> None:
    job = bench.submit("52_endless", most_seconds=3.0)
    bench.run()
    assert jobs.get_job(job)["state"] == "failed"
    assert "expected 3 s at most. Raise its limit of time." in jobs.get_job(job)["message"]
    bench.nothing_is_left()


def test_a_job_that_is_cancelled_is_ended_with_all_its_processes(bench: Bench) -> None:
    job, next_one = bench.submit("52_endless"), bench.submit("50_short", 2)
    worker = bench.start(most_jobs=2)
    bench.begun()
    jobs.cancel_job(job, "ann")
    assert bench.forge.wait(worker) == 0
    assert [jobs.get_job(number)["state"] for number in (job, next_one)] == ["cancelled", "done"]
    assert database.list_runs(status="killed")["message"].tolist() == [jobs.get_job(job)["message"]]
    bench.nothing_is_left()


def test_a_failed_cell_is_tried_again_later_and_a_bad_request_is_not(bench: Bench) -> None:
    wrong, unknown = bench.submit("55_wrong"), bench.submit("99_none", 2)
    bench.run(2)
    first, second = jobs.get_job(wrong), jobs.get_job(unknown)
    assert (first["state"], second["state"]) == ("ready", "failed")
    assert "55_wrong, cell 3: ZeroDivisionError" in first["message"]
    assert second["message"].startswith("run: no notebook '99_none'")
    (run,) = database.list_runs().to_dict("records")
    assert run["log"] == f"runs/jobs/55_wrong-job{wrong}-failed.ipynb"
    assert Folder(settings().store).modified(run["log"]) > 0
    bench.nothing_is_left()


def test_a_job_whose_process_is_killed_is_tried_again(bench: Bench) -> None:
    job = bench.submit("51_once")
    worker = bench.start(most_jobs=1)
    kernel, _ = bench.begun()
    family = {}
    for line in subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout.split("\n")[
        1:-1
    ]:
        pid, parent = map(int, line.split())
        family[pid] = parent
    process = kernel
    while family[process] != worker:
        process = family[process]
    os.kill(process, signal.SIGKILL)
    assert bench.forge.wait(worker) == 0
    assert jobs.get_job(job)["state"] == "ready"
    assert "its process ended by signal 9" in jobs.get_job(job)["message"]
    bench.nothing_is_left()


def test_a_worker_told_to_end_finishes_what_runs_and_takes_nothing_new(bench: Bench) -> None:
    first, second = bench.submit("56_waits"), bench.submit("50_short", 2)
    worker = bench.start()
    bench.begun()
    os.kill(worker, signal.SIGTERM)
    (bench.place / "go").touch()
    assert bench.forge.wait(worker) == 0
    assert [jobs.get_job(job)["state"] for job in (first, second)] == ["done", "ready"]
    bench.nothing_is_left()


def test_a_worker_told_twice_to_end_gives_back_what_runs(bench: Bench) -> None:
    job = bench.submit("52_endless")
    worker = bench.start()
    bench.begun()
    os.kill(worker, signal.SIGINT)
    wait_until(lambda: "ends after what runs" in bench.log(), "the first signal")
    os.kill(worker, signal.SIGTERM)
    assert bench.forge.wait(worker) == 0
    found = jobs.get_job(job)
    assert (found["state"], found["tries"]) == ("ready", 0)
    assert "told twice to end" in found["message"]
    bench.nothing_is_left()


def test_a_signal_is_counted_and_says_nothing_itself() -> None:
    """It may come while a line is written, which none can be written into."""
    said: list[str] = []
    worker = JobWorker(WorkerOptions(), say=said.append)
    with worker._signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert (worker.signals, worker.draining, said) == (1, True, [])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_pools_with_other_scratch_share_the_jobs(
    bench: Bench, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first two jobs wait for each other, so neither pool can have both."""
    if kind == "postgresql":
        on_postgres(request.getfixturevalue("postgres_url"), monkeypatch)
    wanted = [bench.submit("54_two", n) for n in range(3)]
    workers = [bench.start(pool) for pool in "ab"]
    wait_until(lambda: len(bench.done()) == 3, "three jobs")
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
        assert bench.forge.wait(worker) == 0
    assert sorted(n for n, _ in bench.done()) == [0, 1, 2]
    assert {pool for _, pool in bench.done()} == {"a", "b"}
    assert {jobs.get_job(job)["state"] for job in wanted} == {"done"}
    bench.nothing_is_left()


def let_in(url: str, *, open_: bool) -> None:
    """Let a PostgreSQL server refuse one of its databases, or let it in again."""
    server, _, name = url.rpartition("/")
    engine = sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {str(open_).lower()}"))


def test_a_database_that_is_gone_for_a_while_costs_nothing(
    bench: Bench, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_postgres(postgres_url, monkeypatch)
    job = bench.submit("56_waits")
    worker = bench.start(most_jobs=1, lease_seconds=20.0)
    bench.begun()
    let_in(postgres_url, open_=False)
    (bench.place / "go").touch()
    wait_until(lambda: "its end is not noted yet" in bench.log(), "a failed note")
    let_in(postgres_url, open_=True)
    assert bench.forge.wait(worker) == 0
    assert (jobs.get_job(job)["state"], jobs.get_job(job)["tries"]) == ("done", 1)
    assert database.list_runs()["status"].tolist() == ["done"]
    assert bench.done() == [(1, "a")]
    bench.nothing_is_left()


def test_a_worker_cut_off_for_longer_than_its_lease_ends_its_job(
    bench: Bench, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_postgres(postgres_url, monkeypatch)
    job = bench.submit("52_endless")
    worker = bench.start(most_jobs=1, lease_seconds=1.5)
    bench.begun()
    let_in(postgres_url, open_=False)
    assert bench.forge.wait(worker) == 0
    bench.nothing_is_left()
    assert "its lease was lost" in bench.log()
    let_in(postgres_url, open_=True)
    assert jobs.get_job(job)["state"] == "running", "any worker that looks releases it"


def test_a_database_file_that_vanishes_is_said_once_and_no_other_is_made(
    bench: Bench, tmp_path: Path
) -> None:
    job = bench.submit("56_waits")
    worker = bench.start(slots=2, lease_seconds=60.0)
    bench.begun()
    store_folder, aside = Path(settings().store), tmp_path / "aside"
    aside.mkdir()
    found = list(store_folder.glob("tasoc.sqlite*"))
    for path in found:
        path.rename(aside / path.name)
    wait_until(lambda: "no job can be claimed" in bench.log(), "a failed claim")
    (bench.place / "go").touch()
    wait_until(lambda: "its end is not noted yet" in bench.log(), "a failed note")
    assert list(store_folder.glob("tasoc.sqlite*")) == []
    for path in found:
        (aside / path.name).rename(path)
    os.kill(worker, signal.SIGTERM)
    assert bench.forge.wait(worker) == 0
    assert jobs.get_job(job)["state"] == "done"
    assert bench.log().count("no job can be claimed") == 1
    bench.nothing_is_left()


def test_a_worker_without_room_for_a_job_gives_it_back_and_ends(bench: Bench) -> None:
    """Else it would fail every job of the queue in a moment, also beside workers that have room."""
    waiting = bench.submit("56_waits")
    others = [bench.submit("50_short", n) for n in range(3)]
    worker = bench.forge.tasoc(bench.environment("a"), bench.folder / "log", "worker", "--slots", "2")
    for job in others:
        wait_until(lambda job=job: jobs.get_job(job)["state"] == "done", "the others")
    (bench.folder / "scratch-a").rename(bench.folder / "away")
    late = bench.submit("50_short", 9)
    wait_until(lambda: "has no room for another job" in bench.log(), "that the worker sees it")
    (bench.folder / "away").rename(bench.folder / "scratch-a")
    (bench.place / "go").touch()
    assert bench.forge.wait(worker) == 2
    found = jobs.get_job(late)
    assert (found["state"], found["tries"]) == ("ready", 0)
    assert "no process for it: temporary files" in found["message"]
    assert jobs.get_job(waiting)["state"] == "done"
    assert "no process for a job (temporary files" in bench.log()
    bench.nothing_is_left()


def test_the_command_runs_two_jobs_at_once_drains_and_ends_well(bench: Bench) -> None:
    wanted = [bench.submit("54_two", n, queue="night") for n in range(2)]
    other = bench.submit("50_short", queue="day")
    words = ("worker", "--queue", "urgent,night", "--memory", "4GB", "--slots", "2", "--max-hours", "1")
    worker = bench.forge.tasoc(bench.environment("cli"), bench.folder / "log", *words)
    wait_until(lambda: len(bench.done()) == 2, "two jobs, each of which waits for the other")
    os.kill(worker, signal.SIGTERM)
    assert bench.forge.wait(worker) == 0, bench.log()
    assert [jobs.get_job(number)["state"] for number in (*wanted, other)] == ["done", "done", "ready"]
    assert sorted(bench.done()) == [(0, "cli"), (1, "cli")]
    assert all(f"job {job}: done after" in bench.log() for job in wanted)
    bench.nothing_is_left()
