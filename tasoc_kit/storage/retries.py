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

__all__ = ["Patience", "ShortBody", "failures", "retried"]

Result = TypeVar("Result")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0
_SPREAD = 0.25
"""Share by which a pause varies, so that many readers do not come back at once."""
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_LASTING_NUMBERS = {errno.EINVAL, errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_LIBRARIES = (
    ("aiohttp", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.parsers", "ResponseParserError"),
)
_PASSING_STATUS = {408, 425, 429}

_log = logging.getLogger(__name__)


class ShortBody(OSError):
    """A server said that it was done before all bytes had come."""


def failures() -> tuple[type[Exception], ...]:
    """Return what access to a file can fail with; libraries of remote files have errors of their own."""
    # Who has not imported them cannot meet them.
    loaded = ((sys.modules.get(module), name) for module, name in _LIBRARIES)
    return (OSError, *(getattr(module, name) for module, name in loaded if module))


def _passes(error: Exception) -> bool:
    """Tell whether a failure may be gone the next time."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and status >= 400:
        return status >= 500 or status in _PASSING_STATUS
    if isinstance(error, OSError):
        return not isinstance(error, _LASTING) and error.errno not in _LASTING_NUMBERS
    if "botocore" in sys.modules:
        from botocore.exceptions import (
            BotoCoreError,
            FlexibleChecksumError,
            HTTPClientError,
            IncompleteReadError,
        )

        if isinstance(error, BotoCoreError):
            return isinstance(error, HTTPClientError | IncompleteReadError | FlexibleChecksumError)
    return True


class Patience:
    """
    How long something is tried again.

    Parameters
    ----------
    what
        The name of the file, for the log.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._deadline, self._pause = time.monotonic() + settings().patience, _FIRST_PAUSE

    def after(self, error: Exception) -> float:
        """Return the seconds to wait after a failure; raise it where waiting is of no more use."""
        wait = self._pause * random.uniform(1 - _SPREAD, 1 + _SPREAD)
        if not _passes(error) or time.monotonic() + wait > self._deadline:
            raise error
        _log.info("%s: %s; again in %.1f s", without_secrets(self._what), without_secrets(error), wait)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return wait


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
    patience = Patience(what)
    while True:
        try:
            return action()
        except failures() as error:
            wait = patience.after(error)
        time.sleep(wait)
