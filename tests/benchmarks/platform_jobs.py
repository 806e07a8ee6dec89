"""
Jobs that are lost, done twice, or leave a process behind, when workers are killed in the middle of a cell.

500 jobs, all of them notebooks in kernels: 468 write a line to a file, and 32 are pipelines that make a
product of one of 16 CCDs with a notebook of photometry. Six ``tasoc worker`` processes share one SQLite;
six times the worker of a cell that has begun, and is stopped there, is killed with SIGKILL, and another
worker is started in its place. What counts is what was written: the lines of each job, the products in
the store and how often each was made.

    python tests/benchmarks/platform_jobs.py [SCRATCH]
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from claims import Claim, Row, print_rows, scratch_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ffi_files import write_ffi  # noqa: E402  of the tests
from tiny_pipeline import write_notebook  # noqa: E402
from worker_forge import alive  # noqa: E402

from tasoc_kit import database, store  # noqa: E402
from tasoc_kit.config import settings  # noqa: E402
from tasoc_kit.pipeline.job import request_job  # noqa: E402
from tasoc_kit.records.jobs import OPEN, jobs_in_queues, list_jobs  # noqa: E402

CLAIMS = {"jobs_lost_or_doubled": Claim("", most=0)}
JOBS, WORKERS, KILLS = 500, 6, 6
CCDS = [(camera, ccd) for camera in range(1, 5) for ccd in range(1, 5)]
LEASE_SECONDS, LOOK_SECONDS = 15.0, 0.2
LONGEST_SECONDS = 3600.0
NAME = "70_line"
CELL = """import os, pathlib, time
place = pathlib.Path({place!r})
mark = place / f'{{n}}-{{os.getpid()}}-{{os.environ["WORKER"]}}'
mark.touch()
time.sleep(0.5)
with (place / 'lines').open('a') as lines: lines.write(f'{{n}}\\n')
mark.rename(place / f'{{mark.name}}-written')"""
"""The notebook says that it has begun, works for a while, writes its line, and says that it has."""
DECLARE = "from tasoc_kit.pipeline.report import Report\nReport('', 's0001-1-1', '', {'n': n})"


class Pool:
    """Workers that are killed, and others in their place."""

    def __init__(self, place: Path, log: Path) -> None:
        self.place, self.log, self.random = place, log, random.Random(7)
        self.workers: dict[int, subprocess.Popen[bytes]] = {}
        self.started = self.killed = 0
        for _ in range(WORKERS):
            self.start()

    def start(self) -> None:
        """Start a worker."""
        command = [sys.executable, "-m", "tasoc_kit.cli", "worker", "--lease", str(LEASE_SECONDS)]
        with self.log.open("a") as lines:
            self.workers[self.started] = subprocess.Popen(
                command, env=dict(os.environ) | {"WORKER": str(self.started)}, stdout=lines, stderr=lines
            )
        self.started += 1

    def kill_one(self) -> bool:
        """Kill the worker of a cell that has begun and not written; False where there is none."""
        begun = [path for path in self.place.glob("*-*-*") if len(path.name.split("-")) == 3]
        self.random.shuffle(begun)
        for path in begun:
            _, kernel, worker = map(int, path.name.split("-"))
            if worker not in self.workers or not alive(kernel):
                continue
            os.kill(kernel, signal.SIGSTOP)
            if path.exists() and not self.written(path):
                victim = self.workers.pop(worker)
                victim.kill()
                victim.wait()
                self.killed += 1
                self.start()
                return True
            os.kill(kernel, signal.SIGCONT)
        return False

    def written(self, path: Path) -> bool:
        """Tell whether a stopped cell has written its line, be it that it had no time to say so."""
        lines = self.place / "lines"
        return lines.exists() and path.name.split("-")[0] in lines.read_text().split()

    def end(self) -> list[int]:
        """Let all workers end what they have, and return their exit codes."""
        for worker in self.workers.values():
            worker.terminate()
        return [worker.wait() for worker in self.workers.values()]


def submit_all(scratch: Path, place: Path) -> None:
    """Write the notebooks and the frames, and submit the jobs, pipelines among the others."""
    notebooks = scratch / "notebooks"
    notebooks.mkdir()
    write_notebook(
        notebooks / f"{NAME}.ipynb", "n: int = 0  # number", CELL.format(place=str(place)), DECLARE
    )
    os.environ |= {"TASOC_NOTEBOOKS": str(notebooks), "TASOC_DATA": str(scratch / "frames")}
    settings.cache_clear()
    (scratch / "frames").mkdir()
    for camera, ccd in CCDS:
        for number in range(3):
            write_ffi(scratch / "frames", number, camera=camera, ccd=ccd)
    requests = [("notebook", NAME, {"n": n}) for n in range(JOBS - 2 * len(CCDS))]
    for camera, ccd in CCDS:
        for excludes in (True, False):
            chosen = {"quality": {"manual_excludes": excludes}}
            place_of = {"sector": 1, "camera": camera, "ccd": ccd, "last": "quality", "settings": chosen}
            requests.append(("pipeline", "photometry", place_of))
    random.Random(7).shuffle(requests)
    for request in requests:
        request_job(*request)


def count_faults(place: Path) -> dict[str, int]:
    """Count what was lost or doubled, by what was written, and the processes that live on."""
    lines = Counter(map(int, (place / "lines").read_text().split()))
    wanted = range(JOBS - 2 * len(CCDS))
    made = {(one.unit, one.id) for one in store.list_products("quality").itertuples()}
    runs = database.list_runs(limit=10**6)
    times = Counter(runs.loc[(runs["notebook"] == "10_quality") & (runs["status"] == "done"), "id"])
    kernels = {int(path.name.split("-")[1]) for path in place.glob("*-*-*")}
    return {
        "lines lost": sum(lines[n] == 0 for n in wanted),
        "lines doubled": sum(lines[n] > 1 for n in lines) + len(set(lines) - set(wanted)),
        "products lost": 2 * len(CCDS) - len(made),
        "products doubled": sum(number > 1 for number in times.values()),
        "kernels left": sum(map(alive, kernels)),
        "jobs not done": int((list_jobs(limit=10**6)["state"] != "done").sum()),
    }


def rows(scratch: Path) -> list[Row]:
    """Return the row of the jobs, measured in a folder with 1 GB of room."""
    place = scratch / "jobs"
    place.mkdir()
    submit_all(scratch, place)
    begun = time.monotonic()
    pool = Pool(place, scratch / "workers.log")
    try:
        while time.monotonic() - begun < LONGEST_SECONDS:
            jobs = jobs_in_queues()
            left = int(jobs.loc[jobs["state"].isin(OPEN), "jobs"].sum())
            if left == 0:
                break
            if JOBS - left >= (pool.killed + 1) * JOBS // (KILLS + 2) and pool.killed < KILLS:
                pool.kill_one()
            time.sleep(LOOK_SECONDS)
    finally:
        codes = pool.end()
    faults = count_faults(place) | {"kills missing": KILLS - pool.killed, "bad exits": sum(map(abs, codes))}
    seconds = time.monotonic() - begun
    print(f"{JOBS} jobs, {pool.killed} kills, {seconds:.0f} s: {faults}", file=sys.stderr)
    return [Row(name, float(sum(faults.values())), claim) for name, claim in CLAIMS.items()]


if __name__ == "__main__":
    with scratch_folder("jobs", None if len(sys.argv) < 2 else Path(sys.argv[1]), 1) as folder:
        measured = rows(folder)
        print_rows("platform_jobs", CLAIMS, set(CLAIMS), {row.name: row.value for row in measured})
