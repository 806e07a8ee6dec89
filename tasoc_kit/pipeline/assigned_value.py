"""A value as people write it: YAML, in which a star with its period is a word and ``1e-3`` a number."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tasoc_kit.errors import NotebookError

__all__ = ["read_assignment", "read_value"]

INTEGER = r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)"
FLOAT = (
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
LEFT_OUT = ("int", "float", "timestamp")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """The numbers of YAML 1.2; in 1.1 ``261136679:6.268`` is one to the base 60, and ``1e-3`` a word."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] not in LEFT_OUT]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _pattern in (("int", INTEGER), ("float", FLOAT)):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), list("-+.0123456789")
    )


def read_value(text: str) -> Any:
    """
    Return what a text means: ``1.0``, ``1e-3``, ``true``, ``null``, ``[1, 2]`` or ``{a: 1}``; else itself.

    Raises
    ------
    yaml.YAMLError
        If a bracket or a quotation mark has no end, or the like.
    """
    return yaml.load(text, _Loader)


def read_assignment(assignment: str, form: str) -> tuple[str, Any]:
    """
    Return name and value of ``name=value``; the value is read by ``read_value``.

    Parameters
    ----------
    assignment
        What was given to ``--set``.
    form
        What is expected there, with an example.

    Raises
    ------
    NotebookError
        If it is not of this form.
    """
    name, equals, text = assignment.partition("=")
    try:
        value = read_value(text)
    except yaml.YAMLError:
        equals = ""
    if not equals or not name.strip():
        raise NotebookError(f"--set {assignment!r}: expected {form}. Correct it.")
    return name.strip(), value
