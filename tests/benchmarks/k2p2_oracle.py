"""
K2P2 the slow way: one star, one stamp, one library call for each sentence of the recipe.

What the fast masks of ``tasoc_kit.photometry.apertures`` are measured against (Lund+ 2015, ApJ 806
30; Handberg+ 2021, AJ 162 170, section 4). Nothing is shared with them: clusters are scikit-learn's,
the watershed is scikit-image's, the density is SciPy's, and the markers are those of the stamp.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from scipy import ndimage, optimize, stats
from skimage.feature import peak_local_max
from skimage.segmentation import watershed
from sklearn.cluster import DBSCAN

STAMP_TMAG = (0.0, 3.16, 4.74, 5.8, 9.0)
STAMP_ROWS = (832, 68, 28, 20, 15)
STAMP_COLUMNS = (158, 45, 28, 20, 15)
BRIGHT = 7.0


def iou(a: set, b: set) -> float:
    """Return the pixels in both masks ÷ those in either; 1 where both are empty."""
    return len(a & b) / len(a | b) if a | b else 1.0


def aperture_sets(apertures: xr.Dataset) -> list[set]:
    """Return the (row, column) labels of each star's aperture."""
    pixels = list(
        zip(apertures["pixel_row"].values.tolist(), apertures["pixel_column"].values.tolist(), strict=True)
    )
    ends = np.cumsum(apertures["row_size"].values)
    return [
        set(pixels[end - size : end]) for end, size in zip(ends, apertures["row_size"].values, strict=True)
    ]


def sky_threshold(stamp: np.ndarray, factor: float) -> float:
    flux = np.sort(stamp[np.isfinite(stamp) & (stamp > 0)].astype(float))
    faint = flux[: len(flux) - int(0.15 * len(flux))]
    faint = faint[faint < 70000]
    spread = min(np.std(faint, ddof=1), stats.iqr(faint) / 1.349)
    width = 1.059 * spread * len(faint) ** -0.2
    density = stats.gaussian_kde(faint, bw_method=width / np.std(faint, ddof=1))
    grid = np.linspace(faint[0] - 3 * width, faint[-1] + 3 * width, 128)
    start = grid[np.argmax(density(grid))]
    mode = float(optimize.minimize(lambda at: -density(at)[0], start, method="Powell").x[0])
    return mode + factor * 1.482602218505602 * np.median(mode - flux[flux < mode])


def find_markers(cluster: np.ndarray, saturated: np.ndarray, stars: np.ndarray) -> np.ndarray:
    """Number the peaks of a cluster that a star claims; ``stars`` holds row, column, tmag."""
    smooth = ndimage.gaussian_filter(cluster, 0.5, mode="constant")
    peaks = peak_local_max(
        smooth, footprint=np.ones((3, 3)), exclude_border=False, threshold_rel=0, threshold_abs=0
    )
    peaks = peaks[cluster[tuple(peaks.T)] > 0]
    patches = ndimage.label(saturated, structure=np.ones((3, 3)))[0][tuple(peaks.T)]
    markers = np.zeros(cluster.shape, dtype=int)
    for row, column, tmag in stars if len(peaks) else ():
        distance = np.hypot(peaks[:, 0] - row, peaks[:, 1] - column)
        nearest = np.argmin(distance)
        if distance[nearest] < (5 if tmag <= BRIGHT else 2) * np.sqrt(2):
            same = (patches == patches[nearest]) & (patches > 0)
            same[nearest] = True
            markers[tuple(peaks[same].T)] = nearest + 1 if patches[nearest] == 0 else -patches[nearest]
    return markers


def fill(mask: np.ndarray) -> np.ndarray:
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    return mask | (ndimage.convolve(mask.astype(int), cross, mode="constant") == 4)


def follow_bleeds(mask: np.ndarray, stamp: np.ndarray, lit: np.ndarray, stars: np.ndarray) -> np.ndarray:
    longer = mask.copy()
    for column in np.flatnonzero(mask.any(axis=0)):
        flux = stamp[mask[:, column], column]
        if len(flux) < 2 or np.median(flux) < stamp[mask].max() / 2:
            continue
        if abs(np.median(np.diff(flux))) / flux.max() < 0.01:
            pieces = ndimage.label(lit[:, column])[0]
            peak = np.flatnonzero(mask[:, column])[np.argmax(flux)]
            longer[:, column] |= pieces == pieces[peak]
    light = sum(10 ** (-0.4 * tmag) for row, column, tmag in stars if longer[round(row), round(column)])
    return longer if light > 0 and -2.5 * np.log10(light) <= BRIGHT else mask


def masks_of_stamp(
    stamp: np.ndarray, saturated: np.ndarray, stars: np.ndarray, factor: float, minimum: int
) -> list[np.ndarray]:
    """Return every mask of a stamp; ``stars`` holds row, column, tmag of those that lie in it."""
    if np.sum(np.isfinite(stamp) & (stamp > 0)) < 4:
        return []
    lit = stamp > sky_threshold(stamp, factor)
    points = np.argwhere(lit)
    if not len(points):
        return []
    found = DBSCAN(eps=np.sqrt(2) + 1e-6, min_samples=4).fit(points)
    core = np.zeros(len(points), dtype=bool)
    core[found.core_sample_indices_] = True
    masks = []
    for label in range(found.labels_.max() + 1):
        inside = points[(found.labels_ == label) & core]
        cluster = np.zeros(stamp.shape)
        cluster[tuple(inside.T)] = stamp[tuple(inside.T)]
        markers = find_markers(cluster, saturated, stars)
        basins = watershed(-cluster, markers, mask=cluster > 0)
        masks += [basins == basin for basin in np.unique(basins[basins != 0])]
    kept = [fill(mask) for mask in masks if mask.sum() >= minimum]
    return [follow_bleeds(mask, stamp, lit, stars) for mask in kept]


def mask_of_star(
    image: np.ndarray, saturated: np.ndarray, stars: np.ndarray, star: int, factor: float, minimum: int
) -> set:
    """Return the (row, column) indices of the mask that covers a star; empty where none does."""
    row, column = (round(value) for value in stars[star, :2])
    tmag = stars[star, 2]
    high, wide = (
        round(np.exp(np.interp(tmag, STAMP_TMAG, np.log(sizes)))) for sizes in (STAMP_ROWS, STAMP_COLUMNS)
    )
    sides = [row - high // 2, row + high // 2 + 1, column - wide // 2, column + wide // 2 + 1]
    limits = [0, image.shape[0], 0, image.shape[1]]
    for _ in range((10 if tmag < 6 else 5) + 1):
        sides = [max(sides[0], 0), min(sides[1], limits[1]), max(sides[2], 0), min(sides[3], limits[3])]
        cut = np.s_[sides[0] : sides[1], sides[2] : sides[3]]
        shifted = stars - [sides[0], sides[2], 0]
        pixel = np.rint(shifted[:, :2])
        inside = ((pixel >= 0) & (pixel < image[cut].shape)).all(axis=1)
        masks = masks_of_stamp(image[cut], saturated[cut], shifted[inside], factor, minimum)
        covering = [mask for mask in masks if mask[row - sides[0], column - sides[2]]]
        if not covering:
            return set()
        mask = covering[0]
        touched = [mask[0].any(), mask[-1].any(), mask[:, 0].any(), mask[:, -1].any()]
        grows = [t and side != limit for t, side, limit in zip(touched, sides, limits, strict=True)]
        if not any(grows):
            break
        sides = [
            side + step * grow for side, step, grow in zip(sides, (-10, 10, -10, 10), grows, strict=True)
        ]
    return {(sides[0] + i, sides[2] + j) for i, j in np.argwhere(mask)}


def oracle_masks(
    reference: xr.Dataset,
    stars: xr.Dataset,
    wanted: Iterable[int],
    *,
    threshold: float = 0.8,
    minimum_pixels: int = 4,
) -> dict[int, set]:
    """
    Return the K2P2 mask of each wanted star as a set of (row, column) labels.

    Parameters
    ----------
    reference
        ``reference`` and ``saturated`` (row, column).
    stars
        ``star_row``, ``star_column`` and ``tmag`` (star).
    wanted
        Positions of the stars in the catalogue.
    threshold, minimum_pixels
        As in ``make_apertures``.
    """
    image, saturated = reference["reference"].values, reference["saturated"].values
    corner = int(reference["row"].values[0]), int(reference["column"].values[0])
    catalogue = np.column_stack([stars[name].values for name in ("star_row", "star_column", "tmag")])
    catalogue = catalogue - [*corner, 0]
    masks = {}
    for star in wanted:
        mask = mask_of_star(image, saturated, catalogue, int(star), threshold, minimum_pixels)
        masks[int(star)] = {(row + corner[0], column + corner[1]) for row, column in mask}
    return masks


def median_iou(
    reference: xr.Dataset, stars: xr.Dataset, apertures: xr.Dataset, *, sample: int = 300, seed: int = 1
) -> tuple[float, np.ndarray]:
    """
    Return the median IoU with the oracle, and that of each star of a random sample.

    The sample is taken from all stars with an aperture. The minimum one counts as no mask, and stars
    that have none either way are left out.
    """
    from tasoc_kit.vocabulary import ApertureFlag

    candidates = np.flatnonzero(apertures["row_size"].values > 0)
    chosen = np.random.default_rng(seed).choice(candidates, min(sample, candidates.size), replace=False)
    minimal = apertures["aperture_flags"].values & int(ApertureFlag.MINIMUM) > 0
    ours, theirs = aperture_sets(apertures), oracle_masks(reference, stars, chosen)
    pairs = [(set() if minimal[star] else ours[star], theirs[star]) for star in chosen]
    each = np.array([iou(*pair) for pair in pairs if any(pair)])
    return float(np.median(each)), each


def dbscan_mismatches(lit: np.ndarray) -> tuple[int, int]:
    """Return the lit pixels whose label differs from scikit-learn's, and the number of lit pixels."""
    from tasoc_kit.numerics.clusters import dbscan_labels

    points = np.argwhere(lit)
    expected = DBSCAN(eps=np.sqrt(2) + 1e-6, min_samples=4).fit(points).labels_
    return int(np.sum(dbscan_labels(lit)[lit] != expected)), len(points)
