"""Claims about how stars share pixels, each against the dense matrices of a small field."""

import numpy as np
import pytest

from tasoc_kit.numerics.effective_psf import REACH, collocate, draw_stamp
from tasoc_kit.numerics.overlaps import Sources, local_inverse, overlap_matrix, stamp_response, stamp_sums
from tasoc_kit.numerics.prf import components, pixel_response
from tasoc_kit.numerics.psf_sums import SIDE

SIZE = 60


@pytest.fixture(scope="module")
def field():
    """Return the sources of a field, its stamps, and both as dense matrices; the last two are one unknown."""
    random = np.random.default_rng(5)
    row, column = random.uniform(8, SIZE - 9, (2, 30))
    row[-1], column[-1] = row[-2] + 0.2, column[-2] - 0.1
    table = collocate(lambda y, x: pixel_response(y, x, components(900.0, 900.0, camera=1, ccd=2)[0]))
    share, unknown = np.ones(30), np.minimum(np.arange(30), 28)
    share[-2:] = 0.7, 0.3
    tables = np.repeat(table[None].astype(np.float32), 30, axis=0)
    sources = Sources(row, column, tables, np.full(30, REACH), share, unknown)
    light, drawn = np.zeros((29, SIZE, SIZE)), np.empty((SIZE, SIZE))
    for s in range(30):
        draw_stamp(tables[s], 0, 0, row[s], column[s], drawn)
        light[unknown[s]] += share[s] * drawn
    top, left = (np.rint(place[:29]).astype(np.int64) - SIDE // 2 for place in (row, column))
    weight, dense = np.empty((29, SIDE, SIDE)), np.zeros_like(light)
    for i in range(29):
        box = np.s_[top[i] : top[i] + SIDE, left[i] : left[i] + SIDE]
        weight[i] = light[i][box] / (light[i][box] ** 2).sum()
        dense[i][box] = weight[i]
    return sources, (weight, top, left), dense.reshape(29, -1), light.reshape(29, -1).T


def test_the_matrix_holds_the_light_of_every_star_in_every_stamp(field):
    sources, stamps, weight, light = field
    found = overlap_matrix(*stamps, sources).toarray()
    # Light that falls short of a stamp by its reach is left out, less than this.
    np.testing.assert_allclose(found, weight @ light, atol=2e-4)
    np.testing.assert_allclose(np.diagonal(found), 1.0, atol=1e-5)


def test_sums_over_stamps_solve_for_the_fluxes_of_a_crowded_field(field):
    sources, stamps, _, light = field
    flux = np.geomspace(10, 1e4, 29)
    image = (light @ flux).reshape(SIZE, SIZE)
    found = np.linalg.solve(overlap_matrix(*stamps, sources).toarray(), stamp_sums(image, *stamps))
    np.testing.assert_allclose(found, flux, rtol=1e-3, atol=0.5)


def test_pixels_without_weight_may_hold_anything(field):
    weight, top, left = field[1]
    image, holed = np.ones((SIZE, SIZE)), weight.copy()
    holed[3, 2, 2] = 0.0
    image[top[3] + 2, left[3] + 2] = np.nan
    assert stamp_sums(image, holed, top, left)[3] == pytest.approx(holed[3].sum())
    assert np.isnan(stamp_sums(image, weight, top, left)[3])


def test_each_row_of_the_inverse_near_its_star_is_that_of_the_whole_matrix(field):
    matrix = overlap_matrix(*field[1], field[0])
    inverse, whole = local_inverse(matrix), np.linalg.inv(matrix.toarray())
    np.testing.assert_allclose(inverse.flux, np.diagonal(whole), rtol=0.01)
    np.testing.assert_array_equal(inverse.near[:, 0], np.arange(29))
    for i, (near, value) in enumerate(zip(inverse.near, inverse.value, strict=True)):
        known = near >= 0
        np.testing.assert_allclose(value[known], whole[i, near[known]], atol=0.01)


def test_errors_are_those_of_the_weights_that_each_flux_has(field):
    _, (weight, top, left), dense, _ = field
    random = np.random.default_rng(6)
    variance, slope = random.uniform(1, 2, (SIZE, SIZE)), random.uniform(1, 2, SIZE)
    inverse = local_inverse(overlap_matrix(weight, top, left, field[0]))
    rows = np.zeros((29, 29))
    for i, (near, value) in enumerate(zip(inverse.near, inverse.value, strict=True)):
        rows[i, near[near >= 0]] = value[near >= 0]
    response = (rows @ dense).reshape(29, SIZE, SIZE)
    # Stamps are the light of their star over the variance and over a scale.
    scale, star = random.uniform(1, 2, 29), np.zeros((29, SIZE, SIZE))
    for i, (y, x) in enumerate(zip(top, left, strict=True)):
        box = np.s_[y : y + SIDE, x : x + SIDE]
        star[i][box] = weight[i] * scale[i] * variance[box]
    found = stamp_response(weight, top, left, inverse.near, inverse.value, variance, slope, scale)
    truth = (
        (response**2 * variance).sum(axis=(1, 2)),
        (response**2 * slope).sum(axis=(1, 2)),
        response.sum(axis=(1, 2)),
        (response.sum(axis=1) ** 2).sum(axis=1),
        (response**2 * slope * star).sum(axis=(1, 2)),
    )
    # Weights beyond the window around a star are left out: they are those of neighbours of neighbours.
    np.testing.assert_allclose(found, truth, rtol=2e-3, atol=1e-4)
