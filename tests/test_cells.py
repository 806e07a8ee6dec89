"""Claims about the sky cells of a frame, and about the pass that measures them."""

import numpy as np
import pytest

from tasoc_kit.numerics import cells as cells_module
from tasoc_kit.numerics.cells import measure_cells_numpy
from tasoc_kit.numerics.frame_pass import AT_ONCE, empty_tables, measure_frames
from tasoc_kit.numerics.patches import make_patches
from tasoc_kit.numerics.psf_sums import NO_PROFILES
from tasoc_kit.numerics.runs import NO_RUNS, find_runs
from tasoc_kit.numerics.stamps import make_stamps
from tasoc_kit.sources.frame_files import Windows

NOISE = (0.0215, 7.46e-4)


def measure_all(
    frames,
    template,
    strap=None,
    apertures=NO_RUNS,
    stars=0,
    clip=6.5,
    cell=16,
    band=128,
    noise=NOISE,
    stamps=((), ()),
):
    """Measure frames that are in memory; return the tables and the sum of the frames."""
    strap = np.zeros(template.shape[1], bool) if strap is None else strap
    tables = empty_tables(len(frames), template.shape, stars, cell, band, len(stamps[0]))
    image = np.zeros(template.shape, np.float32)
    windows = Windows(
        np.full(len(frames), -1, np.int32), *np.zeros((3, len(frames)), np.int64), np.float32(frames)
    )
    unread = measure_frames(
        windows, template.astype(np.float32), strap, noise, clip, cell, band,
        make_patches(apertures, cell, len(template)),
        make_stamps(*np.array(stamps, np.int64), cell, len(template)), NO_PROFILES,
        tables, image, np.ones(len(frames), bool), True,
    )  # fmt: skip
    assert unread == -1
    return tables, image


def measure(frame, template, strap=None, **settings):
    tables, image = measure_all([frame], template, strap, **settings)
    return tables._make(table[0] for table in tables), image


def noisy_frame(shape, sky, seed=1):
    """Return a star image with its sky, a mask of usable pixels in it, and a frame ``sky`` brighter."""
    random = np.random.default_rng(seed)
    stars = (random.pareto(1.2, shape) * 2).astype(np.float32)
    template = stars + np.float32(100)
    sigma = np.sqrt(NOISE[0] + NOISE[1] * (template + sky))
    frame = template + sky + random.normal(size=shape) * sigma
    template[stars > 300] = np.nan
    return frame.astype(np.float32), template


@pytest.fixture
def field():
    random = np.random.default_rng(5)
    stars = np.maximum(0, random.pareto(1.3, (100, 90)) * 3)
    row, column = np.mgrid[:100, :90]
    sky = 20 + 0.1 * row + 0.05 * column
    noise = random.normal(size=stars.shape) * np.sqrt(NOISE[0] + NOISE[1] * (stars + 100 + sky))
    return stars + 100, stars + 100 + sky + noise, sky


def test_cells_are_those_of_a_plain_numpy_mean(field):
    template, frame, _ = field
    strap = np.zeros(90, bool)
    strap[[20, 21]] = True
    tables, _ = measure(frame, template, strap)
    cells, used, variance = measure_cells_numpy(
        frame.astype(np.float32), template.astype(np.float32), strap, NOISE, 6.5, 16
    )
    # The compiled pass starts from the median of an eighth of the pixels, so a pixel at the very
    # edge of the clip may differ; a cell then moves by less than a hundredth of a pixel's noise.
    np.testing.assert_allclose(tables.cells, cells, atol=3e-3)
    assert np.abs(tables.cell_used.astype(int) - used).max() <= 1
    np.testing.assert_allclose(tables.cell_variance, variance, rtol=0.1)


def test_the_last_cells_of_a_frame_that_is_no_multiple_of_a_cell_are_measured(field):
    template, frame, sky = field
    tables, _ = measure(frame, template)
    assert tables.cells.shape == (7, 6)
    assert abs(tables.cells[-1, -1] - sky[96:, 80:].mean()) < 0.3


def test_a_sky_far_from_that_of_its_neighbours_is_not_clipped_away(field):
    template, frame, _ = field
    bright = frame.copy()
    bright[32:48, 32:48] += 500.0
    tables, _ = measure(bright, template)
    before, _ = measure(frame, template)
    assert abs(tables.cells[2, 2] - before.cells[2, 2] - 500) < 0.05
    assert tables.cell_used[2, 2] > 250


def test_a_cell_without_pixels_stays_empty(field):
    template, frame, _ = field
    hidden = template.copy()
    hidden[16:32, 0:16] = np.nan
    tables, _ = measure(frame, hidden)
    assert np.isnan(tables.cells[1, 0])
    assert tables.cell_used[1, 0] == 0
    assert np.isfinite(tables.cells).sum() == tables.cells.size - 1


def test_the_clip_follows_the_noise_of_the_cadence(field):
    template, _, sky = field
    random = np.random.default_rng(6)
    short = template + sky + random.normal(size=sky.shape) * 3 * np.sqrt(NOISE[0] + NOISE[1] * template)
    tables, _ = measure(short, template, noise=(9 * NOISE[0], 9 * NOISE[1]))
    assert tables.cell_used.sum() > 0.999 * sky.size


def test_a_moving_object_does_not_reach_the_sky(field):
    template, frame, _ = field
    visited = frame.copy()
    visited[40:44, 40:44] += 300.0
    tables, _ = measure(visited, template)
    before, _ = measure(frame, template)
    assert abs(tables.cells[2, 2] - before.cells[2, 2]) < 0.03
    assert before.cell_used[2, 2] - tables.cell_used[2, 2] == 16


def test_a_strap_finds_its_own_level_and_stays_out_of_the_cells(field):
    template, frame, _ = field
    strap = np.zeros(90, bool)
    strap[[50, 51]] = True
    lifted = frame.copy()
    lifted[:, [50, 51]] += 25.0
    tables, _ = measure(lifted, template, strap)
    before, _ = measure(frame, template, strap)
    np.testing.assert_allclose(tables.cells, before.cells, atol=1e-5)
    np.testing.assert_allclose(tables.column_cells[0, 50] - before.column_cells[0, 50], 25.0, atol=1e-3)


def test_column_cells_are_means_of_their_band(field):
    template, frame, _ = field
    tables, _ = measure(frame, template, band=32)
    difference = (frame.astype(np.float32) - template.astype(np.float32))[32:64, 7]
    assert tables.column_cells.shape == (4, 90)
    assert abs(tables.column_cells[1, 7] - difference.mean()) < 0.05
    assert tables.column_used[-1, 7] == 4


def test_aperture_sums_and_moments_are_plain_sums(field):
    template, frame, _ = field
    rows, columns = np.array([10, 10, 11, 60]), np.array([20, 21, 20, 70])
    apertures = find_runs(np.array([3, 1]), rows, columns, (np.array([10, 60]), np.array([21, 70])))
    tables, image = measure(frame, template, apertures=apertures, stars=3)
    values = frame.astype(np.float32)[rows, columns]
    np.testing.assert_allclose(tables.aperture_sum, [values[:3].sum(), values[3], np.nan], rtol=1e-6)
    np.testing.assert_allclose(tables.moment_row[0], values[2], rtol=1e-6)
    np.testing.assert_allclose(tables.moment_column[0], -values[0] - values[2], rtol=1e-6)
    np.testing.assert_array_equal(image, frame.astype(np.float32))


def test_frames_measured_together_are_those_measured_alone(field):
    template, frame, _ = field
    random = np.random.default_rng(8)
    frames = [frame + random.normal(size=frame.shape) for _ in range(AT_ONCE + 3)]
    apertures = find_runs(np.array([4]), np.arange(14, 18), np.full(4, 30), (np.array([15]), np.array([30])))
    together, image = measure_all(frames, template, apertures=apertures, stars=1)
    for k, one in enumerate(frames):
        alone, _ = measure(one, template, apertures=apertures, stars=1)
        for name, table in alone._asdict().items():
            np.testing.assert_array_equal(getattr(together, name)[k], table)
    np.testing.assert_allclose(image, np.sum(np.float32(frames), axis=0), rtol=1e-6)


def test_a_frame_is_told_by_its_finite_and_zero_pixels(field):
    template, frame, _ = field
    broken = frame.astype(np.float32)
    broken[:3] = np.nan
    broken[3:5] = 0.0
    tables, _ = measure(broken, template)
    assert (tables.finite_pixels, tables.zero_pixels) == (97 * 90, 2 * 90)


@pytest.mark.parametrize("rows", [1, 2, 16, 64])
def test_the_network_sorts_every_column(rows):
    values = np.random.default_rng(rows).normal(size=(rows, 37)).astype(np.float32)
    expected = np.sort(values, axis=0)
    cells_module._sort_rows(values)
    np.testing.assert_array_equal(values, expected)


def test_medians_leave_out_the_padding_and_are_nan_without_a_value():
    sample = np.full((8, 3), np.inf, np.float32)
    sample[:5, 0] = [5, 1, 4, 2, 3]
    sample[[1, 3], 1] = [7, 6]
    medians = cells_module._lower_medians(sample, 5, np.array([5, 2, 0], np.int32))
    np.testing.assert_array_equal(medians, [3, 6, np.nan])


@pytest.mark.parametrize("shape", [(64, 96), (50, 70), (10, 15), (33, 17)])
def test_cells_agree_with_numpy_also_where_the_last_ones_are_cut(shape):
    frame, template = noisy_frame(shape, sky=10 + 0.01 * np.arange(shape[1]))
    strap = np.zeros(shape[1], bool)
    strap[5::23] = True
    out, _ = measure(frame, template, strap)
    expected, used, variance = measure_cells_numpy(frame, template, strap, NOISE, 6.5, 16)
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
