"""Run ONE notebook strictly.

What it may be told is checked before anything starts; its kernel dies with the run; its executed
copy becomes visible only when it has ended, as the log of the run; and what it made is read from
the result record that it declares.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir

from tasoc_kit import errors
from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.parameters import check_against_step, read_notebook, read_parameters, validate
from tasoc_kit.pipeline.progress import VARIABLE, read_progress
from tasoc_kit.pipeline.report import Report, read_report
from tasoc_kit.pipeline.request import Outcome, Place, Request
from tasoc_kit.pipeline.scratch import scratch_folder
from tasoc_kit.step import Step
from tasoc_kit.storage.folders import SCRATCH, Folder

__all__ = ["check_notebook", "run_notebook"]

_log = logging.getLogger(__name__)

SCRATCH_LOGS = f"{SCRATCH}/runs"


def check_notebook(path: Path, given: Mapping[str, Any], step: Step | None = None) -> dict[str, Any]:
    """
    Return every parameter of a notebook with the value it will have.

    Raises
    ------
    NotebookError
        If the notebook does not take one of the given names or values, or does not agree with
        its step.
    StepParameterError
        If the step does not take a value.
    """
    declared = read_parameters(path)
    values = validate(path.stem, declared, given)
    if step is not None:
        check_against_step(path.stem, declared, step)
        step.validate({info.name: values[info.name] for info in step.schema()})
    return values


def run_notebook(
    path: Path,
    given: Mapping[str, Any],
    *,
    place: Place,
    folder: Folder,
    log: str,
    step: Step | None = None,
    expected: str | None = None,
    timeout: float = 86_400.0,
    environment: Mapping[str, str] | None = None,
    advanced: Callable[[int, int], None] = lambda done, total: None,
    ended: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """
    Run one notebook and return the record of what it made.

    Parameters
    ----------
    path
        The notebook.
    given
        Values of its parameters; the others keep their defaults.
    place
        What runs it.
    folder, log
        Store and key, without ending, of the executed notebook. It is put there whole: as
        ``{log}.ipynb``, or as ``{log}-failed.ipynb`` when a cell failed.
    step
        The step whose settings the notebook must declare.
    expected
        The id that the product must have.
    timeout
        Seconds that one cell may take.
    environment
        Variables for the kernel.
    advanced
        Told, a few times a second, how many of how many blocks are done.
    ended
        Told how the kernel ended, and what it took, be it well or not.

    Raises
    ------
    NotebookError
        If it is refused, if a cell fails or takes too long, if its kernel dies, or if what it
        declares is not what was expected.
    """
    parameters = check_notebook(path, given, step)
    with scratch_folder() as scratch:
        output, told = scratch / path.name, scratch / "progress"

        def tick() -> None:
            found = read_progress(told)
            if found:
                advanced(found[1], found[2])

        request = Request(
            notebook=str(path.resolve()),
            parameters=parameters,
            output=str(output),
            folder=str(Path.cwd()),
            timeout=timeout,
            environment=dict(environment or {}) | {VARIABLE: str(told)},
        )
        outcome = place.run(request, tick)
        ended(outcome)
        if not outcome.ok:
            if output.exists():
                folder.put({f"{log}-failed.ipynb": output.read_bytes()}, scratch=SCRATCH_LOGS)
            raise _failure(path.stem, outcome, f"{folder.url}/{log}-failed.ipynb")
        executed = read_notebook(output)
        made = read_report(path.stem, executed)
        if expected is not None and made.id != expected:
            raise NotebookError(
                f"{path.stem}: it made {made.product} {made.id}; expected {expected}. "
                "The code or a library changed while the run went on: run again."
            )
        _sign(executed)
        folder.put({f"{log}.ipynb": output.read_bytes()}, scratch=SCRATCH_LOGS)
        folder.remove(f"{log}-failed.ipynb")
    return made


def _sign(executed: Any) -> None:
    """Let the Jupyter of this person trust what this person ran; else it would show no figure of it."""
    from nbformat.sign import NotebookNotary

    place = Path(jupyter_data_dir())
    try:
        place.mkdir(parents=True, exist_ok=True)
        notary = NotebookNotary(data_dir=str(place))  # type: ignore[no-untyped-call]
        with closing(notary.store):
            notary.sign(executed)  # type: ignore[no-untyped-call]
    except (OSError, sqlite3.Error) as error:
        _log.warning("%s: a notebook was not signed: %s. Trust it in Jupyter by hand.", place, error)


def _failure(stem: str, outcome: Outcome, log: str) -> NotebookError:
    """Return the error that says which cell failed, why, and where to look."""
    where = f"{stem}, cell {outcome.cell}"
    if outcome.error == "KernelDied":
        return NotebookError(
            f"{where}: the kernel died; expected the cell to end. Often memory ran out. Log: {log}"
        )
    if outcome.error == "CellTimeout":
        return NotebookError(
            f"{where}: no end after {outcome.message}; expected one sooner. Raise --timeout. Log: {log}"
        )
    if outcome.error in errors.__all__:
        return NotebookError(f"{outcome.message} ({where}; log: {log})")
    if not outcome.cell:
        return NotebookError(
            f"{stem}: it could not be run ({outcome.error}: {outcome.message}); expected room for temporary "
            "files, and memory. Free some, or set TMPDIR to another folder, and run again."
        )
    return NotebookError(
        f"{where}: {outcome.error}: {outcome.message}; expected the cell to end. Read the log: {log}"
    )
