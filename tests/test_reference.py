"""Claims about the reference, the frames it is made of, the pointing and the quality."""

import numpy as np
import pytest
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.photometry.plan.plan_frames import choose_frames
from tasoc_kit.photometry.pointing import estimate_pointing, motion_at
from tasoc_kit.photometry.quality import good_cadences, make_quality
from tasoc_kit.photometry.reference import make_reference
from tasoc_kit.photometry.stars import locate_stars
from tasoc_kit.vocabulary import KitQuality, TessQuality


class Frames:
    """Frames of one value, or of one image, each, read as a reader reads them."""

    def __init__(self, levels):
        self.levels = levels
        self.shape = np.shape(levels)[1:] or (8, 8)

    def read(self, i, out):
        out[:] = self.levels[i]


def test_the_reference_is_the_star_image(sector):
    star = sector.truth
    brightest = int(np.argmax(sector.reference["reference"].values.max(axis=1)))
    row, column = sector.stars["star_row"].values[0], sector.stars["star_column"].values[0]
    assert abs(brightest - row) < 20
    assert column > 0
    assert abs(float(sector.reference["noise_slope"][0]) * star.live - 1) < 0.15


def test_the_noise_model_is_that_of_the_uncertainties(sector):
    flux, error = (sector.cube[name][10].values for name in ("flux", "flux_err"))
    floor, slope = (sector.reference[name].values for name in ("noise_floor", "noise_slope"))
    usual = (flux > 0) & (flux < 5e4)
    model = np.sqrt(np.maximum(floor + slope * flux, 0))[usual]
    assert abs(np.median(model / error[usual]) - 1) < 0.01
    assert np.std(model / error[usual]) < 0.01


def test_without_uncertainties_the_detector_gives_the_noise(sector):
    bare = sector.cube.drop_vars("flux_err").isel(time=slice(0, 12))
    reference = make_reference(
        bare, sector.quality.isel(time=slice(0, 12)), sector.pointing.isel(time=slice(0, 12))
    )
    np.testing.assert_allclose(reference["noise_slope"], 1 / sector.cube.attrs["exposure"])


def test_bright_frames_are_left_out_and_reported():
    levels = np.full(40, 100.0)
    levels[::2] = 150.0
    plan = choose_frames(Frames(levels), np.ones(40, bool), np.ones(40, bool), 40, 10.0)
    assert set(plan.index % 2) == {1}
    assert "20 of 40" in plan.reason


def test_neither_half_of_the_sector_counts_twice_the_other():
    levels = np.full(40, 100.0)
    levels[24:] = 150.0
    plan = choose_frames(Frames(levels), np.ones(40, bool), np.ones(40, bool), 40, 10.0)
    late = (plan.index >= 20).sum()
    assert late == 4
    assert (plan.index < 20).sum() == 8


def test_frames_count_by_their_dark_places():
    levels = np.full((24, 256, 256), 100.0)
    levels[::2, :160] = 300.0
    levels[1::2, 96:] = 250.0
    levels[6] = 250.0
    plan = choose_frames(Frames(levels), np.ones(24, bool), np.ones(24, bool), 24, 10.0)
    assert set(plan.index) == set(range(24)) - {6}


def test_frames_without_data_are_never_chosen():
    levels = np.full(12, 100.0)
    levels[[2, 7]] = np.nan
    levels[5] = 0.0
    plan = choose_frames(Frames(levels), np.ones(12, bool), np.ones(12, bool), 12, 10.0)
    assert set(plan.index) == set(range(12)) - {2, 5, 7}


def test_an_asteroid_leaves_no_trail_in_the_reference(sector):
    cube = sector.cube.isel(time=slice(0, 24))
    flux = cube["flux"].compute()
    for i in range(24):
        flux[i, 100:103, 8 * i + 20 : 8 * i + 23] += 500.0
    moved = cube.drop_vars(["flux", "file", "file_offset"]).assign(flux=(flux.dims, flux.values))
    tables = (sector.quality.isel(time=slice(0, 24)), sector.pointing.isel(time=slice(0, 24)))
    with_trail, without = make_reference(moved, *tables), make_reference(cube, *tables)
    change = (with_trail["reference"] - without["reference"]).values[98:105, 15:215]
    assert np.abs(change).max() < 3.0


def test_edges_of_light_at_differing_places_in_every_frame_leave_no_trace(sector):
    cube = sector.cube.isel(time=slice(20, 44))
    tables = (sector.quality.isel(time=slice(20, 44)), sector.pointing.isel(time=slice(20, 44)))
    random = np.random.default_rng(1)
    row, column = np.mgrid[:256, :256] - 127.5
    flux = cube["flux"].values.copy()
    for i, turn in enumerate(2 * np.pi * random.random(24)):
        along = row * np.cos(turn) + column * np.sin(turn) - random.uniform(-40, 60)
        flux[i] += (100 * (1 + np.tanh(along / 20))).astype(np.float32)
    lit = cube.drop_vars(["flux", "file", "file_offset"]).assign(flux=(cube["flux"].dims, flux))
    crossed, dark = make_reference(lit, *tables), make_reference(cube, *tables)
    # Nearly all of a step of 200 electron/s is left out, of the stars and of the sky below them.
    change = (crossed["reference"] - dark["reference"]).values[dark["reference"].values < 20]
    assert np.percentile(np.abs(change), 98) < 1.0
    assert float((crossed["reference_sky"] - dark["reference_sky"]).std()) < 1.5


def test_a_sector_without_a_single_good_pixel_is_told_plainly(sector):
    cube = sector.cube.isel(time=slice(0, 4))
    dark = cube.drop_vars(["flux", "file", "file_offset"]).assign(
        flux=(cube["flux"].dims, np.zeros(cube["flux"].shape, np.float32))
    )
    with pytest.raises(StepInputError, match="no candidate frame has data among 4 frames"):
        make_reference(dark, sector.quality.isel(time=slice(0, 4)), sector.pointing.isel(time=slice(0, 4)))


def test_the_motion_is_that_of_the_spacecraft(sector):
    truth = np.array([sector.truth.star_positions(i) for i in range(len(sector.truth))])
    row, column = truth[:, 0].T, truth[:, 1].T
    inside = (truth[0, 0] > 20) & (truth[0, 0] < 230) & (truth[0, 1] > 60) & (truth[0, 1] < 280)
    found = motion_at(sector.pointing, truth[0, 0][inside], truth[0, 1][inside])
    good = good_cadences(sector.quality)
    for moved, place in zip(found, (row, column), strict=True):
        true = place[inside].T - place[inside].T[good].mean(axis=0)
        mine = moved - moved[good].mean(axis=0)
        # The headers state the pointing with an error of 0.002 pixel.
        assert np.abs(mine - true)[good].std() < 0.004


def test_a_momentum_dump_stands_off_the_drift(sector):
    cube = sector.cube
    quality = make_quality(cube)
    texts = cube["wcs"].values.copy()
    card = next(k for k in range(0, len(texts[20]), 1) if texts[20][k:].startswith("CRVAL1"))
    value = texts[20][card + 10 : card + 30]
    texts[20] = texts[20].replace(value, f"{float(value) + 0.01:20.12f}"[:20])
    moved = estimate_pointing(cube.assign_coords(wcs=("time", texts)), quality)
    flagged = np.flatnonzero(moved["frame_quality"].values & KitQuality.POINTING_OUTLIER)
    assert 20 in flagged


def test_a_frame_that_lost_its_solution_is_flagged(sector):
    texts = sector.cube["wcs"].values.copy()
    texts[3] = ""
    quality = make_quality(sector.cube.assign_coords(wcs=("time", texts)))
    assert np.flatnonzero(quality["frame_quality"].values & KitQuality.NO_WCS).tolist() == [3]
    assert good_cadences(quality)[3] == good_cadences(sector.quality)[3]


def test_the_bits_of_the_mission_are_kept_and_ours_stand_apart(sector):
    np.testing.assert_array_equal(sector.quality["quality"], sector.cube["quality"])
    bits = np.array([0, TessQuality.DESAT, TessQuality.EARTH_MOON_PLANET_IN_FOV], np.int32)
    quality = xr.Dataset({"quality": ("time", bits), "frame_quality": ("time", np.zeros(3, np.int32))})
    assert good_cadences(quality).tolist() == [True, False, True]


def test_the_earth_in_camera_one_is_excluded_by_cadence():
    cube = xr.Dataset(
        {"quality": ("time", np.zeros(3, np.int32))},
        coords={"time": [1.0, 2.0, 3.0], "cadenceno": ("time", np.array([11353, 11354, 11367], np.int32))},
        attrs={"sector": 5, "camera": 1, "ccd": 1, "provenance_id": "0"},
    )
    flags = make_quality(cube)["frame_quality"].values
    assert (flags & KitQuality.MANUAL_EXCLUDE != 0).tolist() == [False, True, False]
    assert make_quality(cube, manual_excludes=False)["frame_quality"].values.tolist() == [0, 0, 0]


def test_a_sector_without_frames_is_told_plainly(sector):
    with pytest.raises(StepInputError, match="cube has 0 frames"):
        make_quality(sector.cube.isel(time=slice(0, 0)))


def test_catalogue_stars_fall_on_their_light(sector):
    image = sector.reference["reference"].values
    bright = sector.stars.isel(star=slice(0, 40))
    row = bright["star_row"].values - int(sector.reference["row"][0])
    column = bright["star_column"].values - int(sector.reference["column"][0])
    inside = (row > 3) & (row < 252) & (column > 3) & (column < 252)
    peaks = [
        image[int(r) - 2 : int(r) + 4, int(c) - 2 : int(c) + 4].max()
        for r, c in zip(row[inside], column[inside], strict=True)
    ]
    assert np.mean(np.array(peaks) > 30) > 0.95


def test_detected_stars_are_the_bright_ones_of_the_catalogue(sector):
    found = locate_stars(sector.reference)
    bright = sector.stars.isel(
        star=np.flatnonzero((sector.stars["tmag"].values < 12) & (sector.stars["tmag"].values > 7))
    )
    rows, columns = sector.reference["row"].values, sector.reference["column"].values
    inside = (bright["star_row"] > rows[2]) & (bright["star_row"] < rows[-3])
    inside &= (bright["star_column"] > columns[2]) & (bright["star_column"] < columns[-3])
    bright = bright.isel(star=np.flatnonzero(inside.values))
    distance = np.hypot(
        bright["star_row"].values[:, None] - found["star_row"].values,
        bright["star_column"].values[:, None] - found["star_column"].values,
    )
    assert np.mean(distance.min(axis=1) < 1.0) > 0.9
    near = distance.argmin(axis=1)
    assert abs(np.median(found["tmag"].values[near] - bright["tmag"].values)) < 0.4


def test_a_catalogue_needs_a_plate_solution(sector):
    blind = sector.reference.assign_attrs(wcs="")
    with pytest.raises(StepInputError, match="reference has no plate solution"):
        locate_stars(blind, sector.stars)
