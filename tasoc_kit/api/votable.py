"""VOTable 1.4, TABLEDATA, written row by row: a table of a million rows never is in memory.

Astropy reads and checks VOTables (and does so in the tests), but it writes only whole ones, and takes
ten milliseconds for the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np

__all__ = ["UCDS", "Head", "votable_broken", "votable_error", "votable_head", "votable_rows", "votable_tail"]

_BEGIN = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
    '<RESOURCE type="results">\n'
)
UCDS = {
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "tmag": "phot.mag",
    "tic": "meta.id",
    "object": "meta.id;meta.main",
    "distance": "pos.angDistance",
    "time": "time.epoch",
    "time_start": "time.start",
    "time_stop": "time.end",
    "start": "time.start",
    "end": "time.end",
    "flux": "phot.flux;em.opt",
    "flux_err": "stat.error;phot.flux;em.opt",
    "quality": "meta.code.qual",
}
"""What columns are, by name (Unified Content Descriptors)."""
_TYPES = {
    "f8": 'datatype="double"',
    "f4": 'datatype="float"',
    "i8": 'datatype="long"',
    "i4": 'datatype="int"',
    "i2": 'datatype="short"',
    "i1": 'datatype="short"',
    "u1": 'datatype="short"',
    "b1": 'datatype="boolean"',
    "ascii": 'datatype="char" arraysize="*"',
}
_TEXT = 'datatype="unicodeChar" arraysize="*"'
_SYSTEMS = {
    "icrs": ('<COOSYS ID="icrs" system="ICRS"/>\n', ("ra", "dec")),
    "btjd": (
        '<TIMESYS ID="btjd" timeorigin="2457000.0" timescale="TDB" refposition="BARYCENTER"/>\n',
        ("time", "time_start", "time_stop"),
    ),
}
"""What places and times count from, and the columns that do."""


class Head(NamedTuple):
    """What a column is."""

    name: str
    kind: str
    """Type as NumPy names it, as ``f8``; ``ascii`` or ``text``."""
    unit: str
    meaning: str


def votable_head(heads: Sequence[Head], facts: Mapping[str, Any], ucds: Mapping[str, str] = UCDS) -> bytes:
    """
    Return all that stands before the rows.

    Parameters
    ----------
    heads
        What the columns are.
    facts
        What is told of the whole table.
    ucds
        Unified Content Descriptors by name.
    """
    lines = [_BEGIN, '<INFO name="QUERY_STATUS" value="OK"/>\n']
    lines += [
        f"<INFO name={_attribute(name)} value={_attribute(value)}/>\n"
        for name, value in facts.items()
        if value is not None
    ]
    names = {head.name for head in heads}
    lines += [text for text, placed in _SYSTEMS.values() if names & set(placed)]
    lines.append("<TABLE>\n")
    lines += [_field(head, ucds) for head in heads]
    lines.append("<DATA><TABLEDATA>\n")
    return "".join(lines).encode()


def _field(head: Head, ucds: Mapping[str, str]) -> str:
    told = {"ID": head.name, "name": head.name, "ucd": ucds.get(head.name), "unit": _vo_unit(head.unit)}
    told["ref"] = next((id for id, (_, placed) in _SYSTEMS.items() if head.name in placed), None)
    attributes = " ".join(f"{name}={_attribute(value)}" for name, value in told.items() if value)
    return (
        f"<FIELD {attributes} {_TYPES.get(head.kind, _TEXT)}>"
        f"<DESCRIPTION>{escape(head.meaning)}</DESCRIPTION></FIELD>\n"
    )


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


def votable_broken(message: str) -> bytes:
    """Return what closes a table whose rows end too early, with the reason (DALI 1.1, section 4.4.1)."""
    told = f'<INFO name="QUERY_STATUS" value="ERROR">{escape(message)}</INFO>\n'
    return f"</TABLEDATA></DATA>\n</TABLE>\n{told}</RESOURCE>\n</VOTABLE>\n".encode()


def _attribute(value: Any) -> str:
    """Return a value in quotes, without characters that XML does not know."""
    return quoteattr("".join(c for c in str(value) if c.isprintable() or c == " "))


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
        return str(units.Unit(unit).to_string("vounit")) if unit else ""
    except ValueError:
        # VOUnit has no logarithms of units, as log g has one; the text is what people write.
        return unit
