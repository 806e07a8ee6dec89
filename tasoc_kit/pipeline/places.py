"""Places where notebooks run: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import queue
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.request import Outcome, Place, Request
from tasoc_kit.pipeline.worker import Worker

__all__ = ["SCHEDULER", "ClusterWorker", "start_places"]

SCHEDULER = "TASOC_SCHEDULER"
"""Variable that tells a notebook which Dask cluster its frame tasks go to."""


class ClusterWorker:
    """A place on a Dask cluster that runs notebooks as a local worker does."""

    def __init__(self, scheduler: str) -> None:
        from distributed import Client

        self.scheduler = scheduler
        self.client: Any = Client(scheduler, timeout=10, set_as_default=False)  # type: ignore[no-untyped-call]

    def run(self, request: Request, tick: Callable[[], None] = lambda: None) -> Outcome:
        """Run one notebook on the cluster and bring its executed copy back."""
        source = Path(request.notebook)
        asked = asdict(request) | {"environment": request.environment | {SCHEDULER: self.scheduler}}
        future = self.client.submit(_run_there, asked, source.name, source.read_bytes(), pure=False)
        while not future.done():
            time.sleep(0.2)
            tick()
        outcome, executed = future.result()
        if executed:
            Path(request.output).write_bytes(executed)
        return Outcome(**outcome)

    def close(self) -> None:
        """Leave the cluster to its other users."""
        self.client.close()


def _run_there(request: dict[str, Any], name: str, notebook: bytes) -> tuple[dict[str, Any], bytes]:
    """Run one notebook on the machine of a cluster worker."""
    with tempfile.TemporaryDirectory(prefix="tasoc-") as scratch:
        source, output = Path(scratch) / name, Path(scratch) / "executed.ipynb"
        source.write_bytes(notebook)
        folder = request["folder"] if Path(request["folder"]).is_dir() else scratch
        here = request | {"notebook": str(source), "output": str(output), "folder": folder}
        with Worker() as worker:
            outcome = worker.run(Request(**here))
        return asdict(outcome), output.read_bytes() if output.exists() else b""


@contextmanager
def start_places(
    executor: str = "local", number: int = 1, scheduler: str | None = None, *, fork: bool = False
) -> Iterator[queue.Queue[Place]]:
    """
    Yield a queue of places that run one notebook each at a time.

    Local ones import what notebooks need when they start, so it pays to start them early.

    Parameters
    ----------
    executor
        ``local`` for processes on this machine, ``dask`` for a cluster.
    number
        Notebooks that run at the same time.
    scheduler
        Address of the Dask scheduler.
    fork
        Fork the local ones from this process, as ``Worker`` does.

    Raises
    ------
    NotebookError
        If the executor is unknown or the scheduler does not answer.
    """
    with ExitStack() as stack:
        places: queue.Queue[Place] = queue.Queue()
        for place in _start(executor, max(1, number), scheduler, fork):
            stack.callback(place.close)
            places.put(place)
        yield places


def _start(executor: str, number: int, scheduler: str | None, fork: bool) -> list[Place]:
    if executor == "local":
        return [Worker(fork=fork) for _ in range(number)]
    if executor != "dask" or not scheduler:
        raise NotebookError(
            f"--executor {executor} --scheduler {scheduler}: expected 'local', or 'dask' with the address "
            "of a running scheduler. Start one with 'dask scheduler', or leave the option out."
        )
    try:
        return [ClusterWorker(scheduler) for _ in range(number)]
    except ImportError:
        raise NotebookError(
            "--executor dask: the package distributed is not installed. Install the extra: "
            "pip install 'tasoc-kit[cluster]'."
        ) from None
    except (OSError, ValueError) as error:
        raise NotebookError(
            f"--scheduler {scheduler}: no Dask scheduler answers ({error}); expected a running one. "
            "Start it with 'dask scheduler', or correct the address."
        ) from None
