"""Light that no sky model describes, cell by cell: asteroids, ghosts, edges of Earth light.

TASOC calls them background shenanigans (Handberg+ 2021) and looks for them in every frame less the mean
of all, through a median filter of 15×15 pixels. Here the cells of the stream have been such a filter
already: a cell is anomalous where it is off the sky of its frame by more than it usually is, or where
it lost pixels that it usually has. Only the stars in it, or next to it, are flagged in that cadence.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import numpy as np
import xarray as xr
from numba import njit

from tasoc_kit.config import settings
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, median_of_some
from tasoc_kit.vocabulary import KitQuality

__all__ = ["UsualCells", "carry_anomalies", "telling_frames", "touched_stars"]

SAMPLE = 64
"""Frames, spread over the sector, that tell what is usual in a cell."""
FEWEST_FRAMES = 5
LOST, LOST_SHARE, FEWEST_PIXELS = 127, 0.3, 16
"""How a cell that lost this share of the pixels it has at most, and at most so many, is marked."""
MOST_SIGMA = 126
ROWS_AT_ONCE = 8
TELLING = 2000
"""Cells that tell how much all cells of a frame scatter."""
FEWEST_CELLS = 16
"""Fewer cells cannot tell their sky from an anomaly, unless one loses nearly all its pixels."""
MOST_LOST = 0.7
SHENANIGANS = int(KitQuality.BACKGROUND_SHENANIGANS)


@njit(nogil=True, cache=True)
def _usual(sample, usual, scatter):
    """Fill in median and scatter of each cell of (rows, columns, frames); NaN where no frame knows it."""
    for i in range(sample.shape[0]):
        for j in range(sample.shape[1]):
            known = np.sort(sample[i, j])
            n = known.size
            while n and np.isnan(known[n - 1]):  # they are sorted last
                n -= 1
            middle = 0.5 * (known[(n - 1) // 2] + known[n // 2]) if n else np.nan
            distance = np.sort(np.abs(known[:n] - middle))
            usual[i, j] = middle
            scatter[i, j] = MAD_TO_SIGMA * 0.5 * (distance[(n - 1) // 2] + distance[n // 2]) if n else np.nan


def _usual_cells(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the model usually leaves in each cell, and how that scatters, electron/s."""
    usual, scatter = np.zeros(left.shape[1:]), np.zeros(left.shape[1:])
    if len(left) >= FEWEST_FRAMES:

        def fill(start: int) -> None:
            rows = slice(start, start + ROWS_AT_ONCE)
            sample = np.ascontiguousarray(left[:, rows].transpose(1, 2, 0))
            _usual(sample, usual[rows], scatter[rows])

        with ThreadPoolExecutor(settings().threads) as threads:
            list(threads.map(fill, range(0, len(usual), ROWS_AT_ONCE)))
    # A cell on the wing of a star scatters with the pointing, but none less than the others do.
    seen = scatter[np.isfinite(scatter)]
    return np.nan_to_num(usual), np.fmax(scatter, np.median(seen) if seen.size else 0.0)


@njit(nogil=True, cache=True)
def _judge(left, kept, most, usual, scatter, sigma, level, found):
    """Mark the anomalous cells of one frame; see :class:`UsualCells`."""
    flat, middle = left.ravel(), usual.ravel()
    distance = np.empty(flat.size, np.float32)
    n = 0
    # Some of the cells tell this median as well; an odd stride meets every column.
    for k in range(0, flat.size, 2 * (flat.size // (2 * TELLING)) + 1):
        if np.isfinite(flat[k]):
            distance[n] = abs(flat[k] - middle[k])
            n += 1
    # In a bright sky all cells scatter more.
    frame = MAD_TO_SIGMA * median_of_some(distance[:n]) if n else 0.0
    for i in range(left.shape[0]):
        for j in range(left.shape[1]):
            off, noise = left[i, j] - usual[i, j], max(scatter[i, j], frame)
            if noise > 0 and abs(off) > max(sigma * noise, level):
                found[i, j] = min(max(np.rint(off / noise), -MOST_SIGMA), MOST_SIGMA)
            if most[i, j] >= FEWEST_PIXELS and kept[i, j] < (1 - LOST_SHARE) * most[i, j]:
                found[i, j] = LOST


def telling_frames(seen: np.ndarray) -> np.ndarray:
    """Return the numbers of the frames, spread over those that were seen (bool), that tell what is usual."""
    frames = np.flatnonzero(seen)
    return frames[np.linspace(0, frames.size - 1, min(SAMPLE, frames.size)).astype(int)]


class UsualCells:
    """
    What the sky usually leaves in each cell, held against what it leaves in one frame.

    Parameters
    ----------
    left
        (frame, cell row, cell column): what the model leaves in the cells of :func:`telling_frames`,
        electron/s; NaN where unknown.
    most
        (cell row, cell column): the most pixels that a cell has in any frame.
    sigma, level
        An anomaly is off what is usual in its cell by both: so many sigma, and so many electron/s.
    """

    def __init__(self, left: np.ndarray, most: np.ndarray, sigma: float, level: float) -> None:
        left = np.asarray(left, np.float32)
        self.usual, self.scatter = _usual_cells(left[np.isfinite(left).any(axis=(1, 2))])
        self.most, self.sigma, self.level = most, sigma, level

    def find_anomalies(self, left: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """
        Find the cells whose light the sky of their frame does not describe.

        Parameters
        ----------
        left, kept
            (cell row, cell column): what the model leaves in the cells, electron/s, NaN where unknown; and
            the pixels in them.

        Returns
        -------
        int8 (cell row, cell column): 0 where all is well, else by how many sigma a cell is off, at most
        ±126; 127 where it lost its pixels.
        """
        found = np.zeros(left.shape, np.int8)
        if not np.isfinite(left).any():
            return found
        if found.size < FEWEST_CELLS:
            found[kept < (1 - MOST_LOST) * self.most] = LOST
            return found
        usual = self.usual, self.scatter, self.sigma, self.level
        _judge(np.asarray(left, np.float32), kept, self.most, *usual, found)
        return found


def _cell_boxes(apertures: xr.Dataset, rows: np.ndarray, columns: np.ndarray, cell: int) -> np.ndarray:
    """
    Return the cells that hold the aperture of each star, or its centre, and those next to them.

    These are int32 (star, 4): first and last row of cells, first and last column of cells, the last not
    included; nothing for a star off the frame.
    """
    size = apertures["row_size"].values
    lit = np.flatnonzero(size > 0)
    starts = np.concatenate([[0], np.cumsum(size)])[lit]
    boxes = np.zeros((size.size, 4), np.int32)
    for k, (axis, labels) in enumerate((("row", rows), ("column", columns))):
        first, cells = int(labels[0]), -(-labels.size // cell)
        centre = np.nan_to_num(np.rint(apertures[f"star_{axis}"].values) - first, nan=-1.0)
        on_frame = (centre >= 0) & (centre < labels.size)
        low = np.where(on_frame, centre // cell, cells).astype(int)
        high = np.where(on_frame, centre // cell, -2).astype(int)
        if lit.size:
            places = (apertures[f"pixel_{axis}"].values.astype(int) - first) // cell
            low[lit], high[lit] = np.minimum.reduceat(places, starts), np.maximum.reduceat(places, starts)
        boxes[:, 2 * k] = np.clip(low - 1, 0, cells)
        boxes[:, 2 * k + 1] = np.clip(high + 2, 0, cells)
    off = (boxes[:, 1] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 2])
    boxes[off] = 0
    return boxes


def touched_stars(sky: xr.Dataset, apertures: xr.Dataset) -> da.Array:
    """
    Return BACKGROUND_SHENANIGANS for the stars in or next to an anomalous cell, lazy int32 (star, time).

    Parameters
    ----------
    sky
        ``sky_anomaly`` (time, cell_row, cell_column).
    apertures
        Pixels of every star; a star without any counts by its centre.
    """
    boxes = _cell_boxes(apertures, sky["row"].values, sky["column"].values, int(sky.attrs["cell"]))
    data, block = sky["sky_anomaly"].data, int(sky.attrs.get("block", 64))
    anomaly = data if isinstance(data, da.Array) else da.from_array(data, chunks=(block, -1, -1))
    return da.blockwise(
        _flag_stars,
        "st",
        anomaly.rechunk({1: -1, 2: -1}),
        "tij",
        boxes=dask.delayed(boxes, traverse=False),
        new_axes={"s": len(boxes)},
        concatenate=True,
        dtype=np.int32,
        meta=np.empty((0, 0), np.int32),
    )


def carry_anomalies(series: xr.Dataset, sky: xr.Dataset, apertures: xr.Dataset) -> xr.Dataset:
    """Return series of stars whose lazy ``pixel_quality`` (star, time) tells of anomalies of the sky too."""
    bits = series["pixel_quality"].variable
    touched = touched_stars(sky, apertures).rechunk(bits.chunks)
    return series.assign(pixel_quality=(bits.dims, bits.data | touched))


def _flag_stars(anomaly: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the bits of every star in some frames, int32 (star, time)."""
    bits = np.zeros((len(boxes), len(anomaly)), np.int32)
    _flag(anomaly, boxes, SHENANIGANS, bits)
    return bits


@njit(nogil=True, cache=True)
def _flag(anomaly, boxes, bit, bits):
    """Set the bit of every star that has an anomaly in its box, by sums over all cells above and left."""
    frames, rows, columns = anomaly.shape
    count = np.zeros((rows + 1, columns + 1), np.int32)
    for t in range(frames):
        if not np.any(anomaly[t]):
            continue
        for i in range(rows):
            along = 0
            for j in range(columns):
                along += anomaly[t, i, j] != 0
                count[i + 1, j + 1] = count[i, j + 1] + along
        for s in range(boxes.shape[0]):
            top, bottom, left, right = boxes[s, 0], boxes[s, 1], boxes[s, 2], boxes[s, 3]
            inside = count[bottom, right] - count[top, right] - count[bottom, left] + count[top, left]
            if inside > 0:
                bits[s, t] |= bit
