"""How apertures answer to the motion of the stars, and how far the stars moved.

The stars of the catalogue are drawn with the PRF once, together with the first and second
derivatives of their light by position; summed over the apertures they say by how much each flux
and each centroid changes with the pointing (five constants a star, to second order). Turned round, the
centroids of bright, lone stars say how far every frame is displaced, to a ten-thousandth of a
pixel, where the plate solution of a header knows a few thousandths. No pixel is read for either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.prf import TERMS, add_expansion, components, pixel_response, radius_for
from tasoc_kit.vocabulary import ApertureFlag, Status

__all__ = ["MotionTable", "flux_change", "make_motion_table", "measure_motion"]

HALF = 1024.0
"""Pixels that one unit of the linear terms of the displacement stands for."""
BRIGHTEST_GUIDE, FAINTEST_GUIDE = 7.5, 12.0
MOST_GUIDES, FEWEST_GUIDES = 500, 8
GUIDE_CONTAMINATION = 0.3
WIDTHS = np.linspace(0.6, 1.8, 13)
ROUNDS, CAUCHY = 10, 2.0
SYSTEMATIC = 1e-3
"""Pixels that a centroid may be off for other reasons than motion and noise."""
LARGEST = 0.4
"""Pixels of motion beyond which the second-order expansion is not trusted."""


@dataclass(frozen=True)
class MotionTable:
    """What the motion of the stars does to every aperture."""

    flux: np.ndarray
    """(star, 5) change of the flux with each of the derivatives, electron/s per pixel or pixel²."""
    guides: np.ndarray
    """Indices of the stars whose centroids measure the motion."""
    centroid: np.ndarray
    """(guide, axis, axis) change of a guide's centroid with its position."""
    place: np.ndarray
    """(guide, axis) centroid on the reference."""
    field: np.ndarray
    """(star, 3) constant and linear terms of the displacement at every star."""


def _guides(apertures: xr.Dataset) -> np.ndarray:
    """Return the brightest stars that are OK, lone, and not saturated."""
    tmag = apertures["tmag"].values
    fit = (apertures["status"].values == Status.OK) & (tmag > BRIGHTEST_GUIDE) & (tmag < FAINTEST_GUIDE)
    fit &= (apertures["aperture_flags"].values & (ApertureFlag.SATURATED | ApertureFlag.EDGE)) == 0
    fit &= ~(apertures["contamination"].values > GUIDE_CONTAMINATION)
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


def make_motion_table(apertures: xr.Dataset, reference: xr.Dataset) -> MotionTable | None:
    """
    Draw the stars and their derivatives, and sum them over the apertures.

    Parameters
    ----------
    apertures
        Pixels and stars; stars without an aperture lend their light to those of others.
    reference
        Star image.

    Returns
    -------
    The table, or None where there are too few guide stars to measure a motion with.
    """
    guides = _guides(apertures)
    known = {"camera", "ccd"} <= set(reference.attrs) and reference.attrs.get("mission", "TESS") == "TESS"
    if guides.size < FEWEST_GUIDES or not known:
        return None
    images = _expand(apertures, reference, _fit_width(apertures, reference, guides))
    size = apertures["row_size"].values.astype(np.int64)
    star = np.repeat(np.arange(size.size), size)
    row = apertures["pixel_row"].values.astype(np.int64) - int(reference["row"].values[0])
    column = apertures["pixel_column"].values.astype(np.int64) - int(reference["column"].values[0])
    centre = np.stack([np.rint(apertures[name].values) for name in ("star_row", "star_column")])
    offsets = (
        apertures["pixel_row"].values - centre[0][star],
        apertures["pixel_column"].values - centre[1][star],
    )

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(star, values, minlength=size.size)

    seen = np.nan_to_num(reference["reference"].values[row, column].astype(float))
    light, modelled = sums(seen), sums(images[0][row, column])
    # The magnitude sets the scale only roughly; what the aperture holds sets it exactly.
    scale = np.divide(light, modelled, out=np.ones(size.size), where=modelled > 0)
    steep = np.stack([sums(image[row, column]) for image in images[1:]], axis=1)
    flux = steep * np.clip(scale, 0.3, 3.0)[:, None]
    flux[(apertures["aperture_flags"].values & ApertureFlag.SATURATED) != 0] = 0.0
    place = np.stack([sums(seen * offset)[guides] / light[guides] for offset in offsets], axis=1)
    response = np.empty((guides.size, 2, 2))
    for axis, offset in enumerate(offsets):
        model_place = sums(images[0][row, column] * offset)[guides] / modelled[guides]
        for term in range(2):
            moment = sums(images[1 + term][row, column] * offset)[guides]
            response[:, axis, term] = (moment - model_place * steep[guides, term]) / modelled[guides]
    field = np.stack(
        [np.ones(size.size), *((centre[k] - np.mean(centre[k])) / HALF for k in range(2))], axis=1
    )
    return MotionTable(flux, guides, response, place + centre[:, guides].T, field)


def _expand(apertures: xr.Dataset, reference: xr.Dataset, width: float) -> np.ndarray:
    """Return the images of the catalogue stars and their derivatives, in the order of TERMS."""
    shape = reference["reference"].shape
    row, column = apertures["star_row"].values, apertures["star_column"].values
    flux = 10 ** (-0.4 * (apertures["tmag"].values.astype(float) - ZERO_POINT))
    camera, ccd = int(reference.attrs["camera"]), int(reference.attrs["ccd"])
    parts = components(row, column, camera=camera, ccd=ccd, width=width)
    images = np.zeros((len(TERMS), *shape), np.float32)
    place = row - float(reference["row"].values[0]), column - float(reference["column"].values[0])
    add_expansion(images, flux, *place, parts, radius_for(flux, parts, floor=0.5))
    return images


def measure_motion(table: MotionTable, centroids: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """
    Measure the displacement of some frames from the centroids of the guide stars.

    Parameters
    ----------
    table
        The guide stars and their response.
    centroids, errors
        (axis, star, time) centroids and their errors, pixels.

    Returns
    -------
    (time, axis, 3): displacement from the reference, as a constant and two linear terms; NaN
    for a frame in which too few guides were seen.
    """
    moved = centroids[:, table.guides] - table.place.T[:, :, None]
    field = table.field[table.guides]
    # Unknowns: three terms of the row displacement, then three of the column displacement.
    design = np.einsum("gat,gk->agtk", table.centroid, field).reshape(2 * len(table.guides), 6)
    found = np.full((centroids.shape[2], 2, 3), np.nan)
    for frame in range(centroids.shape[2]):
        value, error = moved[:, :, frame].ravel(), errors[:, table.guides, frame].ravel()
        seen = np.isfinite(value) & (error > 0)
        if seen.sum() >= 2 * FEWEST_GUIDES:
            found[frame] = _fit_robustly(design[seen], value[seen], error[seen]).reshape(2, 3)
    return found


def _fit_robustly(design: np.ndarray, value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the least-squares solution in which far-off values count little (Cauchy weights)."""
    # No centroid is believed better than this: neighbours that vary move it without any motion.
    error = np.hypot(error, SYSTEMATIC)
    weight = 1.0 / error
    solution = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        solution = np.linalg.lstsq(design * weight[:, None], value * weight, rcond=None)[0]
        left = np.abs(value - design @ solution) / error
        scale = max(1.0, 1.4826 * float(np.median(left)))
        weight = 1.0 / np.sqrt(1.0 + (left / (CAUCHY * scale)) ** 2) / error
    return solution


def flux_change(table: MotionTable, motion: np.ndarray) -> np.ndarray:
    """
    Return the change of every flux that the motion of some frames brings, (star, time).

    Frames whose motion is unknown, or too large for the expansion, are left as they are.
    """
    row, column = (table.field @ np.nan_to_num(motion[:, axis]).T for axis in range(2))
    terms = (row, column, row**2 / 2, column**2 / 2, row * column)
    change = sum(table.flux[:, k][:, None] * term for k, term in enumerate(terms))
    return np.where((np.abs(row) < LARGEST) & (np.abs(column) < LARGEST), change, 0.0)
