"""Claims about the map of the pixels that the sky was made of."""

import numpy as np
import pytest

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.photometry.skies.sky_pixels import sky_pixels


def test_as_many_pixels_are_marked_in_a_cell_as_the_pass_counted_there(sector):
    cell, plain = int(sector.stream.attrs["cell"]), ~is_strap(sector.cube["column"].values)
    for frame in (3, 20):
        used = sky_pixels(sector.cube, sector.reference, sector.stream, [frame]).values
        assert set(np.unique(used)) == {0.0, 1.0}
        blocks = (used * plain).reshape(used.shape[0] // cell, cell, used.shape[1] // cell, cell)
        np.testing.assert_array_equal(blocks.sum(axis=(1, 3)), sector.stream["cell_used"].values[frame])
        band = int(sector.stream.attrs["band"])
        columns = np.add.reduceat(used, np.arange(0, used.shape[0], band), axis=0)
        np.testing.assert_array_equal(columns, sector.stream["column_used"].values[frame])


def test_saturated_stars_are_no_sky_and_most_of_the_dark_pixels_always_are(sector):
    share = sky_pixels(sector.cube, sector.reference, sector.stream).values
    star = sector.reference["star_mask"].values
    assert (share[sector.reference["saturated"].values] == 0).all()
    assert np.median(share[~star]) == 1
    assert share[~star].mean() > 0.95


def test_the_map_is_the_mean_of_those_of_its_frames(sector):
    both, one, two = (
        sky_pixels(sector.cube, sector.reference, sector.stream, frames).values
        for frames in ([3, 20], [3], [20])
    )
    np.testing.assert_allclose(both, (one + two) / 2)


@pytest.mark.parametrize("frames", [[], [0, 4800], [-1]])
def test_frames_that_are_not_there_are_refused(sector, frames):
    with pytest.raises(StepInputError, match="expected some of 0 to 47"):
        sky_pixels(sector.cube, sector.reference, sector.stream, frames)
