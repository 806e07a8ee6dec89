"""Places come from the environment, are read once, and have defaults that need nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasoc_kit.config import settings


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """Set variables in an environment that has none of ours, and work in an empty folder."""
    for name in [name for name in os.environ if name.startswith("TASOC_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]
    settings.cache_clear()


def test_with_nothing_set_everything_lies_in_the_working_folder(environment, tmp_path):
    found = settings()
    assert (found.store, found.data, found.cache) == ("./store", "./data", Path("./cache"))
    assert found.database == f"sqlite:///{tmp_path / 'store' / 'tasoc.sqlite'}"
    assert found.shared_stores == ()


def test_with_nothing_set_catalogs_and_notebooks_are_those_of_the_checkout(environment, repository):
    assert settings().catalogs == (repository / "catalogs",)
    assert settings().notebooks == (repository / "notebooks",)


def test_the_database_of_a_remote_store_lies_here(environment, tmp_path):
    environment(TASOC_STORE="s3://bucket/products")
    assert settings().database == f"sqlite:///{tmp_path / 'tasoc.sqlite'}"


def test_the_environment_decides(environment):
    environment(
        TASOC_STORE="s3://mine",
        TASOC_DATABASE="postgresql+psycopg://host/tasoc",
        TASOC_DATA="s3://raw",
        TASOC_CACHE="scratch",
        TASOC_THREADS="3",
    )
    found = settings()
    assert (found.store, found.data, found.threads) == ("s3://mine", "s3://raw", 3)
    assert found.database == "postgresql+psycopg://host/tasoc"
    assert found.cache == Path("scratch")


@pytest.mark.parametrize("name", ["notebooks", "catalogs"])
def test_ones_own_folders_stand_before_those_that_are_shipped(environment, repository, name):
    environment(**{f"TASOC_{name.upper()}": "mine, /more"})
    assert getattr(settings(), name) == (Path("mine"), Path("/more"), repository / name)
    environment(**{f"TASOC_{name.upper()}": str(repository / name)})
    settings.cache_clear()
    assert getattr(settings(), name) == (repository / name,)


def test_shared_stores_are_a_list_with_commas(environment):
    environment(TASOC_SHARED_STORES="s3://one, /two,")
    assert settings().shared_stores == ("s3://one", "/two")


@pytest.mark.parametrize("threads", ["", "0", "many"])
def test_there_is_always_a_thread(environment, threads):
    environment(TASOC_THREADS=threads)
    assert 1 <= settings().threads <= (os.cpu_count() or 1)


def test_settings_are_read_once(environment):
    first = settings()
    environment(TASOC_STORE="elsewhere")
    assert settings() is first
    settings.cache_clear()
    assert settings().store == "elsewhere"


def test_a_notebook_finds_the_store_of_its_checkout(environment, repository, monkeypatch):
    monkeypatch.chdir(repository / "notebooks")
    assert settings().store == str(repository / "store")
