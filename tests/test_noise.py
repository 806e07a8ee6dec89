from __future__ import annotations

import numpy as np

from tasoc_kit.numerics.noise import aperture_pixels, expected_noise


def test_the_model_gives_the_published_noise_of_one_hour():
    # Total of TASOC's own model for full-frame apertures, 1 h, systematic 5 ppm.
    tmag = np.array([4, 6, 8, 10, 12, 13, 14, 15.0])
    published = np.array([9.9, 22.3, 56.5, 157.6, 499.5, 935.5, 1727.0, 3097.0])
    total = expected_noise(tmag, ecliptic_latitude=60.0).total
    np.testing.assert_allclose(total, published, rtol=1e-3, atol=0.08)


def test_photon_noise_falls_with_the_root_of_time():
    short, long = (expected_noise(np.array([9.0]), seconds=s).shot for s in (600.0, 2400.0))
    np.testing.assert_allclose(short / long, 2.0)


def test_zodiacal_light_is_brightest_on_the_ecliptic():
    on, pole = (expected_noise(np.array([12.0]), ecliptic_latitude=b).zodiacal for b in (0.0, 90.0))
    np.testing.assert_allclose(on / pole, 1.6)


def test_a_systematic_floor_limits_the_brightest_stars():
    assert expected_noise(np.array([0.0]), systematic=60.0).total > 60.0


def test_an_aperture_never_has_fewer_than_four_pixels():
    assert aperture_pixels(np.array([20.0]))[0] == 4
    assert aperture_pixels(np.array([9.20]))[0] == 61


def test_a_measured_aperture_and_sky_take_the_place_of_typical_ones():
    tmag, seconds = np.array([12.0, 12.0]), 2851.2
    pixels, sky = np.array([9, 36]), np.array([1000.0, 4000.0])
    noise = expected_noise(tmag, seconds=seconds, pixels=pixels, sky=sky)
    electrons = 10 ** (-0.4 * (12.0 - 20.451)) * seconds
    np.testing.assert_allclose(noise.read, 1e6 * 10 * np.sqrt(seconds / 2 * pixels) / electrons)
    np.testing.assert_allclose(noise.zodiacal, 1e6 * np.sqrt(sky * seconds) / electrons)
    assert expected_noise(tmag, pixels=pixels, sky=-sky).zodiacal.max() == 0
