"""Sky to pixel and back: equal to astropy.wcs, for many solutions and points at once."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS, FITSFixedWarning
from ffi_files import WCS as CARDS

from tasoc_kit.numerics.geometry import (
    move_epoch,
    pixel_to_sky,
    read_solution,
    sky_to_pixel,
    usable_solution,
)


def header_text(cards, **changes):
    return fits.Header(cards | changes).tostring()


def astropy_solution(header):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(header)


@pytest.fixture(scope="session")
def real_headers(shared_data):
    """The plate solutions of a real FFI, of a real difference image and of two cutouts."""
    names = [
        ("tess2018206192942-s0001-1-4-0120-s_ffic.fits", 1, 2078, 2136),
        ("tess2018258225941-s0002-1-1_minus_205941_sfftdiff.fits.fz", 1, 2048, 2048),
        ("tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits", 2, 6, 6),
        ("tess25155310-s01-first-cadences.fits.gz", 2, 11, 11),
    ]
    return [(fits.getheader(shared_data(f"tess_ffi/{n}"), hdu), rows, cols) for n, hdu, rows, cols in names]


def test_real_solutions_agree_with_astropy_to_a_millionth_of_a_pixel(real_headers):
    for header, rows, columns in real_headers:
        reference = astropy_solution(header)
        row, column = np.meshgrid(np.linspace(0, rows - 1, 25), np.linspace(0, columns - 1, 25))
        ra, dec = pixel_to_sky(header.tostring(), row, column)
        true_ra, true_dec = reference.all_pix2world(column, row, 0)
        np.testing.assert_allclose(ra, true_ra % 360, atol=1e-10)
        np.testing.assert_allclose(dec, true_dec, atol=1e-10)
        back_row, back_column = sky_to_pixel(header.tostring(), ra, dec)
        x, y = reference.all_world2pix(ra, dec, 0, tolerance=1e-8)
        np.testing.assert_allclose(back_row, y, atol=1e-6)
        np.testing.assert_allclose(back_column, x, atol=1e-6)


def test_both_ways_cancel_all_over_the_frame():
    text = header_text(CARDS)
    row, column = np.meshgrid(np.arange(0, 2078, 50.0), np.arange(0, 2136, 50.0), indexing="ij")
    back_row, back_column = sky_to_pixel(text, *pixel_to_sky(text, row, column))
    np.testing.assert_allclose(back_row, row, atol=1e-9)
    np.testing.assert_allclose(back_column, column, atol=1e-9)


def test_many_solutions_at_once_are_each_alone():
    texts = [header_text(CARDS, CRVAL1=CARDS["CRVAL1"] + k / 1000, CRPIX2=1001.0 + k) for k in range(40)]
    rng = np.random.default_rng(5)
    row, column = rng.uniform(0, 2000, (3, 7)), rng.uniform(0, 2000, (3, 7))
    ra, dec = pixel_to_sky(texts, row, column)
    assert ra.shape == (40, 3, 7)
    for k in (0, 17, 39):
        np.testing.assert_array_equal(ra[k], pixel_to_sky(texts[k], row, column)[0])
    rows, columns = sky_to_pixel(texts, ra[0], dec[0])
    np.testing.assert_allclose(rows[0], row, atol=1e-9)
    np.testing.assert_array_equal(columns[17], sky_to_pixel(texts[17], ra[0], dec[0])[1])


def test_solutions_of_different_order_go_together():
    plain = {key: value for key, value in CARDS.items() if not key.startswith(("A_", "B_"))}
    plain |= {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    texts = [header_text(CARDS), header_text(plain)]
    ra, _ = pixel_to_sky(texts, 10.0, 20.0)
    assert ra.shape == (2,)
    assert ra[1] == pixel_to_sky(texts[1], 10.0, 20.0)[0]


def test_a_point_is_a_scalar_and_no_point_is_none():
    text = header_text(CARDS)
    ra, dec = pixel_to_sky(text, 1000.0, 1044.0)
    assert ra.shape == ()
    assert (float(ra), float(dec)) == pytest.approx((CARDS["CRVAL1"], CARDS["CRVAL2"]))
    assert sky_to_pixel(text, [], [])[0].shape == (0,)


def test_a_star_behind_the_camera_has_no_place():
    row, column = sky_to_pixel(header_text(CARDS), CARDS["CRVAL1"] - 180, -CARDS["CRVAL2"])
    assert np.isnan(row)
    assert np.isnan(column)


def test_cards_on_lines_and_cards_of_80_characters_are_the_same():
    lines = "\n".join(card.image.rstrip() for card in fits.Header(CARDS).cards)
    assert pixel_to_sky(lines, 5.0, 6.0) == pixel_to_sky(header_text(CARDS), 5.0, 6.0)


def test_a_matrix_of_pc_and_cdelt_is_understood():
    turn = {key: value for key, value in CARDS.items() if not key.startswith("CD")}
    turn |= {"CDELT1": -0.005, "CDELT2": 0.006, "PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8}
    truth = astropy_solution(fits.Header(turn)).all_pix2world(30.0, 40.0, 0)
    ra, dec = pixel_to_sky(header_text(turn), 40.0, 30.0)
    assert (float(ra), float(dec)) == pytest.approx(tuple(map(float, truth)), abs=1e-11)


@pytest.mark.parametrize(
    ("changes", "usable"),
    [
        ({}, True),
        ({"CD1_1": 0.0, "CD1_2": 0.0}, False),
        ({"A_2_0": 0.3, "B_0_2": -0.4}, False),
        ({"A_ORDER": 100_000}, False),
        ({"A_ORDER": -1, "B_ORDER": -1}, False),
    ],
)
def test_a_solution_is_usable_if_it_maps_to_the_sky_and_back(changes, usable):
    assert usable_solution(header_text(CARDS, **changes), 2078, 2136) is usable


def test_a_text_without_a_solution_is_refused_with_the_missing_cards():
    with pytest.raises(ValueError, match="no CRVAL1, CRVAL2, CRPIX1, CRPIX2"):
        read_solution("")
    assert not usable_solution("", 10, 10)


def test_proper_motion_moves_stars_as_astropy_does():
    ra, dec = np.array([10.0, 269.45, 84.29, 0.0]), np.array([89.9, 4.69, -80.47, -20.0])
    pmra, pmdec = np.array([500.0, -802.8, 311.2, 0.0]), np.array([-300.0, 10362.5, 1048.8, -5.0])
    moved = move_epoch(ra, dec, pmra, pmdec, 18.6)
    start = SkyCoord(
        ra * u.deg,
        dec * u.deg,
        pm_ra_cosdec=pmra * u.mas / u.yr,
        pm_dec=pmdec * u.mas / u.yr,
        obstime=Time(2000.0, format="jyear"),
        distance=100 * u.pc,
        radial_velocity=0 * u.km / u.s,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = start.apply_space_motion(new_obstime=Time(2018.6, format="jyear"))
    found = SkyCoord(moved[0] * u.deg, moved[1] * u.deg)
    assert found.separation(SkyCoord(truth.ra, truth.dec)).mas.max() < 1.0


def test_unknown_proper_motion_is_no_motion():
    assert move_epoch(12.0, 34.0, np.nan, np.nan, 20.0) == (pytest.approx(12.0), pytest.approx(34.0))
