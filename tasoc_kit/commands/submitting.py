"""What the commands that submit jobs have in common: their options, and who asks for what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tasoc_kit.errors import JobError, NotebookError

__all__ = [
    "Assign",
    "Hours",
    "Memory",
    "Name",
    "Priority",
    "Queue",
    "Tries",
    "limits",
    "read_arguments",
    "read_bytes",
    "say",
    "whole",
]

Name = Annotated[str, typer.Argument(help="Name of a pipeline, or of a notebook without its ending.")]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="parameter=value; of a step of a pipeline step.parameter=value. May be repeated."
    ),
]
Queue = Annotated[str, typer.Option(help="Queue that it goes to.")]
Priority = Annotated[int, typer.Option(help="The higher the sooner.")]
Tries = Annotated[int, typer.Option(min=1, max=100, help="How often it may be started.")]
Hours = Annotated[float, typer.Option(min=0.0001, help="Wall time that it may take.")]
Memory = Annotated[str | None, typer.Option(help="Memory that it may take, as 4GB.")]


_FORM = "parameter=value, as sector=14, or of a step of a pipeline step.parameter=value"


def say(line: str) -> None:
    """Show a line."""
    from tasoc_kit.commands.look import console

    console.print(line)


def read_bytes(option: str, text: str | None) -> int:
    """Read ``4GB`` or ``500 MiB`` as bytes; nothing as 0."""
    from dask.utils import parse_bytes

    if text is None:
        return 0
    try:
        found = int(parse_bytes(text))
    except ValueError:
        found = 0
    if not 0 < found < 2**62:
        raise JobError(f"{option} {text!r}: expected a size, as 4GB or 500MB. Correct the option.")
    return found


def limits(tries: int, hours: float, memory: str | None) -> dict[str, Any]:
    """Return the limits of a job, as ``submit_job`` takes them."""
    return {
        "most_tries": tries,
        "most_seconds": hours * 3600,
        "most_bytes": read_bytes("--memory", memory),
    }


def read_arguments(name: str, assignments: list[str]) -> tuple[str, dict[str, Any]]:
    """
    Return the kind of what has this name, and its arguments from ``parameter=value``.

    Raises
    ------
    NotebookError
        If an assignment is not of this form.
    """
    from tasoc_kit.pipeline.assigned_value import read_assignment
    from tasoc_kit.pipeline.schema import notebook_names

    kind = "notebook" if name in notebook_names() else "pipeline"
    arguments: dict[str, Any] = {}
    for assignment in assignments:
        target, value = read_assignment(assignment, _FORM)
        stage, dot, parameter = target.partition(".")
        if not stage or (dot and (kind == "notebook" or not parameter)):
            raise NotebookError(f"--set {assignment!r}: expected {_FORM}. Correct it.")
        if dot:
            arguments.setdefault("settings", {}).setdefault(stage, {})[parameter] = value
        else:
            arguments[stage] = whole(value) if stage in ("cube", "catalogue") else value
    return kind, arguments


def whole(value: Any) -> Any:
    """Return the path of something that is here in full, for workers have other folders."""
    return str(Path(value).absolute()) if isinstance(value, str) and Path(value).exists() else value
