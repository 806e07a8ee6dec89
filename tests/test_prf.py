"""The parametric PRF: normalised, centred, differentiable, and as wide as the real ones."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy.io import fits

from tasoc_kit.numerics import prf

PLACES = [(5.0, 60.0), (1024.0, 1068.0), (2040.0, 2080.0)]


def expansion(row, column, parts, size=41):
    """The six images of one star of flux 1."""
    images = np.zeros((6, size, size))
    one = np.array
    prf.add_expansion(images, one([1.0]), one([row]), one([column]), parts, one([20], np.int32))
    return images


@pytest.mark.parametrize(("row", "column"), PLACES)
def test_the_light_of_a_star_adds_up_to_its_flux_and_its_centroid_is_its_position(row, column):
    parts = prf.components(row, column, camera=1, ccd=2)
    assert parts[0, :, 0].sum() == pytest.approx(1.0)
    image = np.zeros((241, 241))
    one = np.array
    prf.add_stars(image, one([7.0]), one([120.3]), one([119.8]), parts, one([120], np.int32))
    rows, columns = np.indices(image.shape)
    assert image.sum() == pytest.approx(7.0, rel=1e-9)
    assert (image * rows).sum() / 7.0 == pytest.approx(120.3, abs=2e-3)
    assert (image * columns).sum() / 7.0 == pytest.approx(119.8, abs=2e-3)


def test_the_derivatives_are_those_of_the_image_by_the_position_of_the_star():
    parts, step = prf.components(300.0, 1800.0, camera=1, ccd=2), 1e-3

    def value(a, b):
        return expansion(20.2 + a, 19.7 + b, parts)[0]

    images = expansion(20.2, 19.7, parts)
    middle = value(0, 0)
    expected = [
        middle,
        (value(step, 0) - value(-step, 0)) / (2 * step),
        (value(0, step) - value(0, -step)) / (2 * step),
        (value(step, 0) - 2 * middle + value(-step, 0)) / step**2,
        (value(0, step) - 2 * middle + value(0, -step)) / step**2,
        (value(step, step) - value(step, -step) - value(-step, step) + value(-step, -step)) / (4 * step**2),
    ]
    for image, slope, name in zip(images, expected, prf.TERMS, strict=True):
        np.testing.assert_allclose(image, slope, atol=3e-6, err_msg=name)


@pytest.mark.parametrize(("row", "column"), PLACES)
def test_the_expansion_is_right_to_1e_4_of_the_light_at_the_largest_distance_from_an_anchor(row, column):
    parts = prf.components(row, column, camera=1, ccd=2)
    images = expansion(20.1, 20.4, parts)
    a, b = 0.025, -0.02
    moved = (
        images[0]
        + a * images[1]
        + b * images[2]
        + 0.5 * a**2 * images[3]
        + 0.5 * b**2 * images[4]
        + a * b * images[5]
    )
    assert np.abs(moved - expansion(20.1 + a, 20.4 + b, parts)[0]).max() < 1e-4


def test_a_drawn_star_is_the_pixel_response():
    parts = prf.components(900.0, 200.0, camera=3, ccd=4)
    rows, columns = np.indices((41, 41))
    np.testing.assert_allclose(
        expansion(19.9, 20.25, parts)[0],
        prf.pixel_response(rows - 19.9, columns - 20.25, parts[0]),
        atol=1e-12,
    )


def test_a_stamp_leaves_out_only_what_is_below_the_floor():
    parts = prf.components(100.0, 300.0, camera=1, ccd=2)
    for flux in (3.0, 300.0, 3e5):
        radius = int(prf.radius_for(np.array([flux]), parts, floor=0.02)[0])
        beyond = np.arange(radius + 1, radius + 40)
        assert flux * prf.pixel_response(0.0, beyond, parts[0]).max() < 2.5 * 0.02


def test_stars_at_and_beyond_the_edge_are_drawn_as_far_as_they_reach():
    image = np.zeros((20, 20))
    parts = prf.components(np.zeros(3), np.full(3, 44.0), camera=1, ccd=2)
    positions = np.array([-3.0, 19.4, 500.0])
    prf.add_stars(image, np.ones(3), positions, positions, parts, np.full(3, 8, np.int32))
    assert np.isfinite(image).all()
    assert image[19, 19] > 0.1
    assert 0 < image[0, 0] < 0.01


def test_widths_and_concentrations_are_those_of_the_published_prfs(shared_data):
    folder = shared_data("tess_prf")
    grid = (np.arange(117) - 58) / 9
    rows, columns = np.meshgrid(grid, grid, indexing="ij")
    found = []
    for path in sorted(folder.glob("*.fits")):
        row, column = (int(number) for number in re.search(r"row(\d+)-col(\d+)", path.name).groups())
        real = fits.getdata(path)
        model = prf.pixel_response(rows, columns, prf.components(row - 1, column - 1, camera=1, ccd=4)[0])
        found.append([measure(real / real.sum() * 81, rows, columns), measure(model, rows, columns)])
    real, model = np.array(found).transpose(1, 2, 0)
    assert len(found[0]) == 2
    assert len(found) == 25
    np.testing.assert_allclose(model[0], real[0], rtol=0.08, err_msg="width at half maximum")
    np.testing.assert_allclose(model[1], real[1], rtol=0.15, err_msg="peak")
    np.testing.assert_allclose(model[2], real[2], atol=0.05, err_msg="light within 1.5 pixels")
    np.testing.assert_allclose(model[3], real[3], atol=0.03, err_msg="light within 3 pixels")


def measure(image, rows, columns):
    """Width, peak, and the light within 1.5 and 3 pixels of the centroid, on a 9-fold sampled PRF."""
    total = image.sum()
    distance = np.hypot(rows - (image * rows).sum() / total, columns - (image * columns).sum() / total)
    width = 2 * np.sqrt((image > image.max() / 2).sum() / 81 / np.pi)
    return [width, image.max(), image[distance < 1.5].sum() / 81, image[distance < 3].sum() / 81]
