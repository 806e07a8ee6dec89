"""``tasoc doctor``: what is here, what is missing, and the line that installs it."""

from __future__ import annotations

import os
import sqlite3
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tasoc_kit import doctor
from tasoc_kit.config import settings


@pytest.fixture
def found(monkeypatch):
    """Look once more, after the environment was changed by keywords."""

    def look(**environment: str) -> dict[str, doctor.Finding]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        return {finding.name: finding for finding in doctor.examine()}

    return look


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


def test_everything_required_is_found_where_the_tests_run(found):
    lacking = {
        name: finding.version for name, finding in found().items() if finding.required and not finding.present
    }
    assert lacking == {}


def test_what_is_present_needs_no_line_and_what_is_missing_has_one(found):
    for finding in found(PATH="/nonexistent").values():
        assert bool(finding.install) is not finding.present, finding


def test_every_extra_is_looked_for(found, repository):
    extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    looked_for = {name.removeprefix("extra ") for name in found() if name.startswith("extra ")}
    assert looked_for == set(extras)


def test_looking_leaves_nothing_behind(found, tmp_path):
    found()
    assert list(tmp_path.iterdir()) == []


def test_without_chromium_the_line_installs_it(found, tmp_path):
    program(tmp_path / "bin" / "apt-get", "true")
    chromium = found(PATH=str(tmp_path / "bin"), TASOC_CHROMIUM="")["chromium"]
    assert not chromium.present
    assert chromium.install.removeprefix("sudo ") == "apt-get install chromium"
    assert not chromium.required


def test_a_chromium_named_by_the_environment_comes_first_and_tells_its_version(found, tmp_path):
    path = program(tmp_path / "my-chromium", "echo Chromium 150.0.1 built somewhere")
    assert found(TASOC_CHROMIUM=str(path))["chromium"].version == "150.0.1"


def test_a_program_that_does_not_start_is_told_and_stops_nothing(found, tmp_path):
    path = tmp_path / "my-chromium"
    path.write_bytes(b"\x7fELF no program")
    path.chmod(0o755)
    assert "does not start" in found(TASOC_CHROMIUM=str(path))["chromium"].version


def test_the_newest_postgresql_of_debian_is_taken(monkeypatch, tmp_path):
    for version in ("9", "15", "14"):
        program(tmp_path / version / "bin" / "initdb", "true")
    (tmp_path / "16" / "bin").mkdir(parents=True)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(doctor, "_POSTGRES_FOLDERS", tmp_path)
    assert doctor.find_postgres() == tmp_path / "15" / "bin"


def test_a_package_that_is_missing_or_too_old_is_named(found, monkeypatch):
    installed = {"s3fs": "2020.1", "psycopg": None}

    def version(name: str) -> str:
        known = installed.get(name, "9999")
        if known is None:
            raise PackageNotFoundError(name)
        return known

    monkeypatch.setattr(doctor, "version", version)
    findings = found()
    assert findings["packages"].present
    assert findings["extra s3"].version == "lacking: s3fs 2020.1 (>=2025.2)"
    assert findings["extra postgres"].version == "lacking: psycopg"
    assert findings["extra s3"].install == "make env"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_named(found, tmp_path):
    tmp_path.chmod(0o500)
    assert "is not writable" in found()["store"].version


def test_a_store_below_a_file_is_no_store(found, tmp_path):
    (tmp_path / "file").write_text("")
    store = found(TASOC_STORE=str(tmp_path / "file" / "store"))["store"]
    assert not store.present
    assert store.version == f"{tmp_path / 'file'} is not a folder"


def test_a_bucket_is_tried_and_left_empty(found, s3):
    import s3fs

    assert found(TASOC_STORE=s3.url)["store"].present
    assert s3fs.S3FileSystem(use_listings_cache=False).ls(s3.url) == []


def test_a_bucket_that_does_not_exist_is_named(found, s3):
    store = found(TASOC_STORE="s3://no-such-bucket-here/products")["store"]
    assert not store.present
    assert "no-such-bucket-here" in store.version


def test_a_database_that_was_not_made_yet_is_no_problem(found):
    database = found()["database"]
    assert database.present
    assert database.version.endswith("(made when first written)")


def test_a_database_of_another_version_is_told_with_the_upgrade(found, tmp_path):
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('0000')")
    connection.close()
    database = found(TASOC_DATABASE=f"sqlite:///{path}")["database"]
    assert not database.present
    assert database.install == "tasoc database upgrade"


def test_a_database_that_nobody_serves_is_told_without_its_password(found):
    database = found(TASOC_DATABASE="postgresql+psycopg://me:secret@127.0.0.1:9/none")["database"]
    assert not database.present
    assert "secret" not in database.version


def test_a_postgresql_server_is_reached(found, postgres_url):
    assert found(TASOC_DATABASE=postgres_url)["database"].present


def test_a_folder_without_catalogs_is_named(found, tmp_path):
    catalogs = found(TASOC_CATALOGS=str(tmp_path))["catalogs"]
    assert not catalogs.present
    assert str(tmp_path) in catalogs.version


def test_memory_is_what_the_control_group_allows(found, monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("500000000\n")
    monkeypatch.setattr(doctor, "_CGROUP_MEMORY", tmp_path / "memory.max")
    memory = found()["memory"]
    assert (memory.present, memory.version) == (False, "0.5 GB")
