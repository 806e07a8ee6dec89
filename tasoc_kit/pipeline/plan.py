"""From the files of the pipelines to ordered runs, each with the id that its product will have.

The id of a product follows from its step, its settings and the ids of its inputs, so a whole
chain of ids is known before anything runs. Whether a run is done is then one question to the
store: is the product with this id complete? Nothing else is remembered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import xarray as xr
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasoc_kit import store
from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError, suggest
from tasoc_kit.pipeline.assigned_value import read_assignment, read_value
from tasoc_kit.pipeline.named_function import named_function
from tasoc_kit.pipeline.notebook import check_notebook
from tasoc_kit.pipeline.notebook_files import find_notebook, pipeline_files
from tasoc_kit.pipeline.parameters import PLACE, read_parameters
from tasoc_kit.pipeline.side_tables import SIDE_TABLES, read_side_table
from tasoc_kit.provenance import Record
from tasoc_kit.step import Step
from tasoc_kit.storage.folders import Folder

__all__ = [
    "Cost",
    "Pipeline",
    "Run",
    "Stage",
    "Unit",
    "check_start",
    "cut_plan",
    "find_pipeline",
    "load_pipelines",
    "make_plan",
    "read_settings",
]

_SETTING = "step.parameter=value, as apertures.threshold=1.0"
COMPARED = "diagnostics"
"""What the CCDs of a sector are compared by."""


class Cost(BaseModel):
    """What a stage takes, for the estimate of a dry run; a frame-megapixel is 10⁶ pixels of one frame."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = 2.0
    seconds_per_frame_megapixel: float = 0.0
    seconds_per_megapixel: float = 0.0
    bytes_per_frame_megapixel: float = 0.0
    bytes_per_megapixel: float = 0.0
    bytes_per_frame: float = 0.0
    frames: int = 0
    """Frames that it reads: 0 none, −1 all."""


class Stage(BaseModel):
    """One notebook of a pipeline."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    notebook: str
    step: str = ""
    """``module:function`` of its step; empty for a page that makes no product."""
    inputs: tuple[str, ...]
    """Names of what its step takes; those that end in ``?`` may be absent and are no products."""
    tables: dict[str, str] = Field(default_factory=dict)
    """``module:function`` that reads a table of the pipeline's own, by the name of the input."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    cost: Cost = Cost()

    @model_validator(mode="after")
    def _every_table_is_read(self) -> Stage:
        unread = [name for name in self.side_tables if name not in SIDE_TABLES.keys() | self.tables.keys()]
        if unread:
            raise ValueError(f"nothing reads the table {unread[0]!r}; expected its reader under 'tables'")
        return self

    @property
    def name(self) -> str:
        """The notebook without its number; for a stage with a step, also its product."""
        return self.notebook.split("_", 1)[1]

    @property
    def path(self) -> Path:
        """The notebook; NotebookError where there is none."""
        return find_notebook(self.notebook)

    def load_step(self) -> Step | None:
        """Return the step, or None for a page; raise NotebookError where it cannot be imported."""
        if not self.step:
            return None
        found = named_function(self.step, self.notebook, "step")
        if not isinstance(found, Step):
            raise NotebookError(
                f"{self.notebook}: {self.step!r} is a {type(found).__name__}; expected a function with @step."
                " Correct the pipeline."
            )
        return found

    @property
    def products(self) -> tuple[str, ...]:
        """Inputs that other stages make."""
        return tuple(name for name in self.inputs if name != "cube" and not name.endswith("?"))

    @property
    def side_tables(self) -> tuple[str, ...]:
        """Tables that its settings may name."""
        return tuple(name[:-1] for name in self.inputs if name.endswith("?") and name != "catalogue?")

    def read_table(self, name: str, place: Any, unit: str) -> xr.Dataset | None:
        """Return one of its tables for a unit; None where no place is given."""
        return read_side_table(name, place, unit, self.tables.get(name, ""))


class Pipeline(BaseModel):
    """An ordered list of notebooks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    notebooks: tuple[Stage, ...]
    after: str = ""
    """Name of the pipeline whose products it starts from; empty for one that starts from the frames."""

    @property
    def stages(self) -> dict[str, Stage]:
        """The stages by name, in order."""
        return {stage.name: stage for stage in self.notebooks}

    def stage(self, name: str) -> Stage:
        """Return a stage by its name; raise NotebookError where there is none."""
        if name not in self.stages:
            raise NotebookError(
                f"{self.name}: no step {name!r}{suggest(name, self.stages)} It has {list(self.stages)}. "
                f"See 'tasoc parameters {self.name}'."
            )
        return self.stages[name]

    def between(self, first: str | None, last: str | None) -> list[Stage]:
        """Return the stages from one to another, both included."""
        names = list(self.stages)
        start = names.index(self.stage(first).name) if first else 0
        end = names.index(self.stage(last).name) + 1 if last else len(names)
        if start >= end:
            raise NotebookError(
                f"{self.name}: --from {first} comes after --until {last}; expected the order {names}. "
                "Swap them."
            )
        return list(self.notebooks[start:end])


@dataclass(frozen=True)
class Unit:
    """One CCD of one sector, or one cutout."""

    source: str
    """Catalog entry, folder, file or URL that the cube is opened from."""
    cube: xr.Dataset = field(repr=False)
    catalogue: str | None = None
    """Place of the star catalogue, where there is one."""
    catalogue_id: str = ""

    @property
    def name(self) -> str:
        """Name of the unit in the store."""
        return store.product_unit(self.cube)

    @property
    def place(self) -> dict[str, Any]:
        """What a notebook must be told to open the same cube."""
        attrs = self.cube.attrs
        numbers = {
            name: int(attrs[name]) if attrs.get(name) else None for name in ("sector", "camera", "ccd")
        }
        return {"cube": self.source} | numbers


@dataclass(frozen=True)
class Run:
    """One notebook on one unit, with everything decided."""

    pipeline: str
    stage: Stage
    unit: Unit
    id: str
    ids: Mapping[str, str]
    """Ids of the input products, by name."""
    parameters: Mapping[str, Any]
    """Value of every parameter of the notebook."""

    @property
    def name(self) -> str:
        """Name of the run in messages and in the task graph."""
        return f"{self.unit.name}/{self.stage.name}"

    @property
    def log(self) -> str:
        """Key of the executed notebook in the store, without ending."""
        return f"runs/{self.unit.name}/{self.stage.notebook}-{self.id}"

    def done(self) -> bool:
        """Tell whether the store has the product, or for a page the executed notebook."""
        if self.stage.step:
            return store.is_complete(self.stage.name, self.unit.name, self.id)
        folder = Folder(settings().store)
        return folder.modified(f"{self.log}.ipynb") > 0


def load_pipelines() -> dict[str, Pipeline]:
    """
    Return the pipelines, by name; one that comes after another stands behind it.

    Raises
    ------
    NotebookError
        If a file holds what no pipeline has, or comes after one that there is not.
    """
    found = {name: _read_pipeline(name, path) for name, path in pipeline_files().items()}
    for one in found.values():
        if one.after and one.after not in found:
            raise NotebookError(
                f"pipelines: {one.name} comes after {one.after!r}{suggest(one.after, found)} "
                f"There are {sorted(found)}. Correct its file."
            )
    try:
        order = TopologicalSorter({name: [one.after] * bool(one.after) for name, one in found.items()})
        return {name: found[name] for name in order.static_order()}
    except CycleError as error:
        raise NotebookError(
            f"pipelines: {error.args[1]} come after each other; expected one to be the first. "
            "Correct 'after' in one of their files."
        ) from None


def find_pipeline(name: str) -> Pipeline:
    """Return the pipeline of a name; raise NotebookError where there is none."""
    known = load_pipelines()
    if name not in known:
        raise NotebookError(
            f"run: no pipeline {name!r}{suggest(name, known)} There are {sorted(known)}. "
            "Correct the name, or set TASOC_NOTEBOOKS to the folder that holds it."
        )
    return known[name]


def _read_pipeline(name: str, path: Path) -> Pipeline:
    try:
        content = yaml.safe_load(path.read_text())
        return Pipeline(name=name, **content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise NotebookError(f"pipelines: {path} is not readable: {error}. Correct the file.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotebookError(f"pipelines: {path}: {where}: {first['msg']}. Correct the file.") from None


def read_settings(
    pipeline: Pipeline, assignments: Sequence[str] = (), config: Path | None = None
) -> dict[str, dict[str, Any]]:
    """
    Return settings by step, from a file and from ``step.parameter=value``; the latter win.

    Values are read as YAML, so ``1.0``, ``1e-3``, ``true``, ``null`` and ``[1, 2]`` mean what they look like.

    Raises
    ------
    NotebookError
        If the file or an assignment is not of this form, or names a step that does not exist.
    """
    chosen: dict[str, dict[str, Any]] = {}
    if config is not None:
        for name, values in _read_config(config).items():
            chosen[_stage_to_set(pipeline, name)] = dict(values or {})
    for assignment in assignments:
        target, value = read_assignment(assignment, _SETTING)
        stage, _, parameter = target.partition(".")
        if not parameter:
            raise NotebookError(f"--set {assignment!r}: expected {_SETTING}. Correct it.")
        chosen.setdefault(_stage_to_set(pipeline, stage), {})[parameter] = value
    return chosen


def _stage_to_set(pipeline: Pipeline, name: str) -> str:
    """Return the name of a stage that takes settings: one of the pipeline, or of those before it."""
    if pipeline.after and name not in pipeline.stages:
        before = load_pipelines()[pipeline.after]
        if name in before.stages or before.after:
            return _stage_to_set(before, name)
    return pipeline.stage(name).name


def _read_config(path: Path) -> dict[str, dict[str, Any] | None]:
    try:
        content = read_value(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NotebookError(f"--config {path}: {error}; expected a readable YAML file. Correct it.") from None
    if not isinstance(content, dict) or not all(isinstance(v, dict | None) for v in content.values()):
        raise NotebookError(
            f"--config {path}: expected steps with their settings, as 'apertures: {{threshold: 1.0}}'. "
            "Correct it."
        )
    return content


def make_plan(
    pipeline: Pipeline,
    unit: Unit,
    chosen: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    last: str | None = None,
    whole: bool = False,
) -> list[Run]:
    """
    Return the runs of one unit from the first stage on, each with the id of what it will make.

    What a pipeline starts from are the products that the one before it makes with these settings.

    Parameters
    ----------
    pipeline
        The stages.
    unit
        The unit, its cube opened lazily.
    chosen
        Settings by stage that differ from the defaults.
    last
        The last stage that is wanted.
    whole
        With the runs of the pipelines before it that its products come from.

    Raises
    ------
    NotebookError, StepParameterError
        If a setting does not exist or does not fit, before anything runs.
    """
    chosen = chosen or {}
    ids = {"cube": str(unit.cube.attrs["provenance_id"]), "catalogue?": unit.catalogue_id}
    stages = pipeline.between(None, last)
    before = _plan_before(pipeline, stages, unit, chosen)
    ids |= {run.stage.name: run.id for run in before}
    runs = []
    for stage in stages:
        run = _make_run(pipeline, stage, unit, ids, chosen.get(stage.name, {}))
        ids[stage.name] = run.id
        runs.append(run)
    return [*before, *runs] if whole else runs


def _plan_before(
    pipeline: Pipeline, stages: Sequence[Stage], unit: Unit, chosen: Mapping[str, Mapping[str, Any]]
) -> list[Run]:
    """Return the runs of the pipelines before this one, to the last that its stages take a product of."""
    if not pipeline.after:
        return []
    earlier = load_pipelines()[pipeline.after]
    taken = {name for stage in stages for name in stage.products}
    last = [name for name in earlier.stages if name in taken]
    return make_plan(earlier, unit, chosen, last=last[-1], whole=True) if last else []


def check_start(plans: Sequence[Sequence[Run]], pipeline: Pipeline) -> None:
    """
    Refuse plans that start from products which are not there.

    Raises
    ------
    NotebookError
        Naming the products of the pipeline before it that the store lacks, or the units whose diagnostics
        the plans of others compare, and are still to be made.
    """
    for plan in plans:
        _check_given(plan, pipeline)
    runs = [run for plan in plans for run in plan]
    comparing = [run for run in runs if run.parameters.get("neighbours")]
    unmade = {run.unit.name for run in runs if comparing and run.stage.name == COMPARED and not run.done()}
    for run in comparing:
        others = sorted(unmade - {run.unit.name})
        if others:
            raise NotebookError(
                f"{run.name}: its neighbours {others} have no {COMPARED} with these settings; expected them "
                f"done, for its id is made of them. Run with --until {COMPARED} first, then the same again."
            )


def _check_given(plan: Sequence[Run], pipeline: Pipeline) -> None:
    own = {run.stage.name for run in plan}
    given = {name: run.ids[name] for run in plan for name in run.stage.products if name not in own}
    lost = [name for name, id_ in given.items() if not store.is_complete(name, plan[0].unit.name, id_)]
    if pipeline.after and lost:
        raise NotebookError(
            f"{plan[0].unit.name}: {pipeline.name} starts from {lost}, which are not there with these "
            f"settings; expected them done. Run 'tasoc run {pipeline.after}' on the same frames first, with "
            "the same --set where there is any."
        )


def cut_plan(plan: Sequence[Run], stages: Collection[str]) -> list[Run]:
    """
    Return the runs of the wanted stages.

    Raises
    ------
    NotebookError
        If what comes before them is not done.
    """
    wanted = [run for run in plan if run.stage.name in stages]
    needed = {name for run in wanted for name in run.stage.products}
    missing = [
        run.stage.name
        for run in plan
        if run.stage.name in needed and run.stage.name not in stages and not run.done()
    ]
    if missing:
        raise NotebookError(
            f"{wanted[0].unit.name}: --from {wanted[0].stage.name} needs {missing}, which are not there with "
            f"these settings; expected them done. Run with --from {missing[0]}, or without --from."
        )
    return wanted


def _make_run(
    pipeline: Pipeline, stage: Stage, unit: Unit, ids: Mapping[str, str], chosen: Mapping[str, Any]
) -> Run:
    step = stage.load_step()
    declared = {parameter.name for parameter in read_parameters(stage.path)}
    inputs = {name: ids[name] for name in stage.products}
    place = unit.place | {"catalogue": unit.catalogue, "ids": inputs}
    known = {name: value for name, value in place.items() if name in declared}
    parameters = check_notebook(stage.path, stage.parameters | dict(chosen) | known, step)
    tables = [stage.read_table(name, parameters.get(name), unit.name) for name in stage.side_tables]
    parents = [ids[name] for name in stage.inputs if ids.get(name)]
    parents += [str(table.attrs["provenance_id"]) for table in tables if table is not None]
    if step is None:
        record = _page_record(stage, parents, parameters)
    else:
        record = step.record(parents, _settings(stage, parameters))
    return Run(pipeline.name, stage, unit, record.id, inputs, parameters)


def _settings(stage: Stage, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that do not say where an input is."""
    places = {*PLACE, *stage.side_tables}
    return {name: value for name, value in parameters.items() if name not in places}


def _page_record(stage: Stage, parents: Sequence[str], parameters: Mapping[str, Any]) -> Record:
    """Return what decides the content of a page: the notebook itself, what it shows, and how."""
    own = _settings(stage, parameters)
    source = hashlib.sha256(stage.path.read_bytes()).hexdigest()[:12]
    return Record(stage.notebook, 1, own | {"notebook": source}, tuple(parents))
