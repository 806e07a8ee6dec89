"""A process that runs notebooks, one after another, each in a kernel of its own.

It imports what every notebook needs once, then forks for each notebook a kernel and a client
that drives it. It reads requests from its standard input, one JSON object a line, and answers
on its standard output. It and all that it started die with the process that started it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.bound import die_with

__all__ = ["Outcome", "Place", "Request", "Worker", "compute_here", "execute"]

PRELOADED = (
    "papermill",
    "ipykernel.kernelapp",
    "jupyter_client",
    "xarray",
    "dask.array",
    "zarr",
    "numba",
    "astropy.wcs",
    "scipy.ndimage",
    "holoviews",
    "panel",
    "tasoc_kit.store",
    "tasoc_kit.plots",
    "tasoc_kit.catalog",
)
"""Modules that are imported before the fork; one that is absent is imported where it is missed."""

_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
"""One BLAS thread, as threads are ours; few arenas, for each keeps memory; no word of debuggers."""
_TICK = 0.2


@dataclass(frozen=True)
class Request:
    """One notebook to run."""

    notebook: str
    parameters: dict[str, Any]
    output: str
    """Local path of the executed notebook."""
    folder: str = "."
    """Folder that the notebook runs in."""
    timeout: float = 86_400.0
    """Seconds that one cell may take."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a notebook ended."""

    ok: bool
    cell: int = 0
    """Number of the code cell that failed, from 1; 0 where none did."""
    error: str = ""
    """Name of the exception; ``KernelDied`` and ``CellTimeout`` where there was none."""
    message: str = ""


class Place(Protocol):
    """Where notebooks run: a process here, or a worker of a cluster."""

    def run(self, request: Request, tick: Callable[[], None] = ...) -> Outcome:
        """Run one notebook and wait for its end."""

    def close(self) -> None:
        """End what was started."""


class Worker:
    """
    The near end of a worker process; a context manager.

    It starts at once and imports in the background; the first request waits until it is ready.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tasoc_kit.pipeline.worker", str(os.getpid())]
        environment = _ENVIRONMENT | dict(os.environ)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def run(self, request: Request, tick: Callable[[], None] = lambda: None) -> Outcome:
        """Run one notebook and wait for its end; ``tick`` is called a few times a second meanwhile."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(asdict(request)) + "\n")
            stdin.flush()
            while not select.select([stdout], [], [], _TICK)[0]:
                tick()
            answer = stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise NotebookError(
                f"{Path(request.notebook).stem}: the process that runs notebooks ended with "
                f"{self._process.wait()}; expected an answer. Run again."
            )
        return Outcome(**json.loads(answer))

    def close(self) -> None:
        """End the worker and what it runs."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def execute(request: Request, manager: type) -> Outcome:
    """Execute one notebook with papermill, its kernel started by the given manager."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    try:
        papermill.execute_notebook(
            request.notebook,
            request.output,
            parameters=request.parameters,
            progress_bar=False,
            cwd=request.folder,
            execution_timeout=request.timeout,
            kernel_manager_class=manager,
        )
    except papermill.PapermillExecutionError as error:
        if error.ename == "DeadKernelError":
            return Outcome(False, _cell(request.output), "KernelDied")
        return Outcome(False, _cell(request.output), str(error.ename), str(error.evalue))
    except DeadKernelError:
        return Outcome(False, _cell(request.output), "KernelDied")
    except CellTimeoutError:
        return Outcome(False, _cell(request.output), "CellTimeout", f"{request.timeout:g} s")
    return Outcome(True)


def _cell(path: str) -> int:
    """Return the number of the code cell in which an executed notebook stopped."""
    cells = json.loads(Path(path).read_text())["cells"]
    written = [
        cell
        for cell in cells
        if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]
    return sum(1 for cell in written if cell["metadata"].get("papermill", {}).get("start_time"))


def compute_here() -> None:
    """Let Dask compute in threads of this process, unless a notebook joins a cluster later."""
    import dask
    from dask.threaded import get

    # Named by a word, or not at all, Dask imports distributed to ask for a cluster: 60 MB.
    dask.config.set(scheduler=get)


def _preload() -> None:
    warnings.simplefilter("ignore")
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    compute_here()
    # What was imported is shared with every fork as long as nobody writes to it, and a collection would.
    gc.collect()
    gc.freeze()


def _serve(line: str, answers: IO[str]) -> None:
    """Fork a kernel and its client for one request, and answer when both have ended."""
    from tasoc_kit.pipeline.kernel import fork_kernel

    request = Request(**json.loads(line))
    os.environ.update(request.environment)
    kernel = fork_kernel()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as result:
        worker = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_client(worker, request, kernel, result.name)
        os.close(kernel.start)
        os.waitpid(pid, 0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(kernel.pid, signal.SIGKILL)
        os.waitpid(kernel.pid, 0)
        os.close(kernel.alive)
        text = result.read()
    died = Outcome(False, 0, "ClientDied", "the process that drives the kernel ended")
    answers.write((text or json.dumps(asdict(died))) + "\n")
    answers.flush()


def _become_client(worker: int, request: Request, kernel: Any, result: str) -> None:
    """Drive the kernel through one notebook in this process and never return."""
    try:
        die_with(worker)
        from tasoc_kit.pipeline.kernel import ForkedKernelManager

        ForkedKernelManager.waiting = kernel
        outcome = execute(request, ForkedKernelManager)
        Path(result).write_text(json.dumps(asdict(outcome)))
    finally:
        os._exit(0)


def main() -> None:
    """Serve requests until the standard input ends."""
    die_with(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _preload()
    # What was imported stays shared with the forks: their garbage collector would touch every page of it.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        _serve(line, answers)


if __name__ == "__main__":
    main()
