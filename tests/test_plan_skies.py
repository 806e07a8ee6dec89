"""Claims about the skies of the plan frames and the places that are left out."""

import numpy as np
import pytest
import xarray as xr

from tasoc_kit.photometry.plan import plan_skies
from tasoc_kit.photometry.plan.plan_skies import CELL, fit_plan_skies, read_bands

FRAMES, SIZE = 12, 256


def make_cube(flux):
    """Return frames as a cube."""
    labels = {name: 100 + np.arange(flux.shape[k], dtype=np.int32) for k, name in ((1, "row"), (2, "column"))}
    return xr.Dataset({"flux": (("time", "row", "column"), flux.astype(np.float32))}, coords=labels)


@pytest.fixture
def field():
    """Frames of stars under tilted skies, and these skies."""
    random = np.random.default_rng(5)
    stars = random.pareto(1.0, (SIZE, SIZE))
    row, column = np.mgrid[:SIZE, :SIZE] / SIZE
    tilts = random.uniform(0, 4, (FRAMES, 2, 1, 1))
    skies = 100 + tilts[:, 0] * row + tilts[:, 1] * column
    return stars + skies + random.normal(0, 0.3, skies.shape), skies


def test_the_skies_are_those_of_the_frames(field):
    flux, truth = field
    flat = flux.astype(np.float32)
    fit_plan_skies(make_cube(flux), np.arange(FRAMES), 20.0).flatten(flat, slice(0, SIZE))
    removed = flux - flat
    # The common sky is the mean of the frames', so that no noise of one frame is in all differences.
    error = removed - (truth - truth.mean(axis=0))
    assert np.nanstd(error) < 0.05
    assert np.isfinite(flat).mean() > 0.99


def test_a_frame_is_left_out_where_it_is_lit_and_only_there(field):
    flux, _ = field
    lit = np.zeros((SIZE, SIZE))
    lit[:, 80:] = 50.0
    flux[3] += lit
    good = fit_plan_skies(make_cube(flux), np.arange(FRAMES), 20.0).good
    assert not good[3, :, 80 // CELL :].any()
    assert good[3, :, : 80 // CELL - 2].all()
    assert np.delete(good, 3, axis=0).mean() > 0.99


def test_a_small_patch_of_light_is_left_out_with_its_neighbours(field):
    flux, _ = field
    flux[7, 64:80, 64:80] += 5.0
    good = fit_plan_skies(make_cube(flux), np.arange(FRAMES), 20.0).good
    assert not good[7, 3:6, 3:6].any()
    assert good[7].mean() > 0.8


def test_every_place_keeps_some_frames(field):
    flux, _ = field
    flux += 40 * np.arange(FRAMES)[:, None, None] * (np.arange(SIZE) > 64)
    good = fit_plan_skies(make_cube(flux), np.arange(FRAMES), 20.0).good
    assert good.sum(axis=0).min() >= 3


def test_a_cutout_of_a_few_pixels_keeps_all_its_frames():
    flux = 100 + np.random.default_rng(2).normal(0, 0.3, (5, 3, 3))
    assert fit_plan_skies(make_cube(flux), np.arange(5), 20.0).good.all()


def test_frames_are_read_in_whole_rows_of_cells(field, monkeypatch):
    flux, _ = field
    monkeypatch.setattr(plan_skies, "BAND_BYTES", 4 * SIZE * FRAMES * 3 * CELL)
    read = [(band.start, stack.copy()) for band, stack in read_bands(make_cube(flux), np.arange(FRAMES))]
    assert [start for start, _ in read] == list(range(0, SIZE, 48))
    np.testing.assert_array_equal(np.concatenate([part for _, part in read], axis=1), flux.astype(np.float32))
