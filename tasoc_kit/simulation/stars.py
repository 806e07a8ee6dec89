"""The stars of a simulated field, and which of them vary.

Counts follow ``N(<T) ∝ 10^(0.30 T)``, scaled to the number of stars brighter than T = 15 on a
CCD; the many stars below the catalogue's limit make the uneven floor of the reference image.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from tasoc_kit.numerics import detector
from tasoc_kit.numerics.geometry import Solution, pixel_to_sky
from tasoc_kit.numerics.prf import radius_for, without_faint_parts
from tasoc_kit.simulation.optics import star_parts
from tasoc_kit.simulation.settings import SectorSettings
from tasoc_kit.simulation.variables import KINDS, Kind

__all__ = ["Asteroid", "Stars", "VariableStar", "draw_stars", "place_variables", "send_asteroids"]

FIRST_TIC = 9_000_000_001
MARGIN = 20
_SLOPE = 0.30
_BRIGHTEST = 4.0
_SATURATED = 5.2
_SATURATES_BELOW = 6.4


@dataclass(frozen=True)
class Stars:
    """All stars that are drawn, brightest first."""

    row: np.ndarray
    """Catalogue position: label on the full frame at mid-sector pointing."""
    column: np.ndarray
    tmag: np.ndarray
    flux: np.ndarray
    """Electron/s of the whole star."""
    parts: np.ndarray
    """PRF of each star (:func:`tasoc_kit.numerics.prf.components`)."""
    radius: np.ndarray
    """Half-width of each star's stamp, pixels."""
    catalogued: int
    """How many of them the star catalogue lists."""


@dataclass(frozen=True)
class VariableStar:
    """One star that varies."""

    star: int
    kind: Kind
    parameters: dict[str, Any]

    def described(self) -> dict[str, Any]:
        """Return what the truth file keeps of it."""
        return {"star": self.star, "kind": self.kind.name, **self.parameters}


@dataclass(frozen=True)
class Asteroid:
    """A point source that crosses the field on a straight line."""

    tmag: float
    time: float
    """BTJD at which it is at (row, column)."""
    row: float
    column: float
    row_rate: float
    """Pixels per day."""
    column_rate: float

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return row and column at times in BTJD, where the pointing is that of mid-sector."""
        days = np.asarray(times) - self.time
        return self.row + self.row_rate * days, self.column + self.column_rate * days


def _area(settings: SectorSettings) -> float:
    return settings.rows * settings.columns / 2048**2


def draw_stars(settings: SectorSettings) -> Stars:
    """Draw the stars of the simulated area and of a margin around it."""
    random = np.random.default_rng((settings.seed, 5))
    rows, columns = settings.rows + 2 * MARGIN, settings.columns + 2 * MARGIN
    per_pixel = settings.star_density / 2048**2 * 10 ** (_SLOPE * (settings.faint_limit - 15.0))
    count = round(per_pixel * rows * columns)
    depth = random.uniform(10 ** (_SLOPE * (_BRIGHTEST - settings.faint_limit)), 1.0, count)
    tmag = np.sort(settings.faint_limit + np.log10(depth) / _SLOPE)
    row = random.uniform(-MARGIN - 0.5, settings.rows + MARGIN - 0.5, count)
    column = detector.SCIENCE_COLUMNS.start + random.uniform(
        -MARGIN - 0.5, settings.columns + MARGIN - 0.5, count
    )
    if count:
        _saturate_one(settings, row, column, tmag, random)
    flux = 10 ** (-0.4 * (tmag - detector.ZERO_POINT))
    parts = star_parts(settings, row, column)
    catalogued = int(np.searchsorted(tmag, settings.catalogue_limit))
    radius = radius_for(flux, parts)
    return Stars(row, column, tmag, flux, without_faint_parts(flux, parts), radius, catalogued)


def _saturate_one(
    settings: SectorSettings,
    row: np.ndarray,
    column: np.ndarray,
    tmag: np.ndarray,
    random: np.random.Generator,
) -> None:
    """Make the brightest star saturate, inside the field, where chance left none that does."""
    inside = _inside(settings, row, column, 2.0)
    if not (inside & (tmag < _SATURATES_BELOW)).any():
        tmag[0] = _SATURATED
        row[0] = settings.rows * random.uniform(0.35, 0.75)
        column[0] = detector.SCIENCE_COLUMNS.start + settings.columns * random.uniform(0.25, 0.75)


def _inside(settings: SectorSettings, row: np.ndarray, column: np.ndarray, edge: float) -> np.ndarray:
    columns = column - detector.SCIENCE_COLUMNS.start
    return (
        (row >= edge)
        & (row <= settings.rows - 1 - edge)
        & (columns >= edge)
        & (columns <= settings.columns - 1 - edge)
    )


def place_variables(settings: SectorSettings, stars: Stars, start: float, end: float) -> list[VariableStar]:
    """
    Choose the stars that vary.

    At least one star of every kind, as far as there are stars: a well isolated one within its
    range of magnitudes, or the nearest to that range. ``start`` and ``end`` are BTJD.
    """
    if not settings.variables:
        return []
    random = np.random.default_rng((settings.seed, 6))
    count = int(np.searchsorted(stars.tmag, 17.0))
    row, column, tmag = stars.row[:count], stars.column[:count], stars.tmag[:count]
    free = _inside(settings, row, column, 8.0) & (tmag > _SATURATES_BELOW + 0.6)
    crowded = _crowded(row, column, tmag)
    chosen: list[VariableStar] = []
    brighter = int(round(settings.star_density * _area(settings)))
    for kind in KINDS:
        for k in range(max(1, round(kind.share * brighter))):
            star = _choose(random, free, crowded, tmag, kind)
            if star is None:
                break
            free[star] = False
            chosen.append(VariableStar(star, kind, kind.draw(random, k == 0, start, end)))
    return chosen


def _crowded(row: np.ndarray, column: np.ndarray, tmag: np.ndarray) -> np.ndarray:
    """Return True for stars with a neighbour within 5 pixels that is not two magnitudes fainter."""
    out = np.zeros(len(row), bool)
    if len(row) > 1:
        pairs = cKDTree(np.stack([row, column], axis=1)).query_pairs(5.0, output_type="ndarray")
        for one, two in (pairs.T, pairs.T[::-1]):
            out[one[tmag[two] < tmag[one] + 2.0]] = True
    return out


def _choose(
    random: np.random.Generator, free: np.ndarray, crowded: np.ndarray, tmag: np.ndarray, kind: Kind
) -> int | None:
    wanted = free & (tmag >= kind.bright) & (tmag <= kind.faint)
    for candidates in (wanted & ~crowded, wanted):
        places = np.flatnonzero(candidates)
        if len(places):
            return int(random.choice(places))
    places = np.flatnonzero(free)
    if not len(places):
        return None
    middle = 0.5 * (kind.bright + kind.faint)
    return int(places[np.argmin(np.abs(tmag[places] - middle))])


def send_asteroids(settings: SectorSettings, start: float, end: float) -> list[Asteroid]:
    """Return the asteroids of the sector; the first crosses the middle 1.3 days after the start."""
    if not settings.asteroid:
        return []
    random = np.random.default_rng((settings.seed, 7))
    asteroids = []
    for k in range(max(1, round(10 * _area(settings)))):
        angle, speed = random.uniform(-0.5, 0.5), random.uniform(25.0, 45.0)
        place = np.array([0.5, 0.5]) if k == 0 else random.uniform(0.1, 0.9, 2)
        asteroids.append(
            Asteroid(
                tmag=11.0 if k == 0 else float(random.uniform(10.5, 14.5)),
                time=start + 1.3 if k == 0 else float(random.uniform(start, end)),
                row=float(settings.rows * place[0]),
                column=float(detector.SCIENCE_COLUMNS.start + settings.columns * place[1]),
                row_rate=float(speed * np.sin(angle)),
                column_rate=float(speed * np.cos(angle)),
            )
        )
    return asteroids


def sky_positions(stars: Stars, field: Solution) -> tuple[np.ndarray, np.ndarray]:
    """Return ra and dec in degrees of the stars that the catalogue lists."""
    count = stars.catalogued
    return pixel_to_sky(field, stars.row[:count], stars.column[:count])


def described(variables: list[VariableStar]) -> str:
    """Return the variable stars as JSON, as the truth file keeps them."""
    return json.dumps([variable.described() for variable in variables])
