"""A file that has come is checked, moved to the place that its content names, and catalogued.

It lies in ``raw/<first two digits>/<sha256>/<name>`` below the folder of raw files: no two contents
share a place, and its name still tells what it is of.
"""

from __future__ import annotations

import datetime
import os
import unicodedata
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasoc_kit.errors import DatabaseError, SourceError
from tasoc_kit.ingest.arrival import Arrival, NoRoom, safe_name
from tasoc_kit.records.files import CHECKSUM, WHOLE, add_file, find_file
from tasoc_kit.sources.download import fits_problem
from tasoc_kit.sources.fits_check import check_units, unpack
from tasoc_kit.sources.raw_file import RawFacts, raw_facts
from tasoc_kit.storage.folders import Folder
from tasoc_kit.storage.locks import hold

__all__ = ["RAW", "claim"]

RAW = "raw"
"""Folder below that of raw files in which they lie by their content."""

_WAIT_SECONDS = 60.0
_MOST_TIMES = 50
"""How many times its own size a compressed file may have, unless that is small."""
_SMALL = 16 * 2**20


def claim(
    arrival: Arrival, name: str, data: Path, *, sender: str, url: str | None = None
) -> tuple[dict[str, Any], bool]:
    """
    Check a file that has come, give it its place, enter it, and return its row and whether it is new.

    The same bytes again, whatever they are called, give the row of the first time.

    Parameters
    ----------
    arrival
        All that came.
    name
        The name that it came with.
    data
        Folder of raw files.
    sender
        Who sent it.
    url
        The database; by default that of the settings.

    Raises
    ------
    WrongKind, SourceError
        If it is no whole FFI, cutout or target pixel file of TESS; nothing of it stays.
    NoRoom
        If the disk does not take it.
    DatabaseError
        If it cannot be entered; nothing of it stays.
    """
    stored = safe_name(name)
    arrival.check_kind()
    known = find_file(arrival.sha256, url=url)
    if known is not None and Path(known["location"]).is_file():
        return known, False
    try:
        facts, state = _checked(arrival, stored)
        arrival.sync()
    except OSError as error:
        raise NoRoom(
            f"inject: {name}: the disk does not take it ({error}). Free space; send again."
        ) from error
    with hold(Folder(str(data)), f"{RAW}/{arrival.sha256}", wait=_WAIT_SECONDS):
        place, placed = _place(arrival, data / RAW / arrival.sha256[:2] / arrival.sha256, stored)
        row = {
            "sha256": arrival.sha256,
            "name": unicodedata.normalize("NFC", name),
            "bytes": arrival.size,
            "location": str(place),
            "received": datetime.datetime.now(datetime.UTC),
            "sender": sender[:64],
            "state": state,
            **asdict(facts),
        }
        try:
            return add_file(row, url=url)
        except DatabaseError:
            if placed and known is None:
                _take_back(place)
            raise


def _checked(arrival: Arrival, name: str) -> tuple[RawFacts, str]:
    plain = arrival.plain if name.endswith(".gz") else arrival.path
    try:
        if plain != arrival.path:
            unpack(arrival.path, plain, max(_MOST_TIMES * arrival.size, _SMALL))
        check_units(plain)
    except SourceError as error:
        raise SourceError(f"{name}: {error}") from None
    facts = raw_facts(plain, name)
    return facts, CHECKSUM if fits_problem(plain) else WHOLE


def _place(arrival: Arrival, folder: Path, name: str) -> tuple[Path, bool]:
    """Move a part to its place by one rename, unless its content is there; tell which."""
    folder.mkdir(parents=True, exist_ok=True)
    there = sorted(path for path in folder.iterdir() if path.stat().st_size == arrival.size)
    if there:
        return there[0], False
    place = folder / name
    arrival.path.rename(place)
    for changed in (folder, folder.parent, folder.parent.parent):
        _sync(changed)
    return place, True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _take_back(place: Path) -> None:
    """Remove what nobody could be told of; the same bytes heal it where that fails."""
    with suppress(OSError):
        place.unlink()
        place.parent.rmdir()
