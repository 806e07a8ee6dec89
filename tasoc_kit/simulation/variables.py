"""How simulated stars vary: one small closed form for every kind of star.

Each kind has a way to draw its parameters and a curve: flux relative to the catalogue as a
function of BTJD. A curve is a function of time alone, so what a frame shows does not depend on
which other frames exist. Curves are averaged over the exposure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["KINDS", "Kind", "exposed_curve"]

Parameters = dict[str, Any]
_SAMPLES = 7


@dataclass(frozen=True)
class Kind:
    """One kind of variable star."""

    name: str
    draw: Callable[[np.random.Generator, bool, float, float], Parameters]
    """Draw parameters from (random, first of its kind, start of the sector, end of the sector)."""
    curve: Callable[[Parameters, np.ndarray], np.ndarray]
    """Relative flux at times in BTJD."""
    share: float
    """Share of the stars brighter than T = 15; at least one star is always of this kind."""
    bright: float
    faint: float


def exposed_curve(kind: Kind, parameters: Parameters, middle: np.ndarray, exposure: float) -> np.ndarray:
    """
    Return the relative flux averaged over exposures.

    Parameters
    ----------
    kind, parameters
        The star.
    middle
        Mid-exposure, BTJD.
    exposure
        Length of an exposure in days.
    """
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
    times = np.asarray(middle)[:, None] + exposure * steps
    return kind.curve(parameters, times.ravel()).reshape(times.shape).mean(axis=1)


def _phase(times: np.ndarray, parameters: Parameters) -> np.ndarray:
    """Return days from the nearest event."""
    period = parameters["period"]
    return (times - parameters["t0"] + 0.5 * period) % period - 0.5 * period


def _overlap(distance: np.ndarray, ratio: float) -> np.ndarray:
    """Return the share of a unit disc that a disc of radius ``ratio`` covers (Mandel & Agol 2002, eq. 1)."""
    z = np.maximum(np.abs(distance), 1e-9)
    inside = z <= 1 - ratio
    beside = z >= 1 + ratio
    z_safe = np.where(inside | beside, 1.0, z)
    near = np.arccos(np.clip((ratio**2 + z_safe**2 - 1) / (2 * ratio * z_safe), -1, 1))
    far = np.arccos(np.clip((1 - ratio**2 + z_safe**2) / (2 * z_safe), -1, 1))
    root = np.sqrt(np.maximum(4 * z_safe**2 - (1 + z_safe**2 - ratio**2) ** 2, 0))
    part = (ratio**2 * near + far - 0.5 * root) / np.pi
    return np.where(inside, ratio**2, np.where(beside, 0.0, part))


def _draw_planet(random: np.random.Generator, first: bool, start: float, end: float) -> Parameters:
    period = random.uniform(0.9, 1.5) if first else np.exp(random.uniform(np.log(0.8), np.log(9.0)))
    ratio = random.uniform(0.09, 0.13) if first else np.exp(random.uniform(np.log(0.03), np.log(0.12)))
    return {
        "period": float(period),
        "t0": float(start + random.uniform(0.1, 0.9) * period),
        "radius_ratio": float(ratio),
        "axis_ratio": float(4.2 * period ** (2 / 3)),
        "impact": float(random.uniform(0.0, 0.5)),
        "limb": 0.35,
    }


def _planet(p: Parameters, times: np.ndarray) -> np.ndarray:
    angle = 2 * np.pi * _phase(times, p) / p["period"]
    distance = np.hypot(p["axis_ratio"] * np.sin(angle), p["impact"] * np.cos(angle))
    distance = np.where(np.cos(angle) > 0, distance, 9.0)
    height = np.sqrt(np.maximum(1 - np.minimum(distance, 1.0) ** 2, 0.0))
    darkening = (1 - p["limb"] * (1 - height)) / (1 - p["limb"] / 3)
    return 1 - _overlap(distance, p["radius_ratio"]) * darkening


def _draw_binary(random: np.random.Generator, first: bool, start: float, end: float) -> Parameters:
    period = random.uniform(0.6, 1.1) if first else np.exp(random.uniform(np.log(0.4), np.log(8.0)))
    return {
        "period": float(period),
        "t0": float(start + random.uniform(0.1, 0.9) * period),
        "radius_ratio": float(random.uniform(0.5, 0.95)),
        "axis_ratio": float(3.4 * period ** (2 / 3)),
        "impact": float(random.uniform(0.0, 0.6)),
        "light_ratio": float(random.uniform(0.15, 0.7)),
        "ellipsoidal": float(0.012 / period),
    }


def _eclipsing_binary(p: Parameters, times: np.ndarray) -> np.ndarray:
    angle = 2 * np.pi * _phase(times, p) / p["period"]
    distance = np.hypot(p["axis_ratio"] * np.sin(angle), p["impact"] * np.cos(angle))
    covered = _overlap(distance, p["radius_ratio"])
    primary = np.where(np.cos(angle) > 0, covered, 0.0)
    secondary = np.where(np.cos(angle) < 0, covered / p["radius_ratio"] ** 2, 0.0)
    light = p["light_ratio"]
    return (1 - primary + light * (1 - secondary)) / (1 + light) - p["ellipsoidal"] * np.cos(2 * angle)


def _sines(p: Parameters, times: np.ndarray) -> np.ndarray:
    """Sum sinusoids: frequency (1/day), amplitude and phase (turns) of each."""
    total = np.ones_like(times)
    for frequency, amplitude, phase in zip(p["frequency"], p["amplitude"], p["phase"], strict=True):
        total += amplitude * np.sin(2 * np.pi * (frequency * times + phase))
    return total


def _sine_parameters(frequency: np.ndarray, amplitude: np.ndarray, random: np.random.Generator) -> Parameters:
    return {
        "frequency": np.asarray(frequency, float).tolist(),
        "amplitude": np.asarray(amplitude, float).tolist(),
        "phase": random.uniform(0, 1, len(frequency)).tolist(),
    }


def _draw_delta_scuti(random: np.random.Generator, first: bool, start: float, end: float) -> Parameters:
    count = int(random.integers(3, 8))
    amplitude = 0.008 * np.sort(random.exponential(1.0, count))[::-1]
    return _sine_parameters(random.uniform(7.0, 20.0, count), amplitude, random)


def _draw_rr_lyrae(random: np.random.Generator, first: bool, start: float, end: float) -> Parameters:
    harmonics = np.arange(1, 7)
    period = random.uniform(0.45, 0.7)
    phase = (0.25 + 0.5 * (harmonics - 1) + random.uniform(0, 1) * harmonics) % 1.0
    amplitude = 0.22 / harmonics**1.2
    return {
        "period": float(period),
        "frequency": (harmonics / period).tolist(),
        "amplitude": amplitude.tolist(),
        "phase": phase.tolist(),
    }


def _draw_solar_like(random: np.random.Generator, first: bool, start: float, end: float) -> Parameters:
    """Red giant: modes of degree 0, 1, 2 under a Gaussian envelope, and granulation."""
    numax = float(random.uniform(25.0, 110.0))
    spacing = 0.267 * numax**0.76
    orders = np.arange(int(numax / spacing) - 5, int(numax / spacing) + 6)
    centres = np.concatenate([(orders + 1.1 + shift) * spacing for shift in (0.0, 0.5, 0.88)])
    weight = np.repeat([1.0, 1.1, 0.7], len(orders))
    envelope = np.exp(-0.5 * ((centres - numax) / (0.28 * numax**0.9)) ** 2)
    power = weight * envelope * random.exponential(1.0, len(centres))
    modes = np.repeat(centres, 3) + 0.08 * np.tan(np.pi * (random.uniform(0.1, 0.9, 3 * len(centres)) - 0.5))
    mode_amplitude = 3.5e-3 / np.sqrt(numax) * np.sqrt(np.repeat(power, 3) / 3)
    grain = np.linspace(1.0, 250.0, 120)
    shape = 1 / (1 + (grain / (0.35 * numax)) ** 4)
    grain_amplitude = (
        2.5e-3 / np.sqrt(numax) * np.sqrt(shape / shape.sum() * random.exponential(1.0, grain.size)) * 2
    )
    per_day = np.concatenate([modes, grain + random.uniform(-1, 1, grain.size)]) * 0.0864
    parameters = _sine_parameters(per_day, np.concatenate([mode_amplitude, grain_amplitude]), random)
    return parameters | {"numax": numax, "spacing": float(spacing)}


def _draw_rotator(random: np.random.Generator, first: bool, start: float, end: float) -> Parameters:
    period = float(np.exp(random.uniform(np.log(0.7), np.log(15.0))))
    amplitude = float(np.exp(random.uniform(np.log(0.002), np.log(0.03))))
    waves = np.array([1.0, 2.0, 1.03]) / period
    return _sine_parameters(waves, amplitude * np.array([1.0, 0.4, 0.5]), random) | {"period": period}


def _draw_flares(random: np.random.Generator, first: bool, start: float, end: float) -> Parameters:
    count = max(1, int(random.poisson(random.uniform(0.4, 1.5) * (end - start))))
    peak = np.sort(random.uniform(start, end, count))
    if first:
        peak[0] = start + random.uniform(0.4, 1.6)
    return {
        "peak": peak.tolist(),
        "amplitude": (0.03 * random.pareto(1.5, count) + 0.02).clip(max=2.0).tolist(),
        "width": random.uniform(0.01, 0.05, count).tolist(),
    }


def _flares(p: Parameters, times: np.ndarray) -> np.ndarray:
    """Flares with a quartic rise and a double exponential decay (Davenport+ 2014, eq. 1 and 4)."""
    total = np.ones_like(times)
    for peak, amplitude, width in zip(p["peak"], p["amplitude"], p["width"], strict=True):
        t = (times - peak) / width
        rise = 1 + t * (1.941 + t * (-0.175 + t * (-2.246 - 1.125 * t)))
        decay = 0.689 * np.exp(-1.600 * np.maximum(t, 0)) + 0.303 * np.exp(-0.2783 * np.maximum(t, 0))
        total += amplitude * np.where(t < -1, 0.0, np.where(t < 0, rise, decay))
    return total


def _draw_supernova(random: np.random.Generator, first: bool, start: float, end: float) -> Parameters:
    return {
        "t0": float(start - random.uniform(4.0, 7.0)),
        "peak": float(random.uniform(30.0, 60.0)),
        "rise": 17.0,
    }


def _supernova(p: Parameters, times: np.ndarray) -> np.ndarray:
    """Fireball rise with the square of time, then a slow decline."""
    t = np.maximum(times - p["t0"], 0.0) / p["rise"]
    light = np.where(t < 1, t**2 * (3 - 2 * t), np.exp(-0.9 * np.maximum(t - 1, 0.0)))
    return 1 + p["peak"] * light


KINDS: tuple[Kind, ...] = (
    Kind("planet", _draw_planet, _planet, 0.010, 9.0, 12.0),
    Kind("eclipsing_binary", _draw_binary, _eclipsing_binary, 0.015, 9.0, 13.0),
    Kind("delta_scuti", _draw_delta_scuti, _sines, 0.010, 8.0, 12.0),
    Kind("rr_lyrae", _draw_rr_lyrae, _sines, 0.004, 11.0, 14.0),
    Kind("solar_like", _draw_solar_like, _sines, 0.020, 7.5, 11.0),
    Kind("rotator", _draw_rotator, _sines, 0.080, 9.0, 14.5),
    Kind("flare_star", _draw_flares, _flares, 0.030, 10.0, 14.0),
    Kind("supernova", _draw_supernova, _supernova, 0.0002, 15.0, 15.9),
)
"""Every kind of variable star, in the order in which stars are given to them."""
