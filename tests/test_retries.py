"""Frames and products behind a network that fails: what passes is tried again, what stays is told."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
from faulty_proxy import Fault, FaultyProxy, faulty_proxy
from ffi_files import frame_pixels, write_sector_of

from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import open_bytes
from tasoc_kit.sources.ffi import open_ffi
from tasoc_kit.sources.ffi_index import scan

DATA = bytes(range(256)) * 40
KINDS = ["busy", "reset", "broken", "short", "silent"]


@pytest.fixture
def proxy(s3, monkeypatch) -> FaultyProxy:
    """A proxy before the S3 server; every ``s3://`` URL goes through it."""
    import s3fs

    with faulty_proxy(s3.endpoint) as running:
        running.bucket = s3.url
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setattr(s3fs.S3FileSystem, "read_timeout", 0.5)
        monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
        monkeypatch.setattr("tasoc_kit.sources.byte_source._SILENT_SECONDS", 0.5)
        give_up_after(monkeypatch, 2)
        s3fs.S3FileSystem.clear_instance_cache()
        yield running


def give_up_after(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let reads be tried for so long; where one fault passes, a machine that stands still is none."""
    monkeypatch.setenv("TASOC_PATIENCE", str(seconds))
    settings.cache_clear()


@pytest.fixture
def frames(proxy, tmp_path) -> str:
    """The URL of three frames in the bucket, their headers in the index already."""
    files = fsspec.filesystem("s3")
    for path in write_sector_of(tmp_path / "sector", 3):
        files.pipe_file(f"{proxy.bucket}/ffi/{path.name}", path.read_bytes())
    url = f"{proxy.bucket}/ffi"
    assert len(scan(url)) == 3
    return url


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_that_fails_once_gives_every_byte_the_next_time(proxy, kind, monkeypatch):
    give_up_after(monkeypatch, 30)
    url = f"{proxy.bucket}/file"
    fsspec.filesystem("s3").pipe_file(url, DATA)
    proxy.faults.append(Fault(kind, "/file", times=1))
    assert open_bytes(url).read(300, 5000) == DATA[300:5300]
    assert proxy.suffered == [kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_that_always_fails_is_an_error_that_names_the_object(proxy, kind):
    url = f"{proxy.bucket}/file"
    fsspec.filesystem("s3").pipe_file(url, DATA)
    proxy.faults.append(Fault(kind, "/file"))
    with pytest.raises(SourceError, match=rf"^{url}: cannot be read \(.*Check the permissions and the conn"):
        open_bytes(url).read(300, 5000)
    assert len(proxy.suffered) > 1


@pytest.mark.parametrize("kind", ["reset", "broken", "short", "silent", "busy"])
def test_the_web_is_read_with_the_same_patience(proxy, kind, monkeypatch):
    give_up_after(monkeypatch, 30)
    name = "file"
    fsspec.filesystem("s3").pipe_file(f"{proxy.bucket}/{name}", DATA, ACL="public-read")
    web = f"{proxy.url}/{proxy.bucket.removeprefix('s3://')}/{name}"
    proxy.faults.append(Fault(kind, "/file", times=1))
    assert open_bytes(web).read(300, 5000) == DATA[300:5300]


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_whole_or_an_error_never_short(proxy, frames, kind, monkeypatch):
    give_up_after(monkeypatch, 30)
    proxy.faults.append(Fault(kind, "_ffic.fits", times=1))
    cube = open_ffi(frames)
    np.testing.assert_array_equal(cube["flux"][1].values, frame_pixels(1))
    give_up_after(monkeypatch, 2)
    proxy.faults[:] = [Fault(kind, str(cube["file"].values[2]).rsplit("/", 1)[-1])]
    with pytest.raises(SourceError, match=str(cube["file"].values[2])):
        cube["flux"][2].values  # noqa: B018


def test_what_is_not_there_is_told_at_once(proxy):
    proxy.requests.clear()
    with pytest.raises(SourceError, match="no such file"):
        open_bytes(f"{proxy.bucket}/absent").read(0, 10)
    assert len([path for _, path in proxy.requests if "absent" in path]) <= 2
