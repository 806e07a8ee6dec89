"""Star catalogues on a TAP server: what they are called there, and one pixel of sky of one of them.

Both the TIC and Gaia are taken from VizieR by the Table Access Protocol (Dowler+ 2019), in queries of
one circle each. What comes back is held against what was asked for, so that an error page, half an
answer or one that was cut at the row limit of the server never counts as a catalogue.
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.geometry import move_epoch
from tasoc_kit.sources.footprint import Healpix

__all__ = ["CATALOGUES", "StarCatalogue", "Wait", "fetch_pixel"]

ROWS = 500_000
"""Rows asked for at once; a pixel of sky that holds more is asked for in quarters."""
DEEPEST = 9
"""Order at which a pixel is no longer divided: 0.11 degrees."""
SPARSE = 10.0
"""Magnitude from which on no 3 square degrees of sky are empty."""
SECONDS = (20.0, 300.0)
"""Time to connect, and to wait for the next bytes."""


@dataclass(frozen=True)
class StarCatalogue:
    """What a star catalogue is called on the server, and how its rows become ours."""

    name: str
    title: str
    table: str
    columns: dict[str, str]
    """Our names (of the vocabulary, or ``disposition``, ``gmag``, …) and the server's."""
    magnitude: str
    """Our name of the column that the magnitude limit is set in."""
    reach: float
    """How much fainter than the limit in the TESS band a star of that column may be."""
    finish: Callable[[pd.DataFrame], pd.DataFrame]

    def query(self, circle: tuple[float, float, float], faintest: float) -> str:
        """Return the ADQL for the stars in a circle (ra, dec, radius in degrees)."""
        ra, dec, radius = circle
        named = ", ".join(f'"{theirs}"' for theirs in self.columns.values())
        point = f'POINT(\'ICRS\', "{self.columns["ra"]}", "{self.columns["dec"]}")'
        return (
            f'SELECT {named} FROM "{self.table}" WHERE '
            f"1 = CONTAINS({point}, CIRCLE('ICRS', {ra:.8f}, {dec:.8f}, {radius:.8f})) "
            f'AND "{self.columns[self.magnitude]}" <= {faintest + self.reach:.3f}'
        )


def _as_it_is(stars: pd.DataFrame) -> pd.DataFrame:
    return stars


def _from_gaia(stars: pd.DataFrame) -> pd.DataFrame:
    """Give Gaia stars a TESS magnitude (Stassun+ 2019, AJ 158 138, eq. 1) and their place in J2000."""
    colour = stars.pop("bpmag") - stars.pop("rpmag")
    dwarf = -0.00522555 * colour**3 + 0.0891337 * colour**2 - 0.633923 * colour + 0.0324473
    tmag = stars.pop("gmag") + dwarf.fillna(-0.430)
    ra, dec = move_epoch(stars["ra"], stars["dec"], stars["pmra"], stars["pmdec"], -16.0)
    return stars.assign(ra=ra, dec=dec, tmag=tmag)


_PLACE = {"pmra": "pmRA", "pmdec": "pmDE"}

CATALOGUES: dict[str, StarCatalogue] = {
    "tic": StarCatalogue(
        "tic",
        "TESS Input Catalog 8.2 (Paegert+ 2021), VizieR IV/39",
        "IV/39/tic82",
        {"tic": "TIC", "ra": "RAJ2000", "dec": "DEJ2000", "tmag": "Tmag"}
        | _PLACE
        | {"teff": "Teff", "disposition": "Disp"},
        "tmag",
        0.0,
        _as_it_is,
    ),
    "gaia": StarCatalogue(
        "gaia",
        "Gaia DR3 (Gaia Collaboration 2023), VizieR I/355",
        "I/355/gaiadr3",
        {"gaia": "Source", "ra": "RA_ICRS", "dec": "DE_ICRS", "gmag": "Gmag"}
        | _PLACE
        | {"bpmag": "BPmag", "rpmag": "RPmag"},
        "gmag",
        1.5,
        _from_gaia,
    ),
}


@dataclass(frozen=True)
class Wait:
    """How patient a fetch is with a server."""

    tries: int = 4
    pause: float = 2.0
    """Seconds after the first failure; doubled after each further one."""
    seconds: tuple[float, float] = SECONDS
    rows: int = ROWS


class _Unusable(Exception):
    """An answer, or none, after which the same question may be asked again."""


def fetch_pixel(
    catalogue: StarCatalogue, order: int, pixel: int, faintest: float, wait: Wait
) -> pd.DataFrame:
    """
    Fetch the stars in one HEALPix pixel (nested), brightest first.

    Raises
    ------
    SourceError
        If the server does not answer, or not with such stars, after all tries.
    """
    stars = _fetch(catalogue, order, pixel, faintest, wait)
    if stars.empty and faintest >= SPARSE:
        raise _refused(
            f"no star brighter than {faintest:g} mag in {catalogue.name} pixel {pixel}; no part of the sky "
            "that large is empty"
        )
    names = sorted(set(stars.columns) & {"tic", "gaia"})
    return stars.sort_values(["tmag", *names], kind="stable", ignore_index=True)


def _fetch(catalogue: StarCatalogue, order: int, pixel: int, faintest: float, wait: Wait) -> pd.DataFrame:
    grid = Healpix(order)
    table, whole = _ask_again(catalogue, catalogue.query(grid.circle(pixel), faintest), wait)
    if not whole:
        if order == DEEPEST:
            raise _refused(f"more than {len(table)} stars in {catalogue.name} pixel {pixel} of order {order}")
        quarters = [
            _fetch(catalogue, order + 1, quarter, faintest, wait)
            for quarter in range(4 * pixel, 4 * pixel + 4)
        ]
        return pd.concat(quarters, ignore_index=True)
    known = table[np.isfinite(table["ra"]) & np.isfinite(table["dec"])]
    inside = grid.pixel_of(known["ra"].to_numpy(), known["dec"].to_numpy()) == pixel
    stars = catalogue.finish(known[inside].copy())
    return stars[stars["tmag"] <= faintest]


def _refused(problem: str) -> SourceError:
    return SourceError(
        f"{settings().tap_server}: {problem}. Try later, or set TASOC_TAP_SERVER to a mirror; "
        "what was fetched is kept."
    )


def _ask_again(catalogue: StarCatalogue, query: str, wait: Wait) -> tuple[pd.DataFrame, bool]:
    for attempt in range(1, wait.tries + 1):
        try:
            return _ask(catalogue, query, wait)
        except _Unusable as error:
            if attempt == wait.tries:
                raise _refused(f"{error}, {attempt} times") from None
            time.sleep(wait.pause * 2 ** (attempt - 1))
    raise AssertionError("a fetch tries at least once")


def _ask(catalogue: StarCatalogue, query: str, wait: Wait) -> tuple[pd.DataFrame, bool]:
    """Return the rows of one query, and whether they are all that there are."""
    content = _send(query, wait)
    results = _read_votable(content)
    missing = [theirs for theirs in catalogue.columns.values() if theirs not in results.fieldnames]
    if missing:
        raise _refused(f"{catalogue.table} without {missing}; it has {list(results.fieldnames)[:12]}")
    found = results.to_table()
    whole = results.status[0].lower() == "ok" and len(found) < wait.rows
    return _as_ours(found, catalogue), whole


def _as_ours(found: Any, catalogue: StarCatalogue) -> pd.DataFrame:
    ours = {}
    for name, theirs in catalogue.columns.items():
        column = found[theirs]
        if name == "disposition":
            ours[name] = pd.Series(
                [str(v) if v and v is not np.ma.masked else "" for v in column], dtype="str"
            )
        elif name in ("tic", "gaia"):
            ours[name] = np.ma.filled(np.ma.asarray(column), 0).astype(np.int64)
        else:
            ours[name] = np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan)
    return pd.DataFrame(ours)


def _send(query: str, wait: Wait) -> bytes:
    """Return the body of the answer to one query."""
    import requests

    asked = {
        "REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "MAXREC": wait.rows, "QUERY": query,
    }  # fmt: skip
    try:
        answer = requests.post(f"{settings().tap_server}/sync", data=asked, timeout=wait.seconds)
    except requests.RequestException as error:
        # The reason is the last of what requests wraps around it.
        reason = str(error).rpartition(": ")[2].strip("'\") ")
        raise _Unusable(f"no answer ({type(error).__name__}: {reason[:120]})") from None
    if answer.status_code >= 500 or answer.status_code in (408, 429):
        raise _Unusable(f"HTTP {answer.status_code} {answer.reason}")
    kind = answer.headers.get("Content-Type", "")
    if "html" in kind or answer.content[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise _Unusable(f"a web page in place of a table (HTTP {answer.status_code}, {kind})")
    if answer.status_code >= 400 and b"<VOTABLE" not in answer.content[:1000].upper():
        raise _refused(f"HTTP {answer.status_code} {answer.reason}; expected a TAP server there")
    return answer.content


def _read_votable(content: bytes) -> Any:
    """Return the table in a VOTable; a half one is unusable, one that states an error is refused."""
    from astropy.io.votable import parse
    from pyvo.dal import DALQueryError
    from pyvo.dal.tap import TAPResults

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return TAPResults(parse(io.BytesIO(content)))
        except DALQueryError as error:
            raise _refused(f"the query was refused ({str(error)[:200]})") from None
        except Exception as error:
            raise _Unusable(f"no whole VOTable ({type(error).__name__}: {str(error)[:120]})") from None
