"""The sky of every frame as a small linear model, fitted to the cells of the stream.

``sky(t) = reference_sky + (1 + scale(t) · gain) · surface(t) + column_noise(t)``

The surface climbs from a constant over a plane to ever finer splines until what it leaves is
white: its scatter is that of neighbouring cells among themselves, which photon noise and the
residuals of moving stars explain. The finest has one segment per cell. The columns, which carry
an offset of their own in every frame, are measured on the column cells between two fits of the
surface.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import xarray as xr
from numba import njit

from tasoc_kit.config import settings
from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.numerics.splines import Ladder
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.photometry.manual_excludes import without_excluded_cells
from tasoc_kit.photometry.straps import Straps, fit_straps
from tasoc_kit.photometry.stream import stream_blocks
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import KitQuality

__all__ = ["fit_sky", "sky_image", "sky_ladder"]

USED_SHARE = 0.3
"""A cell with a smaller share of its pixels left is no measurement."""
COLUMN_LEVEL = 2
"""Level of the surface under which the columns are first measured."""
OUTLIER, OUTLIER_SHARE = 8.0, 0.02
INNER, INNER_SIGMA = 0.9, 1.6449
"""The scatter is read off at the 90 % of the cells nearest to the surface, at 1.645 sigma if white."""
FREEDOM, SAMPLING = 0.2, 2.0
FAR, FAR_SHARE, LOST_SHARE = 5.0, 0.02, 0.05
"""A frame is flagged if more than 2 % of its cells are 5 white levels off its surface, or 5 % are lost."""
FEWEST_CELLS, FEWEST_DIFFERENCES = 4, 30


@step(
    version=2,
    product="sky",
    needs={
        "stream": ("cells", "cell_used", "cell_variance", "column_cells", "column_used", "finite_pixels"),
        "reference": ("reference_sky", "noise_floor", "noise_slope"),
        "quality": ("frame_quality",),
    },
    gives=("coefficient", "sky_level", "strap_gain", "strap_scale", "column_noise", "frame_quality"),
    libraries=("numpy", "scipy", "numba"),
)
def fit_sky(
    stream: xr.Dataset,
    reference: xr.Dataset,
    quality: xr.Dataset,
    *,
    white: Annotated[
        float, Parameter("residual over white noise at which a surface is fine enough", ge=1)
    ] = 1.2,
    finest: Annotated[
        int, Parameter("finest level of the surface, 0 a constant to 5 the cells", ge=0, le=5)
    ] = 5,
    high_sky: Annotated[
        float, Parameter("sky above the sector's median that is flagged", unit="electron / s", gt=0)
    ] = 10.0,
) -> xr.Dataset:
    """
    Fit the sky of every frame.

    Parameters
    ----------
    stream
        Cells of every frame.
    reference
        Sky and noise model of the reference.
    quality
        Bits of every cadence.
    white
        Residual, over white noise, at which a surface is fine enough.
    finest
        Finest level of the surface.
    high_sky
        Sky above the sector's median that is flagged, electron/s.

    Returns
    -------
    ``coefficient`` (time, coefficient) in C order, padded with zeros to the finest level used,
    ``sky_level``, straps, column noise, errors, and ``frame_quality`` with what was found.
    """
    stream, excluded = without_excluded_cells(stream, quality)
    floor, slope = float(reference["noise_floor"].mean()), float(reference["noise_slope"].mean())
    typical = floor + slope * max(float(np.nanmedian(reference["reference_sky"])), 0.0)
    straps = fit_straps(stream, typical)
    fitter = _Fitter(stream, sky_ladder(stream), straps, white, finest, excluded)
    frames: list[_FrameSky] = []
    with ThreadPoolExecutor(settings().threads) as threads:
        for block in stream_blocks(stream, _Tables._fields):
            tables = (_Tables(*one) for one in zip(*block.values(), strict=True))
            frames += threads.map(fitter.fit, tables, itertools.count(len(frames)))
    return _collect(stream, quality, straps, frames, high_sky)


def sky_ladder(sky: xr.Dataset) -> Ladder:
    """Return the surfaces that the coefficients of a sky, or the cells of a stream, belong to."""
    sky_columns = ~is_strap(sky["column"].values)
    if not sky_columns.any():
        sky_columns[:] = True
    return Ladder((sky.sizes["row"], sky.sizes["column"]), int(sky.attrs["cell"]), sky_columns)


def sky_image(sky: xr.Dataset, reference: xr.Dataset, frame: int) -> np.ndarray:
    """
    Return the whole sky of one frame.

    Parameters
    ----------
    sky, reference
        The products.
    frame
        Index of the frame.

    Returns
    -------
    float64 (rows, columns), electron/s
    """
    one = sky.isel(time=frame)
    surface = sky_ladder(sky).surfaces[int(one["sky_level"])]
    coefficients = one["coefficient"].values[: surface.size].astype(float)
    smooth = surface.on_pixels(coefficients.reshape(surface.coefficient_shape))
    gain = 1 + float(one["strap_scale"]) * sky["strap_gain"].values
    return reference["reference_sky"].values + gain * smooth + one["column_noise"].values


class _Tables(NamedTuple):
    """What the stream keeps of the sky of one frame."""

    cells: np.ndarray
    cell_used: np.ndarray
    cell_variance: np.ndarray
    column_cells: np.ndarray
    column_used: np.ndarray


class _Fit(NamedTuple):
    """One surface, and how well it describes the cells."""

    level: int
    coefficients: np.ndarray
    residual: float
    far: float
    """Share of the cells that are far off the surface."""


@dataclass(frozen=True)
class _FrameSky:
    """The sky of one frame."""

    level: int
    coefficients: np.ndarray
    column_noise: np.ndarray
    column_err: float
    median: float
    residual: float
    error: float
    systematic: float
    rough: bool
    """True if no smooth surface describes the sky."""


class _Fitter:
    """Fits one frame after another; holds what they share."""

    def __init__(
        self,
        stream: xr.Dataset,
        ladder: Ladder,
        straps: Straps,
        white: float,
        finest: int,
        excluded: np.ndarray,
    ) -> None:
        self.excluded = excluded
        self.ladder, self.straps, self.white = ladder, straps, white
        self.top = min(finest, len(ladder.surfaces) - 1)
        self.first = min(COLUMN_LEVEL, self.top)
        self.cell, self.band = int(stream.attrs["cell"]), int(stream.attrs["band"])
        self.sky_column = ladder.sky_columns
        self.most_used = stream["cell_used"].max("time").values.astype(float)
        starts = np.arange(0, self.sky_column.size, self.cell)
        self.cell_columns = np.maximum(np.add.reduceat(self.sky_column.astype(float), starts), 1.0)
        self.column_starts = starts
        rows = ladder.shape[0]
        self.cell_rows = np.diff(np.append(np.arange(0, rows, self.cell), rows))
        self.band_rows = [
            np.add.reduceat(s.rows.pixels, np.arange(0, rows, self.band), axis=0)
            / np.diff(np.append(np.arange(0, rows, self.band), rows))[:, None]
            for s in ladder.surfaces
        ]

    def fit(self, tables: _Tables, frame: int) -> _FrameSky:
        """Fit one frame from its tables."""
        cells = tables.cells.astype(float)
        used = tables.cell_used.astype(float)
        full = self.cell_rows[:, None] * self.cell_columns[None, :]
        known = np.isfinite(cells) & (used >= USED_SHARE * full)
        if not known.any():
            known = np.isfinite(cells) & (used > 0)
        if not known.any():
            return self._nothing()
        weight = np.where(known, used / full, 0.0)
        noise = np.sqrt(tables.cell_variance / np.maximum(used, 1))
        # A quarter of the cells tells these medians as well.
        variance, white = (float(np.median(x[known][::4])) for x in (tables.cell_variance, noise))
        gain = 1 + self.straps.scale[frame] * self.straps.gain
        first = self.ladder.fit(cells, weight, self.first)
        column, column_err = self._columns(tables, self.first, first, gain, variance, np.zeros(gain.size))
        flat = cells - self._on_cells(column)
        level, coefficients, residual, far = self._climb(flat, weight, noise, first)
        more, _ = self._columns(tables, level, coefficients, gain, variance, column)
        column = column + more
        surface = self.ladder.surfaces[level]
        return _FrameSky(
            level,
            coefficients,
            column,
            column_err,
            float(np.median(surface.on_cells(coefficients)[::2, ::2])),
            residual,
            white * float(np.sqrt(min(1.0, surface.size / known.sum()))),
            white * float(np.sqrt(max(0.0, residual**2 - 1))),
            residual > self._limit(int(known.sum()))
            or far > FAR_SHARE
            or self._lost(used) > LOST_SHARE + self.excluded[frame]
            or level == len(self.ladder.surfaces) - 1 >= COLUMN_LEVEL,
        )

    def _lost(self, used: np.ndarray) -> float:
        """Return the share of the cells that hold far fewer pixels than they do in other frames."""
        held = self.most_used > 0
        return float(np.mean(used[held] < USED_SHARE * self.most_used[held]))

    def _nothing(self) -> _FrameSky:
        columns = np.full(self.ladder.shape[1], np.nan)
        return _FrameSky(0, np.full((1, 1), np.nan), columns, *[np.nan] * 5, rough=False)

    def _on_cells(self, column: np.ndarray) -> np.ndarray:
        """Return the mean of the column noise over the sky columns of each cell."""
        total = np.add.reduceat(np.where(self.sky_column, column, 0.0), self.column_starts)
        return (total / self.cell_columns)[None, :]

    def _columns(
        self,
        tables: _Tables,
        level: int,
        coefficients: np.ndarray,
        gain: np.ndarray,
        variance: float,
        known: np.ndarray,
    ) -> tuple[np.ndarray, float]:
        """
        Return the offset of every column that the surface and known offsets leave.

        ``variance`` is that of a pixel. Offsets are drawn towards zero as far as their own noise
        explains their scatter.
        """
        surface = self.ladder.surfaces[level]
        smooth = self.band_rows[level] @ coefficients @ surface.columns.pixels.T
        offset, amount = _column_offsets(tables.column_cells, tables.column_used, smooth, gain, known)
        error = np.sqrt(variance / np.maximum(amount, 1))
        sample = offset[self.sky_column & (amount > 0)]
        typical = float(np.median(error))
        real = 0.0
        if sample.size > 2:
            scatter = MAD_TO_SIGMA * float(np.median(np.abs(sample - np.median(sample))))
            real = max(0.0, scatter**2 - typical**2)
        share = np.where(self.sky_column, real / (real + error**2), 1.0) if real else (~self.sky_column) * 1.0
        if amount.max(initial=0) < 2 * self.cell:
            share = np.zeros(amount.size)
        return offset * share, float(np.sqrt(real * typical**2 / (real + typical**2))) if real else 0.0

    def _climb(self, cells: np.ndarray, weight: np.ndarray, noise: np.ndarray, first: np.ndarray) -> _Fit:
        """
        Climb the ladder, from the level of ``first`` on, until what is left is white.

        The level with the smallest expected error is kept: the structure that it leaves, plus
        the noise that its coefficients bring in.
        """
        weight = weight.copy()
        known = max(1, int((weight > 0).sum()))
        best, least, coefficients = _Fit(self.first, first, 0.0, 0.0), np.inf, first
        for level in range(self.first, self.top + 1):
            below = coefficients if level == self.first else self.ladder.refine(level - 1, coefficients)
            coefficients = self.ladder.improve(cells, weight, level, below)
            left = self._left(cells, noise, level, coefficients)
            if level >= COLUMN_LEVEL and self._drop_outliers(left, weight):
                coefficients = self.ladder.improve(cells, weight, level, below)
                left = self._left(cells, noise, level, coefficients)
            fit = self._judge(left, weight, level, coefficients)
            score = max(0.0, fit.residual**2 - 1) + self.ladder.surfaces[level].size / known
            if score < least:
                best, least = fit, score
            if fit.residual <= self._limit(known) or self._noise_above(level, known) >= least:
                break
        return best

    def _limit(self, known: int) -> float:
        """Return the residual that is white enough; few cells cannot tell it better than this."""
        return self.white * (1 + SAMPLING / np.sqrt(known))

    def _noise_above(self, level: int, known: int) -> float:
        """Return the noise that the next level would bring in, over that of a cell."""
        return self.ladder.surfaces[level + 1].size / known if level < self.top else np.inf

    def _left(self, cells: np.ndarray, noise: np.ndarray, level: int, coefficients: np.ndarray) -> np.ndarray:
        return (cells - self.ladder.surfaces[level].on_cells(coefficients)) / np.maximum(noise, 1e-9)

    def _judge(self, left: np.ndarray, weight: np.ndarray, level: int, coefficients: np.ndarray) -> _Fit:
        """
        Judge a fit by its residuals over their white level.

        Their scatter is that of the inner 90 % of the cells. Cells far off tell of something that
        no surface describes, as on either side of a sharp edge.
        """
        kept = weight > 0
        if kept.sum() < FEWEST_CELLS:
            return _Fit(level, coefficients, 0.0, 0.0)
        white, distance = _white_level(left, kept), np.abs(left[kept])
        residual = float(np.quantile(distance, INNER)) / INNER_SIGMA / white
        # Where the coefficients are nearly as many as the cells, the residuals themselves are compared.
        freedom = 1 - self.ladder.surfaces[level].size / kept.sum()
        if freedom > FREEDOM:
            residual /= np.sqrt(freedom)
        return _Fit(level, coefficients, residual, float(np.mean(distance > FAR * white)))

    def _drop_outliers(self, left: np.ndarray, weight: np.ndarray) -> bool:
        """Take weight from a few cells far off the surface (an asteroid, a variable star)."""
        kept = weight > 0
        distance = np.abs(left[kept])
        far = distance > OUTLIER * max(1.0, MAD_TO_SIGMA * float(np.median(distance)))
        if not far.any() or far.sum() > OUTLIER_SHARE * far.size:
            return False
        weight[kept] = np.where(far, 0.0, weight[kept])
        return True


@njit(nogil=True, cache=True)
def _column_offsets(cells, used, smooth, gain, known):
    """Return the mean over the bands of what surface and known offsets leave, and the pixels in it."""
    total, amount = np.zeros(cells.shape[1]), np.zeros(cells.shape[1])
    for b in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            if used[b, c] > 0:
                total[c] += used[b, c] * (cells[b, c] - gain[c] * smooth[b, c] - known[c])
                amount[c] += used[b, c]
    return total / np.maximum(amount, 1.0), amount


@njit(nogil=True, cache=True)
def _white_level(left, kept):
    """Return by how much neighbouring cells differ, over the noise of their pixels; at least 1."""
    rows, columns = left.shape
    differences = np.empty(left.size)
    count = 0
    for i in range(1, rows - 1):
        for j in range(1, columns - 1):
            around = kept[i - 1, j] and kept[i + 1, j] and kept[i, j - 1] and kept[i, j + 1]
            if around and kept[i, j]:
                mean = (left[i - 1, j] + left[i + 1, j] + left[i, j - 1] + left[i, j + 1]) / 4
                differences[count] = abs(left[i, j] - mean)
                count += 1
    if count < FEWEST_DIFFERENCES:
        return 1.0
    return max(1.0, MAD_TO_SIGMA * np.median(differences[:count]) * np.sqrt(4 / 5))


def _collect(
    stream: xr.Dataset,
    quality: xr.Dataset,
    straps: Straps,
    frames: list[_FrameSky],
    high_sky: float,
) -> xr.Dataset:
    """Put the skies of all frames into one Dataset and flag the frames."""
    width = max(f.coefficients.size for f in frames)
    coefficient = np.zeros((len(frames), width), np.float32)
    for i, f in enumerate(frames):
        coefficient[i, : f.coefficients.size] = f.coefficients.ravel()
    median = np.asarray([f.median for f in frames])
    finite, zeros = stream["finite_pixels"].values, stream["zero_pixels"].values
    bits = quality["frame_quality"].values.copy()
    bits[(finite == 0) | (zeros == finite) | ~np.isfinite(median)] |= KitQuality.NO_DATA
    good = (bits & KitQuality.NO_DATA) == 0
    usual = np.nanmedian(median[good]) if good.any() else 0.0
    bits[good & (median > usual + high_sky)] |= KitQuality.HIGH_SKY
    bits[good & np.asarray([f.rough for f in frames])] |= KitQuality.SKY_RESIDUAL

    def series(name: str) -> tuple[str, np.ndarray]:
        return "time", np.asarray([getattr(f, name) for f in frames], np.float32)

    return xr.Dataset(
        {
            "coefficient": (("time", "coefficient"), coefficient),
            "sky_level": ("time", np.asarray([f.level for f in frames], np.int8)),
            "sky_median": series("median"),
            "sky_residual": series("residual"),
            "sky_err": series("error"),
            "sky_systematic": series("systematic"),
            "strap_scale": ("time", straps.scale.astype(np.float32)),
            "strap_gain": ("column", straps.gain.astype(np.float32)),
            "column_noise": (
                ("time", "column"),
                np.stack([f.column_noise for f in frames]).astype(np.float32),
            ),
            "column_noise_err": series("column_err"),
            "quality": ("time", quality["quality"].values),
            "frame_quality": ("time", bits),
        },
        coords={name: stream[name].variable for name in ("time", "cadenceno", "row", "column")},
        attrs={"cell": int(stream.attrs["cell"]), "block": int(stream.attrs.get("block", 64))},
    )
