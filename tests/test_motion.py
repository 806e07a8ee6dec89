"""Claims about the motion of the stars and what it does to the apertures."""

import numpy as np
import pytest
from sector import make_sector

from tasoc_kit.numerics.prf import add_stars, components, radius_for
from tasoc_kit.photometry.curves.motion import flux_change, make_motion_table, measure_motion
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.psf import fit_psf
from tasoc_kit.photometry.psf_light_curves import make_psf_light_curves
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.photometry.stream import aperture_runs, stream_frames


def table_of(made, apertures=None):
    apertures = made.apertures if apertures is None else apertures
    runs = aperture_runs(apertures, made.reference["row"].values, made.reference["column"].values)
    return make_motion_table(apertures, made.reference, runs)


@pytest.fixture(scope="module")
def drifting(tmp_path_factory):
    """A sector whose frames are far apart, so that the stars drift by a fifth of a pixel."""
    return make_sector(tmp_path_factory.mktemp("drift") / "sector", every=24, frames=48, seed=21)


def test_the_motion_is_measured_to_a_thousandth_of_a_pixel(drifting):
    made, curves = drifting, drifting.light_curves
    middle = np.array([curves["star_row"].values.mean()]), np.array([curves["star_column"].values.mean()])
    truth = np.array([made.truth.pose(i).move(*middle) for i in range(48)])[:, :, 0]
    good = good_cadences(made.quality)
    for axis, name in enumerate(("motion_row", "motion_column")):
        found, true = curves[name].values[good], truth[good, axis]
        error = (found - found.mean()) - (true - true.mean())
        assert np.ptp(true) > 0.05
        # A dozen guide stars know it to 0.0005 each; the headers' own error is 0.002.
        assert error.std() < 0.0015


def test_the_drift_leaves_the_fluxes_of_steady_stars(drifting):
    made = drifting
    parts = (made.stream, made.sky, made.apertures, made.reference, made.quality)
    raw, steady = make_light_curves(*parts, steady=False).compute(), made.light_curves
    variable = {int(v.star) for v in made.truth.variables}
    constant = np.array([k not in variable for k in steady["tic"].values - 9_000_000_001])
    bright = (
        constant & (steady["status"].values == 1) & (steady["tmag"].values < 12) & (steady["tmag"].values > 7)
    )
    good = good_cadences(made.quality)
    scatter = [
        np.median(
            np.std(curves["flux"].values[np.ix_(bright, good)], axis=1)
            / curves["flux_err"].values[bright, 20]
        )
        for curves in (raw, steady)
    ]
    assert bright.sum() >= 5
    assert scatter[1] < scatter[0]
    assert scatter[1] < 1.6


def test_the_drift_leaves_the_fluxes_of_psf_photometry_too(drifting):
    made = drifting
    psf = fit_psf(made.reference, made.apertures)
    stream = stream_frames(made.cube, made.reference, made.apertures, made.quality, psf).compute()
    parts = stream, made.sky, psf, made.apertures, made.reference, made.quality
    raw, steady = (make_psf_light_curves(*parts, steady=wanted).compute() for wanted in (False, True))
    variable = {int(v.star) for v in made.truth.variables}
    constant = np.array([k not in variable for k in made.apertures["tic"].values - 9_000_000_001])
    tmag, good = made.apertures["tmag"].values, good_cadences(made.quality)
    bright = constant & (steady["status"].values == 1) & (tmag < 12.5) & (tmag > 7)
    scatter = []
    for curves in (raw, steady):
        flux, error = (curves[name].values[bright][:, good].astype(float) for name in ("flux", "flux_err"))
        scatter.append(np.std((flux - np.median(flux, axis=1, keepdims=True)) / error, axis=1))
    assert bright.sum() >= 10
    # Stars by themselves hardly answer to 0.07 pixel; those beside a bright one do.
    assert scatter[0].max() > 5
    assert scatter[1].max() < 1.5


def test_the_five_constants_are_those_of_stars_that_are_really_moved(sector):
    table = table_of(sector)
    apertures = sector.apertures
    row, column = (apertures[name].values - low for name, low in (("star_row", 0.0), ("star_column", 44.0)))
    flux = 10 ** (-0.4 * (apertures["tmag"].values.astype(float) - 20.451))
    parts = components(apertures["star_row"].values, apertures["star_column"].values, camera=1, ccd=2)
    # Drawn far out: a star that is cut off within its aperture would seem to gain or lose light.
    radius = radius_for(flux, parts, floor=0.01)
    sums = []
    for shift in ((0.0, 0.0), (0.15, -0.1)):
        image = np.zeros((256, 256))
        add_stars(image, flux, row + shift[0], column + shift[1], parts, radius)
        sums.append(_sums(apertures, image))
    motion = np.zeros((2, 3))
    motion[:, 0] = 0.15, -0.1
    change = np.array(
        [flux_change(table.steadiness, s, motion) for s in range(sector.apertures.sizes["star"])]
    )
    guides = table.guides
    variable = {int(v.star) for v in sector.truth.variables}
    guides = np.array([g for g in guides if int(apertures["tic"][g]) - 9_000_000_001 not in variable])
    true = (sums[1] - sums[0])[guides]
    # The drawn light is scaled to what each aperture really holds, by up to a tenth for these stars.
    held = _sums(apertures, np.nan_to_num(sector.reference["reference"].values))
    true *= held[guides] / sums[0][guides]
    np.testing.assert_allclose(change[guides], true, rtol=0.15, atol=0.3)
    assert np.corrcoef(change[guides], true)[0, 1] > 0.995


def _sums(apertures, image):
    size = apertures["row_size"].values
    star = np.repeat(np.arange(size.size), size)
    pixels = image[apertures["pixel_row"].values, apertures["pixel_column"].values - 44]
    return np.bincount(star, pixels, minlength=size.size)


def test_a_frame_without_guides_keeps_its_fluxes(sector):
    table = table_of(sector)
    blind = np.full((2, table.guides.size, 1), np.nan)
    motion = measure_motion(table, blind, blind)
    assert np.isnan(motion).all()


def test_a_motion_too_large_for_the_expansion_changes_nothing(sector):
    table = table_of(sector)
    guide, motion = int(table.guides[0]), np.zeros((2, 3))
    for shift, changed in ((0.3, True), (0.5, False)):
        motion[0, 0] = shift
        assert (flux_change(table.steadiness, guide, motion) != 0) is changed


def test_a_variable_guide_does_not_move_the_field(sector):
    table = table_of(sector)
    curves = sector.light_curves
    places, errors = (
        np.stack([curves[f"centroid_{axis}{end}"].values[table.guides, :4] for axis in ("row", "column")])
        for end in ("", "_err")
    )
    before = measure_motion(table, places, errors)
    places[:, 0] += 0.5
    np.testing.assert_allclose(measure_motion(table, places, errors)[:, :, 0], before[:, :, 0], atol=2e-3)


def test_too_few_stars_give_no_table(sector):
    few = sector.apertures.assign(status=("star", np.full(sector.apertures.sizes["star"], 3, np.int8)))
    assert table_of(sector, few) is None
