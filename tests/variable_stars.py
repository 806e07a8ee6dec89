"""
Light curves of every class of variable stars, with other formulae than those the classifier learned from.

Discs that cover each other, spots that come and go on a sphere, tides, series of modes even in period,
bursts at random: physical shapes, averaged over the exposure, diluted, with what corrections leave.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import xarray as xr
from giants import simulate_giants
from scipy.signal import lfilter

from tasoc_kit.numerics.noise import expected_noise
from tasoc_kit.simulation.variables import KINDS, exposed_curve
from tasoc_kit.vocabulary import VariabilityClass

CADENCE = 1800 / 86400
START, DAYS = 1325.0, 27.0
KIND = {kind.name: kind for kind in KINDS}
LEAST = {VariabilityClass.SOLARLIKE: 25.0, VariabilityClass.APERIODIC: 40.0, VariabilityClass.CONSTANT: 0.0}
"""Root of the summed squares of a signal over the noise of a cadence; 15 for the other classes."""


def _exposed(curve, time):
    steps = (np.arange(7) + 0.5) / 7 - 0.5
    return curve((time[:, None] + CADENCE * steps).ravel()).reshape(time.size, 7).mean(axis=1)


def _log(random, low, high):
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def solarlike(random, time):
    numax = _log(random, 6.0, 110.0)
    made = simulate_giants(
        1, seed=int(random.integers(2**31)), days=29.0, noise=0.0, span=(numax, 1.0001 * numax)
    )
    # Its gaps are cut out: what lies beside them is taken as it is.
    return np.interp(time - time[0], made.time - made.time[0], made.flux[0])


def eclipse(random, time):
    kind, period = random.choice(3), _log(random, 0.6, 11.0)
    orbit = {"period": period, "t0": START + random.uniform(0, period)}
    if kind == 0:
        orbit |= {"radius_ratio": random.uniform(0.03, 0.16), "axis_ratio": 4.2 * period ** (2 / 3),
                  "impact": random.uniform(0, 0.7), "limb": random.uniform(0.2, 0.7)}  # fmt: skip
        return 1e6 * (exposed_curve(KIND["planet"], orbit, time, CADENCE) - 1)
    if kind == 1:
        orbit |= {"radius_ratio": random.uniform(0.3, 0.98),
                  "axis_ratio": random.uniform(3, 5) * period ** (2 / 3),
                  "impact": random.uniform(0, 0.9), "light_ratio": random.uniform(0.02, 0.95),
                  "ellipsoidal": random.uniform(0, 0.012) / period}  # fmt: skip
        return 1e6 * (exposed_curve(KIND["eclipsing_binary"], orbit, time, CADENCE) - 1)
    width, flat = random.uniform(0.012, 0.05) * period ** (-1 / 3), random.uniform(0, 0.8)
    deep, other = _log(random, 0.01, 0.4), random.uniform(0.3, 0.7)
    ratio = random.uniform(0.05, 0.95)

    def trapezoids(at):
        total = np.zeros(at.size)
        for depth, place in ((deep, 0.0), (deep * ratio, other)):
            away = np.abs(((at - orbit["t0"]) / period - place + 0.5) % 1 - 0.5)
            total -= depth * np.clip((width - away) / (width * (1 - flat)), 0, 1)
        return total

    return 1e6 * _exposed(trapezoids, time)


def _pulse(turn, rise, power):
    """Return a brightening that rises in a share of the period and falls the slower the longer it lasts."""
    phase = turn % 1
    up = 0.5 - 0.5 * np.cos(np.pi * np.minimum(phase / rise, 1))
    down = 0.5 + 0.5 * np.cos(np.pi * (np.maximum(phase - rise, 0) / (1 - rise)) ** power)
    return np.where(phase < rise, up, down)


def rrlyr_cepheid(random, time):
    kind = random.choice(3)
    period = (_log(random, 0.42, 0.85), _log(random, 0.25, 0.42), _log(random, 1.2, 11.0))[kind]
    rise = (random.uniform(0.1, 0.2), random.uniform(0.36, 0.46), random.uniform(0.2, 0.42))[kind]
    size = (random.uniform(0.25, 0.8), random.uniform(0.15, 0.4), random.uniform(0.15, 0.6))[kind]
    shift, bump = random.uniform(0, 1), 0.06 * random.random() * (kind == 2)

    def curve(at):
        turn = (at - START) / period + shift
        hump = bump * np.exp(-0.5 * (((turn - 0.6) % 1 - 0.5) / 0.06) ** 2)
        return 10 ** (0.4 * size * (_pulse(turn, rise, random_power) + hump)) - 1

    random_power = random.uniform(0.6, 1.0) if kind != 1 else random.uniform(0.9, 1.05)
    return 1e6 * _exposed(curve, time)


def dsct_bcep(random, time):
    if random.random() < 0.12:
        period, size = 1 / random.uniform(6, 13), _log(random, 0.02, 0.3)
        rise = random.uniform(0.3, 0.42)
        return 1e6 * _exposed(
            lambda at: 10 ** (0.4 * size * _pulse((at - START) / period, rise, 0.95)) - 1, time
        )
    spacing, first = random.uniform(2.0, 6.0), random.uniform(4.8, 14.0)
    radial = first + spacing * np.arange(random.integers(1, 5))
    split = random.uniform(0.1, 1.0) * random.integers(-1, 2, (random.integers(1, 4), radial.size))
    frequency = np.unique((radial + split).ravel())
    frequency = frequency[(frequency > 4.5) & (frequency < 32)]
    amplitude = random.exponential(1.0, frequency.size) ** 1.5
    size, phase = _log(random, 1e-4, 2e-2) / max(amplitude.max(), 1e-9), random.random(frequency.size)

    def curve(at):
        waves = size * amplitude @ np.sin(2 * np.pi * (np.outer(frequency, at - START) + phase[:, None]))
        return waves + 3 * waves**2

    return 1e6 * _exposed(curve, time)


def gdor_spb(random, time):
    first, count = random.uniform(0.32, 1.9), random.integers(4, 18)
    spacing, slope = random.uniform(0.006, 0.05), random.uniform(-0.06, 0.03)
    period = first + np.cumsum(spacing * (1 + slope * np.arange(count)).clip(0.1))
    amplitude = random.lognormal(0.0, 0.9, count)
    size, phase = _log(random, 3e-4, 1.2e-2) / amplitude.max(), random.random(count)

    def curve(at):
        return np.expm1(
            size * amplitude @ np.sin(2 * np.pi * (np.outer(1 / period, at - START) + phase[:, None]))
        )

    return 1e6 * _exposed(curve, time)


def contact(random, time):
    period, tilt = _log(random, 0.24, 0.75), np.radians(random.uniform(35, 89))
    long, hotter, width = random.uniform(1.15, 1.6), random.uniform(-0.05, 0.15), random.uniform(0.05, 0.09)
    spot = random.normal(0, 0.008)

    def curve(at):
        angle = 2 * np.pi * (at - START) / period
        # The projected area of two ellipsoids on one axis, and how one hides the other.
        across = np.sin(tilt) * np.cos(angle)
        area = np.sqrt(1 + (long**2 - 1) * (1 - across**2))
        hidden = 0.42 * np.sin(tilt) ** 8 * np.exp(-0.5 * (np.sin(angle) / (2 * np.pi * width)) ** 2)
        warm = 1 + hotter * np.sign(np.cos(angle))
        return area * (1 - hidden * warm) + spot * np.sin(angle)

    flux = _exposed(curve, time)
    return 1e6 * (flux / np.median(flux) - 1)


def spots(random, time, period=None):
    period = period or _log(random, 0.4, 12.0)
    shear, tilt = random.uniform(0, 0.06), np.radians(random.uniform(25, 90))
    total = np.zeros(time.size)
    for _ in range(random.integers(2, 9)):
        latitude, longitude = np.arcsin(random.uniform(-0.7, 0.9)), random.uniform(0, 2 * np.pi)
        turn = 2 * np.pi * (time - START) / (period / (1 - shear * np.sin(latitude) ** 2)) + longitude
        mu = np.cos(tilt) * np.sin(latitude) + np.sin(tilt) * np.cos(latitude) * np.cos(turn)
        born, life = START + random.uniform(-10, DAYS + 10), period * _log(random, 3, 40)
        grown = np.exp(-0.5 * ((time - born) / life) ** 2)
        total -= random.lognormal(0, 0.5) * grown * np.maximum(mu, 0) * (0.5 + 0.5 * np.maximum(mu, 0))
    size = _log(random, 1e3, 3e4)
    return size * (total - total.mean()) / max(total.std(), 1e-9)


def contact_rot(random, time):
    return (contact if random.random() < 0.5 else spots)(random, time)


def aperiodic(random, time):
    kind, size = random.choice(4), _log(random, 2e3, 1.5e5)
    if kind == 0:
        memory = np.exp(-CADENCE / _log(random, 2.0, 20.0))
        series = lfilter([1.0], [1.0, -memory], random.normal(size=4 * time.size))[-time.size :]
    elif kind == 1:
        series = np.zeros(time.size)
        for start in START + random.uniform(-5, DAYS, random.integers(5, 40)):
            after = np.maximum(time - start, 0)
            series += (time > start) * random.pareto(2.0) * np.exp(-after / random.uniform(0.2, 3.0))
    elif kind == 2:
        series = np.zeros(time.size)
        for middle in START + random.uniform(0, DAYS, random.integers(4, 15)):
            series -= random.uniform(0.2, 1) / np.cosh((time - middle) / random.uniform(0.1, 0.6)) ** 2
    else:
        period = _log(random, 35.0, 250.0)
        series = np.sin(2 * np.pi * (time / period + random.random())) + 0.3 * np.sin(
            2 * np.pi * (time / (0.47 * period) + random.random())
        )
    return size * (series - series.mean()) / series.std()


def constant(random, time):
    return np.zeros(time.size)


SHAPES = dict(
    zip(
        list(VariabilityClass)[1:],
        (solarlike, eclipse, rrlyr_cepheid, dsct_bcep, gdor_spb, contact_rot, aperiodic, constant),
        strict=True,
    )
)


def left_over(random, time, noise):
    """Return what corrections leave: a line in each orbit, settling, a wandering level, small jumps."""
    total = np.zeros(time.size)
    size = 0.4 * max(noise, 80.0)
    for first in (START, START + DAYS / 2):
        orbit = (time >= first) & (time < first + DAYS / 2)
        after = time[orbit] - first
        total[orbit] += size * (
            random.normal() * (after / 13.5 - 0.5) + random.normal() * np.exp(-after / 0.4)
        )
    memory = np.exp(-CADENCE / random.uniform(0.5, 3.0))
    wander = lfilter([np.sqrt(1 - memory**2)], [1.0, -memory], random.normal(size=2 * time.size))[
        -time.size :
    ]
    total += size * random.random() * wander
    for at in START + random.uniform(0, DAYS, random.poisson(0.5)):
        total += (time > at) * random.normal(0, size)
    return total


def known_cadences(random, time):
    """Return True but for the gap between orbits, momentum dumps and a bad hour."""
    gap = START + DAYS / 2 + random.uniform(-0.5, 0.2)
    known = (time < gap) | (time > gap + random.uniform(0.9, 1.5))
    known &= (time - START) % random.uniform(2.5, 5.0) > 2 * CADENCE
    bad = START + random.uniform(0, DAYS)
    return known & ~((time > bad) & (time < bad + random.uniform(0.05, 0.6)))


def variable_stars(number, *, seed, span=(8.0, 13.0), kinds=tuple(SHAPES)):
    """
    Return ``time`` (BTJD), ``flux`` (star, time) in ppm, NaN in gaps, ``error`` (star), ``kind``, ``tmag``.

    A signal below ``LEAST`` is drawn again, sixty times at most, and then made as large.
    """
    random = np.random.default_rng(seed)
    time = START + CADENCE * np.arange(int(DAYS / CADENCE))
    kind = np.repeat([int(one) for one in kinds], number)
    tmag = random.uniform(*span, kind.size)
    noise = expected_noise(tmag, seconds=1800).total * random.uniform(1.0, 1.6, kind.size)
    flux = np.empty((kind.size, time.size))
    for star, of in enumerate(kind):
        systematic, share = left_over(random, time, noise[star]), random.uniform(0.3, 1.0)
        floor = noise[star] if of != VariabilityClass.APERIODIC else max(noise[star], 2 * systematic.std())
        least = LEAST.get(of, 15.0) * floor
        for _ in range(60):
            signal = share * SHAPES[of](random, time)
            size = np.sqrt(((signal - signal.mean()) ** 2).sum())
            if size >= least:
                break
        signal = signal * max(1.0, least / max(size, 1e-9))
        breathing = 1 + random.uniform(0, 0.4) * np.sin(2 * np.pi * (time - START) / 13.5) ** 2
        white = noise[star] * breathing * random.standard_t(8, time.size) / np.sqrt(8 / 6)
        flux[star] = np.where(known_cadences(random, time), signal + systematic + white, np.nan)
    flux = 1e6 * ((1e6 + flux) / (1e6 + np.nanmedian(flux, axis=1, keepdims=True)) - 1)
    error = noise * random.uniform(0.75, 1.1, kind.size)
    return SimpleNamespace(time=time, flux=flux, error=error, kind=kind, tmag=tmag, cadence=CADENCE)


def spotted_stars(number, *, seed, span=(8.0, 13.0), periods=(0.4, 10.0)):
    """Return the same of stars with spots, and their ``period`` (star) at the equator, days."""
    random = np.random.default_rng(seed)
    made = variable_stars(number, seed=seed, span=span, kinds=(VariabilityClass.CONSTANT,))
    period = np.exp(random.uniform(*np.log(periods), number))
    for star in range(number):
        signal = spots(random, made.time, period[star])
        made.flux[star] += signal * max(1.0, 3 * made.error[star] / signal.std())
    return SimpleNamespace(**vars(made), period=period)


def as_light_curves(time, flux, error):
    """Return the product that steps take of curves in ppm about a level of 1,000 electrons a second."""
    stars, cadences = flux.shape
    level = 1000.0
    return xr.Dataset(
        {
            "flux": (("star", "time"), level * (1 + 1e-6 * flux)),
            "flux_err": (("star", "time"), level * 1e-6 * np.tile(error[:, None], cadences)),
            "pixel_quality": (("star", "time"), np.zeros(flux.shape, np.int32)),
        },
        coords={
            "time": ("time", time),
            "quality": ("time", np.zeros(cadences, np.int32)),
            "frame_quality": ("time", np.zeros(cadences, np.int32)),
            "tic": ("star", np.arange(1, stars + 1)),
        },
        attrs={"sector": 1, "camera": 1, "ccd": 2, "product": "light_curves"},
    )


def bad_light_curves():
    """Return light curves that say nothing, and two that turn in 1.5 days, for which ``good`` is True."""
    time = START + CADENCE * np.arange(int(DAYS / CADENCE))
    wave = 5000 * np.sin(2 * np.pi * time / 1.5) + 100 * np.random.default_rng(1).normal(size=time.size)
    few, half = np.full(time.size, np.nan), np.where(time < START + 14, np.nan, wave)
    few[[5, 600, 601]] = 1.0, 2.0, 3.0
    nothing = [np.full(time.size, np.nan), np.zeros(time.size), few, -1e6 + 0 * time, -2e6 + wave]
    flux = np.stack([*nothing, half, np.where(np.arange(time.size) == 700, np.inf, wave)])
    error = np.full(len(flux), 100.0)
    error[5:] = np.nan
    return as_light_curves(time, flux, error).assign(good=("star", np.arange(len(flux)) > 4))
