"""What is tried again when a server or the way to it fails, and for how long.

A failure that passes (5xx, a connection that breaks or stalls, a body that ends early) is tried again
with pauses that grow, until ``settings().patience`` is used up. One that does not pass (no such file,
no right to it) is told at once.
"""

from __future__ import annotations

import errno
import logging
import random
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from tasoc_kit.config import settings
from tasoc_kit.errors import without_secrets

__all__ = ["ShortBody", "failures", "retried"]

Result = TypeVar("Result")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0
_SPREAD = 0.25
"""Share by which a pause varies, so that many readers do not come back at once."""
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_LASTING_NUMBERS = {errno.EINVAL, errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_PASSING_STATUS = {408, 425, 429}

_log = logging.getLogger(__name__)


class ShortBody(OSError):
    """A server said that it was done before all bytes had come."""


def failures() -> tuple[type[Exception], ...]:
    """Return what access to a file can fail with; libraries of remote files have errors of their own."""
    from aiohttp import ClientError

    found: tuple[type[Exception], ...] = (OSError, ClientError)
    if "botocore" in sys.modules:
        from botocore.exceptions import BotoCoreError

        found = (*found, BotoCoreError)
    return found


def _passes(error: Exception) -> bool:
    """Tell whether a failure may be gone the next time."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and status >= 400:
        return status >= 500 or status in _PASSING_STATUS
    if isinstance(error, OSError):
        return not isinstance(error, _LASTING) and error.errno not in _LASTING_NUMBERS
    if "botocore" in sys.modules:
        from botocore.exceptions import BotoCoreError, HTTPClientError, IncompleteReadError

        if isinstance(error, BotoCoreError):
            return isinstance(error, HTTPClientError | IncompleteReadError)
    return True


def retried(action: Callable[[], Result], what: str) -> Result:
    """
    Return what an action returns, tried again while its failure may pass.

    Parameters
    ----------
    action
        What is done; it may be done again.
    what
        The name of the file, for the log.
    """
    deadline, pause = time.monotonic() + settings().patience, _FIRST_PAUSE
    while True:
        try:
            return action()
        except failures() as error:
            wait = pause * random.uniform(1 - _SPREAD, 1 + _SPREAD)
            if not _passes(error) or time.monotonic() + wait > deadline:
                raise
            _log.info("%s: %s; again in %.1f s", without_secrets(what), without_secrets(error), wait)
        time.sleep(wait)
        pause = min(2 * pause, _LONGEST_PAUSE)
