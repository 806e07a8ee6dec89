"""Tables that a person names beside the frames, read into the inputs of a step.

They enter the id of the product by their content, so the same table elsewhere is the same input. That of a
table of the store must not depend on what a run is about to make.
"""

from __future__ import annotations

import importlib
from typing import Any

import xarray as xr

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


def read_side_table(name: str, place: Any, unit: str) -> xr.Dataset | None:
    """Return a table for a unit, or None where no place is given."""
    if not place:
        return None
    module, _, function = SIDE_TABLES[name].partition(":")
    read = getattr(importlib.import_module(module), function)
    table: xr.Dataset = read(place, unit) if name in _OF_OTHERS else read(place)
    return table
