"""A store whose server fails under a pipeline: what passes is outlasted, what stays is named."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from faulty_proxy import Fault, FaultyProxy, faulty_proxy
from stored_dataset import ID, small_dataset
from tiny_pipeline import make_unit

from tasoc_kit import store
from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError
from tasoc_kit.pipeline.executors import run_plans
from tasoc_kit.pipeline.places import start_places
from tasoc_kit.pipeline.plan import Pipeline, Run, make_plan
from tasoc_kit.pipeline.request import Place
from tasoc_kit.storage.folders import SCRATCH, Folder

KEY = f"stream/s0001-1-2/{ID}"
KINDS = ["busy", "reset", "broken", "short", "silent"]
IMPATIENT = {"config_kwargs": {"read_timeout": 1.0, "connect_timeout": 5.0, "retries": {"max_attempts": 1}}}


@pytest.fixture(scope="module")
def server(s3_server: str) -> Iterator[FaultyProxy]:
    """A proxy before the S3 server; it does no harm until a test says so."""
    with faulty_proxy(s3_server) as running:
        yield running


@pytest.fixture
def proxy(
    server: FaultyProxy, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyProxy]:
    """The proxy, before the empty store of this test."""
    import s3fs

    for name, value in environment_behind(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(fsspec.config.conf, "s3", IMPATIENT)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setenv("TASOC_STORE", f"{s3.url}/store")
    monkeypatch.setenv("TASOC_DATABASE", f"sqlite:///{tmp_path}/tasoc.sqlite")
    monkeypatch.setenv("TASOC_PATIENCE", "20")
    settings.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()
    server.faults, server.suffered = [], []
    yield server
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def places(server: FaultyProxy, s3_environment: dict[str, str]) -> Iterator[queue.Queue[Place]]:
    """A process for notebooks that knows S3 by the proxy alone; the store comes with each request."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (s3_environment | environment_behind(server)).items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with start_places() as running:
            yield running


def environment_behind(server: FaultyProxy) -> dict[str, str]:
    """Return the variables that lead to the proxy, with little patience for it."""
    return {"AWS_ENDPOINT_URL": server.url, "FSSPEC_S3": json.dumps(IMPATIENT)}


@pytest.fixture
def plan(pipeline: Pipeline, tmp_path: Path) -> list[Run]:
    return make_plan(pipeline, make_unit(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_for_a_moment_is_read_and_written_all_the_same(proxy, kind):
    for method, part in (("PUT", "flux/c/0/1"), ("PUT", "complete.json"), ("GET", "list-type")):
        proxy.faults.append(Fault(kind, part, method, times=1))
    store.write_product(small_dataset())
    written = list(proxy.suffered)
    assert set(written) == {kind}
    for part in ("complete.json", "flux/zarr.json", "flux/c/0/1", "row_size/c/0"):
        proxy.faults.append(Fault(kind, f"{KEY}/{part}" if part == "complete.json" else part, times=1))
    opened = store.open_product("stream").compute()
    np.testing.assert_array_equal(opened["flux"].values, small_dataset()["flux"].values)
    assert len(proxy.suffered) - len(written) >= 4
    assert Folder(settings().store).names(SCRATCH) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["flux/zarr.json", "flux/c/0/1"])
def test_an_object_that_cannot_be_read_is_named(proxy, monkeypatch, kind, part):
    monkeypatch.setenv("TASOC_PATIENCE", "0.5")
    settings.cache_clear()
    store.write_product(small_dataset())
    proxy.faults.append(Fault(kind, part))
    with pytest.raises(StoreError, match=rf"{KEY}/data.zarr/{part} could not be read"):
        store.open_product("stream").compute()


def test_bytes_that_are_not_those_written_are_named_and_one_that_vanished_is_not_zero(proxy, monkeypatch):
    monkeypatch.setenv("TASOC_PATIENCE", "0.5")
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    settings.cache_clear()
    store.write_product(small_dataset())
    proxy.faults.append(Fault("changed", "row_size/c/0"))
    with pytest.raises(StoreError, match=r"row_size/c/0 could not be read: its CRC-32 is \w+, not"):
        store.open_product("stream")
    proxy.faults.clear()
    opened = store.open_product("stream")
    Folder(settings().store).remove(f"{KEY}/data.zarr/flux/c/0/1")
    with pytest.raises(StoreError, match=r"flux/c/0/1 could not be read: it is no longer there"):
        opened.compute()


def test_a_run_outlasts_faults_of_every_kind(proxy, plan, places):
    for kind in KINDS:
        proxy.faults += [
            Fault(kind, "store/doubled", "PUT", times=1),
            Fault(kind, "store/summed", "PUT", times=1),
            Fault(kind, "store/doubled", "GET", times=1),
            Fault(kind, "list-type", "GET", times=1),
        ]
    proxy.faults.append(Fault("busy", ".ipynb", "PUT", times=1))
    results = run_plans([plan], places=places)
    assert [(result.status, result.message) for result in results] == [("made", "")] * 2
    assert set(proxy.suffered) == set(KINDS)
    assert sum(fault.times for fault in proxy.faults) == 0
    proxy.faults.clear()
    assert float(store.open_product("summed", id=plan[1].id)["flux"]) == 12.0
    assert sorted(store.list_products()["id"]) == sorted(one.id for one in plan)
    assert Folder(settings().store).names(SCRATCH) == []


def test_a_run_that_cannot_go_on_names_the_object_and_the_next_one_resumes(proxy, plan, places, monkeypatch):
    monkeypatch.setenv("TASOC_PATIENCE", "0.5")
    settings.cache_clear()
    doubled, summed = (f"{one.stage.name}/s0001-1-2/{one.id}/data.zarr" for one in plan)
    for fault, states, named in (
        (Fault("full", "store/doubled", "PUT"), ["failed", "not run"], doubled),
        (Fault("short", "flux/c/0", "GET"), ["made", "failed"], f"{doubled}/flux/c/0"),
        (Fault("busy", "store/summed", "PUT"), ["kept", "failed"], summed),
    ):
        proxy.faults = [fault]
        results = run_plans([plan], places=places)
        assert [result.status for result in results] == states
        (failed,) = (result.message for result in results if result.status == "failed")
        assert named in failed
        assert "could not be" in failed
        assert "Traceback" not in failed
        proxy.faults = []
        assert len(store.list_products()) == states.count("made") + states.count("kept")
    again = run_plans([plan], places=places)
    assert [result.status for result in again] == ["kept", "made"]
    assert float(store.open_product("summed", id=plan[1].id)["flux"]) == 12.0
    assert Folder(settings().store).names(SCRATCH) == []
