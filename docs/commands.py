"""Write ``docs/commands.md`` from the command itself: ``python docs/commands.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from tasoc_kit.cli import app

PAGE = Path(__file__).with_suffix(".md")

HEAD = """# Commands

This page is written by `python docs/commands.py`. Every command says the same with `--help`. What a person
can mend is one red line and exit code 2; a run with failures ends with 1, Ctrl-C with 130.
"""

_EXPLAINED = re.compile(r"(\S) {3,}")
"""What an example is for stands behind it, some blanks apart."""


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, by its whole name."""
    for verb, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {verb}")
    if not hasattr(command, "commands"):
        yield name, command


def section(name: str, command: Any) -> str:
    """Return what a command takes, and its examples."""
    about, *examples = re.split(r"\[bold\]Examples?\[/\]", command.help or "")
    text = f"\n## {name}\n\n{' '.join(about.split())}\n"
    rows = [row for row in map(_row, command.params) if row]
    if rows:
        text += "\n| | |\n|---|---|\n" + "".join(rows)
    lines = [_EXPLAINED.sub(r"\1  # ", line.strip()) for line in "".join(examples).splitlines()]
    lines = [line for line in lines if line.startswith("tasoc ")]
    return text + ("\n```\n" + "\n".join(lines) + "\n```\n" if lines else "")


def _row(parameter: Any) -> str:
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return ""
    names = " ".join((*parameter.opts, *parameter.secondary_opts))
    shown = (parameter.name or "").upper() if parameter.param_type_name == "argument" else names
    default = parameter.default
    told = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    known = default not in (None, "", False, ()) and "efault" not in told and not callable(default)
    return f"| `{shown}` | {told}{f' Default: `{default}`.' if known else ''} |\n"


def render() -> str:
    """Return the page."""
    root = typer.main.get_command(app)
    return HEAD + "".join(section(name, command) for name, command in commands(root, "tasoc"))


if __name__ == "__main__":
    PAGE.write_text(render())
