"""How apertures answer to the motion of the stars, and how far the stars moved.

The stars of the catalogue are drawn with the PRF once, together with the first and second
derivatives of their light by position; summed over the apertures they say by how much each flux
and each centroid changes with the pointing (five constants a star, to second order). Turned round, the
centroids of bright, lone stars say how far every frame is displaced, to a ten-thousandth of a
pixel, where the plate solution of a header knows a few thousandths. No pixel is read for either.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from numba import njit

from tasoc_kit.config import settings
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.effective_psf import MOVES, EffectivePsf, add_moved, psf_at, reach_of, secants
from tasoc_kit.numerics.prf import TERMS, add_expansion, components, pixel_response, radius_for
from tasoc_kit.numerics.runs import Runs, image_moments
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.vocabulary import ApertureFlag, Status

__all__ = [
    "HALF",
    "MotionTable",
    "ShownStars",
    "Steadiness",
    "draw_bands",
    "flux_change",
    "make_motion_table",
    "measure_motion",
]

HALF = 1024.0
"""Pixels that one unit of the linear terms of the displacement stands for."""
BRIGHTEST_GUIDE, FAINTEST_GUIDE = 7.5, 12.0
MOST_GUIDES, FEWEST_GUIDES = 500, 8
GUIDE_CONTAMINATION = 0.3
WIDTHS = np.linspace(0.6, 1.8, 13)
ROUNDS, CAUCHY = 10, 2.0
SYSTEMATIC = 1e-3
"""Pixels that a centroid may be off for other reasons than motion and noise."""
FAINT = 0.5
"""electron/s in a pixel below which the light of a star is not followed."""
LARGEST = 0.4
"""Pixels of motion beyond which the second-order expansion is not trusted."""
ROWS_AT_ONCE = 128


class Steadiness(NamedTuple):
    """How the fluxes answer to the motion of the stars."""

    flux: np.ndarray
    """(star, 5) change of the flux with each of the derivatives, electron/s per pixel or pixel²."""
    field: np.ndarray
    """(star, 3) constant and linear terms of the displacement at every star."""


class ShownStars(NamedTuple):
    """The stars as a fitted PSF shows them on the reference; arrays (star)."""

    psf: EffectivePsf
    row: np.ndarray
    """Labels; a PSF and its places belong together, for either may be shifted."""
    column: np.ndarray
    flux: np.ndarray
    """electron/s"""


@dataclass(frozen=True)
class MotionTable:
    """What the motion of the stars does to every aperture."""

    steadiness: Steadiness
    guides: np.ndarray
    """Indices of the stars whose centroids measure the motion."""
    centroid: np.ndarray
    """(guide, axis, axis) change of a guide's centroid with its position."""
    place: np.ndarray
    """(guide, axis) centroid on the reference."""


def _guides(apertures: xr.Dataset) -> np.ndarray:
    """Return the brightest stars that are OK, lone, and not saturated."""
    tmag = apertures["tmag"].values
    fit = (apertures["status"].values == Status.OK) & (tmag > BRIGHTEST_GUIDE) & (tmag < FAINTEST_GUIDE)
    fit &= (apertures["aperture_flags"].values & (ApertureFlag.SATURATED | ApertureFlag.EDGE)) == 0
    fit &= ~(apertures["contamination"].values > GUIDE_CONTAMINATION)
    fit &= apertures["row_size"].values > 0
    chosen = np.flatnonzero(fit)
    return chosen[np.argsort(tmag[chosen], kind="stable")][:MOST_GUIDES]


def _fit_width(apertures: xr.Dataset, reference: xr.Dataset, guides: np.ndarray) -> float:
    """Return the width of the PRF that gives the guides the peaks they have."""
    image = reference["reference"].values
    origin = int(reference["row"].values[0]), int(reference["column"].values[0])
    observed, rows, columns = [], [], []
    places = zip(apertures["star_row"].values[guides], apertures["star_column"].values[guides], strict=True)
    for row, column in places:
        i, j = round(row) - origin[0], round(column) - origin[1]
        box = image[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        if box.shape == (3, 3) and np.isfinite(box).all() and box.sum() > 0:
            observed.append(box[1, 1] / box.sum())
            rows.append(row)
            columns.append(column)
    if len(observed) < FEWEST_GUIDES:
        return 1.0
    camera, ccd = int(reference.attrs["camera"]), int(reference.attrs["ccd"])
    row, column = np.asarray(rows), np.asarray(columns)
    steps = np.arange(-1, 2)
    d_row = (np.rint(row) - row)[:, None, None] + steps[None, :, None]
    d_column = (np.rint(column) - column)[:, None, None] + steps[None, None, :]
    median = []
    for width in WIDTHS:
        parts = components(row, column, camera=camera, ccd=ccd, width=width)
        response = pixel_response(d_row, d_column, parts.transpose(1, 2, 0)[..., None, None])
        share = response[:, 1, 1] / response.sum(axis=(1, 2))
        median.append(np.median(share - observed))
    # A wider PRF has a lower peak, so the difference falls with the width.
    return float(np.interp(0.0, -np.asarray(median), WIDTHS))


def make_motion_table(
    apertures: xr.Dataset, reference: xr.Dataset, runs: Runs, shown: ShownStars | None = None
) -> MotionTable | None:
    """
    Draw the stars and their derivatives, and sum them over the apertures.

    Parameters
    ----------
    apertures
        Stars; those without an aperture lend their light to those of others.
    reference
        Star image.
    runs
        Pixels of the apertures in the frame of the reference.
    shown
        How the stars are drawn; by default where and as bright as the catalogue has them, with the
        nominal PRF, as wide as the guides are.

    Returns
    -------
    The table, or None where there are too few guide stars to measure a motion with.
    """
    guides = _guides(apertures)
    known = {"camera", "ccd"} <= set(reference.attrs) and reference.attrs.get("mission", "TESS") == "TESS"
    if guides.size < FEWEST_GUIDES or not known:
        return None
    if shown is None:
        images = _expand(apertures, reference, _fit_width(apertures, reference, guides))
    else:
        images = _expand_shown(shown, reference)
    seen = np.nan_to_num(reference["reference"].values)
    with ThreadPoolExecutor(settings().threads) as threads:
        light, value, *steep = threads.map(lambda image: image_moments(image, runs), (seen, *images))
    # The brightness sets the scale only roughly; what the aperture holds sets it exactly.
    scale = np.divide(light[0], value[0], out=np.ones_like(light[0]), where=value[0] > 0)
    flux = np.stack([term[0] for term in steep], axis=1) * np.clip(scale, 0.3, 3.0)[:, None]
    flux[(apertures["aperture_flags"].values & ApertureFlag.SATURATED) != 0] = 0.0
    centre = np.stack([runs.centre_row, runs.centre_column]).astype(float)
    response = np.empty((guides.size, 2, 2))
    for axis in range(2):
        place = value[1 + axis] / np.maximum(value[0], 1e-9)
        for term in range(2):
            moved = (steep[term][1 + axis] - place * steep[term][0]) / np.maximum(value[0], 1e-9)
            response[:, axis, term] = moved[guides]
    origin = np.array([reference[name].values[0] for name in ("row", "column")], float)
    seen_at = (light[1:3, guides] / light[0, guides] + centre[:, guides]).T + origin
    field = np.stack([np.ones(len(scale)), *((c - c.mean()) / HALF for c in centre)], axis=1)
    return MotionTable(Steadiness(flux, field), guides, response, seen_at)


def _expand(apertures: xr.Dataset, reference: xr.Dataset, width: float) -> np.ndarray:
    """Return the images of the catalogue stars and their derivatives, in the order of TERMS."""
    row, column = apertures["star_row"].values, apertures["star_column"].values
    flux = 10 ** (-0.4 * (apertures["tmag"].values.astype(float) - ZERO_POINT))
    camera, ccd = int(reference.attrs["camera"]), int(reference.attrs["ccd"])
    parts = components(row, column, camera=camera, ccd=ccd, width=width)
    radius = radius_for(flux, parts, floor=FAINT)
    y, x = row - float(reference["row"].values[0]), column - float(reference["column"].values[0])

    def draw(band: np.ndarray, start: int, stars: np.ndarray) -> None:
        add_expansion(band, flux[stars], y[stars] - start, x[stars], parts[stars], radius[stars])

    return draw_bands(reference["reference"].shape, y, radius, draw)


def _expand_shown(shown: ShownStars, reference: xr.Dataset) -> np.ndarray:
    """Return the same images, drawn with an effective PSF, with differences in the place of derivatives."""
    row, column, flux = shown.row, shown.column, shown.flux
    radius = reach_of(shown.psf, flux, FAINT)
    y, x = row - float(reference["row"].values[0]), column - float(reference["column"].values[0])

    def draw(band: np.ndarray, start: int, stars: np.ndarray) -> None:
        tables = psf_at(shown.psf, row[stars], column[stars])
        add_moved(band, flux[stars], y[stars] - start, x[stars], tables, radius[stars])

    return secants(draw_bands(reference["reference"].shape, y, radius, draw, len(MOVES)))


def draw_bands(
    shape: tuple[int, int],
    row: np.ndarray,
    radius: np.ndarray,
    draw: Callable[[np.ndarray, int, np.ndarray], None],
    terms: int = len(TERMS),
) -> np.ndarray:
    """
    Return images (term, row, column), drawn in threads.

    Parameters
    ----------
    shape
        Rows and columns.
    row, radius
        (star) place, and half-width of its light.
    draw
        Adds stars (indices) to a band (term, row, column) of the images that starts at some row.
    terms
        How many of the images are drawn.
    """
    images = np.zeros((terms, *shape), np.float32)

    def fill(start: int) -> None:
        band = images[:, start : start + ROWS_AT_ONCE]
        stars = np.flatnonzero((row + radius + 1 >= start) & (row - radius - 1 < start + band.shape[1]))
        draw(band, start, stars)

    # Band by band, so that what is drawn on stays in the cache and threads do not meet.
    with ThreadPoolExecutor(settings().threads) as threads:
        list(threads.map(fill, range(0, shape[0], ROWS_AT_ONCE)))
    return images


def measure_motion(table: MotionTable, centroids: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """
    Measure the displacement of some frames from the centroids of the guide stars.

    A least-squares solution in which far-off values count little (Cauchy weights).

    Parameters
    ----------
    table
        The guide stars and their response.
    centroids, errors
        (axis, guide, time) centroids and their errors, pixels.

    Returns
    -------
    (time, axis, 3): displacement from the reference, as a constant and two linear terms; NaN
    for a frame in which too few guides were seen.
    """
    frames = centroids.shape[2]
    moved = (centroids - table.place.T[:, :, None]).reshape(-1, frames).T
    seen = np.isfinite(moved) & (errors.reshape(-1, frames).T > 0)
    moved = np.where(seen, moved, 0.0)
    # No centroid is believed better than this: neighbours that vary move it without any motion.
    trust = np.where(seen, 1 / np.hypot(errors.reshape(-1, frames).T, SYSTEMATIC), 0.0)
    count = seen.sum(axis=1)
    enough = count >= 2 * FEWEST_GUIDES
    # Unknowns: three terms of the row displacement, then three of the column displacement.
    field = table.steadiness.field[table.guides]
    design = np.einsum("gat,gk->agtk", table.centroid, field).reshape(moved.shape[1], 6)
    squares = np.einsum("gi,gj->gij", design, design).reshape(-1, 36)
    weight = trust**2
    solution = np.zeros((frames, 6))
    for _ in range(ROUNDS):
        normal = (weight @ squares).reshape(frames, 6, 6)
        normal[~enough] = np.eye(6)
        solution = np.linalg.solve(normal, ((weight * moved) @ design)[:, :, None])[:, :, 0]
        left = np.abs(moved - solution @ design.T) * trust
        ordered = np.sort(np.where(seen, left, np.inf), axis=1)
        middle = ordered[np.arange(frames), np.maximum(count - 1, 0) // 2]
        scale = np.where(enough, np.maximum(1.0, MAD_TO_SIGMA * middle), 1.0)
        weight = trust**2 / (1 + (left / (CAUCHY * scale[:, None])) ** 2)
    solution[~enough] = np.nan
    return solution.reshape(frames, 2, 3)


@njit(nogil=True, cache=True)
def flux_change(steadiness, star, motion):
    """Return the change of a star's flux that the motion (axis, 3) of one frame brings."""
    y, x = 0.0, 0.0
    for k in range(3):
        y += steadiness.field[star, k] * motion[0, k]
        x += steadiness.field[star, k] * motion[1, k]
    if max(abs(y), abs(x)) >= LARGEST:
        return 0.0
    flux = steadiness.flux[star]
    return flux[0] * y + flux[1] * x + (flux[2] * y * y + flux[3] * x * x) / 2 + flux[4] * x * y
