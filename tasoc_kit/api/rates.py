"""How many requests somebody may make: a bucket of tokens for each, which fills again with time."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

__all__ = ["Rates"]

_MOST_BUCKETS = 10_000
"""The one that was not asked for longest goes first; it is full again by then, or nearly."""


class Rates:
    """
    The buckets of everybody who came lately.

    Parameters
    ----------
    rate
        Requests per second that are allowed for ever; 0 for any number.
    burst
        Requests that may come at once.
    clock
        Seconds that only grow.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, max(burst, 1.0), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, who: str, cost: float = 1.0) -> float:
        """Return 0 and count a request, or the seconds after which it may come; it is not counted then."""
        if self._rate <= 0:
            return 0.0
        with self._lock:
            level, cost = self._level(who), min(cost, self._burst)
            allowed = level >= cost
            self._put(who, level - cost if allowed else level)
        return 0.0 if allowed else math.ceil((cost - level) / self._rate * 1000) / 1000

    def fine(self, who: str, cost: float) -> None:
        """Take from a bucket for something that went wrong, even if it is left empty."""
        with self._lock:
            self._put(who, max(self._level(who) - cost, 0.0))

    def _level(self, who: str) -> float:
        level, seen = self._buckets.pop(who, (self._burst, self._clock()))
        return min(self._burst, level + (self._clock() - seen) * self._rate)

    def _put(self, who: str, level: float) -> None:
        self._buckets[who] = (level, self._clock())
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
