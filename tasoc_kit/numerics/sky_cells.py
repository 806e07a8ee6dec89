"""Cells of the sky: numbers by which an ordinary index finds what lies within a circle.

The sky is cut into zones of declination, and each zone into cells that are about as wide as they are
high. Numbers rise along right ascension within a zone, so a circle is a few runs of numbers in each
zone that it touches (the zones of Gray, Nieto-Santisteban & Szalay 2006, MSR-TR-2006-52). Cells only
narrow a search down: what is inside is told by unit vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["cell_of", "cell_runs", "chord2", "unit_vectors"]

ZONES_PER_DEGREE = 5
_ZONES = 180 * ZONES_PER_DEGREE
_STRIDE = 4096
"""Numbers set aside for a zone; the widest has 1800 cells."""
_SLACK = 1e-9
"""Degrees by which a circle is widened to be safe from rounding."""

_edges = np.abs(np.linspace(-90.0, 90.0, _ZONES + 1))
_nearest_equator = np.minimum(_edges[:-1], _edges[1:])
_CELLS = np.maximum(1, np.ceil(360 * ZONES_PER_DEGREE * np.cos(np.radians(_nearest_equator)))).astype(
    np.int64
)
"""Cells of each zone."""


def _zone(dec: np.ndarray) -> np.ndarray:
    return np.clip(np.floor((dec + 90) * ZONES_PER_DEGREE), 0, _ZONES - 1).astype(np.int64)


def cell_of(ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """Return the number of the cell that holds each place (degrees), int64."""
    zone = _zone(np.asarray(dec, float))
    number = np.floor(np.asarray(ra, float) % 360 / 360 * _CELLS[zone]).astype(np.int64)
    return zone * _STRIDE + np.minimum(number, _CELLS[zone] - 1)


def unit_vectors(ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """Return the directions (3, …) of places in degrees."""
    a, d = np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float))
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])


def chord2(radius: float) -> float:
    """Return the square of the chord of an angle in degrees: what unit vectors on a circle are apart."""
    return float((2 * np.sin(np.radians(min(radius + 0.1 * _SLACK, 180.0)) / 2)) ** 2)


def cell_runs(ra: float, dec: float, radius: float) -> list[tuple[int, int]]:
    """
    Return the first and last cell of every run that a circle may touch, rising.

    Parameters
    ----------
    ra, dec, radius
        Centre and radius, degrees; the circle may hold a pole or cross RA = 0.
    """
    radius = min(radius + _SLACK, 180.0)
    low, high = max(dec - radius, -90.0), min(dec + radius, 90.0)
    zones = np.arange(int(_zone(np.asarray(low))), int(_zone(np.asarray(high))) + 1)
    half = _half_width(dec, radius, zones, low, high) + _SLACK
    cells = _CELLS[zones]
    first = np.floor((ra - half) / 360 * cells - _SLACK).astype(np.int64)
    last = np.floor((ra + half) / 360 * cells + _SLACK).astype(np.int64)
    runs: list[tuple[int, int]] = []
    for zone, count, one, two in zip(
        zones.tolist(), cells.tolist(), first.tolist(), last.tolist(), strict=True
    ):
        start = zone * _STRIDE
        if two - one >= count - 1:
            _add(runs, start, start + count - 1)
            continue
        one, two = one % count, two % count
        for a, b in [(one, two)] if one <= two else [(0, two), (one, count - 1)]:
            _add(runs, start + a, start + b)
    return runs


def _add(runs: list[tuple[int, int]], first: int, last: int) -> None:
    """Append a run; a whole zone goes on where the whole zone before it ended."""
    zone = first // _STRIDE
    if runs and first == zone * _STRIDE and runs[-1][1] == (zone - 1) * _STRIDE + _CELLS[zone - 1] - 1:
        runs[-1] = (runs[-1][0], last)
    else:
        runs.append((first, last))


def _half_width(dec: float, radius: float, zones: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return how far in right ascension a circle reaches from its centre in each zone, degrees."""
    below = np.clip(zones / ZONES_PER_DEGREE - 90, low, high)
    above = np.clip((zones + 1) / ZONES_PER_DEGREE - 90, low, high)
    d0, r = np.radians(dec), np.radians(radius)
    widest = np.sin(d0) / np.cos(r) if np.cos(r) else np.inf
    turn = np.degrees(np.arcsin(widest)) if abs(widest) <= 1 else dec
    places = np.radians(np.stack([below, above, np.clip(turn, below, above)]))
    across = np.cos(places) * np.cos(d0)
    rise = np.cos(r) - np.sin(places) * np.sin(d0)
    cosine = np.where(across > 1e-12, rise / np.maximum(across, 1e-12), -1.0)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))).max(axis=0))
