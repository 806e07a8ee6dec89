"""What a notebook may be told: its ``parameters`` cell, read and never executed.

The tagged cell holds flat annotated assignments, ``name: type = value  # meaning``. They become
a strict pydantic model, which is held against the settings of the step that the notebook runs,
so that a mistyped name or value is refused before a kernel starts.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from tasoc_kit.errors import NotebookError, suggest
from tasoc_kit.pipeline.preload import leave_out
from tasoc_kit.pipeline.side_tables import SIDE_TABLES
from tasoc_kit.step import Step

# Where it can, jsonschema builds a grammar of internet addresses for nbformat: seconds, for no notebook.
with leave_out("rfc3987_syntax"):
    import nbformat

__all__ = ["PLACE", "NotebookParameter", "check_against_step", "read_notebook", "read_parameters", "validate"]

PLACE = ("cube", "sector", "camera", "ccd", "catalogue", *SIDE_TABLES, "ids")
"""Parameters of a notebook that say where its input is; every other one is a setting of its step."""

_TYPES: dict[str, Any] = {
    "bool": bool,
    "dict": dict,
    "float": float,
    "int": int,
    "list": list,
    "Literal": Literal,
    "None": None,
    "str": str,
}


@dataclass(frozen=True)
class NotebookParameter:
    """One line of a ``parameters`` cell."""

    name: str
    annotation: Any
    default: Any
    comment: str


def read_parameters(path: Path) -> list[NotebookParameter]:
    """
    Return the parameters that a notebook declares, in order.

    Raises
    ------
    NotebookError
        If the file is no notebook, has not exactly one cell tagged ``parameters``, or if a line
        of that cell is anything but ``name: type = literal``.
    """
    notebook = read_notebook(path)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise NotebookError(
            f"{path.stem}: {len(tagged)} cells are tagged 'parameters'; expected one. "
            "Tag the cell that holds the defaults."
        )
    source = str(tagged[0].source)
    comments = _comments(source)
    return [_parameter(path.stem, line, comments.get(line.lineno, "")) for line in ast.parse(source).body]


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Return a notebook; raise NotebookError where the file is none."""
    try:
        found: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        near = suggest(path.stem, [other.stem for other in path.parent.glob("*.ipynb")])
        raise NotebookError(
            f"{path.stem}: there is no notebook {path}{near} Set TASOC_NOTEBOOKS to the folder that holds it."
        ) from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError, KeyError) as error:
        problem = str(error).strip()[:80]
        raise NotebookError(
            f"{path.stem}: {path} is not a notebook ({problem}); expected nbformat 4. Restore the file."
        ) from None
    return found


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}


def _parameter(stem: str, line: ast.stmt, comment: str) -> NotebookParameter:
    if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
        raise NotebookError(
            f"{stem}: the parameters cell holds {ast.unparse(line)!r}; expected 'name: type = value'. "
            "Write one such line for each parameter and nothing else."
        )
    name = line.target.id
    annotation: ast.expr = line.annotation
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    unknown = {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)} - _TYPES.keys()
    if unknown or any(isinstance(n, ast.Attribute | ast.Call) for n in ast.walk(annotation)):
        raise NotebookError(
            f"{stem}: {name} has the type {ast.unparse(annotation)!r}; expected one made of "
            f"{sorted(_TYPES)}. Use plain types, they are given as JSON."
        )
    code = compile(ast.fix_missing_locations(ast.Expression(annotation)), stem, "eval")
    meant = eval(code, {"__builtins__": {}}, _TYPES)
    try:
        default = ast.literal_eval(line.value)
    except ValueError:
        raise NotebookError(
            f"{stem}: the default of {name} is {ast.unparse(line.value)!r}; expected a literal. "
            "Compute it in a later cell."
        ) from None
    return NotebookParameter(name, meant, default, comment)


def validate(stem: str, parameters: Sequence[NotebookParameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return every parameter with the value it will have.

    Raises
    ------
    NotebookError
        Naming the first parameter that the notebook does not have, or not with this type.
    """
    known = [parameter.name for parameter in parameters]
    for name in given:
        if name not in known:
            raise NotebookError(
                f"{stem}: unknown parameter {name!r}{suggest(name, known)} It takes {known}. "
                "Correct the name."
            )
    fields: dict[str, Any] = {p.name: (p.annotation, p.default) for p in parameters}
    config = ConfigDict(extra="forbid", strict=True, validate_default=True)
    model: type[BaseModel] = create_model(f"notebook_{stem}", __config__=config, **fields)
    try:
        return model(**given).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        annotation = next(p.annotation for p in parameters if p.name == name)
        expected = getattr(annotation, "__name__", str(annotation))
        raise NotebookError(
            f"{stem}: {name}={first['input']!r}: {first['msg']}; expected {expected}. Give a value that fits."
        ) from None


def check_against_step(stem: str, parameters: Sequence[NotebookParameter], step: Step) -> None:
    """
    Hold a notebook's parameters against the settings of its step: the same names, the same defaults.

    Raises
    ------
    NotebookError
        Naming what the notebook lacks, has beside, or gives another default.
    """
    settings = {info.name: info.default for info in step.schema()}
    declared = {p.name: p.default for p in parameters if p.name not in {*PLACE, *step.inputs}}
    missing, beside = sorted(settings.keys() - declared.keys()), sorted(declared.keys() - settings.keys())
    if missing or beside:
        raise NotebookError(
            f"{stem}: its parameters cell lacks {missing} and has {beside} beside the settings of "
            f"{step.name}; expected {sorted(settings)}. Make the cell and the step agree."
        )
    other = {n: (declared[n], settings[n]) for n in settings if declared[n] != settings[n]}
    if other:
        raise NotebookError(
            f"{stem}: defaults differ from those of {step.name} (notebook, step): {other}. "
            "Write the step's defaults into the parameters cell."
        )
