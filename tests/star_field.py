"""Small star fields with known stars, as the reference and the catalogue that apertures start from."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import ndimage

ZERO_POINT = 20.451
FULL_WELL = 1.0e5


def as_reference(image: np.ndarray, *, row: int = 0, column: int = 44) -> xr.Dataset:
    """Return an image as a reference whose first pixel has these labels."""
    place = ("row", "column")
    return xr.Dataset(
        {
            "reference": (place, image.astype(np.float32)),
            "saturated": (place, np.nan_to_num(image) > 0.8 * FULL_WELL),
        },
        coords={
            "row": np.arange(row, row + image.shape[0], dtype=np.int32),
            "column": np.arange(column, column + image.shape[1], dtype=np.int32),
        },
        attrs={"sector": 1, "camera": 1, "ccd": 2, "provenance_id": "0123456789ab"},
    )


def as_stars(row: np.ndarray, column: np.ndarray, tmag: np.ndarray) -> xr.Dataset:
    """Return a catalogue; the positions are labels."""
    return xr.Dataset(
        {
            "tic": ("star", np.arange(len(row)) + 1),
            "tmag": ("star", np.asarray(tmag, dtype=np.float32)),
            "star_row": ("star", np.asarray(row, dtype=float)),
            "star_column": ("star", np.asarray(column, dtype=float)),
        }
    )


def add_star(image: np.ndarray, row: float, column: float, tmag: float, fwhm: float = 1.9) -> None:
    """Add a star with a Gaussian core and 10 % of its light in wings."""
    flux, sigma = 10 ** (-0.4 * (tmag - ZERO_POINT)), fwhm / 2.3548
    reach = 30 if tmag < 9 else 12
    top, left = max(int(row) - reach, 0), max(int(column) - reach, 0)
    stamp = image[top : int(row) + reach, left : int(column) + reach]
    if not stamp.size:
        return
    i, j = np.indices(stamp.shape)
    square = (i + top - row) ** 2 + (j + left - column) ** 2
    core = np.exp(-square / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    stamp += flux * (0.9 * core + 0.1 / (6 * np.pi) * (1 + square / 9) ** -2.5)


def bleed(image: np.ndarray) -> None:
    """Let what a pixel cannot hold run down and up its column, in place."""
    for column in np.flatnonzero((image > FULL_WELL).any(axis=0)):
        line = image[:, column]
        peak, excess = int(np.argmax(line)), float(np.clip(line - FULL_WELL, 0, None).sum())
        np.minimum(line, FULL_WELL, out=line)
        for step in range(1, len(line)):
            for row in (peak - step, peak + step):
                if excess > 0 and 0 <= row < len(line):
                    taken = min(excess, FULL_WELL - line[row])
                    line[row] += taken
                    excess -= taken


def make_field(
    rows: int,
    columns: int,
    stars: int,
    *,
    seed: int,
    noise: float = 0.6,
    brightest: float = 7.0,
    faintest: float = 18.0,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Return reference and catalogue of a random field whose star counts double per magnitude."""
    random = np.random.default_rng(seed)
    low, high = 2.0**brightest, 2.0**faintest
    tmag = np.log2(low + random.random(stars) * (high - low))
    row, column = random.uniform(-2, rows + 1, stars), random.uniform(-2, columns + 1, stars)
    image = random.normal(0, noise, (rows, columns))
    for place in zip(row, column, tmag, strict=True):
        add_star(image, *place)
    bleed(image)
    return as_reference(image), as_stars(row, column + 44, tmag)


def detect_stars(image: np.ndarray, height: float = 5.0) -> xr.Dataset:
    """Return the peaks of a real image as a catalogue, with magnitudes from their 3 × 3 sums."""
    image = np.nan_to_num(image)
    smooth = ndimage.gaussian_filter(image, 0.7)
    scatter = 1.4826 * np.median(np.abs(image - np.median(image)))
    peaks = (smooth == ndimage.maximum_filter(smooth, 3)) & (smooth > np.median(smooth) + height * scatter)
    rows, columns = np.nonzero(peaks)
    flux = ndimage.uniform_filter(np.clip(image, 0, None), 3)[peaks] * 9
    return as_stars(rows, columns + 44, ZERO_POINT - 2.5 * np.log10(flux))
