"""Claims about raw files that come in: whole or not at all, once, and found again by the pipeline."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from api_server import api_of_a_module, bearer
from astropy.io import fits
from command import tasoc
from ffi_files import ffi_name, write_ffi

from tasoc_kit.catalog import open_cube
from tasoc_kit.config import settings
from tasoc_kit.ingest.arrival import Arrival, sweep
from tasoc_kit.pipeline.discovery import find_units
from tasoc_kit.records.files import find_file
from tasoc_kit.records.jobs import get_job

NAME = ffi_name(1410.9)
CUTOUT = "tess_ffi/tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits"
PATIENCE = 120
"""Seconds after which something that should have happened will not."""
TARGET = "tess_ffi/tess25155310-s01-first-cadences.fits.gz"


@pytest.fixture(scope="module")
def ffi(tmp_path_factory) -> bytes:
    """The bytes of a small FFI whose name is NAME."""
    path = write_ffi(tmp_path_factory.mktemp("ffi"))
    assert path.name == NAME
    return path.read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with api_of_a_module(tmp_path_factory.mktemp("api")) as url:
        yield url


@pytest.fixture
def send(server):
    """Send bytes under a name and return the answer."""
    headers = bearer()

    def sent(data, name=NAME, **more) -> requests.Response:
        told = headers | more.pop("headers", {})
        return requests.put(f"{server}/inject/{name}", data=data, headers=told, **more)

    return sent


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def data_files() -> list[Path]:
    return files_below(Path(settings().data))


def test_an_ffi_is_kept_once_by_its_content_and_catalogued(send, ffi, server):
    first, again = send(ffi), send(ffi, "tess s0001 other name.fits")
    assert (first.status_code, again.status_code) == (201, 200)
    told = first.json()
    sha256 = hashlib.sha256(ffi).hexdigest()
    assert told["location"] == f"raw/{sha256[:2]}/{sha256}/{NAME}"
    facts = {"kind": "ffi", "sector": 1, "camera": 1, "ccd": 2, "quality": 0, "bytes": len(ffi)}
    assert told.items() >= (facts | {"sha256": sha256, "state": "whole", "sender": "write"}).items()
    assert told["started"].startswith("2018-10-19T09:34:5")
    assert told["ended"].startswith("2018-10-19T10:04:5")
    assert again.json() == told | {"new": False}
    assert [path.relative_to(settings().data).as_posix() for path in data_files()] == [told["location"]]
    back = requests.get(f"{server}{first.headers['location']}")
    assert (back.content, back.headers["etag"]) == (ffi, f'"{sha256}"')
    assert NAME in back.headers["content-disposition"]


def test_what_was_sent_is_what_the_pipeline_finds(send, ffi, tmp_path, shared_data):
    paths = [write_ffi(tmp_path, number) for number in (1, 2)]
    packed = gzip.compress(write_ffi(tmp_path, 3, quality=4).read_bytes())
    for path in paths:
        assert send(path.read_bytes(), path.name).status_code == 201
    assert send(packed, f"{ffi_name(1410.9 + 3 / 48)}.gz").json()["quality"] == 4
    assert send(shared_data(CUTOUT).read_bytes(), Path(CUTOUT).name).json()["kind"] == "cutout"
    assert find_units("ffi.local", [1], [], []) == [{"sector": 1, "camera": 1, "ccd": 2}]
    cube = open_cube("ffi.local", sector=1, camera=1, ccd=2)
    assert (cube.sizes["time"], cube.attrs["unreadable"]) == (3, 0)
    assert float(cube["flux"][1, 2, 3]) == pytest.approx(2002.03)


def test_cutouts_and_target_pixel_files_open_from_where_they_lie(send, shared_data):
    for name, kind, place in ((CUTOUT, "cutout", (1, 4, 2)), (TARGET, "target_pixels", (1, 4, 1))):
        told = send(shared_data(name).read_bytes(), Path(name).name).json()
        assert (told["kind"], *(told[key] for key in ("sector", "camera", "ccd"))) == (kind, *place)
        opened = open_cube(str(Path(settings().data) / told["location"]))
        assert opened.equals(open_cube(str(shared_data(name))))


def spoilt(ffi: bytes) -> dict[str, tuple[str, bytes, int, str]]:
    """Return names, bytes, status, and a word of the reason of files that are refused."""
    jpeg, page = b"\xff\xd8\xff\xe0" + bytes(9000), b"<!DOCTYPE html><html>Not found</html>" * 99
    packed = gzip.compress(ffi)
    noise = os.urandom(64)
    wrong_sum = bytearray(packed)
    wrong_sum[-6] ^= 255
    return {
        "empty": (NAME, b"", 415, "empty"),
        "text": (NAME, b"hello\n" * 999, 415, "text that begins with 'hello"),
        "jpeg": (NAME, jpeg, 415, "JPEG"),
        "html": (NAME, page, 415, "HTML page"),
        "zip": (NAME, b"PK\x03\x04" + bytes(999), 415, "zip archive"),
        "noise": (NAME, b"\x00" + noise, 415, "bytes that begin with"),
        "packed ending": (NAME + ".fz", ffi, 415, "does not end in .fits"),
        "truncated data": (NAME, ffi[:-3000], 422, "truncated: it has"),
        "truncated header": (NAME, ffi[:2000], 422, "breaks off"),
        "only a primary": (NAME, ffi[:2880], 422, "no image"),
        "more behind": (NAME, ffi + b"x" * 2880, 422, "cannot be read"),
        "half a gzip": (NAME + ".gz", packed[: len(packed) // 2], 422, "damaged gzip"),
        "wrong sum in gzip": (NAME + ".gz", bytes(wrong_sum), 422, "damaged gzip"),
        "a bomb": (NAME + ".gz", gzip.compress(ffi[:2880] + bytes(20_000_000)), 422, "unpacks to more"),
        "gzip of text": (NAME + ".gz", gzip.compress(b"hello" * 999), 422, "no FITS header"),
        "many axes": (NAME, ffi.replace(b"NAXIS   =                    2", b"NAXIS   =           1000000000"),
                      422, "out of bounds"),
        "huge axes": (NAME, ffi.replace(b"NAXIS1  =                   60", b"NAXIS1  =            999999999"),
                      422, "truncated"),
        "name of another CCD": (NAME.replace("-1-2-", "-1-3-"), ffi, 422, "its headers say {'ccd': 2}"),
        "no SPOC name": ("frame.fits", ffi, 422, "not the name of an FFI"),
    }  # fmt: skip


def test_what_is_no_whole_file_of_tess_is_refused_with_the_reason_and_leaves_nothing(send, ffi):
    for what, (name, data, status, reason) in spoilt(ffi).items():
        answer = send(data, name)
        assert (answer.status_code, reason in answer.json()["error"]) == (status, True), (what, answer.text)
        assert find_file(hashlib.sha256(data).hexdigest()) is None
    assert data_files() == []
    assert send(ffi).status_code == 201


def test_a_whole_file_heals_what_came_truncated(send, ffi):
    assert send(ffi[:-2880]).status_code == 422
    assert send(ffi).json()["new"]


def test_files_of_other_missions_and_tables_of_others_are_refused(send, shared_data, tmp_path):
    kepler = send(shared_data("kepler_pixels/tpf_test_00.fits").read_bytes(), "kplr.fits")
    assert (kepler.status_code, "Kepler" in kepler.json()["error"]) == (422, True)
    table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=[1.0])])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "t.fits")
    answer = send((tmp_path / "t.fits").read_bytes(), "t.fits")
    assert (answer.status_code, "has no TIME, FLUX" in answer.json()["error"]) == (422, True)
    assert data_files() == []


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("TFIELDS", "1000000000"), ("TFORM5", "''"), ("TFORM1", "'999999999E'"), ("TDIM5", "''"),
        ("TTYPE1", "'" + "x" * 66 + "'"), ("CAMERA", "(1,2)"), ("CCD", "'abc'"), ("NAXIS", "2.5"),
    ],
)  # fmt: skip
def test_a_header_that_makes_no_sense_is_refused(send, shared_data, card, value):
    data = shared_data(CUTOUT).read_bytes()
    start = data.index(f"{card:8}= ".encode(), data.index(b"XTENSION"))
    spoilt = data[:start] + f"{card:8}= {value:>20}".ljust(80).encode() + data[start + 80 :]
    answer = send(spoilt, "cutout.fits")
    assert answer.status_code == 422, answer.text
    assert data_files() == []


def test_a_file_that_breaks_its_own_checksum_is_kept_and_flagged(send, ffi):
    changed = bytearray(ffi)
    changed[-5000] ^= 1
    assert send(bytes(changed)).json()["state"] == "checksum"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("..%2f..%2fetc%2fcron.d%2fx.fits", 422), ("%2e%2e", 422), ("a%00b.fits", 422), ("a%5cb.fits", 422),
        ("x" * 300 + ".fits", 422), ("%e2%80%ae.fits", 422), (".fits", 422), ("a%0d%0ab.fits", 404),
        ("../../x.fits", 422), ("", 422), ("%2e%2e%2ffits", 422), (NAME + "%2f", 422),
    ],
)  # fmt: skip
def test_names_never_become_a_path(server, ffi, name, status):
    prepared = requests.Request("PUT", server, data=ffi, headers=bearer()).prepare()
    prepared.url = f"{server}/inject/{name}"
    assert requests.Session().send(prepared).status_code == status
    assert data_files() == []


def test_unicode_and_spaces_are_kept_in_the_catalogue_and_not_on_the_disk(send, shared_data):
    told = send(shared_data(CUTOUT).read_bytes(), "Étoile ☆ no. 1; rm -rf.v2.FITS").json()
    assert told["name"] == "Étoile ☆ no. 1; rm -rf.v2.FITS"
    assert Path(told["location"]).name == "_toile___no._1__rm_-rf.v2.fits"


def test_the_bytes_are_held_against_what_the_sender_says(send, ffi):
    digest = hashlib.sha256(ffi).digest()
    told = f"sha-256=:{base64.b64encode(digest).decode()}:"
    assert send(ffi, headers={"Content-Digest": told}, params={"sha256": digest.hex()}).status_code == 201
    other = f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"
    for wrong in ({"headers": {"Content-Digest": other}}, {"params": {"sha256": "0" * 64}}):
        answer = send(ffi, **wrong)
        assert (answer.status_code, "expected 0000" in answer.json()["error"]) == (422, True)
    for wrong in ({"headers": {"Content-Digest": "sha-256=:?:"}}, {"params": {"sha256": "../x"}}):
        assert send(ffi, **wrong).status_code == 422
    assert send(zlib.compress(ffi), headers={"Content-Encoding": "deflate"}).status_code == 415


def test_only_who_may_write_writes(server, ffi):
    for headers, status in (({}, 401), (bearer("read"), 403), ({"Authorization": "Bearer tasoc_?"}, 401)):
        answer = requests.put(f"{server}/inject/{NAME}", data=ffi, headers=headers)
        assert answer.status_code == status
    assert data_files() == []


def begun(server: str, length: int) -> socket.socket:
    """Begin to send a file of so many bytes, and return the connection."""
    host, port = server.removeprefix("http://").split(":")
    lines = [f"PUT /inject/{NAME} HTTP/1.1", "Host: x", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in bearer().items()]
    line = socket.create_connection((host, int(port)), timeout=20)
    line.sendall("\r\n".join([*lines, "", ""]).encode())
    return line


def test_what_is_too_large_or_has_no_room_is_refused(send, server, ffi, monkeypatch):
    monkeypatch.setenv("TASOC_LARGEST_UPLOAD", "20000")
    settings.cache_clear()
    assert send(ffi).status_code == 413
    assert send(iter([ffi[:15_000], ffi[15_000:]])).status_code == 413
    monkeypatch.setenv("TASOC_LARGEST_UPLOAD", "1e18")
    settings.cache_clear()
    whole = Path(settings().data).parent
    free = os.statvfs(whole).f_bavail * os.statvfs(whole).f_frsize
    with begun(server, 2 * free) as line:
        assert line.recv(12) == b"HTTP/1.1 507"
    assert data_files() == []


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_connection_that_is_cut_leaves_nothing(server, ffi, send):
    for sent in (0, 100, 9000, len(ffi) - 1):
        with begun(server, len(ffi)) as line:
            line.sendall(ffi[:sent])
    assert send(ffi).json()["new"]
    until(lambda: len(data_files()) == 1)


def test_many_who_send_the_same_bytes_at_once_give_one_file(send, ffi):
    names = [NAME] * 4 + [NAME.replace("0120", f"{number:04d}") for number in range(4)]
    with ThreadPoolExecutor(8) as threads:
        told = [answer.json() for answer in threads.map(lambda name: send(ffi, name), names)]
    assert sum(row["new"] for row in told) == 1
    assert len({row["location"] for row in told}) == len(data_files()) == 1


def test_the_same_name_with_other_bytes_is_another_file(send, ffi, tmp_path):
    later = write_ffi(tmp_path, data_rel=2).read_bytes()
    assert [send(data).json()["new"] for data in (ffi, later)] == [True, True]
    assert len(data_files()) == 2
    assert open_cube("ffi.local").attrs["data_rel"] == 2


def test_a_database_that_is_gone_leaves_no_file_and_heals(send, ffi, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    database = Path(settings().database.removeprefix("sqlite:///"))
    moved = [path.rename(gone / path.name) for path in database.parent.glob(f"{database.name}*")]
    database.mkdir()
    assert send(ffi).status_code == 503
    assert data_files() == []
    database.rmdir()
    for path in moved:
        path.rename(database.parent / path.name)
    assert send(ffi).status_code == 201


def test_a_file_that_was_lost_is_healed_by_its_bytes_whatever_they_are_called(send, server, ffi):
    first = send(ffi).json()
    (there,) = data_files()
    there.unlink()
    assert requests.get(f"{server}/download/raw/{first['sha256']}").status_code == 503
    again = send(ffi, NAME.replace("0120", "0121")).json()
    assert again == first | {"new": False, "location": again["location"]}
    assert [path.relative_to(settings().data).as_posix() for path in data_files()] == [again["location"]]
    assert requests.get(f"{server}/download/raw/{first['sha256']}").content == ffi


def test_a_pipeline_waits_once_for_a_unit(send, ffi, tmp_path):
    later = write_ffi(tmp_path, 1)
    first = send(ffi, params={"pipeline": "photometry"}).json()["job"]
    again = send(later.read_bytes(), later.name, params={"pipeline": "photometry"}).json()["job"]
    job = get_job(first)
    assert (again, job["unit"], job["submitter"]) == (first, "s0001-1-2", "write")
    assert job["arguments"]["cube"] == "ffi.local"
    answer = send(ffi, params={"pipeline": "no_such"})
    assert (answer.status_code, "no_such" in answer.json()["error"]) == (422, True)


SERVE = (
    "import resource, sys, uvicorn; from tasoc_kit.api.app import make_app; "
    "limit = int(sys.argv[2]); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)); "
    "uvicorn.run(make_app(), port=int(sys.argv[1]), log_level='error', lifespan='off')"
)
"""A server of its own, whose files cannot grow beyond a limit, as on a disk that is full."""


@pytest.fixture
def own_server():
    """Start servers in processes; they are gone after the test."""
    running: list[subprocess.Popen] = []

    def start(limit: int = 2**40) -> tuple[str, subprocess.Popen]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        running.append(subprocess.Popen([sys.executable, "-c", SERVE, str(port), str(limit)]))
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert running[-1].poll() is None
            try:
                return requests.get(f"{url}/stats").ok
            except requests.ConnectionError:
                return False

        until(answers)
        return url, running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_a_server_that_is_killed_leaves_no_half_file_and_its_parts_are_swept(own_server, ffi):
    headers = bearer()
    url, process = own_server(limit=400_000)
    full = requests.put(f"{url}/inject/{NAME}", data=ffi[:2880] + bytes(900_000), headers=headers)
    assert (full.status_code, data_files()) == (507, [])
    begun = threading.Event()

    def slowly():
        yield ffi[:20_000]
        begun.set()
        while process.poll() is None:
            time.sleep(0.02)
        yield ffi[20_000:]

    def send_slowly():
        with pytest.raises(requests.ConnectionError):
            requests.put(f"{url}/inject/{NAME}", data=slowly(), headers=headers)

    thread = threading.Thread(target=send_slowly)
    thread.start()
    incoming = Path(settings().data) / "incoming"
    until(lambda: begun.is_set() and any(path.stat().st_size for path in files_below(incoming)))
    process.send_signal(signal.SIGKILL)
    thread.join()
    assert [path.name[:6] for path in data_files()] == [".part-"]
    with Arrival(Path(settings().data)) as ours:
        assert sweep(Path(settings().data)) == 1
        assert data_files() == [ours.path]
    assert data_files() == []


def test_the_command_sends_what_the_api_lacks(server, tmp_path, monkeypatch, capsys, ffi):
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(2):
        write_ffi(frames, number)
    (frames / "bad.fits").write_bytes(b"hello\n" * 20)
    words = ("inject", str(frames), "--to", server)
    code, _, err = tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "no token" in err) == (2, True)
    monkeypatch.setenv("TASOC_TOKEN", bearer()["Authorization"].split()[1])
    code, out, err = tasoc(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "2 files are new there" in out, "text that begins" in err + out) == (1, True, True)
    (frames / "bad.fits").unlink()
    code, out, _ = tasoc(*words, "--pipeline", "photometry", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "2 were there" in out, "Jobs: 1." in out) == (0, True, True)
    code, _, err = tasoc(*words[:3], "http://127.0.0.1:9", monkeypatch=monkeypatch, capsys=capsys)
    assert (code, os.environ["TASOC_TOKEN"] in err) == (1, False)
