"""The scene that masks are grown on: the light, the peaks of the catalogue's stars, the catalogue's light."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasoc_kit.numerics.clusters import claim_peaks, find_maxima

__all__ = ["SATURATED_LIGHT", "SATURATES", "Scene", "make_scene"]

SATURATES = 7.0
"""TESS magnitude of the faintest star whose light bleeds."""
SATURATED_LIGHT = 10 ** (-0.4 * SATURATES)

_SMOOTHING = 0.5
_REACH = 2.0 * np.sqrt(2.0)
_REACH_SATURATED = 5.0 * np.sqrt(2.0)


class Scene(NamedTuple):
    """The images that masks are grown on; all (row, column), C-ordered. Compiled functions take it whole."""

    image: np.ndarray
    """Star light in electron/s, float32; NaN where there is none."""
    markers: np.ndarray
    """Number > 0 of each catalogued peak, else 0; int32."""
    peaks: np.ndarray
    """Row and column of the (last) marker with each number, int32 (number, 2); those of 0 mean nothing."""
    saturated: np.ndarray
    """True where pixels reached full well; bool."""
    light: np.ndarray
    """Catalogue flux of the stars whose centre lies in the pixel, 10^(−0.4 tmag); float64."""
    box: tuple[int, int, int, int]
    """First row, row after the last, first column, column after the last with a finite pixel."""


def make_scene(
    image: np.ndarray,
    saturated: np.ndarray,
    star_row: np.ndarray,
    star_column: np.ndarray,
    tmag: np.ndarray,
) -> Scene:
    """
    Find the markers of the whole frame and lay the catalogue's light on the pixel scene.

    Parameters
    ----------
    image
        Star light (row, column) in electron/s; NaN where there is none.
    saturated
        Boolean image: a connected saturated patch holds one peak only.
    star_row, star_column
        Positions of all catalogue stars, as fractional indices into the image.
    tmag
        Their TESS magnitudes; a star without one gives no light.
    """
    image = np.array(image, dtype=np.float32, order="C")
    finite = np.isfinite(image)
    image[~finite] = np.nan
    rows, columns = np.flatnonzero(finite.any(1)), np.flatnonzero(finite.any(0))
    box = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if rows.size else (0, 0, 0, 0)
    maxima = find_maxima(image, _SMOOTHING) & finite
    reach = np.where(tmag <= SATURATES, _REACH_SATURATED, _REACH)
    markers, peaks = claim_peaks(maxima, saturated, star_row, star_column, reach)
    light = np.zeros(image.shape)
    i, j = (np.rint(np.nan_to_num(place, nan=-1.0)).astype(int) for place in (star_row, star_column))
    on = (i >= 0) & (j >= 0) & (i < image.shape[0]) & (j < image.shape[1]) & np.isfinite(tmag)
    np.add.at(light, (i[on], j[on]), 10 ** (-0.4 * tmag[on].astype(float)))
    return Scene(image, markers, peaks, saturated, light, tuple(int(edge) for edge in box))
