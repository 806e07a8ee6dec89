"""Light-curve files of other pipelines as the light curves of our own: bytes to a Dataset.

Stars stand on the union of the cadences of their files, by cadence number. Every file is read once when it
is opened, for its cadences and its star, and again when its fluxes are asked for, so that no more than a
block of stars is in memory. :mod:`~tasoc_kit.sources.light_curve_families` says what each family holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit import vocabulary
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.clock import DAY, times_by_number
from tasoc_kit.provenance import Record, raw_id, raw_record, stamp
from tasoc_kit.sources.byte_source import list_files
from tasoc_kit.sources.light_curve_families import ENDINGS, Curve, read_curve
from tasoc_kit.vocabulary import KitQuality, Status

__all__ = ["open_light_curve_files"]

TOGETHER = 32
"""Files whose fluxes are read by one task."""
SERIES = {"flux": "float32", "flux_err": "float32", "pixel_quality": "int32", "source_quality": "int32"}
STAR = {"tic": "int64", "ra": "float64", "dec": "float64", "tmag": "float32"}
ALIKE = ("family", "column", "cadence")
"""What files must have in common to stand in one Dataset."""


@dataclass(frozen=True)
class _Cadences:
    """The cadences of some files: numbers, and what the files say of them."""

    number: np.ndarray
    earliest: np.ndarray
    latest: np.ndarray
    total: np.ndarray
    count: np.ndarray
    quality: np.ndarray
    """Bits that all files have that hold the cadence."""


def open_light_curve_files(
    where: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], column: str = ""
) -> xr.Dataset:
    """
    Open light curves of SPOC, TESS-SPOC, Kepler, TGLC, CDIPS, or of text files.

    Parameters
    ----------
    where
        A file, a folder, a glob or a list of files of one family, one sector and one exposure; paths or URLs.
    column
        Which flux of the files; by default PDCSAP_FLUX of SPOC, TESS-SPOC and Kepler, ``aperture_flux`` of
        TGLC, PCA2 of CDIPS. The others are in
        ``tasoc_kit.sources.light_curve_families.FAMILIES``.

    Returns
    -------
    Lazy ``flux`` and ``flux_err`` (star, time), electron/s; of text files, which have no level, relative, and
    ``units`` of both is empty. ``quality`` (time): the TESS bits that all stars have; of Kepler those that
    TESS has a like for. ``pixel_quality`` (star, time): ``FLAGGED_BAD_DATA`` where the bits of the file, or
    who made it, set the star apart; ``NO_DATA`` without a value. ``source_quality`` (star, time): the bits of
    the file, unchanged; attrs ``source_bits`` says whose they are. ``time``: BTJD, also for Kepler; of
    several stars the mean, and theirs lie within attrs ``time_spread`` seconds. ``object``: who a star is
    where it has no TIC number. Attrs ``level``, ``time_stamps`` and ``cadence_numbers`` say how these
    came about.

    Raises
    ------
    SourceError
        If there is no file, one cannot be read, or they do not belong together.
    """
    paths = list_files(where, ENDINGS)
    if not paths:
        raise SourceError.for_file(
            where, "there is no light-curve file", f"Expected {', '.join(ENDINGS)}. Check the path."
        )
    curves: list[Curve] = []
    parts: list[_Cadences] = []
    for path in paths:
        curve = read_curve(path, column)
        if curves:
            _check_alike(path, curve, curves[0])
        parts.append(_cadences(path, curve))
        if len(parts) == TOGETHER:
            parts = [_merged(parts)]
        curves.append(_without_series(curve))
    _check_stars(paths, curves)
    return _dataset(paths, curves, _merged(parts), column)


def _without_series(curve: Curve) -> Curve:
    """Return what is kept of a file once its cadences are counted."""
    none = np.empty(0)
    return replace(
        curve,
        time=none,
        cadenceno=none,
        quality=none,
        source_quality=None,
        pixel_quality=none,
        flux=none,
        flux_err=none,
    )


def _check_alike(path: str, curve: Curve, first: Curve) -> None:
    for name in ALIKE:
        if getattr(curve, name) != getattr(first, name):
            raise SourceError.for_file(
                path,
                f"its {name} is {getattr(curve, name)!r}, that of {first.files[0]} {getattr(first, name)!r}",
                "Expected files of one kind. Give a glob of one of them.",
            )
    for name in ("mission", "sector", "quarter", "campaign"):
        theirs, ours = first.unit.get(name), curve.unit.get(name)
        if ours != theirs:
            raise SourceError.for_file(
                path,
                f"its {name} is {ours!r}, that of {first.files[0]} {theirs!r}",
                "Expected files of one sector. Open the sectors one by one.",
            )


def _check_stars(paths: Sequence[str], curves: Sequence[Curve]) -> None:
    seen: dict[str, str] = {}
    for path, curve in zip(paths, curves, strict=True):
        name = curve.star["object"]
        if name in seen:
            raise SourceError.for_file(path, f"{name} is also in {seen[name]}", "Leave one of them out.")
        seen[name] = path


def _cadences(path: str, curve: Curve) -> _Cadences:
    if np.unique(curve.cadenceno).size != curve.cadenceno.size:
        raise SourceError.for_file(
            path, "a cadence number stands twice", "Expected one row for each. Leave the file out."
        )
    order = np.argsort(curve.cadenceno, kind="stable")
    time = curve.time[order]
    known = np.isfinite(time)
    return _Cadences(
        number=curve.cadenceno[order],
        earliest=np.where(known, time, np.inf),
        latest=np.where(known, time, -np.inf),
        total=np.where(known, time, 0.0),
        count=known.astype(np.int64),
        quality=curve.quality[order],
    )


def _merged(parts: Sequence[_Cadences]) -> _Cadences:
    number = np.unique(np.concatenate([part.number for part in parts]))
    size = number.size
    whole = _Cadences(
        number=number,
        earliest=np.full(size, np.inf),
        latest=np.full(size, -np.inf),
        total=np.zeros(size),
        count=np.zeros(size, np.int64),
        quality=np.full(size, -1, np.int32),
    )
    for part in parts:
        at = np.searchsorted(number, part.number)
        whole.earliest[at] = np.minimum(whole.earliest[at], part.earliest)
        whole.latest[at] = np.maximum(whole.latest[at], part.latest)
        whole.total[at] += part.total
        whole.count[at] += part.count
        whole.quality[at] &= part.quality
    return whole


def _block(paths: Sequence[str], column: str, number: np.ndarray, electrons: bool) -> dict[str, np.ndarray]:
    """Return the series of some files, on the cadences of all."""
    shape = len(paths), number.size
    made = {name: np.zeros(shape, dtype) for name, dtype in SERIES.items()}
    made["flux"][:] = made["flux_err"][:] = np.nan
    made["pixel_quality"][:] = int(KitQuality.NO_DATA)
    for k, path in enumerate(paths):
        curve = read_curve(path, column)
        at = np.searchsorted(number, curve.cadenceno)
        level = curve.level if electrons else 1.0
        for name in ("flux", "flux_err"):
            made[name][k, at] = level * getattr(curve, name)
        made["pixel_quality"][k, at] = curve.pixel_quality
        if curve.source_quality is not None:
            made["source_quality"][k, at] = curve.source_quality
    return made


def _dataset(paths: Sequence[str], curves: Sequence[Curve], cadences: _Cadences, column: str) -> xr.Dataset:
    first, number = curves[0], cadences.number
    electrons = all(np.isfinite(curve.level) for curve in curves)
    names = [n for n in SERIES if n != "source_quality" or first.family not in ("cdips", "text")]
    read, shape = dask.delayed(_block), (len(paths), number.size)
    pieces: dict[str, list[da.Array]] = {name: [] for name in names}
    for start in range(0, len(paths), TOGETHER):
        some = list(paths[start : start + TOGETHER])
        made = read(some, column, number, electrons)
        for name in names:
            pieces[name].append(da.from_delayed(made[name], (len(some), shape[1]), SERIES[name]))
    known = cadences.count > 0
    mean = np.where(known, cadences.total / np.maximum(cadences.count, 1), np.nan)
    spread = float(np.max(cadences.latest[known] - cadences.earliest[known], initial=0.0))
    time = times_by_number(mean, number)
    no_time = np.where(known, 0, int(KitQuality.NO_DATA))
    coords: dict[str, Any] = {
        "time": time,
        "cadenceno": ("time", number.astype(np.int32)),
        "quality": ("time", cadences.quality),
        "frame_quality": ("time", no_time.astype(np.int32)),
        "object": ("star", np.array([curve.star["object"] for curve in curves], dtype=object)),
        "status": ("star", np.full(len(curves), int(Status.OK), np.int8)),
    }
    for name, dtype in STAR.items():
        coords[name] = ("star", np.array([curve.star[name] for curve in curves], dtype))
    variables = {name: (("star", "time"), da.concatenate(pieces[name], axis=0)) for name in names}
    opened = vocabulary.label(xr.Dataset(variables, coords, _attributes(curves, spread)))
    if not electrons:
        for name in ("flux", "flux_err"):
            opened[name].attrs["units"] = ""
    return _stamped(opened, curves)


def _attributes(curves: Sequence[Curve], spread: float) -> dict[str, Any]:
    """
    Return what the files say together; without camera and CCD where they are of several.

    A field of their own keeps what is made of them apart from the products of a CCD, and a CCD has a meaning
    beside its camera only.
    """
    first = curves[0]
    unit = {n: here for n, here in first.unit.items() if all(curve.unit.get(n) == here for curve in curves)}
    if "camera" not in unit:
        unit.pop("ccd", None)
    field = f"{first.family.replace('-', '_')}_{raw_id([curve.files for curve in curves])}"
    bits = {"kepler": "Kepler", "cdips": "none", "text": "none"}.get(first.family, "TESS")
    return {
        "product": "light_curve_files",
        "source": "light_curve_files",
        "family": first.family,
        "flux_column": first.column,
        "sector": 0,
        "field": field,
        **unit,
        "cadence": first.cadence,
        "exposure": first.exposure,
        "source_bits": bits,
        "time_place": "target" if len(curves) == 1 else "mean of the targets",
        "time_spread": round(spread * DAY, 3),
        **first.told,
    }


def _stamped(opened: xr.Dataset, curves: Sequence[Curve]) -> xr.Dataset:
    """Return the Dataset with its id: that of the files, and of the column that was taken."""
    files = [curve.files for curve in curves]
    raw = raw_id(files)
    behind = {"provenance_id": raw, "provenance": json.dumps({raw: raw_record(files)}, sort_keys=True)}
    settings = {"column": opened.attrs["flux_column"]}
    record = Record("open_light_curve_files", 2, settings, (raw,))
    return stamp(opened, record, [xr.Dataset(attrs=behind)])
