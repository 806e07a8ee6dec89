"""Light curves of every class of variable stars, for those who learn to tell classes apart.

Shapes are templates, not physics: Fourier series for what pulsates, is in contact or has spots, dips with
soft edges for what eclipses, noise with a coloured spectrum for what is stochastic. Parameters are drawn
wider than nature has them. Each light curve is that of one sector with its gaps, drifts and jumps that
corrections left, outliers, light of neighbours, and noise of its magnitude.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tasoc_kit.numerics.noise import expected_noise
from tasoc_kit.vocabulary import VariabilityClass

__all__ = ["SHAPES", "VariableCurves", "simulate_variability"]

DAYS = 27.0
FAINTEST_SIGNAL = {VariabilityClass.SOLARLIKE: 20.0, VariabilityClass.APERIODIC: 30.0}
"""Least root of the summed squares of a signal over the noise of a cadence."""
SIGNAL = 11.0
"""That of the other classes."""
OVER_DRIFT = 3.0
"""An aperiodic signal scatters so many times as much as what corrections leave."""
TRIES = 25


class VariableCurves(NamedTuple):
    """Light curves and what they are of."""

    time: np.ndarray
    """(time) days."""
    flux: np.ndarray
    """(star, time) ppm about the median, NaN in gaps."""
    error: np.ndarray
    """(star) ppm, as photometry would state it."""
    kind: np.ndarray
    """(star) :class:`~tasoc_kit.vocabulary.VariabilityClass`."""
    tmag: np.ndarray


def _even(random: np.random.Generator, low: float, high: float) -> float:
    """Draw evenly in the logarithm."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def _waves(time: np.ndarray, frequency: np.ndarray, amplitude: np.ndarray, phase: np.ndarray) -> np.ndarray:
    turn = np.outer(frequency, time) + np.asarray(phase)[:, None]
    return np.asarray(amplitude) @ np.sin(2 * np.pi * turn)


def _coloured(random: np.random.Generator, time: np.ndarray, power: Callable) -> np.ndarray:
    """Return noise with a power spectrum ``power`` of cycles a day, four times as long as it is seen."""
    size = 4 * time.size
    frequency = np.fft.rfftfreq(size, time[1] - time[0])[1:]
    luck = random.normal(size=(2, frequency.size))
    modulus = np.sqrt(np.maximum(power(frequency), 0))
    series = np.fft.irfft(np.concatenate([[0], modulus * (luck[0] + 1j * luck[1])]), size)
    first = random.integers(0, size - time.size)
    return np.asarray(series[first : first + time.size])


def _solarlike(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Granulation and a comb of broad modes about νmax, sized as giants are (Kallinger+ 2014)."""
    numax = _even(random, 4.0, 170.0) * 0.0864
    slope, spacing = random.uniform(2.0, 4.5), 0.26 * (numax / 0.0864) ** 0.77 * 0.0864
    width, line = numax * random.uniform(0.1, 0.22), random.uniform(0.015, 0.06) * spacing + 0.01
    height, offset = 10 ** random.uniform(-0.3, 0.7), random.uniform(0, 1)

    def power(f: np.ndarray) -> np.ndarray:
        grains = sum(
            share / (1 + (f / (rate * numax)) ** slope) for share, rate in ((1.0, 0.3), (0.35, 0.95))
        )
        comb = sum(
            weight / (1 + (((f / spacing - offset - shift + 0.5) % 1 - 0.5) * spacing / line) ** 2)
            for weight, shift in ((1.0, 0.0), (1.2, 0.48), (0.5, 0.9))
        )
        hump = height * comb * np.exp(-0.5 * ((f - numax) / width) ** 2)
        return np.asarray(0.12 * (grains + hump) * np.sinc(f * (time[1] - time[0])) ** 2)

    series = _coloured(random, time, power)
    size = 4500 * (numax / 0.0864) ** -0.61 * np.exp(0.25 * random.normal())
    return np.asarray(series / series.std() * size)


def _eclipse(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Dips with flat floors or sharp ones, odd ones like even ones or not, and a bulge of the stars."""
    period = _even(random, 0.5, 12.0)
    duration = np.clip(0.08 * period ** (-2 / 3) * _even(random, 0.4, 2.5), 0.012, 0.2)
    depth = _even(random, 600.0, 400_000.0)
    turn = (time - random.uniform(0, period)) / period
    other = 0.5 + (random.normal(0, 0.08) if random.random() < 0.3 else 0.0)
    secondary = random.uniform(0, 1) ** 2 if depth > 5000 else 0.0
    edge = _even(random, 2.0, 20.0)

    def dip(away: np.ndarray) -> np.ndarray:
        return np.asarray(1 / (1 + (2 * np.abs(away) / duration) ** edge))

    first, second = ((turn - place + 0.5) % 1 - 0.5 for place in (0.0, other))
    bulge = min(0.1 * depth, 15_000 / period**2) * random.uniform(0, 1) * (depth > 5000)
    flux = -depth * (dip(first) + secondary * dip(second)) - bulge * np.cos(4 * np.pi * turn)
    reflection = 0.3 * bulge * random.uniform(-1, 1)
    return np.asarray(flux + reflection * np.cos(2 * np.pi * turn))


def _rrlyr_cepheid(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Fourier series with the ratios and phases of RRab, RRc and classical Cepheids."""
    kind = random.choice(3, p=(0.4, 0.25, 0.35))
    period, first, ratio, decay = (
        (_even(random, 0.38, 0.95), _even(random, 0.06, 0.40), random.uniform(0.32, 0.6), (0.55, 0.85)),
        (_even(random, 0.22, 0.45), _even(random, 0.04, 0.22), random.uniform(0.03, 0.28), (0.2, 0.7)),
        (_even(random, 1.0, 13.0), _even(random, 0.04, 0.30), random.uniform(0.1, 0.55), (0.3, 0.8)),
    )[kind]
    number = np.arange(1, 9)
    amplitude = first * np.concatenate([[1], ratio * random.uniform(*decay) ** np.arange(7)])
    # Steep rise, slow fall: sines with φ21 near 4 in the convention of cosines, and what follows from it.
    lag = random.normal(0, 0.35 if kind < 2 else 0.8) / (2 * np.pi)
    shift = np.array([0.0] + [0.5 * (k - 1) + 0.13 * (k - 1) + lag * (k - 1) for k in number[1:]])
    blazhko = 1 + (
        random.uniform(0, 0.3) * np.sin(2 * np.pi * time / random.uniform(10, 60)) if kind == 0 else 0
    )
    turn = np.outer(number / period, time) + (number * random.random() - shift)[:, None]
    series = amplitude @ np.sin(2 * np.pi * turn)
    second = (
        _waves(time, np.array([1.34 / period]), [0.1 * first], [random.random()])
        if random.random() < 0.15
        else 0
    )
    return np.asarray(1e6 * (10 ** (0.4 * (series * blazhko + second)) - 1))


def _many_waves(
    random: np.random.Generator,
    time: np.ndarray,
    frequency: np.ndarray,
    strongest: float,
    spread: float = 0.9,
) -> np.ndarray:
    """Return waves whose amplitudes scatter, in the logarithm, the strongest of so many ppm."""
    amplitude = np.sort(np.exp(spread * random.normal(size=frequency.size)))[::-1]
    return _waves(time, frequency, strongest * amplitude / amplitude[0], random.random(frequency.size))


def _dsct_bcep(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    if random.random() < 0.15:
        base, size = random.uniform(5, 14), _even(random, 5e3, 2e5)
        ratio = random.uniform(0.1, 0.45) ** np.arange(3)
        return _waves(time, base * np.arange(1, 4), size * ratio, random.random(3))
    count = random.integers(1, 16)
    low, high = np.sort(random.uniform(4.2, 23.5, 2))
    frequency = random.uniform(low, high, count)
    slow = _many_waves(random, time, random.uniform(0.4, 3, 2), 1.0) * (random.random() < 0.3)
    strongest = _even(random, 60.0, 4e4)
    return _many_waves(random, time, frequency, strongest) + 0.25 * strongest * random.random() * slow


def _gdor_spb(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    centre, width = _even(random, 0.45, 3.2), random.uniform(0.1, 0.4)
    frequency = np.clip(centre * np.exp(width * random.normal(size=random.integers(3, 16))), 0.25, 4.5)
    if random.random() < 0.4:
        frequency = np.append(frequency, 2 * random.choice(frequency, 3) * random.uniform(0.95, 1.05, 3))
    return _many_waves(random, time, frequency, _even(random, 120.0, 2e4), random.uniform(0.3, 1.0))


def _contact_rot(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    if random.random() < 0.45:
        period, size = _even(random, 0.22, 1.2), _even(random, 4e3, 3e5)
        ratio = np.array([random.normal(0, 0.06), 1.0, random.normal(0, 0.03), random.uniform(0.0, 0.33)])
        ratio = np.append(ratio, [0.3 * ratio[0], random.uniform(0, 0.12)])
        turn = np.outer(np.arange(1, 7) / period, time - random.uniform(0, period))
        spot = 0.06 * random.normal() * np.sin(2 * np.pi * turn[0])
        return np.asarray(-size * (ratio @ np.cos(2 * np.pi * turn) + spot))
    period, size = _even(random, 0.3, 13.0), _even(random, 250.0, 4e4)
    total, life = np.zeros(time.size), period * _even(random, 1.5, 60)
    for k in (1, 2, 3):
        share = (1.0, random.uniform(0, 0.9), random.uniform(0, 0.2))[k - 1]
        drift = _coloured(random, time, lambda f: 1 / (1 + (2 * np.pi * f * life) ** 2))
        drift, turn = drift / max(drift.std(), 1e-12), k * time / period + random.random()
        change = 0.8 * random.random()
        total += share * (1 + change * drift) * np.sin(2 * np.pi * turn + 0.5 * change * drift)
    if random.random() < 0.4:
        for _ in range(random.integers(1, 20)):
            after = np.maximum(time - random.uniform(0, time[-1]), 0)
            total += (after > 0) * _even(random, 0.3, 10) * np.exp(-after / random.uniform(0.01, 0.1))
    return size * total


def _aperiodic(random: np.random.Generator, time: np.ndarray) -> np.ndarray:
    size, kind = _even(random, 1500.0, 2e5), random.choice(4, p=(0.4, 0.2, 0.2, 0.2))
    if kind < 2:
        slope, knee = random.uniform(1.6, 3.5), _even(random, 0.01, 0.4)
        series = _coloured(random, time, lambda f: 1 / (1 + (f / knee) ** slope))
    elif kind == 2:
        frequency = np.array([1.0, 2.0, 3.0]) / _even(random, 25.0, 200.0)
        series = _waves(time, frequency, [1, *(0.25 * random.random(2))], random.random(3))
    else:
        series = np.zeros(time.size)
        sign = random.choice((-1, 1))
        for _ in range(random.integers(2, 25)):
            away = (time - random.uniform(0, time[-1])) / _even(random, 0.15, 2.0)
            series += sign * random.exponential() * np.exp(-(np.abs(away) ** random.uniform(1, 3)))
    series = series - series.mean()
    return np.asarray(size * series / max(series.std(), 1e-12))


SHAPES: dict[VariabilityClass, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    VariabilityClass.SOLARLIKE: _solarlike,
    VariabilityClass.ECLIPSE: _eclipse,
    VariabilityClass.RRLYR_CEPHEID: _rrlyr_cepheid,
    VariabilityClass.DSCT_BCEP: _dsct_bcep,
    VariabilityClass.GDOR_SPB: _gdor_spb,
    VariabilityClass.CONTACT_ROT: _contact_rot,
    VariabilityClass.APERIODIC: _aperiodic,
    VariabilityClass.CONSTANT: lambda random, time: np.zeros(time.size),
}
"""A signal in ppm for each class."""


def _drift(random: np.random.Generator, time: np.ndarray, noise: float) -> np.ndarray:
    """Return what corrections left: slow variation, ramps after the gap, a step."""
    middle, size = 0.5 * time[-1], random.uniform(0, 1.2) * max(noise, 60.0) * random.random()
    knee = random.uniform(0.05, 0.4)
    slow = _coloured(random, time, lambda f: 1 / (1 + (f / knee) ** 4))
    drift = size * slow / max(slow.std(), 1e-12)
    for start in (0.0, middle):
        after = np.maximum(time - start, 0)
        drift += (time >= start) * size * random.normal() * np.exp(-after / random.uniform(0.1, 1.0))
    if random.random() < 0.3:
        drift += (time > middle) * random.normal(0, 1.5) * size
    return np.asarray(drift)


def _drawn(random: np.random.Generator, kind: VariabilityClass, time: np.ndarray, noise: float) -> np.ndarray:
    """Return a signal of the class that can be seen in such noise; the last one drawn is enlarged to it."""
    least = FAINTEST_SIGNAL.get(kind, SIGNAL) * noise
    signal = SHAPES[kind](random, time)
    for _ in range(TRIES):
        if kind is VariabilityClass.CONSTANT or np.sqrt(((signal - signal.mean()) ** 2).sum()) >= least:
            return signal
        signal = SHAPES[kind](random, time)
    return signal * max(1.0, least / np.sqrt(((signal - signal.mean()) ** 2).sum()))


def simulate_variability(
    number: int,
    *,
    seed: int,
    cadence: float = 1800 / 86400,
    days: float = DAYS,
    span: tuple[float, float] = (7.5, 13.5),
) -> VariableCurves:
    """
    Return light curves of all classes.

    Parameters
    ----------
    number
        Stars of each class.
    seed
        Of every random number.
    cadence, days
        From one cadence to the next, and of the sector.
    span
        Magnitudes between which stars are drawn, evenly.
    """
    random = np.random.default_rng(seed)
    time = cadence * np.arange(int(days / cadence))
    kinds = np.repeat([int(kind) for kind in SHAPES], number)
    tmag = random.uniform(*span, kinds.size)
    expected = expected_noise(tmag, seconds=86400 * cadence, systematic=20.0).total
    noise = expected * np.exp(random.normal(0.15, 0.25, kinds.size))
    flux = np.empty((kinds.size, time.size))
    for star, kind in enumerate(kinds):
        drift = _drift(random, time, noise[star])
        most = max(noise[star], OVER_DRIFT * np.sqrt(time.size) / 30 * drift.std())
        signal = _drawn(
            random, VariabilityClass(kind), time, most if kind == VariabilityClass.APERIODIC else noise[star]
        )
        flux[star] = signal + drift + noise[star] * random.normal(size=time.size)
    off = random.random(flux.shape) < random.exponential(0.001, kinds.size)[:, None]
    flux += off * noise[:, None] * random.normal(0, 6, flux.shape)
    length, start = random.uniform(0.3, 2.0, kinds.size), days * random.uniform(0.4, 0.6, kinds.size)
    flux[(time > start[:, None]) & (time < (start + length)[:, None])] = np.nan
    flux[random.random(flux.shape) < random.uniform(0, 0.05, kinds.size)[:, None]] = np.nan
    flux = 1e6 * ((1e6 + flux) / (1e6 + np.nanmedian(flux, axis=1, keepdims=True)) - 1)
    stated = noise * np.exp(random.normal(-0.1, 0.15, kinds.size))
    return VariableCurves(time, flux, stated, kinds, tmag)
