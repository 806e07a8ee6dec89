"""Sine waves in light curves: where a spectrum is highest, and least-squares fits of many stars at once."""

from __future__ import annotations

import numpy as np

from tasoc_kit.seismology.power_density import MICROHERTZ

__all__ = ["fit_waves", "harmonics", "highest_peak"]

RIDGE = 1e-9
"""Of the number of cadences: keeps waves that a light curve cannot tell apart from growing without bounds."""


def highest_peak(
    frequency: np.ndarray, power: np.ndarray, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the place of the highest peak of each spectrum, and its frequency between the steps.

    Parameters
    ----------
    frequency
        µHz, evenly spaced.
    power
        (star, frequency); NaN and a spectrum of zeros give a frequency of NaN.
    allowed
        (star, frequency) False where no peak is looked for.
    """
    seen = np.nan_to_num(power) if allowed is None else np.where(allowed, np.nan_to_num(power), 0.0)
    at = seen.argmax(axis=1)
    stars, inner = np.arange(len(power)), np.clip(at, 1, max(frequency.size - 2, 1))
    low, middle, high = (np.sqrt(np.maximum(np.nan_to_num(power[stars, inner + k]), 0)) for k in (-1, 0, 1))
    bend = low - 2 * middle + high
    shift = np.where((bend < 0) & (at == inner), 0.5 * (low - high) / np.where(bend < 0, bend, 1), 0.0)
    found = frequency[at] + np.clip(shift, -0.5, 0.5) * (frequency[1] - frequency[0])
    return at, np.where(seen[stars, at] > 0, found, np.nan)


def harmonics(frequency: np.ndarray, number: int) -> np.ndarray:
    """Return (star, harmonic) the first multiples of a frequency (star), it included."""
    return np.asarray(frequency)[:, None] * np.arange(1, number + 1)


def _terms(time: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return the terms (star, time, 1 + 2 · wave): 1, sines, cosines; 0 for a wave of frequency NaN."""
    turn = (2 * np.pi / MICROHERTZ) * time[None, :, None] * np.nan_to_num(frequency)[:, None, :]
    known = np.isfinite(frequency)[:, None, :]
    one = np.ones((*turn.shape[:2], 1))
    return np.concatenate([one, np.where(known, np.sin(turn), 0), np.where(known, np.cos(turn), 0)], axis=2)


def fit_waves(flux: np.ndarray, time: np.ndarray, frequency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Fit an offset and waves of known frequencies to each light curve.

    Parameters
    ----------
    flux
        (star, time), NaN where nothing is known.
    time
        (time) days from where phases are to hold.
    frequency
        (star, wave) µHz; NaN for no wave.

    Returns
    -------
    Complex (star, wave), amplitude · exp(i · phase) of amplitude · sin(2π f t + phase), 0 for no wave; and
    the residuals (star, time).
    """
    terms, known = _terms(time, frequency), np.isfinite(flux)
    seen = terms * known[:, :, None]
    normal = seen.transpose(0, 2, 1) @ terms
    size = RIDGE * np.maximum(known.sum(axis=1), 1)
    # A wave that is none has no terms: its diagonal alone makes the matrix regular.
    normal += size[:, None, None] * np.eye(terms.shape[2])
    right = seen.transpose(0, 2, 1) @ np.where(known, flux, 0.0)[:, :, None]
    found = np.linalg.solve(normal, right)
    waves = frequency.shape[1]
    sine, cosine = found[:, 1 : 1 + waves, 0], found[:, 1 + waves :, 0]
    return sine + 1j * cosine, flux - (terms @ found)[:, :, 0]
