"""Processes that keep within bounds: none outlives the one that needs it, or keeps memory it has freed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress

import psutil

__all__ = ["adopt_orphans", "can_fork", "die_with", "do_apart", "end_family", "family", "keep_few_arenas"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_M_ARENA_MAX = -8
_ARENAS = 2
_ROUNDS = 5
"""How often a family is looked at again: one that is killed may have just started another."""


def die_with(parent: int) -> None:
    """
    Ask the kernel of the machine to kill this process when its parent dies.

    Only Linux can do so; elsewhere a killed run may leave a notebook behind, which then ends by
    itself. The parent may be gone before the request is made, hence the second look.

    Parameters
    ----------
    parent
        Process id that the caller expects as its parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def keep_few_arenas() -> None:
    """
    Let the threads of this process share two arenas of memory.

    The allocator of glibc gives each thread one of its own, which keeps what was freed in it: a hundred
    megabytes over a sector. Other allocators have none.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def can_fork() -> bool:
    """Tell whether this process runs one thread; a lock held by another would stay locked in a fork."""
    return threading.active_count() == 1


def do_apart(work: Callable[[], object]) -> None:
    """
    Do some work in a forked process, so that the memory it takes ends with it.

    Nothing comes back from it, no error either: it is for work that leaves files behind, which
    the caller then does again, quickly.

    Parameters
    ----------
    work
        The work; it is not done where this process cannot fork.
    """
    if not can_fork():
        return
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            die_with(parent)
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def adopt_orphans() -> None:
    """
    Become the parent of what this process's descendants leave behind, so that it is found and ended.

    Only Linux can do so; elsewhere a program that a notebook started may outlive it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def family(*, but: Collection[int] = ()) -> list[psutil.Process]:
    """Return all that descends from this process, but some of its children and what descends from those."""
    found = psutil.Process().children(recursive=True)
    away = set(but)
    for child in but:
        with suppress(psutil.NoSuchProcess):
            away |= {one.pid for one in psutil.Process(child).children(recursive=True)}
    return [one for one in found if one.pid not in away]


def end_family(*, but: Collection[int] = (), spared: Collection[int] = ()) -> None:
    """
    Kill all that descends from this process, orphans that it adopts included, and wait for the end.

    Parameters
    ----------
    but
        Children that live on, with what descends from them.
    spared
        Processes that live on alone.
    """
    for _ in range(_ROUNDS):
        going = [one for one in family(but=but) if one.pid not in spared]
        if not going:
            return
        for one in going:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(going, timeout=1.0)
