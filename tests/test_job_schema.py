"""What notebooks and pipelines may be told: as JSON schema, and checked before a job is queued."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tiny_pipeline import write_notebook

from tasoc_kit.config import settings
from tasoc_kit.errors import JobError, NotebookError, StepParameterError, StoreError
from tasoc_kit.pipeline.job import check_request, request_job
from tasoc_kit.pipeline.notebook import check_notebook
from tasoc_kit.pipeline.schema import find_notebook, notebook_names, notebook_schema, pipeline_schema
from tasoc_kit.records.jobs import get_job, list_jobs

CELL = """sector: int | None = None  # TESS sector
mode: Literal['a', 'b'] = 'a'  # how
sizes: list[float] = [1, 2.5]  # pixel
ids: dict[str, str] = {}  # inputs
"""


@pytest.fixture
def shown(tiny_pipelines: dict[str, Any]) -> Path:
    """The tiny pipelines, and a notebook that belongs to none."""
    return write_notebook(settings().notebooks[0] / "60_shown.ipynb", CELL, "1 + 1")


def test_a_notebook_has_the_types_defaults_and_comments_of_its_cell(shown: Path) -> None:
    schema = notebook_schema("60_shown")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == "60_shown"
    assert not schema["additionalProperties"]
    told = schema["properties"]
    assert list(told) == ["sector", "mode", "sizes", "ids"]
    assert [one["description"] for one in told.values()] == ["TESS sector", "how", "pixel", "inputs"]
    assert [one["default"] for one in told.values()] == [None, "a", [1, 2.5], {}]
    assert told["mode"]["enum"] == ["a", "b"]
    assert {"type": "null"} in told["sector"]["anyOf"]


def test_a_setting_has_the_bounds_units_and_meaning_of_its_step(tiny_pipelines: dict[str, Any]) -> None:
    assert notebook_schema("10_doubled")["properties"]["factor"] == {
        "title": "factor",
        "type": "number",
        "default": 2.0,
        "minimum": 0.0,
        "description": "factor",
        "unit": "",
    }


@pytest.mark.parametrize("name", notebook_names())
def test_the_schema_of_every_notebook_takes_its_defaults(name: str) -> None:
    schema = notebook_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({key: told["default"] for key, told in schema["properties"].items()}, schema)
    assert all(told.get("description") for told in schema["properties"].values())


@pytest.mark.parametrize(
    "given",
    [{"sector": "1"}, {"mode": "c"}, {"sizes": [None]}, {"ids": {"a": 1}}, {"sectr": 1}, {"mode": "b"}, {}],
)
def test_the_schema_and_the_runner_agree_on_what_fits(shown: Path, given: dict[str, Any]) -> None:
    fits = jsonschema.Draft202012Validator(notebook_schema("60_shown")).is_valid(given)
    if fits:
        assert check_request("notebook", "60_shown", given).arguments == check_notebook(shown, given)
    else:
        with pytest.raises(NotebookError) as runner:
            check_notebook(shown, given)
        with pytest.raises(NotebookError) as checked:
            check_request("notebook", "60_shown", given)
        assert str(checked.value) == str(runner.value)
    assert fits == (given in ({"mode": "b"}, {}))


@pytest.mark.parametrize("name", ["photometry", "seismology"])
def test_a_pipeline_takes_the_settings_of_its_steps_and_of_those_before_it(name: str) -> None:
    schema = pipeline_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["settings"]["properties"]["apertures"]["properties"]["threshold"] == {
        "title": "threshold",
        "type": "number",
        "default": 0.8,
        "minimum": 0,
        "unit": "",
        "description": "scaled MADs above the mode at which a pixel is lit",
    }
    request = {"sector": 1, "camera": 1, "ccd": 2, "settings": {"apertures": {"threshold": 1.0}}}
    jsonschema.validate(request, schema)
    checked = check_request("pipeline", name, request)
    assert checked.unit == "s0001-1-2"
    assert checked.arguments == {
        "cube": "ffi.local", "catalogue": None, "first": None, "last": None, **request
    }  # fmt: skip
    for wrong in ({"settings": {"apertures": {"treshold": 1.0}}}, {"first": "nothing"}, {"cubes": "x"}):
        assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)
        with pytest.raises(NotebookError):
            check_request("pipeline", name, wrong)


@pytest.mark.parametrize(
    ("kind", "name", "given", "error", "message"),
    [
        ("shell", "tiny", {}, NotebookError, "kind 'shell'; expected one of"),
        ("pipeline", "tny", {}, NotebookError, "no pipeline 'tny'; did you mean 'tiny'"),
        ("notebook", "10_doubld", {}, NotebookError, "no notebook '10_doubld'; did you mean '10_doubled'"),
        ("notebook", "../notebooks/10_doubled", {}, NotebookError, "no notebook '../notebooks/10_doubled'"),
        ("notebook", "/etc/passwd", {}, NotebookError, "no notebook '/etc/passwd'"),
        ("notebook", "10_doubled.ipynb", {}, NotebookError, "no notebook"),
        ("notebook", "", {}, NotebookError, "no notebook ''"),
        ("notebook", None, {}, NotebookError, "name None with arguments"),
        ("notebook", "10_doubled", [], NotebookError, "arguments list; expected"),
        ("notebook", "10_doubled", {"factr": 1}, NotebookError, "unknown parameter 'factr'; did you mean"),
        ("notebook", "10_doubled", {"factor": "x"}, NotebookError, "factor='x'.*expected float"),
        ("notebook", "10_doubled", {"factor": -1.0}, StepParameterError, r"factor=-1\.0"),
        ("notebook", "10_doubled", {"factor": float("nan")}, NotebookError, "its arguments are no JSON"),
        ("notebook", "10_doubled", {"cube": "\ud800"}, NotebookError, "its arguments are no JSON"),
        ("notebook", "10_doubled", {"cube": {1, 2}}, NotebookError, "its arguments are no JSON"),
        ("pipeline", "tiny", {"sector": "1"}, NotebookError, "tiny: sector='1'.*expected int"),
        ("pipeline", "tiny", {"last": "doubld"}, NotebookError, "no step 'doubld'; did you mean 'doubled'"),
        ("pipeline", "tiny", {"first": "summed", "last": "doubled"}, NotebookError, "comes after"),
        ("pipeline", "tiny", {"settings": {"doubld": {}}}, NotebookError, "did you mean 'doubled'"),
        ("pipeline", "tiny", {"settings": {"doubled": {"cube": "x"}}}, NotebookError, "no setting of a step"),
        ("pipeline", "tiny", {"settings": {"doubled": 1}}, NotebookError, "settings"),
        ("pipeline", "tiny", {"sector": 1, "camera": 9, "ccd": 1}, StoreError, "unit 's0001-9-1'"),
    ],
)  # fmt: skip
def test_what_could_not_be_run_is_never_queued(
    tiny_pipelines: dict[str, Any], kind: str, name: Any, given: Any, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        request_job(kind, name, given)
    assert list_jobs().empty


def test_names_are_looked_up_among_the_files_and_never_made_into_a_path(shown: Path, tmp_path: Path) -> None:
    write_notebook(tmp_path / "70_outside.ipynb", "n: int = 1", "1")
    assert find_notebook("60_shown") == shown
    assert "70_outside" not in notebook_names()
    for name in ("../70_outside", str(tmp_path / "70_outside"), "70_outside", "*"):
        with pytest.raises(NotebookError, match="no notebook"):
            find_notebook(name)


def test_a_request_is_queued_with_every_argument_and_its_unit(tiny_pipelines: dict[str, Any]) -> None:
    request = {"sector": 2, "camera": 3, "ccd": 4}
    job = request_job("pipeline", "tiny", request, queue="urgent", submitter="ann")
    found = get_job(job)
    assert (found["unit"], found["queue"], found["submitter"]) == ("s0002-3-4", "urgent", "ann")
    assert found["arguments"]["cube"] == "ffi.local"
    assert request_job("pipeline", "tiny", request | {"cube": "ffi.local"}) == job
    with pytest.raises(JobError, match="queue 'a b'"):
        request_job("pipeline", "tiny", request, queue="a b")


def test_the_example_in_the_page_of_jobs_submits_one(repository: Path, capsys: pytest.CaptureFixture) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (repository / "docs" / "jobs.md").read_text(), re.DOTALL)
    exec(compile(code, "jobs.md", "exec"), found := {})
    assert get_job(found["job"])["state"] == "held"
    assert "scaled MADs" in capsys.readouterr().out
