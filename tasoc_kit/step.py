"""The ``@step`` decorator: a pure function on Datasets becomes a checked, traceable step.

A step takes Datasets by position and settings by keyword. The decorator validates the
settings against the signature, checks that the inputs hold what the step needs, checks and
labels what it gives, and stamps the result with its provenance.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import xarray as xr
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tasoc_kit import vocabulary
from tasoc_kit.errors import StepInputError, StepParameterError
from tasoc_kit.provenance import Record, library_versions, stamp

__all__ = ["Parameter", "ParameterInfo", "Step", "step"]

INHERITED = ("sector", "camera", "ccd", "field", "exposure", "cadence", "mission")


def Parameter(meaning: str, *, unit: str = "", **bounds: Any) -> Any:  # noqa: N802
    """Describe one setting of a step: its meaning, its unit and pydantic's bounds (ge, le, …)."""
    return Field(description=meaning, json_schema_extra={"unit": unit}, **bounds)


@dataclass(frozen=True)
class ParameterInfo:
    """One row of ``tasoc parameters``."""

    name: str
    type: str
    default: Any
    unit: str
    meaning: str


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


class Step:
    """A checked, traceable step; call it as the function it wraps."""

    def __init__(
        self,
        function: Callable[..., xr.Dataset],
        *,
        version: int,
        product: str,
        needs: Mapping[str, Sequence[str]],
        gives: Sequence[str],
        libraries: Sequence[str],
        unhashed: Sequence[str],
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = function.__name__
        self.version, self.product = version, product
        self.needs, self.gives = dict(needs), tuple(gives)
        self.libraries, self.unhashed = tuple(libraries), frozenset(unhashed)
        hints = get_type_hints(function, include_extras=True)
        signature = inspect.signature(function)
        self.inputs = [p.name for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        self.optional_inputs = {
            p.name
            for p in signature.parameters.values()
            if p.kind is not p.KEYWORD_ONLY and p.default is not p.empty
        }
        fields: dict[str, Any] = {
            p.name: (hints[p.name], p.default)
            for p in signature.parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }
        self.Parameters: type[BaseModel] = create_model(
            f"{self.name}_parameters",
            __config__=ConfigDict(
                extra="forbid", strict=True, frozen=True, validate_default=True, arbitrary_types_allowed=True
            ),
            **fields,
        )

    def validate(self, parameters: Mapping[str, Any]) -> BaseModel:
        """Return the settings after validation; raise StepParameterError for the first bad one."""
        known = list(self.Parameters.model_fields)
        for name in parameters:
            if name not in known:
                raise StepParameterError.for_unknown(self.name, name, known)
        try:
            return self.Parameters(**parameters)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "?"
            raise StepParameterError.for_value(
                self.name, name, parameters.get(name), str(first["msg"])
            ) from None

    def record(self, parents: Iterable[str], parameters: Mapping[str, Any] | None = None) -> Record:
        """Return the record that a run with these parents and settings will have."""
        values = self.validate(parameters or {}).model_dump(mode="json")
        hashed = {name: value for name, value in values.items() if name not in self.unhashed}
        return Record(self.name, self.version, hashed, tuple(parents), library_versions(self.libraries))

    def schema(self) -> list[ParameterInfo]:
        """Return name, type, default, unit and meaning of every setting."""
        rows = []
        for name, info in self.Parameters.model_fields.items():
            extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            unit = str(extra.get("unit", ""))
            rows.append(
                ParameterInfo(name, _type_name(info.annotation), info.default, unit, info.description or "")
            )
        return rows

    def _check_inputs(self, given: Mapping[str, Any]) -> list[xr.Dataset]:
        datasets = []
        for argument, value in given.items():
            if value is None and argument in self.optional_inputs:
                continue
            if not isinstance(value, xr.Dataset):
                raise StepInputError.for_not_a_dataset(self.name, argument, value)
            missing = [name for name in self.needs.get(argument, ()) if name not in value.variables]
            if missing:
                raise StepInputError.for_missing_variables(
                    self.name, argument, missing, [str(name) for name in value.variables]
                )
            datasets.append(value)
        return datasets

    def __call__(self, *datasets: xr.Dataset | None, **keywords: Any) -> xr.Dataset:
        """Check, run, label and stamp."""
        named = {name: keywords.pop(name) for name in self.inputs if name in keywords}
        if len(datasets) + len(named) > len(self.inputs):
            raise StepInputError(
                f"{self.name}: {len(datasets) + len(named)} Datasets were given; it takes {self.inputs}. "
                "Leave the others out."
            )
        bound = inspect.signature(self.function).bind_partial(*datasets, **named).arguments
        missing = [n for n in self.inputs if n not in bound and n not in self.optional_inputs]
        if missing:
            raise StepInputError(
                f"{self.name}: {missing[0]} was not given; expected an xarray.Dataset. "
                f"It takes {self.inputs}."
            )
        inputs = self._check_inputs(bound)
        parameters = self.validate(keywords)
        settings = {name: getattr(parameters, name) for name in self.Parameters.model_fields}
        result = self.function(**bound, **settings)
        absent = [name for name in self.gives if name not in result.variables]
        if absent:
            raise StepInputError(
                f"{self.name}: the result has no {absent}; this is a defect of the step. Report it."
            )
        inherited = {name: inputs[0].attrs[name] for name in INHERITED if name in inputs[0].attrs}
        result = vocabulary.label(result.assign_attrs(inherited | result.attrs | {"product": self.product}))
        parents = [d.attrs["provenance_id"] for d in inputs if "provenance_id" in d.attrs]
        return stamp(result, self.record(parents, keywords), inputs)


def step(
    *,
    version: int,
    product: str,
    needs: Mapping[str, Sequence[str]] | None = None,
    gives: Sequence[str] = (),
    libraries: Sequence[str] = ("numpy",),
    unhashed: Sequence[str] = (),
) -> Callable[[Callable[..., xr.Dataset]], Step]:
    """
    Make a step of a function.

    Parameters
    ----------
    version
        Raise it when the numbers change.
    product
        Name of the product that the result is stored as.
    needs
        Variables that each Dataset argument must hold.
    gives
        Variables that the result must hold.
    libraries
        Distributions whose version touches the numbers.
    unhashed
        Settings that do not touch the numbers.
    """

    def decorate(function: Callable[..., xr.Dataset]) -> Step:
        return Step(
            function,
            version=version,
            product=product,
            needs=needs or {},
            gives=gives,
            libraries=libraries,
            unhashed=unhashed,
        )

    return decorate
