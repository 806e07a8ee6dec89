"""The pixels around a star as files carry them: where they lie, their plate solution, their bits.

A stamp is small enough for a plane: its solution is the tangent plane about its middle, whose
greatest distance from the full solution, distortion and all, stands beside it. Bits of a pixel are
those of TESS target pixel files (TESS Science Data Products Description Document, section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from astropy.io import fits

from tasoc_kit.numerics.detector import SCIENCE_COLUMNS, SCIENCE_ROWS, output_of_columns
from tasoc_kit.numerics.geometry import pixel_to_sky

__all__ = ["Card", "Plane", "Stamp", "aperture_bits", "fill", "image_cards", "stamp_around"]

Card = tuple[str, Any, str]
"""Keyword, value and comment."""

COLLECTED, PHOTOMETRY, BACKGROUND, CENTROID = 1, 2, 4, 8
OUTPUT_A = 32
MARGIN = 5
LEAST = 15
"""Rows and columns of the smallest stamp, as TASOC cuts it."""
_STEP = 0.5


@dataclass(frozen=True)
class Plane:
    """A tangent plane: the linear plate solution of a stamp."""

    crval: tuple[float, float]
    """Degrees, at the middle of the stamp."""
    crpix: tuple[float, float]
    """Column and row of that place in the stamp, counted from 1."""
    matrix: np.ndarray
    """(2, 2) degrees per pixel."""
    error: float
    """Greatest distance from the full solution on the stamp, degrees."""


@dataclass(frozen=True)
class Stamp:
    """A rectangle of pixels, by the labels of the full frame."""

    rows: np.ndarray
    columns: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.size, self.columns.size

    def cut(self, image: xr.DataArray) -> np.ndarray:
        """Return the stamp of an image (row, column)."""
        corner = [int(image[name].values[0]) for name in ("row", "column")]
        place = (labels[0] - low for labels, low in zip((self.rows, self.columns), corner, strict=True))
        row, column = place
        return np.asarray(image.data[row : row + self.rows.size, column : column + self.columns.size])

    def plane(self, wcs: str) -> Plane | None:
        """Return the linear solution of the stamp; None where the frame has none."""
        if not wcs:
            return None
        row, column = (0.5 * (labels[0] + labels[-1]) for labels in (self.rows, self.columns))
        ra, dec = pixel_to_sky(wcs, row, column)
        crval = float(ra), float(dec)
        steps = np.array([[0, _STEP], [0, -_STEP], [_STEP, 0], [-_STEP, 0]])
        x, y = _onto_plane(crval, *pixel_to_sky(wcs, row + steps[:, 0], column + steps[:, 1]))
        matrix = np.array([[x[0] - x[1], x[2] - x[3]], [y[0] - y[1], y[2] - y[3]]]) / (2 * _STEP)
        corner_row, corner_column = (
            a.ravel() for a in np.meshgrid(self.rows[[0, -1]], self.columns[[0, -1]])
        )
        x, y = _onto_plane(crval, *pixel_to_sky(wcs, corner_row, corner_column))
        linear = matrix @ np.stack([corner_column - column, corner_row - row])
        error = float(np.hypot(x - linear[0], y - linear[1]).max())
        crpix = column - self.columns[0] + 1.0, row - self.rows[0] + 1.0
        return Plane(crval, crpix, matrix, error)


def _onto_plane(crval: tuple[float, float], ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return (x, y) in degrees on the plane that touches the sky at ``crval`` (Calabretta & Greisen 2002)."""
    ra0, dec0 = np.radians(crval)
    da, dec = np.radians(ra) - ra0, np.radians(dec)
    depth = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(da)
    x = np.cos(dec) * np.sin(da) / depth
    y = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(da)) / depth
    return np.degrees(np.stack([x, y]))


def image_cards(stamp: Stamp, plane: Plane | None) -> list[Card]:
    """Return the cards of the solution of an image of the stamp, and of its place on the CCD."""
    cards: list[Card] = []
    if plane is not None:
        cards = [
            ("WCSAXES", 2, "number of WCS axes"),
            ("CTYPE1", "RA---TAN", "right ascension coordinate type"),
            ("CTYPE2", "DEC--TAN", "declination coordinate type"),
            ("CRPIX1", plane.crpix[0], "[pixel] reference pixel along image axis 1"),
            ("CRPIX2", plane.crpix[1], "[pixel] reference pixel along image axis 2"),
            ("CRVAL1", plane.crval[0], "[deg] right ascension at reference pixel"),
            ("CRVAL2", plane.crval[1], "[deg] declination at reference pixel"),
            ("CUNIT1", "deg", "physical unit in column dimension"),
            ("CUNIT2", "deg", "physical unit in row dimension"),
            ("CDELT1", 1.0, "[deg] pixel scale in RA dimension"),
            ("CDELT2", 1.0, "[deg] pixel scale in DEC dimension"),
            *(
                (f"PC{i + 1}_{j + 1}", float(plane.matrix[i, j]), "coordinate transformation matrix element")
                for i in (0, 1)
                for j in (0, 1)
            ),
            ("WCS_MSEP", plane.error, "[deg] greatest distance from the full solution"),
        ]
    return [
        *cards,
        ("WCSNAMEP", "PHYSICAL", "name of world coordinate system alternate P"),
        ("WCSAXESP", 2, "number of WCS physical axes"),
        ("CTYPE1P", "RAWX", "physical WCS axis 1 type CCD col"),
        ("CTYPE2P", "RAWY", "physical WCS axis 2 type CCD row"),
        ("CUNIT1P", "PIXEL", "physical WCS axis 1 unit"),
        ("CUNIT2P", "PIXEL", "physical WCS axis 2 unit"),
        ("CRPIX1P", 1, "reference CCD column"),
        ("CRPIX2P", 1, "reference CCD row"),
        ("CRVAL1P", int(stamp.columns[0]) + 1, "value at reference CCD column"),
        ("CRVAL2P", int(stamp.rows[0]) + 1, "value at reference CCD row"),
        ("CDELT1P", 1.0, "physical WCS axis 1 step"),
        ("CDELT2P", 1.0, "physical WCS axis 2 step"),
    ]


def fill(header: fits.Header, cards: list[Card]) -> None:
    """Set cards; a value that is not known is left blank, as the standard has it."""
    for keyword, value, comment in cards:
        unknown = value is None or (isinstance(value, float) and not np.isfinite(value))
        header[keyword] = (fits.card.Undefined() if unknown else value, comment)


def stamp_around(image: xr.DataArray, rows: np.ndarray, columns: np.ndarray) -> Stamp:
    """Return the stamp that holds some pixels with a margin, within an image."""
    spans = []
    for name, inside in (("row", rows), ("column", columns)):
        labels = image[name].values
        middle = (int(inside.min()) + int(inside.max())) // 2
        low = min(int(inside.min()) - MARGIN, middle - LEAST // 2)
        high = max(int(inside.max()) + MARGIN, middle + LEAST // 2)
        spans.append(np.arange(max(low, labels[0]), min(high, labels[-1]) + 1))
    return Stamp(*spans)


def aperture_bits(
    stamp: Stamp,
    rows: np.ndarray,
    columns: np.ndarray,
    sky: np.ndarray | None = None,
    collected: np.ndarray | None = None,
    centroid: bool = True,
) -> np.ndarray:
    """
    Return the bits of every pixel of a stamp, int32.

    Parameters
    ----------
    rows, columns
        Labels of the pixels that the flux is made of.
    sky
        True where a pixel served the sky.
    collected
        True where there is data; by default everywhere.
    centroid
        Whether the same pixels gave a centroid.
    """
    bits = np.full(stamp.shape, COLLECTED, np.int32)
    if collected is not None:
        bits[~collected] = 0
    inside = (rows >= stamp.rows[0]) & (rows <= stamp.rows[-1])
    inside &= (columns >= stamp.columns[0]) & (columns <= stamp.columns[-1])
    bits[rows[inside] - stamp.rows[0], columns[inside] - stamp.columns[0]] |= (
        PHOTOMETRY | CENTROID if centroid else PHOTOMETRY
    )
    if sky is not None:
        bits[sky] |= BACKGROUND
    science = np.isin(stamp.columns, np.arange(SCIENCE_COLUMNS.start, SCIENCE_COLUMNS.stop))
    output = np.where(science, OUTPUT_A << output_of_columns(stamp.columns), 0)
    bits[stamp.rows < SCIENCE_ROWS.stop] |= output
    return bits
