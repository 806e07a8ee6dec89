"""Tables that a person names beside the frames, read into the inputs of a step.

They enter the id of the product by their content, so the same table elsewhere is the same input. That of a
table of the store must not depend on what a run is about to make. The file of a pipeline may name readers of
tables of its own.
"""

from __future__ import annotations

from typing import Any

import xarray as xr

from tasoc_kit.errors import NotebookError
from tasoc_kit.pipeline.named_function import named_function

__all__ = ["SIDE_TABLES", "read_side_table"]

SIDE_TABLES = {
    "ephemeris": "tasoc_kit.sources.ephemeris:read_ephemeris",
    "excludes": "tasoc_kit.sources.manual_excludes:read_manual_excludes",
    "neighbours": "tasoc_kit.sources.neighbours:read_neighbours",
    "official": "tasoc_kit.sources.prf_files:read_prfs",
    "overrides": "tasoc_kit.sources.overrides:read_overrides",
    "target_flags": "tasoc_kit.sources.target_flags:read_target_flags",
    "targets": "tasoc_kit.sources.target_list:read_targets",
}
"""What reads each table, by the name of the input and of the notebook's parameter."""
_OF_OTHERS = ("neighbours",)
"""Tables that leave out the unit they are read for, whose name they are told."""


def read_side_table(name: str, place: Any, unit: str, reader: str = "") -> xr.Dataset | None:
    """
    Return a table for a unit, or None where no place is given.

    Parameters
    ----------
    name
        Name of the input.
    place
        What a person gave for it.
    unit
        Name of the unit that it is read for.
    reader
        ``module:function`` that reads it; empty for one of ours.

    Raises
    ------
    NotebookError
        If the reader cannot be imported, or its table has no id.
    """
    if not place:
        return None
    read = named_function(reader or SIDE_TABLES[name], name, "reader")
    table: xr.Dataset = read(place, unit) if not reader and name in _OF_OTHERS else read(place)
    if "provenance_id" not in table.attrs:
        raise NotebookError(
            f"{name}: what {reader} read has no provenance_id; expected one, as every input has. "
            "Return tasoc_kit.provenance.with_content_id(table, name)."
        )
    return table
