"""An id is a hash of what touches the numbers, and of nothing else."""

from __future__ import annotations

import json

import pytest
import xarray as xr

from tasoc_kit.provenance import Record, diff, library_versions, lineage, raw_id, raw_record, stamp

FILES = [("a_ffic.fits", 35_000_000, "9Kd7"), ("b_ffic.fits", 35_000_000, "8fXa")]
RECORD = Record("fit_sky", 2, {"box": 64, "clip": 6.5}, ("0123456789ab", "ba9876543210"), {"numpy": "2.4.6"})


def test_ids_are_frozen_for_products_on_disk_are_found_by_them():
    assert Record("fit_sky", 1).id == "f27d985f3f7c"
    assert raw_id(FILES[:1]) == "2f78bd2a875a"


@pytest.mark.parametrize(
    "other",
    [
        Record("fit_sky", 3, RECORD.parameters, RECORD.parents, RECORD.libraries),
        Record("fit_skies", 2, RECORD.parameters, RECORD.parents, RECORD.libraries),
        Record("fit_sky", 2, {"box": 64, "clip": 6.0}, RECORD.parents, RECORD.libraries),
        Record("fit_sky", 2, RECORD.parameters, RECORD.parents[:1], RECORD.libraries),
        Record("fit_sky", 2, RECORD.parameters, RECORD.parents, {"numpy": "2.5.0"}),
    ],
    ids=["version", "step", "parameter", "parent", "library"],
)
def test_whatever_touches_the_numbers_changes_the_id(other):
    assert other.id != RECORD.id


def test_the_order_of_parents_and_parameters_is_no_fact():
    turned = Record(
        "fit_sky", 2, dict(reversed(RECORD.parameters.items())), RECORD.parents[::-1], RECORD.libraries
    )
    assert turned.id == RECORD.id


def test_the_id_of_raw_input_does_not_depend_on_the_order_of_its_files():
    assert raw_id(FILES) == raw_id(FILES[::-1])


@pytest.mark.parametrize(
    "changed",
    [("c_ffic.fits", 35_000_000, "8fXa"), ("b_ffic.fits", 1, "8fXa"), ("b_ffic.fits", 35_000_000, "x")],
)
def test_the_id_of_raw_input_changes_with_a_name_a_size_or_a_checksum(changed):
    assert raw_id([FILES[0], changed]) != raw_id(FILES)


def test_a_raw_record_tells_how_many_files_and_which():
    assert raw_record(FILES)["parameters"] == {"files": 2, "first": "a_ffic.fits", "last": "b_ffic.fits"}
    assert raw_record([])["parameters"]["files"] == 0


def test_a_product_carries_the_records_of_all_its_ancestors():
    cube = stamp(xr.Dataset(), Record("raw", 1), [])
    reference = stamp(xr.Dataset(), Record("make_reference", 1, {}, (cube.attrs["provenance_id"],)), [cube])
    parents = (cube.attrs["provenance_id"], reference.attrs["provenance_id"])
    sky = stamp(xr.Dataset(), Record("fit_sky", 1, {}, parents), [cube, reference])
    assert [record["step"] for record in lineage(sky).values()].count("raw") == 1
    assert {record["step"] for record in lineage(sky).values()} == {"raw", "make_reference", "fit_sky"}
    assert lineage(sky)[sky.attrs["provenance_id"]]["parents"] == sorted(parents)


def test_a_dataset_without_provenance_has_no_lineage():
    assert lineage(xr.Dataset()) == {}


def test_stamp_leaves_its_input_alone():
    bare = xr.Dataset()
    stamp(bare, RECORD, [])
    assert bare.attrs == {}


def test_the_same_content_has_the_same_text_so_that_files_are_equal_bit_for_bit():
    one, two = (stamp(xr.Dataset(), RECORD, []).attrs["provenance"] for _ in range(2))
    assert one == two
    assert json.loads(one)[RECORD.id]["parameters"] == {"box": 64, "clip": 6.5}


def test_diff_names_only_what_differs():
    other = Record("fit_sky", 2, {"box": 32, "clip": 6.5, "new": 1}, RECORD.parents, RECORD.libraries)
    assert diff(RECORD.as_dict(), other.as_dict()) == {
        "parameters.box": (64, 32),
        "parameters.new": (None, 1),
    }
    assert diff(RECORD.as_dict(), RECORD.as_dict()) == {}


def test_the_version_of_a_library_that_is_not_there_is_absent():
    assert library_versions(["no-such-library"]) == {"no-such-library": "absent"}
    assert library_versions(["numpy"])["numpy"][0].isdigit()
