"""Claims about sums weighted with the PSF."""

import numpy as np
import pytest

from tasoc_kit.numerics.psf_sky import add_columns, add_surface, stamp_surface
from tasoc_kit.numerics.psf_sums import NO_PROFILES, SIDE, add_profiles, make_profiles
from tasoc_kit.numerics.splines import Surface

SHAPE = (75, 60)


@pytest.fixture
def stamps():
    random = np.random.default_rng(4)
    top, left = random.integers(0, SHAPE[0] - SIDE + 1, 90), random.integers(0, SHAPE[1] - SIDE + 1, 90)
    return random.normal(size=(90, SIDE, SIDE)).astype(np.float32), top, left


def cut(image, top, left):
    return np.stack([image[i : i + SIDE, j : j + SIDE] for i, j in zip(top, left, strict=True)])


def sums_of(frame, profiles, cell):
    out = np.zeros(90, np.float32)
    for band in range(-(-len(frame) // cell)):
        add_profiles(frame[band * cell : (band + 1) * cell].copy(), profiles, band, out)
    return out


@pytest.mark.parametrize("cell", [8, 11, 16, 75])
def test_stamps_cut_by_rows_of_cells_sum_as_whole_ones(stamps, cell):
    frame = np.random.default_rng(5).normal(100, 10, SHAPE).astype(np.float32)
    truth = (stamps[0] * cut(frame, *stamps[1:])).sum(axis=(1, 2), dtype=float)
    found = sums_of(frame, make_profiles(*stamps, cell, SHAPE[0]), cell)
    np.testing.assert_allclose(found, truth, atol=2e-3)


def test_a_pixel_without_weight_may_hold_no_number_and_one_with_weight_tells(stamps):
    weight, top, left = stamps
    frame = np.ones(SHAPE, np.float32)
    frame[20, 30] = np.nan
    lost = cut(np.isnan(frame), top, left)
    assert lost.any()
    spared = np.where(lost, np.float32(0), weight)
    assert np.isfinite(sums_of(frame, make_profiles(spared, top, left, 16, SHAPE[0]), 16)).all()
    found = sums_of(frame, make_profiles(weight, top, left, 16, SHAPE[0]), 16)
    np.testing.assert_array_equal(np.isnan(found), lost.any(axis=(1, 2)))


def test_no_profiles_add_nothing():
    out = np.zeros(0, np.float32)
    add_profiles(np.ones((16, 60), np.float32), NO_PROFILES, 0, out)
    assert out.size == 0


@pytest.mark.parametrize("segments", [(0, 0), (-1, -1), (4, 3)])
def test_the_sky_of_a_stamp_is_that_of_its_pixels(stamps, segments):
    random = np.random.default_rng(6)
    surface = Surface(SHAPE, 8, segments)
    gain = np.where(np.arange(SHAPE[1]) % 20 < 2, 0.1, 0.0)
    coefficients, scale = random.normal(size=(surface.size, 3)), np.array([0.5, 1.0, 2.0])
    columns = random.normal(size=(SHAPE[1], 3))
    found = np.zeros((90, 3))
    add_surface(found, stamp_surface(surface, *stamps, gain), coefficients, coefficients * scale)
    add_columns(found, stamps[0].sum(axis=1, dtype=float), stamps[2], columns)
    for t in range(3):
        smooth = surface.on_pixels(coefficients[:, t].reshape(surface.coefficient_shape))
        sky = smooth * (1 + scale[t] * gain) + columns[:, t]
        truth = (stamps[0] * cut(sky, *stamps[1:])).sum(axis=(1, 2))
        np.testing.assert_allclose(found[:, t], truth, atol=1e-6)
