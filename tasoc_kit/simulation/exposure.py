"""From star light and sky to the pixels of one frame: shift, bleeding, noise, cosmic rays."""

from __future__ import annotations

import numba
import numpy as np

from tasoc_kit.numerics import detector

__all__ = ["add_noise", "bleed", "compose", "cosmic_rays"]

BORDER_NOISE = np.float32(0.036)
_COSMIC_CHARGE = 3000.0
_COSMIC_LENGTH = 2.0


@numba.njit(nogil=True, cache=True, fastmath=True)
def compose(images, motion, first_column, centre_row, centre_column, sky, out):
    """
    Fill ``out`` with sky and stars moved by a small affine displacement.

    Parameters
    ----------
    images
        Star light and its derivatives by position, float32 (6, rows, columns), in the order of
        ``numerics.prf.TERMS``.
    motion
        Six numbers of ``Pose.relative_to``.
    first_column, centre_row, centre_column
        Label of column 0 of the images, and of the point that ``motion`` refers to.
    sky
        Background, float32 (rows, columns).
    out
        Image to fill, float32 (rows, columns).
    """
    rows, columns = out.shape
    half = np.float32(0.5)
    for i in range(rows):
        y = i - centre_row
        row_start = np.float32(motion[0] + motion[1] * y + motion[2] * (first_column - centre_column))
        column_start = np.float32(motion[3] + motion[4] * y + motion[5] * (first_column - centre_column))
        row_step, column_step = np.float32(motion[2]), np.float32(motion[5])
        for j in range(columns):
            a = row_start + row_step * np.float32(j)
            b = column_start + column_step * np.float32(j)
            out[i, j] = (
                images[0, i, j]
                + a * (images[1, i, j] + half * a * images[3, i, j] + b * images[5, i, j])
                + b * (images[2, i, j] + half * b * images[4, i, j])
                + sky[i, j]
            )


@numba.njit(nogil=True, cache=True)
def bleed(image, limit):
    """
    Let charge above ``limit`` flow along its column until every pixel holds it.

    Half of what a pixel cannot hold goes up, half down; what reaches an end of the column turns
    back, so the charge of a column is conserved while it fits.

    Parameters
    ----------
    image
        Float32 (rows, columns), changed in place.
    limit
        What a pixel holds, in the unit of the image.
    """
    rows, columns = image.shape
    above = np.zeros(columns, np.bool_)
    for i in range(rows):
        for j in range(columns):
            above[j] |= image[i, j] > limit
    for j in np.flatnonzero(above):
        total = 0.0
        for i in range(rows):
            total += image[i, j]
        if total >= limit * rows:
            image[:, j] = limit
            continue
        up = np.zeros(rows)
        down = np.zeros(rows)
        for i in range(rows):
            excess = max(image[i, j] - limit, 0.0)
            image[i, j] -= excess
            up[i] = down[i] = 0.5 * excess
        carry = 0.0
        for i in range(rows):
            carry = _settle(image, i, j, carry + up[i], limit)
        for i in range(rows - 1, -1, -1):
            carry = _settle(image, i, j, carry + down[i], limit)
        for i in range(rows):
            carry = _settle(image, i, j, carry, limit)


@numba.njit(nogil=True, cache=True)
def _settle(image, i, j, charge, limit):
    """Put as much charge into a pixel as it holds and return the rest."""
    taken = min(charge, max(limit - image[i, j], 0.0))
    image[i, j] += taken
    return charge - taken


@numba.njit(nogil=True, cache=True, fastmath=True)
def _add_noise(expected, normals, read_variance, live, noise, first_column, flux, flux_err):
    rows, columns = expected.shape
    per_second = np.float32(1.0 / live)
    scale = np.float32(1.0 if noise else 0.0)
    for i in range(flux.shape[0]):
        for j in range(flux.shape[1]):
            k = j - first_column
            if i < rows and 0 <= k < columns:
                value = expected[i, k]
                sigma = np.sqrt(max(value, np.float32(0.0)) * per_second + read_variance[k])
            else:
                value = np.float32(0.0)
                sigma = BORDER_NOISE
            flux[i, j] = value + scale * sigma * normals[i, j]
            flux_err[i, j] = sigma


def add_noise(
    expected: np.ndarray,
    read_noise: np.ndarray,
    reads: int,
    live: float,
    random: np.random.Generator | None,
    flux: np.ndarray,
    flux_err: np.ndarray,
) -> None:
    """
    Fill the stored image and its uncertainty.

    ``var = expected / live + reads · read_noise² / live²``: photons and reads. Pixels outside
    the science area hold read noise only.

    Parameters
    ----------
    expected
        Electron/s of the science area, float32.
    read_noise
        Electrons per read of each science column.
    reads
        Reads per exposure.
    live
        Time on source, seconds.
    random
        Source of the noise; None makes none, the uncertainty is the same.
    flux, flux_err
        Stored images to fill, float32, of the same shape.
    """
    if random is None:
        normals = np.zeros(flux.shape, np.float32)
    else:
        normals = random.standard_normal(flux.shape, dtype=np.float32)
    variance = (reads * read_noise**2 / live**2).astype(np.float32)
    first = detector.SCIENCE_COLUMNS.start
    _add_noise(expected, normals, variance, live, random is not None, first, flux, flux_err)


def cosmic_rays(
    image: np.ndarray, random: np.random.Generator, rate: float, live: float, limit: float
) -> int:
    """
    Add cosmic-ray tracks to an image, in place, and return their number.

    Parameters
    ----------
    image
        Science area, electron/s.
    random
        Source of the hits.
    rate
        Mean number of hits on this image.
    live
        Time on source, seconds.
    limit
        No pixel gets above it.
    """
    hits = int(random.poisson(rate))
    start = random.uniform(0, 1, (hits, 2)) * image.shape
    angle = random.uniform(0, 2 * np.pi, hits)
    length = random.exponential(_COSMIC_LENGTH, hits)
    charge = _COSMIC_CHARGE * random.lognormal(0.0, 1.0, hits) / live
    steps = 6
    along = (np.arange(steps) + 0.5) / steps
    row = np.floor(start[:, :1] + length[:, None] * np.sin(angle)[:, None] * along).astype(int)
    column = np.floor(start[:, 1:] + length[:, None] * np.cos(angle)[:, None] * along).astype(int)
    on = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
    share = np.broadcast_to((charge / steps)[:, None], row.shape)
    np.add.at(image, (row[on], column[on]), share[on].astype(np.float32))
    np.minimum.at(image, (row[on], column[on]), np.float32(limit))
    return hits
