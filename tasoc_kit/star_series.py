"""Light curves as every room behind the photometry takes them: in good cadences, so many stars at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, DEFAULT_BAD_KIT_BITS

__all__ = ["good_cadences", "star_blocks"]

VALUES_AT_ONCE = 4_000_000
"""Fluxes in memory at once: so many stars are taken together, whatever the cadence."""


def good_cadences(light_curves: xr.Dataset) -> np.ndarray:
    """
    Return bool (time): True where neither the mission nor we set a cadence apart.

    Parameters
    ----------
    light_curves
        ``time``, with ``quality`` and ``frame_quality`` where they are known.
    """
    good = np.isfinite(light_curves["time"].values)
    for name, bad in (("quality", DEFAULT_BAD_BITS), ("frame_quality", DEFAULT_BAD_KIT_BITS)):
        if name in light_curves.variables:
            good &= (light_curves[name].values & bad) == 0
    return good


def star_blocks(light_curves: xr.Dataset) -> Iterator[np.ndarray]:
    """Yield the numbers of the stars that are taken together."""
    stars = light_curves.sizes["star"]
    at_once = max(1, VALUES_AT_ONCE // max(light_curves.sizes["time"], 1))
    for first in range(0, stars, at_once):
        yield np.arange(first, min(first + at_once, stars))
