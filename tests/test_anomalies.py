"""Claims about light that no sky model describes, and the stars that it touches."""

from types import SimpleNamespace

import dask
import numpy as np
import pytest
from sector import in_memory, make_every_method

from tasoc_kit.numerics import prf
from tasoc_kit.numerics.detector import ZERO_POINT, is_strap
from tasoc_kit.photometry.diagnostics import make_diagnostics
from tasoc_kit.photometry.halo_light_curves import make_halo_light_curves
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.psf_light_curves import make_psf_light_curves
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.photometry.skies.anomalies import UsualCells, telling_frames, touched_stars
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.sources.manual_excludes import read_manual_excludes
from tasoc_kit.vocabulary import KitQuality

GHOST, ASTEROID, LIT = 12, 20, 28
SHENANIGANS = KitQuality.BACKGROUND_SHENANIGANS
GHOST_AT, ASTEROID_AT = (90, 150), (184, 70)


@pytest.fixture(scope="module")
def spoiled(sector):
    """The small sector with a ghost, an asteroid and a half-lit CCD in one frame each, from stream on."""
    flux = sector.cube["flux"].compute()
    row, column = np.ogrid[:256, :256]
    flux[GHOST] += 20.0 * (np.hypot(row - GHOST_AT[0], column - GHOST_AT[1]) < 20)
    light = np.zeros((256, 256), np.float32)
    place = np.array([ASTEROID_AT[0]], float), np.array([ASTEROID_AT[1] + 44], float)
    bright = np.array([10 ** (-0.4 * (9.5 - ZERO_POINT))])
    parts = prf.components(*place, camera=1, ccd=2)
    prf.add_stars(light, bright, place[0], place[1] - 44, parts, prf.radius_for(bright, parts))
    flux[ASTEROID] += light
    flux[LIT] += 400.0 * (column > 128)
    cube = in_memory(sector.cube, flux)
    stream = stream_frames(cube, sector.reference, sector.apertures, sector.quality).compute()
    sky = fit_sky(stream, sector.reference, sector.quality)
    curves = make_light_curves(stream, sky, sector.apertures, sector.reference, sector.quality).compute()
    return SimpleNamespace(cube=cube, stream=stream, sky=sky, curves=curves)


def distance_to(curves, row, column):
    return np.hypot(curves["star_row"].values - row, curves["star_column"].values - column - 44)


def touched(curves, frame):
    return curves["pixel_quality"].values[:, frame] & SHENANIGANS != 0


@pytest.mark.parametrize(("frame", "place", "size"), [(GHOST, GHOST_AT, 18), (ASTEROID, ASTEROID_AT, 6)])
def test_stars_under_a_ghost_or_an_asteroid_are_flagged_and_no_others(spoiled, frame, place, size):
    curves = spoiled.curves
    lit = curves["row_size"].values > 0
    distance = distance_to(curves, *place)
    assert touched(curves, frame)[lit & (distance < size)].all()
    assert (lit & (distance < size)).any()
    assert touched(curves, frame)[lit & (distance > 90)].mean() < 0.05


def test_quiet_frames_have_hardly_an_anomaly(sector):
    good = sector.quality["quality"].values == 0
    bits = sector.light_curves["pixel_quality"].values[:, good]
    assert (bits & SHENANIGANS != 0).mean() < 0.02


def test_half_a_ccd_under_scattered_light_leaves_the_stars_of_the_other_half(spoiled, sector):
    frame = spoiled.sky["frame_quality"].values[LIT]
    assert frame & KitQuality.HIGH_SKY
    assert not frame & (KitQuality.SKY_RESIDUAL | KitQuality.NO_DATA)
    curves, quiet = spoiled.curves, sector.light_curves
    side = curves["star_column"].values - 44 - 128
    lit = (curves["row_size"].values > 0) & (curves["status"].values == 1)
    assert touched(curves, LIT)[lit & (np.abs(side) < 6)].all()
    far = lit & (side < -40)
    assert touched(curves, LIT)[far].mean() < 0.1
    change = (curves["flux"] - quiet["flux"]).values[far, LIT]
    assert np.median(np.abs(change) / quiet["flux_err"].values[far, LIT]) < 1.0
    # No star of either half has another status for it.
    told = [make_diagnostics(one, sector.apertures, sector.quality) for one in (curves, quiet)]
    np.testing.assert_array_equal(told[0]["status"], told[1]["status"])
    np.testing.assert_array_equal(told[0]["message"], told[1]["message"])
    # The lit half is bounded too: nowhere but at the edge is its sky wrong by a tenth of the light.
    off = sky_image(spoiled.sky, sector.reference, LIT) - sky_image(sector.sky, sector.reference, LIT)
    off -= 400.0 * (np.arange(256) > 128)
    columns = np.abs(np.arange(256) - 128) > 24
    columns &= ~is_strap(np.arange(44, 300))
    assert np.percentile(np.abs(off[:, columns]), 99) < 4.0


def test_frames_that_do_not_tell_what_is_usual_are_judged_by_those_that_do(spoiled, sector, monkeypatch):
    """Seven of 48 frames tell, none of them spoiled; in blocks of sixteen each keeps its own sky."""
    monkeypatch.setattr("tasoc_kit.photometry.skies.anomalies.SAMPLE", 7)
    telling = telling_frames(spoiled.stream["finite_pixels"].values > 0)
    assert telling.tolist() == [0, 7, 15, 23, 31, 39, 47]
    sky = fit_sky(spoiled.stream.assign_attrs(block=16), sector.reference, sector.quality)
    assert sky["sky_anomaly"].chunks[0] == (16, 16, 16)
    for name in set(sky.variables) - {"sky_anomaly", "frame_quality"}:
        np.testing.assert_array_equal(sky[name].values, spoiled.sky[name].values, err_msg=name)
    found, usual = sky["sky_anomaly"].values != 0, spoiled.sky["sky_anomaly"].values != 0
    for frame, (row, column) in ((GHOST, GHOST_AT), (ASTEROID, ASTEROID_AT)):
        assert found[frame, row // 16, column // 16]
    assert (found & usual)[[GHOST, ASTEROID]].sum() > 0.9 * usual[[GHOST, ASTEROID]].sum()
    quiet = np.setdiff1d(np.arange(48), [GHOST, ASTEROID, LIT])
    assert (found != usual)[quiet].mean() < 0.02


@pytest.mark.parametrize(("seen", "number"), [(0, 0), (3, 3), (64, 64), (200, 64)])
def test_frames_that_tell_are_spread_over_those_that_were_seen(seen, number):
    known = np.zeros(300, bool)
    known[50 : 50 + seen] = True
    frames = telling_frames(known)
    assert len(set(frames.tolist())) == number
    assert known[frames].all()
    assert not number or (frames[0], frames[-1]) == (50, 49 + seen)


def test_light_curves_of_every_kind_have_the_bits_of_their_stars(sector, tmp_path):
    dark, bright, last = 7, 9, 200
    (tmp_path / "mine.csv").write_text(
        "sector,camera,ccd,first_cadenceno,last_cadenceno,first_row,last_row,first_column,last_column,reason\n"
        "1,1,2,{0},{0},0,{1},,,a planet\n".format(int(sector.cube["cadenceno"][bright]), last)
    )
    made = make_every_method(sector)
    quality = make_quality(sector.cube, excludes=read_manual_excludes(tmp_path / "mine.csv"))
    anomaly = np.zeros(made.sky["sky_anomaly"].shape, np.int8)
    anomaly[dark, : last // 16 - 2] = 9
    sky = made.sky.assign(sky_anomaly=(made.sky["sky_anomaly"].dims, anomaly))
    parts = made.apertures, made.reference, quality
    for curves in (
        make_light_curves(made.stream, sky, *parts),
        make_psf_light_curves(made.stream, sky, made.psf, *parts),
        make_halo_light_curves(made.stream, sky, *parts),
    ):
        row, column = (np.rint(curves[f"star_{axis}"].values) for axis in ("row", "column"))
        bits = curves["pixel_quality"].values
        on_frame = (row >= 0) & (row < 256) & (column >= 44) & (column < 300)
        inside, upper = on_frame & (row < last - 80), row > last + 40
        assert inside.any()
        for frame, bit in ((dark, SHENANIGANS), (bright, KitQuality.MANUAL_EXCLUDE)):
            set_ = bits & int(bit) != 0
            assert set_[inside, frame].all()
            assert not set_[upper, frame].any()
            assert not set_[:, 30].any()


def find_anomalies(left, kept, sigma, level):
    usual = UsualCells(left, kept.max(axis=0), sigma, level)
    return np.stack([usual.find_anomalies(*frame) for frame in zip(left, kept, strict=True)])


def test_what_a_cell_always_has_is_no_anomaly():
    random = np.random.default_rng(1)
    left = random.normal(0, 0.02, (40, 8, 8)).astype(np.float16)
    left[:, 2, 3] += 5.0
    left[7, 5, 5] += 1.0
    kept = np.full(left.shape, 256, np.uint16)
    kept[9, 1, 1] = 60
    found = find_anomalies(left, kept, 8.0, 0.3)
    assert np.argwhere(found).tolist() == [[7, 5, 5], [9, 1, 1]]
    assert found[9, 1, 1] == 127
    assert 8 < found[7, 5, 5] <= 126


def test_both_limits_hold():
    left = np.random.default_rng(2).normal(0, 0.02, (40, 8, 8)).astype(np.float16)
    left[7, 5, 5] += 0.5
    kept = np.full(left.shape, 256, np.uint16)
    assert find_anomalies(left, kept, 8.0, 0.3).any()
    assert not find_anomalies(left, kept, 8.0, 0.8).any()
    assert not find_anomalies(left, kept, 100.0, 0.3).any()


def test_frames_without_data_have_no_anomaly_and_one_frame_is_enough():
    empty = np.full((3, 4, 4), np.nan, np.float16)
    assert not find_anomalies(empty, np.zeros(empty.shape, np.uint16), 8.0, 0.3).any()
    one = np.zeros((1, 4, 4), np.float16)
    assert not find_anomalies(one, np.full(one.shape, 256, np.uint16), 8.0, 0.3).any()


def test_stars_next_to_a_cell_are_flagged_and_no_others(sector, forbid_compute):
    apertures = sector.apertures
    anomaly = np.zeros((2, 16, 16), np.int8)
    anomaly[1, 7, 4] = -9
    sky = sector.sky.isel(time=slice(0, 2)).assign(sky_anomaly=(sector.sky["sky_anomaly"].dims, anomaly))
    lazy = touched_stars(sky, apertures)
    with dask.config.set(scheduler="synchronous"):
        bits = np.asarray(lazy)
    assert not bits[:, 0].any()
    first = np.concatenate([[0], np.cumsum(apertures["row_size"].values)])
    for star in range(apertures.sizes["star"]):
        mine = slice(first[star], first[star + 1])
        row, column = (apertures[f"pixel_{axis}"].values[mine] for axis in ("row", "column"))
        if row.size == 0:
            row, column = (np.rint(apertures[f"star_{axis}"].values[[star]]) for axis in ("row", "column"))
        row, column = row // 16, (column - 44) // 16
        near = row.min() - 1 <= 7 <= row.max() + 1 and column.min() - 1 <= 4 <= column.max() + 1
        assert (bits[star, 1] == SHENANIGANS) == bool(near)
