"""Byte ranges of local, packed and remote files; S3 and HTTP servers are on loopback."""

from __future__ import annotations

import http.server
import threading
import urllib.parse

import fsspec
import numpy as np
import pytest
from ffi_files import SHAPE, compress, frame_pixels, write_sector_of

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import filesystem, list_files, open_bytes
from tasoc_kit.sources.cube import open_cube
from tasoc_kit.sources.ffi import open_ffi
from tasoc_kit.sources.ffi_index import read_index, scan
from tasoc_kit.sources.frame_reader import open_frames

DATA = bytes(range(256)) * 40


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves the files of one folder, with ranges unless the server is told to pass over them."""

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._send(body=False)

    def do_GET(self):
        self._send(body=True)

    def _send(self, body):
        path = self.server.folder / urllib.parse.unquote(self.path).lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        asked = self.headers.get("Range")
        status = 200
        self.server.ranges.append(asked)
        if asked and self.server.honest:
            start, _, stop = asked.removeprefix("bytes=").partition("-")
            data = data[int(start) : int(stop) + 1]
            status = 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def web(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.folder, server.honest, server.ranges = tmp_path, True, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def sector(tmp_path):
    files = write_sector_of(tmp_path / "sector", 3, err_shape=(10, 10))
    compress(files[1])
    return tmp_path / "sector"


def test_a_range_of_a_local_file_is_what_was_written(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    source = open_bytes(tmp_path / "file")
    assert source.read(300, 500) == DATA[300:800]
    assert source.read(len(DATA) - 5, 100) == DATA[-5:]
    assert source.read(len(DATA), 1) == b""
    assert source.size() == len(DATA)


def test_a_range_of_a_web_file_is_what_was_written(tmp_path, web):
    (tmp_path / "file").write_bytes(DATA)
    source = open_bytes(f"{web.url}/file")
    assert source.read(300, 500) == DATA[300:800]
    assert web.ranges == ["bytes=300-799"]
    assert source.size() == len(DATA)
    assert source.read(len(DATA), 1) == b""


def test_a_server_that_passes_over_ranges_gives_the_same_bytes(tmp_path, web):
    (tmp_path / "file").write_bytes(DATA)
    web.honest = False
    assert open_bytes(f"{web.url}/file").read(300, 500) == DATA[300:800]


def test_what_cannot_be_read_is_an_error_with_its_name(tmp_path, web):
    for url in (str(tmp_path / "absent"), f"{web.url}/absent", str(tmp_path / "absent.gz")):
        with pytest.raises(SourceError, match=r"absent.*there is no such file\. Check the path"):
            open_bytes(url).read(0, 10)
    with pytest.raises(SourceError, match="cannot be read"):
        open_bytes(tmp_path).read(0, 10)
    with pytest.raises(SourceError, match="cannot be read.*connection"):
        open_bytes("http://127.0.0.1:9/file").read(0, 10)


def test_an_unknown_scheme_is_an_error_that_names_the_known_ones():
    with pytest.raises(SourceError, match="unknown scheme.*expected a path, s3:// or https://"):
        filesystem("gopher://host/file")


def test_the_public_bucket_is_read_without_credentials(s3):
    assert filesystem("s3://stpubdata/tess/public/x.fits").anon
    assert not filesystem(f"{s3.url}/x.fits").anon


def test_folders_globs_and_lists_are_all_files(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.fits", "deep/b.fits.gz", "c.txt"):
        (tmp_path / name).write_text("")
    both = [str(tmp_path / "a.fits"), str(tmp_path / "deep/b.fits.gz")]
    assert list_files(tmp_path) == both
    assert list_files(f"file://{tmp_path}") == both
    assert list_files(tmp_path / "*.fits") == both[:1]
    assert list_files(reversed(both)) == both
    assert list_files(tmp_path / "absent") == []
    with pytest.raises(SourceError, match="no path was given"):
        list_files("")


def test_ffis_from_the_web_are_bit_equal_to_local_ones(sector, web):
    local = open_ffi(sector).load()
    urls = [f"{web.url}/sector/{path.name}" for path in sorted(sector.iterdir())]
    remote = open_ffi(urls)
    np.testing.assert_array_equal(remote["flux"].values, local["flux"].values)
    np.testing.assert_array_equal(remote["flux_err"].values, local["flux_err"].values)
    assert remote.attrs["provenance_id"] == local.attrs["provenance_id"]


def test_a_cutout_from_the_web_asks_for_its_rows_only(sector, web):
    path = sorted(sector.iterdir())[0]
    cube = open_ffi([f"{web.url}/sector/{path.name}"], chunks=None)
    web.ranges.clear()
    cutout = cube["flux"].isel(row=slice(3, 5), column=slice(7, 9)).values
    np.testing.assert_array_equal(cutout[0], frame_pixels(0)[3:5, 7:9])
    start, stop = map(int, web.ranges[0].removeprefix("bytes=").split("-"))
    assert stop + 1 - start == 2 * SHAPE[1] * 4


def test_a_target_pixel_file_from_the_web_opens_as_a_local_one(shared_data, web, tmp_path):
    name = "tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits"
    source = shared_data(f"tess_ffi/{name}")
    (tmp_path / name).write_bytes(source.read_bytes())
    remote, local = open_cube(f"{web.url}/{name}"), open_cube(source)
    np.testing.assert_array_equal(remote["flux"].values, local["flux"].values)
    assert remote.attrs["provenance_id"] == local.attrs["provenance_id"]


def test_ffis_in_a_bucket_are_bit_equal_to_local_ones(sector, s3):
    files = fsspec.filesystem("s3")
    for path in sector.iterdir():
        files.pipe_file(f"{s3.url}/tess/1-2/{path.name}", path.read_bytes())
    local = open_ffi(sector).load()
    remote = open_ffi(f"{s3.url}/tess")
    np.testing.assert_array_equal(remote["flux"].values, local["flux"].values)
    np.testing.assert_array_equal(remote["flux_err"].values, local["flux_err"].values)
    assert remote.attrs["provenance_id"] == local.attrs["provenance_id"]
    assert len(list_files(f"{s3.url}/tess/*/tess*_ffic.fits")) == 2
    reader, out = open_frames(remote), np.empty(SHAPE, np.float32)
    reader.read(2, out)
    np.testing.assert_array_equal(out, frame_pixels(2))


def test_a_bucket_that_is_scanned_again_shows_what_is_new(sector, s3):
    files = fsspec.filesystem("s3")
    paths = sorted(sector.iterdir())
    for count, path in enumerate(paths, start=1):
        files.pipe_file(f"{s3.url}/tess/{path.name}", path.read_bytes())
        assert len(scan(f"{s3.url}/tess")) == count


def test_an_index_can_lie_in_the_bucket(sector, s3, tmp_path):
    index = scan(sector)
    index.to_parquet(tmp_path / "index.parquet", index=False)
    url = f"{s3.url}/index.parquet"
    fsspec.filesystem("s3").pipe_file(url, (tmp_path / "index.parquet").read_bytes())
    assert list(read_index(url)["name"]) == list(index["name"])
    assert open_cube(url).sizes["time"] == 3


def test_a_bucket_without_ffis_or_without_access_is_an_error(s3, monkeypatch):
    with pytest.raises(SourceError, match="no FFI"):
        open_ffi(f"{s3.url}/nothing/here")
    with pytest.raises(SourceError, match="no FFI"):
        open_ffi("s3://no-such-bucket-at-all/tess")
