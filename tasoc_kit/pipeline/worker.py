"""The near end of a process that runs notebooks, one after another, each in a kernel of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.bound import can_fork
from tasoc_kit.pipeline.preload import preload
from tasoc_kit.pipeline.request import Outcome, Request
from tasoc_kit.pipeline.server import serve

__all__ = ["Worker"]

_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""One BLAS thread, as threads are ours."""
_TICK = 0.2


@dataclass
class _Fork:
    """A forked process that looks like a ``subprocess.Popen``."""

    pid: int
    stdin: IO[str]
    stdout: IO[str]
    returncode: int | None = None

    def kill(self) -> None:
        """End the process at once."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait until the process has ended."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def _start() -> subprocess.Popen[str]:
    """Start a server as a program of its own; it imports in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "tasoc_kit.pipeline.server", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_ENVIRONMENT | dict(os.environ),
    )


def _fork() -> _Fork:
    """Fork a server from this process: what is imported here is shared with it."""
    preload()
    requests, ask = os.pipe()
    read, answers = os.pipe()
    parent = os.getpid()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ask)
            os.close(read)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            serve(parent, os.fdopen(requests), os.fdopen(answers, "w"))
        except Exception:
            # Python would not print it after os._exit; the command is told by the pipe that closes.
            traceback.print_exc()
            raise
        finally:
            os._exit(1)
    os.close(requests)
    os.close(answers)
    return _Fork(pid, os.fdopen(ask, "w"), os.fdopen(read))


class Worker:
    """
    The near end of a worker process; a context manager.

    Parameters
    ----------
    fork
        Fork the process from this one where that is safe, and so share what both import. Its
        kernels begin with whatever this process holds, so it is for a command, at its start. Else
        a new process imports in the background, and the first request waits until it is ready.
    """

    def __init__(self, *, fork: bool = False) -> None:
        self._process = _fork() if fork and can_fork() else _start()

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
