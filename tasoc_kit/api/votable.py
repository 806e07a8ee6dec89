"""VOTable 1.4, TABLEDATA, written row by row: a table of a million rows never is in memory.

Astropy reads and checks VOTables (and does so in the tests), but it writes only whole ones, and takes
ten milliseconds for the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

__all__ = ["votable_error", "votable_head", "votable_rows", "votable_tail"]

_BEGIN = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
    '<RESOURCE type="results">\n'
)
_UCD = {
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "tmag": "phot.mag",
    "tic": "meta.id",
    "object": "meta.id;meta.main",
    "distance": "pos.angDistance",
    "time": "time.epoch",
    "flux": "phot.flux;em.opt",
}
_FLOATS = ("ra", "dec", "tmag", "distance")
"""Columns that are numbers even where none is known."""
_TYPES = {
    "f8": "double",
    "f4": "float",
    "i8": "long",
    "i4": "int",
    "i2": "short",
    "i1": "short",
    "u1": "short",
}


def votable_head(
    heads: Sequence[tuple[str, str, str]],
    columns: Sequence[Any],
    facts: Mapping[str, Any],
    ucds: Mapping[str, str] = _UCD,
) -> bytes:
    """
    Return all that stands before the rows.

    Parameters
    ----------
    heads
        Name, unit and meaning of each column.
    columns
        The first values of each, which tell its type.
    facts
        What is told of the whole table.
    ucds
        What the columns are, by name (Unified Content Descriptors).
    """
    lines = [_BEGIN, '<INFO name="QUERY_STATUS" value="OK"/>\n']
    lines += [
        f"<INFO name={_attribute(name)} value={_attribute(value)}/>\n"
        for name, value in facts.items()
        if value is not None
    ]
    lines.append("<TABLE>\n")
    for (name, unit, meaning), values in zip(heads, columns, strict=True):
        kind = _type(values, name)
        size = ' arraysize="*"' if kind in ("char", "unicodeChar") else ""
        ucd = f" ucd={_attribute(ucds[name])}" if name in ucds else ""
        measured = f" unit={_attribute(_vo_unit(unit))}" if unit else ""
        lines.append(
            f"<FIELD ID={_attribute(name)} name={_attribute(name)} datatype={_attribute(kind)}{size}"
            f"{ucd}{measured}>"
            f"<DESCRIPTION>{escape(meaning)}</DESCRIPTION></FIELD>\n"
        )
    lines.append("<DATA><TABLEDATA>\n")
    return "".join(lines).encode()


def votable_rows(columns: Sequence[Any]) -> bytes:
    """Return the rows of some columns."""
    written = [_cells(values) for values in columns]
    rows = ("</TD><TD>".join(row) for row in zip(*written, strict=True))
    return "".join(f"<TR><TD>{row}</TD></TR>\n" for row in rows).encode()


def votable_tail() -> bytes:
    """Return what closes a table."""
    return b"</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n"


def votable_error(message: str) -> bytes:
    """Return a VOTable that holds an error and no table, as Simple Cone Search 1.03 has it (section 2.3)."""
    told = f'<INFO ID="Error" name="Error" value={_attribute(message)}/>\n'
    return f"{_BEGIN}{told}</RESOURCE>\n</VOTABLE>\n".encode()


def _attribute(value: Any) -> str:
    """Return a value in quotes, without characters that XML does not know."""
    return quoteattr("".join(c for c in str(value) if c.isprintable() or c == " "))


def _type(values: Any, name: str) -> str:
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return _TYPES.get(values.dtype.str[1:], "double")
    known = next((value for value in values if value is not None), None)
    if isinstance(known, int):
        return "long"
    if isinstance(known, float) or (known is None and name in _FLOATS):
        return "double"
    return "unicodeChar"


def _cells(values: Any) -> list[str]:
    """Return the text of each value; nothing where one is missing."""
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    write: Callable[[Any], str] = _cell
    return [write(value) for value in listed]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return escape("".join(c for c in value if c.isprintable()))
    # NaN is not equal to itself
    return "" if value is None or value != value else repr(value)


@lru_cache(maxsize=256)
def _vo_unit(unit: str) -> str:
    from astropy import units

    try:
        return str(units.Unit(unit).to_string("vounit"))
    except ValueError:
        # VOUnit has no logarithms of units, as log g has one; the text is what people write.
        return unit
