"""The photometric noise that is expected at a magnitude.

TASOC's model: photon noise of the star, zodiacal light and read noise in an
aperture whose size follows from the magnitude, and a systematic floor, added in quadrature.
Method: Handberg et al. 2021, AJ 162, 170; the model of Sullivan et al. 2015, ApJ 809, 77.
"""

from __future__ import annotations

from dataclasses import dataclass

import erfa
import numpy as np

from tasoc_kit.numerics.detector import READ_NOISE, ZERO_POINT

__all__ = ["ExpectedNoise", "aperture_pixels", "ecliptic_latitude", "expected_noise", "field_latitude"]

READ_SECONDS = 2.0

_MASK_TMAG = np.array([2.06, 3.84, 5.63, 7.41, 9.20, 10.09, 10.98, 11.88, 12.77, 13.66, 14.55])
_MASK_LOG = np.log10([1484.0, 447.0, 185.0, 98.0, 61.0, 49.0, 38.0, 28.0, 20.0, 14.0, 8.0])
_SMALLEST_MASK = 4.0


@dataclass(frozen=True)
class ExpectedNoise:
    """Noise in ppm on one timescale: its parts and their sum in quadrature."""

    shot: np.ndarray
    zodiacal: np.ndarray
    read: np.ndarray
    systematic: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """The parts added in quadrature."""
        parts = (self.shot, self.zodiacal, self.read, self.systematic)
        return np.sqrt(sum(part**2 for part in parts))


def aperture_pixels(tmag: np.ndarray) -> np.ndarray:
    """Return the whole pixels of a typical full-frame aperture at this magnitude, at least 4."""
    tmag = np.asarray(tmag, dtype=float)
    slope = np.diff(_MASK_LOG) / np.diff(_MASK_TMAG)
    segment = np.clip(np.searchsorted(_MASK_TMAG, tmag) - 1, 0, slope.size - 1)
    pixels = 10.0 ** (_MASK_LOG[segment] + slope[segment] * (tmag - _MASK_TMAG[segment]))
    return np.maximum(np.floor(pixels), _SMALLEST_MASK)


def ecliptic_latitude(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return the latitude on the mean ecliptic of J2000, degrees, of positions in degrees, ICRS."""
    _, latitude = erfa.eqec06(erfa.DJ00, 0.0, np.radians(ra), np.radians(dec))
    return np.degrees(latitude)


def field_latitude(*position: np.ndarray) -> float:
    """
    Return the median ecliptic latitude of stars, degrees.

    Parameters
    ----------
    position
        Right ascensions and declinations in degrees, ICRS; 45° where there are none, or none is known.
    """
    if len(position) != 2:
        return 45.0
    latitudes = ecliptic_latitude(*position)
    known = latitudes[np.isfinite(latitudes)]
    return float(np.median(known)) if known.size else 45.0


def expected_noise(
    tmag: np.ndarray,
    *,
    seconds: float = 3600.0,
    ecliptic_latitude: float = 45.0,
    systematic: float = 5.0,
    pixels: np.ndarray | None = None,
    sky: np.ndarray | None = None,
) -> ExpectedNoise:
    """
    Return the noise that TASOC's model expects.

    Parameters
    ----------
    tmag
        TESS magnitudes.
    seconds
        Timescale, in seconds of collected light.
    ecliptic_latitude
        Degrees; sets the brightness of the zodiacal light.
    systematic
        Floor in ppm at one hour.
    pixels
        Pixels of each star's aperture; by default those typical of its magnitude.
    sky
        Sky in each star's aperture, electron/s, whose photon noise takes the place of the zodiacal
        light of the model.
    """
    tmag = np.asarray(tmag, dtype=float)
    electrons = 10.0 ** (-0.4 * (tmag - ZERO_POINT)) * seconds
    reads = seconds / READ_SECONDS
    per_pixel = np.sqrt(reads * (aperture_pixels(tmag) if pixels is None else pixels)) * 1e6 / electrons
    if sky is None:
        zodiacal = (10.0 + 6.0 * (abs(ecliptic_latitude) / 90.0 - 1.0) ** 2) * per_pixel
    else:
        zodiacal = np.sqrt(np.maximum(sky, 0.0) * seconds) * 1e6 / electrons
    return ExpectedNoise(
        shot=1e6 / np.sqrt(electrons),
        zodiacal=zodiacal,
        read=READ_NOISE * per_pixel,
        systematic=np.full(tmag.shape, systematic / np.sqrt(seconds / 3600.0)),
    )
