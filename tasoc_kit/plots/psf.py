"""The PSF over a CCD, and what is left of the light of a star once its PSF is taken away."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import xarray as xr

from tasoc_kit.numerics.effective_psf import EffectivePsf, add_light, psf_at, reach_of, sample
from tasoc_kit.plots.frame import image

__all__ = ["psf", "psf_residual"]

HALF, FINE = 5.0, 61
FLOOR = 1e-5
AROUND = 12


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
        views.append(view.opts(title=f"row {row:.0f}, column {column:.0f}", cmap="viridis", aspect="equal"))
    return hv.Layout(views).cols(3)


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
    return image(stamp, title="reference") + image(stamp - light[0], title="without the stars")
