"""The one table of names."""

from __future__ import annotations

import itertools
import re
from enum import IntFlag

import numpy as np
import pytest
import xarray as xr
from astropy import units

from tasoc_kit import vocabulary
from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, DIMENSIONS, VARIABLES, KitQuality, TessQuality, flag_names

ROWS = list(VARIABLES.values())
FLAGS = (TessQuality, KitQuality, vocabulary.ApertureFlag)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_unit_is_one_that_astropy_knows(row):
    assert units.Unit(row.unit, parse_strict="raise") is not None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_variable_has_a_type_a_meaning_and_no_dimension_twice(row):
    assert row.dtype == "str" or np.dtype(row.dtype) is not None
    assert row.meaning
    assert len(set(row.dims)) == len(row.dims)


def test_the_dimensions_described_are_those_of_the_variables():
    assert set(DIMENSIONS) == {dim for row in ROWS for dim in row.dims}


def test_place_on_the_detector_is_never_called_x_or_y():
    words = {word for row in ROWS if row.name not in vocabulary.SPACECRAFT for word in row.name.split("_")}
    assert not words & {"x", "y", "col", "cols", "rows_", "lc", "img", "bkg", "bg"}


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: flags.__name__)
def test_each_flag_is_one_bit_of_its_own(flags):
    # Iteration leaves out a second name of a bit.
    values = [int(flag) for flag in flags.__members__.values()]
    assert all(value.bit_count() == 1 for value in values)
    assert all(not one & two for one, two in itertools.combinations(values, 2))


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (
            TessQuality,
            "AttitudeTweak SafeMode CoarsePoint EarthPoint ZeroCrossing Desat ApertureCosmic ManualExclude "
            "SensitivityDropout ImpulsiveOutlier CollateralCosmic EarthMoonPlanetInFov ScatteredLight",
        ),
        (
            KitQuality,
            "FlaggedBadData ManualExclude SigmaClip JumpAdditiveConstant JumpAdditiveLinear "
            "JumpMultiplicativeConstant JumpMultiplicativeLinear Interpolated BackgroundShenanigans",
        ),
    ],
)
def test_bits_have_the_names_of_the_mission_and_of_tasoc_in_their_order(flags, names):
    wanted = [re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() for name in names.split()]
    assert [flags(1 << bit).name for bit in range(len(wanted))] == wanted


def test_our_bits_and_the_mission_s_never_share_a_column():
    assert VARIABLES["quality"].meaning.startswith("TESS")
    for name in ("frame_quality", "pixel_quality"):
        assert VARIABLES[name].meaning.startswith("tasoc_kit")


def test_the_default_bad_bits_are_tasoc_s():
    # The mission's documents count bits from 1.
    assert sum(1 << (bit - 1) for bit in (1, 2, 3, 4, 6, 7, 8, 13)) == DEFAULT_BAD_BITS


def test_flag_names_are_told_in_the_order_of_their_bits():
    assert flag_names(32 | 4, TessQuality) == ["COARSE_POINT", "DESAT"]
    assert flag_names(0, TessQuality) == []


def test_label_fills_units_and_meaning_of_known_names_and_leaves_the_original_alone():
    dataset = xr.Dataset({"flux": ("time", [1.0]), "mine": ("time", [2.0])}, coords={"time": [1325.5]})
    labelled = vocabulary.label(dataset)
    assert labelled["flux"].attrs["units"] == "electron / s"
    assert labelled["time"].attrs["units"] == "d"
    assert labelled["mine"].attrs == {}
    assert dataset["flux"].attrs == {}


def test_status_keeps_the_codes_of_tasoc():
    codes = {status.name: int(status) for status in vocabulary.Status}
    assert codes == {"OK": 1, "ERROR": 2, "WARNING": 3, "SKIPPED": 5}
    assert not issubclass(vocabulary.Status, IntFlag)
