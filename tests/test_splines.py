"""Claims about the surfaces that are fitted to cells."""

import numpy as np
import pytest

from tasoc_kit.numerics.splines import Ladder, Surface, spline_matrix


@pytest.fixture
def ladder():
    return Ladder((256, 192), 16)


def cells_of(image, cell=16):
    rows, columns = image.shape
    return image.reshape(rows // cell, cell, columns // cell, cell).mean(axis=(1, 3))


def test_splines_sum_to_one_everywhere():
    matrix = spline_matrix(np.arange(100), 100, 5)
    assert matrix.shape == (100, 8)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)


@pytest.mark.parametrize(("size", "levels"), [(15, 1), (50, 2), (128, 6)])
def test_small_frames_get_only_what_they_can_decide(size, levels):
    assert len(Ladder((size, size), 16).surfaces) == levels


def test_a_cubic_surface_is_found_exactly(ladder):
    row, column = np.mgrid[:256, :192] / 100.0
    image = 100 + 3 * row**3 - 2 * row * column + column**2
    cells = cells_of(image)
    found = ladder.surfaces[2].on_pixels(ladder.fit(cells, np.ones_like(cells), 2))
    # What is left is the ridge, a thousandth of what the plane below leaves.
    assert np.abs(found - image).max() < 0.05


def test_a_level_of_the_sky_does_not_move_the_fit(ladder):
    random = np.random.default_rng(1)
    cells, weight = random.normal(size=(16, 12)), np.ones((16, 12))
    low = ladder.surfaces[4].on_cells(ladder.fit(cells, weight, 4))
    high = ladder.surfaces[4].on_cells(ladder.fit(cells + 1e5, weight, 4)) - 1e5
    np.testing.assert_allclose(high, low, atol=1e-6)


def test_cells_without_weight_are_not_read(ladder):
    random = np.random.default_rng(2)
    cells, weight = random.normal(size=(16, 12)), np.ones((16, 12))
    weight[3:5, 4:6] = 0
    spoiled = cells.copy()
    spoiled[3:5, 4:6] = np.nan
    np.testing.assert_array_equal(ladder.fit(cells, weight, 3), ladder.fit(spoiled, weight, 3))


def test_a_hole_is_spanned_by_the_coarser_surface():
    ladder = Ladder((2048, 2048), 16)
    row, column = np.mgrid[:2048, :2048] / 2048
    image = 50 * column**2 - 30 * row * column + 20 * np.sin(6 * row)
    weight = np.ones((128, 128))
    weight[40:50, 30:41] = 0
    noisy = cells_of(image) + np.random.default_rng(3).normal(0, 0.02, (128, 128))
    found = ladder.surfaces[4].on_pixels(ladder.fit(noisy, weight, 4))
    assert np.abs(found - image)[640:800, 480:656].max() < 0.3


def test_finer_levels_hold_the_coarser_ones(ladder):
    random = np.random.default_rng(4)
    coarse = random.normal(size=ladder.surfaces[2].coefficient_shape)
    for level in (2, 3, 4):
        fine = ladder.refine(level, coarse)
        np.testing.assert_allclose(
            ladder.surfaces[level + 1].on_pixels(fine), ladder.surfaces[level].on_pixels(coarse), atol=1e-9
        )
        coarse = fine


def test_a_cell_stands_for_the_columns_it_uses():
    used = np.ones(64, bool)
    used[16:28] = False
    surface = Surface((64, 64), 16, (1, 1), used)
    row, column = np.mgrid[:64, :64]
    image = column.astype(float)
    cells = np.stack(
        [image[:, i : i + 16][:, used[i : i + 16]].mean() * np.ones(4) for i in (0, 16, 32, 48)], 1
    )
    found = surface.on_pixels(surface.fit(cells, np.ones_like(cells), ridge=0.0))
    np.testing.assert_allclose(found, image, atol=1e-3)


def test_a_fit_with_gaps_is_that_of_dense_least_squares(ladder):
    random = np.random.default_rng(5)
    cells, weight = random.normal(size=(16, 12)), random.uniform(0.02, 1, (16, 12))
    weight[3:5, 4:6] = 0
    for surface in ladder.surfaces[2:]:
        design = np.kron(surface.rows.cells, surface.columns.cells)
        normal = design.T @ (weight.ravel()[:, None] * design) + 1e-3 * np.eye(surface.size)
        dense = np.linalg.solve(normal, design.T @ (weight * cells).ravel())
        # A thousandth of the noise of the cells, and where none decides as well.
        np.testing.assert_allclose(surface.fit(cells, weight).ravel(), dense, atol=1e-3)


@pytest.mark.parametrize("size", [6, 50, 128])
def test_without_any_weight_a_surface_is_nothing(size):
    for surface in Ladder((size, size), 16).surfaces:
        cells = np.full((surface.rows.cells.shape[0], surface.columns.cells.shape[0]), 3.0)
        assert (surface.fit(cells, np.zeros_like(cells), ridge=0.0) == 0).all()
