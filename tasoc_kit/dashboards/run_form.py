"""A form made from the JSON schema of a notebook: a field for each parameter, checked as when it runs."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping
from typing import Any

import panel as pn
import panel_material_ui as pmui

from tasoc_kit.dashboards import theme
from tasoc_kit.dashboards.visitor import check_write
from tasoc_kit.errors import NotebookError, TasocKitError
from tasoc_kit.pipeline.job import request_job
from tasoc_kit.pipeline.parameters import PLACE
from tasoc_kit.pipeline.schema import notebook_schema

__all__ = ["RunForm"]

_NONE = "none"


class RunForm(pn.viewable.Viewer):
    """What a notebook may be told, to be changed and run again as a job."""

    def __init__(
        self, notebook: str, given: Mapping[str, Any], submitter: str, submitted: Callable[[int], None]
    ) -> None:
        """
        Make the form.

        Parameters
        ----------
        notebook
            Name of the notebook, without ending.
        given
            What it was told before.
        submitter
            Who asks.
        submitted
            Called with the number of the job.

        Raises
        ------
        TasocKitError
            If there is no such notebook, or its step cannot be imported.
        """
        super().__init__()
        self.notebook, self._submitter, self._submitted = notebook, submitter, submitted
        self.properties: dict[str, Any] = notebook_schema(notebook)["properties"]
        self.fields = {
            name: _field(name, told, given.get(name, told.get("default")))
            for name, told in self.properties.items()
        }
        self.alert = pmui.Alert(severity="error", visible=False, sizing_mode="stretch_width")
        self.button = pmui.Button(label="Run again", variant="contained", size="small")
        self.button.on_click(lambda _event: self.submit())

    def arguments(self) -> dict[str, Any]:
        """Return what is written in the fields; raise NotebookError where that is no value."""
        return {name: _value(name, told, self.fields[name].value) for name, told in self.properties.items()}

    def submit(self) -> None:
        """Put the job into the queue, or say what is wrong with a field."""
        try:
            check_write(self.notebook)  # a token may be revoked while its page is open
            job = request_job("notebook", self.notebook, self.arguments(), submitter=self._submitter)
        except TasocKitError as error:
            self.alert.param.update(object=html.escape(str(error)), visible=True)
            return
        self.alert.visible = False
        self._submitted(job)

    def _part(self, title: str, names: list[str]) -> list[Any]:
        if not names:
            return []
        parts = [
            pn.Column(
                self.fields[name],
                theme.markup(f"<p class='soft'>{_meaning(self.properties[name])}</p>", margin=(0, 10)),
                sizing_mode="stretch_width", max_width=420,
            )
            for name in names
        ]  # fmt: skip
        return [theme.caption(title, margin=(10, 0, 0, 0)), theme.beside(*parts, each=260)]

    def __panel__(self) -> pn.viewable.Viewable:
        settings = [name for name in self.properties if name not in PLACE]
        places = [name for name in self.properties if name in PLACE]
        return pn.Column(
            *self._part("Settings", settings), *self._part("What it works on", places),
            self.alert, self.button, sizing_mode="stretch_width",
        )  # fmt: skip


def _choices(told: Mapping[str, Any]) -> list[Any] | None:
    """Return what a parameter may be where that is a list; None where it is not."""
    kinds = told.get("anyOf", [told])
    found = [
        one["enum"] if "enum" in one else [one["const"]] for one in kinds if {"enum", "const"} & set(one)
    ]
    null = [None] if any(one.get("type") == "null" for one in kinds) else []
    return [*null, *(value for values in found for value in values)] if found else None


def _types(told: Mapping[str, Any]) -> set[str]:
    return {str(one.get("type", "")) for one in told.get("anyOf", [told])}


def _field(name: str, told: Mapping[str, Any], value: Any) -> Any:
    """Return the widget of one parameter with its value."""
    label = f"{name} ({told['unit']})" if told.get("unit") else name
    choices = _choices(told)
    if choices is not None:
        options = {_NONE if choice is None else str(choice): choice for choice in choices}
        return theme.choice(label, options=options, value=value if value in choices else choices[0])
    if _types(told) == {"boolean"}:
        return pmui.Switch(label=label, value=bool(value))
    return pmui.TextInput(label=label, value=_text(value), size="small", sizing_mode="stretch_width")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _value(name: str, told: Mapping[str, Any], written: Any) -> Any:
    """Return the value that is meant by what is written: a text as it is, all else as JSON."""
    if not isinstance(written, str) or _choices(told) is not None:
        return written
    types, text = _types(told), written.strip()
    if not text and "null" in types:
        return None
    if "string" in types:
        return written
    try:
        value = json.loads(text)
    except ValueError:
        raise NotebookError(
            f"{name}: {written!r} is no value; expected {' or '.join(sorted(types))}. Correct it."
        ) from None
    return float(value) if types <= {"number", "null"} and type(value) is int else value


def _meaning(told: Mapping[str, Any]) -> str:
    """Return what a parameter means and which values it takes, as markup."""
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    kinds = told.get("anyOf", [told])
    limits = [f"{sign} {one[key]:g}" for one in kinds for key, sign in bounds.items() if key in one]
    words = [str(told.get("description") or "").strip(), ", ".join(limits)]
    return html.escape("; ".join(filter(None, words)))
