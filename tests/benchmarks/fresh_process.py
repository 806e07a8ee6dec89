"""What a piece of work costs, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasoc_kit.pipeline.bound import keep_few_arenas

__all__ = ["Cost", "fresh", "measured", "peak_memory"]


@dataclass
class Cost:
    """Wall and CPU seconds of some work (all threads), and the peak memory of its process in MB."""

    wall: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0


def peak_memory() -> float:
    """
    Return the peak memory of this process, MB.

    Not ``ru_maxrss``, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


@contextmanager
def measured():
    """Give a Cost that is filled in when the block ends."""
    cost, wall, cpu = Cost(), time.perf_counter(), time.process_time()
    yield cost
    cost.wall, cost.cpu = time.perf_counter() - wall, time.process_time() - cpu
    cost.peak = peak_memory()


def fresh(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """
    Call a function in a new process and return what it returns; the process ends after it.

    Its memory is bound as that of the process in which the pipeline runs a notebook.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=keep_few_arenas) as pool:
        return pool.submit(function, *arguments, **named).result()
