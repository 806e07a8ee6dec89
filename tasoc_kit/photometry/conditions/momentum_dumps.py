"""When the reaction wheels were unloaded: later stages split their series there.

The mission sets DESAT in these cadences. Where no cadence of a sector has the bit, the lone jumps of
the pointing stand for it: the thrusters displace one frame or two, and the next is back in place.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.vocabulary import KitQuality, TessQuality

__all__ = ["list_dumps"]

LONGEST_JUMP = 3
"""Frames; a longer displacement is no unloading."""


def list_dumps(quality: xr.Dataset, pointing_bits: np.ndarray | None = None) -> dict[str, object]:
    """
    Return attrs with the times of the momentum dumps, BTJD, and with what told them.

    Parameters
    ----------
    quality
        Bits of the mission.
    pointing_bits
        ``frame_quality`` with the outliers of the pointing, for sectors without the bit.
    """
    desaturated = (quality["quality"].values & int(TessQuality.DESAT)) != 0
    times, numbers = quality["time"].values, quality["cadenceno"].values
    if desaturated.any():
        return {"dump_times": _events(desaturated, times, numbers, times.size), "dumps_from": "DESAT"}
    if pointing_bits is None:
        return {"dump_times": [], "dumps_from": "DESAT"}
    jumped = (pointing_bits & int(KitQuality.POINTING_OUTLIER)) != 0
    return {"dump_times": _events(jumped, times, numbers, LONGEST_JUMP), "dumps_from": "pointing"}


def _events(marked: np.ndarray, times: np.ndarray, numbers: np.ndarray, longest: int) -> list[float]:
    """Return the mid-time of every run of marked, neighbouring cadences."""
    places = np.flatnonzero(marked)
    if not places.size:
        return []
    runs = np.split(places, np.flatnonzero(np.diff(numbers[places]) > 1) + 1)
    return [float(times[run].mean()) for run in runs if run.size <= longest]
