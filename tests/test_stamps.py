"""Claims about the pixels that are kept about halo stars."""

import numpy as np
import pytest

from tasoc_kit.numerics.stamps import copy_stamps, find_stamps, make_stamps
from tasoc_kit.photometry.stream import HALO_RADIUS, stream_frames
from tasoc_kit.vocabulary import Method


def test_a_stamp_holds_the_pixels_within_its_radius_and_on_the_frame():
    star, row, column = find_stamps([30.4, -3.0, 200.0], [20.0, 5.5, 5.0], 7.0, (60, 40))
    i, j = np.indices((60, 40))
    for k, (y, x) in enumerate([(30.4, 20.0), (-3.0, 5.5)]):
        truth = np.argwhere((i - y) ** 2 + (j - x) ** 2 <= 49)
        np.testing.assert_array_equal(np.stack([row, column], axis=1)[star == k], truth)
    assert not (star == 2).any()


@pytest.mark.parametrize("cell", [1, 7, 16])
def test_pixels_come_to_their_places_whatever_their_order(cell):
    random = np.random.default_rng(3)
    frame = random.normal(size=(50, 30)).astype(np.float32)
    row, column = random.integers(0, 50, 200), random.integers(0, 30, 200)
    stamps = make_stamps(row, column, cell, 50)
    out = np.full(200, np.nan, np.float32)
    for band in range(stamps.start.size - 1):
        copy_stamps(frame[band * cell : (band + 1) * cell], stamps, band, out)
    np.testing.assert_array_equal(out, frame[row, column])


def test_no_star_leaves_no_pixel():
    star, row, column = find_stamps([], [], 20.0, (60, 40))
    assert star.size == row.size == column.size == make_stamps(row, column, 16, 60).place.size == 0


def test_the_stream_keeps_the_raw_pixels_of_halo_stars_and_nothing_of_others(sector):
    method = np.full(sector.apertures.sizes["star"], Method.APERTURE, np.int8)
    chosen = [0, 5]
    method[chosen] = Method.HALO
    apertures = sector.apertures.assign(method=("star", method))
    stream = stream_frames(sector.cube, sector.reference, apertures, sector.quality).compute()
    assert np.unique(stream["stamp_star"]).tolist() == chosen
    kept = sector.cube["flux"].sel(row=stream["stamp_row"], column=stream["stamp_column"]).values
    np.testing.assert_array_equal(stream["stamp_flux"].values, kept)
    far = [
        stream[f"stamp_{axis}"] - apertures[f"star_{axis}"][stream["stamp_star"]]
        for axis in ("row", "column")
    ]
    assert HALO_RADIUS - 1.5 < np.hypot(*far).max() <= HALO_RADIUS
    assert sector.stream.sizes["stamp_pixel"] == 0
    np.testing.assert_array_equal(stream["aperture_sum"], sector.stream["aperture_sum"])
