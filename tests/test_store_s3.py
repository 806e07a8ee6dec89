"""A store behind a URL: the same products, committed by the last marker, whatever gets lost on the way."""

from __future__ import annotations

import threading
import time
from collections import Counter

import fsspec
import pytest
import xarray as xr
from stored_dataset import ID, contents, processes_with_imports, small_dataset, write_and_tell

from tasoc_kit import database
from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError
from tasoc_kit.products import prune
from tasoc_kit.storage.folders import Folder
from tasoc_kit.storage.locks import hold
from tasoc_kit.store import is_complete, list_products, open_product, write_product

PRODUCT = f"stream/s0001-1-2/{ID}"
DATASET = small_dataset()


@pytest.fixture
def bucket(s3, tmp_path, monkeypatch) -> str:
    """The URL of an empty store on S3, with the database on this machine."""
    monkeypatch.setenv("TASOC_STORE", f"{s3.url}/store")
    monkeypatch.setenv("TASOC_DATABASE", f"sqlite:///{tmp_path}/tasoc.sqlite")
    settings.cache_clear()
    return f"{s3.url}/store"


def objects(url: str) -> dict[str, bytes]:
    """Return the bytes of every object below a URL."""
    folder = Folder(url)
    return {key: folder.get(key) for key in folder.sizes("")}


def test_a_product_has_the_same_bytes_on_s3_as_on_a_disk(bucket, tmp_path):
    write_product(DATASET, store=str(tmp_path / "disk"))
    assert write_product(DATASET) == f"{bucket}/{PRODUCT}"
    assert objects(f"{bucket}/{PRODUCT}") == contents(tmp_path / "disk" / PRODUCT)


def test_a_product_on_s3_is_found_and_opens_lazily(bucket):
    write_product(DATASET)
    database.set_tag("current", "stream", "s0001-1-2", ID)
    opened = open_product("stream", sector=1)
    assert opened["flux"].chunks is not None
    xr.testing.assert_identical(opened.compute(), DATASET.compute())
    assert list(list_products()["tags"]) == ["current"]


def test_what_is_read_is_asked_for_once(bucket, caplog):
    write_product(DATASET)
    caplog.set_level("INFO", logger="werkzeug")
    caplog.clear()
    open_product("stream", sector=1)["flux"].compute()
    answered = [record.getMessage() for record in caplog.records if record.name == "werkzeug"]
    asked = [said.split('"')[1].split()[:2] for said in answered]
    data = Counter((method, path) for method, path in asked if "/data.zarr/" in path)
    assert {method for method, _ in data} == {"GET"}
    assert {number for (_, path), number in data.items() if "/c/" in path} == {1}


def test_nothing_but_the_product_is_left(bucket):
    write_product(DATASET)
    assert all(key.startswith(PRODUCT) for key in Folder(bucket).sizes(""))


def test_a_local_store_reads_through_to_s3(bucket, tmp_path, monkeypatch):
    write_product(DATASET)
    before = objects(bucket)
    monkeypatch.setenv("TASOC_STORE", str(tmp_path / "mine"))
    monkeypatch.setenv("TASOC_SHARED_STORES", bucket)
    settings.cache_clear()
    assert write_product(DATASET) == f"{bucket}/{PRODUCT}"
    assert open_product("stream").attrs["provenance_id"] == ID
    assert objects(bucket) == before


@pytest.fixture
def forgetful(bucket):
    """S3 that loses the next put of a name that is set as ``lost``; a real bucket is behind it."""
    import s3fs

    class Forgetful(s3fs.S3FileSystem):
        """Says yes to every put, and forgets one."""

        protocol = "forgetful"
        lost = ""

        async def _pipe_file(self, path, value, **options):
            if Forgetful.lost and path.endswith(Forgetful.lost):
                Forgetful.lost = ""
                return None
            return await super()._pipe_file(path, value, **options)

    fsspec.register_implementation("forgetful", Forgetful, clobber=True)
    yield Forgetful
    Forgetful.clear_instance_cache()


@pytest.mark.parametrize("victim", ["flux/c/0/2", "flux/zarr.json", "row_size/c/0", "complete.json"])
def test_a_put_that_s3_loses_is_noticed_and_repaired_by_the_next_run(bucket, forgetful, victim):
    url = bucket.replace("s3://", "forgetful://")
    forgetful.lost = victim
    with pytest.raises(StoreError, match=f"1 files of {PRODUCT} were written but are not there.*{victim}"):
        write_product(DATASET, store=url)
    assert forgetful.lost == ""
    assert not is_complete("stream", "s0001-1-2", ID)
    assert list_products().empty
    write_product(DATASET, store=url)
    xr.testing.assert_identical(open_product("stream").compute(), DATASET.compute())


def test_a_lost_journal_entry_costs_a_block_and_nothing_else(bucket, forgetful):
    forgetful.lost = "block-000001.json"
    write_product(DATASET, store=bucket.replace("s3://", "forgetful://"))
    xr.testing.assert_identical(open_product("stream").compute(), DATASET.compute())


def test_an_object_that_vanished_is_noticed_before_zeros_are_read(bucket):
    write_product(DATASET)
    Folder(bucket).remove(f"{PRODUCT}/data.zarr/flux/c/0/1")
    with pytest.raises(StoreError, match="is damaged: 1 of its files are absent"):
        open_product("stream")


def test_a_bucket_that_does_not_exist_is_an_error(bucket):
    with pytest.raises(StoreError, match="could not be written"):
        write_product(DATASET, store="s3://no-such-bucket-here/store")


def test_a_server_that_does_not_answer_is_an_error(bucket, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match="could not be read|could not be listed"):
        write_product(DATASET)


def test_two_runs_on_s3_exclude_each_other(bucket):
    with hold(bucket, PRODUCT), pytest.raises(StoreError, match="is being written by process"):
        write_product(DATASET)
    write_product(DATASET)


def test_the_second_run_waits_and_does_nothing(bucket):
    lengths = []
    first = threading.Thread(
        target=write_product, args=(DATASET,), kwargs={"progress": lambda done, of: time.sleep(0.1)}
    )
    first.start()
    while not Folder(bucket).names(f".writing/{PRODUCT}"):
        time.sleep(0.01)
    write_product(DATASET, wait=60, progress=lambda done, of: lengths.append(done))
    first.join()
    assert lengths == []


def test_superseded_products_and_orphans_on_s3_are_pruned(bucket):
    write_product(DATASET)
    time.sleep(1.1)
    write_product(DATASET.assign_attrs(provenance_id="a" * 12))
    Folder(bucket).remove(f"{PRODUCT}/complete.json")
    assert list(prune()["reason"]) == ["orphan"]
    prune(dry_run=False)
    assert list(list_products()["id"]) == ["a" * 12]
    assert Folder(bucket).sizes(PRODUCT) == {}


def test_a_run_killed_on_s3_and_started_again_writes_the_same_bytes(bucket, tmp_path):
    write_product(DATASET, store=str(tmp_path / "disk"))
    context = processes_with_imports()
    for part in ("head", "block-000001"):
        started = context.Event()
        process = context.Process(target=write_and_tell, args=(small_dataset, bucket, started))
        process.start()
        while process.is_alive() and not Folder(bucket).get(f".writing/{PRODUCT}/{part}.json"):
            time.sleep(0.005)
        process.kill()
        process.join()
        assert process.exitcode, "the writer ended before it was killed"
    write_product(DATASET)
    assert objects(f"{bucket}/{PRODUCT}") == contents(tmp_path / "disk" / PRODUCT)
