"""The skies of neighbouring frames brought together: algebra on their coefficients.

Every finer surface holds the coarser ones, so frames of different levels meet on the finest of them.
TASOC smooths its skies with a centred mean over an hour and a half (three frames of 1800 s, nine of
600 s), cut off at the ends of the sector (Handberg+ 2021); here that is a setting, as it blurs the
changes of scattered light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tasoc_kit.numerics.splines import Ladder
from tasoc_kit.photometry.skies.frame_sky import FrameSky

__all__ = ["replace_outliers", "smooth_skies"]

BESIDE = 2
"""Frames on either side that a frame is held against."""
AROUND = 12
"""Frames on either side whose own distances tell which distance is usual."""
LONGEST = 2.5
"""Times the usual cadence that neighbours may be apart."""
MEDIAN_NOISE = 1.2533
"""Error of a median over that of a mean, of white noise."""


def _known(frames: Sequence[FrameSky]) -> np.ndarray:
    return np.asarray([bool(np.isfinite(f.coefficients).all()) for f in frames])


def _on_level(ladder: Ladder, sky: FrameSky, level: int) -> np.ndarray:
    """Return the coefficients of a frame on the knots of a finer level."""
    coefficients = sky.coefficients
    for below in range(sky.level, level):
        coefficients = ladder.refine(below, coefficients)
    return coefficients


def _together(ladder: Ladder, frames: Sequence[FrameSky], of: Sequence[int], median: bool) -> FrameSky:
    """Return the sky that some frames have together: mean or median of their coefficients."""
    some = [frames[k] for k in of]
    level = max(f.level for f in some)
    stack = np.stack([_on_level(ladder, f, level) for f in some])
    coefficients = np.median(stack, axis=0) if median else stack.mean(axis=0)
    noise = MEDIAN_NOISE if median and len(some) > 2 else 1.0
    errors, of_cells, left = (
        np.asarray([getattr(f, name) for f in some]) for name in ("error", "cell_error", "systematic")
    )
    return replace(
        some[0],
        level=level,
        coefficients=coefficients,
        median=float(np.median(ladder.surfaces[level].on_cells(coefficients)[::2, ::2])),
        error=noise * float(np.sqrt((errors**2).sum())) / len(some),
        cell_error=noise * float(np.sqrt((of_cells**2).sum())) / len(some),
        systematic=float(np.sqrt((left**2).mean())),
    )


def _take(sky: FrameSky, surface: FrameSky) -> FrameSky:
    """Return a sky with the surface of another, and its own columns and cells."""
    names = ("level", "coefficients", "median", "error", "cell_error", "systematic")
    return replace(sky, **{name: getattr(surface, name) for name in names})


def smooth_skies(frames: list[FrameSky], times: np.ndarray, ladder: Ladder, hours: float) -> list[FrameSky]:
    """
    Smooth the coefficients in time.

    Parameters
    ----------
    frames
        The skies, in order of time; those without data are neither used nor filled.
    times
        Days.
    ladder
        The surfaces.
    hours
        Width of the centred window; fewer frames are in it at the ends of the sector and beside gaps.
    """
    known = np.flatnonzero(_known(frames))
    half = hours / 48.0
    first = np.searchsorted(times[known], times[known] - half)
    stop = np.searchsorted(times[known], times[known] + half, side="right")
    smooth = list(frames)
    for k, i, j in zip(known, first, stop, strict=True):
        if j - i > 1:
            smooth[k] = _take(frames[k], _together(ladder, frames, known[i:j], median=False))
    return smooth


def replace_outliers(
    frames: list[FrameSky], times: np.ndarray, ladder: Ladder, sigma: float
) -> tuple[list[FrameSky], np.ndarray]:
    """
    Give every frame whose sky stands out of time the median sky of the two frames on either side.

    How far a frame is from that median is the median over its coefficients. It stands out by the
    distances of the frames around it, and farther than those beside it, which it draws along. Frames
    at the ends of the sector and beside gaps lack neighbours and are left as they are.

    Parameters
    ----------
    frames
        The skies, in order of time; those without data are passed over.
    times
        Days.
    ladder
        The surfaces.
    sigma
        Distance, over the usual one, at which a frame stands out.

    Returns
    -------
    The skies, and bool (time): True where one was replaced.
    """
    known = np.flatnonzero(_known(frames))
    replaced = np.zeros(len(frames), bool)
    if known.size < 2 * BESIDE + 1:
        return frames, replaced
    longest = LONGEST * float(np.median(np.diff(times[known])))
    distance, beside = np.full(known.size, np.nan), {}
    for n in range(BESIDE, known.size - BESIDE):
        near = known[n - BESIDE : n + BESIDE + 1]
        if np.diff(times[near]).max() <= longest:
            beside[n] = _together(ladder, frames, np.delete(near, BESIDE), median=True)
            distance[n] = _distance(ladder, frames[known[n]], beside[n])
    skies = list(frames)
    for n, other in beside.items():
        around = distance[max(0, n - AROUND) : n + AROUND + 1]
        if distance[n] > sigma * np.nanmedian(around) and distance[n] == np.nanmax(
            distance[n - BESIDE : n + BESIDE + 1]
        ):
            skies[known[n]] = _take(frames[known[n]], other)
            replaced[known[n]] = True
    return skies, replaced


def _distance(ladder: Ladder, sky: FrameSky, other: FrameSky) -> float:
    """Return the median distance of the coefficients of two skies, electron/s."""
    level = max(sky.level, other.level)
    change = _on_level(ladder, sky, level) - _on_level(ladder, other, level)
    return float(np.median(np.abs(change)))
