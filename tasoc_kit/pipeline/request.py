"""What is asked of a place that runs notebooks, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Outcome", "Place", "Request"]


@dataclass(frozen=True)
class Request:
    """One notebook to run."""

    notebook: str
    parameters: dict[str, Any] = field(repr=False)
    output: str
    """Local path of the executed notebook; what is temporary of the run lies in the same folder."""
    folder: str = "."
    """Folder that the notebook runs in."""
    timeout: float = 86_400.0
    """Seconds that one cell may take."""
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """Variables of the kernel; it is shown nowhere, for the database may have its password in there."""


@dataclass(frozen=True)
class Outcome:
    """How a notebook ended."""

    ok: bool
    cell: int = 0
    """Number of the code cell that failed, from 1; 0 where none did."""
    error: str = ""
    """Name of the exception; ``KernelDied`` and ``CellTimeout`` where there was none."""
    message: str = ""
    cpu_seconds: float = 0.0
    """Time of all cores that the kernel took, and what it waited for."""
    peak_bytes: int = 0
    """Largest resident memory of the kernel, what it shares with its worker included."""


class Place(Protocol):
    """Where notebooks run: a process here, or a worker of a cluster."""

    def run(self, request: Request, tick: Callable[[], None] = ...) -> Outcome:
        """Run one notebook and wait for its end."""

    def close(self) -> None:
        """End what was started."""
