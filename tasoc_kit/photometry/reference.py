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
from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.numerics.statistics import clipped_mean
from tasoc_kit.photometry.plan.pixel_noise import SATURATION, noise_of_columns
from tasoc_kit.photometry.plan.plan_frames import PlanFrames, choose_frames
from tasoc_kit.photometry.plan.plan_skies import PlanSkies, fit_plan_skies, read_bands
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.photometry.skies.absolute_sky import absolute_sky
from tasoc_kit.sources.frame_reader import open_frames
from tasoc_kit.step import Parameter, step

__all__ = ["make_reference"]

NOISE_FRAMES = 8


@step(
    version=7,
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
    floor, slope = noise_of_columns(cube, reader, plan.index[:: max(1, plan.index.size // NOISE_FRAMES)])
    # Frames as dark as the others on the whole may be twice as bright in a corner.
    skies = fit_plan_skies(cube, plan.index, 2 * darkness)
    mean = _mean_image(cube, plan, skies, (float(floor.mean()), float(slope.mean())), clip)
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
            "noise_floor": ("column", floor),
            "noise_slope": ("column", slope),
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


def _mean_image(
    cube: xr.Dataset, plan: PlanFrames, skies: PlanSkies, noise: tuple[float, float], clip: float
) -> np.ndarray:
    """Average the plan frames, each brought to their common sky and left out where it is spoiled."""
    mean = np.empty((cube.sizes["row"], cube.sizes["column"]), np.float32)
    for band, stack in read_bands(cube, plan.index):
        skies.flatten(stack, band)
        mean[band] = clipped_mean(stack, *noise, 0.0, clip)
    return mean
