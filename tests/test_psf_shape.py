"""Claims about the width, the profile and the stamps that people are shown of a PSF."""

import numpy as np
import pytest
import xarray as xr

from tasoc_kit.numerics.effective_psf import collocate
from tasoc_kit.photometry.psfs.psf_shape import psf_profile, psf_shape, psf_stamps, star_on_psf

LONG, SHORT, TURNED = 1.3, 1.0, np.deg2rad(30)
FWHM = np.sqrt(8 * np.log(2) * LONG * SHORT)


def gaussian(y, x):
    """Return a Gaussian of two widths, its longer axis turned from columns towards rows."""
    along, across = x * np.cos(TURNED) + y * np.sin(TURNED), y * np.cos(TURNED) - x * np.sin(TURNED)
    return np.exp(-0.5 * ((along / LONG) ** 2 + (across / SHORT) ** 2)) / (2 * np.pi * LONG * SHORT)


@pytest.fixture(scope="module")
def product():
    table = collocate(gaussian)
    return xr.Dataset(
        {
            "psf_coefficient": (
                ("node_row", "node_column", "spline_row", "spline_column"),
                np.broadcast_to(table, (2, 2, *table.shape)).astype(np.float32),
            ),
            "psf_row": ("star", [20.2, 23.0, 20.0]),
            "psf_column": ("star", [64.0, 66.4, 90.0]),
            "psf_flux": ("star", [1000.0, 200.0, np.nan]),
            "tic": ("star", [1, 2, 3]),
        },
        coords={"node_row": [0.0, 63.0], "node_column": [44.0, 107.0]},
    )


@pytest.fixture(scope="module")
def reference(product):
    row, column = np.meshgrid(np.arange(64), 44 + np.arange(64), indexing="ij")
    image = sum(
        float(flux) * gaussian(row - float(y), column - float(x))
        for y, x, flux in zip(
            *(product[f"psf_{name}"].values[:2] for name in ("row", "column", "flux")), strict=True
        )
    )
    place = ("row", "column")
    return xr.Dataset(
        {
            "reference": (place, image.astype(np.float32)),
            "reference_sky": (place, np.zeros(image.shape, np.float32)),
            "noise_floor": ("column", np.full(64, 4.0)),
            "noise_slope": ("column", np.zeros(64)),
        },
        coords={"row": np.arange(64), "column": 44 + np.arange(64)},
    )


def test_width_elongation_and_angle_are_those_of_the_gaussian(product):
    shape = psf_shape(product, places=3)
    np.testing.assert_allclose(shape["fwhm"], FWHM, rtol=0.005)
    np.testing.assert_allclose(shape["elongation"], 1 - SHORT / LONG, atol=0.01)
    np.testing.assert_allclose(shape["angle"], TURNED, atol=0.02)
    np.testing.assert_allclose(shape["middle"], gaussian(0.0, 0.0), rtol=0.01)


def test_the_profile_lies_between_its_axes_and_holds_all_light(product):
    profile = psf_profile(product, 30.0, 70.0).sel(radius=slice(0, 6))
    radius = profile["radius"].values
    np.testing.assert_allclose(
        profile["high"], gaussian(radius * np.sin(TURNED), radius * np.cos(TURNED)), atol=5e-4
    )
    assert (profile["low"] <= profile["mean"]).all()
    assert (profile["mean"] <= profile["high"]).all()
    assert float(profile["within"][-1]) == pytest.approx(1.0, abs=0.01)


def test_every_node_has_its_stamp(product):
    stamps = psf_stamps(product, half=2.0, fine=2)
    assert stamps.sizes == {"node_row": 2, "node_column": 2, "row_offset": 9, "column_offset": 9}
    y, x = np.meshgrid(stamps["row_offset"], stamps["column_offset"], indexing="ij")
    np.testing.assert_allclose(stamps[1, 0], gaussian(y, x), atol=5e-4)


def test_nothing_is_left_of_a_star_and_its_neighbour_whose_psf_is_known(product, reference):
    stamp = star_on_psf(product, reference, 0, half=6)
    assert stamp["data"].shape == (13, 13)
    assert (stamp["row"][6], stamp["column"][6]) == (20, 64)
    assert float(np.abs(stamp["left"]).max()) < 0.5
    alone = product.assign(psf_flux=product["psf_flux"].where(product["tic"] != 2))
    left = star_on_psf(alone, reference, 0, half=6)["left"]
    assert float(left.sel(row=23, column=66)) == pytest.approx(200 * gaussian(0.0, 0.4) / 2, rel=0.02)


def test_a_star_in_the_corner_has_a_smaller_stamp(product, reference):
    corner = product.assign(psf_row=("star", [1.0, 23.0, 20.0]), psf_column=("star", [45.0, 66.4, 90.0]))
    assert star_on_psf(corner, reference, 0, half=6)["model"].shape == (8, 8)
