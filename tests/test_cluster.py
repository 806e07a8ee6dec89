"""Notebooks on a Dask cluster of separate processes: workers are lost, blind or absent; no product is."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import fsspec
import numpy as np
import pytest
from sector import make_products
from tiny_pipeline import LOG, make_slowed, make_unit

from tasoc_kit import database, store
from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.executors import Result, run_plans
from tasoc_kit.pipeline.inputs import open_catalogue, open_unit
from tasoc_kit.pipeline.places import start_places
from tasoc_kit.pipeline.plan import Pipeline, Run, Unit, load_pipelines, make_plan
from tasoc_kit.simulation import write_sector
from tasoc_kit.storage.folders import SCRATCH, Folder

pytest.importorskip("distributed", reason="cluster: distributed is not installed")

from dask_processes import DaskProcesses, dask_processes

# Starts many processes, whose imports take their time on a busy machine.
pytestmark = pytest.mark.timeout(900)

TESTS = str(Path(__file__).parent)
BLOCKS, CCDS = 4, 16


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which the slow step says what it has computed."""
    return tmp_path_factory.mktemp("log") / "blocks"


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, log: Path, s3_environment: dict[str, str]
) -> Iterator[DaskProcesses]:
    """Three workers of two threads each, which find the S3 server of this session."""
    path = os.pathsep.join([TESTS, str(Path(TESTS).parent)])
    folder = tmp_path_factory.mktemp("dask")
    with dask_processes(folder, 3, 2, PYTHONPATH=path, **{LOG: str(log)}, **s3_environment) as running:
        yield running


@pytest.fixture
def pipeline(tiny_pipelines: dict[str, Pipeline]) -> Pipeline:
    return tiny_pipelines["slow"]


def units(folder: Path, pipeline: Pipeline, cameras: int, pause: float = 0.1) -> list[list[Run]]:
    """Return the plans of the CCDs of some cameras."""
    places = [(camera, ccd) for camera in range(1, cameras + 1) for ccd in range(1, 5)]
    made = [make_unit(folder, camera=camera, ccd=ccd) for camera, ccd in places]
    return [make_plan(pipeline, unit, {"slowed": {"pause": pause}}) for unit in made]


def computed(log: Path) -> list[tuple[str, int, int]]:
    """Return unit, block and threads of every block that was computed."""
    lines = log.read_text().split("\n") if log.exists() else []
    return [(unit, int(block), int(threads)) for unit, block, threads in map(str.split, filter(None, lines))]


class Told:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.progress: list[tuple[str, int, int]] = []
        self.ends: list[str] = []

    def started(self, run: Run) -> None:
        pass

    def advanced(self, run: Run, done: int, total: int) -> None:
        self.progress.append((run.name, done, total))

    def ended(self, result: Result) -> None:
        self.ends.append(result.run.name)


def test_units_survive_the_loss_of_a_worker_and_none_is_made_twice(
    cluster: DaskProcesses, pipeline: Pipeline, tmp_path: Path, log: Path
) -> None:
    plans = units(tmp_path, pipeline, cameras=4)
    log.unlink(missing_ok=True)
    told = Told()

    def lose_a_worker() -> None:
        while len(computed(log)) < 7 or not cluster.children("worker-1"):
            time.sleep(0.02)
        cluster.kill("worker-1")

    killer = threading.Thread(target=lose_a_worker)
    killer.start()
    with start_places("dask", scheduler=cluster.address) as places:
        assert places.qsize() == 3
        results = run_plans(plans, places=places, observer=told)
    killer.join()
    cluster.start_worker("worker-3", 2)
    assert [(r.status, r.message) for r in results] == [("made", "")] * CCDS
    assert sorted(told.ends) == sorted(r.run.name for r in results)
    assert {total for _, _, total in told.progress} == {BLOCKS}
    # A block that was whole is never made again; one that was under way on the lost worker may be.
    counts = Counter((unit, block) for unit, block, _ in computed(log))
    assert len(counts) == CCDS * BLOCKS
    assert sum(counts.values()) <= CCDS * BLOCKS + 2
    assert {threads for _, _, threads in computed(log)} <= {1, 2}
    made = store.list_products("slowed")
    runs = [run for plan in plans for run in plan]
    assert sorted(zip(made["unit"], made["id"], strict=True)) == sorted((r.unit.name, r.id) for r in runs)
    here = Folder(str(tmp_path / "here"))
    for run in runs:
        alone = make_slowed(run.unit.cube, pause=0.0).assign_attrs(
            make_slowed(run.unit.cube, pause=run.parameters["pause"]).attrs
        )
        assert alone.attrs["provenance_id"] == run.id
        store.write_product(alone, store=here.url)
    # All that there is of every CCD is what a machine writes alone, byte by byte; and one log of each.
    assert contents(Folder(settings().store), "slowed") == contents(here, "slowed")
    assert Counter(log.split("/")[-2] for log in logs_of_runs()) == {run.unit.name: 1 for run in runs}
    assert left_behind() == []
    assert database.list_runs()["status"].tolist() == ["done"] * CCDS


def logs_of_runs() -> list[str]:
    folder = Folder(settings().store)
    return [f"runs/{name}" for name in folder.sizes("runs")]


def contents(folder: Folder, key: str) -> dict[str, bytes | None]:
    return {name: folder.get(f"{key}/{name}") for name in folder.sizes(key)}


def unit_of(run: Run) -> dict[str, int]:
    return {name: run.unit.cube.attrs[name] for name in ("sector", "camera", "ccd")}


def left_behind() -> list[str]:
    """Return what is left of locks, journals and tokens."""
    return sorted(Folder(settings().store).sizes(SCRATCH))


def test_a_worker_that_does_not_see_the_store_is_named_before_anything_runs(
    cluster: DaskProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASOC_STORE", "memory://store")
    settings.cache_clear()
    with (
        pytest.raises(
            NotebookError, match=r"workers cannot do the work, the first is tcp://.*memory://store is another"
        ),
        start_places("dask", scheduler=cluster.address),
    ):
        pass


def test_a_cluster_without_workers_is_refused(tmp_path: Path) -> None:
    with (
        dask_processes(tmp_path / "dask", 0) as empty,
        pytest.raises(NotebookError, match="it has no worker.*dask worker tcp://"),
        start_places("dask", scheduler=empty.address),
    ):
        pass


def test_a_unit_whose_cube_no_worker_sees_fails_with_its_place_and_the_worker(
    cluster: DaskProcesses, pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plan, *_) = units(tmp_path, pipeline, cameras=1)
    # The runner's own sight is the oracle here: a path of its own /proc is nowhere else, for no worker
    # has so many files open.
    low = os.open(plan[0].unit.source, os.O_RDONLY)
    opened = fcntl.fcntl(low, fcntl.F_DUPFD, 900)
    os.close(low)
    monkeypatch.setitem(plan[0].parameters, "cube", f"/proc/self/fd/{opened}")  # type: ignore[arg-type]
    with start_places("dask", 1, cluster.address) as places:
        (result,) = run_plans([plan], places=places)
    os.close(opened)
    assert result.status == "failed"
    assert f"there is no /proc/self/fd/{opened} here (worker tcp://" in result.message
    # What a worker logs of a task that failed is read by others.
    logs = "".join(path.read_text() for path in cluster.folder.glob("*.log"))
    assert "Compute Failed" in logs
    assert "TASOC_DATABASE" not in logs
    assert left_behind() == []


def test_a_stopped_run_ends_what_it_started_on_the_cluster(
    cluster: DaskProcesses, pipeline: Pipeline, tmp_path: Path, log: Path
) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_cluster import units\n"
        "from tasoc_kit.pipeline.executors import run_plans\n"
        "from tasoc_kit.pipeline.places import start_places\n"
        "from tasoc_kit.pipeline.plan import load_pipelines\n"
        "plans = units(Path(sys.argv[2]), load_pipelines()['slow'], 1, 30.0)\n"
        "with start_places('dask', scheduler=sys.argv[3]) as places:\n"
        "    run_plans(plans, places=places)\n"
    )
    command = [sys.executable, "-c", code, TESTS, str(tmp_path), cluster.address]
    runner = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    journals = f"{SCRATCH}/slowed"
    cluster.wait_until(lambda: len(Folder(settings().store).names(journals)) >= 2, "nothing was started")
    runner.send_signal(signal.SIGINT)
    _, errors = runner.communicate(timeout=120)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    cluster.wait_until(lambda: not cluster.kernels(), "kernels live on")
    assert {name.split("/")[0] for name in left_behind()} == {"slowed"}


def test_the_loss_of_the_scheduler_is_one_message(pipeline: Pipeline, tmp_path: Path) -> None:
    path = os.pathsep.join([TESTS, str(Path(TESTS).parent)])
    with dask_processes(tmp_path / "dask", 1, PYTHONPATH=path) as doomed:
        (plan, *_) = units(tmp_path, pipeline, cameras=1, pause=30.0)
        journals = f"{SCRATCH}/slowed"

        def lose_the_scheduler() -> None:
            doomed.wait_until(lambda: Folder(settings().store).names(journals), "nothing was started")
            doomed.kill("scheduler")

        killer = threading.Thread(target=lose_the_scheduler)
        killer.start()
        soon = {"distributed.comm.timeouts.connect": "2s"}
        with dask.config.set(soon), start_places("dask", scheduler=doomed.address) as places:
            (result,) = run_plans([plan], places=places)
        killer.join()
    assert result.status == "failed"
    assert "12_slowed: the cluster tcp://" in result.message


def test_the_job_script_for_slurm_starts_one_worker_with_its_threads(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="SLURM: dask-jobqueue is not installed")
    template = Path(TESTS).parent / "docs" / "slurm" / "slurm_cluster.py"
    words = ["--script", "--cores", "3", "--memory", "6GB", "--walltime", "02:00:00", "--", "photometry"]
    told = subprocess.run(
        [sys.executable, str(template), *words], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    lines = told.stdout.splitlines()
    assert lines[0].startswith("#!")
    assert {"#SBATCH --cpus-per-task=3", "#SBATCH -t 02:00:00", "#SBATCH --mem=6G"} <= set(
        map(str.strip, lines)
    )
    assert "--nthreads 3" in lines[-1]
    assert "dask_worker" in lines[-1]
    script = template.with_name("tasoc.sh")
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


def test_photometry_on_s3_by_two_workers_is_that_of_this_machine(
    cluster: DaskProcesses, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ccds = (2, 3)
    for ccd in ccds:
        write_sector(tmp_path / f"{ccd}", rows=64, columns=64, frames=16, seed=ccd, ccd=ccd)
        fsspec.filesystem("s3").put(f"{tmp_path}/{ccd}/", f"{s3.url}/ffi/{ccd}/", recursive=True)
    places = {"here": str(tmp_path), "s3": f"{s3.url}/ffi"}
    photometry = load_pipelines()["photometry"]
    plans = {
        place: [make_plan(photometry, open_ccd(f"{url}/{ccd}", ccd), last="light_curves") for ccd in ccds]
        for place, url in places.items()
    }
    ids = {place: [run.id for plan in made for run in plan] for place, made in plans.items()}
    assert ids["s3"] == ids["here"]
    monkeypatch.setenv("TASOC_STORE", f"{s3.url}/store")
    monkeypatch.setenv("TASOC_DATABASE", f"sqlite:///{tmp_path}/tasoc.sqlite")
    settings.cache_clear()
    with start_places("dask", 2, cluster.address) as running:
        results = run_plans(plans["s3"], places=running)
    assert {(result.status, result.message) for result in results} == {("made", "")}
    last = plans["s3"][0][-1]
    opened = store.open_product(last.stage.name, id=last.id, **unit_of(last))
    unit = plans["here"][0][0].unit
    made = make_products(unit.cube, open_catalogue(unit.catalogue, unit.cube)).light_curves
    np.testing.assert_array_equal(opened["flux"].values, made["flux"].values)
    assert sorted(store.list_products()["id"]) == sorted(ids["here"])
    assert left_behind() == []


def open_ccd(place: str, ccd: int) -> Unit:
    return open_unit(place, sector=1, camera=1, ccd=ccd, catalogue=f"{place}/stars.parquet")
