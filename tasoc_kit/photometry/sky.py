"""The sky of every frame as a small linear model, fitted to the cells of the stream.

``sky(t) = reference_sky + (1 + scale(t) · gain) · surface(t) + column_noise(t)``

The surface of a frame is as fine as the frame needs (:mod:`~tasoc_kit.photometry.skies.frame_sky`). What
follows touches no pixel and no cell: the coefficients may be smoothed in time, frames that stand
out replaced, and the cells that no surface describes are flagged for the stars in them.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import numpy as np
import xarray as xr

from tasoc_kit.config import settings
from tasoc_kit.photometry.conditions.manual_excludes import without_excluded_cells
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.photometry.skies.anomalies import find_anomalies
from tasoc_kit.photometry.skies.cell_noise import CellNoise
from tasoc_kit.photometry.skies.frame_sky import CellTables, FrameFitter, FrameSky
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
    version=7,
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
    frames, noise, left, kept = _fit_frames(stream, fitter, good_cadences(quality))
    anomaly = find_anomalies(left, kept, anomaly_sigma, anomaly_level)
    replaced = np.zeros(len(frames), bool)
    if outlier:
        frames, replaced = replace_outliers(frames, stream["time"].values, fitter.ladder, outlier)
    if smooth:
        frames = smooth_skies(frames, stream["time"].values, fitter.ladder, smooth)
    bits = _frame_bits(stream, quality, frames, high_sky)
    bits[replaced] |= KitQuality.INTERPOLATED
    bits[np.mean(anomaly != 0, axis=(1, 2)) > WIDE_SHARE + excluded] |= KitQuality.SKY_RESIDUAL
    return _collect(stream, quality, straps, frames, anomaly, bits).assign(
        cell_excess=(("cell_row", "cell_column"), (noise - 1).astype(np.float32))
    )


def _fit_frames(
    stream: xr.Dataset, fitter: FrameFitter, good: np.ndarray
) -> tuple[list[FrameSky], np.ndarray, np.ndarray, np.ndarray]:
    """
    Return the sky of every frame, and the variance of each cell over that of a usual one.

    Also what the skies leave in the cells, float32 (time, cell rows, cell columns), and their pixels, uint16.
    """
    frames: list[FrameSky] = []
    noise = CellNoise(fitter.most_used.shape)
    left = np.empty((good.size, *fitter.most_used.shape), np.float32)
    kept = np.empty(left.shape, np.uint16)
    with ThreadPoolExecutor(settings().threads) as threads:
        for block in stream_blocks(stream, CellTables._fields):
            tables = (CellTables(*one) for one in zip(*block.values(), strict=True))
            for sky, cells in threads.map(fitter.fit, tables, itertools.count(len(frames))):
                left[len(frames)], kept[len(frames)] = cells.left, cells.kept
                if good[len(frames)] and cells.variance is not None:
                    noise.add(cells.variance)
                frames.append(sky)
    return frames, noise.variance(), left, kept


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
    anomaly: np.ndarray,
    bits: np.ndarray,
) -> xr.Dataset:
    """Put the skies of all frames into one Dataset."""
    width = max(f.coefficients.size for f in frames)
    coefficient = np.zeros((len(frames), width), np.float32)
    for i, f in enumerate(frames):
        coefficient[i, : f.coefficients.size] = f.coefficients.ravel()

    def series(name: str) -> tuple[str, np.ndarray]:
        return "time", np.asarray([getattr(f, name) for f in frames], np.float32)

    made = xr.Dataset(
        {
            "coefficient": (("time", "coefficient"), coefficient),
            "sky_level": ("time", np.asarray([f.level for f in frames], np.int8)),
            "sky_median": series("median"),
            "sky_residual": series("residual"),
            "sky_err": series("error"),
            "sky_cell_err": series("cell_error"),
            "sky_systematic": series("systematic"),
            "strap_scale": ("time", straps.scale.astype(np.float32)),
            "strap_gain": ("column", straps.gain.astype(np.float32)),
            "column_noise": (
                ("time", "column"),
                np.stack([f.column_noise for f in frames]),
            ),
            "column_noise_err": series("column_err"),
            "sky_anomaly": (("time", "cell_row", "cell_column"), anomaly),
            "quality": ("time", quality["quality"].values),
            "frame_quality": ("time", bits),
        },
        coords={name: stream[name].variable for name in ("time", "cadenceno", "row", "column")},
        attrs={"cell": int(stream.attrs["cell"]), "block": int(stream.attrs.get("block", 64))},
    )
    # In blocks, so that who works through the sector never holds all of it.
    return made.assign(
        {
            name: v.chunk(time=made.attrs["block"])
            for name, v in made.variables.items()
            if v.ndim > 1 and "time" in v.dims
        }
    )
