"""The sky of every frame as a small linear model, fitted to the cells of the stream.

``sky(t) = reference_sky + (1 + scale(t) · gain) · surface(t) + column_noise(t)``

The surface of a frame is as fine as the frame needs (:mod:`~tasoc_kit.photometry.skies.frame_sky`). What
follows touches no pixel and no cell: the coefficients may be smoothed in time, frames that stand
out replaced, and the cells that no surface describes are flagged for the stars in them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, NamedTuple

import dask
import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit.config import settings
from tasoc_kit.photometry.conditions.manual_excludes import without_excluded_cells
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.photometry.skies.anomalies import UsualCells, telling_frames
from tasoc_kit.photometry.skies.cell_noise import CellNoise
from tasoc_kit.photometry.skies.frame_sky import CellTables, FrameFitter, FrameSky, SeenCells
from tasoc_kit.photometry.skies.sky_images import sky_ladder
from tasoc_kit.photometry.skies.sky_smoothing import replace_outliers, smooth_skies
from tasoc_kit.photometry.skies.straps import Straps, fit_straps
from tasoc_kit.photometry.stream import stream_blocks
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import KitQuality

__all__ = ["fit_sky"]

WIDE_SHARE = 0.25
"""A frame with more anomalous cells than this is flagged as a whole; with fewer, the stars in them are."""


@step(
    version=8,
    product="sky",
    needs={
        "stream": ("cells", "cell_used", "cell_variance", "column_cells", "column_used", "finite_pixels"),
        "reference": ("reference_sky", "noise_floor", "noise_slope"),
        "quality": ("frame_quality",),
    },
    gives=(
        "coefficient",
        "sky_level",
        "sky_cell_err",
        "cell_excess",
        "strap_gain",
        "strap_scale",
        "column_noise",
        "sky_anomaly",
        "frame_quality",
    ),  # fmt: skip
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
    anomaly_sigma: Annotated[
        float, Parameter("scatter of a cell by which an anomaly is off its frame's sky", ge=3)
    ] = 8.0,
    anomaly_level: Annotated[
        float, Parameter("light that an anomaly has over its frame's sky", unit="electron / s", ge=0)
    ] = 0.3,
    smooth: Annotated[
        float, Parameter("window over which skies are averaged; 0 leaves each its own", unit="h", ge=0)
    ] = 0.0,
    outlier: Annotated[
        float,
        Parameter("usual distances from its neighbours' at which a sky is replaced; 0 for never", ge=0),
    ] = 0.0,
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
    anomaly_sigma, anomaly_level
        A cell is an anomaly where it is off the sky of its frame by both: so many times its usual
        scatter, and so many electron/s.
    smooth
        Width of a centred window in time over which the surfaces are averaged, hours. TASOC's is 1.5:
        3 frames of 1800 s, 9 of 600 s, 27 of 200 s.
    outlier
        A sky that is farther from those of its neighbours than this many usual distances is replaced by
        their median, and flagged as interpolated; done before the smoothing.

    Returns
    -------
    ``coefficient`` (time, coefficient) in C order, padded with zeros to the finest level used,
    ``sky_level``, straps, column noise, ``sky_anomaly`` (time, cell_row, cell_column), and
    ``frame_quality`` with what was found. The error of the sky in a cell is
    ``sqrt(sky_err² + cell_excess · sky_cell_err² + sky_systematic²)``.
    """
    stream, excluded = without_excluded_cells(stream, quality)
    floor, slope = float(reference["noise_floor"].mean()), float(reference["noise_slope"].mean())
    typical = floor + slope * max(float(np.nanmedian(reference["reference_sky"])), 0.0)
    straps = fit_straps(stream, typical)
    fitter = FrameFitter(stream, sky_ladder(stream), straps, white, finest)
    frames, noise, anomalies = _fit_frames(
        stream, fitter, good_cadences(quality), anomaly_sigma, anomaly_level
    )
    replaced = np.zeros(len(frames), bool)
    if outlier:
        frames, replaced = replace_outliers(frames, stream["time"].values, fitter.ladder, outlier)
    if smooth:
        frames = smooth_skies(frames, stream["time"].values, fitter.ladder, smooth)
    bits = _frame_bits(stream, quality, frames, high_sky)
    bits[replaced] |= KitQuality.INTERPOLATED
    wide = np.asarray([found.places.size for found in anomalies]) / noise.size > WIDE_SHARE + excluded
    bits[wide] |= KitQuality.SKY_RESIDUAL
    return _collect(stream, quality, straps, frames, anomalies, bits).assign(
        cell_excess=(("cell_row", "cell_column"), (noise - 1).astype(np.float32))
    )


class _Anomalies(NamedTuple):
    """The few cells of a frame that are anomalous: their places among all, and by how much."""

    places: np.ndarray
    values: np.ndarray


def _fit_frames(
    stream: xr.Dataset, fitter: FrameFitter, good: np.ndarray, sigma: float, level: float
) -> tuple[list[FrameSky], np.ndarray, list[_Anomalies]]:
    """
    Return the sky of every frame, the variance of each cell over that of a usual one, and the anomalies.

    Frames that tell what is usual are fitted first, so that of the others no cells need be kept.
    """
    noise, frames, anomalies = CellNoise(fitter.most_used.shape), [], []
    telling = telling_frames(stream["finite_pixels"].values > 0)
    with ThreadPoolExecutor(settings().threads) as threads:
        early: dict[int, tuple[FrameSky, SeenCells]] = {}
        for tables in _frame_tables(stream.isel(time=telling)):
            some = telling[len(early) : len(early) + len(tables)]
            early |= zip(some, threads.map(fitter.fit, tables, some), strict=True)
        left = np.asarray([cells.left for _, cells in early.values()], np.float32)
        usual = UsualCells(left.reshape(-1, *fitter.most_used.shape), fitter.most_kept(), sigma, level)

        def fit(tables: CellTables, frame: int) -> tuple[FrameSky, np.ndarray | None, _Anomalies]:
            sky, cells = early.pop(frame, None) or fitter.fit(tables, frame)
            found = usual.find_anomalies(cells.left, cells.kept).ravel()
            places = np.flatnonzero(found)
            return sky, cells.variance, _Anomalies(places, found[places])

        for tables in _frame_tables(stream):
            for sky, variance, found in threads.map(fit, tables, itertools.count(len(frames))):
                if good[len(frames)] and variance is not None:
                    noise.add(variance)
                frames.append(sky)
                anomalies.append(found)
    return frames, noise.variance(), anomalies


def _frame_tables(stream: xr.Dataset) -> Iterator[list[CellTables]]:
    """Yield what a stream keeps of the sky of every frame, block by block."""
    for block in stream_blocks(stream, CellTables._fields):
        yield [CellTables(*one) for one in zip(*block.values(), strict=True)]


def _frame_bits(
    stream: xr.Dataset, quality: xr.Dataset, frames: list[FrameSky], high_sky: float
) -> np.ndarray:
    """Return the bits of every cadence, with what its sky tells."""
    median = np.asarray([f.median for f in frames])
    finite, zeros = stream["finite_pixels"].values, stream["zero_pixels"].values
    bits: np.ndarray = quality["frame_quality"].values.copy()
    bits[(finite == 0) | (zeros == finite) | ~np.isfinite(median)] |= KitQuality.NO_DATA
    good = (bits & KitQuality.NO_DATA) == 0
    usual = np.nanmedian(median[good]) if good.any() else 0.0
    bits[good & (median > usual + high_sky)] |= KitQuality.HIGH_SKY
    bits[good & np.asarray([f.rough for f in frames])] |= KitQuality.SKY_RESIDUAL
    return bits


def _collect(
    stream: xr.Dataset,
    quality: xr.Dataset,
    straps: Straps,
    frames: list[FrameSky],
    anomalies: list[_Anomalies],
    bits: np.ndarray,
) -> xr.Dataset:
    """Put the skies of all frames into one Dataset; what is more than a number a frame is lazy."""
    block, cells = int(stream.attrs.get("block", 64)), stream["cells"].shape[1:]
    width = max(f.coefficients.size for f in frames)

    def coefficients(some: slice) -> np.ndarray:
        table = np.zeros((len(frames[some]), width), np.float32)
        for row, f in zip(table, frames[some], strict=True):
            row[: f.coefficients.size] = f.coefficients.ravel()
        return table

    def column_noise(some: slice) -> np.ndarray:
        return np.stack([f.column_noise for f in frames[some]])

    def anomaly(some: slice) -> np.ndarray:
        table = np.zeros((len(frames[some]), *cells), np.int8)
        for frame, found in zip(table, anomalies[some], strict=True):
            frame.ravel()[found.places] = found.values
        return table

    def lazy(make: Callable[[slice], np.ndarray], dtype: type, *shape: int) -> da.Array:
        parts = [slice(i, min(i + block, len(frames))) for i in range(0, len(frames), block)]
        made = dask.delayed(make, traverse=False)
        return da.concatenate(
            [da.from_delayed(made(part), (part.stop - part.start, *shape), dtype) for part in parts]
        )

    def series(name: str) -> tuple[str, np.ndarray]:
        return "time", np.asarray([getattr(f, name) for f in frames], np.float32)

    columns = stream.sizes["column"]
    return xr.Dataset(
        {
            "coefficient": (("time", "coefficient"), lazy(coefficients, np.float32, width)),
            "sky_level": ("time", np.asarray([f.level for f in frames], np.int8)),
            "sky_median": series("median"),
            "sky_residual": series("residual"),
            "sky_err": series("error"),
            "sky_cell_err": series("cell_error"),
            "sky_systematic": series("systematic"),
            "strap_scale": ("time", straps.scale.astype(np.float32)),
            "strap_gain": ("column", straps.gain.astype(np.float32)),
            "column_noise": (("time", "column"), lazy(column_noise, np.float32, columns)),
            "column_noise_err": series("column_err"),
            "sky_anomaly": (("time", "cell_row", "cell_column"), lazy(anomaly, np.int8, *cells)),
            "quality": ("time", quality["quality"].values),
            "frame_quality": ("time", bits),
        },
        coords={name: stream[name].variable for name in ("time", "cadenceno", "row", "column")},
        attrs={"cell": int(stream.attrs["cell"]), "block": block},
    )
