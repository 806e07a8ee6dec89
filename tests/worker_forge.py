"""Workers for tests: one program imports what notebooks need, and every worker is a fork of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Forge", "alive", "state", "wait_until"]

LONGEST_WAIT = 90.0
"""Seconds after which a test that waits for something has failed."""


def state(pid: int) -> str:
    """Return the letter that the kernel has for what a process does: T is stopped, Z ended; none is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pid: int) -> bool:
    """Tell whether a process lives; one that has ended and was not yet waited for does not."""
    return state(pid) not in ("", "Z")


def wait_until(true: Callable[[], Any], what: str) -> Any:
    """Wait for something, and return it; fail where it never comes."""
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"it never came: {what}")


class Forge:
    """The near end: starts workers, and says how they ended."""

    def __init__(self) -> None:
        self.program = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, environment: Mapping[str, str], log: Path, **options: Any) -> int:
        """Start a worker, as ``WorkerOptions`` says, and return its process id."""
        return int(self._ask("start", dict(environment), str(log), options))

    def tasoc(self, environment: Mapping[str, str], log: Path, *words: str) -> int:
        """Start the command, as a shell would, and return its process id."""
        return int(self._ask("tasoc", dict(environment), str(log), words))

    def wait(self, pid: int) -> int:
        """Wait until a worker has ended and return its exit code, or minus its signal."""
        return int(self._ask("wait", pid))

    def _ask(self, *words: Any) -> str:
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.write(json.dumps(words) + "\n")
        self.program.stdin.flush()
        return self.program.stdout.readline()

    def close(self) -> None:
        """End the program, and the workers with it."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.close()
        self.program.wait()
        self.program.stdout.close()


def _begin(environment: Mapping[str, str], log: str) -> None:
    import logging
    import tempfile

    from tasoc_kit.config import settings
    from tasoc_kit.pipeline.bound import die_with

    die_with(os.getppid())
    lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(lines, 1)
    os.dup2(lines, 2)
    os.environ.update(environment)
    tempfile.tempdir = None
    settings.cache_clear()
    logging.basicConfig()


def _become_worker(environment: Mapping[str, str], log: str, options: Mapping[str, Any]) -> None:
    from tasoc_kit.pipeline.job_worker import JobWorker, WorkerOptions

    _begin(environment, log)
    JobWorker(WorkerOptions(**options), say=lambda line: print(line, flush=True)).run()


def _become_tasoc(environment: Mapping[str, str], log: str, words: Sequence[str]) -> None:
    from tasoc_kit.cli import main

    _begin(environment, log)
    sys.argv = ["tasoc", *words]
    main()


def main() -> None:
    """Import, and fork a worker for each line that asks for one."""
    from tasoc_kit.commands import job, look, worker  # noqa: F401  what workers are made of
    from tasoc_kit.pipeline import job_worker  # noqa: F401
    from tasoc_kit.pipeline.preload import preload

    preload()
    for line in sys.stdin:
        verb, *words = json.loads(line)
        if verb == "wait":
            told = os.waitstatus_to_exitcode(os.waitpid(words[0], 0)[1])
        else:
            told = os.fork()
            if told == 0:
                code = 1
                try:
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    (_become_worker if verb == "start" else _become_tasoc)(*words)
                    code = 0
                except SystemExit as ended:
                    code = int(ended.code or 0)
                finally:
                    sys.stdout.flush()
                    os._exit(code)
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
