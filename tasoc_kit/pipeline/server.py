"""The far end of a worker: a process that forks, for each notebook, a kernel and a client that drives it.

It reads requests, one JSON object a line, and answers each with a line. It runs one thread and
holds nothing but imported modules, so it can fork at any time; it and all that it started die
with the process that started it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from tasoc_kit.config import settings
from tasoc_kit.pipeline.bound import die_with, keep_few_arenas
from tasoc_kit.pipeline.preload import preload
from tasoc_kit.pipeline.request import Outcome, Request

__all__ = ["serve"]

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which a process is told how large another one was."""
_LONGEST = 2000
"""Characters of what a cell says of its failure; the executed notebook has them all."""


def serve(parent: int, requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until they end, or the parent does."""
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings.cache_clear()
    keep_few_arenas()
    for line in requests:
        answers.write(json.dumps(asdict(_answer(Request(**json.loads(line))))) + "\n")
        answers.flush()


def _answer(request: Request) -> Outcome:
    """Fork a kernel and its client for one request, and wait until both have ended."""
    from tasoc_kit.pipeline.kernel import fork_kernel

    with _environment_of(request), tempfile.NamedTemporaryFile("r", suffix=".json") as result:
        kernel = fork_kernel()
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_client(server, request, kernel, result.name)
        os.close(kernel.start)
        os.waitpid(pid, 0)
        with suppress(ProcessLookupError):
            os.kill(kernel.pid, signal.SIGKILL)
        _, _, used = os.wait4(kernel.pid, 0)
        os.close(kernel.alive)
        text = result.read()
    lost = {"ok": False, "error": "ClientDied", "message": "the process that drives the kernel ended"}
    spent = {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * _RSS_UNIT}
    return Outcome(**(json.loads(text) if text else lost) | spent)


@contextmanager
def _environment_of(request: Request) -> Iterator[None]:
    """Set the variables of one request, which the next is not to see."""
    before = dict(os.environ)
    os.environ.update(request.environment)
    os.environ["TMPDIR"] = str(Path(request.output).absolute().parent)
    # Python asks for it once; the client and the kernel are to see that of this request.
    tempfile.tempdir = None
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = None


def _become_client(server: int, request: Request, kernel: Any, result: str) -> None:
    """Drive the kernel through one notebook in this process and never return."""
    try:
        die_with(server)
        from tasoc_kit.pipeline.kernel import ForkedKernelManager

        ForkedKernelManager.waiting = kernel
        try:
            outcome = _execute(request, ForkedKernelManager)
        except OSError as error:
            outcome = Outcome(False, 0, type(error).__name__, str(error))
        Path(result).write_text(json.dumps(asdict(outcome)))
    finally:
        os._exit(0)


def _execute(request: Request, manager: type) -> Outcome:
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
        return Outcome(False, _cell(request.output), str(error.ename), _shortened(str(error.evalue)))
    except DeadKernelError:
        return Outcome(False, _cell(request.output), "KernelDied")
    except CellTimeoutError:
        return Outcome(False, _cell(request.output), "CellTimeout", f"{request.timeout:g} s")
    return Outcome(True)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text)} characters)"


def _cell(path: str) -> int:
    """Return the number of the code cell in which an executed notebook stopped."""
    cells = json.loads(Path(path).read_text())["cells"]
    written = [
        cell
        for cell in cells
        if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]
    return sum(1 for cell in written if cell["metadata"].get("papermill", {}).get("start_time"))


def main() -> None:
    """Serve as a program of its own, on what was its standard input and output."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    parent = int(sys.argv[1])
    die_with(parent)
    preload()
    serve(parent, requests, answers)


if __name__ == "__main__":
    main()
