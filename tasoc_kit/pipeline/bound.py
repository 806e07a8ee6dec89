"""Processes that never outlive the one that needs them, however that one dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["die_with"]

_PR_SET_PDEATHSIG = 1


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
