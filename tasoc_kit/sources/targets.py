"""Stars of a piece of the sky, from the TIC or Gaia on this machine; and how they get there.

Reading never uses the network. What is missing is fetched by :func:`fetch_targets`, pixel by pixel:
what is there already is not fetched again, unless fainter stars are asked for, and a fetch that was
stopped goes on where it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

import numpy as np
import pandas as pd
import xarray as xr

from tasoc_kit import vocabulary
from tasoc_kit.errors import SourceError
from tasoc_kit.sources.footprint import Footprint, Healpix, around, ccd_footprint
from tasoc_kit.sources.star_catalog import read_stars
from tasoc_kit.sources.star_partitions import (
    ORDER,
    Partition,
    check_name,
    find_partition,
    read_partitions,
    write_partition,
)
from tasoc_kit.sources.star_server import Wait, fetch_pixel

__all__ = ["fetch_targets", "find_footprint", "missing_pixels", "open_targets"]

FAINTEST = 16.0
"""TESS magnitude down to which stars are fetched and read where nothing else is said."""
QUERIES = 4
"""Queries that run at the same time."""
_LEFT_OUT = ("ARTIFACT", "DUPLICATE")


def find_footprint(
    *,
    ra: float | None = None,
    dec: float | None = None,
    radius: float | None = None,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
) -> Footprint:
    """
    Return the piece of the sky that was named: a circle, or what a CCD saw in a sector.

    Raises
    ------
    SourceError
        If neither a whole circle nor a whole CCD was named.
    """
    if sector is not None and camera is not None and ccd is not None:
        return ccd_footprint(sector, camera, ccd)
    if ra is not None and dec is not None and radius is not None:
        return around(ra, dec, radius)
    raise SourceError(
        f"targets: sector={sector}, camera={camera}, ccd={ccd}, ra={ra}, dec={dec}, radius={radius}; "
        "expected sector, camera and ccd, or ra, dec and radius in degrees. Give one set of three."
    )


def missing_pixels(name: str, footprint: Footprint, faintest: float = FAINTEST) -> list[int]:
    """Return the pixels of a piece of the sky that are not on this machine to that magnitude."""
    check_name(name)
    return [int(p) for p in footprint.pixels(ORDER) if find_partition(name, int(p), faintest) is None]


def open_targets(name: str, footprint: Footprint, faintest: float | None = None) -> xr.Dataset:
    """
    Return the stars of a piece of the sky, brightest first, without the network.

    Parameters
    ----------
    name
        ``tic`` or ``gaia``.
    footprint
        Piece of the sky, as :func:`find_footprint` names it.
    faintest
        TESS magnitude; by default as faint as the whole piece is on this machine.

    Returns
    -------
    Dataset (star) with ``tic`` or ``gaia``, ``ra``, ``dec`` (ICRS, J2000), ``tmag``, ``pmra``, ``pmdec`` and,
    of the TIC, ``teff``. Attrs: ``faintest``, ``left_out`` (artefacts and duplicates of the TIC).

    Raises
    ------
    SourceError
        If a part is not on this machine; the message names the command that fetches it.
    """
    catalogue = check_name(name)
    pixels = [int(pixel) for pixel in footprint.pixels(ORDER)]
    found = {pixel: find_partition(name, pixel, faintest) for pixel in pixels}
    there = [one for one in found.values() if one is not None]
    if len(there) < len(pixels):
        raise _missing(name, footprint, faintest, [p for p, one in found.items() if one is None], len(pixels))
    limit = min(one.faintest for one in there) if faintest is None else faintest
    table = read_partitions(there, limit)
    table = table[footprint.contains(table["ra"].to_numpy(), table["dec"].to_numpy())]
    false = table["disposition"].isin(_LEFT_OUT) if "disposition" in table else np.zeros(len(table), bool)
    ordered = table[~false].sort_values(["tmag", "ra", "dec"], kind="stable")
    return _as_stars(ordered).assign_attrs(
        product="stars",
        catalogue=catalogue.title,
        footprint=footprint.name,
        epoch=2000.0,
        faintest=limit,
        left_out=int(np.sum(false)),
    )


def _as_stars(table: pd.DataFrame) -> xr.Dataset:
    if "tic" not in table:
        table = table.assign(tic=0)
    known = [name for name in table.columns if name in vocabulary.VARIABLES]
    columns = {
        name: ("star", table[name].to_numpy().astype(vocabulary.VARIABLES[name].dtype)) for name in known
    }
    return vocabulary.label(xr.Dataset(columns))


def _missing(
    name: str, footprint: Footprint, faintest: float | None, pixels: list[int], count: int
) -> SourceError:
    deep = "" if faintest is None else f" --faintest {faintest:g}"
    which = " --gaia" if name == "gaia" else ""
    numbers = ", ".join(map(str, pixels[:6])) + (", …" if len(pixels) > 6 else "")
    return SourceError(
        f"targets.{name}: {len(pixels)} of the {count} parts of {footprint.name} are not on this machine"
        f"{f' to {faintest:g} mag' if faintest is not None else ''} (HEALPix {ORDER}: {numbers}). "
        f"Run 'tasoc targets fetch {footprint.fetch}{deep}{which}'."
    )


def fetch_targets(
    name: str,
    footprint: Footprint,
    faintest: float = FAINTEST,
    *,
    table: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    wait: Wait | None = None,
) -> list[Partition]:
    """
    Fetch the parts of a piece of the sky that are not on this machine to that magnitude.

    Parameters
    ----------
    name, footprint, faintest
        Of the catalog and the place; as ``tasoc targets fetch`` takes them.
    table
        A table of stars, as :func:`read_stars` reads it, in place of the server: a copy that somebody has
        already, for a machine without a network. What it lacks there is taken for empty sky.
    progress
        Called with the parts done, the parts to do and the stars fetched so far.
    wait
        How often the server is asked again, and how long it may take.

    Returns
    -------
    The partitions that were written.

    Raises
    ------
    SourceError
        If the table is no star catalogue, or a part could not be fetched; all others are kept, and the same
        call goes on from there.
    """
    catalogue = check_name(name)
    pixels = missing_pixels(name, footprint, faintest)
    patience = wait or Wait()
    copy = None if table is None else _read_copy(name, table, faintest)

    def fetch(pixel: int) -> Partition:
        if copy is not None:
            inside = Healpix(ORDER).pixel_of(copy["ra"].to_numpy(), copy["dec"].to_numpy()) == pixel
            return write_partition(catalogue, pixel, faintest, copy[inside], server=os.fspath(table))
        stars = fetch_pixel(catalogue, ORDER, pixel, faintest, patience)
        return write_partition(catalogue, pixel, faintest, stars)

    pool = ThreadPoolExecutor(QUERIES)
    try:
        return _collect([pool.submit(fetch, pixel) for pixel in pixels], progress)
    finally:
        pool.shutdown(cancel_futures=True)


def _read_copy(name: str, table: str | os.PathLike[str], faintest: float) -> pd.DataFrame:
    """Return the stars of somebody's copy of the TIC."""
    if name != "tic":
        raise SourceError(
            f"targets.{name}: a table can stand in for the TIC alone; expected tic. Leave the table out."
        )
    stars = read_stars(table).to_dataframe()
    return stars[stars["tmag"] <= faintest].reset_index(drop=True)


def _collect(
    parts: list[Future[Partition]], progress: Callable[[int, int, int], None] | None
) -> list[Partition]:
    """Return what the parts became; after a failure those that have not begun are left."""
    written: list[Partition] = []
    failure: SourceError | None = None
    for part in as_completed(parts):
        if part.cancelled():
            continue
        error = part.exception()
        if error is None:
            written.append(part.result())
        elif not isinstance(error, SourceError):
            raise error
        elif failure is None:
            failure = error
            for other in parts:
                other.cancel()
        if progress is not None:
            progress(len(written), len(parts), sum(one.rows for one in written))
    if failure is not None:
        raise SourceError(f"targets: {len(written)} of {len(parts)} parts fetched, then {failure}")
    return written
