"""Apertures: which pixels, whose they are, and what is said about them."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from star_field import add_star, as_reference, as_stars, detect_stars, make_field

from tasoc_kit.config import settings
from tasoc_kit.errors import StepInputError, StepParameterError
from tasoc_kit.photometry.apertures import aperture_matrix, make_apertures
from tasoc_kit.vocabulary import VARIABLES, ApertureFlag, Status

MODES = ["k2p2", "tile"]


def pixels_of(apertures: xr.Dataset, star: int) -> set:
    end = int(apertures["row_size"].values[: star + 1].sum())
    part = slice(end - int(apertures["row_size"][star]), end)
    return set(
        zip(*(apertures[name].values[part].tolist() for name in ("pixel_row", "pixel_column")), strict=True)
    )


def has_flag(apertures: xr.Dataset, flag: ApertureFlag) -> np.ndarray:
    return (apertures["aperture_flags"].values & int(flag)) > 0


def lone_stars(*stars, noise=0.5, shape=(60, 60)) -> tuple[xr.Dataset, xr.Dataset]:
    """Return stars given as (row, column, tmag), in indices, on a blank field."""
    image = np.random.default_rng(8).normal(0, noise, shape)
    for star in stars:
        if np.isfinite(star[2]):
            add_star(image, *star)
    row, column, tmag = np.array(stars, dtype=float).T
    return as_reference(image), as_stars(row, column + 44, tmag)


@pytest.fixture(scope="module")
def crowded():
    return make_field(150, 170, 800, seed=11, brightest=6.0)


@pytest.mark.parametrize("mode", MODES)
def test_the_aperture_of_a_lone_star_holds_its_light_and_little_else(mode):
    reference, stars = lone_stars((30.3, 25.8, 10.0))
    apertures = make_apertures(reference, stars, mode=mode)
    assert apertures["status"].values == [Status.OK]
    inside = aperture_matrix(apertures, reference["row"].values, reference["column"].values)
    flux = 10 ** (-0.4 * (10.0 - 20.451))
    assert (inside @ reference["reference"].values.ravel())[0] == pytest.approx(flux, rel=0.04)
    assert (30, 70) in pixels_of(apertures, 0)
    assert 20 < apertures["row_size"].values[0] < np.pi * 10**2


@pytest.mark.parametrize("mode", MODES)
def test_every_star_keeps_its_row_and_one_without_pixels_says_why(crowded, mode):
    reference, stars = crowded
    apertures = make_apertures(reference, stars, mode=mode)
    np.testing.assert_array_equal(apertures["tic"], stars["tic"])
    assert apertures.sizes["aperture_pixel"] == apertures["row_size"].sum()
    bare = apertures["row_size"].values == 0
    assert bare.any()
    assert set(apertures["status"].values[bare]) <= {Status.SKIPPED, Status.ERROR}
    assert set(apertures["status"].values[~bare]) <= {Status.OK, Status.WARNING}
    for name in ("row_size", "pixel_row", "status", "aperture_flags", "contamination", "edge_flux"):
        assert apertures[name].dtype == VARIABLES[name].dtype
        assert apertures[name].dims == VARIABLES[name].dims


@pytest.mark.parametrize("mode", MODES)
def test_no_aperture_holds_the_centre_of_a_brighter_star(crowded, mode):
    reference, stars = crowded
    apertures = make_apertures(reference, stars, mode=mode)
    tmag = stars["tmag"].values
    centre = np.rint(np.column_stack([stars["star_row"], stars["star_column"]])).astype(int)
    lit = np.flatnonzero(apertures["row_size"].values)
    assert lit.size > 200
    for star in lit:
        pixels = pixels_of(apertures, star)
        inside = [k for k in range(len(tmag)) if tuple(centre[k]) in pixels]
        assert tmag[star] <= tmag[inside].min()


def test_a_star_inside_a_brighter_ones_aperture_gives_way_to_it():
    reference, stars = lone_stars((30, 30, 14.0), (31.4, 30.8, 9.0))
    apertures = make_apertures(reference, stars)
    assert apertures["status"].values.tolist() == [Status.SKIPPED, Status.OK]
    assert apertures["skipped_by"].values.tolist() == [1, -1]
    assert apertures["row_size"].values[0] == 0
    assert has_flag(apertures, ApertureFlag.INSIDE_BRIGHTER).tolist() == [True, False]


@pytest.mark.parametrize("mode", MODES)
def test_of_two_stars_in_one_pixel_the_brighter_has_the_aperture(mode):
    reference, stars = lone_stars((30.3, 30.2, 12.0), (29.8, 29.9, 10.0), (30.1, 30.0, np.nan))
    apertures = make_apertures(reference, stars, mode=mode)
    assert apertures["status"].values.tolist() == [Status.SKIPPED, Status.OK, Status.SKIPPED]
    assert apertures["skipped_by"].values.tolist() == [1, -1, 1]


@pytest.mark.parametrize("mode", MODES)
def test_two_resolved_stars_share_no_pixel(mode):
    reference, stars = lone_stars((30, 25, 10.0), (30, 31, 10.5))
    apertures = make_apertures(reference, stars, mode=mode)
    assert (apertures["status"].values == Status.OK).all()
    first, second = (pixels_of(apertures, star) for star in (0, 1))
    assert not first & second
    assert max(column for _, column in first) - 44 <= 28 + 1


def test_contamination_is_the_share_of_catalogue_light_from_others():
    reference, stars = lone_stars((30.0, 30.0, 10.0), (30.2, 30.2, 10.0), (12, 12, 9.0))
    apertures = make_apertures(reference, stars)
    np.testing.assert_allclose(apertures["contamination"], [0.5, np.nan, 0.0], atol=1e-6)
    assert has_flag(apertures, ApertureFlag.CONTAMINATED).tolist() == [True, False, False]


@pytest.mark.parametrize(("place", "size"), [((30.4, 30.4), 4), ((30.0, 30.4), 6), ((30.0, 30.0), 9)])
def test_a_star_that_does_not_stand_out_has_the_minimum_aperture(place, size):
    reference, stars = lone_stars((*place, 19.5), (10, 10, 9.0), noise=3.0)
    apertures = make_apertures(reference, stars, threshold=3.0)
    assert apertures["status"].values[0] == Status.WARNING
    assert apertures["row_size"].values[0] == size
    assert has_flag(apertures, ApertureFlag.MINIMUM).tolist() == [True, False]


@pytest.mark.parametrize("mode", MODES)
def test_an_aperture_cut_by_the_frame_is_flagged_with_the_flux_on_the_edge(mode):
    reference, stars = lone_stars((30, 0.2, 9.0), (30, 30, 9.0))
    apertures = make_apertures(reference, stars, mode=mode)
    assert has_flag(apertures, ApertureFlag.EDGE).tolist() == [True, False]
    assert apertures["status"].values.tolist() == [Status.WARNING, Status.OK]
    rows = [row for row, column in pixels_of(apertures, 0) if column == 44]
    on_edge = reference["reference"].sel(row=rows, column=44).sum()
    np.testing.assert_allclose(apertures["edge_flux"], [on_edge, 0], rtol=1e-5)


def test_the_edge_is_where_the_data_end():
    reference, stars = lone_stars((30, 12.0, 9.0))
    reference["reference"][:, :11] = np.nan
    apertures = make_apertures(reference, stars)
    assert has_flag(apertures, ApertureFlag.EDGE).all()
    assert apertures["pixel_column"].min() == 44 + 11


def test_stars_off_the_frame_are_kept_as_errors():
    reference, _ = lone_stars((30, 30, 9.0))
    stars = as_stars([30, -3.0, 30.0, np.nan], [74, 49, 999.0, np.nan], [9, 9, 8, 9])
    apertures = make_apertures(reference, stars)
    assert apertures["status"].values.tolist() == [Status.OK, *[Status.ERROR] * 3]
    assert has_flag(apertures, ApertureFlag.OUTSIDE).tolist() == [False, True, True, True]


@pytest.mark.parametrize("mode", MODES)
def test_a_reference_without_data_gives_errors_for_the_stars_not_a_crash(mode):
    reference, stars = lone_stars((30, 30, 9.0), (10, 12, 11.0))
    apertures = make_apertures(
        reference.where(False).assign(saturated=reference["saturated"]), stars, mode=mode
    )
    assert (apertures["status"].values == Status.ERROR).all()
    assert has_flag(apertures, ApertureFlag.NO_SIGNAL).all()
    assert apertures.sizes["aperture_pixel"] == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 3), (6, 6), (10, 15), (63, 200)])
def test_any_size_of_frame_is_divided(shape, mode):
    reference, stars = lone_stars(((shape[0] - 1) / 2, (shape[1] - 1) / 2, 8.0), shape=shape)
    apertures = make_apertures(reference, stars, mode=mode)
    assert apertures["row_size"].values[0] > 0


@pytest.mark.parametrize("mode", MODES)
def test_zero_flux_everywhere_gives_minimum_apertures(mode):
    reference, stars = lone_stars((30, 30, 9.0))
    apertures = make_apertures(reference.assign(reference=reference["reference"] * 0), stars, mode=mode)
    assert apertures["row_size"].values.tolist() == [9]
    assert apertures["status"].values.tolist() == [Status.WARNING]


def test_a_star_without_a_magnitude_has_an_aperture_and_unknown_contamination():
    reference, stars = lone_stars((30, 30, 9.0))
    apertures = make_apertures(reference, stars.assign(tmag=stars["tmag"] * np.nan))
    assert apertures["row_size"].values[0] > 4
    assert np.isnan(apertures["contamination"].values[0])


def test_a_star_that_is_too_faint_divides_but_has_no_aperture():
    reference, stars = lone_stars((30, 25, 10.0), (30, 31, 10.5))
    apertures = make_apertures(reference, stars, faintest=10.2)
    assert apertures["status"].values.tolist() == [Status.OK, Status.SKIPPED]
    assert pixels_of(apertures, 0) == pixels_of(make_apertures(reference, stars), 0)


@pytest.mark.parametrize("mode", MODES)
def test_stars_that_are_all_too_faint_are_skipped(mode):
    reference, stars = lone_stars((30, 25, 10.0), (30, 31, 10.5))
    apertures = make_apertures(reference, stars, mode=mode, faintest=5.0)
    assert (apertures["status"].values == Status.SKIPPED).all()
    assert apertures.sizes["aperture_pixel"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_an_infinite_pixel_is_in_no_aperture(mode):
    reference, stars = lone_stars((30, 30, 9.0))
    reference["reference"][31, 32] = np.inf
    apertures = make_apertures(reference, stars, mode=mode)
    assert apertures["status"].values == [Status.OK]
    assert (31, 32 + 44) not in pixels_of(apertures, 0)


@pytest.mark.parametrize("mode", MODES)
def test_labels_follow_the_frame(crowded, mode):
    reference, stars = crowded
    first = make_apertures(reference, stars, mode=mode)
    moved = reference.assign_coords(row=reference["row"] + 700, column=reference["column"] + 1000)
    shifted = stars.assign(star_row=stars["star_row"] + 700, star_column=stars["star_column"] + 1000)
    second = make_apertures(moved, shifted, mode=mode)
    np.testing.assert_array_equal(first["row_size"], second["row_size"])
    np.testing.assert_array_equal(first["pixel_row"] + 700, second["pixel_row"])
    np.testing.assert_array_equal(first["pixel_column"] + 1000, second["pixel_column"])


@pytest.mark.parametrize("mode", MODES)
def test_the_apertures_do_not_depend_on_chunks_or_threads(crowded, mode, monkeypatch):
    reference, stars = crowded
    before = reference.copy(deep=True)
    made = []
    for threads, chunks in ((1, ({}, {})), (3, ({"row": 40, "column": 64}, {"star": 100}))):
        monkeypatch.setenv("TASOC_THREADS", str(threads))
        settings.cache_clear()
        made.append(make_apertures(reference.chunk(chunks[0]), stars.chunk(chunks[1]), mode=mode))
    settings.cache_clear()
    one, two = made
    xr.testing.assert_identical(one, two)
    xr.testing.assert_identical(reference, before)


def test_the_order_of_the_catalogue_changes_nothing_but_the_order(crowded):
    reference, stars = crowded
    order = np.random.default_rng(2).permutation(stars.sizes["star"])
    straight, mixed = make_apertures(reference, stars), make_apertures(reference, stars.isel(star=order))
    for name in ("row_size", "status", "aperture_flags", "contamination", "edge_flux"):
        np.testing.assert_array_equal(straight[name].values[order], mixed[name].values)
    assert all(pixels_of(straight, order[k]) == pixels_of(mixed, k) for k in range(0, len(order), 20))


def test_a_pixel_belongs_to_one_star_in_tile_mode(crowded):
    apertures = make_apertures(*crowded, mode="tile")
    whole = ~np.repeat(has_flag(apertures, ApertureFlag.MINIMUM), apertures["row_size"].values)
    pixels = np.column_stack([apertures["pixel_row"], apertures["pixel_column"]])[whole]
    assert len(np.unique(pixels, axis=0)) == len(pixels)


def test_a_higher_threshold_gives_smaller_apertures(crowded):
    sizes = [make_apertures(*crowded, threshold=k)["row_size"].values.sum() for k in (0.5, 1.5, 4.0)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_the_aperture_matrix_sums_the_pixels_of_each_star(crowded):
    reference, stars = crowded
    apertures = make_apertures(reference, stars)
    rows, columns = reference["row"].values, reference["column"].values
    sums = aperture_matrix(apertures, rows, columns) @ reference["reference"].values.ravel()
    for star in range(0, stars.sizes["star"], 40):
        expected = sum(
            float(reference["reference"].sel(row=i, column=j)) for i, j in pixels_of(apertures, star)
        )
        assert sums[star] == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_the_aperture_matrix_refuses_a_smaller_frame(crowded):
    reference, stars = crowded
    apertures = make_apertures(reference, stars)
    with pytest.raises(StepInputError, match=r"outside the frame of rows 0–49.*Pass the frame"):
        aperture_matrix(apertures, reference["row"].values[:50], reference["column"].values)


def test_a_field_without_stars_is_refused_by_name(crowded):
    reference, stars = crowded
    with pytest.raises(
        StepInputError, match=r"none of the 800 stars .* rows 0–149.*Check the star catalogue"
    ):
        make_apertures(reference, stars.assign(star_row=stars["star_row"] + 5000))
    with pytest.raises(StepInputError, match="none of the 0 stars"):
        make_apertures(reference, stars.isel(star=slice(0)))


def test_missing_variables_and_bad_settings_are_refused_by_name(crowded):
    reference, stars = crowded
    with pytest.raises(StepInputError, match="saturated"):
        make_apertures(reference.drop_vars("saturated"), stars)
    with pytest.raises(StepInputError, match="tmag"):
        make_apertures(reference, stars.drop_vars("tmag"))
    with pytest.raises(StepParameterError, match="did you mean 'threshold'"):
        make_apertures(reference, stars, treshold=1.0)
    with pytest.raises(StepParameterError, match="tiles"):
        make_apertures(reference, stars, mode="tiles")
    with pytest.raises(StepInputError, match="gaps in its row labels"):
        make_apertures(reference.isel(row=slice(None, None, 2)), stars)


def test_what_changes_the_numbers_changes_the_id():
    given = ({}, {"threshold": 1.0}, {"mode": "tile"}, {"contamination": "prf"})
    assert len({make_apertures.record(["a"], some).id for some in given}) == len(given)


def test_the_star_on_the_edge_of_the_real_cutout_is_flagged(shared_data):
    path = shared_data("tess_ffi/tess-s0002-1-2_0.000000_-20.000000_10x15_astrocut.fits")
    with fits.open(path) as file:
        flux = file[1].data["FLUX"][file[1].data["QUALITY"] == 0].astype(float)
    quiet = flux[np.median(flux, axis=(1, 2)) < np.median(flux) + 3].mean(axis=0)
    image = quiet - np.median(np.sort(quiet.ravel())[:30])
    apertures = make_apertures(as_reference(image), detect_stars(image, 4.0))
    brightest = int(np.argmin(apertures["tmag"].values))
    assert has_flag(apertures, ApertureFlag.EDGE)[brightest]
    assert apertures["status"][brightest] == Status.WARNING
    offset = np.hypot(apertures["star_row"].values - 4, apertures["star_column"].values - 50)
    target = int(np.argmin(offset))
    assert offset[target] < 1.5
    assert apertures["status"][target] == Status.OK
    assert not pixels_of(apertures, brightest) & pixels_of(apertures, target)


def test_the_bleed_columns_of_sirius_are_all_in_its_aperture(shared_data):
    path = shared_data("tess_ffi/tess2018349182459-s0006-0000000322899250-0126-s_tp_10cad.fits")
    with fits.open(path) as file:
        header, counts = file[1].header, file[1].data["RAW_CNTS"].astype(float).mean(axis=0)
    exposure = header["NUM_FRM"] * header["INT_TIME"]
    image = (counts - np.percentile(counts, 5)) * header["GAINA"] / exposure
    row, column = header["2CRPX5"] - 1, header["1CRPX5"] - 1
    reference = as_reference(image)
    apertures = make_apertures(reference, as_stars([row], [column + 44], [-1.4]))
    inside = aperture_matrix(apertures, reference["row"].values, reference["column"].values)
    full = reference["saturated"].values.ravel()
    assert has_flag(apertures, ApertureFlag.SATURATED).all()
    assert (inside @ full.astype(np.float32))[0] >= 0.98 * full.sum()
    assert (inside @ image.ravel())[0] >= 0.98 * image.sum()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "leading", "stars"),
    [
        ("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits", 44, 100),
        ("kepler_pixels/kplr-ffi_ch01_test.fits", 0, 250),
    ],
)
def test_real_fields_are_divided_among_their_stars(shared_data, name, leading, stars, mode):
    with fits.open(shared_data(name)) as file:
        image = file[1].data[:, leading:].astype(float)
    image -= np.percentile(image, 20)
    catalogue = detect_stars(image, 5.0)
    assert catalogue.sizes["star"] > stars
    apertures = make_apertures(as_reference(image), catalogue, mode=mode)
    assert (apertures["row_size"].values > 0).mean() > 0.9
    assert (~has_flag(apertures, ApertureFlag.MINIMUM)).mean() > 0.6
    assert 4 <= np.median(apertures["row_size"]) < 120
