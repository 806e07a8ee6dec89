"""How things are shown in a terminal: tables, sizes, times, errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasoc_kit.errors import TasocKitError

__all__ = [
    "STYLES",
    "as_size",
    "as_time",
    "confirm",
    "console",
    "errors",
    "show_error",
    "show_frame",
    "table",
]

_FILE_WIDTH = 160
_NARROW = 16
"""Ids, times and numbers are no longer, and are never broken; names and sentences may be."""

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
if not console.is_terminal:
    console.width = _FILE_WIDTH

STYLES = {
    "made": "green",
    "done": "green",
    "kept": "dim",
    "ok": "green",
    "to do": "yellow",
    "running": "cyan",
    "needs": "yellow",
    "not run": "yellow",
    "killed": "red",
    "failed": "red",
    "broken": "red",
    "missing": "yellow",
}


def as_size(number: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def as_time(seconds: float) -> str:
    """Return a duration as people write it; a dash where it is not known."""
    if seconds != seconds:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()
) -> None:
    """Show a table whose widest columns give way; words that say how something ended have their colour."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    cells = [[Text(str(cell), style=STYLES.get(str(cell), "")) for cell in row] for row in rows]
    for number, name in enumerate(columns):
        lines = [line for row in cells for line in row[number].plain.splitlines()]
        narrow = max(map(cell_len, lines), default=0) <= _NARROW
        justify = "right" if name in right else "left"
        shown.add_column(name, justify=justify, overflow="fold", no_wrap=narrow)
    for row in cells:
        shown.add_row(*row)
    console.print(shown)


def show_frame(title: str, frame: pd.DataFrame, right: Sequence[str] = ()) -> None:
    """Show a DataFrame as a table."""
    table(title, [str(name) for name in frame.columns], frame.astype(str).to_numpy().tolist(), right)


def confirm(question: str, *, default: bool) -> bool:
    """Ask the person at the keyboard; without one, say how to do without."""
    from rich.prompt import Confirm

    try:
        return Confirm.ask(question, console=console, default=default)
    except EOFError:
        raise TasocKitError(
            f"{question!r}: nobody is here to answer; expected a terminal. Give --yes to agree beforehand."
        ) from None


def show_error(message: str) -> None:
    """Show an error in one or two lines."""
    errors.print(Text(message, style="red"), soft_wrap=True)
