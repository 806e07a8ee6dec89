"""Who owns a pixel."""

import numpy as np

from tasoc_kit.photometry.masks.claims import Claims


def open_claims(centre: list[int]) -> Claims:
    """Return a frame of ten pixels whose stars come from bright to faint."""
    return Claims.open(10, np.array(centre), np.arange(len(centre)), len(centre))


def test_the_brighter_star_keeps_a_pixel_that_two_masks_hold():
    claims = open_claims([2, 5])
    keep = claims.claim(np.array([0, 1]), np.array([3, 3]), np.array([1, 2, 3, 3, 4, 5]))
    assert keep.all()
    assert claims.owner.tolist() == [-1, 0, 0, 0, 1, 1, -1, -1, -1, -1]


def test_a_star_inside_an_earlier_mask_is_not_free():
    claims = open_claims([2, 3, 7])
    claims.claim(np.array([0]), np.array([3]), np.array([1, 2, 3]))
    assert claims.free(np.array([1, 2])).tolist() == [2]
    assert claims.skipped_by.tolist() == [-1, 0, -1]


def test_a_mask_with_a_brighter_star_in_it_claims_nothing():
    claims = open_claims([2, 6])
    keep = claims.claim(np.array([0, 1]), np.array([1, 3]), np.array([2, 2, 5, 6]))
    assert keep.tolist() == [True, False]
    assert claims.skipped_by.tolist() == [-1, 0]
    assert (claims.owner[[5, 6]] == -1).all()
