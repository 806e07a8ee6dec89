"""Choose the few frames that the reference is made of: dark, steady, spread over the sector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasoc_kit.sources.ffi import FrameReader

__all__ = ["PlanFrames", "choose_frames", "sky_levels"]

CANDIDATES_PER_BIN = 3
SAMPLES_PER_AXIS = 128


@dataclass(frozen=True)
class PlanFrames:
    """The chosen frames."""

    index: np.ndarray
    """Indices into the cube, in order of time."""
    level: np.ndarray
    """Sky level of each, electron/s: the median of a sample of all pixels."""
    reason: str
    """Why fewer or worse frames were used than asked for; empty when all is well."""


def sky_levels(reader: FrameReader, frames: np.ndarray) -> np.ndarray:
    """Return the median of a grid of pixels of each frame; NaN for a frame without data."""
    rows, columns = reader.shape
    step = (max(1, rows // SAMPLES_PER_AXIS), max(1, columns // SAMPLES_PER_AXIS))
    buffer = np.empty(reader.shape, np.float32)
    levels = np.full(len(frames), np.nan)
    for i, frame in enumerate(frames):
        reader.read(int(frame), buffer)
        sample = buffer[:: step[0], :: step[1]]
        sample = sample[np.isfinite(sample)]
        if sample.size and np.any(sample != 0):
            levels[i] = np.median(sample)
    return levels


def choose_frames(
    reader: FrameReader, good: np.ndarray, steady: np.ndarray, wanted: int, tolerance: float
) -> PlanFrames:
    """
    Choose frames for the reference.

    The good and steady cadences are cut into as many bins of time as frames are wanted. Of a
    few candidates in each bin the darkest is taken, unless its sky is ``tolerance`` (electron/s)
    above the darkest quarter of all candidates. Then the fuller half of the sector gives up
    its brightest frames until the halves balance.

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
    levels = [sky_levels(reader, frames) for frames in tried]
    seen = np.concatenate(levels)
    if not np.isfinite(seen).any():
        return PlanFrames(np.empty(0, int), np.empty(0), "no candidate frame has data")
    limit = np.nanquantile(seen, 0.25) + tolerance
    chosen, sky = [], []
    for frames, level in zip(tried, levels, strict=True):
        if np.isfinite(level).any() and np.nanmin(level) <= limit:
            best = int(np.nanargmin(level))
            chosen.append(int(frames[best]))
            sky.append(float(level[best]))
    kept = _balance(np.asarray(chosen), np.asarray(sky), len(good))
    if kept.size < wanted:
        reasons.append(f"{kept.size} of {wanted} frames are dark enough")
    return PlanFrames(np.asarray(chosen)[kept], np.asarray(sky)[kept], "; ".join(reasons))


def _balance(chosen: np.ndarray, sky: np.ndarray, total: int) -> np.ndarray:
    """Return which frames stay when neither half of the sector may count twice the other."""
    late = chosen >= total / 2
    halves = [np.flatnonzero(~late), np.flatnonzero(late)]
    fewer = min(len(half) for half in halves)
    if fewer == 0:
        return np.arange(chosen.size)
    kept = [half[np.argsort(sky[half], kind="stable")][: 2 * fewer] for half in halves]
    return np.sort(np.concatenate(kept))
