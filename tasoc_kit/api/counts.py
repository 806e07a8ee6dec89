"""What is counted of requests, in the form of Prometheus: by route and status, and how long they took.

Several processes count in files of one folder (``several``), and each tells the sums: whoever asks reaches
one of them by chance.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    multiprocess,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

__all__ = ["Counts", "several"]

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""By this the library knows, when it is imported, that it counts with others."""


disable_created_metrics()  # type: ignore[no-untyped-call]


@contextmanager
def several() -> Iterator[None]:
    """Let the processes that are started in the block count together."""
    with tempfile.TemporaryDirectory(prefix="tasoc-counts-") as folder:
        os.environ[_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_FOLDER]


class _Processes:
    """Memory and CPU of all processes of a server, under the names that one has."""

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        parent, resident, seconds = psutil.Process(os.getppid()), 0, 0.0
        for process in (parent, *parent.children()):
            with suppress(psutil.NoSuchProcess), process.oneshot():
                resident += process.memory_info().rss
                seconds += sum(process.cpu_times()[:2])
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory size in bytes.", resident)
        yield CounterMetricFamily("process_cpu_seconds", "User and system CPU time in seconds.", seconds)


class Counts:
    """The counters of one app."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._requests = Counter(
            "tasoc_requests", "Requests answered.", ("method", "route", "status"), registry=own
        )
        self._seconds = Histogram(
            "tasoc_request_seconds",
            "Time to the end of the answer.",
            ("route",),
            buckets=_SECONDS,
            registry=own,
        )
        if _FOLDER in os.environ:
            self.registry = CollectorRegistry()
            self.registry.register(_Processes())  # type: ignore[arg-type]
            multiprocess.MultiProcessCollector(self.registry)  # type: ignore[no-untyped-call]
        else:
            self.registry = own
            ProcessCollector(registry=own)

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; a method that nobody knows is not told apart, or each would be kept for ever."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
