"""Co-trending vectors fitted to many light curves at once.

``flux / median − 1 = offset + Σ c_k · vector_k + Σ s_k · spike_k``

All stars of an area share the vectors, so the products of the vectors are made once, and a star takes away
those of the few cadences that it leaves out. Models of 1, 2, … vectors are nested: one Cholesky
factorisation tells the residual of each.

With a prior the coefficients are those of greatest probability (Smith+ 2012, PASP 124 1000): the neighbours
of a star say what they should be and how far they scatter, and what the star varies by itself counts as
noise, correlated as its residuals are. A star that varies a lot takes the coefficients of its neighbours; a
quiet one has its own.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

from tasoc_kit.numerics.statistics import MAD_TO_SIGMA

__all__ = ["VectorFit", "design_of", "fit_near", "fit_vectors", "no_fit", "put"]

CLIP, MOST_CLIPS = 4.0, 20
"""Residuals beyond so many scatters are left out, and the fit made anew, until none is, or so often."""
RIDGE = 1e-12
FEWEST = 8
"""Cadences without which nothing is known of a star, whatever its neighbours say."""
FEWEST_PER_TERM = 3
"""Cadences that a coefficient must have, on average, to be fitted."""
NEARER, ALIKE = 6, 1e-4
"""Turns in which a star is told from its systematics; least difference of neighbouring cadences."""
STARS_AT_ONCE = 64


class VectorFit(NamedTuple):
    """Fits of many stars."""

    coefficient: np.ndarray
    """(star, term): offset, then vectors and spikes in turn; 0 for those left out, NaN without a fit."""
    number: np.ndarray
    """(star) vectors that the information criterion took."""
    criterion: np.ndarray
    """(star) that criterion."""
    variance: np.ndarray
    """(star) of the residuals, of the cadences kept."""
    correlation: np.ndarray
    """(star) of a residual with the next one."""
    cadences: np.ndarray
    """(star) cadences kept."""


@njit(nogil=True, cache=True)
def _solve(normal, right, terms, lower, forward):
    """
    Factorise the first terms of a normal matrix; fill in what each takes from the sum of squares.

    ``forward`` holds the transformed right side, the square of which a term takes.
    """
    for j in range(terms):
        total = normal[j, j]
        for k in range(j):
            total -= lower[j, k] * lower[j, k]
        # A vector that the ones before it explain takes nothing.
        lower[j, j] = np.sqrt(total) if total > RIDGE * max(normal[j, j], 1e-300) else np.inf
        for i in range(j + 1, terms):
            value = normal[i, j]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = value / lower[j, j]
        value = right[j]
        for k in range(j):
            value -= lower[j, k] * forward[k]
        forward[j] = value / lower[j, j]


@njit(nogil=True, cache=True)
def _back(lower, forward, terms, coefficient):
    for j in range(terms - 1, -1, -1):
        value = forward[j]
        for i in range(j + 1, terms):
            value -= lower[i, j] * coefficient[i]
        coefficient[j] = value / lower[j, j]


@njit(nogil=True, cache=True)
def _take(flux, design, t, normal, right, sign):
    """Add one cadence to the normal equations, or take it away; return its part of the sum of squares."""
    for i in range(design.shape[1]):
        right[i] += sign * design[t, i] * flux[t]
        for j in range(i + 1):
            normal[i, j] += sign * design[t, i] * design[t, j]
    return sign * flux[t] * flux[t]


@njit(nogil=True, cache=True)
def _start(flux, design, products, normal, right):
    """Fill in the normal equations of the finite cadences; return their number and sum of squares."""
    normal[:], right[:] = products, 0.0
    n, square = 0, 0.0
    for t in range(flux.size):
        if np.isfinite(flux[t]):
            n += 1
            square += flux[t] * flux[t]
            for i in range(design.shape[1]):
                right[i] += design[t, i] * flux[t]
        else:
            for i in range(design.shape[1]):
                for j in range(i + 1):
                    normal[i, j] -= design[t, i] * design[t, j]
    return n, square


@njit(nogil=True, cache=True)
def _leave(flux, design, coefficient, kept, residual):
    """Fill in what a model leaves; return the distance from zero at which a cadence is off."""
    n = 0
    distance = np.empty(flux.size)
    for t in range(flux.size):
        model = 0.0
        for i in range(coefficient.size):
            model += design[t, i] * coefficient[i]
        residual[t] = flux[t] - model
        if kept[t]:
            distance[n] = abs(residual[t])
            n += 1
    ordered = np.sort(distance[:n])
    return CLIP * MAD_TO_SIGMA * 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])


@njit(nogil=True, cache=True)
def _fit_star(flux, design, products, per_vector, every, coefficient):
    """Fit one star by itself; return number of vectors, criterion, and what the residuals tell."""
    terms = design.shape[1]
    normal, right = np.empty((terms, terms)), np.empty(terms)
    n, square = _start(flux, design, products, normal, right)
    vectors = min((terms - 1) // per_vector, (n // FEWEST_PER_TERM - 1) // per_vector)
    fewest = FEWEST_PER_TERM * (1 + vectors * per_vector)
    if vectors < 1:
        coefficient[:] = np.nan
        return 0, np.nan, np.nan, np.nan, n
    kept, residual = np.isfinite(flux), np.empty(flux.size)
    lower, forward = np.zeros((terms, terms)), np.zeros(terms)
    number, criterion = 0, np.inf
    for _ in range(MOST_CLIPS):
        _solve(normal, right, 1 + vectors * per_vector, lower, forward)
        number, criterion, left, free = 0, np.inf, square - forward[0] ** 2, 1
        for k in range(1, vectors + 1):
            for j in range(1 + (k - 1) * per_vector, 1 + k * per_vector):
                left -= forward[j] ** 2
                # Spikes that are zero everywhere are no term.
                free += normal[j, j] > 0
            told = n * np.log(max(left, 1e-300) / n) + free * np.log(float(n))
            if told < criterion:
                number, criterion = k, told
        coefficient[:] = 0.0
        _back(lower, forward, 1 + (vectors if every else number) * per_vector, coefficient)
        limit, before = _leave(flux, design, coefficient, kept, residual), n
        for t in range(flux.size):
            if kept[t] and abs(residual[t]) > limit and n > fewest:
                kept[t] = False
                square += _take(flux, design, t, normal, right, -1.0)
                n -= 1
        if n == before:
            break
    variance, correlation, n = _residuals(residual, kept)
    if every and 1 + vectors * per_vector < terms:
        coefficient[:] = np.nan
    return number, criterion, variance, correlation, n


@njit(nogil=True, cache=True)
def _fit_near(flux, design, products, mean, scatter, coefficient):
    """
    Fit one star near coefficients that are expected, as far as they scatter; return what the residuals tell.

    What the star does by itself is told by what the expected coefficients leave, then by those found.
    """
    terms = design.shape[1]
    normal, right = np.empty((terms, terms)), np.empty(terms)
    n, _ = _start(flux, design, products, normal, right)
    if n < FEWEST_PER_TERM * terms and not np.isfinite(scatter[1:]).all():
        coefficient[:] = np.nan
        return np.nan, np.nan, n
    if n < FEWEST:
        coefficient[:] = np.nan
        return np.nan, np.nan, n
    kept, residual = np.isfinite(flux), np.empty(flux.size)
    lower, forward = np.zeros((terms, terms)), np.zeros(terms)
    full, wanted = np.empty((terms, terms)), np.empty(terms)
    if n < FEWEST_PER_TERM * terms:
        # So few cadences a free fit follows, noise and all, and would leave no noise to weigh them by.
        coefficient[:] = mean
        _leave(flux, design, coefficient, kept, residual)
        for t in range(flux.size):
            if kept[t]:
                coefficient[0] += residual[t] / n
    else:
        _solve(normal, right, terms, lower, forward)
        _back(lower, forward, terms, coefficient)
    for _ in range(NEARER):
        limit = _leave(flux, design, coefficient, kept, residual)
        for t in range(flux.size):
            if kept[t] and abs(residual[t]) > limit and n > FEWEST_PER_TERM * terms:
                kept[t] = False
                _take(flux, design, t, normal, right, -1.0)
                n -= 1
        variance, correlation, _ = _residuals(residual, kept)
        # Cadences that are alike tell less than so many.
        noise = variance * (1 + max(correlation, 0.0)) / max(1 - correlation, ALIKE)
        full[:], wanted[:] = normal, right
        for i in range(1, terms):
            precision = noise / max(scatter[i] ** 2, 1e-300)
            full[i, i] += precision
            wanted[i] += precision * mean[i]
        _solve(full, wanted, terms, lower, forward)
        _back(lower, forward, terms, coefficient)
    _leave(flux, design, coefficient, kept, residual)
    return _residuals(residual, kept)


@njit(nogil=True, cache=True)
def _residuals(residual, kept):
    """Return variance of the residuals that were kept, correlation of neighbours, and their number."""
    total, product, pairs, n = 0.0, 0.0, 0, 0
    for t in range(residual.size):
        if kept[t]:
            total += residual[t] ** 2
            n += 1
            if t and kept[t - 1]:
                product += residual[t] * residual[t - 1]
                pairs += 1
    variance = total / max(n, 1)
    return variance, product / pairs / variance if pairs and variance > 0 else 0.0, n


def design_of(vectors: np.ndarray, spikes: np.ndarray | None) -> np.ndarray:
    """Return the terms (time, term): 1, then each vector (vector, time), with its spikes if there are any."""
    each = vectors if spikes is None else np.stack([vectors, spikes], axis=1).reshape(-1, vectors.shape[1])
    return np.ascontiguousarray(np.vstack([np.ones(vectors.shape[1]), each]).T)


def fit_vectors(
    flux: np.ndarray, design: np.ndarray, per_vector: int, threads: int = 1, *, every: bool = False
) -> VectorFit:
    """
    Fit each star by itself, with as many vectors as the Bayesian information criterion takes.

    Parameters
    ----------
    flux
        float64 (star, time): relative flux less 1; NaN where it is not used.
    design
        (time, term) as of :func:`design_of`.
    per_vector
        Terms of a vector: 1, or 2 with its spikes.
    threads
        Stars that are fitted at the same time.
    every
        Fit all vectors, and tell the number that the criterion would take: what is left out would be 0, and
        that is no measurement of what the neighbours have. NaN where the cadences do not suffice for all.
    """
    made = no_fit(len(flux), design.shape[1])
    products = design.T @ design

    def fit(star: int) -> None:
        number, criterion, *left = _fit_star(
            flux[star], design, products, per_vector, every, made.coefficient[star]
        )
        made.number[star], made.criterion[star] = number, criterion
        made.variance[star], made.correlation[star], made.cadences[star] = left

    _each(fit, len(flux), threads)
    return made


def fit_near(
    flux: np.ndarray, design: np.ndarray, mean: np.ndarray, scatter: np.ndarray, threads: int = 1
) -> VectorFit:
    """
    Fit each star near the coefficients that its neighbours let expect.

    Parameters
    ----------
    flux, design, threads
        As of :func:`fit_vectors`.
    mean, scatter
        (star, term): what is expected; the offset is free whatever they say of it.
    """
    made = no_fit(len(flux), design.shape[1])
    products = design.T @ design

    def fit(star: int) -> None:
        left = _fit_near(flux[star], design, products, mean[star], scatter[star], made.coefficient[star])
        made.variance[star], made.correlation[star], made.cadences[star] = left

    _each(fit, len(flux), threads)
    return made


def no_fit(stars: int, terms: int) -> VectorFit:
    """Return the table of fits that are yet to be made."""
    told = (np.full(stars, np.nan) for _ in range(3))
    return VectorFit(np.zeros((stars, terms)), np.zeros(stars, np.int8), *told, np.zeros(stars, np.int32))


def put(fit: VectorFit, stars: np.ndarray, found: VectorFit) -> None:
    """Enter the fits of some stars, which may have fewer terms, in the table of all."""
    fit.coefficient[stars] = np.where(np.isfinite(found.coefficient).all(axis=1), 0.0, np.nan)[:, None]
    fit.coefficient[stars, : found.coefficient.shape[1]] = found.coefficient
    for name in VectorFit._fields[1:]:
        getattr(fit, name)[stars] = getattr(found, name)


def _each(fit: Callable[[int], None], stars: int, threads: int) -> None:
    def some(first: int) -> None:
        for star in range(first, min(first + STARS_AT_ONCE, stars)):
            fit(star)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(some, range(0, stars, STARS_AT_ONCE)))
