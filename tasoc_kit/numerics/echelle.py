"""The échelle diagram: a spectrum cut into pieces of one large separation, laid above each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

__all__ = ["Echelle", "echelle"]

SHARPEST = 0.004
"""Of Δν: the scatter of the kernel below which nothing is smoothed."""
MOST_COLUMNS = 400


class Echelle(NamedTuple):
    """A spectrum by order and place in the order."""

    modulo: np.ndarray
    """(column) µHz from the start of an order."""
    order: np.ndarray
    """(row) µHz at which an order starts: a whole multiple of Δν."""
    power: np.ndarray
    """(row, column) NaN beyond the spectrum."""


def echelle(
    frequency: np.ndarray,
    power: np.ndarray,
    dnu: float,
    *,
    low: float = 0.0,
    high: float = np.inf,
    smooth: float = 0.02,
) -> Echelle:
    """
    Cut a spectrum into orders (Grec+ 1983, Solar Phys. 82 55).

    Modes of one degree stand above each other where Δν is right, and lean where it is not.

    Parameters
    ----------
    frequency
        µHz, evenly spaced, upwards.
    power
        Of any unit, as ppm²/µHz or over the background.
    dnu
        Large separation, µHz.
    low, high
        µHz between which orders are shown.
    smooth
        Scatter of the kernel, over Δν.

    Returns
    -------
    At most 400 columns, none finer than the frequencies. Without a frequency or a positive Δν it is empty.
    """
    low, high = max(low, 0.0), min(high, float(frequency[-1])) if frequency.size else 0.0
    if frequency.size < 2 or not dnu > 0 or not high > low:
        return Echelle(np.empty(0), np.empty(0), np.empty((0, 0)))
    step = frequency[1] - frequency[0]
    scatter = smooth * dnu / step
    smoothed = gaussian_filter1d(power.astype(float), scatter) if scatter > SHARPEST * dnu / step else power
    columns = int(np.clip(dnu / step, 1, MOST_COLUMNS))
    modulo = (np.arange(columns) + 0.5) * dnu / columns
    order = dnu * np.arange(np.floor(low / dnu), np.ceil(high / dnu))
    at = order[:, None] + modulo
    return Echelle(modulo, order, np.interp(at, frequency, smoothed, left=np.nan, right=np.nan))
