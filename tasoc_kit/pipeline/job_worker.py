"""The worker: it claims jobs, runs each in a process of its own, renews leases and keeps limits.

One thread and no state but what it runs: the database says what is to be done, and the store what
is done. So a worker may be killed at any time; what it had is claimed again when its lease ends.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial

from tasoc_kit.errors import DatabaseError, JobError, NotebookError
from tasoc_kit.pipeline.bound import adopt_orphans, keep_few_arenas
from tasoc_kit.pipeline.job_process import JobProcess
from tasoc_kit.pipeline.plan import load_pipelines
from tasoc_kit.pipeline.preload import preload
from tasoc_kit.pipeline.scratch import scratch_folder
from tasoc_kit.records import leases
from tasoc_kit.records.engine import expect
from tasoc_kit.records.jobs import check_queue
from tasoc_kit.records.schedules import submit_due

__all__ = ["JobWorker", "WorkerOptions"]

_log = logging.getLogger(__name__)

_RENEW_SECONDS = 5.0
"""How often a lease is renewed at least, and so how soon a job that was cancelled is ended."""


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker takes, how much at a time, and until when."""

    queues: Sequence[str] = ("default",)
    slots: int = 1
    """Jobs at the same time."""
    most_jobs: float = math.inf
    """Take so many jobs, and end."""
    most_seconds: float = math.inf
    """Take no job later than so many seconds after the start, and end."""
    most_bytes: int = 0
    """Resident memory of one job, where it asks for none itself; 0 for no bound."""
    lease_seconds: float = 60.0
    """How long a job stays claimed by a worker that is not heard of."""
    poll_seconds: float = 1.0
    """How often the queues are looked at."""


@dataclass
class _Slot:
    """A place for one job at a time, and what runs in it."""

    worker: str
    job: int = 0
    process: JobProcess | None = None
    renewed: float = 0.0
    """When the lease was renewed last."""
    asked: float = 0.0
    """When the database was asked last."""
    last: Callable[[], str] | None = None
    """What is left to do once the process has ended: to tell the database, and return what became of it."""


class JobWorker:
    """
    A worker of the queue.

    Parameters
    ----------
    options
        What it takes, and until when.
    say
        Told, in a line, what starts and ends.
    """

    def __init__(self, options: WorkerOptions, say: Callable[[str], None] = lambda line: None) -> None:
        if not options.queues:
            raise JobError("worker: no queue; expected one at least, as urgent,default. Name it.")
        for queue in options.queues:
            check_queue(queue)
        self.options, self.say = options, say
        self.name = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self.slots = [_Slot(f"{self.name}/{number}") for number in range(options.slots)]
        self.taken, self.signals, self.told = 0, 0, False
        self.problem: Exception | None = None
        self.warned = ""
        self.begun = time.monotonic()
        self.ticked = self.looked = -math.inf

    def run(self) -> None:
        """
        Work until there is no more to take: SIGTERM or SIGINT, or as many jobs or hours as were asked for.

        What runs is ended first; a second signal gives it back to its queue at once.

        Raises
        ------
        DatabaseError
            If there is no database to begin with.
        NotebookError
            If there is no room for temporary files to begin with, or at some time no process can be started.
        """
        with self._signals():
            self._prepare()
            try:
                while not self._ended():
                    self._turn()
            finally:
                self._give_all_back("its worker ended")
        if self.problem is not None:
            raise NotebookError(
                f"worker {self.name}: no process for a job ({self.problem}); expected room for one. "
                "Free memory or scratch, and start it again."
            )

    def _prepare(self) -> None:
        """See that there is what jobs need, and import it once, for all of them."""
        expect()
        with scratch_folder():
            pass
        for pipeline in load_pipelines().values():
            for stage in pipeline.notebooks:
                stage.load_step()
        preload()
        keep_few_arenas()
        adopt_orphans()
        queues = ", ".join(self.options.queues)
        self.say(f"worker {self.name} takes jobs of {queues}; scratch is {tempfile.gettempdir()}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def count(number: int, frame: object) -> None:
            # Something may just be written to where a word would go, and that is not done twice at once.
            self.signals += 1

        before = {number: signal.signal(number, count) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def draining(self) -> bool:
        """Whether it takes no more jobs."""
        late = time.monotonic() - self.begun >= self.options.most_seconds
        return bool(self.signals or self.problem) or late or self.taken >= self.options.most_jobs

    def _ended(self) -> bool:
        return self.draining and all(slot.process is None for slot in self.slots)

    def _turn(self) -> None:
        """Look at everything once, and wait a little."""
        if self.signals > 1:
            self._give_all_back("its worker was told twice to end")
            return
        if self.signals and not self.told:
            self.told = True
            self.say(f"worker {self.name} ends after what runs; the same signal again ends it now")
        for slot in self.slots:
            if slot.process is not None:
                self._tend(slot, slot.process)
        if not self.draining:
            self._look_for_work()
        if not self._ended():
            running = [slot.process for slot in self.slots if slot.process and slot.last is None]
            select.select(running, [], [], min(self.options.poll_seconds, 0.5))

    def _look_for_work(self) -> None:
        """Release what dead workers had, submit what is due, and fill the free slots."""
        now = time.monotonic()
        if now - self.looked < self.options.poll_seconds:
            return
        try:
            if now - self.ticked >= self.options.lease_seconds / 4:
                for job in leases.release_stale(self.name):
                    self.say(f"job {job}: its worker is gone; released")
                for job in submit_due():
                    self.say(f"job {job}: submitted by its schedule")
                self.ticked = now
            while any(self._claim(slot) for slot in self.slots if slot.process is None and not self.draining):
                continue
            self.warned = ""
        except DatabaseError as error:
            if str(error) != self.warned:
                _log.warning("no job can be claimed: %s", error)
            self.warned = str(error)
        self.looked = now

    def _claim(self, slot: _Slot) -> bool:
        """Claim a job for a slot and start it; False where there is none."""
        options, asked = self.options, time.monotonic()
        job = leases.claim_job(
            slot.worker, options.queues, options.lease_seconds, most_bytes=options.most_bytes
        )
        if job is None:
            return False
        self.taken += 1
        if not leases.start_job(job["job"], slot.worker):
            return True
        self.say(f"job {job['job']}: {job['name']} {job['unit'] or 'of no unit'} starts, try {job['tries']}")
        try:
            most_bytes = job["most_bytes"] or options.most_bytes
            process = JobProcess(job, most_bytes, asked + options.lease_seconds)
        except (NotebookError, OSError) as error:
            # It would take, and fail, every job of the queue, also beside workers that have room.
            self.problem = error
            self.say(f"worker {self.name} ends after what runs; it has no room for another job")
            leases.give_back_job(job["job"], slot.worker, f"no process for it: {error}")
            return False
        slot.job, slot.process, slot.last = job["job"], process, None
        slot.renewed = slot.asked = asked
        return True

    def _tend(self, slot: _Slot, process: JobProcess) -> None:
        """See whether a job has ended, else renew its lease in time."""
        if slot.last is not None:
            self._settle(slot, slot.last)
        elif process.look(self._others(slot)):
            self._settle(slot, partial(self._note_ending, slot, process))
        elif time.monotonic() - slot.asked >= min(_RENEW_SECONDS, self.options.lease_seconds / 4):
            self._renew(slot, process)

    def _others(self, slot: _Slot) -> list[int]:
        return [one.process.pid for one in self.slots if one is not slot and one.process is not None]

    def _renew(self, slot: _Slot, process: JobProcess) -> None:
        """Renew a lease, and end the job where it is cancelled or no longer this worker's."""
        now, seconds = time.monotonic(), self.options.lease_seconds
        slot.asked = now
        try:
            word = leases.renew_lease(slot.job, slot.worker, seconds, progress=process.progress)
        except DatabaseError as error:
            # The process ends itself when the lease does.
            _log.warning("job %d: its lease is not renewed: %s", slot.job, error)
            return
        if word == "go on":
            slot.renewed = now
            process.extend_lease(now + seconds)
            return
        process.kill(self._others(slot))
        if word == "cancelled":
            self._settle(slot, partial(self._note_cancelled, slot, process))
        else:
            self._settle(slot, lambda: "ended: its lease was lost")

    def _settle(self, slot: _Slot, last: Callable[[], str]) -> None:
        """Tell the database how a job ended; while that fails, at every turn, until the lease ends."""
        try:
            told = last()
        except DatabaseError as error:
            if slot.last is None:
                _log.warning("job %d: its end is not noted yet: %s", slot.job, error)
            slot.last = last
            if time.monotonic() - slot.renewed < self.options.lease_seconds:
                return
            told = "ended, but its lease was lost before the database heard of it; it will be run again"
        self.say(f"job {slot.job}: {told}")
        slot.job, slot.process, slot.last = 0, None, None
        self.looked = -math.inf

    def _note_ending(self, slot: _Slot, process: JobProcess) -> str:
        """Note how a job ended by itself, or by its limits."""
        ending, spent, costs = process.ending, process.spent, process.costs
        if ending is None:
            raise AssertionError(f"job {slot.job} has not ended")
        result = ending.result | {"spent": asdict(spent)}
        if ending.ok:
            state = "done" if leases.finish_job(slot.job, slot.worker, result, costs=costs) else ""
        else:
            state = leases.fail_job(
                slot.job, slot.worker, ending.message, again=ending.again, result=result, costs=costs
            )
        if not state:
            return "ended, but its lease was lost: nothing is noted"
        told = f"{state} after {spent.seconds:.1f} s, {spent.peak_bytes / 1e6:.0f} MB"
        return (
            told if ending.ok else f"{'tried again later' if state == 'ready' else state}: {ending.message}"
        )

    def _note_cancelled(self, slot: _Slot, process: JobProcess) -> str:
        message = "cancelled while it ran; all its processes were killed"
        leases.cancel_claimed(slot.job, slot.worker, message, costs=process.costs)
        return message

    def _give_all_back(self, reason: str) -> None:
        """Kill what runs, and let somebody else run it."""
        for slot in self.slots:
            if slot.process is None:
                continue
            if slot.last is None:
                slot.process.kill(self._others(slot))
            last = slot.last or partial(self._give_back, slot, slot.process, reason)
            try:
                self.say(f"job {slot.job}: {last()}")
            except DatabaseError as error:
                _log.warning("job %d: not given back, it waits for its lease to end: %s", slot.job, error)
            slot.job, slot.process, slot.last = 0, None, None

    def _give_back(self, slot: _Slot, process: JobProcess, reason: str) -> str:
        leases.give_back_job(slot.job, slot.worker, reason, costs=process.costs)
        return f"given back: {reason}"
