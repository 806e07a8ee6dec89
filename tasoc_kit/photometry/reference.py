"""The star image of a sector, and all that is learned from a few dozen frames.

Dark, steady frames from the whole sector are brought to one sky and averaged without what
moves through them. From the average comes the sky that was under it, and from the
uncertainties of the same frames the noise model ``var = a + b · flux``, so that the uncertainty
images of all other frames never need to be read.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.cells import NO_APERTURES, empty_tables, measure_frame
from tasoc_kit.numerics.detector import is_strap, nominal_noise
from tasoc_kit.numerics.splines import Ladder
from tasoc_kit.numerics.statistics import clipped_mean
from tasoc_kit.photometry.absolute_sky import absolute_sky
from tasoc_kit.photometry.plan_frames import PlanFrames, choose_frames
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.sources.ffi import FrameReader, open_frames
from tasoc_kit.step import Parameter, step

__all__ = ["make_reference"]

CELL = 16
PLAN_LEVEL = 3
"""Level of the surface that brings the plan frames to one sky."""
BAND_BYTES = 128 * 2**20
NOISE_FRAMES = 8
SATURATION = 7.0e4
"""electron/s; K2P2 keeps pixels fainter than this (Lund+ 2015)."""


@step(
    version=2,
    product="reference",
    needs={"cube": ("flux",), "quality": ("quality", "frame_quality"), "pointing": ("motion_row",)},
    gives=("reference", "reference_sky", "star_mask", "saturated", "noise_floor", "noise_slope"),
    libraries=("numpy", "scipy", "numba"),
)
def make_reference(
    cube: xr.Dataset,
    quality: xr.Dataset,
    pointing: xr.Dataset,
    *,
    frames: Annotated[int, Parameter("frames to average", ge=1, le=96)] = 48,
    steadiness: Annotated[
        float, Parameter("largest offset from the median pointing", unit="pix", gt=0)
    ] = 0.1,
    darkness: Annotated[
        float, Parameter("sky above the darkest quarter of the candidates", unit="electron / s", gt=0)
    ] = 10.0,
    clip: Annotated[
        float, Parameter("distance from the median that an average forgives", unit="", gt=1)
    ] = 5.0,
) -> xr.Dataset:
    """
    Average dark, steady frames of a sector into one deep star image.

    Parameters
    ----------
    cube
        Frames of one CCD or cutout.
    quality
        Bits of every cadence.
    pointing
        Offset of every cadence.
    frames
        Frames to average; fewer are used, and reported, where too few are dark.
    steadiness
        Largest offset from the median pointing, pixels.
    darkness
        Sky above the darkest quarter of the candidates that is still dark, electron/s.
    clip
        Distance from the median, in sigma, at which a pixel of a frame is left out.

    Returns
    -------
    ``reference`` (row, column) without sky, ``reference_sky``, ``star_mask``, ``saturated`` and
    the noise model, with the cadences it was made from.

    Raises
    ------
    StepInputError
        If no frame has data.
    """
    reader = open_frames(cube)
    offset = np.hypot(
        pointing["motion_row"] - np.nanmedian(pointing["motion_row"]),
        pointing["motion_column"] - np.nanmedian(pointing["motion_column"]),
    ).values
    steady = ~(offset > steadiness)
    plan = choose_frames(reader, good_cadences(quality), steady, frames, darkness)
    if plan.index.size == 0:
        raise StepInputError(
            f"make_reference: {plan.reason} among {cube.sizes['time']} frames; expected at least one frame "
            "with finite, non-zero pixels. Look at the frames with 'tasoc dashboard'."
        )
    floor, slope = _noise_model(cube, reader, plan)
    mean = _mean_image(cube, reader, plan, (floor, slope), clip)
    sky, star_mask = absolute_sky(mean, is_strap(cube["column"].values))
    star_image = (mean - sky).astype(np.float32)
    times = cube["time"].values[plan.index]
    cadences = cube["cadenceno"].values[plan.index]
    best = plan.index[int(np.argmin(offset[plan.index]))]
    place = ("row", "column")
    return xr.Dataset(
        {
            "reference": (place, star_image),
            "reference_sky": (place, sky),
            "star_mask": (place, star_mask),
            "saturated": (place, mean > SATURATION),
            "noise_floor": floor,
            "noise_slope": slope,
            "plan_cadenceno": ("plan_frame", cadences.astype(np.int32)),
            "plan_time": ("plan_frame", times),
            "plan_sky": ("plan_frame", (plan.level - plan.level.min()).astype(np.float32)),
        },
        coords={name: cube[name].variable for name in ("row", "column")},
        attrs={
            "wcs": str(cube["wcs"].values[best]) if "wcs" in cube.variables else "",
            "time": float(cube["time"].values[best]),
            "note": plan.reason,
        },
    )


def _noise_model(cube: xr.Dataset, reader: FrameReader, plan: PlanFrames) -> tuple[float, float]:
    """Fit ``var = a + b · flux`` to the uncertainties of some plan frames; else take the detector's."""
    nominal = nominal_noise(float(cube.attrs.get("exposure", 1425.6)))
    if "flux_err" not in cube.variables:
        return nominal
    flux, variance = [], []
    frame, error = np.empty(reader.shape, np.float32), np.empty(reader.shape, np.float32)
    stride = max(1, min(reader.shape) // 256)
    for i in plan.index[:: max(1, plan.index.size // NOISE_FRAMES)]:
        reader.read(int(i), frame)
        reader.read_err(int(i), error)
        # A flat view of the buffer would be overwritten by the next frame.
        flux.append(frame[::stride, ::stride].flatten())
        variance.append(error[::stride, ::stride].ravel().astype(float) ** 2)
    x, y = np.concatenate(flux).astype(float), np.concatenate(variance)
    kept = np.isfinite(x) & np.isfinite(y) & (y > 0) & (x > 0) & (x < SATURATION)
    if kept.sum() < 10:
        return nominal
    x, y = x[kept], y[kept]
    for _ in range(5):
        # Relative residuals count, or the few brightest pixels would decide the line alone.
        slope, floor = np.polyfit(x, y, 1, w=1 / y)
        relative = np.abs(y / (floor + slope * x) - 1)
        near = relative < max(5 * np.median(relative), 1e-3)
        if near.all() or near.sum() < 10:
            break
        x, y = x[near], y[near]
    return (float(max(floor, 1e-6)), float(slope)) if slope > 0 else nominal


def _sky_differences(
    cube: xr.Dataset, reader: FrameReader, plan: PlanFrames, noise: tuple[float, float]
) -> tuple[Ladder, list[np.ndarray], int]:
    """Fit the sky of every plan frame over that of the darkest one."""
    shape = reader.shape
    pivot, frame = np.empty(shape, np.float32), np.empty(shape, np.float32)
    reader.read(int(plan.index[int(np.argmin(plan.level))]), pivot)
    pivot[pivot * noise[1] > 4 * (noise[0] + noise[1] * np.nanmedian(pivot))] = np.nan
    strap = is_strap(cube["column"].values)
    if strap.all():
        strap[:] = False
    ladder = Ladder(shape, CELL, ~strap)
    level = min(PLAN_LEVEL, len(ladder.surfaces) - 1)
    tables = empty_tables(1, shape, 0, CELL, 8 * CELL)
    image = np.empty((0, 0), np.float32)
    # The pivot has the noise of one frame, as the frame that is compared with it has.
    double = (2 * noise[0], 2 * noise[1])
    coefficients = []
    for i in plan.index:
        reader.read(int(i), frame)
        out = tables._make(table[0] for table in tables)
        out.cells[:] = np.nan
        measure_frame(frame, pivot, strap, double, 6.5, CELL, 8 * CELL, NO_APERTURES, out, image, False, True)
        weight = (out.cell_used >= 0.3 * out.cell_used.max()).astype(float) * np.isfinite(out.cells)
        coefficients.append(ladder.fit(out.cells, weight, level))
    return ladder, coefficients, level


def _mean_image(
    cube: xr.Dataset, reader: FrameReader, plan: PlanFrames, noise: tuple[float, float], clip: float
) -> np.ndarray:
    """Average the plan frames, each brought to the sky of the darkest one."""
    ladder, coefficients, level = _sky_differences(cube, reader, plan, noise)
    surface = ladder.surfaces[level]
    rows, columns = reader.shape
    height = max(1, min(rows, BAND_BYTES // (4 * columns * plan.index.size)))
    mean = np.empty(reader.shape, np.float32)
    for start in range(0, rows, height):
        band = slice(start, min(start + height, rows))
        stack = np.empty((plan.index.size, band.stop - band.start, columns), np.float32)
        # A reader of some rows asks the files for those rows alone.
        rows_reader = open_frames(cube.isel(row=band))
        for k, i in enumerate(plan.index):
            rows_reader.read(int(i), stack[k])
            sky = surface.rows.pixels[band] @ coefficients[k] @ surface.columns.pixels.T
            stack[k] -= sky
        mean[band] = clipped_mean(stack, noise[0], noise[1], 0.0, clip)
    return mean
