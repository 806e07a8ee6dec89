"""A run that is killed at any moment and started again ends with the bytes of one that was not."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from pathlib import Path

import pytest
from stored_dataset import (
    ID,
    LARGE_FILE,
    contents,
    large_dataset,
    make_dataset,
    processes_with_imports,
    write_and_tell,
)

from tasoc_kit.storage.whole_file import PART
from tasoc_kit.store import is_complete, open_product, write_product

KILLS = 24
INSIDE = 6
KILLS_OF_ONE = 3
PRODUCT = f"stream/s0001-1-2/{ID}"


@pytest.fixture(scope="module")
def processes():
    """Processes that start quickly."""
    return processes_with_imports()


def start(processes, make, store):
    started = processes.Event()
    process = processes.Process(target=write_and_tell, args=(make, str(store), started))
    process.start()
    assert started.wait(60), "the writer did not start"
    return process


def unfinished(store: Path) -> list[int]:
    """Return the sizes of files that are being written: they lie in the store without their names."""
    return [path.stat().st_size for path in store.glob(f".writing/{PRODUCT}/*{PART}")]


def half_written(store: Path) -> bool:
    """Tell whether a large file was begun and not ended."""
    return any(0 < size < LARGE_FILE for size in unfinished(store))


def wait_for_a_write(store: Path, process) -> None:
    while process.is_alive():
        with contextlib.suppress(FileNotFoundError):
            if half_written(store):
                return


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, processes) -> tuple[dict[str, bytes], float]:
    """The bytes of a run that was left alone, and how long it took."""
    store = tmp_path_factory.mktemp("undisturbed")
    process = start(processes, large_dataset, store)
    began = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return contents(store / PRODUCT), time.monotonic() - began


def test_a_run_killed_at_any_moment_and_started_again_writes_the_same_bytes(tmp_path, processes, undisturbed):
    expected, seconds = undisturbed
    moments = random.Random(20181)
    kills = inside = number = 0
    while (kills < KILLS or inside < INSIDE) and number < 3 * KILLS:
        store = tmp_path / str(number)
        store.mkdir()
        number += 1
        here = 0
        while not is_complete("stream", "s0001-1-2", ID, store=str(store)):
            process = start(processes, large_dataset, store)
            here += 1
            if here <= KILLS_OF_ONE:
                if kills % 3 == 0:
                    process.join(moments.uniform(0, seconds))
                else:
                    wait_for_a_write(store, process)
                if kills % 3 == 1:
                    time.sleep(moments.uniform(0, 0.02))
                process.kill()
            process.join()
            if process.exitcode:
                kills += 1
                inside += half_written(store)
        assert contents(store / PRODUCT) == expected
        assert open_product("stream", store=str(store)).attrs["provenance_id"] == ID
        shutil.rmtree(store)
    print(f"{kills} kills, {inside} of them inside a store write, {number} products")
    assert kills >= KILLS
    assert inside >= INSIDE


def test_a_killed_run_leaves_no_product_that_can_be_opened(tmp_path, processes):
    process = start(processes, large_dataset, tmp_path)
    wait_for_a_write(tmp_path, process)
    process.kill()
    process.join()
    assert not is_complete("stream", "s0001-1-2", ID, store=str(tmp_path))


def test_blocks_that_were_written_before_a_kill_are_not_computed_again(tmp_path, processes):
    process = start(processes, large_dataset, tmp_path)
    while process.is_alive() and not list(tmp_path.glob(".writing/*/*/*/block-000001.json")):
        time.sleep(0.0005)
    process.kill()
    process.join()
    written = list((tmp_path / PRODUCT).glob("data.zarr/flux/c/[01]/0"))
    before = {path: path.stat().st_mtime_ns for path in written}
    assert len(before) == 2
    write_product(large_dataset(), store=str(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in written} == before


def test_the_bytes_do_not_depend_on_the_process_that_writes_them(tmp_path, processes):
    write_product(make_dataset(), store=str(tmp_path / "here"))
    process = start(processes, make_dataset, tmp_path / "there")
    process.join()
    assert contents(tmp_path / "here" / PRODUCT) == contents(tmp_path / "there" / PRODUCT)
