"""What the power density spectrum of a star that oscillates like the Sun is made of.

White noise, slow variation, granulation and the hump of the oscillations (Kallinger+ 2014, A&A 570 A41).
Widths and time scales follow νmax, so that only the heights of the parts are free.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "ENVELOPE",
    "GRANULATION",
    "PARTS",
    "attenuation",
    "envelope_height",
    "envelope_width",
    "expected_separation",
    "granulation_rates",
    "model_of",
    "part_shapes",
]

PARTS = ("white", "slow", *(f"granulation_{k}" for k in range(1, 6)), "oscillations")
GRANULATION = slice(2, 7)
ENVELOPE = 7


def attenuation(frequency: np.ndarray, nyquist: float) -> np.ndarray:
    """Return the share of the power at a frequency that exposures as long as the sampling leave."""
    return np.asarray(np.sinc(frequency / (2 * nyquist)) ** 2)


def envelope_width(numax: np.ndarray | float) -> np.ndarray | float:
    """Return the scatter, µHz, of the Gaussian envelope (Mosser+ 2012, A&A 537 A30)."""
    return 0.66 * numax**0.88 / 2.3548


def envelope_height(numax: np.ndarray | float) -> np.ndarray | float:
    """Return the height, ppm²/µHz, that the envelope of giants has on average (Mosser+ 2012)."""
    return 2.03e7 * numax**-2.38


def expected_separation(numax: np.ndarray | float) -> np.ndarray | float:
    """Return Δν, µHz, of a star with such a νmax (Stello+ 2009, MNRAS 400 L80: 0.263 νmax^0.772)."""
    return 0.263 * numax**0.772


def granulation_rates(numax: float) -> np.ndarray:
    """Return the frequencies, µHz, at which granulation turns over: those of Kallinger+ and about them."""
    first, second = 0.317 * numax**0.970, 0.948 * numax**0.992
    return np.array([0.5 * first, first, 1.7 * first, second, 2 * second])


def part_shapes(
    frequency: np.ndarray, numax: float, nyquist: float, resolution: float, width: float = 1.0
) -> np.ndarray:
    """
    Return the parts of the model (part, frequency) at unit height.

    Parameters
    ----------
    frequency
        µHz, none of them 0.
    numax, nyquist
        µHz.
    resolution
        µHz, one over the time span: there slow variation has its unit height.
    width
        Scatter of the envelope over that of :func:`envelope_width`.
    """
    seen = attenuation(frequency, nyquist)
    rates = granulation_rates(numax)[:, None]
    return np.concatenate(
        [
            np.ones((1, frequency.size)),
            (resolution / frequency)[None] ** 2,
            seen / (1 + (frequency / rates) ** 4),
            (seen * np.exp(-0.5 * ((frequency - numax) / (width * envelope_width(numax))) ** 2))[None],
        ]
    )


def model_of(
    frequency: np.ndarray,
    numax: float,
    heights: np.ndarray,
    nyquist: float,
    resolution: float,
    width: float | None = None,
) -> np.ndarray:
    """
    Return the parts of the model of one star, ppm²/µHz (part, frequency): their sum is the spectrum.

    Parameters
    ----------
    frequency, numax, nyquist, resolution
        µHz.
    heights
        (part) ppm²/µHz, in the order of ``PARTS``.
    width
        Scatter of the envelope, µHz; by default that of :func:`envelope_width`.
    """
    relative = 1.0 if width is None else width / float(envelope_width(numax))
    return np.asarray(heights[:, None] * part_shapes(frequency, numax, nyquist, resolution, relative))
