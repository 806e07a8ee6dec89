"""How the columns with a metal strap answer to scattered light.

A strap behind the CCD sends red light back through it. In quiet sky a strapped column differs
from its neighbours by a percent, in scattered light by several, and redder light does more,
so a fixed gain fails. Here the gain of each column is found from all frames at once, with one
scale a frame: ``column − neighbours = scale(time) · gain(column) · sky``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numba import njit

from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.photometry.stream import stream_blocks

__all__ = ["Straps", "fit_straps"]


REACH = 16
"""Columns on either side that a strap is compared with."""
ROUNDS = 4
PRIOR_SCALE = 0.5
"""How far the scale of a frame is believed to be from 1 before it is measured."""
SIGNIFICANT = 4.0
FEWEST_COLUMNS = 4


@dataclass(frozen=True)
class Straps:
    """The answer of the straps."""

    gain: np.ndarray
    """(column) extra response to sky above the reference sky; 0 without a strap."""
    scale: np.ndarray
    """(time) how strongly the straps answer to the light of this frame."""


def _compare(stream: xr.Dataset) -> tuple[np.ndarray, ...]:
    """
    Compare every strap with its neighbours.

    Returns the indices of the straps that have enough of them, and (time, band, strap) sky beside
    each, difference to it, and pixels of the strap.
    """
    columns = stream["column"].values
    strap = is_strap(columns)
    index = np.flatnonzero(strap)
    first = np.searchsorted(columns, columns[index] - REACH)
    stop = np.searchsorted(columns, columns[index] + REACH, side="right")
    plain = np.concatenate([[0], np.cumsum(~strap)])
    kept = plain[stop] - plain[first] >= FEWEST_COLUMNS
    index, first, stop = index[kept], first[kept], stop[kept]
    if index.size == 0:
        return index, *(np.empty((0, 0, 0), np.float32) for _ in range(3))
    blocks = stream_blocks(stream, ("column_cells", "column_used"))
    found = [
        _beside(block["column_cells"], block["column_used"], strap, index, first, stop) for block in blocks
    ]
    return index, *(np.concatenate(parts) for parts in zip(*found, strict=True))


@njit(nogil=True, cache=True)
def _beside(cells, used, strap, index, first, stop):
    """Return the sky beside every strap, the difference to it, and its pixels; see _compare."""
    frames, bands, _ = cells.shape
    sky = np.zeros((frames, bands, index.size), np.float32)
    difference, amount = np.zeros_like(sky), np.zeros_like(sky)
    for t in range(frames):
        for b in range(bands):
            for j in range(index.size):
                total, count = 0.0, 0.0
                for c in range(first[j], stop[j]):
                    if not strap[c] and used[t, b, c] > 0:
                        total += float(cells[t, b, c]) * used[t, b, c]
                        count += used[t, b, c]
                own = used[t, b, index[j]]
                if count > 0 and own > 0:
                    sky[t, b, j] = total / count
                    difference[t, b, j] = cells[t, b, index[j]] - total / count
                    amount[t, b, j] = own
    return sky, difference, amount


def fit_straps(stream: xr.Dataset, pixel_variance: float) -> Straps:
    """
    Fit gain and scale of the straps from the column cells of all frames.

    Parameters
    ----------
    stream
        ``column_cells`` and ``column_used`` (time, band, column).
    pixel_variance
        Typical variance of a sky pixel, electron²/s²; decides which gains are significant.

    Returns
    -------
    Gains and scales; zeros and ones where no strap can be compared with its neighbours.
    """
    columns, frames = stream["column"].values, stream.sizes["time"]
    gain, scale = np.zeros(columns.size), np.ones(frames)
    index, sky, difference, amount = _compare(stream)
    if index.size == 0 or frames < 2:
        return Straps(gain, scale)
    # A column's own constant offset is no answer to the sky: both sides lose their mean.
    for values in (sky, difference):
        total = amount.sum(axis=(0, 1))
        mean = np.divide((amount * values).sum(axis=(0, 1)), total, out=np.zeros(index.size), where=total > 0)
        values -= mean.astype(np.float32)
    power = np.einsum("tbc,tbc->tc", amount, sky**2)
    product = np.einsum("tbc,tbc->tc", amount, sky * difference)
    gains = np.zeros(index.size)
    for _ in range(ROUNDS):
        strength = (scale[:, None] ** 2 * power).sum(axis=0)
        answer = (scale[:, None] * product).sum(axis=0)
        gains = np.divide(answer, strength, out=np.zeros(index.size), where=strength > 0)
        error = np.sqrt(pixel_variance / np.maximum(strength, 1e-30))
        gains[np.abs(gains) < SIGNIFICANT * error] = 0.0
        if not gains.any():
            break
        prior = pixel_variance / PRIOR_SCALE**2
        scale = (product @ gains + prior) / (power @ gains**2 + prior)
        # Gain and scale share one factor; a median scale of 1 fixes it.
        norm = np.average(scale, weights=power.sum(axis=1) + 1e-30)
        scale /= norm
        gains *= norm
    gain[index] = gains
    return Straps(gain, scale)
