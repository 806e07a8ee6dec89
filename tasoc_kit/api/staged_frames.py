"""Frames without their sky: which there are, and one of them as pixels.

The sky of a frame is evaluated, and the frame is read, when it is asked for: two at a time, so memory
stays that of a few frames whoever asks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa
import xarray as xr

from tasoc_kit import database
from tasoc_kit.api.opened import Kept, open_one
from tasoc_kit.api.problems import Problem
from tasoc_kit.api.raw_frames import FrameFilter, utc_seconds, utc_text
from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.clock import DAY
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.products import open_ancestor
from tasoc_kit.provenance import lineage
from tasoc_kit.records.engine import rows
from tasoc_kit.records.tables import File
from tasoc_kit.sources.ffi import open_ffi, science
from tasoc_kit.sources.frame_reader import open_frames
from tasoc_kit.storage.units import parse_unit

__all__ = ["COLUMNS", "Staged", "list_staged", "open_staged"]

COLUMNS = ("id", "unit", "sector", "camera", "ccd", "cadenceno", "time", "start", "quality", "frame_quality")
AT_ONCE = 2
"""Frames in memory."""
_OPENED = 24
"""Products that one page looks into; the next page goes on behind them."""

_working = threading.BoundedSemaphore(AT_ONCE)
_cubes: Kept[xr.Dataset] = Kept(4, 600)
_seconds: Kept[np.ndarray] = Kept(2 * _OPENED, 3600)
_references: Kept[xr.Dataset] = Kept(2, 600)


def list_staged(
    wanted: FrameFilter, tag: str | None, id: str | None, after: tuple[str, int] | None, limit: int
) -> tuple[list[dict[str, Any]], tuple[str, int] | None]:
    """
    Return frames of skies in the order of units and cadences, and the key behind which the next page begins.

    Parameters
    ----------
    tag, id
        Of the ``sky`` products; by default the tag ``current``, else the newest of each unit.
    after
        Unit and cadence of the last one before.
    """
    made: list[dict[str, Any]] = []
    seen, last = 0, ("", 0)
    for unit, id_ in database.chosen_products("sky", tag=tag, id=id):
        if not wanted.unit_fits(parse_unit(unit)) or (after is not None and unit < after[0]):
            continue
        if seen == _OPENED:
            return made, last
        found = _frames_of(unit, id_, wanted)
        if after is not None and unit == after[0]:
            found = (row for row in found if row["cadenceno"] > after[1])
        for row in found:
            if len(made) == limit:
                return made, (made[-1]["unit"], made[-1]["cadenceno"])
            made.append(row)
        seen, last = seen + 1, (unit, 2**31)
    return made, None


def _frames_of(unit: str, id: str, wanted: FrameFilter) -> Iterator[dict[str, Any]]:
    sky = open_one("sky", unit, id)
    time, cadenceno = sky["time"].values, sky["cadenceno"].values
    quality = sky["quality"].values if "quality" in sky.variables else np.zeros(time.size, np.int32)
    ours = sky["frame_quality"].values if "frame_quality" in sky.variables else np.zeros(time.size, np.int32)
    seconds = _seconds.get((unit, id), lambda: _starts(sky))
    parts = parse_unit(unit)
    place = {name: parts[name] for name in ("sector", "camera", "ccd")}
    kept = np.flatnonzero(wanted.keep(seconds, quality))
    for i in kept[np.argsort(cadenceno[kept], kind="stable")]:
        yield {
            "id": id, "unit": unit, **place, "cadenceno": int(cadenceno[i]), "time": float(time[i]),
            "start": utc_text(seconds[i]),
            "quality": int(quality[i]), "frame_quality": int(ours[i]),
        }  # fmt: skip


def _starts(sky: xr.Dataset) -> np.ndarray:
    """Return the seconds (time) in which exposures began at the spacecraft; a sky has barycentric times."""
    half = 0.5 * float(sky.attrs.get("cadence", 0.0)) / DAY
    table = open_ancestor(sky, "quality")
    shift = np.zeros(sky.sizes["time"])
    if table is not None and "timecorr" in table.variables:
        known = dict(zip(table["cadenceno"].values.tolist(), table["timecorr"].values.tolist(), strict=True))
        shift = np.array([known.get(number, 0.0) for number in sky["cadenceno"].values.tolist()])
    return utc_seconds(sky["time"].values - np.nan_to_num(shift) - half)


class Staged:
    """One frame without its sky."""

    def __init__(self, flux: np.ndarray, cube: xr.Dataset, sky: xr.Dataset, frame: int) -> None:
        self.flux = flux
        """float32 (row, column), electron/s."""
        self.first = int(sky["row"].values[0]), int(sky["column"].values[0])
        """Row and column of its first pixel, counted from 0 on the full frame."""
        self.attrs = sky.attrs
        self.cadenceno, self.time = int(sky["cadenceno"][frame]), float(sky["time"][frame])
        at = int(np.flatnonzero(cube["cadenceno"].values == self.cadenceno)[0])
        self.wcs = str(cube["wcs"].values[at]) if "wcs" in cube.variables else ""
        self.span = tuple(float(cube[name].values[at]) for name in ("time_start", "time_stop"))
        """Start and end of the exposure, BTJD."""
        self.timecorr = float(cube["timecorr"].values[at])
        """Barycentric correction, days."""
        self.quality = int(cube["quality"].values[at])


def open_staged(id: str, cadenceno: int) -> Staged:
    """
    Return one frame without its sky.

    Parameters
    ----------
    id
        Of a ``sky`` product.
    cadenceno
        Cadence number of the frame.

    Raises
    ------
    Problem
        If there is no such sky, no such cadence in it, or the raw frame is gone.
    """
    found = database.chosen_products("sky", id=id)
    if not found:
        raise Problem(404, f"sky {id}: there is none; expected one of /staging. Ask for the list.")
    unit = found[0][0]
    sky = open_one("sky", unit, id)
    frames = np.flatnonzero(sky["cadenceno"].values == cadenceno)
    if not frames.size:
        first, last = (int(f(sky["cadenceno"].values)) for f in (np.min, np.max))
        frames_there = sky.sizes["time"]
        raise Problem(
            404,
            f"cadenceno={cadenceno}: {unit} has none; expected one of its {frames_there}, {first} to "
            f"{last}. See /staging.",
        )
    reference = _references.get((unit, id), lambda: _reference(sky, unit))
    cube = _cubes.get((unit, id), lambda: _cube(sky, unit))
    at = np.flatnonzero(cube["cadenceno"].values == cadenceno)
    if not at.size:
        raise _gone(unit, f"cadence {cadenceno}")
    with _working:
        flux = np.empty((sky.sizes["row"], sky.sizes["column"]), np.float32)
        try:
            open_frames(cube).read(int(at[0]), flux)
        except (SourceError, FileNotFoundError):
            _cubes.forget((unit, id))
            raise _gone(unit, f"cadence {cadenceno}") from None
        flux -= sky_image(sky, reference, int(frames[0]))
    return Staged(flux, cube, sky, int(frames[0]))


def _reference(sky: xr.Dataset, unit: str) -> xr.Dataset:
    found = open_ancestor(sky, "reference")
    if found is None:
        raise Problem(
            409,
            f"sky of {unit}: the reference that it was fitted over is no longer in the store; expected both. "
            "Make them again: tasoc run photometry.",
        )
    return found[["reference_sky"]].load()


def _gone(unit: str, what: str) -> Problem:
    return Problem(
        409,
        f"staging: the raw frames of {unit} are not here ({what}); expected those that the sky was made of, "
        "in TASOC_DATA or brought in by /inject. Bring them back, and ask again.",
    )


def _cube(sky: xr.Dataset, unit: str) -> xr.Dataset:
    """Return the frames that a sky was made from, lazily, with its rows and columns."""
    parts = parse_unit(unit)
    place = {name: parts[name] for name in ("sector", "camera", "ccd")}
    made_from = lineage(sky)
    for source in (settings().data, _brought_in(place)):
        if not source:
            continue
        try:
            cube = science(open_ffi(source, **place))
        except (SourceError, FileNotFoundError):
            continue
        if str(cube.attrs.get("provenance_id", "")) in made_from:
            return cube.sel(row=sky["row"].values, column=sky["column"].values)
    raise _gone(unit, "no frames of this id")


def _brought_in(place: dict[str, int]) -> list[str]:
    """Return where the frames of a CCD lie that were brought in."""
    statement = sa.select(File.location).where(File.kind == "ffi")
    for name, value in place.items():
        statement = statement.where(getattr(File, name) == value)
    return sorted(row["location"] for row in rows(statement, None))
