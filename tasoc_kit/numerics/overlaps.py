"""How stars share pixels: the normal matrix of PSF photometry, and its inverse near each star.

The sums over a frame are ``S·D`` with one small stamp of weights S a star. The model ``D = P·F``
reaches as far as the light of the stars does, so ``(S·P)·F = S·D`` holds however small the
stamps are; with ``S = W·P`` on all pixels it is the least-squares solution.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from tasoc_kit.numerics.effective_psf import draw_stamp
from tasoc_kit.numerics.psf_sums import SIDE

__all__ = ["Inverse", "Sources", "local_inverse", "overlap_matrix", "stamp_response", "stamp_sums"]

MOST_NEAR = 24
"""Neighbours that the inverse around a star takes in."""
FEEBLE = 0.01
"""Share of a star's light in another's stamp below which it is no neighbour."""
WINDOW = 3 * SIDE
"""Pixels around a star, each way, that its weights may reach with those of its neighbours."""


class Sources(NamedTuple):
    """Stars as they are drawn; several may share one unknown flux."""

    row: np.ndarray
    """(source) place in pixels of the frame."""
    column: np.ndarray
    tables: np.ndarray
    """(source, SPLINES, SPLINES) coefficients of the PSF there."""
    radius: np.ndarray
    """(source) half-width in pixels of its light."""
    share: np.ndarray
    """(source) part of the unknown flux."""
    unknown: np.ndarray
    """(source) which unknown flux it belongs to."""


class Inverse(NamedTuple):
    """What the errors of every unknown need."""

    flux: np.ndarray
    """(unknown) diagonal of the inverse."""
    near: np.ndarray
    """(unknown, neighbour) the unknowns it depends on most, itself first; −1 where there is none."""
    value: np.ndarray
    """(unknown, neighbour) those elements of its row of the inverse."""


def overlap_matrix(weight: np.ndarray, top: np.ndarray, left: np.ndarray, sources: Sources) -> csr_array:
    """
    Return ``S·P``, the light of every unknown in the stamp of every other.

    Parameters
    ----------
    weight
        (unknown, SIDE, SIDE) weights.
    top, left
        (unknown) first pixel of each stamp.
    sources
        The stars, placed in the same count.
    """
    if not top.size:
        return csr_array((0, 0))
    half = (SIDE - 1) / 2
    tree = cKDTree(np.column_stack([top + half, left + half]))
    places = np.column_stack([sources.row, sources.column])
    near = tree.query_ball_point(places, sources.radius + SIDE / 2, p=np.inf)
    count = np.asarray([len(one) for one in near])
    stamp = np.concatenate([np.asarray(one, np.int64) for one in near]) if count.sum() else np.zeros(0, int)
    source = np.repeat(np.arange(count.size), count)
    light = _light_in_stamps(weight, top, left, sources, stamp, source)
    shape = (top.size, top.size)
    return csr_array((light, (stamp, sources.unknown[source])), shape=shape)


@njit(nogil=True, cache=True)
def _light_in_stamps(weight, top, left, sources, stamp, source):
    out, drawn = np.empty(stamp.size), np.empty((SIDE, SIDE))
    for k in range(stamp.size):
        i, j = stamp[k], source[k]
        draw_stamp(sources.tables[j], top[i], left[i], sources.row[j], sources.column[j], drawn)
        total = 0.0
        for r in range(SIDE):
            for c in range(SIDE):
                total += weight[i, r, c] * drawn[r, c]
        out[k] = sources.share[j] * total
    return out


@njit(nogil=True, cache=True)
def stamp_sums(image, weight, top, left):
    """Return the weighted sum of an image over every stamp; pixels without weight may hold anything."""
    out = np.zeros(top.size)
    for s in range(top.size):
        for r in range(SIDE):
            for c in range(SIDE):
                if weight[s, r, c] != 0:
                    out[s] += weight[s, r, c] * float(image[top[s] + r, left[s] + c])
    return out


@njit(nogil=True, cache=True)
def _neighbours(matrix, i, limit):
    """Return the unknowns with the strongest ties to one, itself first, and their number."""
    data, indices, start = matrix
    tie = np.empty(start[i + 1] - start[i])
    for k in range(tie.size):
        tie[k] = abs(data[start[i] + k]) if indices[start[i] + k] != i else np.inf
    order = np.argsort(-tie)
    out = np.full(limit, -1)
    count = 0
    for k in order:
        if count < limit and tie[k] > FEEBLE:
            out[count] = indices[start[i] + k]
            count += 1
    return out, count


@njit(nogil=True, cache=True)
def _local_inverse(matrix, unknowns, limit):
    data, indices, start = matrix
    flux, place = np.ones(unknowns), np.full(unknowns, -1)
    near, value = np.full((unknowns, limit), -1), np.zeros((unknowns, limit))
    for i in range(unknowns):
        near[i], count = _neighbours(matrix, i, limit)
        block, unit = np.zeros((count, count)), np.zeros(count)
        for a in range(count):
            place[near[i, a]] = a
        # Transposed, for a row of the inverse is wanted.
        for a in range(count):
            row = near[i, a]
            for k in range(start[row], start[row + 1]):
                b = place[indices[k]]
                if b >= 0:
                    block[b, a] = data[k]
        unit[0] = 1.0
        solved = np.linalg.solve(block, unit)
        for a in range(count):
            value[i, a] = solved[a]
            place[near[i, a]] = -1
        flux[i] = solved[0]
    return flux, near, value


def local_inverse(matrix: csr_array) -> Inverse:
    """
    Return the inverse of a matrix around its diagonal, each row from the unknowns nearest to it.

    Good to about one per cent where stars are as dense as pixels can separate: enough for
    errors, not for fluxes.

    Parameters
    ----------
    matrix
        From :func:`overlap_matrix`, its diagonal 1.
    """
    parts = matrix.data, matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return Inverse(*_local_inverse(parts, matrix.shape[0], MOST_NEAR))


@njit(nogil=True, cache=True)
def stamp_response(weight, top, left, near, value, variance, slope, scale):
    """
    Return what pixels do to every unknown: its row of ``N⁻¹S``, the weights its flux really has.

    Parameters
    ----------
    weight, top, left
        The stamps.
    near, value
        Rows of the inverse.
    variance, slope
        float64 (rows, columns) variance of a pixel, and its change with the light of the pixel
        (columns).
    scale
        (unknown) what the stamps, light over variance, were divided by.

    Returns
    -------
    float64 (5, unknown): the variance; its change with the sky; the sum of the weights; the
    sum over columns of the square of the sum in a column; the change of the variance with the
    flux of the star itself.
    """
    rows, columns = variance.shape
    out = np.zeros((5, top.size))
    patch, sums = np.empty((WINDOW, WINDOW)), np.empty(WINDOW)
    for i in range(top.size):
        patch[:], sums[:] = 0.0, 0.0
        for k in range(near.shape[1]):
            j = near[i, k]
            if j < 0:
                break
            y, x = top[j] - top[i] + SIDE, left[j] - left[i] + SIDE
            for r in range(max(0, -y), min(SIDE, WINDOW - y)):
                for c in range(max(0, -x), min(SIDE, WINDOW - x)):
                    patch[y + r, x + c] += value[i, k] * weight[j, r, c]
        for r in range(WINDOW):
            for c in range(WINDOW):
                g = patch[r, c]
                if g != 0:
                    row, column = top[i] - SIDE + r, left[i] - SIDE + c
                    out[0, i] += g * g * variance[row, column]
                    out[1, i] += g * g * slope[column]
                    sums[c] += g
        for c in range(WINDOW):
            out[2, i] += sums[c]
            out[3, i] += sums[c] ** 2
        out[4, i] = scale[i] * _own_photons(patch, weight[i], top[i], left[i], variance, slope)
    return out


@njit(nogil=True, cache=True)
def _own_photons(patch, weight, top, left, variance, slope):
    """Return what the light of a star itself, which its stamp is over the variance, adds to its variance."""
    total = 0.0
    for r in range(SIDE):
        for c in range(SIDE):
            g, light = patch[SIDE + r, SIDE + c], weight[r, c] * variance[top + r, left + c]
            total += g * g * slope[left + c] * light
    return total
