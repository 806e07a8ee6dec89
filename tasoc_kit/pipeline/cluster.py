"""Notebooks on the workers of a Dask cluster that is there already.

A notebook is one task. Its worker keeps a process that forks kernels, as the runner does on its own
machine, and gives the kernel the threads of the worker. A task whose worker is lost is started again
by the scheduler on another one, where the store shows how far it was. A worker must see what the
runner sees, the store above all; that is looked at before anything starts.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError, StoreError, TasocKitError, install_line
from tasoc_kit.pipeline.progress import VARIABLE, read_progress, write_progress
from tasoc_kit.pipeline.request import Outcome, Request
from tasoc_kit.pipeline.scratch import own_folder, scratch_folder
from tasoc_kit.pipeline.worker import Worker
from tasoc_kit.storage.folders import SCRATCH, Folder
from tasoc_kit.storage.locks import LEASE_SECONDS

__all__ = ["Cluster", "ClusterWorker", "start_cluster"]

_TICK = 0.2
_LOOK_SECONDS = 5.0
_ALONE_SECONDS = 300.0
"""A cluster that has had no worker for so long gets none."""
_ANSWER_SECONDS = 10
_OWN_FOLDERS = ("TASOC_CATALOGS", "TASOC_NOTEBOOKS")
"""Folders that every installation brings; those of the runner are used where a worker sees them."""


def start_cluster(workers: int = 2, threads: int = 1) -> Any:
    """
    Start a small Dask cluster on this machine, to try what a large one does.

    It listens on loopback alone. ``close()`` ends its workers, and so does the end of this process,
    whatever ends it.

    Parameters
    ----------
    workers
        Worker processes.
    threads
        Threads of each.

    Returns
    -------
    The ``distributed.LocalCluster``, a context manager; its ``scheduler_address`` is what a run is told.

    Raises
    ------
    NotebookError
        If the package distributed is not installed.
    """
    try:
        from distributed import LocalCluster
    except ImportError:
        raise no_distributed("start_cluster") from None
    return LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers,
        threads_per_worker=threads,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        # The kernels that do the work are processes of their own, which this limit does not see.
        memory_limit=0,
        local_directory=str(own_folder()),
        silence_logs=logging.ERROR,
    )


def no_distributed(who: str) -> NotebookError:
    """Return the error for a machine without Dask's scheduler."""
    return NotebookError(
        f"{who}: the package distributed is not installed; expected it for a cluster. "
        f"Install it: {install_line('cluster')}."
    )


@dataclass(frozen=True)
class _Sight:
    """What a worker must see to be of use: a token in the store, and files of the runner's machine."""

    store: str
    key: str
    token: str
    paths: tuple[str, ...] = ()

    def lacks(self) -> str:
        """Return what this process does not see; empty where it sees everything."""
        try:
            found = Folder(self.store).get(self.key)
        except StoreError as error:
            return str(error)
        if found != self.token.encode():
            return f"the store {self.store} is another one here, or is not there"
        absent = [path for path in self.paths if not Path(path).exists()]
        return f"there is no {absent[0]} here" if absent else ""


class Cluster:
    """
    The workers behind the address of a scheduler.

    Parameters
    ----------
    scheduler
        Address of a running Dask scheduler.

    Raises
    ------
    NotebookError
        If it has no worker, or one that does not see the store.
    OSError, ValueError
        If no scheduler answers.
    """

    def __init__(self, scheduler: str) -> None:
        from distributed import Client

        self.scheduler = scheduler
        self.client: Any = Client(scheduler, timeout=_ANSWER_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
        self.folder = Folder(settings().store)
        token = uuid.uuid4().hex
        store = self.folder.url if not self.folder.local else str(Path(self.folder.root).absolute())
        self.sight = _Sight(store, f"{SCRATCH}/cluster-{token}", token)
        try:
            self._check_sight()
        except TasocKitError:
            self.close()
            raise

    def _check_sight(self) -> None:
        self.folder.put({self.sight.key: self.sight.token.encode()}, scratch=SCRATCH)
        if not self.count():
            raise NotebookError(
                f"--scheduler {self.scheduler}: it has no worker; expected one at least. "
                f"Start some: dask worker {self.scheduler}"
            )
        seen = self.client.run(self.sight.lacks, on_error="return")
        blind = {worker: problem for worker, problem in seen.items() if problem}
        if blind:
            worker, problem = next(iter(blind.items()))
            raise NotebookError(
                f"--scheduler {self.scheduler}: {len(blind)} of {len(seen)} workers cannot do the work, the "
                f"first is {worker}: {problem}; expected tasoc_kit there, and the same store. Put the store "
                "on a disk that all share or on s3://, set TASOC_STORE, and run again."
            )

    def count(self) -> int:
        """Return the number of workers."""
        return len(self.client.nthreads())

    def close(self) -> None:
        """Take back what was asked of the cluster, and leave it to its other users."""
        self.client.close()
        self.folder.remove(self.sight.key)


class ClusterWorker:
    """A place on a cluster that runs notebooks as a local worker does."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def run(self, request: Request, tick: Callable[[], None] = lambda: None) -> Outcome:
        """
        Run one notebook on the cluster and bring its executed copy back.

        Raises
        ------
        NotebookError
            If the cluster, or every worker that tried, is lost before the notebook has ended.
        """
        source = Path(request.notebook)
        sight = replace(self.cluster.sight, paths=_paths(request))
        key = f"{source.stem}-{uuid.uuid4().hex}"
        with self._told(key, request.environment.get(VARIABLE)):
            future = self.cluster.client.submit(
                _run_there, request, source.name, source.read_bytes(), sight, key=key, pure=False
            )
            try:
                self._wait(future, tick)
                outcome, executed = future.result()
            except TasocKitError:
                raise
            except Exception as error:
                raise NotebookError(
                    f"{source.stem}: the cluster {self.cluster.scheduler} lost it: {error or type(error)}; "
                    "expected a worker that lives to its end. Often memory ran out. Look at the logs of the "
                    "workers, and run again: what was done is kept."
                ) from error
            finally:
                future.cancel()
        if executed:
            Path(request.output).write_bytes(executed)
        return Outcome(**outcome)

    def close(self) -> None:
        """Do nothing: the cluster is closed by who opened it."""

    @contextmanager
    def _told(self, key: str, progress: str | None) -> Iterator[None]:
        """Write what the worker says of its progress to where the runner looks for it."""
        client = self.cluster.client

        def tell(event: tuple[float, Sequence[Any]]) -> None:
            # What comes late finds the scratch folder of the run gone.
            with suppress(OSError):
                write_progress(Path(progress or ""), *event[1])

        if progress:
            client.subscribe_topic(key, tell)
        try:
            yield
        finally:
            if progress and client.status == "running":
                client.unsubscribe_topic(key)

    def _wait(self, future: Any, tick: Callable[[], None]) -> None:
        """Wait for the end of a task, though not for ever without a single worker."""
        looked = populated = time.monotonic()
        while not future.done():
            time.sleep(_TICK)
            tick()
            now = time.monotonic()
            if now - looked < _LOOK_SECONDS:
                continue
            looked = now
            if self.cluster.count():
                populated = now
            elif now - populated > _ALONE_SECONDS:
                raise TimeoutError(f"it has had no worker for {_ALONE_SECONDS:g} s")


def _paths(request: Request) -> tuple[str, ...]:
    """Return the files and folders of this machine that a notebook is told to open."""
    named = [value for value in request.parameters.values() if isinstance(value, str) and value]
    named = [request.environment.get("TASOC_DATA", "") if name == "ffi.local" else name for name in named]
    places = [Path(request.folder, name) for name in named]
    return tuple(str(place) for place in places if place.exists())


_idle: list[Worker] = []
_running = 0
_counting = threading.Lock()


@contextmanager
def _server() -> Iterator[tuple[Worker, int]]:
    """Give a process of this Dask worker that runs notebooks, and how many run here with this one."""
    global _running
    with _counting:
        server = _idle.pop() if _idle else Worker()
        _running += 1
        running = _running
    whole = False
    try:
        yield server, running
        whole = True
    finally:
        with _counting:
            _running -= 1
            if whole:
                _idle.append(server)
        if not whole:
            server.close()


def _run_there(asked: Request, name: str, notebook: bytes, sight: _Sight) -> tuple[dict[str, Any], bytes]:
    """Run one notebook in a Dask worker."""
    from distributed import get_worker

    worker: Any = get_worker()
    problem = sight.lacks()
    if problem:
        raise NotebookError(
            f"{Path(name).stem}: {problem} (worker {worker.address}); expected a worker that sees what the "
            "runner sees. Put it on a disk that all share or on s3://, and run again."
        )
    with scratch_folder() as scratch, _server() as (server, running):
        source, output, told = scratch / name, scratch / "executed.ipynb", scratch / "progress"
        source.write_bytes(notebook)
        environment = {
            variable: value
            for variable, value in asked.environment.items()
            if variable not in _OWN_FOLDERS or all(Path(part).is_dir() for part in value.split(","))
        }
        request = replace(
            asked,
            notebook=str(source),
            output=str(output),
            folder=asked.folder if Path(asked.folder).is_dir() else str(scratch),
            environment=environment
            | {
                VARIABLE: str(told),
                "TASOC_THREADS": str(max(1, worker.state.nthreads // running)),
                # The unit is held by the runner: who else writes a product of it is a worker that is lost.
                "TASOC_WAIT": str(2 * LEASE_SECONDS),
            },
        )
        outcome = server.run(request, _watch(worker, worker.get_current_task(), told))
        if not outcome.ok:
            outcome = replace(outcome, message=f"{outcome.message} (worker {worker.address})")
        return asdict(outcome), output.read_bytes() if output.exists() else b""


def _watch(worker: Any, key: str, told: Path) -> Callable[[], None]:
    """Return what looks, a few times a second, whether a task is still wanted, and tells how far it is."""
    last: list[Sequence[Any] | None] = [None]

    def tick() -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise NotebookError(f"{key}: nobody waits for it any more; it was ended. Run again.")
        found = read_progress(told)
        if found and found != last[0]:
            worker.log_event(key, found)
            last[0] = found

    return tick
