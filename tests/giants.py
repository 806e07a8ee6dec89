"""Light curves of stars that oscillate like the Sun, with the truth beside them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import xarray as xr

__all__ = ["as_light_curves", "simulate_giants"]

CADENCE = 1800 / 86400
LONGER = 4
"""Times the light curve over which the luck of modes is drawn: they are then no finer than they should be."""
VISIBLE = {0: 1.0, 1: 1.54, 2: 0.58, 3: 0.04}
"""Power of a mode over that of a radial one in the band of TESS (Lund 2019, MNRAS 489 1072)."""


def _power(frequency: np.ndarray, numax: float, dnu: float, linewidth: float, scale: float) -> np.ndarray:
    """Return granulation and modes, ppm²/µHz (Kallinger+ 2014, A&A 570 A41; Mosser+ 2012, A&A 537 A30)."""
    amplitude = scale * 3382 * numax**-0.609
    power = np.zeros(frequency.size)
    for rate in (0.317 * numax**0.970, 0.948 * numax**0.992):
        power += (2 * np.sqrt(2) / np.pi) * amplitude**2 / rate / (1 + (frequency / rate) ** 4)
    height, width = 2.03e7 * numax**-2.38, 0.66 * numax**0.88 / 2.3548
    offset, total = 0.634 + 0.63 * np.log10(dnu), sum(VISIBLE.values())
    for order in range(int(numax / dnu) - 8, int(numax / dnu) + 9):
        for degree, visible in VISIBLE.items():
            shift = {0: 0.0, 1: 0.5 - 0.005, 2: 1 - 0.121, 3: 0.5 + 1 - 0.280}[degree]
            at = dnu * (order + offset + shift)
            share = np.exp(-0.5 * ((at - numax) / width) ** 2) * visible / total
            # A Lorentzian with the power that the smooth envelope has in one Δν.
            power += (
                height
                * dnu
                * share
                * (2 / (np.pi * linewidth))
                / (1 + (2 * (frequency - at) / linewidth) ** 2)
            )
    return power


def simulate_giants(
    number: int,
    *,
    seed: int,
    days: float = 108.0,
    noise: float = 150.0,
    span: tuple[float, float] = (30.0, 180.0),
    scatter: float = 0.05,
    oscillating: bool = True,
) -> SimpleNamespace:
    """
    Return ``time`` (days), ``flux`` (star, time) in ppm, ``numax`` and ``dnu`` (star) in µHz, ``granulation``
    (star), its rms in ppm.

    Parameters
    ----------
    days, noise
        Length, with a gap of a day in every 13.5; ppm of white noise in half an hour.
    span
        µHz between which νmax is drawn, evenly in the logarithm.
    scatter
        Of Δν about 0.263 νmax^0.772, relative.
    oscillating
        False for granulation alone.
    """
    random = np.random.default_rng(seed)
    cadences = int(days / CADENCE)
    time = 1325.0 + CADENCE * np.arange(cadences)
    numax = np.exp(random.uniform(*np.log(span), number))
    dnu = 0.263 * numax**0.772 * (1 + scatter * random.normal(size=number))
    size = LONGER * cadences
    frequency = np.fft.rfftfreq(size, CADENCE) / 0.0864
    flux, granulation = np.empty((number, cadences)), np.empty(number)
    for star in range(number):
        scale = np.exp(0.1 * random.normal())
        granulation[star] = scale * np.sqrt(2) * 3382 * numax[star] ** -0.609
        power = _power(frequency, numax[star], dnu[star], np.exp(random.normal(np.log(0.1), 0.3)), scale)
        if not oscillating:
            power = _power(frequency, numax[star], 1e9, 0.1, scale)
        seen = np.sinc(frequency / (2 * frequency[-1]))
        luck = random.normal(size=(2, frequency.size))
        # One-sided power density to the coefficients of the inverse transform.
        modulus = seen * np.sqrt(power * (frequency[1] - frequency[0]) / 4) * size
        series = np.fft.irfft(modulus * (luck[0] + 1j * luck[1]), size)
        first = random.integers(0, size - cadences)
        flux[star] = series[first : first + cadences] + noise * random.normal(size=cadences)
    known = (time - time[0]) % 13.5 < 12.5
    return SimpleNamespace(
        time=time[known], flux=flux[:, known], numax=numax, dnu=dnu, granulation=granulation, cadence=CADENCE
    )


def as_light_curves(flux: np.ndarray, time: np.ndarray, teff: float = 4800.0) -> xr.Dataset:
    """Return light curves (star, time) of flux in ppm, of stars of one temperature."""
    stars = len(flux)
    return xr.Dataset(
        {"flux": (("star", "time"), (1e4 * (1 + 1e-6 * flux)).astype(np.float32))},
        coords={
            "time": time,
            "quality": ("time", np.zeros(time.size, np.int32)),
            "tic": ("star", np.arange(1, stars + 1)),
            "teff": ("star", np.full(stars, teff, np.float32)),
        },
        attrs={"sector": 1, "camera": 1, "ccd": 2, "field": "", "product": "light_curves"},
    )
