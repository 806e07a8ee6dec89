"""The PSF of a CCD in numbers that people know, and what it leaves of the light about one star."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.numerics.effective_psf import REACH, EffectivePsf, add_light, psf_at, reach_of, sample
from tasoc_kit.photometry.psfs.psf_scene import FAINT_WINGS, psf_of

__all__ = ["psf_profile", "psf_shape", "psf_stamps", "star_on_psf"]

PLACES = 9
"""Places along each side of the CCD."""
_CORE, _STEP = 3.0, 0.03
"""Half-width and sampling, pixels, of what the width is measured on."""
_TURNS = 48


def _core(psf: EffectivePsf, row: np.ndarray, column: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return the PSF at places on a square of offsets, (place, offset, offset)."""
    y, x = (axis.ravel() for axis in np.meshgrid(offset, offset, indexing="ij"))
    tables = psf_at(psf, row, column)
    return np.stack([sample(table, y, x).reshape(offset.size, offset.size) for table in tables])


def psf_shape(product: xr.Dataset, places: int = PLACES) -> xr.Dataset:
    """
    Return width and elongation of the PSF over the CCD.

    Parameters
    ----------
    product
        The product ``psf``.
    places
        Along each side.

    Returns
    -------
    Dataset (row, column): ``fwhm`` in pixels, the diameter of a circle as large as what lies above half
    of the maximum; ``elongation``, 1 − minor ÷ major axis of that; ``angle``, of the major axis, radians
    from the direction of columns towards that of rows; ``middle``, the share of its light in the pixel
    under a star in its middle.
    """
    psf = psf_of(product)
    rows, columns = (np.linspace(nodes[0], nodes[-1], places) for nodes in (psf.row, psf.column))
    row, column = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    offset = np.arange(-_CORE, _CORE + _STEP / 2, _STEP)
    light = _core(psf, row, column, offset)
    inside = light > 0.5 * light.max(axis=(1, 2), keepdims=True)
    area = inside.sum(axis=(1, 2)) * _STEP**2
    count, down, across = inside.sum(axis=(1, 2)), inside.sum(axis=2), inside.sum(axis=1)
    y, x = down @ offset / count, across @ offset / count
    yy, xx = down @ offset**2 / count - y**2, across @ offset**2 / count - x**2
    xy = np.einsum("kij,i,j->k", inside, offset, offset, optimize=True) / count - y * x
    middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    centre = light[:, offset.size // 2, offset.size // 2]
    values = {
        "fwhm": 2 * np.sqrt(area / np.pi),
        "elongation": 1 - np.sqrt((middle - spread) / (middle + spread)),
        "angle": 0.5 * np.arctan2(2 * xy, xx - yy),
        "middle": centre,
    }
    return xr.Dataset(
        {name: (("row", "column"), value.reshape(places, places)) for name, value in values.items()},
        coords={"row": rows, "column": columns},
    )


def psf_stamps(product: xr.Dataset, half: float = 5.0, fine: int = 4) -> xr.DataArray:
    """
    Return the PSF at every node, (node_row, node_column, row_offset, column_offset).

    Parameters
    ----------
    product
        The product ``psf``.
    half
        Pixels to each side of the star.
    fine
        Samples to a pixel.
    """
    psf = psf_of(product)
    offset = np.linspace(-half, half, round(2 * half * fine) + 1)
    row, column = (axis.ravel() for axis in np.meshgrid(psf.row, psf.column, indexing="ij"))
    light = _core(psf, row, column, offset)
    return xr.DataArray(
        light.reshape(psf.row.size, psf.column.size, offset.size, offset.size),
        dims=("node_row", "node_column", "row_offset", "column_offset"),
        coords={
            "node_row": psf.row, "node_column": psf.column, "row_offset": offset, "column_offset": offset,
        },
    )  # fmt: skip


def psf_profile(product: xr.Dataset, row: float, column: float, step: float = 0.1) -> xr.Dataset:
    """
    Return the PSF at a place against the distance from the star.

    Parameters
    ----------
    product
        The product ``psf``.
    row, column
        The place, labels.
    step
        Between distances, pixels.

    Returns
    -------
    Dataset (radius): ``mean``, ``low`` and ``high`` share of a star's light in a pixel at this distance, over
    all directions; ``within``, the share of the light up to it.
    """
    radius = np.arange(0.0, REACH, step)
    turn = np.linspace(0, 2 * np.pi, _TURNS, endpoint=False)
    table = psf_at(psf_of(product), np.array([row]), np.array([column]))[0]
    y, x = np.outer(radius, np.sin(turn)), np.outer(radius, np.cos(turn))
    light = sample(table, y.ravel(), x.ravel()).reshape(y.shape)
    mean = light.mean(axis=1)
    ring = np.pi * ((radius + step / 2) ** 2 - np.maximum(radius - step / 2, 0) ** 2)
    values = {
        "mean": mean,
        "low": light.min(axis=1),
        "high": light.max(axis=1),
        "within": np.cumsum(mean * ring),
    }
    return xr.Dataset({name: ("radius", value) for name, value in values.items()}, coords={"radius": radius})


def star_on_psf(product: xr.Dataset, reference: xr.Dataset, star: int, half: int = 8) -> xr.Dataset:
    """
    Return the pixels about a star: what the reference shows, what the PSF makes of it, what is left.

    Parameters
    ----------
    product
        The product ``psf``.
    reference
        Star image, sky and noise model.
    star
        Index of a star that has a PSF flux.
    half
        Pixels to each side.

    Returns
    -------
    Dataset (row, column): ``data`` and ``model`` of all stars, electron / s; ``left``, the difference over
    the noise of one exposure, which for the reference is more than its own.
    """
    middle = [round(float(product[f"psf_{axis}"][star])) for axis in ("row", "column")]
    near = {
        axis: slice(place - half, place + half) for axis, place in zip(("row", "column"), middle, strict=True)
    }
    cut = reference[["reference", "reference_sky", "noise_floor", "noise_slope"]].sel(near).load()
    data = cut["reference"].values.astype(float)
    model = _light(product, cut["row"].values, cut["column"].values)
    level = np.maximum(data + cut["reference_sky"].values, 0.0)
    noise = np.sqrt(cut["noise_floor"].values + cut["noise_slope"].values * level)
    values = {"data": data, "model": model, "left": (data - model) / noise}
    return xr.Dataset(
        {name: (("row", "column"), value) for name, value in values.items()},
        coords={"row": cut["row"].values, "column": cut["column"].values},
        attrs=reference.attrs,
    )


def _light(product: xr.Dataset, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the light of all stars that reaches some pixels."""
    psf = psf_of(product)
    y, x, flux = (product[f"psf_{name}"].values for name in ("row", "column", "flux"))
    reaches = np.isfinite(flux) & (y > rows[0] - REACH - 1) & (y < rows[-1] + REACH + 1)
    reaches &= (x > columns[0] - REACH - 1) & (x < columns[-1] + REACH + 1)
    y, x, flux = y[reaches], x[reaches], flux[reaches]
    image = np.zeros((1, rows.size, columns.size))
    add_light(image, flux, y - rows[0], x - columns[0], psf_at(psf, y, x), reach_of(psf, flux, FAINT_WINGS))
    return image[0]
