"""Claims about downloads: products as tars and keys, logs, ranges and conditions."""

from __future__ import annotations

import asyncio
import email
import io
import json
import os
import shutil
import subprocess
import tarfile

import pytest
import requests
import xarray as xr
from api_server import api_of_a_module
from stored_dataset import ID, small_dataset

from tasoc_kit import store
from tasoc_kit.api.contents import TextContent
from tasoc_kit.api.sending import Sending
from tasoc_kit.config import settings

UNIT = "s0001-1-2"
KEY = f"stream/{UNIT}/{ID}"
LOGS = (
    f"{UNIT}/16_stream-{ID}.ipynb", f"{UNIT}/16_stream-{ID}-failed.ipynb", f"{UNIT}/16_stream-job3.ipynb",
    "jobs/16_stream-job4.ipynb", "jobs/10_星-job5.ipynb",
)  # fmt: skip
"""Of a pipeline, of a failure, of a job on a unit, of one that named none, and of a notebook of one's own."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with one product and logs; tests must not change it."""
    folder = tmp_path_factory.mktemp("made") / "store"
    store.write_product(small_dataset(), store=str(folder))
    for name in LOGS:
        (folder / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "runs" / name).write_text(f'{{"cells": [], "metadata": "{name}"}}')
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with api_of_a_module(tmp_path_factory.mktemp("api")) as url:
        yield url


@pytest.fixture
def products(address, made, monkeypatch):
    """Where the product is downloaded from."""
    monkeypatch.setenv("TASOC_STORE", str(made))
    monkeypatch.setenv("TASOC_DATABASE", f"sqlite:///{made.parent / 'tasoc.sqlite'}")
    settings.cache_clear()
    return f"{address}/download/products/{KEY}"


def test_a_product_opens_from_its_address_as_from_the_disk(products, made):
    there = xr.open_zarr(products, consolidated=False)
    here = xr.open_zarr(made / KEY / "data.zarr", consolidated=False)
    xr.testing.assert_identical(there.load(), here.load())


def test_a_tar_unpacked_in_another_store_is_the_product(products, made, tmp_path):
    answer = requests.get(f"{products}.tar")
    assert int(answer.headers["content-length"]) == len(answer.content)
    other = tmp_path / "other"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        assert tar.getnames()[-1] == f"{KEY}/complete.json"
    other.mkdir()
    subprocess.run(["tar", "-x", "-C", str(other)], input=answer.content, check=True)
    copied = {path.relative_to(other): path.read_bytes() for path in other.rglob("*") if path.is_file()}
    kept = {p.relative_to(made): p.read_bytes() for p in (made / "stream").rglob("*") if p.is_file()}
    assert copied == kept
    assert store.is_complete("stream", UNIT, ID, store=str(other))
    here, there = (store.list_products(store=str(folder)).iloc[0] for folder in (made, other))
    assert (there["id"], there["created"]) == (ID, here["created"].floor("s"))
    again = requests.get(f"{products}.tar")
    assert (again.content, again.headers["etag"]) == (answer.content, answer.headers["etag"])


def test_ranges_of_a_tar_are_parts_of_it(products):
    whole = requests.get(f"{products}.tar").content
    size = len(whole)
    for text, expected in (
        ("bytes=0-0", whole[:1]),
        ("bytes=700-9000", whole[700:9001]),
        (f"bytes={size - 10}-{size * 2}", whole[-10:]),
        ("bytes=-700", whole[-700:]),
        ("bytes=5-20,10-40", whole[5:41]),
    ):
        answer = requests.get(f"{products}.tar", headers={"Range": text})
        assert (answer.status_code, answer.content) == (206, expected), text
        assert answer.headers["content-range"].endswith(f"/{size}")


def test_several_ranges_come_in_parts_that_mail_programs_read(products, made):
    whole = (made / KEY / "data.zarr" / "flux" / "zarr.json").read_bytes()
    answer = requests.get(f"{products}/flux/zarr.json", headers={"Range": "bytes=0-4,100-120,-7"})
    assert (answer.status_code, len(answer.content)) == (206, int(answer.headers["content-length"]))
    text = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode() + answer.content
    parts = email.message_from_bytes(text).get_payload()
    assert [part.get_payload(decode=True) for part in parts] == [whole[:5], whole[100:121], whole[-7:]]
    assert parts[1]["Content-Range"] == f"bytes 100-120/{len(whole)}"


@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=-0", "bytes=99999999-,99999999999-"])
def test_bytes_behind_the_end_are_refused_with_the_size(products, wanted):
    answer = requests.get(f"{products}/zarr.json", headers={"Range": wanted})
    size = len(requests.get(f"{products}/zarr.json").content)
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize(
    "wanted",
    [
        "lines=1-2", "bytes=a-b", "bytes=9-2", "bytes=", "bytes=,", "bytes=-", "bytes=1-2 3-4",
        "bytes=" + "1-2," * 99,
        # Each pair of digits may end one number or begin the next: 2 to the power of 1000 ways to read it.
        "bytes=1-" + "11-" * 1000 + "x",
    ],
)  # fmt: skip
def test_what_is_no_range_is_passed_over(products, wanted):
    answer = requests.get(f"{products}/zarr.json", headers={"Range": wanted})
    assert answer.status_code == 200


def test_what_is_known_already_is_not_sent_again(products):
    first = requests.get(f"{products}/zarr.json")
    etag, made = first.headers["etag"], first.headers["last-modified"]

    def status(**headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(f"{products}/zarr.json", headers=sent).status_code

    assert status(If_None_Match=etag) == status(If_None_Match=f'"x", W/{etag}') == 304
    assert status(If_None_Match="*") == status(If_Modified_Since=made) == 304
    assert status(If_None_Match='"x"', If_Modified_Since=made) == 200
    assert status(If_Modified_Since="Sun, 06 Nov 1994 08:49:37 GMT") == status(If_Modified_Since="?") == 200
    assert (status(If_Match='"x"'), status(If_Match=etag)) == (412, 200)
    assert status(Range="bytes=0-1", If_Range=etag) == status(Range="bytes=0-1", If_Range=made) == 206
    assert status(Range="bytes=0-1", If_Range='"x"') == status(Range="bytes=0-1", If_Range=f"W/{etag}") == 200


def test_a_head_tells_what_a_get_would(products):
    for address in (f"{products}.tar", f"{products}/zarr.json", f"{products}/complete.json"):
        head, whole = requests.head(address), requests.get(address)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "etag", "last-modified", "accept-ranges", "content-type"):
            assert head.headers[name] == whole.headers[name]
        part = requests.head(address, headers={"Range": "bytes=0-1"})
        assert (part.status_code, part.headers["content-length"]) == (200, whole.headers["content-length"])


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_sent_as_it_was_executed(products, made, address, name):
    answer = requests.get(f"{address}/download/runs/{name}")
    assert answer.content == (made / "runs" / name).read_bytes()
    assert requests.get(f"{address}/download/runs/{UNIT}/17_sky-{ID}.ipynb").status_code == 404
    assert requests.get(f"{address}/download/runs/{name}.py").status_code == 422


@pytest.mark.parametrize(
    "key",
    [
        "../../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/x", "/etc/passwd", "%00",
        "flux/../../complete.json", "data.zarr/../../../tasoc.sqlite", "%ff%fe", "no_such_variable/zarr.json",
        "x" * 5000,
    ],
)  # fmt: skip
def test_no_key_leads_out_of_a_product(products, key):
    prepared = requests.Request("GET", products).prepare()
    prepared.url = f"{products}/{key}"
    answer = requests.Session().send(prepared)
    assert answer.status_code in (404, 422, 431), answer.text
    assert set(answer.json()) == {"error", "next"}


@pytest.mark.parametrize(
    "place", ["Stream/s0001-1-2", "stream/s1", "..%2f/s0001-1-2", "stream/%00", "%27--/x"]
)
def test_names_are_checked_before_they_become_a_path(products, address, place):
    for ending in (".tar", "", "/zarr.json"):
        assert requests.get(f"{address}/download/products/{place}/{ID}{ending}").status_code in (404, 422)


def test_links_out_of_the_store_are_not_followed(products, made, tmp_path, monkeypatch):
    other = tmp_path / "linked"
    shutil.copytree(made, other)
    inside = other / KEY / "data.zarr" / "zarr.json"
    secret = tmp_path / "secret"
    secret.write_bytes(inside.read_bytes())
    inside.unlink()
    inside.symlink_to(secret)
    monkeypatch.setenv("TASOC_STORE", str(other))
    settings.cache_clear()
    answer = requests.get(f"{products}/zarr.json")
    assert (answer.status_code, "zarr.json" in answer.json()["error"]) == (404, True)


def test_a_damaged_product_is_told_before_the_first_byte(products, made, tmp_path, monkeypatch):
    other = tmp_path / "damaged"
    shutil.copytree(made, other)
    os.truncate(other / KEY / "data.zarr" / "flux" / "zarr.json", 10)
    monkeypatch.setenv("TASOC_STORE", str(other))
    settings.cache_clear()
    for ending in (".tar", "/flux/zarr.json"):
        answer = requests.get(f"{products}{ending}")
        assert (answer.status_code, "flux/zarr.json" in answer.json()["error"]) == (404, True)


def test_a_store_that_is_gone_is_503_until_it_is_back(products, made):
    away = made.with_name("away")
    made.rename(away)
    try:
        answer = requests.get(f"{products}.tar")
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    finally:
        away.rename(made)
    assert requests.get(f"{products}.tar").status_code == 200


def test_a_shared_store_in_a_bucket_is_read_through(products, made, s3, monkeypatch, tmp_path):
    names = ("/complete.json", "/flux/zarr.json")
    expected = {name: requests.get(f"{products}{name}").content for name in names}
    store.write_product(small_dataset(), store=f"{s3.url}/store")
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("TASOC_STORE", str(tmp_path / "own"))
    monkeypatch.setenv("TASOC_SHARED_STORES", f"{s3.url}/store")
    settings.cache_clear()
    for name, content in expected.items():
        assert requests.get(f"{products}{name}").content == content
    whole = requests.get(f"{products}.tar").content
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert tar.extractfile(f"{KEY}/complete.json").read() == expected["/complete.json"]
        assert tar.extractfile(f"{KEY}/data.zarr/flux/zarr.json").read() == expected["/flux/zarr.json"]
    answer = requests.get(f"{products}.tar", headers={"Range": "bytes=600-1400"})
    assert answer.content == whole[600:1401]


class Counted(TextContent):
    """Zeros, of which it is counted how many were asked for."""

    def __init__(self, size: int) -> None:
        self.size, self.come, self.closed = size, 0, False

    async def read(self, start: int, length: int) -> bytes:
        self.come += length
        return bytes(length)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("leaves", [False, True])
def test_who_leaves_is_read_for_no_longer(leaves):
    content, sent = Counted(50 * 2**20), []
    scope = {"type": "http", "method": "GET", "headers": []}

    async def receive():
        while len(sent) < (3 if leaves else 10**6):
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(Sending(content, etag="x", modified=0.0)(scope, receive, send))
    assert content.closed
    assert (content.come < 10 * 2**20) is leaves
    assert bool(sent[-1].get("more_body")) is leaves


def test_a_page_of_names_leads_to_every_file(products):
    found, waiting = set(), [products]
    host = products.split("/download")[0]
    while waiting:
        answer = requests.get(waiting.pop())
        if answer.headers["content-type"].startswith("text/html"):
            waiting += [host + part.split('"')[0] for part in answer.text.split('href="')[1:]]
        else:
            found.add(answer.url.removeprefix(f"{products}/"))
    listed = json.loads(requests.get(f"{products}/complete.json").text)["files"]
    assert found == {name.removeprefix("data.zarr/") for name in listed}


def test_who_shows_a_wrong_token_is_sent_nothing(products):
    assert requests.get(f"{products}.tar", headers={"Authorization": "Bearer tasoc_x"}).status_code == 401
