"""What a notebook or a pipeline may be told, as JSON schema (draft 2020-12): what a form is made from.

A notebook's comes from its ``parameters`` cell, with the bounds, units and meanings that its step
gives to its settings; a pipeline's from the settings of all its steps, and where its frames are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ConfigDict, Field, create_model

from tasoc_kit.pipeline.notebook_files import find_notebook, notebook_files
from tasoc_kit.pipeline.parameters import NotebookParameter, read_parameters
from tasoc_kit.pipeline.plan import Pipeline, Stage, find_pipeline, load_pipelines
from tasoc_kit.step import Step

__all__ = [
    "PLACE_OF_FRAMES",
    "find_notebook",
    "find_pipeline",
    "notebook_names",
    "notebook_schema",
    "notebook_stage",
    "pipeline_arguments",
    "pipeline_schema",
    "stages_to_set",
]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"

PLACE_OF_FRAMES = (
    NotebookParameter("cube", str, "ffi.local", "catalog entry, folder, file or URL of the frames"),
    NotebookParameter("sector", int | None, None, "sector; none where the source is one unit"),
    NotebookParameter("camera", int | None, None, "camera, 1 to 4"),
    NotebookParameter("ccd", int | None, None, "CCD, 1 to 4"),
    NotebookParameter(
        "catalogue", str | None, None, "star catalogue; none for the one that serves the frames"
    ),
)
"""Where the frames of one unit are: what every pipeline takes."""


def notebook_names() -> list[str]:
    """Return the names of the notebooks that can be run, sorted: the files without their ending."""
    return sorted(notebook_files())


def notebook_stage(name: str) -> tuple[str, Stage] | None:
    """Return the pipeline, by name, and the stage that a notebook is of; None where it is of none."""
    found = (
        (pipeline.name, stage)
        for pipeline in load_pipelines().values()
        for stage in pipeline.notebooks
        if stage.notebook == name
    )
    return next(found, None)


def notebook_schema(stem: str) -> dict[str, Any]:
    """
    Return the JSON schema of the parameters of a notebook.

    Types and defaults are those of its ``parameters`` cell, its comments are the descriptions; a
    setting of its step has the bounds, the unit (``unit``) and the meaning that the step gives it.

    Parameters
    ----------
    stem
        Name of the notebook, without ending.

    Raises
    ------
    NotebookError
        If there is no such notebook, or it cannot be read.
    """
    stage = notebook_stage(stem)
    step = stage[1].load_step() if stage else None
    return {"$schema": _DRAFT, "title": stem} | _schema(stem, read_parameters(find_notebook(stem)), step)


def _schema(name: str, parameters: Iterable[NotebookParameter], step: Step | None = None) -> dict[str, Any]:
    """Return the schema of an object: parameters that were read, and of settings what the step says."""
    fields: dict[str, Any] = {
        p.name: (p.annotation, Field(p.default, description=p.comment or None)) for p in parameters
    }
    model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    schema: dict[str, Any] = model.model_json_schema()
    known = step.Parameters.model_json_schema()["properties"] if step else {}
    for parameter, told in schema.get("properties", {}).items():
        told |= {key: value for key, value in known.get(parameter, {}).items() if key != "default"}
        told["title"] = parameter
    return schema | {"properties": schema.get("properties", {}), "title": name}


def pipeline_arguments(pipeline: Pipeline) -> list[NotebookParameter]:
    """Return what a job that runs a pipeline may be told: the frames, from and until which step, settings."""
    return [
        *PLACE_OF_FRAMES,
        NotebookParameter("first", str | None, None, "first step; none for the first of all"),
        NotebookParameter("last", str | None, None, "last step; none for the last of all"),
        NotebookParameter(
            "settings", dict[str, dict[str, Any]], {}, "settings by step, where not the defaults"
        ),
    ]


def stages_to_set(pipeline: Pipeline) -> dict[str, Stage]:
    """Return the stages that take settings, by name: those of a pipeline and of the ones before it."""
    before = stages_to_set(find_pipeline(pipeline.after)) if pipeline.after else {}
    return before | pipeline.stages


def pipeline_schema(name: str) -> dict[str, Any]:
    """
    Return the JSON schema of the arguments of a pipeline: ``cube`` … ``first``, ``last``, ``settings``.

    ``settings`` has an object for each step, with the schema of its settings.

    Raises
    ------
    NotebookError
        If there is no such pipeline.
    """
    pipeline = find_pipeline(name)
    schema: dict[str, Any] = _schema(name, pipeline_arguments(pipeline))
    for end in ("first", "last"):
        schema["properties"][end]["anyOf"] = [{"enum": list(pipeline.stages)}, {"type": "null"}]
    steps = {key: _settings_schema(stage) for key, stage in stages_to_set(pipeline).items()}
    schema["properties"]["settings"] |= {
        "properties": {key: one for key, one in steps.items() if one["properties"]},
        "additionalProperties": False,
    }
    return {"$schema": _DRAFT} | schema | {"description": pipeline.title}


def _settings_schema(stage: Stage) -> Mapping[str, Any]:
    """Return the schema of the settings of one step, with the defaults that the pipeline gives them."""
    step = stage.load_step()
    settable = set(step.Parameters.model_fields if step else ()) | set(stage.side_tables)
    declared = [p for p in read_parameters(stage.path) if p.name in settable or not step]
    of_pipeline = [
        NotebookParameter(p.name, p.annotation, stage.parameters.get(p.name, p.default), p.comment)
        for p in declared
    ]
    return _schema(stage.name, of_pipeline, step)
