"""Which units a source holds: from its header index where it has one, else from what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.sources.ffi_index import read_index, scan

__all__ = ["find_units"]

_NAMES = ("sector", "camera", "ccd")
_WHOLE_SKY = "ffi.tess"


def find_units(
    source: str, sectors: Sequence[int], cameras: Sequence[int], ccds: Sequence[int]
) -> list[dict[str, int | None]]:
    """
    Return sector, camera and CCD of every unit to work on.

    Parameters
    ----------
    source
        Catalog entry, folder, file or URL.
    sectors, cameras, ccds
        What was asked for; empty for all that the source holds.

    Raises
    ------
    SourceError
        If the source is indexed and has nothing of what was asked for.
    """
    asked = (tuple(sectors), tuple(cameras), tuple(ccds))
    index = _index(source)
    if index is None:
        choices: list[Sequence[int | None]] = [list(values) or [None] for values in asked]
        if source == _WHOLE_SKY:
            choices[1:] = [list(values) or [1, 2, 3, 4] for values in asked[1:]]
        return [dict(zip(_NAMES, numbers, strict=True)) for numbers in product(*choices)]
    found = sorted({tuple(int(n) for n in row) for row in index[list(_NAMES)].dropna().to_numpy()})
    wanted = [u for u in found if all(not a or n in a for n, a in zip(u, asked, strict=True))]
    if not wanted:
        pairs = zip(_NAMES, asked, strict=True)
        told = ", ".join(f"{name} {list(values)}" for name, values in pairs if values)
        there = ", ".join("{}-{}-{}".format(*unit) for unit in found[:8]) or "no frame"
        raise SourceError(f"{source}: nothing of {told}; it holds {there}. Correct what is asked for.")
    return [dict(zip(_NAMES, unit, strict=True)) for unit in wanted]


def _index(source: str) -> pd.DataFrame | None:
    """Return the header index of a folder or listing of FFIs on this machine; None for any other source."""
    local = source == "ffi.local"
    if local:
        source = settings().data
    path = Path(source)
    if "://" in source:
        return None
    table: Any = None
    if path.suffix == ".parquet" and path.exists():
        table = read_index(source)
    elif local or path.is_dir() or "*" in source:
        table = scan(source)
    if table is None:
        return None
    # A file that cannot be read may not tell its unit, and a folder of cutouts holds no FFI.
    known = pd.DataFrame(table)[(table[list(_NAMES)] > 0).all(axis=1)]
    return None if known.empty else known
