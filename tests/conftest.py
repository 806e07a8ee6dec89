"""
What every test shares: places of its own, real data where there is some, servers on loopback.

A test that needs something the machine lacks is skipped with a reason that is printed. With
``TASOC_STRICT_SKIPS=1`` (continuous integration) a skip that ``allowed_skips.txt`` does not list fails.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read once, when NumPy is imported

import contextlib
import dataclasses
import fnmatch
import importlib.util
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")
POSTGRES_START_SECONDS = 60
FIRST = (
    "test_notebooks", "test_store_faults", "test_store_s3", "test_retries", "test_transfer", "test_download",
    "test_store_kill", "test_wheel", "test_executors", "test_browser", "test_cluster", "test_dashboards",
    "test_notebook", "test_hub", "test_job_worker", "test_api", "test_hub_users", "test_curated",
    "test_scratch", "test_export", "test_worker",
)  # fmt: skip
"""
Files that take minutes, so that no process waits at the end for the last of them. The very first compiles
what the pipeline needs; those after it need none of that, and would only compile it once more.
"""


def allowed_skips() -> list[str]:
    """Patterns of test ids that may be skipped where everything is installed."""
    lines = (line.split("#")[0].strip() for line in ALLOWED_SKIPS.read_text().splitlines())
    return [line for line in lines if line]


def refuse_unlisted_skip(report: Any) -> None:
    """Turn the report of an unlisted skip into a failure that says so."""
    strict = os.environ.get("TASOC_STRICT_SKIPS") == "1"
    if not strict or not report.skipped or hasattr(report, "wasxfail"):
        return
    if any(fnmatch.fnmatch(report.nodeid, pattern) for pattern in allowed_skips()):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = (
        f"{report.nodeid}: {reason}\nNot listed in tests/allowed_skips.txt: nothing may be missing here."
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    report = yield
    refuse_unlisted_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    refuse_unlisted_skip(report)
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put some files first; leave the internet out, unless an ``-m`` expression speaks of it."""
    place = {f"{name}.py": number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
    if "network" in (config.getoption("-m") or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("network")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the session, so that a simulated sector is written once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a store, a database and a data folder that nobody else sees."""
    from tasoc_kit.config import settings

    for name in [
        name for name in os.environ if name.startswith("TASOC_") and not name.startswith("TASOC_TEST_")
    ]:
        if name not in ("TASOC_STRICT_SKIPS", "TASOC_CHROMIUM"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TASOC_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("TASOC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TASOC_CACHE", str(session_cache))
    monkeypatch.setenv("TASOC_PATIENCE", "0.5")
    monkeypatch.setenv("IPYTHONDIR", str(session_cache / "ipython"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(session_cache / "jupyter"))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """
    Paths of real TESS and Kepler files.

    They are looked for in ``TASOC_TEST_DATA``, else in ``shared/data`` beside the checkout.
    """
    folder = Path(os.environ.get("TASOC_TEST_DATA") or REPOSITORY.parent / "shared" / "data")

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"real data: no {name} in {folder}; set TASOC_TEST_DATA to the folder that holds it")
        return path

    return find


@pytest.fixture
def tiny_pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The pipelines of ``tiny_pipeline``, whose notebooks are those that are run."""
    from tiny_pipeline import write_pipeline

    from tasoc_kit.config import settings
    from tasoc_kit.pipeline.plan import load_pipelines

    write_pipeline(tmp_path / "notebooks")
    monkeypatch.setenv("TASOC_NOTEBOOKS", str(tmp_path / "notebooks"))
    settings.cache_clear()
    return load_pipelines()


@pytest.fixture
def pipeline(tiny_pipelines: dict[str, Any]) -> Any:
    """Two steps on four numbers."""
    return tiny_pipelines["tiny"]


@pytest.fixture(scope="session")
def places() -> Iterator[queue.Queue[Any]]:
    """The one process of this session that runs notebooks; it finds the modules of the tests."""
    from tasoc_kit.pipeline.places import start_places

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with start_places() as running:
            yield running


@pytest.fixture
def worker(places: queue.Queue[Any]) -> Iterator[Any]:
    """The one process that runs notebooks, for this test alone."""
    place = places.get()
    yield place
    places.put(place)


@pytest.fixture
def forbid_compute() -> Iterator[None]:
    """Make any Dask computation an error: what runs under it is lazy."""

    def refuse(graph: Any, keys: Any, **options: Any) -> None:
        raise AssertionError("a Dask graph was computed where nothing may be")

    with dask.config.set(scheduler=refuse):
        yield


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_server_user(folder: Path) -> list[str]:
    """Return the command prefix that runs a server which refuses to be root, and dies with the tests."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0:
        return [setpriv, "--pdeathsig", "INT"] if setpriv else []
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    identity = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [str(setpriv), *identity, "--pdeathsig", "INT"]


def wait_until_ready(server: subprocess.Popen[bytes], is_ready: list[str], log: Path) -> None:
    """Return when the server takes connections; fail with its log when it never does."""
    deadline = time.monotonic() + POSTGRES_START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if subprocess.run(is_ready, capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    pytest.fail(f"PostgreSQL did not start in {POSTGRES_START_SECONDS} s: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server of this session, on loopback, gone when the session is."""
    from tasoc_kit.doctor import find_postgres

    binaries = find_postgres()
    if binaries is None:
        pytest.skip("PostgreSQL: no initdb on this machine; install it (Debian: apt-get install postgresql)")
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("PostgreSQL: it refuses to run as root and setpriv is missing; install util-linux")
    folder = Path(tempfile.mkdtemp(prefix="tasoc-pg-"))
    prefix, port, log, data = as_server_user(folder), free_port(), folder / "log", str(folder / "db")
    initialise = [*prefix, str(binaries / "initdb"), "-A", "trust", "-N", "-U", "postgres", "-D", data]
    listen = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    start = [*prefix, str(binaries / "postgres"), "-D", data, *listen]
    try:
        subprocess.run(initialise, check=True, capture_output=True, cwd=folder)
        with log.open("wb") as lines:
            server = subprocess.Popen(start, stdout=lines, stderr=lines, cwd=folder)
        try:
            wait_until_ready(server, [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)], log)
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=POSTGRES_START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The SQLAlchemy URL of an empty PostgreSQL database."""
    import sqlalchemy

    name = f"test_{uuid.uuid4().hex[:12]}"
    engine = sqlalchemy.create_engine(f"{postgres_server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{postgres_server}/{name}"


@dataclasses.dataclass(frozen=True)
class Bucket:
    """An empty S3 bucket: ``url`` for fsspec, ``endpoint`` of its server."""

    url: str
    endpoint: str


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server in this process, on loopback."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("s3fs") is None:
        pytest.skip("S3: moto or s3fs is not installed; run: make env")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_environment(s3_server: str) -> dict[str, str]:
    """The variables by which every ``s3://`` URL leads to the server of this session."""
    return {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.fixture
def s3(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, reached by any ``s3://`` URL while the test runs."""
    import s3fs

    for variable, value in s3_environment.items():
        monkeypatch.setenv(variable, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3fs.S3FileSystem().mkdir(name)
    yield Bucket(url=f"s3://{name}", endpoint=s3_environment["AWS_ENDPOINT_URL"])
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium that playwright can drive (``executable_path=``)."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("browser: playwright is not installed; run: make env")
    from tasoc_kit.doctor import find_chromium

    found = find_chromium()
    if found is None:
        pytest.skip("browser: no Chromium on this machine; install it (Debian: apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
def sector(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Any:
    """Every product of one small simulated sector, with its truth; tests must not change it."""
    from sector import make_sector

    from tasoc_kit.config import settings

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TASOC_CACHE", str(session_cache))
        settings.cache_clear()
        made = make_sector(tmp_path_factory.mktemp("sector"))
    settings.cache_clear()
    return made
