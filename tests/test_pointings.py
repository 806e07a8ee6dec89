"""Where TESS saw a star: held to the plate solutions of real files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.geometry import pixel_to_sky
from tasoc_kit.sources.cube import open_cube
from tasoc_kit.sources.ffi_header import header_row
from tasoc_kit.sources.pointings import position_of, where
from tasoc_kit.sources.target_pixels import open_target_pixels_by_sector


def offset(table, sector, camera, ccd, row, column):
    """Return how far the place in the table is from the true one, in pixels."""
    found = table[(table["sector"] == sector) & (table["camera"] == camera) & (table["ccd"] == ccd)]
    assert len(found) == 1
    return float(np.hypot(found["row"].item() - row, found["column"].item() - column))


def test_places_agree_with_a_real_ffi_to_half_a_pixel(shared_data):
    solution = header_row(str(shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")))["wcs"]
    errors = []
    for row, column in [(100, 144), (1000, 1044), (2000, 2044), (100, 2044), (2000, 144)]:
        ra, dec = pixel_to_sky(solution, row, column)
        errors.append(offset(where(f"{ra} {dec}"), 1, 1, 4, row, column))
    assert max(errors) < 0.5
    assert np.median(errors) < 0.2


def test_places_agree_with_a_real_difference_image_to_two_thirds_of_a_pixel(shared_data):
    path = shared_data("tess_ffi/tess2018258225941-s0002-1-1_minus_205941_sfftdiff.fits.fz")
    solution = fits.getheader(path, 1).tostring()
    for row, column in [(100, 100), (1000, 1000), (1900, 1900), (1900, 100)]:
        ra, dec = pixel_to_sky(solution, row, column)
        assert offset(where(f"{ra} {dec}"), 2, 1, 1, row, column + 44) < 0.67


def test_places_agree_with_cutouts_of_eleven_sectors_to_a_quarter_of_a_pixel(shared_data):
    cubes = open_target_pixels_by_sector(
        shared_data("tess_ffi/tess-multisector_102.7_-70.5_3x3_astrocut.zip")
    )
    middle = [cube.isel(row=1, column=1) for cube in cubes.values()]
    assert len(middle) == 11
    for cube in middle:
        row, column = int(cube["row"]), int(cube["column"])
        ra, dec = pixel_to_sky(str(cube["wcs"].values[0]), row, column)
        unit = (cube.attrs["sector"], cube.attrs["camera"], cube.attrs["ccd"])
        assert offset(where(f"{ra} {dec}"), *unit, row, column) < 0.25


def test_pi_mensae_was_seen_where_its_cutout_is(shared_data):
    table = where("84.29119 -80.46917")
    cube = open_cube(shared_data("tess_ffi/tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits"))
    place = table[table["sector"] == 1].iloc[0]
    assert (place["camera"], place["ccd"]) == (4, 2)
    assert cube["row"][0] - 0.5 < place["row"] < cube["row"][-1] + 0.5
    assert cube["column"][0] - 0.5 < place["column"] < cube["column"][-1] + 0.5
    assert table["sector"].is_monotonic_increasing


def test_hours_and_degrees_are_the_same_place():
    decimal, hours = position_of("84.25, -80.5"), position_of("05:37:00 -80:30:00")
    assert decimal == pytest.approx(hours, abs=1e-9)


def test_a_tic_number_is_found_in_the_catalogue(tmp_path, monkeypatch):
    from tasoc_kit.config import settings

    stars = pd.DataFrame({"tic": [261136679], "ra": [84.29119], "dec": [-80.46917], "tmag": [5.1]})
    stars.to_parquet(tmp_path / "stars.parquet")
    monkeypatch.setenv("TASOC_DATA", str(tmp_path))
    settings.cache_clear()
    for target in ("TIC 261136679", "tic261136679", 261136679):
        assert position_of(target) == (84.29119, -80.46917)
    pd.testing.assert_frame_equal(where("TIC 261136679"), where("84.29119 -80.46917"))
    with pytest.raises(SourceError, match=r"TIC 5 is not among the 1 stars.*RA DEC"):
        where("TIC 5", tmp_path / "stars.parquet")


def test_a_tic_number_without_a_catalogue_says_what_to_do():
    with pytest.raises(SourceError, match=r"no star catalogue at .*stars\.parquet.*Name one, or give"):
        where("TIC 261136679")


@pytest.mark.parametrize("target", ["pi Men", "", "400 20", "10 -91", "1 2 3", "nan nan", "1:x 2:y"])
def test_what_is_no_target_is_refused(target):
    with pytest.raises(SourceError, match="is no target; expected"):
        where(target)


def test_a_place_never_seen_gives_no_row():
    table = where("230 0")
    assert list(table.columns) == ["sector", "camera", "ccd", "row", "column"]
    assert len(table) == 0
