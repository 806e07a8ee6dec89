"""Products are written whole, found by name, unit, tag and id, and opened lazily."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from stored_dataset import BLOCK, ID, contents, lazy, make_dataset

from tasoc_kit import database
from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError
from tasoc_kit.storage.units import UNIT_PATTERN, parse_unit
from tasoc_kit.store import (
    find_product,
    is_complete,
    list_products,
    open_product,
    product_unit,
    unit_name,
    write_product,
)

OTHER = "a" * 12
FOLDER = f"stream/s0001-1-2/{ID}"


def store_path() -> Path:
    return Path(settings().store)


def test_a_product_opens_as_it_was_written():
    dataset = make_dataset()
    assert write_product(dataset) == f"{settings().store}/{FOLDER}"
    opened = open_product("stream", sector=1, camera=1, ccd=2)
    xr.testing.assert_identical(opened.compute(), dataset.compute())
    assert {name: v.dtype for name, v in opened.variables.items() if name != "file"} == {
        name: v.dtype for name, v in dataset.variables.items() if name != "file"
    }


def test_the_dataset_that_is_written_is_not_changed():
    dataset = make_dataset()
    dataset["flux"].attrs["units"] = "electron / s"
    dataset["time"].encoding["chunks"] = (7,)
    before = dataset.copy(deep=True)
    write_product(dataset)
    xr.testing.assert_identical(dataset.compute(), before.compute())
    assert dataset["time"].encoding == {"chunks": (7,)}
    assert dataset["file"].dtype.kind == "U"


def test_opening_computes_nothing(request):
    write_product(make_dataset())
    request.getfixturevalue("forbid_compute")
    opened = open_product("stream")
    with pytest.raises(AssertionError, match="a Dask graph was computed"):
        opened["flux"].load()


def test_large_variables_are_lazy_in_stored_chunks_and_the_rest_is_in_memory():
    write_product(make_dataset(cadences=40, stars=2500))
    opened = open_product("stream")
    assert opened["flux"].chunksizes == {"star": (2048, 452), "time": (16, 16, 8)}
    assert opened["aperture_sum"].chunksizes == {"time": (16, 16, 8), "star": (2500,)}
    assert opened["block_image"].chunksizes["block"] == (1, 1, 1)
    assert all(v.chunks is None for v in opened.variables.values() if v.ndim < 2)
    assert all(v.chunks is not None for v in opened.variables.values() if v.ndim >= 2)


def test_a_variable_has_one_file_for_each_block_of_cadences():
    write_product(make_dataset(cadences=40, stars=2500))
    data = store_path() / FOLDER / "data.zarr"
    assert sorted(contents(data / "flux" / "c")) == ["0/0", "0/1", "0/2"]
    assert sorted(contents(data / "file" / "c")) == ["0"]


def test_one_star_is_read_from_its_own_chunks():
    dataset = make_dataset(cadences=40, stars=5000)
    write_product(dataset)
    star = open_product("stream")["flux"].isel(star=4097)
    (optimized,) = dask.optimize(star)
    assert sum("getter" in str(task) for task in dict(optimized.__dask_graph__()).values()) <= 3
    np.testing.assert_array_equal(star, dataset["flux"].isel(star=4097))


def test_a_dataset_in_memory_is_a_product_too():
    dataset = make_dataset().compute()
    write_product(dataset)
    xr.testing.assert_identical(open_product("stream").compute(), dataset)


@pytest.mark.parametrize("cadences", [0, 1, BLOCK, BLOCK + 1])
def test_any_number_of_cadences_can_be_stored(cadences):
    dataset = make_dataset(cadences=cadences).drop_vars("block_image")
    write_product(dataset)
    xr.testing.assert_identical(open_product("stream").compute(), dataset.compute())


def test_values_that_equal_the_fill_value_come_back():
    dataset = make_dataset()
    dataset["flux"] = xr.zeros_like(dataset["flux"])
    dataset["image"] = dataset["image"] * np.nan
    write_product(dataset)
    opened = open_product("stream").compute()
    assert (opened["flux"] == 0).all()
    assert opened["image"].isnull().all()


def test_attributes_of_numpy_types_come_back_as_plain_numbers():
    write_product(make_dataset(level=np.float64(0.5), count=np.int32(3), edges=np.array([1, 2]), none=None))
    attrs = open_product("stream").attrs
    assert (attrs["level"], attrs["count"], attrs["edges"], attrs["none"]) == (0.5, 3, [1, 2], None)


def test_an_opened_product_can_be_written_again():
    write_product(make_dataset(cadences=40, stars=2500))
    again = open_product("stream").assign_attrs(product="sky", provenance_id=OTHER)
    write_product(again)
    xr.testing.assert_identical(open_product("sky").compute(), again.compute())


def counted(calls: list[int], cadences: int) -> xr.Dataset:
    """Return a Dataset of two variables that share one counted task per block."""

    def task(block_info=None):
        start, stop = block_info[None]["array-location"][0]
        calls.append(start)
        return np.arange(start, stop, dtype="float64")

    shared = da.map_blocks(task, chunks=da.core.normalize_chunks(BLOCK, (cadences,)), dtype="float64")
    return xr.Dataset(
        {"flux": ("time", shared + 1), "background": ("time", shared * 2)},
        coords={"time": np.arange(cadences) / 48},
        attrs=make_dataset().attrs,
    )


def test_tasks_that_variables_share_run_once_and_in_order():
    calls: list[int] = []
    write_product(counted(calls, 70))
    assert calls == [0, 16, 32, 48, 64]


def test_a_complete_product_is_not_computed_again():
    calls: list[int] = []
    write_product(counted(calls, 70))
    write_product(counted(calls, 70))
    assert len(calls) == 5


def test_progress_counts_the_blocks():
    told: list[tuple[int, int]] = []
    write_product(make_dataset(cadences=40), progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def peak_of_writing(cadences: int) -> int:
    dataset = xr.Dataset(
        {"flux": (("time", "star"), lazy((cadences, 20000), (BLOCK, -1), 1))},
        coords={"time": np.arange(cadences) / 48},
        attrs=make_dataset().attrs | {"provenance_id": f"{cadences:012x}"},
    )
    tracemalloc.start()
    write_product(dataset)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_is_that_of_one_block():
    peak_of_writing(BLOCK)
    assert peak_of_writing(32 * BLOCK) < 1.1 * peak_of_writing(16 * BLOCK)


def test_a_run_that_fails_goes_on_at_the_block_that_failed():
    calls: list[int] = []
    dataset = counted(calls, 70)

    def fail(values, block_info=None):
        if block_info[0]["array-location"][0][0] == 32:
            raise ArithmeticError("a bad frame")
        return values

    broken = dataset.assign(flux=("time", da.map_blocks(fail, dataset["flux"].data, dtype="float64")))
    with pytest.raises(ArithmeticError, match="a bad frame"):
        write_product(broken)
    assert not is_complete("stream", "s0001-1-2", ID)
    calls.clear()
    write_product(dataset)
    assert calls == [32, 48, 64]
    xr.testing.assert_identical(open_product("stream").compute(), counted([], 70).compute())


def test_other_blocks_than_those_begun_start_afresh():
    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_product(make_dataset(), progress=stop)
    rechunked = make_dataset().drop_vars("block_image").chunk(time=20)
    write_product(rechunked)
    xr.testing.assert_identical(open_product("stream").compute(), rechunked.compute())
    listed = {path.split("/")[-1] for path in contents(store_path() / FOLDER / "data.zarr" / "flux" / "c")}
    assert listed == {"0", "1", "2", "3"}


@pytest.mark.parametrize(
    ("chunks", "message"),
    [((10, 20, 40), r"chunks along time are \(10, 20, 40\); expected equal blocks")],
)
def test_unequal_blocks_are_refused(chunks, message):
    with pytest.raises(StoreError, match=message):
        write_product(make_dataset().drop_vars("block_image").chunk(time=chunks))


def test_variables_with_different_blocks_are_refused():
    dataset = make_dataset()
    dataset["flux"] = dataset["flux"].chunk(time=20)
    with pytest.raises(StoreError, match="different chunks along time"):
        write_product(dataset)


def test_block_images_of_another_number_are_refused():
    dataset = make_dataset().isel(block=slice(0, 2))
    with pytest.raises(StoreError, match="dimension block has 2 entries; expected one for each of the 5"):
        write_product(dataset)


def test_the_newest_product_is_opened_unless_one_is_current_or_asked_for():
    for id_ in (ID, OTHER):
        write_product(make_dataset(id_=id_))
        time.sleep(0.02)
    assert open_product("stream").attrs["provenance_id"] == OTHER
    database.set_tag("current", "stream", "s0001-1-2", ID)
    assert open_product("stream").attrs["provenance_id"] == ID
    database.set_tag("paper-1", "stream", "s0001-1-2", OTHER)
    assert open_product("stream", tag="paper-1").attrs["provenance_id"] == OTHER
    assert open_product("stream", id=ID, tag="paper-1").attrs["provenance_id"] == ID


def test_a_tag_that_points_at_nothing_is_an_error():
    write_product(make_dataset())
    with pytest.raises(StoreError, match="no 'stream' with tag='paper-1'"):
        open_product("stream", tag="paper-1")


def test_a_current_product_that_is_gone_is_told_and_the_newest_opens(caplog):
    write_product(make_dataset())
    database.set_tag("current", "stream", "s0001-1-2", OTHER)
    assert open_product("stream").attrs["provenance_id"] == ID
    assert f"current is {OTHER}, which is not there" in caplog.text


def test_two_runs_of_one_product_write_it_once():
    calls: list[int] = []
    writing, errors = threading.Event(), []

    def slow(done, of):
        writing.set()
        time.sleep(0.1)

    first = threading.Thread(target=write_product, args=(counted(calls, 70),), kwargs={"progress": slow})
    first.start()
    writing.wait(30)
    with pytest.raises(
        StoreError, match=f"is being written by process {os.getpid()} on .*Wait until it ends"
    ):
        write_product(counted(errors, 70))
    write_product(counted(errors, 70), wait=60)
    first.join()
    assert len(calls) == 5
    assert errors == []


def test_one_of_several_units_must_be_named():
    write_product(make_dataset())
    write_product(make_dataset(ccd=3))
    with pytest.raises(StoreError, match=r"exists for \['s0001-1-2', 's0001-1-3'\]; expected one unit"):
        open_product("stream", sector=1)
    assert open_product("stream", ccd=3).attrs["ccd"] == 3


def test_a_cutout_is_a_unit_of_its_own_beside_the_full_ccd():
    write_product(make_dataset(field="r0123c0456"))
    assert open_product("stream", sector=1, camera=1, ccd=2).attrs["field"] == "r0123c0456"
    write_product(make_dataset())
    assert "field" not in open_product("stream", sector=1, camera=1, ccd=2).attrs
    assert open_product("stream", field="r0123c0456").attrs["field"] == "r0123c0456"
    assert find_product("stream", field="").unit == "s0001-1-2"


def test_an_error_lists_what_exists_and_the_command_that_makes_more():
    write_product(make_dataset())
    with pytest.raises(StoreError, match=r"no 'sky' with sector=1 .*products \['stream'\].*--until sky"):
        open_product("sky", sector=1)
    with pytest.raises(
        StoreError, match=r"no 'stream' with sector=9 .* it has \['s0001-1-2 \(0123456789ab\)'\]"
    ):
        open_product("stream", sector=9)


def test_an_empty_store_says_so():
    with pytest.raises(StoreError, match="it is empty"):
        open_product("stream")
    assert len(list_products()) == 0
    assert find_product("stream") is None


def test_the_list_has_one_row_for_each_product():
    write_product(make_dataset(field="r0123c0456"))
    time.sleep(0.02)
    write_product(make_dataset(name="sky", id_=OTHER))
    database.set_tag("paper-1", "sky", "s0001-1-2", OTHER)
    table = list_products()
    assert list(table["product"]) == ["sky", "stream"]
    assert list(table["tags"]) == ["paper-1", ""]
    assert list(table["field"]) == ["", "r0123c0456"]
    size = sum(len(data) for name, data in contents(store_path() / "sky").items() if "data.zarr" in name)
    assert table["bytes"][0] == size


def test_shared_stores_are_read_and_never_written(tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    write_product(make_dataset(), store=str(shared))
    before = contents(shared)
    monkeypatch.setenv("TASOC_SHARED_STORES", str(shared))
    settings.cache_clear()
    assert is_complete("stream", "s0001-1-2", ID)
    assert write_product(make_dataset()) == f"{shared}/{FOLDER}"
    assert open_product("stream").attrs["provenance_id"] == ID
    write_product(make_dataset(id_=OTHER))
    assert open_product("stream").attrs["provenance_id"] == OTHER
    database.set_tag("current", "stream", "s0001-1-2", ID)
    assert open_product("stream").attrs["provenance_id"] == ID
    assert set(list_products()["store"]) == {str(shared), settings().store}
    assert contents(shared) == before
    assert not (store_path() / FOLDER).exists()


BAD_WORDS = ["../stream", "a/b", "", ".", "..", "a b", "%2e%2e", "stream\n", "/etc/passwd", "Ström"]


@pytest.mark.parametrize("word", BAD_WORDS)
def test_names_that_lead_elsewhere_are_refused(word):
    for attempt in (
        lambda: open_product(word),
        lambda: open_product("stream", id=word),
        lambda: write_product(make_dataset(name=word)),
        lambda: write_product(make_dataset(id_=word)),
        lambda: is_complete("stream", word, ID),
        lambda: is_complete(word, "s0001-1-2", ID),
    ):
        with pytest.raises(StoreError, match="is not usable; expected"):
            attempt()
    assert not store_path().exists()


def test_a_field_that_leads_elsewhere_is_refused():
    with pytest.raises(StoreError, match=r"unit 's0001-1-2-\.\./x' is not usable"):
        write_product(make_dataset(field="../x"))


def test_a_unit_is_made_of_its_parts():
    assert unit_name(14, 2, 3) == "s0014-2-3"
    assert unit_name(14, 2, 3, "r0001c0002") == "s0014-2-3-r0001c0002"
    assert product_unit(make_dataset(field="")) == "s0001-1-2"
    for parts in ((14, 2, None, "spoc_0a"), (14, None, None, "tglc_0a"), (0, None, None, "text_0a")):
        named = dict(zip(("sector", "camera", "ccd", "field"), parts, strict=True))
        assert parse_unit(unit_name(*parts)) == {name: value or 0 for name, value in named.items()}
    assert product_unit(make_dataset(camera=None, ccd=None, field="tglc_0a")) == "s0001-tglc_0a"
    with pytest.raises(StoreError, match="unit 's0001-1-2-3' is not usable"):
        unit_name(1, 1, 2, "3")
    with pytest.raises(StoreError, match="unit 's0001-5-2' is not usable"):
        unit_name(1, 5, 2)


@pytest.mark.parametrize(
    "unit", ["s0001", "s0001-1", "s0001-1-2", "s0001-1-2-r1c2", "s0006-cdips_0", "s0000-text_a"]
)
def test_the_pattern_of_a_unit_is_what_the_api_takes(unit):
    assert re.fullmatch(UNIT_PATTERN, unit)
    assert parse_unit(unit)
    for wrong in (unit.upper(), f"{unit}-", f"../{unit}", f"{unit}/x", unit.replace("0", "０", 1)):
        assert not re.search(UNIT_PATTERN, wrong)
        assert parse_unit(wrong) == {}


def test_a_dataset_that_no_step_made_is_refused():
    with pytest.raises(
        StoreError, match=r"no attributes \['product', 'provenance_id'\].*Make it with a step"
    ):
        write_product(xr.Dataset(attrs={"sector": 1}))
    dataset = make_dataset()
    del dataset.attrs["sector"]
    with pytest.raises(StoreError, match="no attribute 'sector'"):
        write_product(dataset)


def test_an_attribute_that_is_no_json_is_refused():
    with pytest.raises(StoreError, match="attribute 'made_by' of the product is a object"):
        write_product(make_dataset(made_by=object()))


def test_a_store_under_a_file_is_not_writable(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="not writable: .*correct the rights or TASOC_STORE"):
        write_product(make_dataset(), store=str(tmp_path / "file" / "store"))


def test_a_store_where_nobody_may_write_is_an_error_before_anything_is_computed():
    calls: list[int] = []
    with pytest.raises(StoreError, match="not writable"):
        write_product(counted(calls, 70), store="/sys/tasoc")
    assert not calls


def test_an_unknown_kind_of_store_is_an_error():
    with pytest.raises(StoreError, match="Protocol not known: nowhere; expected a path or a URL"):
        write_product(make_dataset(), store="nowhere://bucket")


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
from stored_dataset import large_dataset, make_dataset
from tasoc_kit.errors import StoreError
from tasoc_kit.store import write_product
write_product(make_dataset(name="sky"), store={store!r})
limit = 600_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    write_product(large_dataset(), store={store!r})
except StoreError as error:
    print(error)
"""


def test_a_file_that_does_not_fit_is_an_error_and_the_next_run_goes_on(tmp_path):
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    code = FULL_DISK.format(tests=str(Path(__file__).parent), store=str(tmp_path))
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "could not be written: [Errno 27] File too large" in result.stdout
    assert "Free space" in result.stdout
    assert not is_complete("stream", "s0001-1-2", ID, store=str(tmp_path))
    assert is_complete("sky", "s0001-1-2", ID, store=str(tmp_path))
    assert not list(tmp_path.glob(".writing/**/*.part"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("disk full: there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"disk full: a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def test_a_disk_without_a_byte_left_is_an_error(small_disk):
    with pytest.raises(OSError, match="No space left"):
        fill(small_disk / "ballast")
    with pytest.raises(StoreError, match="No space left on device.*Free space"):
        write_product(make_dataset(), store=str(small_disk))


def test_a_full_disk_is_an_error_nothing_is_half_visible_and_space_lets_it_end(small_disk):
    write_product(make_dataset(name="sky"), store=str(small_disk))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(3_000_000))
    dataset = make_dataset(cadences=160, stars=1000)
    with pytest.raises(StoreError, match=r"could not be written: \[Errno 28\] No space left.*Free space"):
        write_product(dataset, store=str(small_disk))
    assert list(list_products(store=str(small_disk))["product"]) == ["sky"]
    ballast.unlink()
    write_product(dataset, store=str(small_disk))
    xr.testing.assert_identical(open_product("stream", store=str(small_disk)).compute(), dataset.compute())


@pytest.mark.parametrize("damage", ["truncated", "absent", "marker"])
def test_a_damaged_product_is_not_opened_and_a_new_run_makes_it_again(damage):
    write_product(make_dataset())
    before = contents(store_path() / FOLDER)
    victim = store_path() / FOLDER / "data.zarr" / "flux" / "c" / "0" / "1"
    if damage == "truncated":
        victim.write_bytes(victim.read_bytes()[:-1])
    elif damage == "absent":
        victim.unlink()
    else:
        (store_path() / FOLDER / "complete.json").write_text('{"format": 1, "fil')
    lost = "complete.json is no list" if damage == "marker" else "1 of its files are absent or of another"
    with pytest.raises(StoreError, match=rf"is damaged: .*{lost}.*again"):
        open_product("stream")
    assert not is_complete("stream", "s0001-1-2", ID)
    write_product(make_dataset())
    assert contents(store_path() / FOLDER) == before


def test_a_locked_database_does_not_lose_the_product(monkeypatch, caplog):
    import sqlite3

    write_product(make_dataset(name="sky"))
    path = store_path() / "tasoc.sqlite"
    monkeypatch.setenv("TASOC_DATABASE", f"sqlite:///{path}?timeout=0.1")
    settings.cache_clear()
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    write_product(make_dataset())
    assert "is complete, but not in the database" in caplog.text
    assert "tasoc database rebuild" in caplog.text
    other.rollback()
    other.close()
    xr.testing.assert_identical(open_product("stream").compute(), make_dataset().compute())
