"""
How fast files leave the API, and whether half of one is ever seen when they come.

A file of 1 GB goes to one client over loopback, in turns from the API and from nginx with ``sendfile``;
what is divided are the medians of bytes per second. 200 FFIs are sent by eight at a time, and 20 of the
connections are cut at a random byte; meanwhile every file that a pipeline would find is read and held
against the bytes that were sent.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import requests
from claims import Claim, Row, print_rows, scratch_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ffi_files import write_ffi  # noqa: E402  of the tests

from tasoc_kit.config import settings  # noqa: E402  behind the tests, as they are
from tasoc_kit.records.files import add_file  # noqa: E402
from tasoc_kit.records.tokens import make_token  # noqa: E402
from tasoc_kit.sources.byte_source import list_files  # noqa: E402

CLAIMS = {
    "download_over_nginx": Claim("bytes/s / bytes/s", least=0.6),
    "uploads_half_files": Claim("", most=0),
}
LARGE, TURNS = 10**9, 9
UPLOADS, CUT, AT_ONCE = 200, 20, 8
SHAPE = (256, 256)
START_SECONDS = 60
NGINX = """
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log; {user}
events {{}}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
  client_body_temp_path {place}/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3;
  uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], port: int) -> Iterator[psutil.Process]:
    """Run a server until the block ends; it takes connections when the block begins."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[:4]} does not answer") from None
                time.sleep(0.05)
        yield psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def served() -> Iterator[tuple[int, psutil.Process]]:
    """Run the API as people do; give its port."""
    port = free_port()
    with running(
        [sys.executable, "-m", "tasoc_kit.cli", "api", "--port", str(port), "--quiet"], port
    ) as process:
        yield port, process


def fetch(port: int, path: str) -> float:
    """Return the seconds in which the large file comes."""
    buffer, come = bytearray(2**20), 0
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        while number := line.recv_into(buffer):
            come += number
    if come < LARGE:
        raise RuntimeError(f"{path}: {come} bytes came of {LARGE}")
    return time.perf_counter() - begun


def make_large(folder: Path) -> tuple[Path, str]:
    """Write the large file where raw files lie, and enter it."""
    block, digest = random.Random(1).randbytes(10**7), hashlib.sha256()
    path = folder / "large.fits"
    folder.mkdir(parents=True)
    with path.open("wb") as out:
        for _ in range(LARGE // len(block)):
            out.write(block)
            digest.update(block)
    row = {
        "sha256": digest.hexdigest(),
        "name": path.name,
        "kind": "cutout",
        "bytes": LARGE,
        "state": "whole",
    }
    row |= {"location": str(path), "sector": 1, "camera": 1, "ccd": 1, "cadenceno": None, "quality": None}
    add_file(
        row
        | {"state": "whole", "started": None, "ended": None, "received": datetime.now(UTC), "sender": "bench"}
    )
    return path, digest.hexdigest()


def cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a server and of what it started."""
    family = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in family)


def download_ratio(place: Path) -> float:
    """Return the throughput of the API by that of nginx."""
    large, sha256 = make_large(Path(settings().data) / "large")
    port, user = free_port(), "user root;" if os.geteuid() == 0 else ""
    config = place / "nginx.conf"
    config.write_text(NGINX.format(place=place, port=port, root=large.parent, user=user))
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        raise RuntimeError("nginx: it is not on this machine; expected it. Install it.")
    with running([nginx, "-c", str(config)], port) as other, served() as (api, own):
        fetch(api, f"/download/raw/{sha256}"), fetch(port, f"/{large.name}")
        before = cpu(own), cpu(other)
        times = [(fetch(api, f"/download/raw/{sha256}"), fetch(port, f"/{large.name}")) for _ in range(TURNS)]
        spent = [(now - then) / TURNS for now, then in zip((cpu(own), cpu(other)), before, strict=True)]
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    for name, seconds, work in (("API", ours, spent[0]), ("nginx", theirs, spent[1])):
        print(f"{name}: {LARGE / seconds / 1e6:.0f} MB/s, {work:.2f} CPU s for 1 GB", flush=True)
    return theirs / ours


class Watch(threading.Thread):
    """Reads again and again what a pipeline would find, and keeps what is not whole."""

    def __init__(self, data: Path, whole: set[str]) -> None:
        super().__init__(name="watch", daemon=True)
        self.data, self.whole, self.half, self.looks = data, whole, set[str](), 0
        self.seen: set[str] = set()
        self.ended = threading.Event()

    def run(self) -> None:
        """Look until told to end, and once more."""
        while not self.ended.is_set():
            self.look()
            time.sleep(0.01)
        self.look()

    def look(self) -> None:
        """Hold every file that was not seen before against what was sent."""
        for name in set(list_files(self.data)) - self.seen:
            found = hashlib.sha256(Path(name).read_bytes()).hexdigest()
            (self.seen if found in self.whole else self.half).add(name)
        self.looks += 1


def cut_upload(port: int, path: Path, token: str, part: float) -> None:
    """Send a part of a file and hang up."""
    data = path.read_bytes()
    head = f"PUT /inject/{path.name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n"
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
        line.sendall(data[: int(part * len(data))])


def half_files(place: Path) -> float:
    """Return how many files were seen that are not whole, and how many whole ones are not there."""
    rng, data = random.Random(2), Path(settings().data)
    frames = place / "frames"
    frames.mkdir()
    paths = [write_ffi(frames, number, shape=SHAPE, err_shape=SHAPE) for number in range(UPLOADS)]
    cut = set(rng.sample(paths, CUT))
    sums = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    token = make_token("bench", "write")
    watch = Watch(data, {sums[path] for path in paths if path not in cut} | known_sums(data))

    def send(path: Path) -> bool:
        if path in cut:
            cut_upload(port, path, token, rng.uniform(0.0, 0.999))
            return True
        with path.open("rb") as body:
            answer = requests.put(
                f"http://127.0.0.1:{port}/inject/{path.name}",
                data=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            )
        return answer.status_code == 201 and answer.json()["sha256"] == sums[path]

    with served() as (port, _):
        watch.start()
        begun = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            refused = list(threads.map(send, paths)).count(False)
        spent = time.perf_counter() - begun
        watch.ended.set()
        watch.join()
        absent = sum(
            requests.head(f"http://127.0.0.1:{port}/download/raw/{sums[path]}").status_code
            != (404 if path in cut else 200)
            for path in paths
        )
    left = list((data / "incoming").iterdir())
    print(
        f"{UPLOADS} uploads in {spent:.1f} s, {watch.looks} looks, {len(watch.half)} halves, "
        f"{refused} refused, {absent} wrong in the catalogue, {len(left)} parts left",
        flush=True,
    )
    return len(watch.half) + refused + absent + len(left)


def known_sums(data: Path) -> set[str]:
    """Return the sums of what is there before the first upload."""
    return {hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in list_files(data)}


def rows(scratch: Path) -> list[Row]:
    """Return the rows of transfers, measured in a folder with 2 GB of room."""
    before = {name: os.environ.get(name) for name in ("TASOC_STORE", "TASOC_DATA", "TASOC_DATABASE")}
    values = {}
    try:
        for name, measure in (("download_over_nginx", download_ratio), ("uploads_half_files", half_files)):
            place = scratch / name
            (place / "store").mkdir(parents=True)
            os.environ |= {"TASOC_STORE": str(place / "store"), "TASOC_DATA": str(place / "data")}
            os.environ["TASOC_DATABASE"] = f"sqlite:///{place / 'tasoc.sqlite'}"
            settings.cache_clear()
            values[name] = measure(place)
            shutil.rmtree(place)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        settings.cache_clear()
    return [Row(name, values[name], claim) for name, claim in CLAIMS.items()]


if __name__ == "__main__":
    with scratch_folder("transfer", None if len(sys.argv) < 2 else Path(sys.argv[1]), 2) as folder:
        measured = rows(folder)
        print_rows("platform_transfer", CLAIMS, set(CLAIMS), {row.name: row.value for row in measured})
