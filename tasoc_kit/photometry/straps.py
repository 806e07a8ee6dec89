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
from scipy.sparse import csr_array

from tasoc_kit.numerics.detector import is_strap

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


def _neighbours(columns: np.ndarray) -> tuple[np.ndarray, csr_array]:
    """Return the strap columns (indices) and, for each, the weights of its neighbours."""
    strap = is_strap(columns)
    index = np.flatnonzero(strap)
    near = np.abs(columns[None, :] - columns[index][:, None]) <= REACH
    weight = (near & ~strap[None, :]).astype(np.float32)
    kept = weight.sum(axis=1) >= FEWEST_COLUMNS
    return index[kept], csr_array(weight[kept])


def _beside(values: np.ndarray, weight: csr_array) -> np.ndarray:
    """Return the weighted sum over the neighbours of each strap, (time, band, strap)."""
    total = weight @ values.reshape(-1, values.shape[-1]).T
    return np.ascontiguousarray(total.T).reshape(*values.shape[:-1], weight.shape[0])


def _compare(stream: xr.Dataset, index: np.ndarray, weight: csr_array) -> tuple[np.ndarray, ...]:
    """Return sky beside each strap, difference to it, and weight of both, (time, band, strap)."""
    sky, difference, amount = [], [], []
    step = int(stream.attrs.get("block", 64))
    for start in range(0, stream.sizes["time"], step):
        part = stream[["column_cells", "column_used"]].isel(time=slice(start, start + step)).compute()
        used = part["column_used"].values.astype(np.float32)
        cells = np.where(used > 0, part["column_cells"].values, np.float32(0))
        beside, count = (_beside(values, weight) for values in (used * cells, used))
        level = np.divide(beside, count, out=np.zeros_like(beside), where=count > 0)
        sky.append(level)
        difference.append(cells[:, :, index] - level)
        amount.append(used[:, :, index] * (count > 0))
    return np.concatenate(sky), np.concatenate(difference), np.concatenate(amount)


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
    index, weight = _neighbours(columns)
    if index.size == 0 or frames < 2:
        return Straps(gain, scale)
    sky, difference, amount = _compare(stream, index, weight)
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
