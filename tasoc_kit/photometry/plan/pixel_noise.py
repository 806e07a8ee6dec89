"""The noise of a pixel, ``var = a + b · flux``, for each of the four outputs of a CCD.

Every output has a read noise and a gain of its own. Their lines are fitted to the uncertainty images of a
few frames, so that those of all other frames never need to be read.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.numerics.detector import nominal_noise, output_of_columns
from tasoc_kit.sources.frame_reader import FrameReader

__all__ = ["fit_noise", "noise_of_columns"]

SAMPLES_PER_AXIS = 256
FEWEST_PIXELS = 1000
"""An output with fewer pixels of its own shares one line with the others of its cutout."""
SATURATION = 7.0e4
"""electron/s; above it the charge of neighbours is in a pixel (Lund+ 2015)."""
ROUNDS, OUTLIER, SMALLEST_OUTLIER = 5, 5.0, 1e-3
FEWEST_SAMPLES = 10


def fit_noise(flux: np.ndarray, variance: np.ndarray) -> tuple[float, float] | None:
    """
    Fit ``variance = a + b · flux``, without outliers such as cosmic rays.

    Parameters
    ----------
    flux, variance
        electron/s and its square, of one shape; NaN, zeros and saturated pixels are left out.

    Returns
    -------
    (a, b) in electron²/s² and electron/s; None where the pixels tell no such line.
    """
    kept = np.isfinite(flux) & np.isfinite(variance) & (variance > 0) & (flux > 0) & (flux < SATURATION)
    x, y = flux[kept].astype(float), variance[kept].astype(float)
    if x.size < FEWEST_SAMPLES:
        return None
    for _ in range(ROUNDS):
        # Relative residuals count, or the few brightest pixels would decide the line alone.
        slope, floor = np.polyfit(x, y, 1, w=1 / y)
        relative = np.abs(y / (floor + slope * x) - 1)
        near = relative < max(OUTLIER * np.median(relative), SMALLEST_OUTLIER)
        if near.all() or near.sum() < FEWEST_SAMPLES:
            break
        x, y = x[near], y[near]
    return (max(float(floor), 1e-6), float(slope)) if slope > 0 else None


def noise_of_columns(
    cube: xr.Dataset, reader: FrameReader, frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the noise of every column of a cube.

    Parameters
    ----------
    cube
        Frames; without ``flux_err``, or where it tells nothing, columns have the detector's nominal noise.
    reader
        The reader of its frames.
    frames
        Indices of the frames whose uncertainties are read.

    Returns
    -------
    a and b of ``var = a + b · flux``, float64 (column) each.
    """
    output = output_of_columns(cube["column"].values)
    nominal = nominal_noise(float(cube.attrs.get("exposure", 1425.6)))
    floor, slope = (np.full(output.size, value) for value in nominal)
    if "flux_err" not in cube.variables:
        return floor, slope
    stride = max(1, min(reader.shape) // SAMPLES_PER_AXIS)
    flux, variance = _samples(reader, frames, stride)
    present, size = np.unique(output[::stride], return_counts=True)
    if size.min() * flux[..., 0].size < FEWEST_PIXELS:
        output, present = np.zeros_like(output), np.zeros(1, output.dtype)
    for one in present:
        sampled = output[::stride] == one
        fitted = fit_noise(flux[..., sampled], variance[..., sampled])
        if fitted:
            floor[output == one], slope[output == one] = fitted
    return floor, slope


def _samples(reader: FrameReader, frames: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Return every ``stride``-th row and column of some frames: flux and variance (frame, row, column)."""
    frame = np.empty(reader.shape, np.float32)
    grid = frame[::stride, ::stride].shape
    flux, variance = (np.empty((len(frames), *grid), np.float32) for _ in range(2))
    for k, i in enumerate(frames):
        reader.read(int(i), frame)
        flux[k] = frame[::stride, ::stride]
        reader.read_err(int(i), frame)
        variance[k] = frame[::stride, ::stride] ** 2
    return flux, variance
