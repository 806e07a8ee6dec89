"""The bits of every star, TASOC's, and which light curves they let out."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.numerics import validation_limits as limits
from tasoc_kit.vocabulary import ApertureFlag, Dataval, Method, Status

__all__ = ["is_approved", "measured_stars", "star_flags"]


def measured_stars(stars: xr.Dataset) -> np.ndarray:
    """Return True (star) for the stars that have a light curve: status OK or WARNING."""
    return np.isin(stars["status"].values, (Status.OK, Status.WARNING))


def star_flags(stars: xr.Dataset, zero_point: float) -> np.ndarray:
    """
    Return the bits of every star.

    Parameters
    ----------
    stars
        (star): the diagnostics with ``tmag``, ``noise_hour`` and ``noise_ptp``.
    zero_point
        TESS magnitude of 1 electron/s, for what is too bright.

    Returns
    -------
    int32 (star); 0 for a star without a light curve. Without a magnitude a star has only those bits that
    need none. Stars that halo photometry serves have none of aperture, magnitude and contamination.
    """
    own = {str(n): v.values.astype(float) for n, v in stars.variables.items() if v.dtype.kind == "f"}
    tmag, flux, contamination = own["tmag"], own["mean_flux"], own["contamination"]
    pixels, made = stars["row_size"].values, stars["aperture_flags"].values
    by_aperture = stars["method"].values != Method.HALO
    alone = flux * (1 - np.nan_to_num(contamination))
    unusable = ~((contamination >= 0) & (contamination < 1))
    found = {
        Dataval.MAG_VS_FLUX_HIGH: alone > limits.HIGHEST_FLUX * 10 ** (-0.4 * (tmag - zero_point)),
        Dataval.MAG_VS_FLUX_LOW: flux < limits.lowest_flux(tmag),
        Dataval.MINIMAL_MASK: (made & ApertureFlag.MINIMUM) != 0,
        Dataval.SMALL_MASK: (pixels < limits.smallest_mask(tmag)) & (pixels > 0),
        Dataval.LARGE_MASK: pixels > limits.largest_mask(tmag),
        Dataval.INVALID_CONTAMINATION: unusable,
        Dataval.CONTAMINATION_HIGH: ~unusable & (contamination > limits.high_contamination(tmag)),
    }
    found = {bit: some & by_aperture for bit, some in found.items()} | {
        Dataval.LOW_PTP: (own["ptp"] > 0) & (own["ptp"] < own["noise_ptp"]),
        Dataval.LOW_RMS: (own["rms_hour"] > 0) & (own["rms_hour"] < own["noise_hour"]),
        Dataval.INVALID_FLUX: ~(flux > 0),
        Dataval.INVALID_NOISE: ~((own["rms_hour"] > 0) & (own["ptp"] > 0)),
    }
    bits = np.zeros(tmag.size, np.int32)
    for bit, some in found.items():
        bits[some & measured_stars(stars)] |= int(bit)
    return bits


def is_approved(stars: xr.Dataset, bits: np.ndarray) -> np.ndarray:
    """Return True (star) where there is a light curve and TASOC would release it."""
    return measured_stars(stars) & ((bits & int(limits.REJECTING)) == 0)
