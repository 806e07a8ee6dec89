"""A Dask scheduler and its workers as processes of their own, on loopback, ended by their ids."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

START_SECONDS = 200
QUIET = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "warning", "OPENBLAS_NUM_THREADS": "1"}


class DaskProcesses:
    """A scheduler and workers; each worker has a process id of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.environment = folder, os.environ | QUIET | {"TMPDIR": str(folder)} | environment
        self.address = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command of Dask; its log is the file of its name."""
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        command = [*bound, sys.executable, "-m", "dask", *words]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment | environment, cwd=self.folder
            )
        self.processes[name] = process
        return process

    def start_scheduler(self) -> None:
        """Start the scheduler on a free port and wait until it has written its address."""
        told = self.folder / "scheduler.json"
        self.start(
            "scheduler", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(told),
        )  # fmt: skip

        def has_told() -> bool:
            with suppress(OSError, ValueError):
                self.address = json.loads(told.read_text())["address"]
            return bool(self.address)

        self.wait_until(has_told, "the scheduler did not start")

    def start_worker(self, name: str, threads: int = 1, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker without a nanny: the process is the worker."""
        return self.start(
            name, "worker", self.address, "--no-nanny", "--nthreads", str(threads), "--name", name,
            "--host", "127.0.0.1", "--no-dashboard", "--local-directory", str(self.folder / name),
            **environment,
        )  # fmt: skip

    def wait_until(self, ready, complaint: str) -> None:
        """Wait for something, for as long as a start may take."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                logs = [path.read_text()[-500:] for path in sorted(self.folder.glob("*.log"))]
                raise RuntimeError(f"{complaint}: {logs}")
            time.sleep(0.05)

    def wait_for_workers(self, number: int) -> None:
        """Wait until so many workers have joined."""
        from distributed import Client

        with Client(self.address, timeout=START_SECONDS, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=START_SECONDS)

    def kill(self, name: str) -> None:
        """End a process as a machine that loses its power does."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def children(self, name: str) -> list[psutil.Process]:
        """Return what a process has started itself."""
        return psutil.Process(self.processes[name].pid).children()

    def kernels(self) -> list[psutil.Process]:
        """Return the kernels, and what drives them, of every worker that lives."""
        living = [name for name, process in self.processes.items() if process.poll() is None]
        return [kernel for name in living for server in self.children(name) for kernel in server.children()]

    def close(self) -> None:
        """End every process that is left, the scheduler last."""
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                process.kill()
                process.wait()


@contextmanager
def dask_processes(
    folder: Path, workers: int, threads: int = 1, **environment: str
) -> Iterator[DaskProcesses]:
    """Give a scheduler with some workers."""
    folder.mkdir(parents=True, exist_ok=True)
    running = DaskProcesses(folder, **environment)
    try:
        running.start_scheduler()
        for number in range(workers):
            running.start_worker(f"worker-{number}", threads)
        if workers:
            running.wait_for_workers(workers)
        yield running
    finally:
        running.close()
