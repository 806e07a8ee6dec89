"""The effective PSF as the stars of a sector show it, region by region.

From a first PSF all fluxes on the reference are solved for; what bright stars then show more than
their PSF, without the light of all others, is fitted in every region of the CCD. The regions are
tied together by splines whose means over the stars of each region are what was fitted there.
A few rounds, for a better PSF gives better fluxes and better neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numba import njit

from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.effective_psf import (
    REACH,
    SPLINES,
    EffectivePsf,
    draw_stamp,
    node_weights,
    psf_at,
    reach_of,
    unit_light,
)
from tasoc_kit.numerics.psf_fit import fit_deviation, star_offsets
from tasoc_kit.numerics.psf_sums import SIDE
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.photometry.psfs.psf_scene import Scene, make_scene

__all__ = ["Places", "find_shift", "fit_regions"]

BRIGHTEST, FAINTEST = 7.5, 13.5
FEWEST, USUAL, MOST = 12, 40, 200
"""Stars of a region: without so many it is not fitted; regions are made for so many; no more are used."""
MOST_REGIONS, MOST_NODES = 7, 5
OWN_ERROR, OTHERS_ERROR = 0.003, 0.03
"""Shares of the light of a star, and of its neighbours, that the model may be wrong by."""
FOLLOWED = 0.3
"""electron/s in a pixel down to which the light of a star tells its PSF."""
FAR, BLAMED = 3.0, (1.0, 0.3, 0.1, 0.05)
"""Sigma, and in each round share of a star's own light, that a pixel may be off by and still count."""
CLIP, CLIP_ROUNDS = 3.0, 5


class Places(NamedTuple):
    """The stars of a field; all arrays (star)."""

    row: np.ndarray
    column: np.ndarray
    flux: np.ndarray
    source: np.ndarray


def find_shift(psf: EffectivePsf, reference: xr.Dataset, places: Places) -> Places:
    """
    Return the stars moved to where the reference shows them: a shift that is linear over the frame.

    Parameters
    ----------
    psf
        The PSF.
    reference
        Star image, sky and noise.
    places
        Where the catalogue has them.
    """
    scene, flux, residual = _solve(psf, reference, places)
    guides = _bright(scene, flux)
    if guides.size < FEWEST:
        return places
    slopes = np.zeros((2, guides.size, SIDE, SIDE))
    images = scene.draw(flux, residual.shape, 3)
    weight = np.zeros((guides.size, SIDE, SIDE))
    excess = np.zeros_like(weight)
    variance = _variance(reference)
    for k, s in enumerate(guides):
        box = np.s_[scene.top[s] : scene.top[s] + SIDE, scene.left[s] : scene.left[s] + SIDE]
        slopes[:, k], excess[k] = images[1:, *box], residual[box]
        weight[k] = 1 / (variance[box] + (OWN_ERROR * images[0][box]) ** 2)
    weight[~np.isfinite(excess)] = 0.0
    offset, information = star_offsets(np.nan_to_num(excess), slopes, weight)
    middle = [np.mean(labels) for labels in (places.row, places.column)]
    star = scene.star[guides]
    design = _plane(places.row[star], places.column[star], middle)
    kept = information > 0
    moved = np.zeros((3, 2))
    for _ in range(CLIP_ROUNDS):
        moved = np.linalg.lstsq(design[kept], offset[kept], rcond=None)[0]
        left = np.abs(offset - design @ moved).max(axis=1)
        kept = (information > 0) & (left <= CLIP * max(float(np.median(left[kept])), 1e-4))
    shift = _plane(places.row, places.column, middle) @ moved
    return places._replace(row=places.row + shift[:, 0], column=places.column + shift[:, 1])


def _plane(row: np.ndarray, column: np.ndarray, middle: list[np.floating]) -> np.ndarray:
    return np.stack([np.ones(row.size), (row - middle[0]) / 1024, (column - middle[1]) / 1024], axis=1)


def fit_regions(first: EffectivePsf, reference: xr.Dataset, places: Places) -> EffectivePsf:
    """
    Return the PSF that the stars show.

    Parameters
    ----------
    first
        PSF to start from, which also says what lies beyond the reach of the splines.
    reference
        Star image, sky and noise.
    places
        The stars.
    """
    psf = first
    for blamed in BLAMED:
        scene, flux, residual = _solve(psf, reference, places)
        chosen = _bright(scene, flux)
        if chosen.size < FEWEST:
            return first
        psf = _fit_round(first, psf, reference, scene, flux, residual, chosen, blamed)
    return psf


def _solve(psf: EffectivePsf, reference: xr.Dataset, places: Places) -> tuple[Scene, np.ndarray, np.ndarray]:
    """Return scene and fluxes, and what the reference has more than the model."""
    image = reference["reference"].values.astype(float)
    scene = make_scene(psf, reference, *places)
    flux = scene.fluxes(image)
    return scene, flux, image - scene.draw(flux, image.shape, 1)[0]


def _bright(scene: Scene, flux: np.ndarray) -> np.ndarray:
    """Return the unknowns that are bright single stars, brightest first."""
    alone = np.bincount(scene.sources.unknown, minlength=flux.size) == 1
    limits = [10 ** (-0.4 * (tmag - ZERO_POINT)) for tmag in (BRIGHTEST, FAINTEST)]
    fit = np.flatnonzero(alone & ~scene.held & (flux < limits[0]) & (flux > limits[1]))
    return fit[np.argsort(-flux[fit], kind="stable")]


def _variance(reference: xr.Dataset) -> np.ndarray:
    """Return the variance of every pixel of the reference; infinite where it does not count."""
    image = reference["reference"].values.astype(float) + reference["reference_sky"].values
    single = reference["noise_floor"].values + reference["noise_slope"].values * np.maximum(image, 0.0)
    counts = np.isfinite(image) & ~reference["saturated"].values
    return np.where(counts, single / max(1, reference.sizes.get("plan_frame", 1)), np.inf)


def _fit_round(
    first: EffectivePsf,
    psf: EffectivePsf,
    reference: xr.Dataset,
    scene: Scene,
    flux: np.ndarray,
    residual: np.ndarray,
    chosen: np.ndarray,
    blamed: float,
) -> EffectivePsf:
    place = np.flatnonzero(np.bincount(chosen, minlength=flux.size)[scene.sources.unknown])
    place = place[np.argsort(-flux[scene.sources.unknown[place]], kind="stable")]
    row, column = scene.sources.row[place], scene.sources.column[place]
    light = flux[scene.sources.unknown[place]]
    origin = [float(reference[name].values[0]) for name in ("row", "column")]
    labels = row + origin[0], column + origin[1]
    wanted = psf_at(first, *labels)
    gap = scene.sources.tables[place] - wanted
    radius = reach_of(first, light, FOLLOWED)
    model = scene.draw(flux, residual.shape, 1)[0].astype(float)
    known = residual[np.isfinite(residual)]
    dark = float(np.median(known))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(known - dark)))
    # Faint stars without a name add to every pixel: what they add on average is no wing of any other.
    dark = float(known[np.abs(known - dark) <= FAR * spread].mean())
    confusion = spread**2
    patches = _patches(
        np.nan_to_num(residual - dark), _variance(reference) + confusion, model, (row, column, light),
        scene.sources.tables[place], gap, radius, blamed,
    )  # fmt: skip
    count = int(np.clip(np.sqrt(place.size / USUAL), 1, MOST_REGIONS))
    shape = residual.shape
    region = (row * count / shape[0]).astype(int).clip(0, count - 1) * count
    region += (column * count / shape[1]).astype(int).clip(0, count - 1)
    nodes = [
        np.linspace(labels_of[0], labels_of[-1], min(count, MOST_NODES))
        for labels_of in (reference["row"].values.astype(float), reference["column"].values.astype(float))
    ]
    means, found = [], []
    for one in range(count**2):
        stars = np.flatnonzero(region == one)[:MOST]
        if stars.size < FEWEST:
            continue
        inside = row[stars] - np.rint(row[stars]), column[stars] - np.rint(column[stars])
        found.append(
            fit_deviation(
                *(patch[stars] for patch in patches), inside, radius[stars], wanted[stars].mean(axis=0)
            )
        )
        share = patches[1][stars].sum(axis=(1, 2))
        down, across = (
            node_weights(along, place_of[stars]) for along, place_of in zip(nodes, labels, strict=True)
        )
        spread = (down[:, :, None] * across[:, None, :]).reshape(stars.size, -1)
        means.append(share @ spread / share.sum())
    return _tie(first, nodes, np.asarray(means), np.asarray(found))


def _tie(first: EffectivePsf, nodes: list[np.ndarray], means: np.ndarray, found: np.ndarray) -> EffectivePsf:
    """Return the PSF whose mean over the stars of each region differs from the first as was found."""
    if not len(found):
        return first
    size = nodes[0].size * nodes[1].size
    # A little of the mean of all, where regions are missing.
    pull = 1e-3 * np.eye(size)
    overall = found.mean(axis=0).ravel()
    deviation = overall + np.linalg.solve(
        means.T @ means + pull, means.T @ (found.reshape(len(found), -1) - overall)
    )
    table = EffectivePsf(
        nodes[0], nodes[1], deviation.reshape(nodes[0].size, nodes[1].size, SPLINES, SPLINES)
    )
    place = np.meshgrid(first.row, first.column, indexing="ij")
    change = psf_at(table, place[0].ravel(), place[1].ravel()).reshape(first.coefficients.shape)
    total = first.coefficients + change
    light = unit_light()
    expected, now = ((x * light).sum(axis=(2, 3), keepdims=True) for x in (first.coefficients, total))
    return first._replace(coefficients=total * expected / now)


@njit(nogil=True, cache=True)
def _patches(residual, variance, model, stars, tables, gap, radius, blamed):
    """Return what every star has more than the first PSF, its weight, and what it was thought to have."""
    row, column, flux = stars
    side = 2 * REACH + 1
    excess, weight = np.zeros((row.size, side, side)), np.zeros((row.size, side, side))
    thought = np.zeros((row.size, side, side))
    own, known = np.empty((side, side)), np.empty((side, side))
    for s in range(row.size):
        top, left = int(np.floor(row[s] + 0.5)) - REACH, int(np.floor(column[s] + 0.5)) - REACH
        draw_stamp(tables[s], top, left, row[s], column[s], own)
        draw_stamp(gap[s], top, left, row[s], column[s], known)
        thought[s] = own
        low, high = REACH - radius[s], REACH + radius[s] + 1
        for r in range(max(low, -top), min(high, residual.shape[0] - top)):
            for c in range(max(low, -left), min(high, residual.shape[1] - left)):
                i, j = top + r, left + c
                light = flux[s] * own[r, c]
                noise = (
                    variance[i, j] + (OWN_ERROR * light) ** 2 + (OTHERS_ERROR * (model[i, j] - light)) ** 2
                )
                excess[s, r, c] = residual[i, j] / flux[s] + known[r, c]
                # What a PSF cannot be blamed for is another star. Too little light is left out like too much:
                # a PSF that is broader than thought would lose its skirt, and be drawn narrower still.
                if abs(residual[i, j]) < FAR * np.sqrt(noise) + blamed * light:
                    weight[s, r, c] = flux[s] ** 2 / noise
    return excess, weight, thought
