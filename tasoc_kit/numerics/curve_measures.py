"""How bright, how quiet and how variable light curves are, in a few numbers.

They are TASOC's (Handberg+ 2021, AJ 162 170; Lund+ 2021, ApJS 257 53), of the flux over its median less 1:

``rms_hour`` = 1.4826 · median of abs(hourly means − their median), ``ptp`` = median of abs(f(t+1) − f(t)),
``variability`` = std(flux − cubic polynomial) ÷ median(flux_err), and the ``variance``.
"""

from __future__ import annotations

import numpy as np

from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, median_of_rows

__all__ = ["MEASURES", "hourly_means", "measure_curves"]

MEASURES = ("mean_flux", "variance", "variability", "rms_hour", "ptp")
FEWEST = 8
"""Good cadences that a scatter needs."""
HOURS = 24.0


def _scatter(values: np.ndarray) -> np.ndarray:
    """Return the variance of each row, of what is finite; NaN where fewer than two values are."""
    finite = np.isfinite(values)
    count = finite.sum(axis=1)
    mean = np.where(finite, values, 0).sum(axis=1) / np.maximum(count, 1)
    square = np.where(finite, values - mean[:, None], 0) ** 2
    return np.where(count > 1, square.sum(axis=1) / np.maximum(count - 1, 1), np.nan)


def _without_cubic(values: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return each row less the cubic polynomial in time that fits its finite values best."""
    finite = np.isfinite(values)
    span = max(float(np.ptp(time)), 1e-9)
    basis = np.polynomial.legendre.legvander(2 * (time - time[0]) / span - 1, 3)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(time), 16)
    normal = (finite @ products).reshape(-1, 4, 4)
    right = np.where(finite, values, 0) @ basis
    coefficient = (np.linalg.pinv(normal, hermitian=True) @ right[:, :, None])[:, :, 0]
    return np.asarray(values - coefficient @ basis.T)


def hourly_means(values: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the means of the finite values of each row in bins of one hour; NaN where there are none."""
    hour = np.floor((time - time[0]) * HOURS).astype(np.int64)
    first = np.flatnonzero(np.diff(hour, prepend=-1))
    finite = np.isfinite(values)
    total = np.add.reduceat(np.where(finite, values, 0), first, axis=1)
    count = np.add.reduceat(finite, first, axis=1, dtype=np.int64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def measure_curves(flux: np.ndarray, flux_err: np.ndarray, time: np.ndarray) -> np.ndarray:
    """
    Return the measures of some light curves; of one with fewer than eight cadences only the mean.

    Parameters
    ----------
    flux, flux_err
        float64 (star, time), NaN where nothing is known.
    time
        (time) days.

    Returns
    -------
    float64 (measure, star), in the order of ``MEASURES``.
    """
    mean = median_of_rows(flux)
    relative = flux / np.where(mean > 0, mean, np.nan)[:, None] - 1
    hourly = hourly_means(relative, time)
    measures = np.stack(
        [
            mean,
            _scatter(relative),
            np.sqrt(_scatter(_without_cubic(flux, time))) / median_of_rows(flux_err),
            MAD_TO_SIGMA * median_of_rows(np.abs(hourly - median_of_rows(hourly)[:, None])),
            median_of_rows(np.abs(np.diff(relative, axis=1))),
        ]
    )
    measures[1:, np.isfinite(flux).sum(axis=1) < FEWEST] = np.nan
    return measures
