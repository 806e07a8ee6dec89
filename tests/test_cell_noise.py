"""Claims about how well each cell knows the sky."""

import numpy as np
import pytest
import xarray as xr

from tasoc_kit.photometry.skies.cell_noise import CellNoise, cell_excess_at, stand_offs, usual_cell


def test_white_cells_have_the_variance_of_their_noise_in_the_middle_and_at_the_edges():
    cells = np.random.default_rng(1).normal(0, 0.3, (200, 200, 8))
    found = np.stack([stand_offs(np.ascontiguousarray(cells[..., k])) for k in range(8)])
    assert np.mean(found[:, 2:-2, 2:-2]) == pytest.approx(0.09, rel=0.02)
    # The 1,600 cells of an edge tell their variance to one part in thirty.
    for edge in (found[:, 0], found[:, 1], found[:, :, -1]):
        assert np.nanmean(edge) == pytest.approx(0.09, rel=0.12)
    assert usual_cell(found) == pytest.approx(0.3, rel=0.02)
    assert np.isnan(found[:, [0, 0, -1, -1], [0, -1, 0, -1]]).all()


def test_what_is_smooth_is_no_noise_and_unknown_cells_spoil_no_others():
    row, column = np.mgrid[:20, :30] / 10.0
    cells = 5 + row**3 - row * column**2 + 2 * column
    assert np.abs(stand_offs(cells)[2:-2, 2:-2]).max() < 1e-20
    plane = 5 + row - 2 * column
    plane[8:10, 12] = np.nan
    found = stand_offs(plane)
    assert np.isnan(found[8:10, 12]).all()
    assert np.isfinite(found).sum() == found.size - 4 - 2
    assert np.nanmax(found) < 1e-20


def test_a_bad_cell_is_told_from_its_neighbours():
    random, noise = np.random.default_rng(2), CellNoise((20, 20))
    for _ in range(400):
        cells = random.normal(0, 0.1, (20, 20))
        cells[7, 9] *= 4
        cells[12, 3] = np.nan
        noise.add(stand_offs(cells) / 0.1**2)
    variance = noise.variance()
    assert variance[7, 9] == pytest.approx(16 / 1.69 + 0.69 / 1.69, rel=0.2)
    assert np.median(variance) == pytest.approx(1.0, abs=0.05)
    assert variance.min() >= 1
    assert np.isfinite(variance[12, 3])


def test_a_frame_of_few_cells_has_none_that_is_worse():
    noise = CellNoise((3, 3))
    noise.add(stand_offs(np.random.default_rng(3).normal(size=(3, 3))))
    np.testing.assert_array_equal(noise.variance(), 1.0)
    assert usual_cell(np.full((3, 3), np.nan)) == 0


def test_places_between_cells_lie_between_them():
    sky = xr.Dataset(
        {"cell_excess": (("cell_row", "cell_column"), np.array([[0.0, 2.0], [4.0, 6.0]]))},
        coords={"row": np.arange(100, 132), "column": np.arange(44, 76)},
        attrs={"cell": 16},
    )
    row, column = np.array([107.5, 107.5, 115.5, 90.0, np.nan]), np.array([51.5, 59.5, 59.5, 10.0, np.nan])
    np.testing.assert_allclose(cell_excess_at(sky, row, column), [0.0, 1.0, 3.0, 0.0, 0.0])
