"""The process of one job: it runs what the job asks for, within its limits, and leaves nothing behind.

It is forked from the worker, which has imported what notebooks need. Kernels and whatever they
start descend from it, and it adopts what they leave, so all of it can be found and killed: when
the job ends, when it takes too much, and when its worker is gone or no longer renews its lease.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import psutil

from tasoc_kit.pipeline.bound import adopt_orphans, end_family, family
from tasoc_kit.pipeline.job_run import Ending, run_job
from tasoc_kit.pipeline.places import start_places
from tasoc_kit.pipeline.scratch import scratch_folder

__all__ = ["JobProcess", "Spent"]

_LOOK_SECONDS = 0.5
"""How often the process looks at what it takes, and whether its worker lives."""
_COUNT_SECONDS = 2.0
"""How often shared memory is told from its own: that takes a hundredth of a second for each process."""
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Spent:
    """What a job has taken so far, all its processes together."""

    seconds: float = 0.0
    """Wall time."""
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    """Largest resident memory seen; what several processes share is counted once."""


class JobProcess:
    """
    The near end of the process of one job.

    Parameters
    ----------
    job
        The row of the job.
    most_bytes
        Resident memory that it may take; 0 for no bound.
    lease_end
        Until when the job is this worker's own, by ``time.monotonic``; it is killed after that.
    """

    def __init__(self, job: Mapping[str, Any], most_bytes: int, lease_end: float) -> None:
        self.job = job
        # Shared with the process, which sees by it that its worker is stopped, or waits for a database.
        self._lease = ctypes.c_double.from_buffer(mmap.mmap(-1, ctypes.sizeof(ctypes.c_double)))
        self.extend_lease(lease_end)
        self.progress: dict[str, Any] | None = None
        self.ending: Ending | None = None
        self.spent = Spent()
        self._rest = b""
        self._folder = contextlib.ExitStack()
        scratch = self._folder.enter_context(scratch_folder())
        self._told, tell = os.pipe()
        os.set_blocking(self._told, False)
        sys.stdout.flush()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._told)
            _become_job(_Watch(parent, job, most_bytes, self._lease, _Teller(tell)), str(scratch))
        os.close(tell)

    @property
    def costs(self) -> tuple[float, int]:
        """Seconds of all cores and most bytes of memory that were taken so far."""
        return self.spent.cpu_seconds, self.spent.peak_bytes

    def extend_lease(self, lease_end: float) -> None:
        """Let the process go on until another moment, by ``time.monotonic``."""
        self._lease.value = lease_end

    def fileno(self) -> int:
        """Return what ``select`` may wait for."""
        return self._told

    def look(self, others: Collection[int] = ()) -> bool:
        """
        Take in what the process has told; True once it has ended, with ``ending`` set.

        Parameters
        ----------
        others
            Processes of other jobs, which live on when what this one has left is killed.
        """
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        self._read()
        if pid == 0:
            return False
        self._close(status, others)
        return True

    def kill(self, others: Collection[int] = ()) -> None:
        """
        Kill the process and all that descends from it, now.

        Parameters
        ----------
        others
            Processes of other jobs, which live on.
        """
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.pid)
            for one in [top, *top.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        status = os.waitpid(self.pid, 0)[1]
        self._read()
        self._close(status, others)

    def _close(self, status: int, others: Collection[int]) -> None:
        end_family(but=others)
        os.close(self._told)
        self._folder.close()
        if self.ending is None:
            code = os.waitstatus_to_exitcode(status)
            how = f"by signal {-code}" if code < 0 else f"with {code}"
            self.ending = Ending(
                False,
                f"job {self.job['job']}: its process ended {how}; expected a word of how it went. "
                "Often memory ran out. Free some, or give the job fewer pixels.",
            )

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while part := os.read(self._told, 65_536):
                self._rest += part
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, told: Mapping[str, Any]) -> None:
        if "progress" in told:
            self.progress = told["progress"]
        if "spent" in told:
            self.spent = Spent(**told["spent"])
        if "ending" in told and self.ending is None:
            self.ending = Ending(**told["ending"])


class _Teller:
    """The far end of the pipe; whole lines, from whichever thread."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.lock = descriptor, threading.Lock()
        self.progress: Mapping[str, Any] = {}

    def advanced(self, progress: Mapping[str, Any]) -> None:
        """Tell how far the job is, where that is news."""
        if progress != self.progress:
            self.progress = progress
            self(progress=progress)

    def __call__(self, *, wait: bool = False, **told: Any) -> None:
        """Tell something; where the worker is stopped and the pipe is full, wait, or leave it out."""
        line = memoryview(json.dumps(told).encode() + b"\n")
        with self.lock:
            if not wait and not select.select([], [self.descriptor], [], 0)[1]:
                return
            while line:
                line = line[os.write(self.descriptor, line) :]


def _become_job(watch: _Watch, scratch: str) -> NoReturn:
    """Run the job that is watched in this process and never return."""
    job, tell = watch.job, watch.tell
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        adopt_orphans()
        os.environ["TMPDIR"] = scratch
        tempfile.tempdir = None
        with start_places(fork=True) as places:
            watch.start()
            ending = run_job(job, places, tell.advanced)
        watch.end()
        end_family()
        tell(wait=True, ending=asdict(ending))
    except Exception as error:
        # Python would not print it after os._exit.
        traceback.print_exc()
        tell(wait=True, ending=asdict(Ending(False, f"job {job['job']}: {type(error).__name__}: {error}")))
        raise
    finally:
        end_family()
        os._exit(0)


class _Watch:
    """A thread beside the job: it ends all when worker or lease are gone, or the job takes too much."""

    def __init__(
        self, parent: int, job: Mapping[str, Any], most_bytes: int, lease: ctypes.c_double, tell: _Teller
    ) -> None:
        self.parent, self.job, self.most_bytes, self.lease, self.tell = parent, job, most_bytes, lease, tell
        self.begun, self.counted = time.monotonic(), -_COUNT_SECONDS
        self.cpu_seconds, self.peak_bytes = 0.0, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="tasoc-job", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self.thread.start()

    def end(self) -> None:
        """Look no more, and tell what was spent: processes that have ended are counted in full now."""
        self.ended.set()
        self.thread.join()
        own = os.times()
        self.cpu_seconds = own.user + own.system + own.children_user + own.children_system
        self._tell_spent()

    def _watch(self) -> None:
        while not self.ended.wait(_LOOK_SECONDS):
            if os.getppid() != self.parent:
                _vanish()
            try:
                self._keep_within_bounds()
            except BrokenPipeError:
                continue

    def _keep_within_bounds(self) -> None:
        problem = self._problem()
        if problem:
            self._give_up(problem, again=False)
        elif time.monotonic() > self.lease.value:
            lost = "its worker did not renew its lease; expected it in time. Look at worker and database."
            self._give_up(lost, again=True)

    def _give_up(self, problem: str, *, again: bool) -> None:
        self._tell_spent()
        told = f"job {self.job['job']}: {problem} All its processes were killed."
        self.tell(ending=asdict(Ending(False, told, again=again)))
        _vanish()

    def _problem(self) -> str:
        """Return what bound was passed, with the number; empty where none was."""
        taken, bound = time.monotonic() - self.begun, float(self.job["most_seconds"])
        used = self._look()
        if taken > bound:
            return f"it took {taken:.0f} s; expected {bound:g} s at most. Raise its limit of time."
        if self.most_bytes and used > self.most_bytes:
            return (
                f"it took {used / _MEGABYTE:.0f} MB of memory; expected {self.most_bytes / _MEGABYTE:.0f} MB "
                "at most. Raise its limit of memory."
            )
        return ""

    def _look(self) -> int:
        """Return the bytes that all processes take; the plain sum, which is more, where it is small."""
        processes = [psutil.Process(), *family()]
        plain, cpu = 0, 0.0
        for one in processes:
            with suppress(psutil.NoSuchProcess):
                plain += one.memory_info().rss
                times = one.cpu_times()
                cpu += times.user + times.system + times.children_user + times.children_system
        self.cpu_seconds = max(self.cpu_seconds, cpu)
        close = 0 < self.most_bytes < plain
        if not close and time.monotonic() - self.counted < _COUNT_SECONDS:
            return 0
        self.counted = time.monotonic()
        used = sum(map(_own_bytes, processes))
        self.peak_bytes = max(self.peak_bytes, used)
        self._tell_spent()
        return used

    def _tell_spent(self) -> None:
        seconds = time.monotonic() - self.begun
        self.tell(spent=asdict(Spent(round(seconds, 2), round(self.cpu_seconds, 2), self.peak_bytes)))


def _vanish() -> None:
    """Kill all that descends from this process, and it too; nothing here takes that for a failure."""
    # What the job waits for is stopped first, and ended in the same moment as this process.
    awaited = [child.pid for child in psutil.Process().children()]
    for pid in awaited:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    end_family(spared=awaited)
    for pid in (*awaited, os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _own_bytes(process: psutil.Process) -> int:
    """Return the resident memory of a process, each shared page divided by those who share it."""
    try:
        told = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(getattr(told, "pss", told.uss))
