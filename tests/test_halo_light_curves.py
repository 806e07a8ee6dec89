"""Claims about the light curves of saturated stars, held against a simulated one."""

from types import SimpleNamespace

import numpy as np
import pytest
from bright_star import as_catalogue, as_cube, make_star
from sector import make_products

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.statistics import point_to_point
from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.halo_light_curves import find_segments, make_halo_light_curves
from tasoc_kit.photometry.pointing import estimate_pointing
from tasoc_kit.photometry.quality import good_cadences, make_quality
from tasoc_kit.photometry.reference import make_reference
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.sources.cube import open_cube
from tasoc_kit.store import open_product, write_product
from tasoc_kit.vocabulary import KitQuality, Method, Status

TMAG, PERIOD, AMPLITUDE = 4.0, 0.41, 3e-4


def with_halo(made, stars):
    """Return products whose light curves of these stars come from their halo."""
    method = np.full(made.apertures.sizes["star"], Method.APERTURE, np.int8)
    method[stars] = Method.HALO
    apertures = made.apertures.assign(method=("star", method))
    stream = stream_frames(made.cube, made.reference, apertures, made.quality)
    return SimpleNamespace(**(vars(made) | {"apertures": apertures, "stream": stream}))


def make_halo(made, **settings):
    return make_halo_light_curves(
        made.stream, made.sky, made.apertures, made.reference, made.quality, **settings
    )


@pytest.fixture(scope="module")
def bright():
    """A saturated star of known variation and one off the frame, both with method HALO, and the products."""
    truth = make_star(TMAG, lambda time: 1 + AMPLITUDE * np.sin(2 * np.pi * time / PERIOD), frames=320)
    cube = as_cube(truth)
    quality = make_quality(cube)
    reference = make_reference(cube, quality, estimate_pointing(cube, quality))
    apertures = make_apertures(reference, as_catalogue(truth))
    lost = apertures.sizes["star"] - 1
    apertures["star_row"][lost] = -100.0
    plain = SimpleNamespace(cube=cube, quality=quality, reference=reference, apertures=apertures, truth=truth)
    made = with_halo(plain, [0, lost])
    made.stream, made.lost = made.stream.compute(), lost
    made.sky = fit_sky(made.stream, reference, quality)
    made.halo = make_halo(made)
    # Of the star itself in good cadences: weights, pixels, and the sky that the model puts under them.
    good = np.flatnonzero(good_cadences(quality))
    made.weight, made.raw = (
        made.halo["halo_weight"].values[0].astype(float),
        made.stream["stamp_flux"].values[good],
    )
    row, column = (made.halo[f"stamp_{axis}"].values - int(cube[axis][0]) for axis in ("row", "column"))
    made.under = np.stack([sky_image(made.sky, reference, frame)[row, column] for frame in good])
    return made


def relative(made, halo=None):
    """Return time, flux over its median and truth over its median, of the good cadences of the star."""
    good = good_cadences(made.quality)
    flux = (made.halo if halo is None else halo)["flux"].values[0, good].astype(float)
    truth = made.truth.multipliers[0][good]
    return made.cube["time"].values[good], flux / np.median(flux), truth / np.median(truth)


def test_a_saturated_star_keeps_its_variation_and_is_as_quiet_as_its_photons(bright):
    time, flux, truth = relative(bright)
    angle, slow = 2 * np.pi * time / PERIOD, np.linspace(-1, 1, time.size)
    terms = np.stack([np.sin(angle), np.cos(angle), *(slow**k for k in range(5))], axis=1)
    found, known = (np.linalg.lstsq(terms, series, rcond=None)[0] for series in (flux, truth))
    # 300 cadences of 40 ppm know an amplitude of 300 ppm to 1 %.
    assert np.hypot(*found[:2]) == pytest.approx(np.hypot(*known[:2]), rel=0.04)
    error = np.nanmedian(bright.halo["flux_err"].values[0]) / np.nanmedian(bright.halo["flux"].values[0])
    assert 0.7 < point_to_point((flux - truth)[None])[0] / error < 1.2


def test_the_plain_sum_of_the_same_pixels_is_many_times_noisier(bright):
    _, flux, truth = relative(bright)
    total = (bright.raw - bright.under)[:, bright.weight > 0].sum(axis=1)
    plain, weighed = (point_to_point((f / np.median(f) - truth)[None])[0] for f in (total, flux))
    # The plain sum is as noisy as the ends of the trails and the error of the sky under 1,200 pixels make it,
    # the other as its photons: only of that is there a claim of its own, above.
    assert plain > 7 * weighed


def test_flux_has_the_level_that_the_magnitude_lets_expect(bright):
    good = good_cadences(bright.quality)
    level = np.median(bright.halo["flux"].values[0, good])
    assert level == pytest.approx(10 ** (-0.4 * (TMAG - ZERO_POINT)), rel=1e-3)


def test_weights_sum_to_one_and_saturated_pixels_and_the_ends_of_their_trails_have_none(bright):
    mine = bright.halo["stamp_star"].values == 0
    weight = bright.halo["halo_weight"].values[0, mine]
    assert weight.sum() == pytest.approx(1, abs=1e-5)
    assert weight.min() >= 0
    row, column = (bright.halo[f"stamp_{axis}"].values[mine] for axis in ("row", "column"))
    saturated = bright.reference["saturated"]
    assert saturated.values.sum() > 10
    for step in (-3, 0, 3):
        labels = np.clip(row + step, 0, saturated.sizes["row"] - 1)
        at_trail = saturated.values[labels, column - int(saturated["column"][0])]
        assert at_trail.any()
        assert (weight[at_trail] == 0).all()
    assert (weight > 0).sum() > 500


def scaled_weights(bright):
    """Return what each pixel adds to the flux, used pixels only, and these pixels and their sky."""
    used = bright.weight > 0
    raw, sky = bright.raw[:, used], bright.under[:, used]
    share = bright.weight[used] / (raw - sky).mean(axis=0)
    share *= 10 ** (-0.4 * (TMAG - ZERO_POINT)) / np.median((raw - sky) @ share)
    return share, raw, sky


def test_flux_and_background_are_weighed_sums_over_the_pixels_and_the_sky_under_them(bright):
    good = good_cadences(bright.quality)
    share, raw, sky = scaled_weights(bright)
    np.testing.assert_allclose(bright.halo["flux"].values[0, good], (raw - sky) @ share, rtol=1e-5)
    np.testing.assert_allclose(bright.halo["background"].values[0, good], sky @ share, rtol=1e-5)


def test_errors_of_the_sky_and_of_columns_enter_by_the_weights(bright):
    share, *_ = scaled_weights(bright)
    column = bright.halo["stamp_column"].values[bright.weight > 0]
    good, variance = good_cadences(bright.quality), []
    for sky_err, column_err in ((0.0, 0.0), (3.0, 2.0)):
        sky = bright.sky.copy(deep=True)
        sky["sky_err"][:], sky["sky_systematic"][:], sky["column_noise_err"][:] = sky_err, 0.0, column_err
        halo = make_halo(SimpleNamespace(**(vars(bright) | {"sky": sky})))
        variance.append(halo["flux_err"].values[0, good].astype(float) ** 2)
    columns = np.bincount(column, share)
    expected = (share.sum() * 3.0) ** 2 + (columns**2).sum() * 2.0**2
    np.testing.assert_allclose(variance[1] - variance[0], expected, rtol=1e-3)


def test_a_star_without_pixels_is_an_error_and_not_zero(bright):
    assert bright.halo["status"].values.tolist() == [Status.OK, Status.ERROR]
    assert np.isnan(bright.halo["flux"].values[1]).all()
    assert bright.halo["tic"].values.tolist() == bright.apertures["tic"].values[[0, bright.lost]].tolist()
    assert (bright.halo["stamp_star"].values == 0).all()


def test_the_stamps_of_other_apertures_are_refused(bright):
    other = bright.apertures.assign(method=("star", np.roll(bright.apertures["method"].values, 2)))
    with pytest.raises(StepInputError, match="expected the apertures the stream was made with"):
        make_halo(SimpleNamespace(**(vars(bright) | {"apertures": other})))


def test_a_stream_on_disk_gives_the_same_as_one_in_memory(bright):
    lazy = bright.stream.chunk({"time": 64})
    again = make_halo(SimpleNamespace(**(vars(bright) | {"stream": lazy})))
    for name in ("flux", "flux_err", "background", "halo_weight", "pixel_quality"):
        np.testing.assert_array_equal(again[name].values, bright.halo[name].values)


def test_a_bad_pixel_spoils_its_cadence_alone_and_is_flagged(bright):
    good = good_cadences(bright.quality)
    bad = int(np.flatnonzero(~good)[0]) if (~good).any() else None
    flux = bright.stream["stamp_flux"].values.copy()
    used = int(np.flatnonzero(bright.halo["halo_weight"].values[0] > 0)[0])
    assert bad is not None
    flux[bad, used] = np.nan
    stream = bright.stream.assign(stamp_flux=(("time", "stamp_pixel"), flux))
    halo = make_halo(SimpleNamespace(**(vars(bright) | {"stream": stream})))
    assert np.flatnonzero(np.isnan(halo["flux"].values[0])).tolist() == [bad]
    assert np.flatnonzero(halo["pixel_quality"].values[0] & KitQuality.NONFINITE_PIXELS).tolist() == [bad]


def test_a_pixel_that_is_missing_in_a_good_cadence_is_left_out(bright):
    flux = bright.stream["stamp_flux"].values.copy()
    used = int(np.flatnonzero(bright.halo["halo_weight"].values[0] > 0)[0])
    flux[int(np.flatnonzero(good_cadences(bright.quality))[5]), used] = np.nan
    stream = bright.stream.assign(stamp_flux=(("time", "stamp_pixel"), flux))
    halo = make_halo(SimpleNamespace(**(vars(bright) | {"stream": stream})))
    assert halo["halo_weight"].values[0, used] == 0
    good = good_cadences(bright.quality)
    np.testing.assert_allclose(halo["flux"].values[0, good], bright.halo["flux"].values[0, good], rtol=3e-4)


def test_no_halo_star_leaves_an_empty_product_that_can_be_stored(sector):
    assert "method" not in sector.apertures or not (sector.apertures["method"] == Method.HALO).any()
    halo = make_halo(sector)
    assert halo.sizes["star"] == halo.sizes["stamp_pixel"] == 0
    write_product(halo)
    stored = open_product("halo_light_curves", id=halo.attrs["provenance_id"])
    assert stored["flux"].shape == (0, sector.cube.sizes["time"])


def test_too_few_cadences_give_no_weights_and_no_flux(bright):
    few = {"time": slice(0, 12)}
    made = SimpleNamespace(
        stream=bright.stream.isel(few), sky=bright.sky.isel(few), quality=bright.quality.isel(few),
        apertures=bright.apertures, reference=bright.reference,
    )  # fmt: skip
    halo = make_halo(made)
    assert halo["status"].values.tolist() == [Status.ERROR, Status.ERROR]
    assert np.isnan(halo["flux"].values).all()


def segments(time, sector, good=None):
    good = np.ones(len(time), bool) if good is None else good
    parts = find_segments(np.asarray(time, float), good, sector)
    assert np.sum(parts, axis=0).tolist() == [1] * len(time)
    return [int(part.sum()) for part in parts]


def test_weights_begin_anew_at_known_times():
    time = np.arange(1325.0, 1353.0, 0.5)
    edges = [1325, 1339, 1347.366, 1349.315, 1353]
    expected = [
        int(((time >= low) & (time < high)).sum()) for low, high in zip(edges, edges[1:], strict=False)
    ]
    assert segments(time, 1) == expected
    assert segments(np.arange(1500.0, 1520.0), 8) == [20]
    for sector, split in ((2, 1368.0), (3, 1395.52), (8, 1529.5)):
        time = split + np.arange(-5.01, 6, 0.1)
        assert segments(time, sector) == [int((time < split).sum()), int((time >= split).sum())] == [51, 60]


def test_weights_begin_anew_behind_a_single_long_gap_in_the_middle():
    time = np.r_[np.arange(0.0, 12.0, 0.1), np.arange(13.0, 25.0, 0.1)]
    assert segments(time, 40) == [120, 120]
    assert segments(np.r_[time, np.arange(26.0, 38.0, 0.1)], 40) == [360]
    assert segments(np.r_[np.arange(0.0, 2.0, 0.1), np.arange(3.0, 25.0, 0.1)], 40) == [240]
    # A gap is one of good cadences; the others go with the part that they follow.
    steady = np.arange(0.0, 24.0, 0.1)
    assert segments(steady, 40, (steady < 11) | (steady > 13)) == [120, 120]
    assert segments(steady, 40, np.zeros(240, bool)) == [240]


def test_the_halo_of_a_real_star_is_quieter_than_the_sum_of_its_pixels(shared_data):
    path = shared_data("tess_ffi/tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits")
    plain = make_products(open_cube(str(path)), None)
    made = with_halo(plain, [int(np.argmin(plain.apertures["tmag"].values))])
    halo, stream = make_halo(made), made.stream.compute()
    used = halo["halo_weight"].values[0] > 0
    total = stream["stamp_flux"].values[:, used].sum(axis=1)
    flux = halo["flux"].values[0]
    assert 15 < used.sum() < 30
    noise = [point_to_point((series / np.median(series))[None])[0] for series in (flux, total)]
    assert noise[0] < 0.9 * noise[1]
