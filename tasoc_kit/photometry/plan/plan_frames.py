"""Choose the few frames that the reference is made of: dark, steady, spread over the sector.

A frame may be dark in some places and lit in others, so darkness is a matter of tiles: a frame counts by
the share of its tiles in which it is as dark as the darker frames are there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasoc_kit.sources.frame_reader import FrameReader

__all__ = ["PlanFrames", "choose_frames", "sky_levels"]

CANDIDATES_PER_BIN = 3
SAMPLES_PER_AXIS = 128
TILES_PER_AXIS, SMALLEST_TILE = 8, 32
DARK_SHARE = 0.5
"""A frame is used if it has this many of the dark tiles of the frame that has most."""


@dataclass(frozen=True)
class PlanFrames:
    """The chosen frames."""

    index: np.ndarray
    """Indices into the cube, in order of time."""
    level: np.ndarray
    """Sky level of each, electron/s: the median of its tiles."""
    reason: str
    """Why fewer or worse frames were used than asked for; empty when all is well."""


def sky_levels(reader: FrameReader, frames: np.ndarray) -> np.ndarray:
    """
    Return the median of a grid of pixels in each tile of each frame, electron/s (frame, tile).

    All tiles of a frame without data are NaN, and so are those without a finite pixel.
    """
    tiles = [np.clip(size // SMALLEST_TILE, 1, TILES_PER_AXIS) for size in reader.shape]
    step = [max(1, size // SAMPLES_PER_AXIS) for size in reader.shape]
    buffer = np.empty(reader.shape, np.float32)
    levels = np.full((len(frames), tiles[0] * tiles[1]), np.nan)
    for i, frame in enumerate(frames):
        reader.read(int(frame), buffer)
        sample = buffer[:: step[0], :: step[1]]
        if not np.any(np.isfinite(sample) & (sample != 0)):
            continue
        bands = np.array_split(sample, tiles[0], axis=0)
        parts = [tile for band in bands for tile in np.array_split(band, tiles[1], axis=1)]
        finite = [tile[np.isfinite(tile)] for tile in parts]
        levels[i] = [np.median(values) if values.size else np.nan for values in finite]
    return levels


def choose_frames(
    reader: FrameReader, good: np.ndarray, steady: np.ndarray, wanted: int, tolerance: float
) -> PlanFrames:
    """
    Choose frames for the reference.

    The good and steady cadences are cut into as many bins of time as frames are wanted. Of a
    few candidates in each bin the one with most dark tiles is taken: tiles whose sky is no more
    than ``tolerance`` above the darkest quarter of all candidates there. Frames with few of them
    are left out. Then the fuller half of the sector gives up its brightest frames until the
    halves balance.

    Parameters
    ----------
    reader
        Frames of the cube.
    good, steady
        (time) cadences without bad bits; cadences whose pointing is near the median.
    wanted
        Frames to choose.
    tolerance
        Sky above the darkest quarter that is still dark, electron/s.
    """
    reasons = []
    usable = good & steady
    if not usable.any():
        usable = good if good.any() else np.ones_like(good)
        reasons.append("no cadence is both good and steady")
    candidates = np.flatnonzero(usable)
    bins = np.array_split(candidates, min(wanted, candidates.size))
    tried = [b[np.linspace(0, b.size - 1, min(CANDIDATES_PER_BIN, b.size)).astype(int)] for b in bins]
    frames, group = np.concatenate(tried), np.repeat(np.arange(len(tried)), [len(b) for b in tried])
    levels = sky_levels(reader, frames)
    seen = np.isfinite(levels)
    if not seen.any():
        return PlanFrames(np.empty(0, int), np.empty(0), "no candidate frame has data")
    frames, group = frames[seen.any(axis=1)], group[seen.any(axis=1)]
    levels = levels[seen.any(axis=1)][:, seen.any(axis=0)]
    share = np.mean(levels <= np.nanquantile(levels, 0.25, axis=0) + tolerance, axis=1)
    sky = np.nanmedian(levels, axis=1)
    order = np.lexsort((sky, -share, group))
    best = order[np.unique(group[order], return_index=True)[1]]
    best = best[share[best] >= DARK_SHARE * share.max()]
    kept = best[_balance(frames[best], sky[best], len(good))]
    if kept.size < wanted:
        reasons.append(f"{kept.size} of {wanted} frames are dark enough")
    return PlanFrames(frames[kept], sky[kept], "; ".join(reasons))


def _balance(chosen: np.ndarray, sky: np.ndarray, total: int) -> np.ndarray:
    """Return which frames stay when neither half of the sector may count twice the other."""
    late = chosen >= total / 2
    halves = [np.flatnonzero(~late), np.flatnonzero(late)]
    fewer = min(len(half) for half in halves)
    if fewer == 0:
        return np.arange(chosen.size)
    kept = [half[np.argsort(sky[half], kind="stable")][: 2 * fewer] for half in halves]
    return np.sort(np.concatenate(kept))
