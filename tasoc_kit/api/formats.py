"""Tables as answers: JSON, lines of JSON, CSV, parquet, FITS and VOTable, with units and meanings.

Which one is asked for stands in ``format=``, else in the header ``Accept``. What is missing is null in
JSON and parquet, nothing in CSV, NaN in FITS and VOTable.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from pyarrow import csv, parquet

from tasoc_kit.api.problems import Problem
from tasoc_kit.api.votable import UCDS, Head, votable_head, votable_rows, votable_tail
from tasoc_kit.vocabulary import VARIABLES

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["MEDIA", "Format", "Table", "answer", "chosen_format", "documented", "head_of", "stream"]


class Format(StrEnum):
    """What a table may be asked for as."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"
    FITS = "fits"
    VOTABLE = "votable"


MEDIA = {
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.FITS: "application/fits",
    Format.VOTABLE: "application/x-votable+xml",
}
BTJD = {"time", "time_start", "time_stop"}
"""Columns that count days of the BTJD scale."""
_BTJD_CARDS = (
    ("TIMEREF", "SOLARSYSTEM", "barycentric correction applied to times"),
    ("TIMESYS", "TDB", "time system is Barycentric Dynamical Time (TDB)"),
    ("BJDREFI", 2457000, "integer part of BTJD reference date"),
    ("BJDREFF", 0.0, "fraction of the day in BTJD reference date"),
    ("TIMEUNIT", "d", "time unit of times"),
)
_FITS_FORMS = {"f8": "D", "f4": "E", "i8": "K", "i4": "J", "i2": "I", "u1": "B", "b1": "L"}
STREAMED = (Format.NDJSON, Format.CSV, Format.PARQUET, Format.VOTABLE)
"""What can be written without knowing how many rows there will be."""
_JSON = orjson.OPT_SERIALIZE_NUMPY

OWN = {
    "object": ("ascii", "", "name of a star of one product: its id and the index of the star"),
    "distance": ("f8", "deg", "angle from the middle of the circle"),
    "unit": ("ascii", "", "sector, camera, CCD, and field of a cutout"),
    "id": ("ascii", "", "id of the product"),
    "star": ("i8", "", "index of the star in the product"),
    "sector": ("i8", "", "sector"),
    "camera": ("i8", "", "camera"),
    "ccd": ("i8", "", "CCD"),
    "name": ("text", "", "file name"),
    "start": ("ascii", "", "start of the exposure at the spacecraft, UTC"),
    "end": ("ascii", "", "end of the exposure at the spacecraft, UTC"),
    "bytes": ("i8", "byte", "size of the file"),
    "origin": ("ascii", "", "where the file is known from: data or inject"),
    "sha256": ("ascii", "", "of a file that was brought in: /download/raw/{sha256} sends it"),
    "problem": ("text", "", "why a frame cannot be used; empty where it can"),
    "method": ("ascii", "", "photometry: aperture, psf or halo"),
}
"""Type in a list, unit and meaning of columns that no product has."""


@dataclass(frozen=True)
class Table:
    """Columns of one length, and what is told of all of them."""

    columns: Mapping[str, Any]
    """Lists or arrays by name."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    meanings: Mapping[str, str] = field(default_factory=dict)
    """What columns mean where they are not what the vocabulary says."""

    @property
    def rows(self) -> int:
        """How many."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def heads(self) -> list[Head]:
        """What each column is."""
        made = [head_of(name, values) for name, values in self.columns.items()]
        return [head._replace(meaning=self.meanings.get(head.name, head.meaning)) for head in made]


def described(name: str) -> tuple[str, str]:
    """Return unit and meaning of a column."""
    if name in OWN:
        return OWN[name][1:]
    known = VARIABLES.get(name)
    return (known.unit, known.meaning) if known else ("", "")


def head_of(name: str, values: Any) -> Head:
    """Return what a column is; that of a list is told by its name, so it is the same in every page."""
    return Head(name, _kind(name, values), *described(name))


def _kind(name: str, values: Any) -> str:
    """Return the type of a column: ``i8`` as NumPy names it, ``ascii`` or ``text``."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values.dtype.str[1:]
    if name in OWN:
        return OWN[name][0]
    if name in VARIABLES:
        return {"i": "i8", "u": "i8", "f": "f8", "b": "b1"}.get(VARIABLES[name].dtype[0], "text")
    known = [value for value in values if value is not None]
    if not known or not all(isinstance(value, int | float) for value in known):
        return "text"
    return "i8" if all(isinstance(value, int) for value in known) else "f8"


@lru_cache(maxsize=256)
def _told(names: tuple[str, ...], meanings: tuple[tuple[str, str], ...]) -> orjson.Fragment:
    """Return units and meanings of columns, as JSON."""
    told = {name: dict(zip(("unit", "meaning"), described(name), strict=True)) for name in names}
    for name, meaning in meanings:
        if name in told:
            told[name]["meaning"] = meaning
    return orjson.Fragment(orjson.dumps(told))


def documented(*, by_column: bool = False) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI tells of a route that answers with a table, in the words of ``answer``."""
    told = {"type": "object", "properties": {"unit": {"type": "string"}, "meaning": {"type": "string"}}}
    made: dict[str, Any] = {"columns": {"type": "object", "additionalProperties": told}}
    if by_column:
        made["data"] = {"type": "object", "additionalProperties": {"type": "array"}}
    else:
        made["rows"] = {"type": "array", "items": {"type": "object"}}
        made["next"] = {"type": ["string", "null"], "description": "`cursor` of the next page."}
    schema = {"type": "object", "properties": made, "required": ["columns", "data" if by_column else "rows"]}
    contents: dict[str, Any] = {
        media.partition(";")[0]: {"schema": {"type": "string"}} for media in MEDIA.values()
    }
    contents[MEDIA[Format.JSON]] = {"schema": schema}
    return {200: {"description": "A table, in the format that was asked for.", "content": contents}}


def chosen_format(request: Request, asked: Format | None) -> Format:
    """Return the format that was asked for by name, else by ``Accept``, else JSON."""
    if asked is not None:
        return asked
    accepted = request.headers.get("accept", "")
    if accepted in ("", "*/*", "application/json"):
        return Format.JSON
    for part in accepted.split(","):
        media = part.split(";")[0].strip().lower()
        for kind, known in MEDIA.items():
            if media == known.split(";")[0] or (media == "text/xml" and kind is Format.VOTABLE):
                return kind
    return Format.JSON


def answer(
    table: Table, kind: Format, *, by_column: bool = False, name: str = "table", **more: Any
) -> Response:
    """
    Return a table that is in memory.

    Parameters
    ----------
    by_column
        Whether JSON has a list for each column (``data``), or an object for each row (``rows``).
    name
        Of the file, without its ending.
    **more
        What else JSON has, as ``next``.
    """
    if kind is Format.JSON:
        return Response(_json(table, by_column, more), media_type=MEDIA[kind])
    content = b"".join(_MAKERS[kind](iter([table])))
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    if more.get("next"):
        headers["X-Next-Cursor"] = str(more["next"])
    return Response(content, media_type=MEDIA[kind], headers=headers)


def stream(tables: Iterator[Table], kind: Format, name: str) -> StreamingResponse:
    """
    Return tables of the same columns as one, written while they come.

    Raises
    ------
    Problem
        If the format has to know how many rows there are.
    """
    if kind not in STREAMED:
        raise Problem(
            422,
            f"format={kind.value}: it cannot be streamed; expected one of {', '.join(STREAMED)}. "
            "Choose another format=, or ask for pages.",
        )
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return StreamingResponse(_MAKERS[kind](tables), media_type=MEDIA[kind], headers=headers)


def _json(table: Table, by_column: bool, more: Mapping[str, Any]) -> bytes:
    told = _told(tuple(table.columns), tuple(table.meanings.items()))
    content: dict[str, Any] = {"columns": told, **table.facts}
    if by_column:
        content["data"] = dict(table.columns)
    else:
        content["rows"] = _dicts(table)
    return orjson.dumps(content | more, option=_JSON, default=_plain)


def _dicts(table: Table) -> list[dict[str, Any]]:
    names = list(table.columns)
    lists = [v.tolist() if isinstance(v, np.ndarray) else v for v in table.columns.values()]
    return [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]


def _plain(value: Any) -> Any:
    """Return an array that orjson does not know, as big-endian ones, as a list."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(type(value).__name__)


def _lines(tables: Iterable[Table]) -> Iterator[bytes]:
    for table in tables:
        yield b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in _dicts(table))


def _arrow(table: Table, schema: pa.Schema | None = None) -> pa.Table:
    """Return an Arrow table, null where a number is missing, with units and meanings of its fields."""
    heads = table.heads
    kinds = [_arrow_type(head.kind) for head in heads]
    arrays = [
        pa.array(values, None if isinstance(values, np.ndarray) else kind, from_pandas=True)
        for values, kind in zip(table.columns.values(), kinds, strict=True)
    ]
    if schema is None:
        fields = [
            pa.field(head.name, array.type, metadata={"unit": head.unit, "description": head.meaning})
            for head, array in zip(heads, arrays, strict=True)
        ]
        units = {head.name: head.unit for head in heads}
        facts = {name: str(value) for name, value in table.facts.items() if value is not None}
        schema = pa.schema(fields, metadata={"units": orjson.dumps(units).decode(), **facts})
    columns = [array.cast(one.type) for array, one in zip(arrays, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _arrow_type(kind: str) -> pa.DataType:
    return pa.string() if kind in ("ascii", "text") else pa.from_numpy_dtype(np.dtype(kind))


class _Taken(io.RawIOBase):
    """A file that keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """Tell that it is written to."""
        return True

    def write(self, data: Any) -> int:
        """Keep some bytes."""
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        """Return how much was written so far."""
        return self._size

    def take(self) -> bytes:
        """Return what came since it was last asked for."""
        taken, self._parts = b"".join(self._parts), []
        return taken


def _parquet(tables: Iterable[Table]) -> Iterator[bytes]:
    sink, writer = _Taken(), None
    for table in tables:
        if writer is None:
            made = _arrow(table)
            # Measured numbers hardly repeat: a dictionary of them costs more than it saves.
            texts = [one.name for one in made.schema if pa.types.is_string(one.type)]
            writer = parquet.ParquetWriter(
                sink, made.schema, compression="zstd", compression_level=1, use_dictionary=texts or False
            )
        else:
            made = _arrow(table, writer.schema)
        writer.write_table(made)
        yield sink.take()
    if writer is not None:
        writer.close()
    yield sink.take()


def _csv(tables: Iterable[Table]) -> Iterator[bytes]:
    schema = None
    for table in tables:
        made = _arrow(table, schema)
        sink = pa.BufferOutputStream()
        csv.write_csv(made, sink, csv.WriteOptions(include_header=schema is None, quoting_style="needed"))
        schema = made.schema
        yield sink.getvalue().to_pybytes()


def _votable(tables: Iterable[Table]) -> Iterator[bytes]:
    first = True
    for table in tables:
        if first:
            yield votable_head(table.heads, table.facts)
        first = False
        yield votable_rows(list(table.columns.values()))
    yield votable_tail()


def _fits(tables: Iterable[Table]) -> Iterator[bytes]:
    """Yield a FITS file with one binary table."""
    from astropy.io import fits

    (table,) = tables
    columns = [_fits_column(head, table.columns[head.name]) for head in table.heads]
    hdu = fits.BinTableHDU.from_columns(columns, name="TABLE")
    for number, head in enumerate(table.heads, start=1):
        # The standard has no place for meanings; TOPCAT reads them here, and Astropy keeps them.
        hdu.header[f"TCOMM{number}"] = _ascii(head.meaning)
        if head.name in UCDS:
            hdu.header[f"TUCD{number}"] = UCDS[head.name]
    if BTJD & set(table.columns):
        hdu.header.update({name: (value, told) for name, value, told in _BTJD_CARDS})
    for name, value in table.facts.items():
        hdu.header[name[:8].upper().replace(".", "_")] = _fits_fact(name, value)
    sink = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(sink, checksum=True)
    yield sink.getvalue()


def _ascii(text: str) -> str:
    return text.replace("−", "-").replace("²", "2").replace("µ", "u").encode("ascii", "replace").decode()


def _fits_fact(name: str, value: Any) -> Any:
    """Return the value of a card and what it means; a header has no NaN."""
    if not isinstance(value, int | float):
        return str(value)[:68]
    unit, meaning = described(name)
    told = _ascii(f"[{unit}] {meaning}" if unit else meaning)[:45]
    return (None if math.isnan(value) or math.isinf(value) else value), told


def _fits_column(head: Head, values: Any) -> fits.Column:
    from astropy.io import fits

    unit, missing = _fits_unit(head.unit), None
    if head.kind in ("ascii", "text"):
        array = np.array([_ascii("" if value is None else str(value)) for value in values], "S")
        return fits.Column(head.name, f"{array.dtype.itemsize or 1}A", unit=unit, array=array)
    if isinstance(values, np.ndarray):
        array = values.astype(np.int32) if values.dtype == np.int8 else values
    elif head.kind == "i8" and None in values:
        missing = np.iinfo(np.int64).min
        array = np.array([missing if value is None else value for value in values], np.int64)
    else:
        array = np.array([np.nan if value is None else value for value in values], head.kind)
    return fits.Column(
        head.name, _FITS_FORMS.get(array.dtype.str[1:], "J"), unit=unit, null=missing, array=array
    )


@lru_cache(maxsize=256)
def _fits_unit(unit: str) -> str | None:
    from astropy import units

    try:
        return units.Unit(unit).to_string("fits") if unit else None
    except ValueError:
        # The standard of FITS has no logarithms of units, as log g has one; the text is what people write.
        return unit


_MAKERS: dict[Format, Callable[[Iterator[Table]], Iterator[bytes]]] = {
    Format.JSON: lambda tables: (_json(table, False, {}) for table in tables),
    Format.NDJSON: _lines,
    Format.CSV: _csv,
    Format.PARQUET: _parquet,
    Format.FITS: _fits,
    Format.VOTABLE: _votable,
}
