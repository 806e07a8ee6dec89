"""Claims about PSFs made of splines."""

import numpy as np
import pytest

from tasoc_kit.numerics import effective_psf, prf
from tasoc_kit.numerics.effective_psf import (
    MOVES,
    STEP,
    EffectivePsf,
    add_light,
    add_moved,
    collocate,
    node_weights,
    psf_at,
    secants,
)

PLACES = np.array([[2000.0, 60.0], [900.0, 1000.0], [20.0, 2050.0]])


@pytest.fixture(scope="module", params=range(len(PLACES)), ids=["axis", "middle", "corner"])
def parts(request):
    return prf.components(*PLACES[[request.param]].T, camera=1, ccd=2)


def test_splines_hold_the_nominal_prf_and_its_derivatives(parts):
    table = collocate(lambda y, x: prf.pixel_response(y, x, parts[0]))
    star = np.array([1.0]), np.array([30.3]), np.array([29.8])
    drawn, truth = np.zeros((6, 60, 60)), np.zeros((6, 60, 60))
    add_light(drawn, *star, table[None], np.array([20]))
    prf.add_expansion(truth, *star, parts, np.array([20]))
    for term, tolerance in zip(range(6), (1e-3, 0.01, 0.01, 0.05, 0.05, 0.02), strict=True):
        np.testing.assert_allclose(drawn[term], truth[term], atol=tolerance * abs(truth[term]).max())


def test_differences_follow_a_star_that_moves_by_a_step_where_derivatives_do_not(parts):
    table = collocate(lambda y, x: prf.pixel_response(y, x, parts[0]))[None]
    light = np.array([1.0]), np.array([30.3]), np.array([29.8])
    images, derivatives, moved = np.zeros((len(MOVES), 60, 60)), np.zeros((6, 60, 60)), np.zeros((1, 60, 60))
    add_moved(images, *light, table, np.array([15]))
    add_light(derivatives, *light, table, np.array([15]))
    add_light(moved, *light, table, np.array([15]), (STEP, 0.0))
    wrong = [
        np.abs(terms[0] + STEP * terms[1] + STEP**2 / 2 * terms[3] - moved[0]).max()
        for terms in (secants(images), derivatives)
    ]
    assert wrong[0] < 1e-12 < 1e-4 < wrong[1]


def test_the_light_of_a_star_is_that_of_its_pixels_wherever_it_stands(parts):
    table = collocate(lambda y, x: prf.pixel_response(y, x, parts[0]))
    unit = (table * effective_psf.unit_light()).sum()
    for row, column in ((30.0, 30.0), (30.5, 29.7)):
        image = np.zeros((1, 61, 61))
        add_light(image, np.ones(1), np.array([row]), np.array([column]), table[None], np.array([20]))
        # What is left is light between a square of pixels and the reach of the splines.
        assert image.sum() == pytest.approx(unit, abs=3e-3)


def test_nodes_are_met_and_a_cubic_lies_on_the_way_between_them():
    nodes, places = np.linspace(0, 2047, 5), np.linspace(-10, 2060, 50)
    inside = np.clip(places, 0, 2047)

    def field(x):
        return (x / 1000) ** 3 - (x / 1000) ** 2

    np.testing.assert_allclose(node_weights(nodes, places) @ field(nodes), field(inside), atol=1e-12)
    np.testing.assert_allclose(node_weights(nodes[:1], places), 1.0)


def test_the_psf_of_a_place_is_that_of_its_node():
    random = np.random.default_rng(2)
    size = effective_psf.SPLINES
    psf = EffectivePsf(
        np.array([0.0, 500, 1000]), np.array([44.0, 600]), random.normal(size=(3, 2, size, size))
    )
    found = psf_at(psf, np.array([500.0, 2000]), np.array([600.0, 0]))
    np.testing.assert_allclose(found, psf.coefficients[[1, 2], [1, 0]], atol=1e-5)


def test_light_is_followed_until_it_is_fainter_than_the_floor():
    part = prf.components(1000.0, 1000.0, camera=1, ccd=2)[0]
    table = collocate(lambda y, x: prf.pixel_response(y, x, part))
    psf = EffectivePsf(np.zeros(1), np.zeros(1), table[None, None])
    radius = effective_psf.reach_of(psf, np.array([1.0, 30, 1000, 1e6]), 0.1)
    assert radius[0] == 2
    assert radius[-1] == effective_psf.REACH
    outside = effective_psf.sample(table, np.array([radius[2] + 1.0]), np.zeros(1))
    assert (
        1000 * outside[0]
        < 0.1
        < 1000 * effective_psf.sample(table, np.array([radius[2] - 1.0]), np.zeros(1))[0]
    )
