"""Star catalogues on disk: one parquet file for each HEALPix pixel of about 1.8 degrees.

``<cache>/targets/tic/Norder=5/Npix=4351.parquet`` holds the stars of one pixel, nested order, down to a
magnitude that its metadata states beside the query, the server and the time. A file is complete or it
is not there. Shared caches are read after one's own and never written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
from pyarrow import parquet

from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError, without_secrets
from tasoc_kit.sources.footprint import Healpix
from tasoc_kit.sources.star_server import CATALOGUES, StarCatalogue
from tasoc_kit.storage.whole_file import whole_file

__all__ = ["ORDER", "Partition", "find_partition", "list_partitions", "read_partitions", "write_partition"]

ORDER = 5
"""HEALPix order of the partitions: 3.4 square degrees, some ten thousand stars to 16 mag."""
_KEY = b"tasoc_kit"
_WHAT = ("catalogue", "table", "server", "query", "time", "faintest", "rows")


@dataclass(frozen=True)
class Partition:
    """One file of a star catalogue, and what its metadata says."""

    path: Path
    pixel: int
    faintest: float
    rows: int
    made: dict[str, Any]


def _roots() -> list[Path]:
    return [settings().cache, *settings().shared_caches]


def _path(root: Path, name: str, pixel: int) -> Path:
    return root / "targets" / name / f"Norder={ORDER}" / f"Npix={pixel}.parquet"


def _read_made(path: Path, name: str, pixel: int) -> Partition | None:
    """Return a partition by its metadata; None where there is none, or not a whole one."""
    try:
        made = json.loads(parquet.read_metadata(path).metadata[_KEY])
        return Partition(path, pixel, float(made["faintest"]), int(made["rows"]), made)
    except (OSError, KeyError, TypeError, ValueError, pyarrow.ArrowException):
        return None


def find_partition(name: str, pixel: int, faintest: float | None = None) -> Partition | None:
    """
    Return the partition of a pixel; None where it is not on this machine.

    Parameters
    ----------
    name
        ``tic`` or ``gaia``.
    pixel
        HEALPix pixel of order 5, nested.
    faintest
        Magnitude that it must reach; by default the deepest there is.
    """
    found = [_read_made(_path(root, name, pixel), name, pixel) for root in _roots()]
    deep = [one for one in found if one is not None and (faintest is None or one.faintest >= faintest)]
    return (
        max(deep, key=lambda one: one.faintest, default=None) if faintest is None else next(iter(deep), None)
    )


def list_partitions(name: str) -> list[Partition]:
    """Return the partitions of a catalogue on this machine, one's own before those that are shared."""
    found: dict[int, Partition] = {}
    for root in _roots():
        for path in sorted(_path(root, name, 0).parent.glob("Npix=*.parquet")):
            number = path.stem.removeprefix("Npix=")
            one = _read_made(path, name, int(number)) if number.isdigit() else None
            if one is not None and (one.pixel not in found or found[one.pixel].faintest < one.faintest):
                found[one.pixel] = one
    return sorted(found.values(), key=lambda one: one.pixel)


def read_partitions(partitions: Iterable[Partition], faintest: float) -> pd.DataFrame:
    """
    Return the stars of partitions down to a magnitude, in no order.

    Raises
    ------
    SourceError
        If a file cannot be read.
    """
    tables = []
    for one in partitions:
        try:
            table = parquet.ParquetFile(one.path).read().to_pandas()
        except (OSError, pyarrow.ArrowException) as error:
            raise SourceError.for_file(
                one.path, f"no star catalogue ({error})", "Delete it and fetch it again: tasoc targets fetch."
            ) from None
        tables.append(table[table["tmag"] <= faintest])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def write_partition(
    catalogue: StarCatalogue, pixel: int, faintest: float, stars: pd.DataFrame, *, server: str | None = None
) -> Partition:
    """
    Write the stars of a pixel, so that the file is there as a whole or not at all.

    Its metadata names the server that they come from, by default that of the settings.

    Raises
    ------
    SourceError
        If the cache cannot be written.
    """
    path = _path(settings().cache, catalogue.name, pixel)
    circle = Healpix(ORDER).circle(pixel)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    values = (
        catalogue.title,
        catalogue.table,
        without_secrets(server or settings().tap_server),
        catalogue.query(circle, faintest),
        now,
        faintest,
        len(stars),
    )
    made = dict(zip(_WHAT, values, strict=True))
    table = pyarrow.Table.from_pandas(stars, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: json.dumps(made).encode()})
    try:
        with whole_file(path) as part:
            parquet.write_table(table, part, compression="zstd")
    except OSError as error:
        raise SourceError.for_file(
            path, f"cannot be written ({error})", "Set TASOC_CACHE to a folder with room."
        ) from None
    return Partition(path, pixel, faintest, len(stars), made)


def check_name(name: str) -> StarCatalogue:
    """Return a catalogue by its name; raise SourceError where there is none."""
    if name not in CATALOGUES:
        raise SourceError(
            f"targets: no star catalogue {name!r}; expected one of {sorted(CATALOGUES)}. Choose one."
        )
    return CATALOGUES[name]
