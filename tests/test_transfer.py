"""Products between two stores: with their lineage, resumed, checked; half of one is never a product."""

from __future__ import annotations

import json
import zlib

import pytest
from command import tasoc
from faulty_proxy import Fault, faulty_proxy
from stored_dataset import ID, PARENT, make_dataset, records, small_dataset

from tasoc_kit import database
from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError
from tasoc_kit.products import with_lineage
from tasoc_kit.storage.folders import SCRATCH, Folder
from tasoc_kit.storage.inventory import verify
from tasoc_kit.storage.locks import hold
from tasoc_kit.storage.transfer import copy_product, to_copy
from tasoc_kit.store import is_complete, list_products, open_product, refs, write_product

KEY = f"stream/s0001-1-2/{ID}"
CHILD = "c" * 12


@pytest.fixture
def ours() -> Folder:
    """Our store, with a product and one that descends from it."""
    dataset = small_dataset()
    write_product(dataset)
    parents = {ID: {"step": "make_it", "version": 1, "parameters": {}, "parents": [PARENT], "libraries": {}}}
    child = make_dataset(cadences=20, name="sky", id_=CHILD)[["flux"]].drop_vars(["frame_quality", "file"])
    write_product(child.assign_attrs(provenance=records(CHILD, parents)))
    folder = Folder(settings().store)
    folder.put({f"runs/s0001-1-2/17_sky-{CHILD}.ipynb": b"{}"}, scratch=SCRATCH)
    return folder


@pytest.fixture
def bucket(s3) -> Folder:
    return Folder(f"{s3.url}/archive")


def contents(folder: Folder, key: str = "") -> dict[str, bytes | None]:
    return {name: folder.get(f"{key}/{name}" if key else name) for name in folder.sizes(key)}


def test_a_product_has_the_same_bytes_in_the_other_store_and_none_is_written_twice(ours, bucket):
    assert to_copy(ours, bucket, KEY).bytes == copy_product(ours, bucket, KEY) > 0
    assert contents(bucket, KEY) == contents(ours, KEY)
    assert to_copy(ours, bucket, KEY).files == 0
    assert copy_product(ours, bucket, KEY) == 0
    assert set(contents(bucket)) == {f"{KEY}/{name}" for name in contents(ours, KEY)}


def test_the_lineage_comes_first_and_once(ours):
    heads = list(refs(ours, "sky"))
    assert [ref.id for ref in with_lineage(ours, heads + heads)] == [ID, CHILD]


def test_a_copy_that_was_stopped_writes_what_is_missing(ours, bucket):
    some = dict(list(contents(ours, KEY).items())[:4])
    some.pop("complete.json", None)
    bucket.put({f"{KEY}/{name}": data for name, data in some.items()}, scratch=SCRATCH)
    left = sum(len(data) for name, data in contents(ours, KEY).items() if name not in some)
    marker = len(ours.get(f"{KEY}/complete.json"))
    assert copy_product(ours, bucket, KEY) == left - marker
    assert contents(bucket, KEY) == contents(ours, KEY)


@pytest.mark.parametrize("kind", ["full", "busy"])
def test_a_store_that_is_full_is_told_and_shows_no_half_product(ours, bucket, s3, monkeypatch, kind):
    import s3fs

    before = contents(ours)
    with faulty_proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
        s3fs.S3FileSystem.clear_instance_cache()
        proxy.faults.append(Fault(kind, "flux/c/0/1", "PUT"))
        through = Folder(bucket.url)
        with pytest.raises(StoreError, match=rf"store {bucket.url}: .*could not be written.*Free space"):
            copy_product(ours, through, KEY)
        assert kind in proxy.suffered
        assert not is_complete(*KEY.split("/"), store=bucket.url)
        assert list_products(store=bucket.url).empty
        assert contents(ours) == before
        proxy.faults.clear()
        copy_product(ours, through, KEY)
        assert contents(through, KEY) == contents(ours, KEY)


def test_bytes_that_changed_on_the_way_are_not_taken(ours, bucket, s3, monkeypatch, tmp_path):
    import s3fs

    copy_product(ours, bucket, KEY)
    mine = Folder(str(tmp_path / "mine"))
    with faulty_proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
        s3fs.S3FileSystem.clear_instance_cache()
        proxy.faults.append(Fault("changed", "flux/c/0/1"))
        with pytest.raises(StoreError, match=r"flux/c/0/1 has \d+ bytes with CRC .* expected"):
            copy_product(Folder(bucket.url), mine, KEY)
    assert not is_complete(*KEY.split("/"), store=mine.url)


def test_a_damaged_product_is_not_copied(ours, bucket):
    name = next(name for name in contents(ours, KEY) if "flux/c" in name)
    data = bytearray(ours.get(f"{KEY}/{name}"))
    data[0] ^= 1
    ours.put({f"{KEY}/{name}": bytes(data)}, scratch=SCRATCH)
    with pytest.raises(StoreError, match="as they were written"):
        copy_product(ours, bucket, KEY)
    ours.remove(f"{KEY}/{name}")
    with pytest.raises(StoreError, match="is damaged: 1 of its files are absent"):
        to_copy(ours, bucket, KEY)
    assert list_products(store=bucket.url).empty


def test_a_hostile_store_writes_nothing_outside_of_ours(ours, s3, tmp_path, monkeypatch, capsys):
    theirs = Folder(f"{s3.url}/hostile")
    files = contents(ours, KEY)
    files["data.zarr/../../../../../../evil"] = b"owned"
    marker = json.loads(files["complete.json"])
    marker["files"]["data.zarr/../../../../../../evil"] = [5, f"{zlib.crc32(b'owned'):08x}"]
    files["complete.json"] = json.dumps(marker).encode()
    theirs.put({f"{KEY}/{name}": data for name, data in files.items()}, scratch=SCRATCH)
    monkeypatch.setenv("TASOC_STORE", str(tmp_path / "in" / "new"))
    settings.cache_clear()
    words = ("archive", "pull", theirs.url, "--product", "stream")
    code, _, told = tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "its complete.json is no list of its files" in told) == (2, True)
    assert list(tmp_path.rglob("evil")) == []
    assert list_products().empty


@pytest.mark.parametrize(
    "marker", [{"files": {"data.zarr/x": 5}}, {"files": [1]}, {"files": {"/etc/x": [1, "a"]}}, [], {}]
)
def test_a_marker_that_is_no_list_of_files_makes_no_product(ours, tmp_path, marker):
    ours.put({f"{KEY}/complete.json": json.dumps(marker).encode()}, scratch=SCRATCH)
    with pytest.raises(StoreError, match=r"is damaged: its complete\.json is no list of its files"):
        copy_product(ours, Folder(str(tmp_path / "other")), KEY)


@pytest.mark.parametrize(
    "made", ["[1]", "{", json.dumps({CHILD: {"parents": [ID]}, ID: {"parents": [CHILD]}})]
)
def test_a_lineage_that_cannot_be_is_one_message(ours, made):
    place = f"sky/s0001-1-2/{CHILD}/data.zarr/zarr.json"
    group = json.loads(ours.get(place))
    group["attributes"]["provenance"] = made
    ours.put({place: json.dumps(group).encode()}, scratch=SCRATCH)
    with pytest.raises(StoreError, match="does not say what made it"):
        with_lineage(ours, list(refs(ours, "sky")))


def test_two_copies_of_one_product_exclude_each_other(ours, tmp_path):
    other = Folder(str(tmp_path / "other"))
    with hold(other, KEY), pytest.raises(StoreError, match="is being written by process"):
        copy_product(ours, other, KEY)


def test_push_and_pull_carry_lineage_and_logs(ours, bucket, tmp_path, monkeypatch, capsys):
    code, out, _ = tasoc("archive", "push", bucket.url, CHILD[:4], "--dry-run", monkeypatch=monkeypatch,
                         capsys=capsys)  # fmt: skip
    assert (code, "2 products with their lineage: 2 would be copied" in out) == (0, True)
    assert contents(bucket) == {}
    code, out, _ = tasoc("archive", "push", bucket.url, CHILD[:4], monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "2 were copied" in out) == (0, True)
    assert bucket.get(f"runs/s0001-1-2/17_sky-{CHILD}.ipynb") == b"{}"
    code, out, _ = tasoc("archive", "push", bucket.url, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "0 were copied" in out) == (0, True)
    monkeypatch.setenv("TASOC_STORE", str(tmp_path / "new"))
    settings.cache_clear()
    code, out, _ = tasoc("archive", "pull", bucket.url, "--product", "sky", monkeypatch=monkeypatch,
                         capsys=capsys)  # fmt: skip
    assert (code, "2 were copied" in out) == (0, True)
    assert open_product("sky", sector=1).attrs["provenance_id"] == CHILD
    assert set(database.products()["id"]) == {ID, CHILD}


def test_verify_reads_every_byte(ours, bucket, monkeypatch, capsys):
    copy_product(ours, bucket, KEY)
    code, out, _ = tasoc("archive", "verify", bucket.url, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "0 broken" in out) == (0, True)
    name = next(name for name in contents(bucket, KEY) if "flux/c" in name)
    data = bytearray(bucket.get(f"{KEY}/{name}"))
    data[-1] ^= 1
    bucket.put({f"{KEY}/{name}": bytes(data)}, scratch=SCRATCH)
    assert verify(bucket, KEY) == [name]
    code, out, _ = tasoc("archive", "verify", bucket.url, ID, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "1 broken" in out, name in out) == (1, True, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("push", "{ours}"), "is our own store"),
        (("push", "{theirs}", "ffff"), "id 'ffff' fits 0 products"),
        (("push", "{theirs}", "--product", "apertures"), "nothing of what was asked for; it has 2 products"),
        (("pull", "{theirs}"), "nothing of what was asked for; it has 0 products"),
        (("push", "s3://no-such-bucket-here/x"), "could not be"),
    ],
)
def test_a_mistake_is_one_message(words, message, ours, bucket, monkeypatch, capsys):
    words = [word.format(ours=ours.url, theirs=bucket.url) for word in words]
    code, _, told = tasoc("archive", *words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, message in told, "Traceback" in told) == (2, True, False)
