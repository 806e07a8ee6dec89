"""Claims about light curves from PSF photometry."""

import dask
import numpy as np
import pytest

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.overlaps import stamp_sums
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.psf import fit_psf
from tasoc_kit.photometry.psf_light_curves import make_psf_light_curves
from tasoc_kit.photometry.psfs.psf_scene import scene_of
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.vocabulary import KitQuality, Status


@pytest.fixture(scope="module")
def psf(sector):
    return fit_psf(sector.reference, sector.apertures)


@pytest.fixture(scope="module")
def stream(sector, psf):
    return stream_frames(sector.cube, sector.reference, sector.apertures, sector.quality, psf).compute()


def tables_of(sector):
    return sector.apertures, sector.reference, sector.quality


def curves_of(sector, stream, psf, **options):
    return make_psf_light_curves(stream, sector.sky, psf, *tables_of(sector), **options)


@pytest.fixture(scope="module")
def curves(sector, stream, psf):
    return curves_of(sector, stream, psf).compute()


def truth_of(sector):
    """Return the true flux in every frame, and the stars that never vary."""
    tics = sector.truth.truth()["tic"].values
    place = {int(tic): k for k, tic in enumerate(tics)}
    index = np.array([place[int(tic)] for tic in sector.apertures["tic"].values])
    varies = {int(variable.star) for variable in sector.truth.variables}
    return sector.truth.star_flux()[index], np.array([k not in varies for k in index])


def test_fluxes_are_those_of_the_stars_to_four_in_a_thousand(sector, curves):
    truth, constant = truth_of(sector)
    tmag = sector.apertures["tmag"].values
    chosen = constant & (tmag > 8) & (tmag < 13) & (curves["status"].values == Status.OK)
    assert chosen.sum() > 15
    flux = np.nanmedian(curves["flux"].values[chosen], axis=1)
    assert np.median(np.abs(flux / truth[chosen, 0] - 1)) < 0.004


def test_errors_are_those_that_constant_stars_show(sector, curves):
    _, constant = truth_of(sector)
    good = (sector.quality["quality"].values == 0) & ~(
        sector.sky["frame_quality"].values & KitQuality.NO_DATA > 0
    )
    chosen = constant & (curves["status"].values == Status.OK)
    flux, error = (curves[name].values[chosen][:, good] for name in ("flux", "flux_err"))
    pull = (flux - np.median(flux, axis=1, keepdims=True)) / error
    # A median of 48 frames takes one in a hundred of the scatter with it.
    assert 0.9 < MAD_TO_SIGMA * np.median(np.abs(pull)) < 1.1


@pytest.fixture(scope="module")
def responses(sector, psf):
    """Return the scene, and what each pixel of a frame adds to the flux of a source, from dense matrices."""
    scene = scene_of(psf, sector.reference)
    inverse = np.linalg.inv(scene.matrix.toarray())

    def response(source):
        image = np.zeros(sector.reference["reference"].shape)
        stamps = zip(inverse[source], scene.weight, scene.top, scene.left, strict=True)
        for value, weight, top, left in stamps:
            image[top : top + 8, left : left + 8] += value * weight
        return image

    return scene, response


def test_a_brighter_sky_and_its_errors_enter_by_the_pixels_that_a_flux_is_made_of(
    sector, stream, psf, curves, responses
):
    scene, response = responses
    frame, brighter, uniform, column = 20, 300.0, 4.0, 3.0
    changed = sector.sky.copy(deep=True)
    changed["column_noise"][frame] += brighter
    changed["sky_err"][:], changed["sky_systematic"][:], changed["column_noise_err"][:] = uniform, 0.0, column
    known = changed.copy(deep=True)
    known["sky_err"][:], known["column_noise_err"][:] = 0.0, 0.0
    bare = sector.sky.assign(
        {name: known[name] for name in ("sky_err", "sky_systematic", "column_noise_err")}
    )
    # The frame holds that light too, so that the fluxes stay what they are.
    lit = stream.copy(deep=True)
    lit["psf_sum"][frame] += brighter * scene.weight.sum(axis=(1, 2))
    plain, bright, all_ = (
        make_psf_light_curves(sums, sky, psf, *tables_of(sector), steady=False)["flux_err"]
        .values[:, frame]
        .astype(float)
        ** 2
        for sums, sky in ((stream, bare), (lit, known), (lit, changed))
    )
    slope = sector.reference["noise_slope"].values.astype(float)
    alone = np.bincount(scene.sources.unknown, minlength=scene.star.size) == 1
    free = np.flatnonzero((scene.held == 0) & alone)[3:40:6]
    assert free.size > 4
    for source in free:
        star, pixels = int(scene.star[source]), response(source)
        photons = (pixels**2 * slope).sum() * brighter
        errors = (pixels.sum() * uniform) ** 2 + (pixels.sum(axis=0) ** 2).sum() * column**2
        assert bright[star] - plain[star] == pytest.approx(photons, rel=0.02)
        assert all_[star] - bright[star] == pytest.approx(errors, rel=0.02)
    usual = curves["flux_err"].values[:, frame].astype(float) ** 2
    assert (usual[scene.star[free]] > plain[scene.star[free]]).all()


def test_correlations_with_neighbours_are_those_of_the_pixels_that_both_fluxes_are_made_of(
    sector, curves, responses
):
    scene, response = responses
    light = np.nan_to_num(sector.reference["reference"].values + sector.reference["reference_sky"].values)
    floor, slope = (sector.reference[name].values.astype(float) for name in ("noise_floor", "noise_slope"))
    variance = floor + slope * np.maximum(light, 0)
    strength = curves["psf_correlation"].values
    source_of = {int(star): source for source, star in enumerate(scene.star)}
    known = [star for star in np.argsort(-np.abs(strength[:, 0])) if int(star) in source_of][:12:2]
    assert len(known) == 6
    for star in known:
        other = int(curves["neighbour"].values[star, 0])
        mine, its = (response(source_of[k]) for k in (int(star), other))
        expected = (mine * its * variance).sum() / np.sqrt(
            (mine**2 * variance).sum() * (its**2 * variance).sum()
        )
        assert abs(expected) > 0.1
        assert strength[star, 0] == pytest.approx(expected, abs=0.1)


def test_errors_hold_the_photons_of_a_flare(sector, psf, stream, curves):
    scene, reference, frame = scene_of(psf, sector.reference), sector.reference, 20
    tmag = sector.apertures["tmag"].values[scene.star]
    victim = int(np.flatnonzero((tmag > 9) & (tmag < 11) & ~scene.held)[0])
    star, extra = int(scene.star[victim]), 4 * float(scene.expected[victim])
    light = scene.draw(np.where(np.arange(tmag.size) == victim, extra, 0), reference["reference"].shape, 1)[0]
    bright = stream.copy(deep=True)
    bright["psf_sum"][frame] += stamp_sums(light, scene.weight, scene.top, scene.left)
    made = curves_of(sector, bright, psf).compute()
    assert float(made["flux"][star, frame] - curves["flux"][star, frame]) == pytest.approx(extra, rel=2e-3)
    # What photons do to the flux, tried out.
    total = (reference["reference"] + reference["reference_sky"]).values + light
    noise = np.sqrt(reference["noise_floor"].values + reference["noise_slope"].values * np.maximum(total, 0))
    random = np.random.default_rng(1)
    tried = [scene.fluxes(random.normal(0, noise))[victim] for _ in range(400)]
    assert float(made["flux_err"][star, frame]) == pytest.approx(np.std(tried), rel=0.1)
    assert float(curves["flux_err"][star, frame]) < 0.7 * np.std(tried)


def test_psf_photometry_of_faint_stars_is_quieter_than_apertures(sector, curves):
    _, constant = truth_of(sector)
    tmag = sector.apertures["tmag"].values
    chosen = (
        constant & (tmag > 13) & (sector.apertures["row_size"].values > 0) & (curves["status"].values == 1)
    )

    def scatter(series):
        flux = series["flux"].values[chosen]
        return np.nanmedian(np.nanstd(np.diff(flux, axis=1), axis=1) / np.nanmedian(flux, axis=1))

    assert scatter(curves) < 0.9 * scatter(sector.light_curves)


def test_the_fluxes_are_those_of_a_dense_least_squares_solution(sector, psf, stream):
    scene = scene_of(psf, sector.reference)
    image = sector.reference["reference"].values.astype(float)
    sums = np.array([
        (weight * image[i : i + 8, j : j + 8]).sum()
        for weight, i, j in zip(scene.weight, scene.top, scene.left, strict=True)
    ])  # fmt: skip
    dense = np.linalg.solve(scene.matrix.toarray(), np.where(scene.held, scene.expected, sums))
    np.testing.assert_allclose(scene.fluxes(image), dense, rtol=1e-6, atol=1e-6)


def test_a_lost_pixel_costs_its_stars_one_frame_and_their_neighbours_nothing(sector, psf, stream, curves):
    holed = stream.copy(deep=True)
    victim = int(np.flatnonzero(scene_of(psf, sector.reference).held == 0)[5])
    holed["psf_sum"][7, victim] = np.nan
    made = curves_of(sector, holed, psf).compute()
    star = int(scene_of(psf, sector.reference).star[victim])
    assert np.isnan(made["flux"].values[star, 7])
    assert made["pixel_quality"].values[star, 7] == KitQuality.NONFINITE_PIXELS
    others = np.arange(made.sizes["star"]) != star
    change = (
        np.abs(made["flux"].values - curves["flux"].values)[others, 7] / curves["flux_err"].values[others, 7]
    )
    assert np.nanmax(change) < 3
    np.testing.assert_array_equal(made["flux"].isel(time=6), curves["flux"].isel(time=6))


def test_stars_in_one_pixel_share_their_light_and_are_flagged(sector):
    apertures = sector.apertures
    first = int(np.flatnonzero((apertures["tmag"].values > 10) & (apertures["tmag"].values < 12))[0])
    twin = apertures.isel(star=[first]).copy(deep=True)
    twin["star_row"] = twin["star_row"] + 0.1
    twin["tmag"] = twin["tmag"] + 1
    both = apertures.drop_dims("aperture_pixel").merge(apertures.drop_dims("star"), compat="no_conflicts")
    names = ["tmag", "star_row", "star_column", "row_size", "status", "aperture_flags", "contamination"]
    table = {name: ("star", np.append(both[name].values, twin[name].values)) for name in names}
    table["row_size"][1][-1] = 0
    table["status"][1][-1] = Status.SKIPPED
    both = (
        both.drop_dims("star")
        .assign(table)
        .assign_coords(tic=("star", np.append(apertures["tic"].values, 1)))
    )
    psf = fit_psf(sector.reference, both)
    stream = stream_frames(sector.cube, sector.reference, both, sector.quality, psf).compute()
    made = make_psf_light_curves(stream, sector.sky, psf, both, sector.reference, sector.quality).compute()
    assert made["status"].values[[first, -1]].tolist() == [Status.WARNING] * 2
    flux = np.nanmedian(made["flux"].values[[first, -1]], axis=1)
    assert flux[1] / flux[0] == pytest.approx(10**-0.4, rel=1e-3)


def test_nothing_is_computed_before_it_is_asked_for_and_blocks_do_not_matter(sector, psf, curves):
    def refuse(*_, **__):
        raise AssertionError("computed")

    small = stream_frames(sector.cube, sector.reference, sector.apertures, sector.quality, psf, block=16)
    with dask.config.set(scheduler=refuse):
        lazy = curves_of(sector, small, psf)
    again = lazy.compute()
    for name in ("flux", "flux_err", "background"):
        np.testing.assert_allclose(again[name], curves[name], rtol=1e-6, err_msg=name)


def test_a_stream_without_psf_sums_is_refused(sector, psf):
    with pytest.raises(StepInputError, match="Pass this psf to stream_frames first"):
        curves_of(sector, sector.stream, psf)


def test_a_psf_adds_its_sums_to_the_stream_and_changes_nothing_else(sector, psf, stream):
    assert sector.stream.sizes["psf_star"] == 0
    for name in ("cells", "aperture_sum", "block_image"):
        np.testing.assert_array_equal(stream[name], sector.stream[name])
    with pytest.raises(StepInputError, match="cell=4 with a psf"):
        stream_frames(sector.cube, sector.reference, sector.apertures, sector.quality, psf, cell=4)


def test_a_field_without_psf_stars_gives_series_without_values(sector):
    nothing = fit_psf(sector.reference, sector.apertures, faintest=0.0)
    stream = stream_frames(sector.cube, sector.reference, sector.apertures, sector.quality, nothing).compute()
    made = curves_of(sector, stream, nothing).compute()
    assert np.isnan(made["flux"].values).all()
    assert (made["status"].values == Status.SKIPPED).all()


def test_tables_of_other_stars_are_refused_where_their_number_is_the_same(sector, psf, stream):
    turned = sector.apertures["tic"].copy(data=np.roll(sector.apertures["tic"].values, 1))
    for name, tables in (
        ("psf", (stream, psf.assign_coords(tic=turned))),
        ("stream", (stream.assign_coords(tic=turned), psf)),
    ):
        with pytest.raises(
            StepInputError, match=f"{turned.size} of them others; expected the apertures the {name}"
        ):
            curves_of(sector, *tables)
        with pytest.raises(
            StepInputError, match=f"{turned.size} of them others; expected the apertures the {name}"
        ):
            make_light_curves(tables[0], sector.sky, *tables_of(sector), tables[1])
