"""FFIs from an archive: listed, asked for by range, resumed, verified; the archive is on loopback."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import http.server
import io
import re
import shutil
import threading
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from astropy.io import fits
from command import tasoc
from faulty_proxy import Fault, faulty_proxy
from ffi_files import write_sector_of

from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.sources.archive import PRESETS, ArchiveFile, Selection, list_archive
from tasoc_kit.sources.download import check_room, download, fits_problem, missing_files
from tasoc_kit.sources.ffi import open_ffi
from tasoc_kit.sources.ffi_index import read_index

LISTING = "tess_ffi/tess-s0001-spoc-ffi-catalog.parquet"
UNIT = Selection(1, (1,), (2,))


@pytest.fixture
def sector(tmp_path) -> list[Path]:
    """Frames of two CCDs, with checksums in their headers as SPOC's have."""
    made = [*write_sector_of(tmp_path / "a", 5), *write_sector_of(tmp_path / "b", 3, ccd=3)]
    for path in made:
        with fits.open(path) as units:
            units.writeto(path, overwrite=True, checksum=True)
    return made


@pytest.fixture
def archive(s3, sector) -> str:
    """The URL of a bucket in the layout of the public one."""
    files = fsspec.filesystem("s3")
    for number, path in enumerate(sector):
        unit = re.search(r"-(\d-\d)-\d{4}-", path.name)[1]
        key = f"{s3.url}/tess/public/ffi/s0001/2018/{292 + number % 2}/{unit}/{path.name}"
        files.pipe_file(key, path.read_bytes())
        files.pipe_file(key.replace("_ffic", "_ffir"), b"raw")
    return f"{s3.url}/tess/public/ffi"


def parts(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.part"))


def test_a_bucket_is_listed_by_unit_and_in_order_of_time(archive, sector):
    found = list_archive(UNIT, archive)
    assert [file.name for file in found] == [path.name for path in sector[:5]]
    assert [file.size for file in found] == [path.stat().st_size for path in sector[:5]]
    assert [file.md5 for file in found] == [hashlib.md5(p.read_bytes()).hexdigest() for p in sector[:5]]
    assert len(list_archive(Selection(1), archive)) == 8
    every = list_archive(Selection(1, (1,), (2, 3), step=2), archive)
    assert [file.name for file in every] == [sector[n].name for n in (0, 2, 4, 5, 7)]


def test_a_folder_a_listing_and_a_script_of_mast_are_archives_too(archive, sector, tmp_path):
    first = list_archive(UNIT, archive)
    for file in first:
        target = tmp_path / "copy/s0001/2018/292/1-2" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sector[0].parent / file.name, target)
    local = list_archive(UNIT, str(tmp_path / "copy"))
    assert [(file.name, file.size) for file in local] == [(file.name, file.size) for file in first]
    lines = [f"curl -C - -L -o {file.name} {file.url}" for file in first]
    (tmp_path / "tesscurl.sh").write_text("\n".join(["#!/bin/sh", *lines]))
    assert list_archive(UNIT, str(tmp_path / "tesscurl.sh")) == first


def test_presets_are_the_sets_that_their_names_promise(shared_data, tmp_path):
    index = read_index(shared_data(LISTING), base=str(tmp_path))
    for name, number in (("mini", 214), ("small", 2564)):
        wanted = PRESETS[name]
        units = index[index["camera"].isin(wanted.cameras) & index["ccd"].isin(wanted.ccds)]
        chosen = [rows["name"].sort_values()[:: wanted.step] for _, rows in units.groupby("ccd")]
        assert len(pd.concat(chosen)) == number


def test_what_came_is_what_the_archive_holds_and_opens_as_a_cube(archive, sector, tmp_path):
    files, came = list_archive(UNIT, archive), []
    fetched = download(files, tmp_path / "data", progress=came.append)
    assert (fetched.files, fetched.problems) == (5, {})
    assert sum(came) == fetched.bytes == sum(file.size for file in files)
    for file, path in zip(files, sector, strict=False):
        assert (tmp_path / "data" / file.key).read_bytes() == path.read_bytes()
    assert missing_files(files, tmp_path / "data", verify=True) == []
    assert parts(tmp_path / "data") == []
    cube = open_ffi(tmp_path / "data")
    assert cube.attrs["provenance_id"] == open_ffi(sector[0].parent).attrs["provenance_id"]


def test_a_file_that_was_begun_goes_on_where_it_was_left(archive, tmp_path, s3, monkeypatch):
    import s3fs

    (file, *_) = list_archive(UNIT, archive)
    whole = fsspec.filesystem("s3").cat_file(file.url)
    begun = tmp_path / "data" / f"{file.key}.{file.md5[:8]}.part"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(whole[:5000])
    with faulty_proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        s3fs.S3FileSystem.clear_instance_cache()
        assert check_room([file], tmp_path / "data") == len(whole) - 5000
        fetched = download([file], tmp_path / "data")
    assert (fetched.files, fetched.bytes) == (1, len(whole) - 5000)
    assert (tmp_path / "data" / file.key).read_bytes() == whole


def test_two_processes_never_append_to_one_part(archive, tmp_path):
    (file, *_) = list_archive(UNIT, archive)
    begun = tmp_path / f"{file.key}.{file.md5[:8]}.part"
    begun.parent.mkdir(parents=True)
    with begun.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        problems = download([file], tmp_path).problems
        assert "another process is fetching it" in problems[file.name]
        assert begun.stat().st_size == 0
    assert download([file], tmp_path).problems == {}
    assert parts(tmp_path) == []


def test_a_script_reads_no_file_of_this_machine(archive, tmp_path):
    (file, *_) = list_archive(UNIT, archive)
    for url in (f"file:///etc/{file.name}", f"/etc/{file.name}", f"simplecache::file:///etc/{file.name}"):
        (tmp_path / "tesscurl.sh").write_text(f"curl -C - -L -o {file.name} {url}\n")
        with pytest.raises(SourceError, match="it fetches from .*, not from a server"):
            list_archive(UNIT, str(tmp_path / "tesscurl.sh"))


class _Untold(http.server.SimpleHTTPRequestHandler):
    """A server that does not say how long its answers are."""

    def log_message(self, *args):
        pass

    def send_header(self, name, value):
        if name.lower() != "content-length":
            super().send_header(name, value)


def test_a_server_that_tells_no_sizes_gives_its_lists_and_is_told_for_frames(archive, tmp_path):
    (file, *_) = list_archive(UNIT, archive)
    handler = functools.partial(_Untold, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        place = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "tesscurl.sh").write_text(f"curl -C - -L -o {file.name} {place}/{file.name}\n")
        (tmp_path / file.name).write_bytes(b"x" * 100)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(SourceError, match="its server does not say how large it is"):
            list_archive(UNIT, f"{place}/tesscurl.sh")
        server.shutdown()


@pytest.mark.parametrize("begin", [b"other bytes", b""])
def test_bytes_that_are_not_the_archives_are_fetched_anew_and_never_kept(archive, tmp_path, begin):
    (file, *_) = list_archive(UNIT, archive)
    begun = tmp_path / f"{file.key}.{file.md5[:8]}.part"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(begin)
    assert download([file], tmp_path).problems == {}
    wrong = ArchiveFile(file.url, file.name, file.size, "0" * 32)
    (tmp_path / file.key).unlink()
    problems = download([wrong], tmp_path).problems
    assert f"its MD5 is {file.md5}, the archive says {'0' * 32}" in problems[file.name]
    assert list((tmp_path / "s0001").rglob("*.fits*")) == []


def test_the_checksums_in_a_fits_file_are_used_where_the_archive_tells_none(archive, sector, tmp_path):
    (file, *_) = list_archive(UNIT, archive)
    unsigned = ArchiveFile(file.url, file.name, file.size)
    assert download([unsigned], tmp_path / "data").problems == {}
    path = tmp_path / "data" / file.key
    data = bytearray(path.read_bytes())
    data[-2000] ^= 1
    path.write_bytes(data)
    assert "DATASUM" in fits_problem(path)
    assert missing_files([unsigned], tmp_path / "data") == []
    assert missing_files([unsigned], tmp_path / "data", verify=True) == [unsigned]
    fsspec.filesystem("s3").pipe_file(file.url, bytes(data))
    problems = download([ArchiveFile(file.url, file.name, file.size)], tmp_path / "other").problems
    assert "does not have its DATASUM" in problems[file.name]
    assert list((tmp_path / "other").rglob("*.fits*")) == []


@pytest.mark.parametrize("kind", ["busy", "reset", "broken", "short"])
def test_a_network_that_fails_leaves_a_part_and_names_the_file(archive, tmp_path, s3, monkeypatch, kind):
    import s3fs

    files = list_archive(UNIT, archive)
    with faulty_proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
        s3fs.S3FileSystem.clear_instance_cache()
        proxy.faults.append(Fault(kind, files[1].name))
        fetched = download(files, tmp_path)
    assert fetched.files == 4
    assert fetched.problems[files[1].name].startswith(f"{files[1].url}: cannot be read")
    assert not (tmp_path / files[1].key).exists()


def test_a_disk_without_room_is_told_before_anything_comes(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    huge = ArchiveFile("s3://x/y", "tess2018292093450-s0001-1-2-0120-s_ffic.fits", free)
    with pytest.raises(SourceError, match="are to come and .* are free; expected room for all"):
        check_room([huge], tmp_path / "not/there/yet")


def test_a_folder_that_cannot_be_written_is_told(archive, tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")
    problems = download(list_archive(UNIT, archive), tmp_path / "data").problems
    assert len(problems) == 5
    assert all("cannot be written" in problem for problem in problems.values())


def test_the_command_says_what_would_come_asks_and_fetches(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TASOC_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    words = ("fetch", "--sector", "1", "--camera", "1", "--ccd", "2", "--cadences", "3", "--source", archive)
    monkeypatch.setattr("builtins.input", lambda *asked: "n")
    code, out, _ = tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert "3 FFIs" in out
    assert "3 are missing" in out
    assert "Nothing was fetched." in out
    code, out, _ = tasoc(*words, "--yes", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert "3 FFIs came" in out
    code, out, _ = tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "0 are missing" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("minni",), "did you mean 'mini'"),
        ((), "nothing was asked for"),
        (("mini", "--sector", "2"), "a preset or options, not both"),
        (("--sector", "1", "--cadences", "1:x"), "--cadences '1:x'"),
        (("--sector", "1", "--cadences", "::0"), "--cadences '::0'"),
        (("--sector", "1", "--camera", "5"), "--camera [5]; expected numbers from 1 to 4"),
        (("--sector", "7", "--source", "{archive}"), "no calibrated FFI of sector 7"),
        (("--sector", "1", "--source", "http://127.0.0.1:9/x.sh"), "cannot be read"),
    ],
)
def test_a_mistake_is_one_message(words, message, archive, monkeypatch, capsys):
    words = [word.format(archive=archive) for word in words]
    code, _, told = tasoc("fetch", *words, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert message in told
    assert "Traceback" not in told


def test_a_question_that_nobody_can_answer_is_one_message(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    words = ("fetch", "--sector", "1", "--source", archive, "--to", str(tmp_path / "data"))
    code, _, told = tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "nobody is here to answer; expected a terminal. Give --yes" in told) == (2, True)
    assert not (tmp_path / "data").exists()


def test_without_a_network_the_archive_is_named_and_what_helps(archive, monkeypatch, capsys):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    code, _, told = tasoc("fetch", "mini", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert "s3://stpubdata/tess/public/ffi: the archive cannot be listed" in told
    assert "It needs a network" in told
