"""A piece of the sky, its boundary, and the HEALPix pixels that cover it.

The boundary is a closed polygon of great circles, whose corners lie close enough together to follow the
edge of a distorted CCD. It is looked at in the tangent plane of its middle, where great circles are
straight, so neither a pole nor right ascension 0 is a special place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from skimage.measure import points_in_poly

from tasoc_kit.errors import SourceError, install_line
from tasoc_kit.numerics.detector import SCIENCE_COLUMNS, SCIENCE_ROWS
from tasoc_kit.numerics.geometry import Solution, pixel_to_sky, sky_to_pixel
from tasoc_kit.sources.pointings import read_pointings

__all__ = ["BUFFER", "Footprint", "Healpix", "around", "ccd_footprint", "frame_footprint"]

BUFFER = 0.2
"""Degrees beyond the edge of a CCD from which stars are wanted (Handberg+ 2021, section 3)."""
PIXEL = 21.0 / 3600
"""Degrees of a TESS pixel."""
SPACING = 0.05
"""Degrees between the points in which a footprint is sampled; far below the size of any partition."""


@dataclass(frozen=True)
class Footprint:
    """A convex piece of the sky, smaller than a hemisphere."""

    name: str
    """What a person calls it."""
    ra: np.ndarray = field(repr=False)
    """Right ascension of the corners, degrees, in order around the piece."""
    dec: np.ndarray = field(repr=False)
    """Declination of the corners, degrees."""
    fetch: str = ""
    """The options of ``tasoc targets fetch`` that stand for this piece."""

    def _plane(self) -> Solution:
        a, d = np.radians(self.ra), np.radians(self.dec)
        x, y, z = (np.cos(d) * np.cos(a)).mean(), (np.cos(d) * np.sin(a)).mean(), np.sin(d).mean()
        centre = float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arctan2(z, np.hypot(x, y))))
        return Solution(centre, (1.0, 1.0), np.eye(2), np.zeros((2, 1, 1)))

    def _corners(self, plane: Solution) -> np.ndarray:
        return np.column_stack(sky_to_pixel(plane, self.ra, self.dec))

    def contains(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Return True for the positions (degrees) that lie inside."""
        plane = self._plane()
        places = np.column_stack(sky_to_pixel(plane, ra, dec))
        seen = np.isfinite(places).all(axis=1)
        seen[seen] = points_in_poly(places[seen], self._corners(plane))
        return seen

    def pixels(self, order: int) -> np.ndarray:
        """Return the HEALPix pixels (nested, of this order) that cover the piece, in order."""
        plane = self._plane()
        corners = self._corners(plane)
        low, high = corners.min(axis=0) - SPACING, corners.max(axis=0) + SPACING
        axes = [
            np.linspace(a, b, int(np.ceil((b - a) / SPACING)) + 1) for a, b in zip(low, high, strict=True)
        ]
        grid = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
        inside = grid[points_in_poly(grid, corners)]
        sampled = np.concatenate([inside, _edge(corners)])
        ra, dec = pixel_to_sky(plane, sampled[:, 0], sampled[:, 1])
        return np.unique(Healpix(order).pixel_of(ra, dec))

    @property
    def area(self) -> float:
        """Square degrees, as in the tangent plane."""
        row, column = self._corners(self._plane()).T
        return float(abs(np.dot(row, np.roll(column, 1)) - np.dot(column, np.roll(row, 1))) / 2)


class Healpix:
    """HEALPix in nested order, in degrees (Górski+ 2005, ApJ 622 759)."""

    def __init__(self, order: int) -> None:
        try:
            from astropy_healpix import HEALPix
        except ImportError as error:
            raise SourceError(
                f"targets: star catalogues on disk need a library that is not installed ({error}). "
                f"Install it: {install_line('targets')}."
            ) from None
        self._grid = HEALPix(nside=2**order, order="nested")

    def pixel_of(self, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
        """Return the pixel of each position."""
        from astropy import units

        return np.asarray(self._grid.lonlat_to_healpix(ra * units.deg, dec * units.deg))

    def circle(self, pixel: int) -> tuple[float, float, float]:
        """Return centre and radius of a circle around a pixel, degrees."""
        lon, lat = self._grid.healpix_to_lonlat(pixel)
        edge_lon, edge_lat = self._grid.boundaries_lonlat(pixel, step=4)
        across = np.sin((edge_lon - lon) / 2) ** 2
        half = np.sin((edge_lat - lat) / 2) ** 2 + np.cos(lat) * np.cos(edge_lat) * across
        radius = float(np.degrees(2 * np.arcsin(np.sqrt(half.value.max()))))
        return float(lon.deg), float(lat.deg), radius * 1.01


def _edge(corners: np.ndarray) -> np.ndarray:
    """Return points along a closed polygon, no further apart than the spacing."""
    following = np.roll(corners, -1, axis=0)
    count = int(np.ceil(np.hypot(*(following - corners).T).max() / SPACING)) + 1
    share = np.linspace(0, 1, count, endpoint=False)[:, None, None]
    return (corners * (1 - share) + following * share).reshape(-1, 2)


def around(ra: float, dec: float, radius: float) -> Footprint:
    """
    Return the circle around a position.

    Raises
    ------
    SourceError
        If the position is none on the sky, or the radius none from above 0 to 30 degrees.
    """
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and 0 < radius <= 30):
        raise SourceError(
            f"targets: ra={ra}, dec={dec}, radius={radius}; expected 0 to 360, −90 to 90 and up to 30 "
            "degrees. Correct the position."
        )
    plane = Solution((ra, dec), (1.0, 1.0), np.eye(2), np.zeros((2, 1, 1)))
    turn = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    reach = np.degrees(np.tan(np.radians(radius))) / np.cos(np.pi / turn.size)
    corners = pixel_to_sky(plane, reach * np.sin(turn), reach * np.cos(turn))
    return Footprint(
        f"{radius:g}° around {ra:.4f} {dec:+.4f}", *corners, f"--ra {ra:g} --dec {dec:g} --radius {radius:g}"
    )


def frame_footprint(wcs: str, rows: np.ndarray, columns: np.ndarray, unit: tuple[int, int, int]) -> Footprint:
    """
    Return what the pixels with these labels see, and a little more, by their plate solution.

    It reaches half as far beyond the pixels as :func:`ccd_footprint` does, so that what was fetched for a CCD
    serves every frame and every cutout of it. ``unit`` is sector, camera and CCD, 0 where not known.
    """
    row, column = _outline((rows[0], rows[-1]), (columns[0], columns[-1]), BUFFER / 2)
    ra, dec = pixel_to_sky(wcs, row, column)
    if all(unit):
        named = "sector {}, camera {}, CCD {}".format(*unit)
        return Footprint(named, ra, dec, "--sector {} --camera {} --ccd {}".format(*unit))
    middle = pixel_to_sky(wcs, np.mean(rows), np.mean(columns))
    reach = np.hypot(len(rows), len(columns)) / 2 * PIXEL + BUFFER
    circle = around(float(middle[0]), float(middle[1]), float(np.ceil(reach * 10) / 10))
    return Footprint(f"the frames at {middle[0]:.4f} {middle[1]:+.4f}", ra, dec, circle.fetch)


def ccd_footprint(sector: int, camera: int, ccd: int) -> Footprint:
    """
    Return what a CCD saw in a sector, and a little more, by the pointing of the spacecraft.

    Raises
    ------
    SourceError
        If the pointing of the sector is not known, or there is no such CCD.
    """
    pointings = read_pointings()
    known = [int(number) for number in pointings.sectors]
    if sector not in known or not (1 <= camera <= 4 and 1 <= ccd <= 4):
        raise SourceError(
            f"targets: sector {sector}, camera {camera}, CCD {ccd}; expected sectors {min(known)} to "
            f"{max(known)} and cameras and CCDs 1 to 4. Correct them, or update tess-point for newer sectors."
        )
    geometry = pointings.fpgObjs[known.index(sector)]
    row, column = _outline(
        (SCIENCE_ROWS.start, SCIENCE_ROWS.stop - 1), (SCIENCE_COLUMNS.start, SCIENCE_COLUMNS.stop - 1), BUFFER
    )
    # tess-point counts pixels of the science area from 0.
    places = [
        geometry.pix2radec_nocheck_single(camera - 1, ccd - 1, [c - SCIENCE_COLUMNS.start, r])
        for r, c in zip(row, column, strict=True)
    ]
    ra, dec = np.asarray(places, dtype=float).reshape(-1, 2).T
    options = f"--sector {sector} --camera {camera} --ccd {ccd}"
    return Footprint(f"sector {sector}, camera {camera}, CCD {ccd}", ra % 360, dec, options)


def _outline(
    rows: tuple[float, float], columns: tuple[float, float], buffer: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return points around a block of pixels, at a distance of ``buffer`` degrees."""
    wide = buffer / PIXEL
    (bottom, top), (left, right) = (
        (float(low) - 0.5 - wide, float(high) + 0.5 + wide) for low, high in (rows, columns)
    )
    share = np.linspace(0, 1, 24, endpoint=False)
    up, across = bottom + share * (top - bottom), left + share * (right - left)
    row = np.concatenate([np.full(24, bottom), up, np.full(24, top), up[::-1] + (top - bottom) / 24])
    column = np.concatenate(
        [across, np.full(24, right), across[::-1] + (right - left) / 24, np.full(24, left)]
    )
    return row, column
