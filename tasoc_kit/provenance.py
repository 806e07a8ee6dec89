"""What made a product: its record, its id, its ancestors.

The id is a hash of what touches the numbers: the step and its version, the validated
parameters, the ids of the inputs, and the versions of the libraries that compute. Clocks,
hosts, places, threads and executors never enter it, so one result has one id everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import xarray as xr

__all__ = [
    "Record",
    "diff",
    "library_versions",
    "lineage",
    "raw_id",
    "raw_record",
    "stamp",
    "with_content_id",
]


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Record:
    """Everything that decides the numbers of one product."""

    step: str
    version: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parents: Sequence[str] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """First 12 hex digits of the SHA-256 of the record as sorted JSON."""
        return _hash(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON values; the parents sorted, for their order is no fact."""
        plain = asdict(self)
        return plain | {
            "parameters": dict(self.parameters),
            "libraries": dict(self.libraries),
            "parents": sorted(self.parents),
        }


@lru_cache(maxsize=64)
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each library."""
    return {name: _version(name) for name in sorted(names)}


def raw_id(files: Iterable[tuple[str, int, str]]) -> str:
    """
    Return the id of raw input.

    Parameters
    ----------
    files
        ``(name, size in bytes, header CHECKSUM or sha256)`` of every file. Names carry no
        folder, so a local copy and one on S3 have the same id.
    """
    return _hash(sorted([str(name), int(size), str(checksum)] for name, size, checksum in files))


def raw_record(files: Sequence[tuple[str, int, str]]) -> dict[str, Any]:
    """Return what stands for raw input in a lineage: how many files, and which span of names."""
    names = sorted(name for name, _, _ in files)
    return {
        "step": "raw",
        "version": 1,
        "parameters": {
            "files": len(names),
            "first": names[0] if names else "",
            "last": names[-1] if names else "",
        },
        "parents": [],
        "libraries": {},
    }


def with_content_id(table: xr.Dataset, name: str) -> xr.Dataset:
    """Return a table with the id of its content, so that a copy elsewhere is the same input."""
    content = hashlib.sha256()
    for variable in sorted(map(str, table.variables)):
        content.update(variable.encode() + table[variable].values.tobytes())
    files = [(name, max(table.sizes.values(), default=0), content.hexdigest())]
    identity = raw_id(files)
    records = json.dumps({identity: raw_record(files)}, sort_keys=True)
    return table.assign_attrs(provenance_id=identity, provenance=records)


def lineage(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Return the records of a Dataset and of all its ancestors, by id."""
    text = dataset.attrs.get("provenance", "{}")
    records: dict[str, dict[str, Any]] = json.loads(text)
    return records


def stamp(dataset: xr.Dataset, record: Record, parents: Iterable[xr.Dataset]) -> xr.Dataset:
    """Return the Dataset with its id and the records of all its ancestors in its attrs."""
    records: dict[str, dict[str, Any]] = {}
    for parent in parents:
        records |= lineage(parent)
    records[record.id] = record.as_dict()
    return dataset.assign_attrs(
        provenance_id=record.id, provenance=json.dumps(records, sort_keys=True, separators=(",", ":"))
    )


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    flat = {"step": record.get("step"), "version": record.get("version")}
    for group in ("parameters", "libraries"):
        flat |= {f"{group}.{name}": value for name, value in record.get(group, {}).items()}
    return flat | {"parents": list(record.get("parents", []))}


def diff(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """
    Return what differs between two records: name → (value in the first, value in the second).

    A value that one of them lacks is ``None``.
    """
    one, two = _flat(first), _flat(second)
    names = sorted(one.keys() | two.keys())
    return {name: (one.get(name), two.get(name)) for name in names if one.get(name) != two.get(name)}
