"""What a job asks for, checked before it is queued: by the same rules, and words, as when it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.notebook import check_notebook
from tasoc_kit.pipeline.parameters import PLACE, validate
from tasoc_kit.pipeline.plan import Stage
from tasoc_kit.pipeline.schema import (
    find_notebook,
    find_pipeline,
    notebook_stage,
    pipeline_arguments,
    stages_to_set,
)
from tasoc_kit.records.jobs import KINDS, submit_job
from tasoc_kit.storage.units import unit_name

__all__ = ["Request", "check_request", "request_job"]


@dataclass(frozen=True)
class Request:
    """One notebook, or one pipeline on one unit, that can be run."""

    kind: str
    """``notebook`` or ``pipeline``."""
    name: str
    """Of the notebook, without ending, or of the pipeline."""
    arguments: Mapping[str, Any] = field(repr=False)
    """Every argument with the value that it will have."""
    unit: str
    """The unit that it works on; empty where only the frames tell."""


def check_request(kind: str, name: str, arguments: Mapping[str, Any]) -> Request:
    """
    Return a request with all its arguments, as it would run.

    Parameters
    ----------
    kind
        ``notebook`` or ``pipeline``.
    name
        Of a notebook in the folder of notebooks, without ending, or of a pipeline; never a path.
    arguments
        Those that differ from the defaults, as JSON values.

    Raises
    ------
    NotebookError, StepParameterError
        If there is no such notebook or pipeline, or it does not take an argument or its value.
    StoreError
        If sector, camera and CCD name no unit.
    """
    if kind not in KINDS:
        raise NotebookError(f"job: kind {kind!r}; expected one of {KINDS}. Choose one.")
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise NotebookError(
            f"job: name {name!r} with arguments {type(arguments).__name__}; expected a text and an object of "
            "arguments by name. Correct them."
        )
    _check_json(name, arguments)
    values = _notebook(name, arguments) if kind == "notebook" else _pipeline(name, arguments)
    return Request(kind, name, values, _unit(values))


def _check_json(name: str, arguments: Mapping[str, Any]) -> None:
    try:
        json.dumps(arguments, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise NotebookError(
            f"{name}: its arguments are no JSON ({error}); expected texts, finite numbers, lists, objects. "
            "Correct them."
        ) from None


def _notebook(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    path, stage = find_notebook(name), notebook_stage(name)
    return check_notebook(path, arguments, stage[1].load_step() if stage else None)


def _pipeline(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    pipeline = find_pipeline(name)
    values = validate(name, pipeline_arguments(pipeline), arguments)
    pipeline.between(values["first"], values["last"])
    stages = stages_to_set(pipeline)
    for stage, given in values["settings"].items():
        chosen = stages.get(stage) or pipeline.stage(stage)
        _check_no_place(chosen, given)
        check_notebook(chosen.path, chosen.parameters | given, chosen.load_step())
    return values


def _check_no_place(stage: Stage, given: Mapping[str, Any]) -> None:
    """Refuse to be told for one step where its input is: the plan says so for all."""
    places = sorted(given.keys() & set(PLACE) - set(stage.side_tables))
    if places:
        raise NotebookError(
            f"{stage.name}: {places[0]}={given[places[0]]!r} is no setting of a step; expected it beside "
            "'settings', for all steps. Move it there."
        )


def _unit(values: Mapping[str, Any]) -> str:
    """Return the unit that sector, camera and CCD name; empty where one of them is not told."""
    sector, camera, ccd = (values.get(name) for name in ("sector", "camera", "ccd"))
    if sector is None or camera is None or ccd is None:
        return ""
    return unit_name(sector, camera, ccd)


def request_job(kind: str, name: str, arguments: Mapping[str, Any], **options: Any) -> int:
    """
    Check a request, put it into a queue and return the number of its job.

    Parameters
    ----------
    kind, name, arguments
        As ``check_request`` takes them.
    options
        As ``submit_job`` takes them: ``queue``, ``priority``, ``submitter``, ``held`` …

    Raises
    ------
    NotebookError, StepParameterError, StoreError
        If it could not be run.
    JobError
        If an option is of no use.
    """
    checked = check_request(kind, name, arguments)
    return submit_job(checked.kind, checked.name, checked.arguments, unit=checked.unit, **options)
