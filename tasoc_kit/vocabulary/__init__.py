"""The one table of names: every dimension, coordinate, variable and flag bit.

A name has one meaning, one unit and one type wherever it appears. Units are strings that
``astropy.units`` parses; an empty unit means dimensionless. Missing values are NaN.
"""

from __future__ import annotations

import xarray as xr

from tasoc_kit.vocabulary.flags import (
    DEFAULT_BAD_BITS,
    DEFAULT_BAD_KIT_BITS,
    ApertureFlag,
    Correction,
    Dataval,
    EdgeSide,
    Fate,
    KitQuality,
    Method,
    OscillationFlag,
    RotationFlag,
    Status,
    TessQuality,
    VariabilityClass,
    Verdict,
    flag_names,
)
from tasoc_kit.vocabulary.variables import DIMENSIONS, SPACECRAFT, VARIABLES, Variable

__all__ = [
    "ApertureFlag",
    "Correction",
    "DEFAULT_BAD_BITS",
    "DEFAULT_BAD_KIT_BITS",
    "DIMENSIONS",
    "Dataval",
    "EdgeSide",
    "Fate",
    "KitQuality",
    "Method",
    "OscillationFlag",
    "RotationFlag",
    "SPACECRAFT",
    "Status",
    "TessQuality",
    "VARIABLES",
    "VariabilityClass",
    "Variable",
    "Verdict",
    "flag_names",
    "label",
]


def label(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset with ``units`` and ``long_name`` of every name in the vocabulary."""
    labelled = dataset.copy(deep=False)
    for name in labelled.variables:
        known = VARIABLES.get(str(name))
        if known is not None:
            labelled[name].attrs.update(units=known.unit, long_name=known.meaning)
    return labelled
