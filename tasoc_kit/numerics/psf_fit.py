"""Fits of the effective PSF and of the places of stars to an image.

What an image has more than the PSF that was expected, star by star and divided by the flux, is
fitted by the splines of :mod:`tasoc_kit.numerics.effective_psf`: weighted least squares, drawn to
the expected PSF where no star has a pixel. Coefficients side by side overlap, so the normal matrix is
banded and the fit costs little.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from scipy.linalg import solveh_banded

from tasoc_kit.numerics.effective_psf import REACH, SPLINES, spline_axis

__all__ = ["fit_deviation", "star_offsets"]

BAND = 3 * SPLINES + 4
RIDGE, SMOOTHNESS = 1.0, 4.0
PHASES = 6
"""Places in a pixel, along each axis, at which a star must hold as much light as expected."""
TOLERANCE, FLUX_RIDGE = 1e-8, 1e-6
"""Square of the error of the light that is allowed for; what keeps the flux of a star that tells nothing."""
LEAST = 3e-6
"""Share of the light that the expected PSF may be wrong by where it expects none."""


def fit_deviation(
    residual: np.ndarray,
    weight: np.ndarray,
    light: np.ndarray,
    stars: tuple[np.ndarray, np.ndarray],
    radius: np.ndarray,
    expected: np.ndarray,
) -> np.ndarray:
    """
    Return what the PSF has more than the expected one, as coefficients (SPLINES, SPLINES).

    Parameters
    ----------
    residual
        (star, 2·REACH + 1, 2·REACH + 1) what each star's pixels hold more than the expected PSF,
        as a share of its flux; the middle is the pixel nearest to the star.
    weight
        Of the same shape: 1 ÷ variance of the residual, 0 for pixels that do not count.
    light
        Of the same shape: the share of its flux that each star was thought to have in every pixel.
    stars
        Row and column of each star from the middle of its pixel.
    radius
        (star) half-width of the pixels that count.
    expected
        Coefficients of the expected PSF in the middle of the stars.
    """
    size = SPLINES * SPLINES
    band, right = np.zeros((BAND, size)), np.zeros(size)
    # In units of what the expected PSF is there, so that core and wings are drawn alike.
    scale = np.abs(expected).ravel() + LEAST
    ties, own = np.zeros((len(weight), size)), np.zeros((2, len(weight)))
    _accumulate(residual, weight, light, stars[0], stars[1], radius, scale, band, right, ties, own)
    _draw_together(band)
    sums = _pixel_sums()
    sums = (sums[:, None, :, None] * sums[None, :, None, :]).reshape(PHASES**2, size) * scale
    # The fluxes of the stars and the light of the PSF are solved for with it: few unknowns, all tied to many.
    beside = np.concatenate([ties, sums])
    solved = solveh_banded(band, np.column_stack([right, beside.T]), lower=True)
    block = -beside @ solved[:, 1:]
    few = np.arange(len(beside))
    block[few, few] += np.concatenate([own[0] * (1 + FLUX_RIDGE), np.full(len(sums), -TOLERANCE)])
    known = np.concatenate([own[1], np.zeros(len(sums))]) - beside @ solved[:, 0]
    found = solved[:, 0] - solved[:, 1:] @ np.linalg.solve(block, known)
    return np.asarray((found * scale).reshape(SPLINES, SPLINES))


@lru_cache(maxsize=1)
def _pixel_sums() -> np.ndarray:
    """Return the sum over a row of pixels of every spline, for stars at some places in their pixel."""
    sums = np.zeros((PHASES, SPLINES))
    side = 2 * REACH + 1
    splines, first = np.empty((side, 3, 4)), np.empty(side, np.int64)
    for k in range(PHASES):
        spline_axis(-REACH, side, (k + 0.5) / PHASES - 0.5, splines, first)
        for pixel in range(side):
            for a in range(4):
                if 0 <= first[pixel] + a < SPLINES:
                    sums[k, first[pixel] + a] += splines[pixel, 0, a]
    return sums


@njit(nogil=True, cache=True)
def _accumulate(residual, weight, light, row, column, radius, scale, band, right, ties, own):
    """Fill the lower bands of the normal matrix, the right-hand side, and what stars have to do with them."""
    side = 2 * REACH + 1
    along, across = np.empty((side, 3, 4)), np.empty((side, 3, 4))
    i, j = np.empty(side, np.int64), np.empty(side, np.int64)
    place, value = np.empty(16, np.int64), np.empty(16)
    for s in range(row.size):
        spline_axis(-REACH, side, row[s], along, i)
        spline_axis(-REACH, side, column[s], across, j)
        for r in range(REACH - radius[s], REACH + radius[s] + 1):
            for c in range(REACH - radius[s], REACH + radius[s] + 1):
                w = weight[s, r, c]
                if w == 0:
                    continue
                count = 0
                for a in range(max(0, -i[r]), min(4, SPLINES - i[r])):
                    for b in range(max(0, -j[c]), min(4, SPLINES - j[c])):
                        place[count] = (i[r] + a) * SPLINES + j[c] + b
                        value[count] = along[r, 0, a] * across[c, 0, b] * scale[place[count]]
                        count += 1
                own[0, s] += w * light[s, r, c] ** 2
                own[1, s] += w * light[s, r, c] * residual[s, r, c]
                for m in range(count):
                    right[place[m]] += w * value[m] * residual[s, r, c]
                    ties[s, place[m]] += w * value[m] * light[s, r, c]
                    for k in range(m, count):
                        band[place[k] - place[m], place[m]] += w * value[m] * value[k]


@njit(nogil=True, cache=True)
def _draw_together(band):
    """Draw coefficients to zero, and to those beside them."""
    for p in range(band.shape[1]):
        band[0, p] += RIDGE
        for step, fits in ((1, (p + 1) % SPLINES != 0), (SPLINES, p + SPLINES < band.shape[1])):
            if fits:
                band[0, p] += SMOOTHNESS
                band[0, p + step] += SMOOTHNESS
                band[step, p] -= SMOOTHNESS


def star_offsets(
    residual: np.ndarray, slopes: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return how far stars are from where they were thought to be.

    Parameters
    ----------
    residual
        (star, rows, columns) what the pixels hold more than the model.
    slopes
        (2, star, rows, columns) change of the model with the star's row and column.
    weight
        (star, rows, columns)

    Returns
    -------
    (star, 2) offsets in pixels, and the information (1 ÷ variance) in the worse of the two; 0 where
    there is none.
    """
    normal = np.einsum("asrc,bsrc,src->sab", slopes, slopes, weight)
    right = np.einsum("asrc,src,src->sa", slopes, residual, weight)
    known = np.linalg.det(normal) > 0
    normal[~known] = np.eye(2)
    information = np.where(known, np.diagonal(normal, axis1=1, axis2=2).min(axis=1), 0.0)
    return np.linalg.solve(normal, right[:, :, None])[:, :, 0], information
