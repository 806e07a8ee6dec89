"""Two runs of one unit: the second waits, or ends with the name of the first."""

from __future__ import annotations

import os
import socket
import threading
import time

import fsspec
import pytest
from stored_dataset import processes_with_imports

from tasoc_kit.errors import StoreError
from tasoc_kit.storage import locks
from tasoc_kit.storage.folders import Folder
from tasoc_kit.storage.locks import hold


def hold_until_told(store: str, line: object) -> None:
    with hold(store, "stream/s0001-1-2/x"):
        line.send("held")
        line.poll(30)


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock: the process, and the line that ends it."""
    context = processes_with_imports()
    line, far_end = context.Pipe()
    process = context.Process(target=hold_until_told, args=(str(tmp_path), far_end))
    process.start()
    assert line.poll(60)
    assert line.recv() == "held"
    yield process, line
    process.kill()
    process.join()


def test_the_second_run_ends_with_the_name_of_the_holder(tmp_path, other):
    process, _ = other
    who = f"process {process.pid} on {socket.gethostname()}"
    with pytest.raises(StoreError, match=f"is being written by {who}; expected one writer"):
        with hold(str(tmp_path), "stream/s0001-1-2/x"):
            pass


def test_the_second_run_waits_for_the_first(tmp_path, other):
    _, line = other
    threading.Timer(0.3, line.send, ["end"]).start()
    began = time.monotonic()
    with hold(str(tmp_path), "stream/s0001-1-2/x", wait=30):
        assert time.monotonic() - began > 0.25


def test_a_lock_dies_with_its_process(tmp_path, other):
    process, _ = other
    process.kill()
    process.join()
    with hold(str(tmp_path), "stream/s0001-1-2/x"):
        pass


def test_another_unit_is_not_held_up(tmp_path, other):
    with hold(str(tmp_path), "stream/s0001-1-3/x"):
        pass


def test_two_threads_exclude_each_other(tmp_path):
    with hold(str(tmp_path), "a"), pytest.raises(StoreError, match=f"process {os.getpid()}"):
        with hold(str(tmp_path), "a"):
            pass


def test_a_lock_is_free_again_and_leaves_no_file(tmp_path):
    for _ in range(3):
        with hold(str(tmp_path), "a/b"):
            pass
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_many_threads_take_turns(tmp_path):
    inside, most = [], []

    def work():
        with hold(str(tmp_path), "a", wait=60):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.005)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


@pytest.fixture
def remote():
    """An object store in memory."""
    system = fsspec.filesystem("memory")
    yield "memory://leases"
    if system.exists("/leases"):
        system.rm("/leases", recursive=True)


def test_a_lease_names_its_holder_and_is_given_back(remote):
    with hold(remote, "a"), pytest.raises(StoreError, match=f"process {os.getpid()} on"):
        with hold(remote, "a"):
            pass
    with hold(remote, "a"):
        pass
    assert Folder(remote).sizes(".writing") == {}


def write_lease(remote: str, **who: object) -> None:
    text = locks.json.dumps({"pid": 1, "host": "elsewhere", "expires": time.time() + 60} | who)
    Folder(remote).put({".writing/a.lease/00000000": text.encode()}, scratch="")


def test_a_lease_of_another_host_holds_until_it_expires(remote):
    write_lease(remote)
    with pytest.raises(StoreError, match="process 1 on elsewhere"):
        with hold(remote, "a"):
            pass
    write_lease(remote, expires=time.time() - 1)
    with hold(remote, "a"):
        pass


def test_a_lease_of_a_process_of_this_host_that_is_gone_does_not_hold(remote):
    write_lease(remote, host=socket.gethostname(), pid=2**22 + 1)
    with hold(remote, "a"):
        pass


def test_only_one_run_supersedes_an_expired_lease(remote):
    write_lease(remote, expires=0)
    results = []

    def work():
        try:
            with hold(remote, "a"):
                results.append("held")
                time.sleep(0.5)
        except StoreError:
            results.append("refused")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["held"] + ["refused"] * 5


def test_a_lease_is_renewed_while_it_is_held(remote, monkeypatch):
    monkeypatch.setattr(locks, "LEASE_SECONDS", 0.4)
    with hold(remote, "a"):
        time.sleep(1)
        with pytest.raises(StoreError, match="is being written"):
            with hold(remote, "a"):
                pass
