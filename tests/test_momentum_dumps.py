"""Momentum dumps: listed by the mission's bit, and by the pointing where the bit is absent."""

from __future__ import annotations

import numpy as np
import pytest

from tasoc_kit.photometry.conditions.momentum_dumps import list_dumps
from tasoc_kit.photometry.pointing import estimate_pointing
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.sources.target_pixels import open_target_pixels
from tasoc_kit.vocabulary import KitQuality, TessQuality


def test_cadences_with_the_bit_are_events(sector):
    quality = sector.quality.copy()
    quality["quality"] = quality["quality"].copy(data=np.zeros(48, np.int32))
    quality["quality"][[10, 11, 30]] = int(TessQuality.DESAT | TessQuality.COARSE_POINT)
    found = list_dumps(quality)
    times = sector.cube["time"].values
    assert found["dumps_from"] == "DESAT"
    assert found["dump_times"] == pytest.approx([times[10:12].mean(), times[30]])


def test_without_the_bit_lone_jumps_of_the_pointing_are_events(sector):
    quality = sector.quality.assign(quality=("time", np.zeros(48, np.int32)))
    bits = np.zeros(48, np.int32)
    bits[[7, 20, 21, 40, 41, 42, 43]] = int(KitQuality.POINTING_OUTLIER | KitQuality.HIGH_SKY)
    found = list_dumps(quality, bits)
    times = sector.cube["time"].values
    assert found == {"dump_times": pytest.approx([times[7], times[20:22].mean()]), "dumps_from": "pointing"}
    assert list_dumps(quality)["dump_times"] == []


def test_a_frame_that_jumps_is_found_in_the_plate_solutions(sector):
    texts = sector.cube["wcs"].values.copy()
    place = texts[20].index("CRVAL1")
    value = texts[20][place + 10 : place + 30]
    texts[20] = texts[20].replace(value, f"{float(value) + 0.01:20.12f}"[:20])
    cube = sector.cube.assign_coords(wcs=("time", texts), quality=("time", np.zeros(48, np.int32)))
    pointing = estimate_pointing(cube, make_quality(cube))
    assert pointing.attrs["dumps_from"] == "pointing"
    assert float(cube["time"][20]) in pointing.attrs["dump_times"]


def test_the_dumps_of_real_frames_come_every_few_days(shared_data):
    cube = open_target_pixels(shared_data("tess_ffi/tess-s0002-1-2_0.000000_-20.000000_10x15_astrocut.fits"))
    dumps = np.array(make_quality(cube).attrs["dump_times"])
    assert 8 <= dumps.size <= 12
    assert np.diff(dumps).min() > 1
    assert np.median(np.diff(dumps)) == pytest.approx(2.5, abs=0.5)


def test_the_list_reaches_the_light_curves(sector):
    assert sector.light_curves.attrs["dump_times"] == sector.quality.attrs["dump_times"]
