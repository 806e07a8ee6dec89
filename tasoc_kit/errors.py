"""The errors a person can meet, each worded so that the next action is plain.

Every message reads *who: what was wrong, with the value; what was expected. Next action.*
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Self

__all__ = [
    "CatalogError",
    "DatabaseError",
    "NotFoundError",
    "JobError",
    "NotebookError",
    "PluginError",
    "OutOfReachError",
    "SourceError",
    "StepInputError",
    "StepParameterError",
    "StoreError",
    "TasocKitError",
    "install_line",
    "suggest",
    "without_secrets",
]

_SECRETS = (
    re.compile(r"(://[^/@\s:]*:)[^/@\s]+(?=@)"),
    re.compile(
        r"([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|sig|signature|token)=)[^&\s'\")]+", re.I
    ),
    re.compile(r"(\btasoc_)[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
    re.compile(r"(\b(?:bearer|token) )[A-Za-z0-9._~+/=-]{16,}", re.I),
)
"""What follows is nobody's business: a password, the signature of a lent link, a token."""


def without_secrets(text: object) -> str:
    """Return a text with the passwords and signatures of its addresses left out."""
    shown = str(text)
    for secret in _SECRETS:
        shown = secret.sub(r"\1***", shown)
    return shown


def install_line(extra: str) -> str:
    """Return what brings the libraries of an extra into this environment: that of a checkout, or another."""
    checkout = Path(__file__).parents[1]
    if not (checkout / "pyproject.toml").exists():
        return f"{sys.executable} -m pip install 'tasoc-kit[{extra}]'"
    if extra == "oracle":
        return ".venv/bin/uv pip install -e '.[test,oracle]' -c requirements-oracle.lock"
    made_here = Path(sys.prefix).name == ".venv"
    return "make env" if made_here else f"{sys.executable} -m pip install -e '{checkout}[{extra}]'"


def suggest(name: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest choice, or a full stop; both end a sentence."""
    near = get_close_matches(name, [str(choice) for choice in choices], n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else "."


class TasocKitError(Exception):
    """Something that the person at the keyboard can act on; its message never holds a password."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class CatalogError(TasocKitError):
    """A catalog entry, or one of its parameters, that cannot be used."""

    @classmethod
    def for_unknown_entry(cls, entry: str, choices: Sequence[str]) -> Self:
        """Name the entry that was asked for and those that exist."""
        return cls(
            f"catalog: no entry {entry!r}{suggest(entry, choices)} It has {sorted(choices)}. "
            "Run 'tasoc catalog list', or give the path of a file or folder."
        )

    @classmethod
    def for_unknown_parameter(cls, entry: str, name: str, choices: Sequence[str]) -> Self:
        """Name the parameter that the entry does not take."""
        return cls(
            f"{entry}: unknown parameter {name!r}{suggest(name, choices)} It takes {sorted(choices)}. "
            f"Run 'tasoc catalog describe {entry}'."
        )

    @classmethod
    def for_bad_value(cls, entry: str, name: str, value: object, expected: str) -> Self:
        """Name the value that the entry refuses, and what it accepts."""
        return cls(f"{entry}: {name}={value!r}; expected {expected}. Run 'tasoc catalog describe {entry}'.")


class SourceError(TasocKitError):
    """A file that cannot be read as what it claims to be."""

    @classmethod
    def for_file(cls, path: object, problem: str, action: str) -> Self:
        """Name the file, what is wrong with it, and what to do."""
        return cls(f"{path}: {problem}. {action}")


class StepInputError(TasocKitError):
    """A Dataset that a step cannot work on."""

    @classmethod
    def for_missing_variables(
        cls, step: str, argument: str, missing: Sequence[str], present: Sequence[str], maker: str = ""
    ) -> Self:
        """Name the variables that are missing and those that are there."""
        action = maker or "Pass the product that holds them."
        return cls(f"{step}: {argument} has no {sorted(missing)}; it has {sorted(present)}. {action}")

    @classmethod
    def for_not_a_dataset(cls, step: str, argument: str, value: object) -> Self:
        """Name the type that was given in place of a Dataset."""
        return cls(
            f"{step}: {argument} is a {type(value).__name__}; expected an xarray.Dataset. "
            "Open one with tasoc_kit.open_cube or tasoc_kit.open_product."
        )


class StepParameterError(TasocKitError):
    """A setting that a step does not take, or not with this value."""

    @classmethod
    def for_unknown(cls, step: str, name: str, choices: Sequence[str]) -> Self:
        """Name the setting that does not exist and the nearest one that does."""
        return cls(
            f"{step}: unknown parameter {name!r}{suggest(name, choices)} It takes {sorted(choices)}. "
            "Correct the name."
        )

    @classmethod
    def for_value(cls, step: str, name: str, value: object, problem: str) -> Self:
        """Name the value and the bound that it breaks."""
        return cls(f"{step}: {name}={value!r}: {problem}. Give a value that fits.")


class NotebookError(TasocKitError):
    """A notebook that was refused, or that failed while it ran."""


class PluginError(TasocKitError):
    """What another package brings to this one, and cannot be used."""


class StoreError(TasocKitError):
    """A product that cannot be found, read or written."""


class DatabaseError(TasocKitError):
    """A database that cannot be reached, is locked, or is of another version."""


class NotFoundError(StoreError, DatabaseError):
    """Something asked for by its name or number that is not there, in the store or in the database."""


class OutOfReachError(StoreError, DatabaseError):
    """A store or a database that does not answer; the same may work a moment later."""


class JobError(TasocKitError):
    """A job that does not exist, or is in no state for what is asked of it."""
