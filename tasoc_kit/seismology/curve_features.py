"""What tells classes of variable stars apart: some forty numbers of a light curve.

They are those that classifiers of light curves have been built on: moments and the ratio of von Neumann;
power in bands, as FliPer's (Bugnet+ 2018, A&A 620 A38); the strongest waves and the Fourier parameters of
their harmonics (Debosscher+ 2007, A&A 475 1159; Simon & Lee 1981, ApJ 248 291); autocorrelation (McQuillan+
2013, MNRAS 432 1203); dips (Kovács+ 2002, A&A 391 369). A number that a light curve does not have is 0.
"""

from __future__ import annotations

import bottleneck
import numpy as np

from tasoc_kit.numerics.autocorrelation import autocorrelation, even_grid
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA, median_of_rows
from tasoc_kit.seismology.box_search import search_boxes
from tasoc_kit.seismology.power_density import MICROHERTZ, frequency_grid, power_density
from tasoc_kit.seismology.waves import fit_waves, harmonics, highest_peak

__all__ = ["FEATURES", "FEWEST", "curve_features"]

BANDS = (0.0, 0.2, 0.5, 1.2, 3.0, 6.0, 12.0, 24.0)
"""Cycles a day between which power is summed."""
OVERSAMPLING = 5.0
WAVES = 3
HARMONICS = 4
FEWEST = 100
"""Good cadences, or nothing is said."""
WINDOW = 1.5
"""Days of the moving median that dips are looked for below."""
AT_ONCE = 200
"""Stars that are measured together."""
TINY = 1e-9

FEATURES = (
    "log_range", "log_excess", "log_noise_ratio", "skewness", "robust_skewness", "log_kurtosis",
    "log_von_neumann", "fraction_below", "fraction_above", "log_tails", "trend",
    *(f"band_{k}" for k in range(1, len(BANDS))), "log_white", "log_flatness", "log_highest",
    *(f"log_frequency_{k}" for k in range(1, WAVES + 1)), *(f"log_snr_{k}" for k in range(1, WAVES + 1)),
    "amplitude_21", "amplitude_31", "explained_1", "explained_all", "separation_21",
    "harmonic_21", "harmonic_31", "cos_phase_21", "sin_phase_21", "cos_phase_31", "sin_phase_31",
    "explained_harmonics", "explained_half", "coherence",
    "acf_height", "log_acf_lag", "acf_one", "log_acf_half",
    "log_dip_snr", "log_dip_bump", "log_dip_period", "dip_duration", "log_dip_depth", "dip_odd_even",
    "dip_secondary", "dip_number",
)  # fmt: skip


def curve_features(flux: np.ndarray, error: np.ndarray, time: np.ndarray, cadence: float) -> np.ndarray:
    """
    Return the features of light curves.

    Parameters
    ----------
    flux
        (star, time) ppm about the level of the star; NaN where nothing is known.
    error
        (star) 1-sigma uncertainty of a cadence, ppm; where it is not known the scatter from cadence to
        cadence takes its place.
    time
        (time) days.
    cadence
        Days from one cadence to the next.

    Returns
    -------
    float64 (star, feature), in the order of ``FEATURES``; NaN for a star with fewer than a hundred cadences
    or without any scatter.
    """
    found = np.full((len(flux), len(FEATURES)), np.nan)
    finite = np.isfinite(flux)
    spread = np.zeros(len(flux))
    some = np.flatnonzero(finite.sum(axis=1) >= FEWEST)
    spread[some] = np.nanstd(flux[some], axis=1)
    for stars in np.array_split(np.flatnonzero(spread > 0), max(1, -(-(spread > 0).sum() // AT_ONCE))):
        if stars.size:
            found[stars] = _features(flux[stars], error[stars], time, cadence)
    return found


def _features(flux: np.ndarray, error: np.ndarray, time: np.ndarray, cadence: float) -> np.ndarray:
    centred = flux - np.nanmean(flux, axis=1, keepdims=True)
    noise = MAD_TO_SIGMA / np.sqrt(2) * median_of_rows(np.abs(np.diff(centred, axis=1)))
    noise = np.where(noise > 0, noise, np.nanstd(centred, axis=1))
    error = np.where(np.isfinite(error) & (error > 0), error, noise)
    even = even_grid(centred, time, cadence)
    told = [
        _moments(centred, noise, error),
        _trend(centred, time)[:, None],
        _spectra(centred, error, time, cadence),
        _repetition(even, cadence),
        _dips(even, error, cadence),
    ]
    return np.nan_to_num(np.concatenate(told, axis=1), posinf=0.0, neginf=0.0)


def _log(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.log10(np.maximum(values, TINY)))


def _moments(flux: np.ndarray, noise: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the features of the distribution (star, feature)."""
    deviation = np.nanstd(flux, axis=1)
    unit = flux / deviation[:, None]
    low, below, middle, above, high = np.nanpercentile(flux, (0.5, 5, 50, 95, 99.5), axis=1)
    steps = np.diff(flux, axis=1)
    neumann = np.nansum(steps**2, axis=1) / np.maximum(np.isfinite(steps).sum(axis=1), 1) / deviation**2
    robust = MAD_TO_SIGMA * median_of_rows(np.abs(flux - middle[:, None]))
    robust = np.where(robust > 0, robust, deviation)
    away = (flux - middle[:, None]) / robust[:, None]
    count = np.isfinite(flux).sum(axis=1)
    return np.stack(
        [
            _log(above - below),
            _log(deviation / error),
            _log(noise / error),
            np.arcsinh(np.nanmean(unit**3, axis=1)),
            (above + below - 2 * middle) / np.maximum(above - below, TINY),
            _log(np.nanmean(unit**4, axis=1)),
            _log(neumann),
            (away < -3).sum(axis=1) / count,
            (away > 3).sum(axis=1) / count,
            _log((middle - low) / np.maximum(high - middle, TINY)),
        ],
        axis=1,
    )


def _trend(flux: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the share of the variance that a cubic polynomial has."""
    known = np.isfinite(flux)
    place = 2 * (time - time[0]) / max(float(np.ptp(time)), TINY) - 1
    basis = np.polynomial.legendre.legvander(place, 3)
    normal = np.einsum("st,tk,tl->skl", known.astype(float), basis, basis, optimize=True)
    right = np.where(known, flux, 0) @ basis
    found = np.einsum("skl,sl->sk", np.linalg.pinv(normal, hermitian=True), right)
    return _explained(flux, flux - found @ basis.T)


def _explained(flux: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Return the share of the variance that is gone."""
    return 1 - np.nanvar(residual, axis=1) / np.nanvar(flux, axis=1)


def _spectra(flux: np.ndarray, error: np.ndarray, time: np.ndarray, cadence: float) -> np.ndarray:
    """Return the features of spectra and waves (star, feature)."""
    at = frequency_grid(time, cadence, OVERSAMPLING)
    days = time - 0.5 * (time[0] + time[-1])
    power = power_density(flux, time, at, cadence)
    total = power.sum(axis=1)
    edges = np.searchsorted(at / MICROHERTZ, BANDS)
    bands = np.stack([power[:, a:b].sum(axis=1) for a, b in zip(edges[:-1], edges[1:], strict=True)], axis=1)
    white = np.median(power[:, edges[-2] :], axis=1) / np.log(2)
    flatness = np.exp(np.log(np.maximum(power, TINY)).mean(axis=1)) / power.mean(axis=1)
    told = [
        _log(bands / total[:, None]),
        _log(white / (2 * error**2 * cadence / MICROHERTZ))[:, None],
        _log(flatness)[:, None],
        _log(OVERSAMPLING * power.max(axis=1) / total)[:, None],
    ]
    frequency, snr, residual, highest = np.full((len(flux), WAVES), np.nan), [], flux, power
    first = flux
    for k in range(WAVES):
        place, frequency[:, k] = highest_peak(at, highest)
        snr.append(highest[np.arange(len(flux)), place] / np.maximum(np.median(highest, axis=1), TINY))
        wave, residual = fit_waves(flux, days, frequency[:, : k + 1])
        first = residual if k == 0 else first
        if k < WAVES - 1:
            highest = power_density(residual, time, at, cadence)
    size = np.maximum(np.abs(wave[:, :1]), TINY)
    told += [
        _log(frequency / MICROHERTZ),
        _log(np.stack(snr, axis=1)),
        np.minimum(np.abs(wave[:, 1:]) / size, 2),
    ]
    told += [_explained(flux, one)[:, None] for one in (first, residual)]
    span = max(float(np.ptp(time)), cadence)
    apart = np.abs(frequency[:, 1] - frequency[:, 0]) / MICROHERTZ * span
    told += [np.minimum(apart, 5)[:, None], _harmonics(flux, days, frequency[:, 0])]
    return np.concatenate(told, axis=1)


def _harmonics(flux: np.ndarray, days: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return the Fourier parameters of the strongest wave, and what half its frequency explains."""
    wave, residual = fit_waves(flux, days, harmonics(frequency, HARMONICS))
    size = np.maximum(np.abs(wave), TINY)
    turn = wave / size
    told = [np.minimum(size[:, k] / size[:, 0], 2) for k in (1, 2)]
    for k in (1, 2):
        phase = turn[:, k] * np.conj(turn[:, 0]) ** (k + 1)
        told += [phase.real, phase.imag]
    _, half = fit_waves(flux, days, harmonics(0.5 * frequency, 2 * HARMONICS))
    left = np.nanvar(residual, axis=1)
    gain = 1 - np.nanvar(half, axis=1) / np.maximum(left, TINY)
    middle = days < 0
    waves = [fit_waves(flux[:, some], days[some], frequency[:, None])[0][:, 0] for some in (middle, ~middle)]
    alike = np.abs(waves[0] + waves[1]) / np.maximum(np.abs(waves[0]) + np.abs(waves[1]), TINY)
    return np.stack([*told, _explained(flux, residual), gain, alike], axis=1)


def _repetition(even: np.ndarray, cadence: float) -> np.ndarray:
    """Return the features of the autocorrelation: its highest peak, and how soon it falls."""
    acf = np.nan_to_num(autocorrelation(even))
    stars, lags = np.arange(len(acf)), acf.shape[1]
    crossed = np.where((acf < 0).any(axis=1), (acf < 0).argmax(axis=1), lags - 1)
    after = np.where(np.arange(lags) >= crossed[:, None], acf, -1.0)
    peak = after.argmax(axis=1)
    half = np.where((acf < 0.5).any(axis=1), (acf < 0.5).argmax(axis=1), lags - 1)
    return np.stack(
        [after[stars, peak], _log(peak * cadence + TINY), acf[:, min(1, lags - 1)], _log(half * cadence)],
        axis=1,
    )


def _dips(even: np.ndarray, error: np.ndarray, cadence: float) -> np.ndarray:
    """Return the features of the best dips below a moving median."""
    window = min(max(3, int(WINDOW / cadence) | 1), even.shape[1] - (even.shape[1] + 1) % 2)
    ahead = np.pad(even, ((0, 0), (0, window // 2)), constant_values=np.nan)
    slow = bottleneck.move_median(ahead, window, min_count=1, axis=1)[:, window // 2 :]
    flat = even - slow
    noise = MAD_TO_SIGMA * median_of_rows(np.abs(flat))
    found = search_boxes(flat, cadence * np.arange(even.shape[1]), np.where(noise > 0, noise, error))
    return np.stack(
        [
            _log(found.snr),
            _log(found.snr / np.maximum(found.bump_snr, 1)),
            _log(found.period),
            found.duration,
            _log(np.maximum(found.depth, 0) / error),
            np.minimum(found.odd_even, 3),
            np.clip(found.secondary, -2, 2),
            np.minimum(found.dips, 30),
        ],
        axis=1,
    )
