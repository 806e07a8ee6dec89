"""One light curve as a table: the photometry that is asked for, corrected as is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasoc_kit.api.formats import Table
from tasoc_kit.api.opened import Opened
from tasoc_kit.api.problems import Problem
from tasoc_kit.exports.corrected import BEST, PLAIN
from tasoc_kit.vocabulary import Correction, Method

__all__ = ["COLUMNS", "METHODS", "light_curve", "method_of", "tasoc_file"]

SERIES = ("flux", "flux_err", "background", "centroid_row", "centroid_column", "pixel_quality")
PER_CADENCE = ("cadenceno", "quality", "frame_quality")
CORRECTED = ("flux_corr", "flux_corr_err")
COLUMNS = ("time", *PER_CADENCE, *SERIES, *CORRECTED)
_TIME = "mid-exposure for the place of the star, BTJD = BJD − 2457000, TDB"
METHODS = (BEST, *(method.name.lower() for method in Method if method))


def method_of(opened: Opened, star: int, name: str) -> Method:
    """
    Return the photometry of a star that a name stands for.

    Raises
    ------
    Problem
        If there is no light curve of this star by this photometry.
    """
    if not 0 <= star < opened.family.stars:
        raise Problem(
            404,
            f"star {star}: {opened.ref.unit} {opened.ref.id} has {opened.family.stars} stars; expected one "
            "of them. Look for it at /curated/objects.",
        )
    method = Method(int(opened.method[star])) if name == BEST else Method[name.upper()]
    family = opened.family
    if not method or not family.has(method) or not family.measured(method)[star]:
        raise Problem(
            404,
            f"star {star} of {opened.ref.unit}: no light curve by {name} photometry; expected a star that "
            "was measured so. Ask for method=best, or for another star.",
        )
    return method


def light_curve(
    opened: Opened, star: int, *, method: str = BEST, correction: str = BEST, columns: Sequence[str] = ()
) -> Table:
    """
    Return the light curve of one star, a row a cadence.

    Parameters
    ----------
    opened
        The light curves of its unit.
    star
        Its index.
    method
        ``best``, ``aperture``, ``psf`` or ``halo``.
    correction
        ``best``, ``none``, ``cbv``, ``ensemble`` or ``filter``; light curves of apertures are what is
        corrected.
    columns
        Some of ``COLUMNS``; by default all that there are.
    """
    used = method_of(opened, star, method)
    wanted = tuple(dict.fromkeys(columns)) or COLUMNS
    made: dict[str, Any] = {}
    kind = Correction.NONE
    corrected: dict[str, np.ndarray] = {}
    if correction != PLAIN and used is Method.APERTURE:
        kind, corrected = _corrected(opened, star, correction, wanted)
    for name in wanted:
        values = corrected.get(name)
        if values is None and name not in CORRECTED:
            values = _column(opened, star, used, name)
        if values is not None:
            made[name] = values
    if kind and "pixel_quality" in made:
        made["pixel_quality"] = made["pixel_quality"] | _bits(opened, star, kind, correction)
    meanings = {"time": _TIME} if opened.family.spacecraft is not None else {}
    return Table(made, _facts(opened, star, used, kind), meanings)


def _facts(opened: Opened, star: int, used: Method, kind: Correction) -> dict[str, Any]:
    curves = opened.family.light_curves
    place = {name: int(curves.attrs.get(name, 0)) for name in ("sector", "camera", "ccd")}
    told = {"object": f"{opened.ref.id}-{star}", "unit": opened.ref.unit, "id": opened.ref.id, "star": star}
    known = {
        name: curves.variables[name].values[star].item()
        for name in ("tic", "ra", "dec", "tmag")
        if name in curves.variables
    }
    return told | known | place | {"method": used.name.lower(), "correction": kind.name.lower()}


def _column(opened: Opened, star: int, used: Method, name: str) -> np.ndarray | None:
    """Return one column; None where the products do not have it."""
    curves = opened.family.light_curves
    if name == "time":
        return opened.family.times(np.array([star]))[0]
    if name in PER_CADENCE:
        return curves.variables[name].values if name in curves.variables else None
    source = opened.family.source(used)
    place = star if source is curves else int(opened.family.places[used][star])
    return _series(opened, source, name, place)


def _series(opened: Opened, source: Any, name: str, place: int) -> np.ndarray | None:
    if name not in source.variables:
        return None
    if source.variables[name].dims == ("star", "time"):
        return opened.rows(source).read(name, place)
    return np.asarray(source[name].transpose("star", "time")[place].values)


def _corrected(
    opened: Opened, star: int, correction: str, wanted: Sequence[str]
) -> tuple[Correction, dict[str, np.ndarray]]:
    found = opened.corrected(correction)
    kind = Correction(int(found.kind[star]))
    if not kind:
        return kind, {}
    table = found.tables[kind]
    series = {name: _series(opened, table, name, star) for name in CORRECTED if name in wanted}
    return kind, {name: values for name, values in series.items() if values is not None}


def _bits(opened: Opened, star: int, kind: Correction, correction: str) -> np.ndarray:
    found = _series(opened, opened.corrected(correction).tables[kind], "pixel_quality", star)
    return np.int32(0) if found is None else found  # type: ignore[return-value]


def tasoc_file(opened: Opened, star: int, correction: str = BEST) -> tuple[str, bytes]:
    """Return name and content of the TASOC file (FITS, gzip) of a star, by the photometry that serves it."""
    from tasoc_kit.exports.tasoc_files import render

    method_of(opened, star, BEST)
    stars = np.array([star])
    series = opened.family.read(stars)
    ((path, content),) = render(opened.family, series, stars, 1, corrected=opened.corrected(correction))
    return path.rpartition("/")[2], content
