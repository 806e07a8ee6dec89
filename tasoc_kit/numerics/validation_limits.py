"""What numbers are held against, in one place, each with where it comes from.

Limits along magnitude are those of TASOC's data validation for full-frame images (the program ``dataval`` of
the TESS Asteroseismic Science Operations Center; bits as in its releases, Handberg+ 2021, AJ 162 170).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasoc_kit.vocabulary import Dataval

__all__ = [
    "CHECKS",
    "FEWEST",
    "HIGHEST_FLUX",
    "NOISE_TMAG",
    "REJECTING",
    "ZERO_POINT_CONTAMINATION",
    "ZERO_POINT_TMAG",
    "Check",
    "high_contamination",
    "largest_mask",
    "lowest_flux",
    "smallest_mask",
]

_MASK_TMAG = (0, 2, 2.7, 3.55, 4.2, 4.8, 5.5, 6.8, 7.6, 8.4, 9.1, 10, 10.5, 11, 11.5)
_SMALL_TMAG = (*_MASK_TMAG, 11.6)
_SMALL = (30, 30, 30, 30, 29, 28, 27, 26, 25, 22, 20, 15, 11.15, 8, 5, 4)
_LARGE_TMAG = (*_MASK_TMAG, 12, 12.7, 13.3, 14, 14.5, 15)
_LARGE = (
    *(10_000, 3200, 2400, 1400, 1200, 900, 800, 470, 260, 200, 170, 130, 120, 100, 94),
    *(86, 76, 67, 59, 54, 50),
)
_FLUX_TMAG = (0, 1.5, 9, 12.6, 13, 14, 15)
_FLUX = (8e7, 1.8e7, 12_500, 250, 59, 5, 1)
_CONTAMINATION_TMAG = (5, 6, 7, 8, 9, 10, 11, 12, 13)
_CONTAMINATION = (0.1, 0.12, 0.2, 0.3, 0.45, 0.6, 0.7, 0.8, 0.9)
_SMALLEST_MASK = 4.0
_DECIMALS = 9
"""To which limits are rounded before whole pixels are taken, so that 470 is never 470.000…1"""

REJECTING = (
    Dataval.INVALID_FLUX
    | Dataval.INVALID_CONTAMINATION
    | Dataval.SMALL_MASK
    | Dataval.LARGE_MASK
    | Dataval.INVALID_NOISE
)
"""The bits with which TASOC does not release a light curve."""
HIGHEST_FLUX = 2.0
"""Own light of a star over that of its magnitude from which on it is too bright; ours, TASOC has none."""
ZERO_POINT_CONTAMINATION = 0.15
"""Stars with more light of others have no part in the zero point (TASOC)."""
ZERO_POINT_TMAG = (6.0, 12.5)
"""Nor have saturated stars, and those of whose light a good part lies outside of their apertures; ours."""
NOISE_TMAG = (8.0, 13.0)
"""Here photon noise of the star leads, and the model depends little on the sky and the aperture; ours."""
FEWEST = 10
"""Stars that a median or a share must be of to say anything; ours."""


def _log_linear(tmag: np.ndarray, at: tuple[float, ...], limits: tuple[float, ...]) -> np.ndarray:
    limit = 10 ** np.interp(np.asarray(tmag, float), at, np.log10(limits))
    return np.asarray(np.round(limit, _DECIMALS))


def smallest_mask(tmag: np.ndarray) -> np.ndarray:
    """Return the fewest pixels an aperture should have at a magnitude; NaN for NaN."""
    return np.maximum(np.floor(_log_linear(tmag, _SMALL_TMAG, _SMALL)), _SMALLEST_MASK)


def largest_mask(tmag: np.ndarray) -> np.ndarray:
    """Return the most pixels an aperture should have at a magnitude; NaN for NaN."""
    return np.ceil(_log_linear(tmag, _LARGE_TMAG, _LARGE))


def lowest_flux(tmag: np.ndarray) -> np.ndarray:
    """Return the least flux, electron/s, that a star of a magnitude should have; NaN for NaN."""
    return _log_linear(tmag, _FLUX_TMAG, _FLUX)


def high_contamination(tmag: np.ndarray) -> np.ndarray:
    """Return the share of the light of others above which a star is contaminated; NaN for NaN."""
    return np.interp(np.asarray(tmag, float), _CONTAMINATION_TMAG, _CONTAMINATION)


@dataclass(frozen=True)
class Check:
    """One check of a CCD; it warns and fails from these values on."""

    title: str
    """What is measured."""
    warn: float
    fail: float
    source: str
    """Where the limits come from."""


_OURS = "ours"
CHECKS = {
    "errors": Check("share of stars that failed", 0.05, 0.10, "TASOC's data validation"),
    "rejected": Check("share of light curves that are not approved", 0.10, 0.30, _OURS),
    "masks": Check("share of apertures that are too small or too large", 0.05, 0.20, _OURS),
    "contamination": Check("share of stars with much light of others", 0.10, 0.30, _OURS),
    "flux": Check("share of stars whose flux does not fit their magnitude", 0.05, 0.20, _OURS),
    "zero_point": Check(
        "distance of the zero point from 20.451 mag",
        0.05,
        0.15,
        "TASOC's of sectors 1 to 5 are within 0.05 mag; it left out sector 6, which is 0.20 mag off",
    ),
    "hour_noise": Check("noise of one hour over the model, as measured", 1.5, 3.0, _OURS),
    "ptp_noise": Check("noise from cadence to cadence over the model, as measured", 1.5, 3.0, _OURS),
    "hour_change": Check("noise of one hour, corrected over as measured", 1.01, 1.10, _OURS),
    "ptp_change": Check("noise from cadence to cadence, corrected over as measured", 1.01, 1.10, _OURS),
    "duplicates": Check("stars that stand twice in the table", 1, 1, "TASOC's data validation"),
    "overlap_flux": Check("distance of the flux from that on other CCDs", 0.05, 0.20, _OURS),
    "overlap_noise": Check("noise of one hour over that on other CCDs, or the reverse", 1.5, 3.0, _OURS),
}
"""By name, in the order in which they are shown."""
