"""Momentum dumps: listed by the mission's bit, and by the pointing where the bit is absent."""

from __future__ import annotations

import numpy as np
import pytest

from tasoc_kit.photometry.momentum_dumps import list_dumps
from tasoc_kit.photometry.pointing import estimate_pointing
from tasoc_kit.photometry.quality import make_quality
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


def test_simulated_dumps_are_found_both_ways_and_reach_the_light_curves(sector):
    dumps = sector.truth.schedule.dump[sector.truth.places]
    if not dumps.any():
        cube = sector.cube.assign_coords(quality=("time", np.zeros(48, np.int32)))
        assert estimate_pointing(cube, make_quality(cube)).attrs["dumps_from"] == "pointing"
    assert sector.light_curves.attrs["dump_times"] == sector.quality.attrs["dump_times"]
    assert sector.pointing.attrs["dumps_from"] in ("DESAT", "pointing")
