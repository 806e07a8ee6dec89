"""Claims about the sky under the stars of one deep image."""

import numpy as np
import pytest
from astropy.stats import SigmaClip
from photutils.background import Background2D, SExtractorBackground

from tasoc_kit.numerics.detector import camera_centre, is_strap
from tasoc_kit.photometry.skies.absolute_sky import absolute_sky
from tasoc_kit.simulation.sector import Sector

DEEP_NOISE = 0.1


@pytest.fixture(scope="module")
def corner():
    """A deep image of the corner of a CCD with the most glow: image, sky, stars, and where the glow is."""
    sector = Sector(camera=1, ccd=1, rows=512, columns=512, frames=1, first=300, seed=2)
    sky = sector.truth_sky(0)
    image = sector.expected(0, sky)
    noise = np.random.default_rng(2).normal(0, DEEP_NOISE, image.shape)
    row, column = camera_centre(1, 1)
    distance = np.hypot(*np.ogrid[-row : 512 - row, 44 - column : 556 - column])
    return (image + noise).astype(np.float32), sky, image - sky, distance > np.quantile(distance, 0.97)


def test_the_sky_is_that_of_the_pixels_without_stars(corner):
    image, truth, stars, glow = corner
    sky, mask = absolute_sky(image, is_strap(np.arange(44, 556)))
    # Stars below the mask cannot be told from sky: here they shine with 0.3 electron/s, more under the glow.
    for place in (np.ones_like(mask), glow):
        unseen = stars[~mask & place].mean()
        assert unseen < 1.0
        assert abs(np.median((sky - truth)[place]) - unseen) < 0.25
    assert np.std(sky - truth) < 0.3


def test_the_sky_is_nearer_to_the_truth_than_that_of_photutils(corner):
    image, truth, _, glow = corner
    sky, _ = absolute_sky(image, is_strap(np.arange(44, 556)))
    peer = Background2D(
        image, 64, filter_size=3, sigma_clip=SigmaClip(3.0), bkg_estimator=SExtractorBackground()
    ).background
    for place in (np.ones_like(glow), ~glow):
        ours, theirs = (np.sqrt(np.mean((found - truth)[place] ** 2)) for found in (sky, peer))
        assert ours < 0.5 * theirs


def test_a_lasting_edge_of_light_is_followed():
    row, column = np.mgrid[:256, :256]
    edge = 100 + 100 * (1 + np.tanh((row + 0.4 * column - 200) / 20))
    random = np.random.default_rng(3)
    stars = np.zeros((256, 256))
    for r, c, flux in zip(*random.integers(4, 252, (2, 200)), 10 ** random.uniform(1, 4, 200), strict=True):
        stars[r - 3 : r + 4, c - 3 : c + 4] += (
            flux * np.outer(*[np.exp(-(np.arange(-3, 4) ** 2) / 2)] * 2) / 6.3
        )
    sky, _ = absolute_sky((edge + stars + random.normal(0, 0.2, edge.shape)).astype(np.float32))
    # The splines of 85 pixels that suffice for a smooth sky would leave 14 electron/s.
    assert np.std(sky - edge) < 8


def test_the_sky_under_stars_includes_a_steep_glow():
    row, column = np.mgrid[:512, :512]
    random = np.random.default_rng(7)
    distance = np.hypot(row - 511, column - 511)
    sky = 100 + 60 * np.exp(-distance / 120)
    stars = np.zeros((512, 512))
    for r, c, flux in zip(*random.integers(4, 508, (2, 1500)), 10 ** random.uniform(1, 4, 1500), strict=True):
        stars[r - 3 : r + 4, c - 3 : c + 4] += (
            flux * np.outer(*[np.exp(-(np.arange(-3, 4) ** 2) / 2)] * 2) / 6.3
        )
    image = (sky + stars + random.normal(0, 0.3, sky.shape)).astype(np.float32)
    found, mask = absolute_sky(image)
    error = found - sky
    assert abs(np.median(error)) < 0.5
    assert np.abs(error[distance < 150]).mean() < 4
    assert 0.1 < mask.mean() < 0.9


def test_an_image_without_values_has_no_sky():
    found, _ = absolute_sky(np.full((20, 20), np.nan, np.float32))
    assert np.isnan(found).all()


def test_frames_of_any_size_have_a_sky():
    random = np.random.default_rng(1)
    for size in (3, 33, 50, 70, 300):
        sky, _ = absolute_sky(random.normal(100, 1, (size, size + 5)).astype(np.float32))
        assert abs(np.median(sky) - 100) < 1.5
