"""What people said and what ran is kept, by SQLite and PostgreSQL alike."""

from __future__ import annotations

import math
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from stored_dataset import ID, PARENT, processes_with_imports, records

from tasoc_kit import database
from tasoc_kit.config import settings
from tasoc_kit.database import (
    connect,
    finish_run,
    get_tag,
    list_runs,
    products,
    record_product,
    remove_product,
    reviews,
    save_review,
    set_tag,
    start_run,
    tags,
    upgrade,
)
from tasoc_kit.errors import DatabaseError
from tasoc_kit.records import engine
from tasoc_kit.records.engine import revision
from tasoc_kit.records.product_list import ancestors
from tasoc_kit.records.tables import Table

UNIT = "s0001-1-2"
OTHER = "a" * 12


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, monkeypatch) -> str:
    """The settings' database: an empty one, of each kind."""
    if request.param == "postgresql":
        monkeypatch.setenv("TASOC_DATABASE", request.getfixturevalue("postgres_url"))
        settings.cache_clear()
    return settings().database


def sqlite_file() -> Path:
    return Path(settings().store) / "tasoc.sqlite"


def test_a_product_is_recorded_with_its_ancestors_once(url):
    attrs = {"provenance": records(ID, {PARENT: {**json_record(PARENT), "step": "stream_frames"}}, clip=6.5)}
    for place in ("there", "here"):
        record_product("sky", UNIT, ID, place, attrs)
    assert products()[["product", "unit", "id", "url"]].to_numpy().tolist() == [["sky", UNIT, ID, "here"]]
    assert ancestors(PARENT)[PARENT]["step"] == "stream_frames"
    assert ancestors(ID)[ID]["parameters"] == {"clip": 6.5}
    assert ancestors(OTHER) == {}


def test_a_setting_without_a_bound_is_noted_as_none(url):
    """No JSON holds what is infinite."""
    record_product("sky", UNIT, ID, "here", {"provenance": records(ID, faintest=math.inf, clip=6.5)})
    run = database.start_run("photometry", "17_sky", UNIT, parameters={"faintest": math.inf})
    assert ancestors(ID)[ID]["parameters"] == {"faintest": None, "clip": 6.5}
    assert database.get_run(run)["parameters"] == {"faintest": None}


def json_record(id_: str) -> dict:
    return {"step": "make_it", "version": 1, "parameters": {}, "parents": [], "libraries": {"numpy": "2"}}


def test_a_product_that_is_removed_leaves_its_provenance(url):
    record_product("sky", UNIT, ID, "here", {"provenance": records(ID)})
    remove_product("sky", UNIT, ID)
    assert products().empty
    assert ancestors(ID)[ID]["step"] == "make_it"


def test_a_tag_points_at_one_id_per_product_and_unit(url):
    set_tag("current", "sky", UNIT, OTHER)
    set_tag("current", "sky", UNIT, ID)
    set_tag("current", "stream", UNIT, OTHER)
    set_tag("paper-1", "sky", UNIT, ID)
    assert get_tag("current", "sky", UNIT) == ID
    assert get_tag("current", "sky", "s0001-1-3") is None
    assert tags() == {("sky", UNIT, ID): ["current", "paper-1"], ("stream", UNIT, OTHER): ["current"]}


def test_a_run_is_listed_with_how_it_ended(url):
    first = start_run("photometry", "13_reference", UNIT, id=ID, parameters={"frames": 24, "box": None})
    second = start_run("photometry", "14_apertures", UNIT)
    finish_run(first, "failed", message="the kernel died")
    table = list_runs(unit=UNIT)
    assert list(table["run"]) == [second, first]
    assert list(table["status"]) == ["running", "failed"]
    assert table["parameters"][1] == {"frames": 24, "box": None}
    assert table["message"][1] == "the kernel died"
    assert table["finished"][1] >= table["started"][1]
    assert str(table["started"].dtype.tz) == "UTC"
    assert pd.isna(table["finished"][0])
    assert list(list_runs(status="failed")["run"]) == [first]


def test_a_run_whose_process_is_gone_was_killed(url):
    number = start_run("photometry", "13_reference", UNIT)
    with database.writing(None) as session:
        session.execute(sa.text("UPDATE runs SET pid = 4194305"))
    assert list(list_runs(status="killed")["run"]) == [number]


def test_the_last_review_of_a_reviewer_counts_and_the_others_are_kept(url):
    save_review(UNIT, ID, 3, tic=10**10, verdict="reject", comment="blend?", reviewer="ann")
    save_review(UNIT, ID, 3, tic=10**10, verdict="accept", reviewer="ann")
    save_review(UNIT, ID, 3, tic=10**10, verdict="reject", reviewer="bob")
    save_review(UNIT, OTHER, 4)
    table = reviews(UNIT, id=ID)
    assert table[["reviewer", "verdict"]].to_numpy().tolist() == [["ann", "accept"], ["bob", "reject"]]
    assert table["tic"][0] == 10**10
    assert len(reviews(UNIT, id=ID, history=True)) == 3
    assert len(reviews()) == 3


def test_a_verdict_that_is_no_verdict_is_refused():
    with pytest.raises(DatabaseError, match="verdict 'maybe'; expected one of"):
        save_review(UNIT, ID, 3, verdict="maybe")
    assert not sqlite_file().exists()


def change_and_fail() -> None:
    with database.writing(None) as session:
        session.execute(sa.text("DELETE FROM tags"))
        session.execute(sa.text("DELETE FROM a_table_that_is_not_there"))


def test_a_change_that_fails_half_way_is_undone(url):
    set_tag("current", "sky", UNIT, ID)
    with pytest.raises(DatabaseError, match="a_table_that_is_not_there.*Run 'tasoc database upgrade'"):
        change_and_fail()
    assert get_tag("current", "sky", UNIT) == ID


def test_reading_makes_no_database():
    assert tags() == {}
    assert get_tag("current", "sky", UNIT) is None
    assert list_runs().empty
    assert reviews().empty
    assert list(products().columns) == ["product", "unit", "id", "url", "recorded", "bytes"]
    assert not sqlite_file().exists()


def test_the_migrations_make_the_tables_of_the_models(url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    upgrade()
    with connect().connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_an_upgrade_that_is_not_needed_changes_nothing(url):
    set_tag("current", "sky", UNIT, ID)
    assert upgrade() == upgrade() == revision(connect())
    assert get_tag("current", "sky", UNIT) == ID


def test_the_version_expected_is_the_newest_migration():
    from alembic.script import ScriptDirectory

    assert ScriptDirectory.from_config(engine._alembic()).get_heads() == [engine._head()]


@pytest.mark.parametrize(
    ("version", "action"), [("0000", "Run 'tasoc database upgrade'"), ("9999", "Install a newer tasoc_kit")]
)
def test_tables_of_another_version_are_left_alone(url, version, action, monkeypatch):
    set_tag("current", "sky", UNIT, ID)
    with connect().begin() as connection:
        connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{version}'"))
    monkeypatch.setattr(engine, "_current", set())
    with pytest.raises(DatabaseError, match=f"its tables are of version {version}; expected .*{action}"):
        set_tag("current", "sky", UNIT, OTHER)


def test_the_migrations_run_from_any_folder(tmp_path):
    code = "from tasoc_kit import database; print(database.upgrade('sqlite:///here.sqlite'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == engine._head()
    assert (tmp_path / "here.sqlite").exists()


def work(address: str, number: int) -> None:
    for step in range(6):
        set_tag(f"tag-{number}-{step}", "sky", UNIT, ID, url=address)
        record_product(
            "sky", f"s{number:04d}", f"{step:012x}", "here", {"provenance": records(ID)}, url=address
        )


def test_many_processes_write_an_empty_database_at_once_and_nothing_is_lost(url):
    context = processes_with_imports()
    processes = [context.Process(target=work, args=(url, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert sum(len(names) for names in tags().values()) == 18
    assert len(products()) == 18


def test_sqlite_keeps_a_write_ahead_log():
    upgrade()
    assert sqlite3.connect(sqlite_file()).execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.fixture
def locked(monkeypatch):
    """A database that another connection writes, with little patience to wait for it."""
    set_tag("current", "sky", UNIT, ID)
    monkeypatch.setenv("TASOC_DATABASE", f"{settings().database}?timeout=0.1")
    settings.cache_clear()
    other = sqlite3.connect(sqlite_file(), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("DELETE FROM tags")
    yield other
    other.close()


def test_a_locked_database_is_an_error_and_nothing_is_lost(locked):
    with pytest.raises(DatabaseError, match="database is locked; expected .*End the process that holds it"):
        set_tag("current", "sky", UNIT, OTHER)
    locked.execute("ROLLBACK")
    set_tag("paper-1", "sky", UNIT, OTHER)
    assert get_tag("current", "sky", UNIT) == ID
    assert get_tag("paper-1", "sky", UNIT) == OTHER


def test_a_locked_database_can_be_read(locked):
    assert get_tag("current", "sky", UNIT) == ID


def test_a_write_waits_for_a_short_one_to_end(locked, monkeypatch):
    monkeypatch.setenv("TASOC_DATABASE", settings().database.replace("0.1", "20"))
    settings.cache_clear()
    context = processes_with_imports()
    process = context.Process(
        target=set_tag, args=("b", "sky", UNIT, ID), kwargs={"url": settings().database}
    )
    process.start()
    process.join(1)
    locked.execute("ROLLBACK")
    process.join()
    assert process.exitcode == 0
    assert get_tag("b", "sky", UNIT) == ID


def test_a_file_that_is_no_database_is_an_error():
    sqlite_file().parent.mkdir(parents=True)
    sqlite_file().write_text("this is text, and long enough to be looked at by SQLite" * 20)
    with pytest.raises(DatabaseError, match="file is not a database; expected"):
        set_tag("current", "sky", UNIT, ID)
    assert sqlite_file().read_text().startswith("this is text")


def test_a_database_that_vanished_is_made_again():
    set_tag("current", "sky", UNIT, ID)
    for path in sqlite_file().parent.glob("tasoc.sqlite*"):
        path.unlink()
    assert tags() == {}
    set_tag("current", "sky", UNIT, OTHER)
    assert get_tag("current", "sky", UNIT) == OTHER


@pytest.mark.parametrize(
    "address", ["not a url", "mongo://somewhere/x", "sqlite:////sys/none/tasoc.sqlite", "oracle://a/b"]
)
def test_an_address_that_cannot_be_used_is_an_error(address):
    with pytest.raises(DatabaseError, match="Correct TASOC_DATABASE"):
        set_tag("current", "sky", UNIT, ID, url=address)


def test_a_server_that_does_not_answer_is_an_error_without_the_password():
    address = "postgresql+psycopg://me:secret@127.0.0.1:9/tasoc"
    with pytest.raises(
        DatabaseError, match=r"me:\*\*\*@127.0.0.1:9/tasoc: .*Correct TASOC_DATABASE"
    ) as caught:
        set_tag("current", "sky", UNIT, ID, url=address)
    assert "secret" not in str(caught.value)


def test_a_server_without_the_database_is_told_apart_from_one_without_tables(postgres_server):
    with pytest.raises(DatabaseError, match='database "none" does not exist; .* Correct TASOC_DATABASE'):
        set_tag("current", "sky", UNIT, ID, url=f"{postgres_server}/none")


def test_a_server_that_takes_a_connection_and_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql+psycopg://127.0.0.1:{silent.getsockname()[1]}/tasoc?connect_timeout=2"
        with pytest.raises(DatabaseError, match="timeout expired; expected .*Correct TASOC_DATABASE"):
            set_tag("current", "sky", UNIT, ID, url=address)


@pytest.mark.parametrize(("words", "seconds"), [("", "10"), ("?connect_timeout=3", "3")])
def test_a_server_has_ten_seconds_to_answer_unless_the_address_says_more(postgres_url, words, seconds):
    with connect(postgres_url + words).connect() as connection:
        given = connection.connection.driver_connection.info.get_parameters()
    assert (given["connect_timeout"], given["tcp_user_timeout"]) == (seconds, "30000")
    assert given["keepalives_idle"] == "30"


def test_a_row_that_another_connection_holds_is_an_error_and_nothing_is_lost(postgres_url, monkeypatch):
    set_tag("current", "sky", UNIT, ID, url=postgres_url)
    monkeypatch.setitem(engine._WRITE_BOUNDS, "lock_timeout", "200ms")
    with database.writing(postgres_url) as session:
        session.execute(sa.text("DELETE FROM tags"))
        with pytest.raises(DatabaseError, match="lock timeout; expected .*End the process that holds it"):
            set_tag("current", "sky", UNIT, OTHER, url=postgres_url)
    assert get_tag("current", "sky", UNIT, url=postgres_url) is None


def test_a_write_that_stands_still_is_undone_and_keeps_nobody_waiting(postgres_url, monkeypatch):
    """As when its process was stopped in the middle of it."""
    set_tag("current", "sky", UNIT, ID, url=postgres_url)
    monkeypatch.setitem(engine._WRITE_BOUNDS, "idle_in_transaction_session_timeout", "200ms")

    def stand_still():
        with database.writing(postgres_url) as session:
            session.execute(sa.text("DELETE FROM tags"))
            set_tag("current", "sky", UNIT, OTHER, url=postgres_url)

    with pytest.raises(DatabaseError, match="idle-in-transaction timeout"):
        stand_still()
    assert get_tag("current", "sky", UNIT, url=postgres_url) == OTHER


def test_a_forked_process_has_connections_of_its_own(url):
    set_tag("current", "sky", UNIT, ID)
    child = os.fork()
    if child == 0:
        try:
            set_tag("child", "sky", UNIT, ID)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert get_tag("child", "sky", UNIT) == ID
