"""The PSF over a CCD, and what is left of the light of a star once its PSF is taken away."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.numerics.effective_psf import EffectivePsf, add_light, psf_at, reach_of, sample
from tasoc_kit.plots.frame import image, pixel_image
from tasoc_kit.plots.theme import place_options

__all__ = ["psf", "psf_residual"]

HALF, FINE = 5.0, 61
FLOOR = 1e-5
LIGHTEST = -0.5
"""Logarithm of the share of a star's light in a pixel that is drawn brightest."""
AROUND = 12
SIDE, WIDE = 200, 300
"""Pixels of the screen that a figure has along each side."""


def _of(product: xr.Dataset) -> EffectivePsf:
    nodes = (product[name].values.astype(float) for name in ("node_row", "node_column"))
    return EffectivePsf(*nodes, product["psf_coefficient"].values)


def psf(product: xr.Dataset) -> hv.Layout:
    """
    Return images of the PSF in the corners and the middle of the CCD, on a logarithmic scale.

    Parameters
    ----------
    product
        The product ``psf``.
    """
    shape = _of(product)
    offset = np.linspace(-HALF, HALF, FINE)
    y, x = (axis.ravel() for axis in np.meshgrid(offset, offset, indexing="ij"))
    places = [
        (row, column)
        for row in shape.row[[-1, shape.row.size // 2, 0]]
        for column in shape.column[[0, shape.column.size // 2, -1]]
    ]
    views = []
    for row, column in places:
        light = sample(psf_at(shape, np.array([row]), np.array([column]))[0], y, x).reshape(FINE, FINE)
        view = hv.Image((offset, offset, np.log10(np.maximum(light, FLOOR))), ["column offset", "row offset"])
        title = f"row {row:.0f}, column {column:.0f}"
        views.append(
            view.opts(
                title=title,
                cmap="magma",
                clim=(np.log10(FLOOR), LIGHTEST),
                xlabel="",
                ylabel="",
                **place_options(FINE, FINE, width=SIDE, height=SIDE),
            )  # fmt: skip
        )
    return hv.Layout(views).cols(3).opts(toolbar=None)


def psf_residual(product: xr.Dataset, reference: xr.Dataset, star: int) -> hv.Layout:
    """
    Return the reference about a star, and what is left without the light of all stars.

    Parameters
    ----------
    product
        The product ``psf``.
    reference
        Star image.
    star
        Index of the star.
    """
    row, column = (int(np.rint(product[f"psf_{axis}"].values[star])) for axis in ("row", "column"))
    near = slice(row - AROUND, row + AROUND), slice(column - AROUND, column + AROUND)
    stamp = reference["reference"].sel(row=near[0], column=near[1]).astype(float)
    origin = float(stamp["row"][0]), float(stamp["column"][0])
    shape, flux = _of(product), product["psf_flux"].values
    stars = np.flatnonzero(np.isfinite(flux))
    y, x = product["psf_row"].values[stars], product["psf_column"].values[stars]
    light = np.zeros((1, *stamp.shape))
    add_light(
        light,
        flux[stars],
        y - origin[0],
        x - origin[1],
        psf_at(shape, y, x),
        reach_of(shape, flux[stars], 0.1),
    )
    left = stamp - light[0]
    most = float(np.nanpercentile(np.abs(left), 99)) or 1.0
    size = place_options(*stamp.shape, width=WIDE, height=WIDE)
    pixels = pixel_image(left.values.astype(np.float32), stamp["row"].values, stamp["column"].values)
    bare = pixels.opts(
        title="without the stars", cmap="coolwarm", clim=(-most, most), colorbar=True, clabel="",
        tools=["hover"], **size,
    )  # fmt: skip
    return (image(stamp, title="reference").opts(**size) + bare).opts(toolbar=None)
