"""Claims about apertures cut into patches, held against plain sums over their pixels."""

import numpy as np
import pytest
from scipy import ndimage

from tasoc_kit.numerics.patches import LANES, add_patches, make_patches
from tasoc_kit.numerics.runs import NO_RUNS, find_runs

SHAPE = (70, 90)


def blobs(seed):
    """Return a label image of odd shapes, some with holes and some that reach the edges."""
    random = np.random.default_rng(seed)
    lit = ndimage.gaussian_filter(random.normal(size=SHAPE), 2) > 0.08
    lit &= random.random(SHAPE) < 0.9
    labels, _ = ndimage.label(lit)
    return labels


def as_runs(labels):
    sizes, rows, columns, centres = [], [], [], []
    for label in range(1, labels.max() + 1):
        row, column = np.nonzero(labels == label)
        sizes.append(row.size)
        rows.append(row)
        columns.append(column)
        centres.append((np.rint(row.mean()), np.rint(column.mean())))
    centre = np.array(centres).T
    return find_runs(np.array(sizes), np.concatenate(rows), np.concatenate(columns), tuple(centre)), centre


def add_all(frame, patches, cell):
    sums = np.zeros((patches.star.size, 3))
    padded = np.concatenate([frame.ravel(), np.full(LANES, np.nan, np.float32)])
    for band in range(patches.start.size - 1):
        start, stop = band * cell * frame.shape[1], min((band + 1) * cell * frame.shape[1], frame.size)
        add_patches(padded[start:stop].reshape(-1, frame.shape[1]), patches, band, sums)
    return sums


@pytest.mark.parametrize("cell", [4, 16, 64])
@pytest.mark.parametrize("seed", [1, 2])
def test_sums_and_moments_are_those_of_the_pixels(seed, cell):
    labels = blobs(seed)
    runs, (centre_row, centre_column) = as_runs(labels)
    # Pixels that belong to nobody are NaN: a single one that is taken by mistake spoils a sum.
    frame = np.random.default_rng(seed).normal(1e4, 3e3, SHAPE).astype(np.float32)
    frame[labels == 0] = np.nan
    patches = make_patches(runs, cell, SHAPE[0])
    sums = add_all(frame, patches, cell)
    for k, star in enumerate(patches.star):
        row, column = np.nonzero(labels == star + 1)
        light = frame[row, column].astype(float)
        expected = (light.sum(), light @ (row - centre_row[star]), light @ (column - centre_column[star]))
        np.testing.assert_allclose(sums[k], expected, rtol=1e-12, atol=1e-6)


def test_every_pixel_lies_in_one_patch_and_patches_of_a_row_of_cells_go_by_height():
    labels = blobs(3)
    runs, _ = as_runs(labels)
    patches = make_patches(runs, 16, SHAPE[0])
    seen = np.zeros((SHAPE[0], SHAPE[1] + LANES), int)
    for band in range(patches.start.size - 1):
        part = slice(patches.start[band], patches.start[band + 1])
        assert (np.diff(patches.rows[part].astype(int)) >= 0).all()
        for p in range(part.start, part.stop):
            for k in range(patches.rows[p]):
                bits = patches.lit[patches.bits[p] + k]
                row, column = band * 16 + patches.row[p] + k, int(patches.column[p])
                seen[row, column : column + LANES] += (bits >> np.arange(LANES)) & 1
    np.testing.assert_array_equal(seen[:, : SHAPE[1]], labels > 0)
    assert not seen[:, SHAPE[1] :].any()


def test_a_wide_and_a_tall_aperture_are_summed_whole():
    wide, tall = np.arange(5, 80), np.arange(3, 69)
    runs = find_runs(
        np.array([wide.size, tall.size]),
        np.concatenate([np.full(wide.size, 1), tall]),
        np.concatenate([wide, np.full(tall.size, 89)]),
        (np.array([1, 30]), np.array([40, 89])),
    )
    frame = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    patches = make_patches(runs, 16, SHAPE[0])
    sums = add_all(frame, patches, 16)
    np.testing.assert_array_equal(patches.star, [0, 1])
    np.testing.assert_allclose(
        sums[:, 0], [frame[1, 5:80].sum(dtype=float), frame[3:69, 89].sum(dtype=float)]
    )


def test_stars_without_pixels_have_no_patch():
    assert make_patches(NO_RUNS, 16, 70).row.size == 0
    runs = find_runs(np.array([0, 1, 0]), np.array([9]), np.array([8]), (np.full(3, 9), np.full(3, 8)))
    np.testing.assert_array_equal(make_patches(runs, 16, 70).star, [1])
