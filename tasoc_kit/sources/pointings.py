"""Where TESS saw a star: sectors, cameras, CCDs and pixels, from the pointings alone.

The geometry is tess-point's (Burke+ 2020), whose tables need no network. With its correction
for the aberration of light the places agree with the plate solutions of real FFIs to 0.4 pixel.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import is_local, local_path
from tasoc_kit.sources.star_catalog import read_stars

__all__ = ["position_of", "read_pointings", "sky_of_text", "where"]

_TIC = re.compile(r"\s*(?:TIC[\s-]*)?(\d+)\s*$", re.IGNORECASE)
_CATALOGUE = "stars.parquet"


@lru_cache(maxsize=1)
def read_pointings() -> Any:
    """Return the pointings of all sectors that tess-point knows."""
    from tess_stars2px import TESS_Spacecraft_Pointing_Data

    return TESS_Spacecraft_Pointing_Data()


def sky_of_text(target: str) -> tuple[float, float] | None:
    """Return ra and dec of two numbers in degrees, or of hours and degrees with colons; else None."""
    parts = target.replace(",", " ").split()
    if len(parts) != 2:
        return None
    try:
        if ":" in parts[0]:
            from astropy.coordinates import Angle

            return float(Angle(parts[0], "hourangle").deg), float(Angle(parts[1], "deg").deg)
        return float(parts[0]), float(parts[1])
    except ValueError:
        return None


def _sky_of_tic(tic: int, catalogue: xr.Dataset | str | os.PathLike[str] | None) -> tuple[float, float]:
    stars = catalogue if catalogue is not None else os.path.join(settings().data, _CATALOGUE)
    if not isinstance(stars, xr.Dataset):
        name = os.fspath(stars)
        if is_local(name) and not local_path(name).exists():
            raise SourceError(
                f"where: TIC {tic}: no star catalogue at {name}; expected a parquet or CSV file with tic, ra "
                'and dec. Name one, or give the position: tasoc where "RA DEC".'
            )
        stars = read_stars(name)
    found = np.flatnonzero(stars["tic"].values == tic)
    if not found.size:
        raise SourceError(
            f"where: TIC {tic} is not among the {stars.sizes['star']} stars of the catalogue. "
            'Give its position: tasoc where "RA DEC".'
        )
    return float(stars["ra"][found[0]]), float(stars["dec"][found[0]])


def position_of(
    target: str | int, catalogue: xr.Dataset | str | os.PathLike[str] | None = None
) -> tuple[float, float]:
    """
    Return (ra, dec) in degrees of a target.

    Parameters
    ----------
    target
        ``"TIC 261136679"`` or its number, ``"84.2912 -80.4691"`` in degrees, or
        ``"05:37:09.9 -80:28:09"`` in hours and degrees.
    catalogue
        Stars in which a TIC number is looked up: a Dataset, or a file as
        :func:`tasoc_kit.sources.star_catalog.read_stars` reads it; by default ``stars.parquet``
        in the folder of raw files.

    Raises
    ------
    SourceError
        If the text is neither, the position is none on the sky, or the number is not known.
    """
    text = str(target)
    tic = _TIC.match(text)
    if tic:
        return _sky_of_tic(int(tic.group(1)), catalogue)
    position = sky_of_text(text)
    if position is None or not (0 <= position[0] <= 360 and -90 <= position[1] <= 90):
        raise SourceError(
            f'where: {target!r} is no target; expected "TIC 261136679" or "RA DEC" in degrees, '
            "such as '84.2912 -80.4691'. Correct it."
        )
    return position


def where(target: str | int, catalogue: xr.Dataset | str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """
    Return the sectors in which TESS saw a target, and where on which CCD.

    Parameters
    ----------
    target, catalogue
        As ``tasoc where`` takes them.

    Returns
    -------
    One row per sector: sector, camera, ccd, row, column. Row and column are 0-based labels of the
    full frame; a target that was never on a CCD gives no row.

    Raises
    ------
    SourceError
        If the target cannot be understood or found.
    """
    from tess_stars2px import tess_stars2px_function_entry

    ra, dec = position_of(target, catalogue)
    found = tess_stars2px_function_entry(0, ra, dec, scInfo=read_pointings(), aberrate=True)
    _, _, _, sector, camera, ccd, column, row, _ = found
    table = pd.DataFrame(
        {
            "sector": np.asarray(sector, dtype=int),
            "camera": np.asarray(camera, dtype=int),
            "ccd": np.asarray(ccd, dtype=int),
            "row": np.asarray(row, dtype=float) - 1.0,
            "column": np.asarray(column, dtype=float) - 1.0,
        }
    )
    return table[table["sector"] > 0].sort_values(["sector", "camera"], ignore_index=True)
