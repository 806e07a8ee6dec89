"""Products are traced, compared, tagged and pruned; what is in use stays."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from stored_dataset import ID, PARENT, contents, make_dataset, records

from tasoc_kit import database
from tasoc_kit.config import settings
from tasoc_kit.errors import DatabaseError, StoreError
from tasoc_kit.products import compare, damaged_files, find_id, prune, rebuild, show, tag_product
from tasoc_kit.records.product_list import ancestors
from tasoc_kit.storage.folders import Folder
from tasoc_kit.storage.locks import hold
from tasoc_kit.store import is_complete, open_product, write_product

OLD, MIDDLE, NEW = "0" * 12, "1" * 12, "2" * 12
UNIT = "s0001-1-2"


def write(name: str, id_: str, parents: dict | None = None, **parameters: object) -> None:
    write_product(
        make_dataset(name=name, id_=id_, provenance=records(id_, parents, step=f"make_{name}", **parameters))
    )
    time.sleep(0.02)


def record(id_: str, **keywords: object) -> dict:
    return json.loads(records(id_, **keywords))


def test_a_product_is_shown_with_all_its_ancestors_itself_first():
    grandparent = record(OLD, step="make_reference")
    parent = record(PARENT, parents=grandparent, step="stream_frames")
    write("sky", ID, parent)
    shown = show(ID[:4])
    assert next(iter(shown)) == ID
    assert {id_: row["step"] for id_, row in shown.items()} == {
        ID: "make_sky",
        PARENT: "stream_frames",
        OLD: "make_reference",
    }


def test_an_id_that_begins_no_product_or_two_is_an_error():
    write("sky", "abc000000000")
    write("stream", "abc111111111")
    with pytest.raises(StoreError, match="'abd' fits no product; expected one"):
        find_id("abd")
    with pytest.raises(StoreError, match=r"'abc' fits 2 products: \['sky/s0001-1-2/abc000000000'"):
        find_id("abc")
    assert find_id("abc1").name == "stream"


def test_the_difference_of_two_products_is_found_in_their_ancestors():
    one, two = record(OLD, step="stream_frames", clip=6.5), record(NEW, step="stream_frames", clip=5.0)
    write("sky", ID, one, segments=8)
    write("sky", MIDDLE, two, segments=8)
    rows = compare(ID, MIDDLE).to_dict("records")
    assert rows == [{"step": "stream_frames", "name": "parameters.clip", "first": 6.5, "second": 5.0}]


def test_a_step_that_only_one_product_descends_from_is_named():
    write("sky", ID, record(PARENT, step="stream_frames"))
    write("sky", MIDDLE)
    rows = compare(ID, MIDDLE).to_dict("records")
    assert rows == [{"step": "stream_frames", "name": "id", "first": PARENT, "second": None}]


def test_a_tag_points_at_the_product_that_opens():
    write("sky", OLD)
    write("sky", NEW)
    assert tag_product("current", OLD).unit == UNIT
    assert open_product("sky").attrs["provenance_id"] == OLD


def test_a_tag_for_an_id_that_is_not_there_is_refused():
    with pytest.raises(StoreError, match="fits no product"):
        tag_product("current", OLD)
    assert database.tags() == {}


@pytest.mark.parametrize("tag", ["../x", "", "a b", "-x", ".hidden", "x" * 65, "a/b", "tag\n"])
def test_tags_that_are_no_plain_words_are_refused(tag):
    write("sky", OLD)
    with pytest.raises(DatabaseError, match="is not usable"):
        tag_product(tag, OLD)
    with pytest.raises(DatabaseError, match="is not usable"):
        open_product("sky", tag=tag or "..")


def test_a_changed_byte_is_found_by_reading_everything():
    write("sky", OLD)
    assert damaged_files(OLD) == []
    victim = Path(settings().store) / "sky" / UNIT / OLD / "data.zarr" / "flux" / "c" / "0" / "0"
    data = bytearray(victim.read_bytes())
    data[7] ^= 1
    victim.write_bytes(data)
    assert damaged_files(OLD) == ["data.zarr/flux/c/0/0"]


def test_a_superseded_product_goes_and_the_newest_stays():
    write("sky", OLD)
    write("sky", NEW)
    before = contents(settings().store)
    table = prune()
    assert table[["product", "id", "reason"]].to_numpy().tolist() == [["sky", OLD, "superseded"]]
    size = sum(len(data) for name, data in before.items() if OLD in name and "data.zarr" in name)
    assert table["bytes"][0] == size > 0
    assert {name for name in contents(settings().store) if "data.zarr" in name} == {
        name for name in before if "data.zarr" in name
    }
    prune(dry_run=False)
    assert not is_complete("sky", UNIT, OLD)
    assert is_complete("sky", UNIT, NEW)
    assert list(database.products()["id"]) == [NEW]
    assert len(prune()) == 0


def test_a_tagged_product_and_what_it_descends_from_stay():
    write("stream", PARENT)
    write("stream", MIDDLE)
    write("stream", NEW)
    write("sky", ID, record(PARENT))
    write("sky", OLD)
    tag_product("paper-1", ID)
    assert set(prune()["id"]) == {MIDDLE}


def test_what_a_killed_run_left_is_an_orphan_unless_it_is_being_written():
    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_product(make_dataset(), progress=stop)
    with hold(settings().store, f"stream/{UNIT}/{ID}"):
        assert len(prune()) == 0
    table = prune()
    assert set(table["reason"]) == {"orphan", "journal"}
    assert (table["bytes"] > 0).all()
    prune(dry_run=False)
    assert not [name for name in contents(settings().store) if ID in name]


def test_pruning_leaves_shared_stores_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("TASOC_STORE", str(tmp_path / "shared"))
    settings.cache_clear()
    write("sky", OLD)
    write("sky", NEW)
    monkeypatch.setenv("TASOC_STORE", str(tmp_path / "own"))
    monkeypatch.setenv("TASOC_SHARED_STORES", str(tmp_path / "shared"))
    settings.cache_clear()
    write("stream", ID)
    before = contents(tmp_path / "shared")
    assert len(prune(dry_run=False)) == 0
    assert contents(tmp_path / "shared") == before


def test_the_database_is_rebuilt_from_the_products_and_keeps_what_people_said():
    write("stream", PARENT)
    write("sky", ID, record(PARENT, step="stream_frames"))
    tag_product("current", ID)
    database.save_review(UNIT, ID, 3, verdict="accept")
    before = database.products()
    with database.writing(None) as session:
        session.execute(database.sa.text("DELETE FROM products"))
        session.execute(database.sa.text("DELETE FROM provenance"))
    database.record_product("gone", UNIT, NEW, "nowhere", {})
    assert rebuild() == 2
    after = database.products()
    assert set(after["id"]) == set(before["id"])
    assert ancestors(PARENT)[PARENT]["step"] == "make_stream"
    assert database.get_tag("current", "sky", UNIT) == ID
    assert len(database.reviews()) == 1


def test_a_lost_database_is_rebuilt():
    write("sky", ID)
    for path in Path(settings().store).glob("tasoc.sqlite*"):
        path.unlink()
    assert rebuild() == 1
    assert list(database.products()["url"]) == [f"{settings().store}/sky/{UNIT}/{ID}"]


def test_a_folder_that_is_no_product_is_never_removed():
    write("sky", ID)
    notes = Path(settings().store) / "notes" / "mine.txt"
    notes.parent.mkdir()
    notes.write_text("keep me")
    prune(dry_run=False)
    assert notes.read_text() == "keep me"
    assert Folder(settings().store).names("notes") == ["mine.txt"]
