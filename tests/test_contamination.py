"""Whose light is in an aperture."""

import numpy as np
import pytest
import xarray as xr
from star_field import as_reference, as_stars, make_field

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.prf import components, pixel_response
from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.masks.contamination import catalogue_share
from tasoc_kit.vocabulary import ApertureFlag


def light_of(star: int, stars: xr.Dataset, rows: np.ndarray, columns: np.ndarray) -> float:
    """Return the light of a star in some pixels, pixel by pixel and with no limit to its reach."""
    row, column, tmag = (float(stars[name].values[star]) for name in ("star_row", "star_column", "tmag"))
    parts = components(row, column, camera=2, ccd=3)[0]
    return 10 ** (-0.4 * (tmag - ZERO_POINT)) * pixel_response(rows - row, columns - column, parts).sum()


def test_a_star_whose_neighbour_is_a_tenth_as_bright_is_contaminated_by_an_eleventh():
    light = 10 ** (-0.4 * np.array([10.0, 12.5]))
    share = catalogue_share(np.array([10.0, 12.5, 11.0]), np.array([2, 0, 1]), np.array([*light, 0.0]))
    np.testing.assert_allclose(share, [1 / 11, np.nan, 0.0])


def test_the_share_by_the_prf_is_the_sum_over_all_neighbours():
    reference, stars = make_field(60, 70, 60, seed=3)
    reference = reference.assign_attrs(camera=2, ccd=3)
    stars["tmag"][5] = np.nan
    apertures = make_apertures(reference, stars, contamination="prf")
    found, ends = apertures["contamination"].values, np.cumsum(apertures["row_size"].values)
    lit = np.flatnonzero(apertures["row_size"].values > 0)
    assert lit.size > 20
    for star in lit:
        some = slice(ends[star] - apertures["row_size"].values[star], ends[star])
        pixels = [apertures[name].values[some].astype(float) for name in ("pixel_row", "pixel_column")]
        each = np.nan_to_num([light_of(k, stars, *pixels) for k in range(stars.sizes["star"])])
        expected = np.nan if star == 5 else 1 - each[star] / each.sum()
        assert found[star] == pytest.approx(expected, abs=1e-3 + 0.1 / each.sum(), nan_ok=True)
    assert np.isnan(found[apertures["row_size"].values == 0]).all()
    flagged = (apertures["aperture_flags"].values & int(ApertureFlag.CONTAMINATED)) > 0
    np.testing.assert_array_equal(flagged, found > 0.1)


def test_wings_of_a_bright_star_beyond_the_aperture_count_by_the_prf_alone():
    image = np.random.default_rng(2).normal(0, 0.1, (60, 60)).astype(np.float32)
    stars = as_stars([30.0, 30.0], [74.0, 86.0], [6.0, 14.0])
    plain, spread = (
        make_apertures(as_reference(image).assign_attrs(camera=2, ccd=3), stars, contamination=kind)
        for kind in ("catalogue", "prf")
    )
    assert plain["contamination"].values[1] == 0
    assert spread["contamination"].values[1] > 0.2
    xr.testing.assert_identical(plain["pixel_row"], spread["pixel_row"])


def test_a_frame_of_an_unknown_camera_has_no_prf():
    reference, stars = make_field(40, 40, 20, seed=1)
    bare = reference.drop_attrs()
    with pytest.raises(StepInputError, match="camera and ccd"):
        make_apertures(bare, stars, contamination="prf")
