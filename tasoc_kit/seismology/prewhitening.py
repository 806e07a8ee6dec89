"""Waves taken out of light curves one after the other, as long as a spectrum has peaks that noise has not.

In each turn the highest peak of every star's spectrum joins its list, and all of the list are fitted anew,
their frequencies too. A list ends where the highest peak is below a signal-to-noise ratio (Breger+ 1993,
A&A 271 482): amplitude over the mean amplitude of the spectrum about it. No two are closer than 1.5 over
the length of the light curve (Loumos & Deeming 1978, Ap&SS 56 285). Errors are those of Montgomery &
O'Donoghue (1999, DSSN 13 28), with the noise of the spectrum about the peak in place of white noise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasoc_kit.seismology.power_density import MICROHERTZ, frequency_grid, power_density
from tasoc_kit.seismology.waves import fit_waves, highest_peak

__all__ = ["WaveList", "least_snr", "prewhiten"]

BREGER = 4.0
INDEPENDENT = 8.0
"""Frequencies for each cadence that are as if independent: with fewer, simulated noise is above the limit
more often than is stated, for the noise about a peak is itself measured."""
RESOLVED = 1.5
OVERSAMPLING = 6.0
WINDOW = 2.0
"""Cycles a day on both sides of a frequency together in which noise is measured."""
LEAST_WINDOW = 8
"""Resolved frequencies on either side, at least."""
TURNS = 3
"""Of the fit of frequencies, each time that one joins."""
FEWEST = 24
AT_ONCE = 200
"""Stars that are worked on together."""


class WaveList(NamedTuple):
    """Waves (star, rank) in the order in which they were found; NaN for none."""

    frequency: np.ndarray
    """µHz."""
    amplitude: np.ndarray
    """In the unit of the flux."""
    phase: np.ndarray
    """Radians, of a sine."""
    snr: np.ndarray
    """Amplitude over the mean amplitude of the spectrum about it that is left."""
    residual: np.ndarray
    """(star) scatter of what is left; NaN without a light curve."""


def least_snr(cadences: np.ndarray, false_alarm: float) -> np.ndarray:
    """
    Return the signal-to-noise ratio that noise reaches in so small a share of light curves.

    The power of white noise over its mean is exponential; the mean of the amplitude is √(π/4) times the root
    of that of the power (Kuschnig+ 1997, A&A 328 544). Never below 4.
    """
    trials = np.maximum(INDEPENDENT * np.asarray(cadences, float), 1)
    return np.maximum(BREGER, np.sqrt(4 / np.pi * np.log(trials / false_alarm)))


def prewhiten(
    flux: np.ndarray, time: np.ndarray, cadence: float, *, number: int, false_alarm: float
) -> WaveList:
    """
    Return the waves of each light curve.

    Parameters
    ----------
    flux
        (star, time) ppm about the level; NaN where nothing is known.
    time
        (time) days from where phases are to hold.
    cadence
        Days from one cadence to the next.
    number
        Waves at most.
    false_alarm
        Share of light curves of noise alone in which a wave may be found.
    """
    stars = len(flux)
    found = WaveList(*(np.full((stars, number), np.nan) for _ in range(4)), np.full(stars, np.nan))
    known = np.isfinite(flux).sum(axis=1)
    frequency = frequency_grid(time, cadence, OVERSAMPLING) if time.size > 1 else np.empty(0)
    fit = np.flatnonzero((known >= FEWEST) & (frequency.size > 3 * OVERSAMPLING))
    for first in range(0, fit.size, AT_ONCE):
        some = fit[first : first + AT_ONCE]
        told = _prewhiten(flux[some], time, cadence, frequency, least_snr(known[some], false_alarm), number)
        for name, values in zip(WaveList._fields, told, strict=True):
            getattr(found, name)[some] = values
    return found


def _prewhiten(
    flux: np.ndarray, time: np.ndarray, cadence: float, grid: np.ndarray, least: np.ndarray, number: int
) -> WaveList:
    stars = len(flux)
    centred = flux - np.nanmean(flux, axis=1, keepdims=True)
    residual, apart = centred.copy(), RESOLVED * OVERSAMPLING * grid[0]
    listed, wave = np.full((stars, number), np.nan), np.zeros((stars, number), complex)
    going = np.arange(stars)
    for rank in range(number):
        power = power_density(residual[going], time, grid, cadence)
        free = np.ones(power.shape, bool)
        for before in range(rank):
            free &= ~(np.abs(grid - listed[going, before][:, None]) < apart)
        place, frequency = highest_peak(grid, power, free)
        amplitude = np.sqrt(power[np.arange(going.size), place])
        noise = _noise(grid, np.sqrt(power), place, robust=True)
        above = np.isfinite(frequency) & (noise > 0) & (amplitude > least[going] * noise)
        going, tried = going[above], listed[going[above], : rank + 1].copy()
        if not going.size:
            break
        tried[:, rank] = frequency[above]
        tried, told, left = _refined(centred[going], time, tried, apart)
        kept = _separate(tried, apart)
        going, tried, told = going[kept], tried[kept], told[kept]
        listed[going, : rank + 1], wave[going, : rank + 1], residual[going] = tried, told, left[kept]
    return _with_noise(listed, wave, residual, time, cadence, grid)


def _refined(
    flux: np.ndarray, time: np.ndarray, frequency: np.ndarray, apart: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequencies, waves and residuals after some turns of Gauss and Newton, none of a whole width."""
    wave, left = fit_waves(flux, time, frequency)
    for _ in range(TURNS):
        shift = _shifts(left, time, frequency, wave)
        tried = frequency + np.clip(shift, -0.3 * apart, 0.3 * apart)
        tried = np.where(tried > 0, tried, frequency)
        new, rest = fit_waves(flux, time, tried)
        better = np.nansum(rest**2, axis=1) < np.nansum(left**2, axis=1)
        frequency = np.where(better[:, None], tried, frequency)
        wave, left = np.where(better[:, None], new, wave), np.where(better[:, None], rest, left)
    return frequency, wave, left


def _shifts(left: np.ndarray, time: np.ndarray, frequency: np.ndarray, wave: np.ndarray) -> np.ndarray:
    """
    Return by how much frequencies are off, µHz.

    With φ the phase of a wave in time, the residual is a · 2π Δf · t · cos φ, and is fitted by these terms
    together with those of sine and cosine, which take up what a change of the frequency does to them.
    """
    known = np.isfinite(left)
    turn = (2 * np.pi / MICROHERTZ) * time[None, :, None] * frequency[:, None, :]
    across = np.real(wave[:, None, :] * np.exp(1j * turn))
    slope = (2 * np.pi / MICROHERTZ) * time[None, :, None] * across
    terms = np.concatenate([slope, np.sin(turn), np.cos(turn)], axis=2) * known[:, :, None]
    scale = np.sqrt((terms**2).sum(axis=1, keepdims=True))
    terms = terms / np.where(scale > 0, scale, 1)
    normal = terms.transpose(0, 2, 1) @ terms + 1e-9 * np.eye(terms.shape[2])
    right = terms.transpose(0, 2, 1) @ np.where(known, left, 0.0)[:, :, None]
    found = np.linalg.solve(normal, right)[:, : frequency.shape[1], 0]
    return np.asarray(found / np.where(scale > 0, scale, 1)[:, 0, : frequency.shape[1]])


def _separate(frequency: np.ndarray, apart: float) -> np.ndarray:
    """Return True for the stars no two of whose frequencies are unresolved."""
    steps = np.diff(np.sort(frequency, axis=1), axis=1)
    return np.asarray((steps >= apart).all(axis=1))


def _noise(grid: np.ndarray, amplitude: np.ndarray, place: np.ndarray, *, robust: bool = False) -> np.ndarray:
    """Return the mean amplitude (star) about a place; from the median where a peak still stands in it."""
    half = max(int(0.5 * WINDOW * MICROHERTZ / grid[0]), int(LEAST_WINDOW * OVERSAMPLING))
    first = np.clip(place - half, 0, max(grid.size - 2 * half, 0))
    near = np.take_along_axis(
        amplitude, np.minimum(first[:, None] + np.arange(2 * half), grid.size - 1), axis=1
    )
    # The amplitudes of noise are Rayleigh's.
    return np.sqrt(np.pi / (4 * np.log(2))) * np.median(near, axis=1) if robust else near.mean(axis=1)


def _with_noise(
    listed: np.ndarray,
    wave: np.ndarray,
    residual: np.ndarray,
    time: np.ndarray,
    cadence: float,
    grid: np.ndarray,
) -> WaveList:
    """Return the list with the ratios that what is left in the spectrum gives."""
    known = np.isfinite(residual).sum(axis=1)
    # A wave of amplitude a has a power density of a² / 2 times the length of what is known.
    length = known * cadence / MICROHERTZ
    left = np.sqrt(2 * power_density(residual, time, grid, cadence) / length[:, None])
    snr = np.full(listed.shape, np.nan)
    for rank in np.flatnonzero(np.isfinite(listed).any(axis=0)):
        some = np.flatnonzero(np.isfinite(listed[:, rank]))
        place = np.clip(np.searchsorted(grid, listed[some, rank]), 0, grid.size - 1)
        noise = _noise(grid, left[some], place)
        snr[some, rank] = np.abs(wave[some, rank]) / np.where(noise > 0, noise, np.nan)
    there = np.isfinite(listed)
    return WaveList(
        listed,
        np.where(there, np.abs(wave), np.nan),
        np.where(there, np.angle(wave), np.nan),
        snr,
        np.nanstd(residual, axis=1),
    )
