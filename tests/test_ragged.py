"""Ragged masks keep the pixels of each star together."""

import numpy as np
import pytest

from tasoc_kit.photometry.masks.ragged import Masks, add_minimum_masks, star_of_pixel


def make_masks(sizes: list[int], rows: list[int]) -> Masks:
    none = np.zeros(len(sizes))
    places = np.array(rows, dtype=np.int16)
    stamp = np.zeros((len(sizes), 3), np.int16)
    return Masks(np.array(sizes, np.int32), places, places + 1, none, none > 0, none > 0, none > 0, stamp)


def test_the_masks_of_some_stars_keep_their_pixels():
    taken = make_masks([2, 0, 3], [1, 2, 7, 8, 9]).take(np.array([False, True, True]))
    assert taken.row_size.tolist() == [0, 3]
    assert taken.rows.tolist() == [7, 8, 9]
    assert taken.columns.tolist() == [8, 9, 10]


def test_parts_are_put_in_the_order_of_the_catalogue():
    parts = [make_masks([2, 1], [1, 2, 3]), make_masks([1], [9])]
    masks = Masks.in_catalogue_order(parts, [np.array([3, 0]), np.array([1])], 5)
    assert masks.row_size.tolist() == [1, 1, 0, 2, 0]
    assert masks.rows.tolist() == [3, 9, 1, 2]
    assert star_of_pixel(masks.row_size).tolist() == [0, 1, 3, 3]


@pytest.mark.parametrize(
    ("row", "column", "rows", "columns"),
    [(2.4, 2.4, {2, 3}, {2, 3}), (2.0, 2.6, {1, 2, 3}, {2, 3}), (0.3, 4.2, {0, 1}, {4})],
)
def test_the_minimum_aperture_is_what_lies_within_a_pixel(row, column, rows, columns):
    masks = add_minimum_masks(make_masks([0], []), np.ones((5, 5)), np.array([row]), np.array([column]))
    assert set(masks.rows.tolist()) == rows
    assert set(masks.columns.tolist()) == columns
    assert masks.row_size[0] == len(rows) * len(columns)
    assert masks.minimal.all()


def test_a_star_with_a_mask_keeps_it_and_one_on_blank_pixels_has_none():
    image = np.full((5, 5), np.nan)
    image[0, 0] = 1.0
    masks = add_minimum_masks(make_masks([1, 0], [4]), image, np.array([4.0, 3.0]), np.array([4.0, 3.0]))
    assert masks.row_size.tolist() == [1, 0]
    assert not masks.minimal.any()
