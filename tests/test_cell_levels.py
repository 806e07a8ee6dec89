"""The levels that cells and straps of a frame find for themselves, against NumPy and known skies."""

from __future__ import annotations

import numpy as np
import pytest

from tasoc_kit.numerics import cells
from tasoc_kit.numerics.cells import AperturePixels, empty_tables, measure_frame, measure_frame_numpy

NOISE = (0.02, 7e-4)


def measure(frame, template, strap, *, clip=6.5, cell=16, band=32, pixels=None, stars=0):
    """Return the tables of one frame and its census."""
    if pixels is None:
        none = np.empty(0, np.int32)
        start = np.zeros(frame.shape[0] + 1, np.int64)
        pixels = AperturePixels(start, none, none, none.astype("f4"), none.astype("f4"))
    tables = empty_tables(1, frame.shape, stars, cell, band)
    out = type(tables)(*(table[0] for table in tables))
    image = np.zeros(frame.shape, np.float32)
    census = measure_frame(frame, template, strap, NOISE, clip, cell, band, *pixels, *out, image, False, True)
    return out, census


def noisy_frame(shape, sky, seed=1):
    """Return a star image with its sky, a mask of usable pixels in it, and a frame ``sky`` brighter."""
    random = np.random.default_rng(seed)
    stars = (random.pareto(1.2, shape) * 2).astype(np.float32)
    template = stars + np.float32(100)
    sigma = np.sqrt(NOISE[0] + NOISE[1] * (template + sky))
    frame = template + sky + random.normal(size=shape) * sigma
    template[stars > 300] = np.nan
    return frame.astype(np.float32), template


@pytest.mark.parametrize("rows", [1, 2, 16, 64])
def test_the_network_sorts_every_column(rows):
    values = np.random.default_rng(rows).normal(size=(rows, 37)).astype(np.float32)
    expected = np.sort(values, axis=0)
    cells._sort_rows(values)
    np.testing.assert_array_equal(values, expected)


def test_medians_leave_out_the_padding_and_are_nan_without_a_value():
    sample = np.full((8, 3), np.inf, np.float32)
    sample[:5, 0] = [5, 1, 4, 2, 3]
    sample[[1, 3], 1] = [7, 6]
    medians = cells._lower_medians(sample, 5, np.array([5, 2, 0], np.int32))
    np.testing.assert_array_equal(medians, [3, 6, np.nan])


@pytest.mark.parametrize("shape", [(64, 96), (50, 70), (10, 15), (33, 17)])
def test_cells_agree_with_numpy_also_where_the_last_ones_are_cut(shape):
    frame, template = noisy_frame(shape, sky=10 + 0.01 * np.arange(shape[1]))
    strap = np.zeros(shape[1], bool)
    strap[5::23] = True
    out, _ = measure(frame, template, strap)
    expected, used, variance = measure_frame_numpy(frame, template, strap, NOISE, 6.5, 16)
    # The two start from slightly different levels and may differ by a pixel at the clip.
    assert np.abs(out.cell_used.astype(int) - used).max() <= 2
    np.testing.assert_allclose(out.cells, expected, atol=0.1)
    np.testing.assert_allclose(out.cell_variance, variance, rtol=0.2)


def test_a_step_in_the_sky_that_no_guess_foresees_loses_no_cell():
    frame, template = noisy_frame((64, 64), sky=0.0)
    frame[:, 32:] += 400
    out, _ = measure(frame, template, np.zeros(64, bool))
    assert (out.cell_used >= 0.9 * 256).all()
    np.testing.assert_allclose(out.cells[:, 2:] - out.cells[:, :2], 400, atol=0.5)


def test_a_strap_finds_its_own_level_and_stays_out_of_the_cells():
    frame, template = noisy_frame((64, 64), sky=0.0)
    strap = np.zeros(64, bool)
    strap[20] = True
    frame[:, 20] += 25
    out, _ = measure(frame, template, strap)
    assert np.abs(out.cells).max() < 0.3
    np.testing.assert_allclose(out.column_cells[:, 20], 25, atol=0.3)
    np.testing.assert_allclose(np.delete(out.column_cells, 20, axis=1), 0, atol=0.5)


def test_a_cell_without_a_usable_pixel_is_nan_with_a_count_of_zero():
    frame, template = noisy_frame((48, 48), sky=5.0)
    template[16:32, 16:32] = np.nan
    frame[32:, :16] = np.nan
    out, (finite, zeros) = measure(frame, template, np.zeros(48, bool))
    lost = np.zeros((3, 3), bool)
    lost[1, 1] = lost[2, 0] = True
    np.testing.assert_array_equal(np.isnan(out.cells), lost)
    np.testing.assert_array_equal(out.cell_used == 0, lost)
    assert (finite, zeros) == (48 * 48 - 256, 0)
