"""Light curves folded with a period."""

from __future__ import annotations

import holoviews as hv
import numpy as np

from tasoc_kit.plots.theme import GOOD, MUTED, plain_numbers, series_options

__all__ = ["folded"]

_PERIODS = 2
"""So that what happens at the end of a period is seen in one piece."""


def folded(
    time: np.ndarray, flux: np.ndarray, period: float, *, title: str = "", height: int = 220
) -> hv.Scatter:
    """
    Draw a light curve against its phase, twice; against time if there is no period.

    Parameters
    ----------
    time, flux
        Days, and ppm about the level; NaN where nothing is known.
    period
        Days; NaN for none.
    title, height
        What stands over the figure, and its size in screen pixels.
    """
    if not np.isfinite(period):
        drawn = hv.Scatter((time, flux), "time", "ppm").opts(color=MUTED, size=2, xlabel="time (BTJD)")
    else:
        phase = (time - time[0]) / period % 1 if time.size else time
        places = np.concatenate([phase + turn for turn in range(_PERIODS)])
        drawn = hv.Scatter((places, np.tile(flux, _PERIODS)), "phase", "ppm").opts(
            color=GOOD, size=2, alpha=0.6, xlabel=f"phase (periods of {period:.4g} d)"
        )
    return drawn.opts(
        title=title, ylabel="flux (ppm)", hooks=[plain_numbers], **series_options(height=height)
    )
