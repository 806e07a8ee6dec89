"""Claims about the PSF that is fitted to the stars of a sector."""

import shutil

import numpy as np
import pytest
import xarray as xr
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import map_coordinates
from star_field import as_reference, as_stars

from tasoc_kit.errors import SourceError, StepInputError
from tasoc_kit.numerics.effective_psf import draw_stamp, psf_at, sample
from tasoc_kit.numerics.prf import TERMS, add_expansion, pixel_response
from tasoc_kit.photometry.psf import fit_psf
from tasoc_kit.photometry.psfs.psf_scene import psf_of
from tasoc_kit.simulation.optics import star_parts
from tasoc_kit.simulation.settings import SectorSettings
from tasoc_kit.sources.prf_files import read_prfs

SIZE, BRIGHT = 400, 220


def scene_of_truth(seed=3):
    """Return reference and stars of a field with a PSF that no fit knows; noise as of a mean of 48 frames."""
    random = np.random.default_rng(seed)
    settings = SectorSettings(prf="skewed", camera=1, ccd=2)
    row = random.uniform(-0.4, SIZE - 0.6, 1200)
    column = 44 + random.uniform(-0.4, SIZE - 0.6, 1200)
    tmag = np.concatenate([random.uniform(8.5, 12.5, BRIGHT), random.uniform(12.5, 16, 1200 - BRIGHT)])
    flux = 10 ** (-0.4 * (tmag - 20.451))
    images = np.zeros((len(TERMS), SIZE, SIZE))
    parts = star_parts(settings, row, column)
    add_expansion(images, flux, row, column - 44, parts, np.full(row.size, 25))
    floor, slope, sky = 0.02, 7.0e-4, 100.0
    noise = np.sqrt((floor + slope * (images[0] + sky)) / 48) * random.normal(size=images[0].shape)
    return settings, flux, tmag, row, column, (images[0] + noise).astype(np.float32), (floor, slope, sky)


@pytest.fixture(scope="module")
def field():
    settings, flux, tmag, row, column, image, (floor, slope, sky) = scene_of_truth()
    place = ("row", "column")
    reference = xr.Dataset(
        {
            "reference": (place, image),
            "reference_sky": (place, np.full(image.shape, sky, np.float32)),
            "saturated": (place, np.zeros(image.shape, bool)),
            "noise_floor": ("column", np.full(SIZE, floor)),
            "noise_slope": ("column", np.full(SIZE, slope)),
            "plan_time": ("plan_frame", np.arange(48.0)),
        },
        coords={"row": np.arange(SIZE), "column": 44 + np.arange(SIZE)},
        attrs={"camera": 1, "ccd": 2, "mission": "TESS"},
    )
    stars = xr.Dataset({
        "tmag": ("star", tmag), "star_row": ("star", row + 0.03), "star_column": ("star", column - 0.02),
        "tic": ("star", np.arange(row.size)),
    })  # fmt: skip
    return settings, flux, reference, stars


@pytest.fixture(scope="module")
def psf(field):
    return fit_psf(field[2], field[3])


def bias(psf, flux, tmag):
    return np.abs(psf["psf_flux"].values / flux - 1)[tmag < 14]


def test_a_psf_that_was_not_known_is_fitted_well_enough_for_fluxes(field, psf):
    _, flux, reference, stars = field
    tmag = stars["tmag"].values
    assert np.median(bias(psf, flux, tmag)) < 0.004
    assert np.median(bias(fit_psf(reference, stars, shape="nominal"), flux, tmag)) > 0.03


def test_its_core_is_the_true_one_all_over_the_field(field, psf):
    offset = np.mgrid[-2:3, -2:3].reshape(2, -1).astype(float)
    for row, column in ((60.0, 100.0), (200.0, 244.0), (330.0, 380.0)):
        # The stars of the catalogue are a little off; the fit has moved them back, or is shifted with them.
        moved = [float((psf[f"psf_{axis}"] - field[3][f"star_{axis}"]).mean()) for axis in ("row", "column")]
        wrong = np.array([0.03 + moved[0], -0.02 + moved[1]])[:, None]
        table = psf_at(psf_of(psf), np.array([row]), np.array([column]))[0]
        parts = star_parts(field[0], np.array([row]), np.array([column]))[0]
        found, truth = sample(table, *(offset - wrong)), pixel_response(*offset, parts)
        assert np.abs(found - truth).sum() < 0.012


def test_every_star_holds_the_same_light_however_it_stands_on_its_pixels(psf):
    table = psf_at(psf_of(psf), np.array([200.0]), np.array([200.0]))[0]
    pixels = np.mgrid[-22:23, -22:23].reshape(2, -1).astype(float)
    sums = [
        sample(table, *(pixels - np.array([y, x])[:, None])).sum() for y in (0, 0.25, 0.5) for x in (0, 0.4)
    ]
    np.testing.assert_allclose(sums, 1.0, atol=3e-3)


def test_too_few_bright_stars_leave_the_nominal_psf(field):
    _, _, reference, stars = field
    few = stars.isel(star=slice(0, 8))
    fitted, nominal = fit_psf(reference, few), fit_psf(reference, few, shape="nominal")
    np.testing.assert_array_equal(fitted["psf_coefficient"], nominal["psf_coefficient"])


def test_a_frame_smaller_than_a_stamp_is_left_to_apertures(field):
    _, _, reference, stars = field
    psf = fit_psf(reference.isel(row=slice(0, 7), column=slice(0, 20)), stars)
    assert (psf["psf_source"].values == -1).all()
    assert np.isnan(psf["psf_flux"].values).all()


def test_the_published_prfs_serve_as_they_are(field, shared_data):
    official = read_prfs(shared_data("tess_prf"))
    assert dict(official.sizes) == {"node_row": 5, "node_column": 5, "sample_row": 117, "sample_column": 117}
    assert official["node_column"].values[[0, -1]].tolist() == [44, 2091]
    pixels = official["prf"].values.reshape(5, 5, 13, 9, 13, 9)
    np.testing.assert_allclose(pixels.sum(axis=(2, 4)), 1.0, atol=0.01)
    reference = field[2].assign_attrs(ccd=4)
    psf = fit_psf(reference, field[3], official)
    grid = official["sample_row"].values
    for row, column in ((0, 0), (2, 2), (4, 1)):
        one = official["prf"].values[row, column]
        table = psf["psf_coefficient"].values[row, column].astype(float)
        centre = (one.sum(axis=1) @ grid / one.sum(), one.sum(axis=0) @ grid / one.sum())
        y, x = (place.ravel() for place in np.meshgrid(grid - centre[0], grid - centre[1], indexing="ij"))
        error = sample(table, y, x).reshape(one.shape) - one
        assert np.abs(error).max() < 0.02 * one.max()
        # Samples side by side differ by a per cent where splines are smooth; no light is lost by it.
        assert np.abs(error).sum() < 0.015 * one.sum()
        assert abs(error[9:-9, 9:-9].sum()) < 1e-3 * one.sum()
        # Splines that reach beyond the last sample bring no light there.
        drawn = np.empty((41, 41))
        draw_stamp(table, -20, -20, 0.2, -0.1, drawn)
        assert drawn.sum() == pytest.approx(1.0, abs=0.004)
    with pytest.raises(StepInputError, match="Read the PRFs of this CCD"):
        fit_psf(field[2], field[3], official)


def official_field(official, origin, seed=1):
    """Return a noisy field drawn straight from the samples of the published PRFs, and its stars."""
    random = np.random.default_rng(seed)
    row, column = (first + random.uniform(-5, SIZE + 4, 760) for first in origin)
    tmag = np.log2(random.uniform(2**7.5, 2**15.7, row.size))
    flux = 10 ** (-0.4 * (tmag - 20.451))
    nodes = tuple(official[f"node_{axis}"].values.astype(float) for axis in ("row", "column"))
    tables = RegularGridInterpolator(nodes, official["prf"].values)(np.stack([row, column], axis=1))
    image, half = np.zeros((SIZE + 40, SIZE + 40)), np.arange(-6, 7)
    for y, x, light, table in zip(row, column, flux, tables, strict=True):
        pixels = [int(np.rint(place)) + half for place in (y, x)]
        offsets = np.meshgrid(58 + 9 * (pixels[0] - y), 58 + 9 * (pixels[1] - x), indexing="ij")
        places = [pixel - first + 20 for pixel, first in zip(pixels, origin, strict=True)]
        image[np.ix_(*places)] += light * map_coordinates(table, offsets, order=3)
    image = image[20:-20, 20:-20]
    noise = np.sqrt((0.02 + 7.0e-4 * (image + 100.0)) / 48) * random.normal(size=image.shape)
    reference = as_reference(image + noise, row=origin[0], column=origin[1]).assign_attrs(ccd=4)
    sky = xr.full_like(reference["reference"], 100.0)
    noises = {name: ("column", np.full(SIZE, value)) for name, value in
              (("noise_floor", 0.02), ("noise_slope", 7.0e-4))}  # fmt: skip
    return reference.assign(reference_sky=sky, **noises), as_stars(row, column, tmag), flux


@pytest.mark.parametrize("origin", [(200, 300), (1400, 1400)])
def test_fluxes_of_stars_as_published_are_right_to_four_in_a_thousand(shared_data, origin):
    official = read_prfs(shared_data("tess_prf"))
    reference, stars, flux = official_field(official, origin)
    bias = {
        name: np.abs(fit_psf(reference, stars, prfs, shape=shape)["psf_flux"].values / flux - 1)
        for name, prfs, shape in (
            ("official", official, "nominal"), ("fitted", None, "fitted"), ("nominal", None, "nominal"),
        )
    }  # fmt: skip
    tmag = stars["tmag"].values
    chosen = (tmag > 10) & (tmag < 14) & np.isfinite(bias["official"])
    assert chosen.sum() > 150
    assert np.median(bias["official"][chosen]) < 0.004
    assert np.median(bias["fitted"][chosen]) < 0.004
    assert np.median(bias["official"][chosen]) < 0.5 * np.median(bias["nominal"][chosen])


def test_a_folder_without_a_grid_of_prfs_is_refused(shared_data, tmp_path):
    with pytest.raises(SourceError, match="expected those of one camera and CCD"):
        read_prfs(tmp_path)
    for path in (
        sorted(shared_data("tess_prf").glob("*row0001*.fits"))[:3]
        + sorted(shared_data("tess_prf").glob("*row0513*.fits"))[:1]
    ):
        shutil.copy(path, tmp_path)
    with pytest.raises(SourceError, match="4 files .* expected a full grid"):
        read_prfs(tmp_path)
    (tmp_path / "tess0-prf-broken.fits").write_bytes(b"no FITS")
    with pytest.raises(SourceError, match="tess0-prf-broken"):
        read_prfs(tmp_path)
