"""Claims about light curves, held against the truth of a simulated sector."""

import os
import shutil

import dask
import numpy as np
import pytest
import xarray as xr
from sector import in_memory, make_products

from tasoc_kit.errors import SourceError, StepInputError
from tasoc_kit.numerics.statistics import point_to_point
from tasoc_kit.photometry import stream as streaming
from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.quality import good_cadences, make_quality
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.sources.cube import open_cube
from tasoc_kit.sources.ffi import science
from tasoc_kit.sources.frame_reader import open_frames
from tasoc_kit.vocabulary import SPACECRAFT, ApertureFlag, KitQuality


def clean_stars(sector, brightest=7.5, faintest=13.5):
    """Return stars that are OK, alone, and do not vary."""
    curves = sector.light_curves
    variable = {int(v.star) for v in sector.truth.variables}
    steady = np.array([k not in variable for k in (curves["tic"].values - 9_000_000_001)])
    return np.flatnonzero(
        steady
        & (curves["status"].values == 1)
        & (curves["contamination"].values < 0.1)
        & (curves["tmag"].values > brightest)
        & (curves["tmag"].values < faintest)
    )


def test_fluxes_are_those_of_the_stars(sector):
    stars = clean_stars(sector)
    index = sector.light_curves["tic"].values[stars] - 9_000_000_001
    truth = sector.truth.star_flux()[index].mean(axis=1)
    found = np.nanmedian(sector.light_curves["flux"].values[stars], axis=1)
    # An aperture loses some light in the wings and gains some from stars too faint for the catalogue.
    assert stars.size >= 10
    assert abs(np.median(found / truth) - 1) < 0.06


def test_errors_are_as_large_as_the_scatter(sector):
    stars, good = clean_stars(sector), good_cadences(sector.quality)
    flux = sector.light_curves["flux"].values[np.ix_(stars, good)]
    error = np.nanmedian(sector.light_curves["flux_err"].values[np.ix_(stars, good)], axis=1)
    # 70 cadences know the scatter of one star to 10 %, of two dozen stars to a few percent.
    assert 0.85 < np.median(point_to_point(flux) / error) < 1.2


def test_centroids_scatter_as_their_errors_say(sector):
    stars, good = clean_stars(sector, faintest=12.0), good_cadences(sector.quality)
    curves = sector.light_curves
    for axis in ("row", "column"):
        place = curves[f"centroid_{axis}"].values[np.ix_(stars, good)]
        error = np.nanmedian(curves[f"centroid_{axis}_err"].values[np.ix_(stars, good)], axis=1)
        assert 0.8 < np.median(point_to_point(place) / error) < 1.5
        assert np.nanmedian(np.abs(np.nanmedian(place, axis=1) - curves[f"star_{axis}"].values[stars])) < 0.5


def test_the_tables_give_the_flux_of_an_aperture_on_the_frame_itself(sector):
    star, frame = int(clean_stars(sector)[0]), 20
    apertures = sector.apertures
    first = int(apertures["row_size"].values[:star].sum())
    mine = slice(first, first + int(apertures["row_size"][star]))
    row = apertures["pixel_row"].values[mine] - int(sector.cube["row"][0])
    column = apertures["pixel_column"].values[mine] - int(sector.cube["column"][0])
    image = sector.cube["flux"][frame].values
    sky = sky_image(sector.sky, sector.reference, frame)
    curves = sector.light_curves.isel(star=star, time=frame)
    np.testing.assert_allclose(curves["background"], sky[row, column].sum(), rtol=1e-4)
    np.testing.assert_allclose(curves["flux"], (image - sky)[row, column].sum(), rtol=1e-4)
    left = (image - sky)[row, column]
    np.testing.assert_allclose(
        curves["centroid_row"], (left * apertures["pixel_row"].values[mine]).sum() / left.sum(), atol=2e-3
    )


def test_a_star_without_pixels_is_missing_and_not_zero(sector):
    apertures = sector.apertures
    star = int(np.flatnonzero(apertures["row_size"].values > 0)[3])
    size = apertures["row_size"].values.copy()
    starts = np.concatenate([[0], np.cumsum(size)])
    kept = np.ones(starts[-1], bool)
    kept[starts[star] : starts[star + 1]] = False
    size[star] = 0
    emptied = apertures.isel(aperture_pixel=np.flatnonzero(kept)).assign(row_size=("star", size))
    stream = stream_frames(sector.cube, sector.reference, emptied, sector.quality).compute()
    curves = make_light_curves(stream, sector.sky, emptied, sector.reference, sector.quality)
    assert np.isnan(stream["aperture_sum"].values[:, star]).all()
    assert np.isnan(curves["flux"].values[star]).all()
    assert (curves["pixel_quality"].values[star] == 0).all()


def test_a_bad_pixel_spoils_its_cadence_alone_and_is_flagged(sector):
    star = int(clean_stars(sector)[0])
    apertures = sector.apertures
    first = int(apertures["row_size"].values[:star].sum())
    place = {"row": apertures["pixel_row"].values[first], "column": apertures["pixel_column"].values[first]}
    cube = sector.cube.copy()
    flux = cube["flux"].compute()
    flux.loc[{"time": cube["time"][7], **place}] = np.nan
    stream = stream_frames(in_memory(cube, flux), sector.reference, apertures, sector.quality).compute()
    curves = make_light_curves(stream, sector.sky, apertures, sector.reference, sector.quality).compute()
    assert np.flatnonzero(np.isnan(curves["flux"].values[star])).tolist() == [7]
    assert curves["pixel_quality"].values[star, 7] == KitQuality.NONFINITE_PIXELS


def test_every_frame_is_read_once(sector, monkeypatch):
    readers = []

    def counting(cube):
        readers.append(open_frames(cube))
        return readers[-1]

    monkeypatch.setattr("tasoc_kit.photometry.stream.open_frames", counting)
    stream = stream_frames(sector.cube, sector.reference, sector.apertures, sector.quality)
    assert readers[0].count == 0
    with dask.config.set(scheduler="threads"):
        stream.compute()
    assert readers[0].count == sector.cube.sizes["time"]


def test_a_file_cut_while_it_is_read_is_an_error_with_its_name(sector, tmp_path, monkeypatch):
    for name in sector.cube["file"].values[:6]:
        shutil.copy(name, tmp_path)
    cube = science(open_cube(tmp_path))
    victim = str(cube["file"].values[4])
    measure = streaming.measure_frames

    def cut_and_measure(*arguments):
        os.truncate(victim, 9000)
        return measure(*arguments)

    monkeypatch.setattr(streaming, "measure_frames", cut_and_measure)
    stream = stream_frames(cube, sector.reference, sector.apertures, make_quality(cube))
    with pytest.raises(SourceError, match=f"{os.path.basename(victim)}.*cannot be read to its end"):
        stream.compute()


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_the_bits_do_not_depend_on_the_scheduler(sector, scheduler):
    with dask.config.set(scheduler=scheduler, num_workers=3):
        again = stream_frames(sector.cube, sector.reference, sector.apertures, sector.quality).compute()
    for name in sector.stream.variables:
        np.testing.assert_array_equal(again[name].values, sector.stream[name].values, err_msg=str(name))


def test_series_do_not_depend_on_the_size_of_a_block(sector):
    small = stream_frames(sector.cube, sector.reference, sector.apertures, sector.quality, block=16).compute()
    for name in ("cells", "aperture_sum", "column_cells"):
        np.testing.assert_array_equal(small[name].values, sector.stream[name].values)
    weight = small["block_frames"].values[:, None, None]
    mean = (small["block_image"].values * weight).sum(axis=0) / weight.sum()
    truth = sector.stream["block_frames"].values[:, None, None]
    whole = (sector.stream["block_image"].values * truth).sum(axis=0) / truth.sum()
    np.testing.assert_allclose(mean, whole, rtol=1e-5)


def test_a_stored_table_of_cadences_does_not_bring_its_own_blocks(sector):
    stored = sector.quality.chunk(time=16)
    curves = make_light_curves(sector.stream, sector.sky, sector.apertures, sector.reference, stored)
    lengths = {v.chunksizes["time"] for v in curves.variables.values() if "time" in v.chunksizes}
    assert set(SPACECRAFT) <= set(curves.variables)
    assert len(curves.isel(star=0).to_dataframe()) == curves.sizes["time"]
    assert len(lengths) == 1


def test_a_cube_in_memory_gives_the_same_as_its_files(sector):
    bare = in_memory(sector.cube, sector.cube["flux"].compute())
    stream = stream_frames(bare, sector.reference, sector.apertures, sector.quality).compute()
    np.testing.assert_array_equal(stream["cells"].values, sector.stream["cells"].values)


def test_nothing_is_computed_until_it_is_asked_for(sector, forbid_compute):
    stream = stream_frames(sector.cube, sector.reference, sector.apertures, sector.quality)
    curves = make_light_curves(stream, sector.sky, sector.apertures, sector.reference, sector.quality)
    assert curves["flux"].chunks is not None


def test_a_frame_of_zeros_and_a_frame_of_nan_are_flagged_and_leave_gaps(sector):
    flux = sector.cube["flux"].compute()
    flux[4] = 0.0
    flux[9] = np.nan
    made = make_products(in_memory(sector.cube, flux).isel(time=slice(0, 24)), sector.stars)
    flagged = np.flatnonzero(made.sky["frame_quality"].values & KitQuality.NO_DATA)
    assert flagged.tolist() == [4, 9]
    assert np.isnan(made.light_curves["flux"].values[:, [4, 9]]).all()
    assert np.isfinite(made.light_curves["flux"].values[:, [3, 5, 8, 10]]).any(axis=0).all()


def test_one_frame_is_enough_for_one_point(sector):
    made = make_products(sector.cube.isel(time=[12]), sector.stars)
    assert made.light_curves.sizes["time"] == 1
    assert np.isfinite(made.light_curves["flux"].values).sum() > 20


def test_a_field_without_stars_is_told_plainly(sector):
    with pytest.raises(StepInputError, match="none of the 0 stars lies on the frame"):
        make_products(sector.cube.isel(time=slice(0, 8)), sector.stars.isel(star=slice(0, 0)))


def test_sums_of_other_apertures_are_refused(sector):
    with pytest.raises(StepInputError, match="expected the apertures the stream was made with"):
        make_light_curves(
            sector.stream,
            sector.sky,
            sector.apertures.isel(star=slice(0, 5)),
            sector.reference,
            sector.quality,
        )


def test_tile_apertures_go_the_same_way(sector):
    apertures = make_apertures(sector.reference, sector.stars, mode="tile")
    stream = stream_frames(sector.cube, sector.reference, apertures, sector.quality).compute()
    curves = make_light_curves(stream, sector.sky, apertures, sector.reference, sector.quality)
    lit = apertures["row_size"].values > 0
    assert np.isfinite(curves["flux"].values[lit][:, 20]).all()


def test_the_neighbour_star_of_a_real_cutout_is_as_quiet_as_its_photons(shared_data):
    path = shared_data("tess_ffi/tess-s0002-1-2_0.000000_-20.000000_10x15_astrocut.fits")
    made = make_products(open_cube(str(path)), None)
    row = made.apertures["star_row"].values - made.cube["row"].values[0]
    column = made.apertures["star_column"].values - made.cube["column"].values[0]
    star = int(np.argmin(np.hypot(row - 4, column - 6)))
    boxed = _box(made.apertures, star)
    stream = stream_frames(made.cube, made.reference, boxed, made.quality).compute()
    curves = make_light_curves(stream, made.sky, boxed, made.reference, made.quality).compute()
    flux = curves["flux"].values[0][made.cube["quality"].values == 0]
    noise = np.median(np.abs(np.diff(flux))) * 1.4826 / np.sqrt(2)
    # Photon and read noise of its 3×3 pixels is 1.096 electron/s: 4,872 ppm of the 225 electron/s that
    # the star has where the sky under it is taken lower. An absolute sky of 2 electron/s more or
    # less changes the ppm, not the noise, so that is what is compared.
    assert 200 < np.median(flux) < 250
    assert 1.0 < noise < 1.096 * 1.03
    edge = int(np.argmax(made.reference["reference"].values.max(axis=0)))
    assert edge <= 1
    assert made.apertures["aperture_flags"].values[0] & ApertureFlag.EDGE


def _box(apertures: xr.Dataset, star: int) -> xr.Dataset:
    """Return the apertures of one star, 3×3 pixels about its centre."""
    one = apertures.isel(star=[star], aperture_pixel=np.zeros(9, int))
    row, column = (int(np.rint(one[name].values[0])) for name in ("star_row", "star_column"))
    rows, columns = np.meshgrid(np.arange(row - 1, row + 2), np.arange(column - 1, column + 2), indexing="ij")
    return one.assign(
        row_size=("star", [9]),
        pixel_row=("aperture_pixel", rows.ravel().astype(np.int16)),
        pixel_column=("aperture_pixel", columns.ravel().astype(np.int16)),
    )
