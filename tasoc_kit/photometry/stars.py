"""Which stars are in the field: a catalogue brought onto the pixels, or what the image shows."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter
from skimage.feature import peak_local_max

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.geometry import pixel_to_sky, sky_to_pixel
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.step import Parameter, step

__all__ = ["locate_stars"]

MARGIN = 5.0
"""Pixels beyond the frame from which a star still sends light into it."""
SMOOTHING = 0.7
KEPT = ("tic", "ra", "dec", "tmag", "pmra", "pmdec", "teff")


@step(
    version=1,
    product="stars",
    needs={"reference": ("reference", "star_mask"), "catalogue": ("tic", "ra", "dec", "tmag")},
    gives=("tic", "ra", "dec", "tmag", "star_row", "star_column"),
    libraries=("numpy", "scipy", "scikit-image"),
)
def locate_stars(
    reference: xr.Dataset,
    catalogue: xr.Dataset | None = None,
    *,
    faintest: Annotated[float, Parameter("faintest magnitude to keep", unit="mag")] = 16.0,
    threshold: Annotated[
        float, Parameter("height of a peak over the noise, where there is no catalogue", gt=1)
    ] = 5.0,
) -> xr.Dataset:
    """
    Place catalogue stars on the pixels of the reference, or detect stars where there is no catalogue.

    Parameters
    ----------
    reference
        Star image, with the plate solution of its best frame.
    catalogue
        Stars with ``tic``, ``ra``, ``dec``, ``tmag``; None detects peaks of the image.
    faintest
        Faintest TESS magnitude to keep.
    threshold
        Height of a peak, in sigma of the image without stars; used only without a catalogue.

    Returns
    -------
    Stars in order of magnitude, with ``star_row`` and ``star_column`` (labels; pixel centres are
    integers). A detected star has ``tic`` 0 and a magnitude from its peak.

    Raises
    ------
    StepInputError
        If there is a catalogue but no plate solution.
    """
    stars = _detect(reference, threshold) if catalogue is None else _project(reference, catalogue)
    order = np.argsort(stars["tmag"].values, kind="stable")
    stars = stars.isel(star=order)
    stars = stars.isel(star=np.flatnonzero(stars["tmag"].values <= faintest))
    return stars.assign_attrs(method="detected" if catalogue is None else "catalogue")


def _project(reference: xr.Dataset, catalogue: xr.Dataset) -> xr.Dataset:
    wcs = str(reference.attrs.get("wcs", ""))
    if not wcs:
        raise StepInputError(
            "locate_stars: reference has no plate solution, so catalogue stars have no place on it; "
            "expected WCS cards in at least one frame. Leave the catalogue out to detect stars instead."
        )
    kept = catalogue[[name for name in KEPT if name in catalogue.variables]].reset_coords()
    known = (
        np.isfinite(kept["ra"].values) & np.isfinite(kept["dec"].values) & np.isfinite(kept["tmag"].values)
    )
    kept = kept.isel(star=np.flatnonzero(known))
    row, column = sky_to_pixel(wcs, kept["ra"].values, kept["dec"].values)
    rows, columns = reference["row"].values, reference["column"].values
    inside = (row >= rows[0] - MARGIN) & (row <= rows[-1] + MARGIN)
    inside &= (column >= columns[0] - MARGIN) & (column <= columns[-1] + MARGIN)
    placed = kept.assign(star_row=("star", row), star_column=("star", column))
    return placed.isel(star=np.flatnonzero(inside))


def _detect(reference: xr.Dataset, threshold: float) -> xr.Dataset:
    image = np.nan_to_num(reference["reference"].values.astype(float))
    smooth = gaussian_filter(image, SMOOTHING)
    dark = smooth[~reference["star_mask"].values]
    below = dark[dark <= np.median(dark)] if dark.size else smooth.ravel()
    noise = max(MAD_TO_SIGMA * float(np.median(np.median(below) - below)), 1e-3)
    peaks = peak_local_max(smooth, min_distance=1, threshold_abs=threshold * noise, exclude_border=False)
    padded = np.pad(image, 1)
    row, column, flux = np.empty((3, len(peaks)))
    for k, (r, c) in enumerate(peaks):
        box = np.clip(padded[r : r + 3, c : c + 3], 0, None)
        flux[k] = max(box.sum(), 1e-3)
        row[k] = r + (box.sum(axis=1) * (-1, 0, 1)).sum() / flux[k]
        column[k] = c + (box.sum(axis=0) * (-1, 0, 1)).sum() / flux[k]
    row += float(reference["row"].values[0])
    column += float(reference["column"].values[0])
    wcs = str(reference.attrs.get("wcs", ""))
    ra, dec = pixel_to_sky(wcs, row, column) if wcs else np.full((2, row.size), np.nan)
    return xr.Dataset(
        {
            "tic": ("star", np.zeros(row.size, np.int64)),
            "ra": ("star", ra),
            "dec": ("star", dec),
            "tmag": ("star", (ZERO_POINT - 2.5 * np.log10(flux)).astype(np.float32)),
            "star_row": ("star", row),
            "star_column": ("star", column),
        }
    )
