"""Places where notebooks run: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.cluster import Cluster, ClusterWorker, no_distributed
from tasoc_kit.pipeline.request import Place
from tasoc_kit.pipeline.worker import Worker

__all__ = ["start_places"]


@contextmanager
def start_places(
    executor: str = "local", number: int | None = None, scheduler: str | None = None, *, fork: bool = False
) -> Iterator[queue.Queue[Place]]:
    """
    Yield a queue of places that run one notebook each at a time.

    Local ones import what notebooks need when they start, so it pays to start them early.

    Parameters
    ----------
    executor
        ``local`` for processes on this machine, ``dask`` for a cluster.
    number
        Notebooks that run at the same time; by default one here, or one for each worker of a cluster.
    scheduler
        Address of the Dask scheduler.
    fork
        Fork the local ones from this process, as ``Worker`` does.

    Raises
    ------
    NotebookError
        If the executor is unknown, the scheduler does not answer, or its workers are of no use.
    """
    with ExitStack() as stack:
        places: queue.Queue[Place] = queue.Queue()
        if executor == "local":
            started: list[Place] = [Worker(fork=fork) for _ in range(number or 1)]
        else:
            cluster = _join(executor, scheduler)
            stack.callback(cluster.close)
            started = [ClusterWorker(cluster) for _ in range(number or cluster.count())]
        for place in started:
            stack.callback(place.close)
            places.put(place)
        yield places


def _join(executor: str, scheduler: str | None) -> Cluster:
    if executor != "dask" or not scheduler:
        raise NotebookError(
            f"--executor {executor} --scheduler {scheduler}: expected 'local', or 'dask' with the address "
            "of a running scheduler. Start one with 'dask scheduler', or leave the option out."
        )
    try:
        return Cluster(scheduler)
    except ImportError:
        raise no_distributed("--executor dask") from None
    except (OSError, ValueError) as error:
        raise NotebookError(
            f"--scheduler {scheduler}: no Dask scheduler answers ({error}); expected a running one. "
            "Start it with 'dask scheduler', or correct the address."
        ) from None
