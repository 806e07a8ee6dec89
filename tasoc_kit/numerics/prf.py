"""The pixel response function of TESS, as a sum of pixel-integrated Gaussians.

A star at (row, column) puts into the pixel at offset (y, x) from its centre the fraction
``Σ_k w_k I(y − y_k; σ_k) I(x − x_k; σ_k)``, where ``I`` is the integral of a unit Gaussian
over one pixel. Four parts (core, skirt, wings, halo) whose widths, weights and coma change with
the distance from the optical axis come within a few per cent of the PRFs that the mission
published (TESS Instrument Handbook, section 4). The centroid of every PRF is at the star's
position and its sum is 1, so a position means the same thing everywhere.
All derivatives are analytic: they are derivatives with respect to the *position of the star*.
"""

from __future__ import annotations

from math import erf, exp, pi, sqrt

import numba
import numpy as np
from scipy import special

from tasoc_kit.numerics import detector

__all__ = [
    "TERMS",
    "add_expansion",
    "add_stars",
    "components",
    "pixel_response",
    "radius_for",
    "without_faint_parts",
]

TERMS = ("value", "row", "column", "row_row", "column_column", "row_column")
"""The images that :func:`add_expansion` fills: the PRF and its derivatives by position."""

_SCALE = 3000.0
_WING, _HALO = 3.6, 10.0
_HALO_SHARE = 0.02
_ROOT2 = sqrt(2.0)


def components(
    row: np.ndarray, column: np.ndarray, *, camera: int, ccd: int, width: float = 1.0
) -> np.ndarray:
    """
    Return the Gaussian parts of the PRF at places of one CCD.

    Parameters
    ----------
    row, column
        Place on the full frame, pixels from 0, shape (n,).
    camera, ccd
        Which detector: its optical axis decides the widths and the direction of the coma.
    width
        Factor on the width of the core; 1 is the mission's focus.

    Returns
    -------
    Shape (n, 4, 4): weight, row offset, column offset and sigma (pixels) of core, skirt, wings
    and halo. Weights add up to 1 and the weighted offsets to 0.
    """
    centre_row, centre_column = detector.camera_centre(camera, ccd)
    rows = np.atleast_1d(np.asarray(row, float)) - centre_row
    columns = np.atleast_1d(np.asarray(column, float)) - centre_column
    distance = np.hypot(rows, columns)
    rho = np.minimum(distance / _SCALE, 1.2)
    defocus = np.sin(0.5 * np.pi * np.minimum(rho / 0.8, 1.0)) ** 2
    skirt = 0.41 + 0.02 * defocus
    wings = 0.035 + 0.015 * defocus
    core = 1.0 - skirt - wings - _HALO_SHARE
    inward = -0.45 * defocus / np.maximum(distance, 1.0)
    parts = np.zeros((len(rho), 4, 4))
    for part, weight in enumerate((core, skirt, wings, _HALO_SHARE)):
        parts[:, part, 0] = weight
    for axis, offset in ((1, rows), (2, columns)):
        parts[:, 1, axis] = inward * offset
        parts[:, 0, axis] = -skirt / core * parts[:, 1, axis]
    parts[:, 0, 3] = width * (0.335 + 0.285 * defocus)
    parts[:, 1, 3] = 1.06 + 0.10 * defocus
    parts[:, 2, 3], parts[:, 3, 3] = _WING, _HALO
    return parts


def _surface_brightness(flux: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return the central brightness of every part of every star, electron/s per pixel."""
    return np.asarray(flux, float)[:, None] * parts[:, :, 0] / (2 * pi * parts[:, :, 3] ** 2)


def radius_for(flux: np.ndarray, parts: np.ndarray, *, floor: float = 0.02, largest: int = 48) -> np.ndarray:
    """
    Return the half-width in pixels of the stamp that each star needs.

    Beyond it every part of the star's PRF is below ``floor`` (electron/s per pixel).

    Parameters
    ----------
    flux
        Flux of each star, electron/s.
    parts
        Their PRFs, from :func:`components`.
    floor
        Brightness that may be left out.
    largest
        Limit of the half-width.
    """
    bright = np.maximum(_surface_brightness(flux, parts) / floor, 1.0)
    offset = np.abs(parts[:, :, 1:3]).max(axis=2)
    reach = offset + parts[:, :, 3] * np.sqrt(2 * np.log(bright))
    return np.clip(np.ceil(reach.max(axis=1, initial=0.0) + 0.5), 2, largest).astype(np.int32)


def without_faint_parts(flux: np.ndarray, parts: np.ndarray, *, floor: float = 0.01) -> np.ndarray:
    """Return the PRFs without the parts that nowhere reach ``floor`` (electron/s per pixel)."""
    out = parts.copy()
    out[:, :, 0][_surface_brightness(flux, parts) < floor] = 0.0
    return out


@numba.njit(nogil=True, cache=True)
def _integrals(first, count, centre, sigma, out):
    """Fill out[0..2, :count] with the pixel integral and its two derivatives by ``centre``."""
    scale = 1.0 / (_ROOT2 * sigma)
    norm = 1.0 / (sqrt(2.0 * pi) * sigma)
    edge = first - 0.5 - centre
    low_erf = erf(edge * scale)
    low_bell = norm * exp(-((edge * scale) ** 2))
    low_slope = -edge / sigma**2 * low_bell
    for i in range(count):
        edge += 1.0
        high_erf = erf(edge * scale)
        high_bell = norm * exp(-((edge * scale) ** 2))
        high_slope = -edge / sigma**2 * high_bell
        out[0, i] = 0.5 * (high_erf - low_erf)
        out[1, i] = low_bell - high_bell
        out[2, i] = high_slope - low_slope
        low_erf, low_bell, low_slope = high_erf, high_bell, high_slope


@numba.njit(nogil=True, cache=True)
def _window(centre, radius, size):
    """Return the first pixel and the number of pixels of a stamp inside 0..size."""
    middle = int(np.floor(centre + 0.5))
    first = max(middle - radius, 0)
    last = min(middle + radius, size - 1)
    return first, last - first + 1


@numba.njit(nogil=True, cache=True)
def add_stars(image, flux, row, column, parts, radius):
    """
    Add stars to an image.

    Parameters
    ----------
    image
        2-D float array, changed in place; pixel [i, j] has its centre at (i, j).
    flux
        Flux of each star, in the unit of the image.
    row, column
        Position of each star in pixels of ``image``.
    parts
        PRF of each star from :func:`components`, shape (n, parts, 4).
    radius
        Half-width of each star's stamp in pixels; light outside it is not drawn.
    """
    for star in range(len(flux)):
        first_row, rows = _window(row[star], radius[star], image.shape[0])
        first_column, columns = _window(column[star], radius[star], image.shape[1])
        if rows <= 0 or columns <= 0:
            continue
        along = np.empty((3, rows))
        across = np.empty((3, columns))
        for part in range(parts.shape[1]):
            weight, d_row, d_column, sigma = parts[star, part]
            if weight == 0.0:
                continue
            _integrals(first_row, rows, row[star] + d_row, sigma, along)
            _integrals(first_column, columns, column[star] + d_column, sigma, across)
            for i in range(rows):
                scale = flux[star] * weight * along[0, i]
                for j in range(columns):
                    image[first_row + i, first_column + j] += scale * across[0, j]


@numba.njit(nogil=True, cache=True)
def add_expansion(images, flux, row, column, parts, radius):
    """
    Add stars and the first and second derivatives of their light by position.

    A star moved by (a, b) pixels in row and column is then
    ``value + a·row + b·column + a²/2·row_row + b²/2·column_column + a·b·row_column``
    up to third order.

    Parameters
    ----------
    images
        Float array (6, rows, columns), changed in place, in the order of :data:`TERMS`.
    flux, row, column, parts, radius
        As for :func:`add_stars`.
    """
    for star in range(len(flux)):
        first_row, rows = _window(row[star], radius[star], images.shape[1])
        first_column, columns = _window(column[star], radius[star], images.shape[2])
        if rows <= 0 or columns <= 0:
            continue
        along = np.empty((3, rows))
        across = np.empty((3, columns))
        for part in range(parts.shape[1]):
            weight, d_row, d_column, sigma = parts[star, part]
            if weight == 0.0:
                continue
            _integrals(first_row, rows, row[star] + d_row, sigma, along)
            _integrals(first_column, columns, column[star] + d_column, sigma, across)
            scale = flux[star] * weight
            for i in range(rows):
                value, slope, bend = scale * along[0, i], scale * along[1, i], scale * along[2, i]
                y = first_row + i
                for j in range(columns):
                    x = first_column + j
                    images[0, y, x] += value * across[0, j]
                    images[1, y, x] += slope * across[0, j]
                    images[2, y, x] += value * across[1, j]
                    images[3, y, x] += bend * across[0, j]
                    images[4, y, x] += value * across[2, j]
                    images[5, y, x] += slope * across[1, j]


def pixel_response(d_row: np.ndarray, d_column: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """
    Return the fraction of a star's light in pixels at given offsets from its centre.

    Parameters
    ----------
    d_row, d_column
        Pixel centre minus star centre, pixels; any shapes that broadcast.
    parts
        PRF of one star, shape (parts, 4).
    """
    total = 0.0
    for weight, y, x, sigma in parts:
        fractions = [
            0.5
            * (
                special.erf((np.asarray(offset) - centre + 0.5) / (_ROOT2 * sigma))
                - special.erf((np.asarray(offset) - centre - 0.5) / (_ROOT2 * sigma))
            )
            for offset, centre in ((d_row, y), (d_column, x))
        ]
        total = total + weight * fractions[0] * fractions[1]
    return total
