"""Contamination: how much of the light in an aperture comes from other stars.

Either all light of a star counts in the pixel its centre lies in, as in TASOC's catalogue measure
(Handberg+ 2021, AJ 162 170), or it is spread by the PRF: then wings of bright neighbours count, and light of
neighbours that falls outside the aperture does not.
"""

from __future__ import annotations

import numba
import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.prf import add_stars, components, radius_for

__all__ = ["catalogue_share", "prf_share"]

FAINTEST = 0.002
"""Light of a star in a pixel, electron/s, below which it is left out."""


def catalogue_share(tmag: np.ndarray, row_size: np.ndarray, light: np.ndarray) -> np.ndarray:
    """
    Return the share of an aperture's catalogue flux that comes from other stars.

    Parameters
    ----------
    tmag
        TESS magnitude of each star.
    row_size
        Pixels of each star's aperture.
    light
        Catalogue flux of the stars centred in each aperture pixel, 10^(−0.4 tmag), star after star.

    Returns
    -------
    1 − own flux ÷ flux of all stars centred in the aperture, at least 0; NaN where the star has no
    magnitude or no aperture.
    """
    star = np.repeat(np.arange(tmag.size), row_size)
    total = np.bincount(star, weights=light, minlength=tmag.size)
    own = 10 ** (-0.4 * tmag.astype(float))
    share = np.maximum(1 - own / np.maximum(total, own), 0)
    return np.where(row_size > 0, share, np.nan)


def prf_share(
    stars: xr.Dataset,
    reference: xr.Dataset,
    row_size: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """
    Return the share of an aperture's PRF-weighted light that comes from other stars.

    Parameters
    ----------
    stars
        ``tmag``, ``star_row`` and ``star_column`` (star), of all stars that give light, also off the frame.
    reference
        The frame; its attributes ``camera`` and ``ccd`` tell which PRF.
    row_size
        Pixels of each star's aperture.
    rows, columns
        Indices into the frame of the aperture pixels, star after star.

    Returns
    -------
    1 − own light in the aperture ÷ light of all stars in it; NaN where the star has no magnitude or no
    aperture.

    Raises
    ------
    StepInputError
        If the camera and CCD are not known.
    """
    if not {"camera", "ccd"} <= set(reference.attrs):
        raise StepInputError(
            "make_apertures: reference does not say its camera and ccd; expected both, for they decide the "
            'PRF. Take contamination="catalogue".'
        )
    row, column, tmag = (stars[name].values.astype(float) for name in ("star_row", "star_column", "tmag"))
    known = np.flatnonzero(np.isfinite(row) & np.isfinite(column) & np.isfinite(tmag))
    row, column = row[known], column[known]
    camera, ccd = int(reference.attrs["camera"]), int(reference.attrs["ccd"])
    parts = components(row, column, camera=camera, ccd=ccd)
    flux = 10 ** (-0.4 * (tmag[known] - ZERO_POINT))
    drawn = (
        flux,
        row - float(reference["row"].values[0]),
        column - float(reference["column"].values[0]),
        parts,
        radius_for(flux, parts, floor=FAINTEST),
    )
    scene = np.zeros((reference.sizes["row"], reference.sizes["column"]))
    add_stars(scene, *drawn)
    first = np.cumsum(row_size) - row_size
    own, total = _light_inside(scene, drawn, first[known], row_size[known], rows, columns)
    share = np.full(row_size.size, np.nan)
    lit = total > 0
    share[known[lit]] = np.maximum(1 - own[lit] / total[lit], 0)
    return share


@numba.njit(cache=True, nogil=True)
def _light_inside(
    scene: np.ndarray,
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    first: np.ndarray,
    size: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each star's own light in its aperture and that of the scene; a stamp is drawn per star."""
    flux, row, column, parts, radius = drawn
    own, total = np.zeros(size.size), np.zeros(size.size)
    for star in range(size.size):
        if size[star] == 0:
            continue
        reach = radius[star]
        top, left = int(np.floor(row[star] + 0.5)) - reach, int(np.floor(column[star] + 0.5)) - reach
        stamp = np.zeros((2 * reach + 1, 2 * reach + 1))
        one = slice(star, star + 1)
        add_stars(stamp, flux[one], row[one] - top, column[one] - left, parts[one], radius[one])
        for p in range(first[star], first[star] + size[star]):
            i, j = rows[p] - top, columns[p] - left
            total[star] += scene[rows[p], columns[p]]
            if 0 <= i < stamp.shape[0] and 0 <= j < stamp.shape[1]:
                own[star] += stamp[i, j]
    return own, total
