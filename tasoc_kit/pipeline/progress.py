"""How far long work is: a widget in a notebook, a line for the runner, a bar in a terminal.

A notebook says ``progress("stream")`` and hands the result to whoever works in blocks. Run by
hand it shows a widget; run by the pipeline it writes to the file that ``TASOC_PROGRESS`` names,
which the runner reads for its bar.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasoc_kit.storage.whole_file import whole_file

__all__ = ["VARIABLE", "progress", "read_progress", "write_progress"]

VARIABLE = "TASOC_PROGRESS"


def progress(label: str = "") -> Callable[[int, int], None]:
    """
    Return a function that is told how many of how many blocks are done.

    Parameters
    ----------
    label
        What is being done, in a word or two.
    """
    path = os.environ.get(VARIABLE)
    if path:
        return _to_file(Path(path), label)
    return _to_widget(label) if "ipykernel" in sys.modules else _to_terminal(label)


def read_progress(path: Path) -> tuple[str, int, int] | None:
    """Return label, blocks done and all blocks from a progress file; None while there is nothing."""
    try:
        label, done, total = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return str(label), int(done), int(total)


def write_progress(path: Path, label: str, done: int, total: int) -> None:
    """Write a progress file, whole."""
    with whole_file(path) as part:
        part.write_text(json.dumps([label, done, total]))


def _to_file(path: Path, label: str) -> Callable[[int, int], None]:
    def write(done: int, total: int) -> None:
        write_progress(path, label, done, total)

    return write


def _to_widget(label: str) -> Callable[[int, int], None]:
    import ipywidgets
    from IPython.display import display

    whole = {"description_width": "initial"}
    bar = ipywidgets.IntProgress(value=0, min=0, max=1, description=label, style=whole)
    shown: list[Any] = []

    def show(done: int, total: int) -> None:
        bar.max, bar.value = max(total, 1), done
        bar.description = f"{label} {done}/{total}"
        if not shown:
            shown.append(display(bar))  # type: ignore[no-untyped-call]

    return show


def _to_terminal(label: str) -> Callable[[int, int], None]:
    from rich.progress import Progress

    bars = Progress(transient=True)
    task = bars.add_task(label or "working", total=None)

    def show(done: int, total: int) -> None:
        bars.start()
        bars.update(task, completed=done, total=total)
        if done >= total:
            bars.stop()

    return show
