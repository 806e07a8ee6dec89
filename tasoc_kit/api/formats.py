"""Tables as answers: JSON, lines of JSON, CSV, parquet, FITS and VOTable, with units and meanings.

Which one is asked for stands in ``format=``, else in the header ``Accept``. What is missing is null in
JSON and parquet, nothing in CSV, NaN in FITS and VOTable.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from pyarrow import csv, parquet

from tasoc_kit.api.problems import Problem
from tasoc_kit.api.votable import votable_head, votable_rows, votable_tail
from tasoc_kit.vocabulary import VARIABLES

__all__ = ["MEDIA", "Format", "Table", "answer", "chosen_format", "described", "stream"]


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
STREAMED = (Format.NDJSON, Format.CSV, Format.PARQUET, Format.VOTABLE)
"""What can be written without knowing how many rows there will be."""
_JSON = orjson.OPT_SERIALIZE_NUMPY

OWN = {
    "object": ("", "name of a star of one product: its id and the index of the star"),
    "distance": ("deg", "angle from the middle of the circle"),
    "unit": ("", "sector, camera, CCD, and field of a cutout"),
    "id": ("", "id of the product"),
    "star": ("", "index of the star in the product"),
    "sector": ("", "sector"),
    "camera": ("", "camera"),
    "ccd": ("", "CCD"),
    "name": ("", "file name"),
    "start": ("", "start of the exposure at the spacecraft, UTC"),
    "end": ("", "end of the exposure at the spacecraft, UTC"),
    "bytes": ("byte", "size of the file"),
    "origin": ("", "where the file is known from: data or inject"),
    "sha256": ("", "of a file that was brought in: /download/raw/{sha256} sends it"),
    "problem": ("", "why a frame cannot be used; empty where it can"),
    "method": ("", "photometry: aperture, psf or halo"),
}
"""Unit and meaning of columns that no product has."""


@dataclass(frozen=True)
class Table:
    """Columns of one length, and what is told of all of them."""

    columns: Mapping[str, Any]
    """Lists or arrays by name."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many."""
        return len(next(iter(self.columns.values()), ()))


def described(name: str) -> tuple[str, str]:
    """Return unit and meaning of a column."""
    if name in OWN:
        return OWN[name]
    known = VARIABLES.get(name)
    return (known.unit, known.meaning) if known else ("", "")


@lru_cache(maxsize=256)
def _heads(names: tuple[str, ...]) -> orjson.Fragment:
    """Return units and meanings of columns, as JSON."""
    told = {name: dict(zip(("unit", "meaning"), described(name), strict=True)) for name in names}
    return orjson.Fragment(orjson.dumps(told))


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
    names = tuple(table.columns)
    content: dict[str, Any] = {"columns": _heads(names), **table.facts}
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
    arrays = [pa.array(values, from_pandas=True) for values in table.columns.values()]
    if schema is None:
        fields = []
        for name, array in zip(table.columns, arrays, strict=True):
            kind = _usual_type(name) if pa.types.is_null(array.type) else array.type
            unit, meaning = described(name)
            fields.append(pa.field(name, kind, metadata={"unit": unit, "description": meaning}))
        units = {name: described(name)[0] for name in table.columns}
        facts = {name: str(value) for name, value in table.facts.items() if value is not None}
        schema = pa.schema(fields, metadata={"units": orjson.dumps(units).decode(), **facts})
    columns = [array.cast(one.type) for array, one in zip(arrays, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _usual_type(name: str) -> pa.DataType:
    """Return the type of a column of which no value is known."""
    known = VARIABLES.get(name)
    return pa.string() if known is None or known.dtype == "str" else pa.from_numpy_dtype(known.dtype)


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
            heads = [(name, *described(name)) for name in table.columns]
            yield votable_head(heads, list(table.columns.values()), table.facts)
        first = False
        yield votable_rows(list(table.columns.values()))
    yield votable_tail()


def _fits(tables: Iterable[Table]) -> Iterator[bytes]:
    """Yield a FITS file with one binary table."""
    from astropy.io import fits

    (table,) = tables
    columns = []
    for name, values in table.columns.items():
        array = _fits_array(values)
        form = {"f8": "D", "f4": "E", "i8": "K", "i4": "J", "i2": "I", "u1": "B", "b1": "L"}.get(
            array.dtype.str[1:], f"{array.dtype.itemsize or 1}A" if array.dtype.kind == "S" else "J"
        )
        columns.append(fits.Column(name, form, unit=_fits_unit(described(name)[0]), array=array))
    hdu = fits.BinTableHDU.from_columns(columns, name="TABLE")
    for number, name in enumerate(table.columns, start=1):
        hdu.header.comments[f"TTYPE{number}"] = described(name)[1].encode("ascii", "replace").decode()[:47]
    for name, value in table.facts.items():
        keyword = name[:8].upper().replace(".", "_")
        hdu.header[keyword] = value if isinstance(value, int | float | bool) else str(value)[:68]
    sink = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(sink, checksum=True)
    yield sink.getvalue()


def _fits_array(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    if not isinstance(values, np.ndarray):
        known = [value for value in values if value is not None]
        if all(isinstance(value, int | float) for value in known) and known:
            kind = np.int64 if all(isinstance(value, int) for value in values) else np.float64
            return np.array([np.nan if value is None else value for value in values], kind)
        values = np.array([str(value or "") for value in values], object)
    if values.dtype == object or values.dtype.kind == "U":
        return np.array([str(value).encode("ascii", "replace") for value in values], "S")
    return values.astype(np.int32) if values.dtype == np.int8 else values


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
