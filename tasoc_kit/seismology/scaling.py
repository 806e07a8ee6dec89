"""Mass, radius and surface gravity of stars from νmax, Δν and effective temperature.

νmax scales with g / √Teff (Brown+ 1991, ApJ 368 599; Kjeldsen & Bedding 1995, A&A 293 87), Δν with the root
of the mean density (Ulrich 1986, ApJ 306 L37). The Sun as Huber+ (2011, ApJ 743 143) measured it in the same
way: νmax = 3090 ± 30 µHz, Δν = 135.1 ± 0.1 µHz.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["SUN_DNU", "SUN_LOGG", "SUN_NUMAX", "SUN_TEFF", "scale_stars"]

SUN_NUMAX, SUN_DNU = 3090.0, 135.1
SUN_TEFF, SUN_LOGG = 5772.0, 4.438
"""IAU 2015 Resolution B3 (Prša+ 2016, AJ 152 41)."""
TEFF_ERROR = 0.02
"""Relative scatter of the temperatures of the TIC (Stassun+ 2019, AJ 158 138)."""
EXPONENTS = {"mass": (3.0, -4.0, 1.5), "radius": (1.0, -2.0, 0.5), "gravity": (1.0, 0.0, 0.5)}
"""Of νmax, Δν and the temperature."""


def scale_stars(seen: Mapping[str, np.ndarray], teff: np.ndarray) -> dict[str, np.ndarray]:
    """
    Return mass and radius in those of the Sun, and log g, each with the ends of its 68 % interval.

    Parameters
    ----------
    seen
        ``numax`` and ``dnu`` with ``_low`` and ``_high`` (star), µHz.
    teff
        (star) K; NaN where it is not known, and then nothing is.

    Returns
    -------
    The errors of the three inputs are taken as independent; those to either side are added in quadrature.
    """
    teff = np.where(teff > 0, teff, np.nan)
    scatter = np.full(teff.shape, np.log1p(TEFF_ERROR))
    inputs = (
        _logarithm(seen, "numax", SUN_NUMAX),
        _logarithm(seen, "dnu", SUN_DNU),
        (np.log(teff / SUN_TEFF), scatter, scatter),
    )
    found = {}
    for name, exponents in EXPONENTS.items():
        used = [(power, one) for power, one in zip(exponents, inputs, strict=True) if power]
        value = np.sum([power * one[0] for power, one in used], axis=0)
        # A negative exponent turns what lies above into what lies below.
        below, above = (
            np.sqrt(
                np.sum([(power * one[side if power > 0 else 3 - side]) ** 2 for power, one in used], axis=0)
            )
            for side in (1, 2)
        )
        for end, log in (("", value), ("_low", value - below), ("_high", value + above)):
            if name == "gravity":
                found["logg" + end] = SUN_LOGG + log / np.log(10)
            else:
                found[name + end] = np.exp(log)
    return found


def _logarithm(seen: Mapping[str, np.ndarray], name: str, sun: float) -> tuple[np.ndarray, ...]:
    """Return the logarithm of a value over the Sun's, and its error below and above."""
    low, middle, high = (np.asarray(seen[name + end], float) for end in ("_low", "", "_high"))
    return np.log(middle / sun), np.log(middle / low), np.log(high / middle)
