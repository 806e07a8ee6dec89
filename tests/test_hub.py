"""A Hub for a group, started as its page says: who comes in, what each finds, and what outlives the Hub."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import dashboard_data as data
import psutil
import pytest
import typer
import websocket
from playwright.sync_api import APIRequestContext, APIResponse, Browser, BrowserContext, sync_playwright
from test_browser import FLAGS, WINDOW
from traitlets.config import PyFileConfigLoader

from tasoc_kit import database, store
from tasoc_kit.cli import app
from tasoc_kit.config import settings
from tasoc_kit.dashboards import launcher

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

CONFIG = Path(__file__).resolve().parents[1] / "binder" / "jupyterhub_config.py"
PASSWORD = uuid.uuid4().hex
PORTS = 5
"""The Hub takes its port and those after it."""
SECONDS = 240
PATIENCE = 1000 * SECONDS
KERNEL_MESSAGE = {"username": "", "version": "5.3", "session": uuid.uuid4().hex, "date": ""}
CLUSTER = "import tasoc_kit as tk; cluster = tk.start_cluster(workers=1); cluster.dashboard_link"


def free_ports() -> int:
    """Return the first of ports in a row that were free a moment ago."""
    for first in range(21000, 29000, PORTS):
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for port in range(first, first + PORTS):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports in a row on loopback")


@dataclass
class Hub:
    """A Hub on loopback, which can be started again."""

    url: str
    folder: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start it, and wait until its proxy leads to it."""
        command = [sys.executable, "-m", "jupyterhub", "-f", str(CONFIG)]
        with (self.folder / "log").open("ab") as log:
            place = {"cwd": self.folder, "env": self.environment}
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, **place))
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self.processes[-1].poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(self.place, timeout=1) as visit:
                visit.sendall(b"GET /hub/api HTTP/1.0\r\n\r\n")
                if b"200 OK" in visit.recv(100):
                    return
            time.sleep(0.2)
        pytest.fail(f"the Hub did not start: {(self.folder / 'log').read_text()[-3000:]}")

    @property
    def place(self) -> tuple[str, int]:
        """Host and port of the proxy."""
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 80)

    def end(self, number: signal.Signals) -> None:
        """End the Hub itself by a signal."""
        self.processes[-1].send_signal(number)
        self.processes[-1].wait(timeout=SECONDS)

    def servers(self) -> dict[str, psutil.Process]:
        """Return the running servers of the users, by name."""
        with contextlib.closing(sqlite3.connect(self.folder / "hub" / "hub.sqlite")) as rows:
            found = rows.execute(
                "SELECT users.name, spawners.state FROM spawners JOIN users ON users.id = spawners.user_id "
                "WHERE spawners.server_id IS NOT NULL"
            ).fetchall()
        return {name: psutil.Process(json.loads(state)["pid"]) for name, state in found}


def has_word(process: psutil.Process, word: str) -> bool:
    """Tell whether a word is on the command line of a process; one that has just ended has none."""
    try:
        return word in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Iterator[Hub]:
    """A Hub whose shared store holds light curves; it and all that it started ends with the module."""
    if not shutil.which("configurable-http-proxy"):
        pytest.skip("Hub: no configurable-http-proxy; install it: npm install -g configurable-http-proxy")
    folder = tmp_path_factory.mktemp("hub")
    (folder / "shared" / "empty").mkdir(parents=True)
    places = {"TASOC_STORE": str(folder / "shared" / "store"), "TASOC_CACHE": str(session_cache)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in places.items():
            patch.setenv(name, value)
        settings.cache_clear()
        reference = data.make_reference(data.make_cube(24, 128, 128), 12)
        apertures = data.make_apertures(reference, 12)
        for product in (reference, apertures, data.make_light_curves(apertures)):
            store.write_product(product)
    settings.cache_clear()
    hub = Hub(
        f"http://127.0.0.1:{free_ports()}",
        folder,
        {name: value for name, value in os.environ.items() if not name.startswith(("TASOC_", "JUPYTER"))}
        | places
        | {"TASOC_HUB_PASSWORD": PASSWORD, "TASOC_HUB_FOLDER": str(folder / "hub")},
    )
    hub.environment["TASOC_HUB_URL"] = hub.url
    try:
        hub.start()
        yield hub
    finally:
        services = [one for one in psutil.Process().children(recursive=True) if has_word(one, "--prefix")]
        for server in hub.servers().values():
            server.terminate()
            server.wait(timeout=SECONDS)
        hub.end(signal.SIGTERM)
        gone, left = psutil.wait_procs(services, timeout=SECONDS)
        assert gone
        assert left == []


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        opened.close()


def log_in(asked: APIRequestContext, hub: Hub, name: str, password: str) -> APIResponse:
    """Send the form of the Hub's first page, as a browser does, and return the answer."""
    asked.get(f"{hub.url}/hub/login")
    (xsrf,) = [c["value"] for c in asked.storage_state()["cookies"] if c["name"] == "_xsrf"]
    form = {"username": name, "password": password, "_xsrf": xsrf}
    return asked.post(f"{hub.url}/hub/login?_xsrf={xsrf}", form=form, max_redirects=0)


@pytest.fixture(scope="module")
def ada(browser: Browser, hub: Hub) -> Iterator[BrowserContext]:
    """The browser of a user who has logged in and whose server runs."""
    context = browser.new_context(viewport=WINDOW)
    assert log_in(context.request, hub, "ada", PASSWORD).status == 302
    deadline = time.monotonic() + SECONDS
    while not context.request.get(f"{hub.url}/hub/spawn").url.startswith(f"{hub.url}/user/ada/"):
        assert time.monotonic() < deadline, (hub.folder / "log").read_text()[-3000:]
        time.sleep(1)
    yield context
    context.close()


@pytest.fixture
def heard(ada: BrowserContext) -> Iterator[list[str]]:
    """What the browser complained of, and what it asked of others, while the test ran."""
    heard: list[str] = []

    def console(said: Any) -> None:
        if said.type == "error":
            heard.append(said.text)

    def request(asked: Any) -> None:
        parts = urlsplit(asked.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            heard.append(asked.url)

    ada.on("console", console)
    ada.on("request", request)
    yield heard
    ada.remove_listener("console", console)
    ada.remove_listener("request", request)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong password"),
        ("ada", ""),
        ("../eve", PASSWORD),
        ("Eve; ls", PASSWORD),
        (40 * "e", PASSWORD),
    ],
    ids=range(5),
)
def test_a_wrong_password_and_a_name_that_is_a_path_are_refused(browser, hub, name, password):
    context = browser.new_context()
    answer = log_in(context.request, hub, name, password)
    assert answer.status in (400, 403)
    assert "Traceback" not in answer.text()
    assert not password or password not in (hub.folder / "log").read_text()
    sent_away = context.request.get(f"{hub.url}/user/ada/tasoc/")
    assert "/hub/login" in sent_away.url
    assert hub.servers() == {}
    assert not (hub.folder / "hub" / "users").exists()
    context.close()


def load(
    monkeypatch: pytest.MonkeyPatch, folder: Path, checkout: Path = CONFIG.parents[1], **environment: str
) -> Any:
    """Load the configuration as the Hub does, and return it."""
    for name, value in ({"TASOC_HUB_FOLDER": str(folder / "hub")} | environment).items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return PyFileConfigLoader(CONFIG.name, path=str(checkout / "binder")).load_config()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "TASOC_HUB_PASSWORD has 0 characters; expected 8"),
        ({"TASOC_HUB_PASSWORD": "short"}, "TASOC_HUB_PASSWORD has 5 characters; expected 8"),
        (
            {"TASOC_HUB_PASSWORD": PASSWORD, "TASOC_HUB_ADMINS": "grace"},
            "TASOC_HUB_ADMIN_PASSWORD has 0 characters; expected 32",
        ),
    ],
)
def test_a_hub_without_a_fit_password_does_not_start(monkeypatch, tmp_path, environment, said):
    with pytest.raises(SystemExit, match=said) as refused:
        load(monkeypatch, tmp_path, **environment)
    assert "short" not in str(refused.value)


def test_everything_listens_on_loopback_and_passwords_leave_the_environment(monkeypatch, tmp_path):
    passwords = {"TASOC_HUB_PASSWORD": PASSWORD, "TASOC_HUB_ADMIN_PASSWORD": 2 * PASSWORD}
    given = load(monkeypatch, tmp_path, TASOC_HUB_ADMINS="grace, joan", **passwords)
    addresses = (
        given.JupyterHub.bind_url,
        given.JupyterHub.hub_bind_url,
        given.ConfigurableHTTPProxy.api_url,
    )
    assert {urlsplit(address).hostname for address in addresses} == {"127.0.0.1"}
    assert given.Authenticator.admin_users == {"grace", "joan"}
    assert set(passwords) & set(os.environ) == set()
    assert stat.S_IMODE((tmp_path / "hub").stat().st_mode) == 0o700


def test_a_user_may_change_the_copies_of_notebooks_that_may_not_be_changed(monkeypatch, tmp_path):
    checkout = tmp_path / "checkout"
    # A site that was built, and what a notebook made that was run by hand, is not for everybody's home.
    for name in ("binder", "docs/_build", "notebooks/how_to", "notebooks/store", "notebooks/cache"):
        (checkout / name).mkdir(parents=True)
    shutil.copy(CONFIG, checkout / "binder")
    (checkout / "notebooks" / "how_to" / "01.ipynb").write_text("{}")
    (checkout / "docs" / "guide.md").write_text("# Guide")
    for path in checkout.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    given = load(monkeypatch, tmp_path, checkout, TASOC_HUB_PASSWORD=PASSWORD)
    ada = SimpleNamespace(user=SimpleNamespace(name="ada"))
    home = tmp_path / "hub" / "users" / "ada"
    for _ in range(2):
        given.Spawner.pre_spawn_hook(ada)
        brought = [home / "notebooks", *home.glob("notebooks/**/*")]
        assert len(brought) == 3
        assert all(path.stat().st_mode & stat.S_IWUSR for path in brought)
        (home / "notebooks" / "how_to" / "01.ipynb").write_text("mine")
    assert (home / "notebooks" / "how_to" / "01.ipynb").read_text() == "mine"
    assert [path.name for path in (home / "docs").iterdir()] == ["guide.md"]
    assert list(home.glob(".*")) == []


def test_what_all_share_are_services_that_ask_the_hub_who_comes(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "tasoc_kit.identity")
    monkeypatch.setenv("TASOC_DATABASE", "sqlite:////group.sqlite")
    given = load(monkeypatch, tmp_path, TASOC_HUB_PASSWORD=PASSWORD, TASOC_HUB_URL="http://127.0.0.1:9100")
    services = {service["name"]: service for service in given.JupyterHub.services}
    assert list(services) == ["dashboard", "api"]
    (role,) = given.JupyterHub.load_roles
    for name, service in services.items():
        assert f"access:services!service={name}" in role["scopes"]
        assert service["url"] in ("http://127.0.0.1:9103", "http://127.0.0.1:9104")
        assert service["url"].endswith(service["command"][service["command"].index("--port") + 1])
        assert service["environment"]["TASOC_STORE"] == str(tmp_path / "store")
        assert service["environment"]["TASOC_DATABASE"] == "sqlite:////group.sqlite"
        assert "TASOC_DATABASE" not in given.Spawner.environment
        assert not service.get("oauth_client_allowed_scopes")
    words = services["dashboard"]["command"]
    assert words[words.index("--prefix") + 1] == "/services/dashboard/"
    assert words[words.index("--origin") + 1] == "127.0.0.1:9100"
    command = typer.main.get_command(app).commands["dashboard"]
    command.make_context("tasoc", words[words.index("dashboard") + 1 :])


def test_what_the_page_installs_is_all_that_the_services_and_every_notebook_need():
    root = CONFIG.parents[1]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (ours,) = [word for word in extras["hub"] if word.startswith("tasoc-kit[")]
    given = set(ours.removeprefix("tasoc-kit[").removesuffix("]").split(","))
    (binder,) = re.findall(r"\.\[(.+)\]", (root / "binder" / "postBuild").read_text())
    assert {"api"} | set(binder.split(",")) == given
    assert "'.[hub]'" in (root / "docs" / "hub.md").read_text()


def test_services_on_a_store_that_may_not_be_written_keep_what_they_write_beside_it(monkeypatch, tmp_path):
    shared = tmp_path / "group"
    shared.mkdir()
    places = {"TASOC_STORE": str(shared / "store"), "TASOC_CACHE": str(shared / "cache")}
    monkeypatch.setattr("os.access", lambda place, mode: Path(place) != shared)
    given = load(monkeypatch, tmp_path, TASOC_HUB_PASSWORD=PASSWORD, **places)
    for service in given.JupyterHub.services:
        found = service["environment"]
        assert found["TASOC_STORE"] == str(tmp_path / "hub" / "group" / "store")
        assert found["TASOC_SHARED_STORES"] == given.Spawner.environment["TASOC_SHARED_STORES"]
        assert found["TASOC_SHARED_STORES"] == places["TASOC_STORE"]
        assert found["TASOC_CACHE"] == str(tmp_path / "hub" / "group" / "cache")
        assert found["TASOC_SHARED_CACHES"] == places["TASOC_CACHE"]
        assert found["TASOC_DATABASE"] == ""


def test_each_user_writes_to_a_store_of_their_own_and_reads_the_shared_one(hub, ada):
    assert ada.request.get(f"{hub.url}/user/ada/").url.rstrip("?") == f"{hub.url}/user/ada/lab"
    environment = hub.servers()["ada"].environ()
    home = hub.folder / "hub" / "users" / "ada"
    assert environment["HOME"] == str(home)
    assert environment["TASOC_STORE"] == str(home / "store")
    assert environment["TASOC_CACHE"] == str(home / "cache")
    assert environment["TASOC_SHARED_STORES"] == hub.environment["TASOC_STORE"]
    assert environment["TASOC_SHARED_CACHES"] == hub.environment["TASOC_CACHE"]
    assert environment["PANEL_INLINE"] == "true"
    assert PASSWORD not in str(environment)
    copied = {path.relative_to(home) for path in home.glob("notebooks/**/*.ipynb")}
    assert copied == {
        path.relative_to(CONFIG.parents[1]) for path in CONFIG.parents[1].glob("notebooks/**/*.ipynb")
    }


def test_jupyterlab_offers_the_dashboard_and_asks_nobody_for_news(hub, ada):
    (offered,) = ada.request.get(f"{hub.url}/user/ada/server-proxy/servers-info").json()["server_processes"]
    button = offered["launcher_entry"]
    assert (button["enabled"], button["title"]) == (True, "TESS dashboard")
    assert button["path_info"] == "tasoc/"
    assert "<svg" in ada.request.get(f"{hub.url}{button['icon_url']}").text()
    settings = f"{hub.url}/user/ada/lab/api/settings/@jupyterlab/apputils-extension:notification"
    news = ada.request.get(settings).json()["schema"]["properties"]["fetchNews"]
    assert news["default"] == "false"


def test_the_shared_pages_and_api_let_in_whom_the_hub_knows(hub, ada, browser, heard):
    stranger = browser.new_context()
    shared = f"{hub.url}/services/dashboard"
    assert stranger.request.get(f"{hub.url}/services/api/products").status == 401
    visit = stranger.new_page()
    visit.goto(f"{shared}/overview", timeout=PATIENCE)
    visit.get_by_role("heading", name="Sign in to see this").wait_for(timeout=PATIENCE)
    visit.get_by_role("link", name="Sign in").click()
    visit.wait_for_url(f"{hub.url}/hub/login*", timeout=PATIENCE)
    stranger.close()
    page = ada.new_page()
    page.goto(f"{shared}/sign-in", timeout=PATIENCE)
    page.wait_for_url(f"{shared}/overview", timeout=PATIENCE)
    page.get_by_role("heading", name="Overview").wait_for(timeout=PATIENCE)
    page.get_by_text("Sector 1 · camera 1 · CCD 2").first.wait_for(timeout=PATIENCE)
    assert page.get_by_text("Sign in to see this").count() == 0
    page.goto(f"{hub.url}/services/api/login?next=/services/api/products", timeout=PATIENCE)
    assert json.loads(page.locator("body").inner_text())["products"]
    page.close()
    assert heard == []


def test_the_dashboard_works_behind_the_hub_and_writes_to_the_store_of_its_user(hub, ada, heard):
    page = ada.new_page()
    page.goto(f"{hub.url}/user/ada/tasoc", timeout=PATIENCE)
    page.wait_for_selector("h1", timeout=PATIENCE)
    assert page.url == f"{hub.url}/user/ada/tasoc/"
    pages = page.get_by_role("navigation", name="Pages")
    pages.get_by_role("link", name="Light curves", exact=True).first.click()
    page.get_by_role("heading", name="TIC").wait_for(timeout=PATIENCE)
    page.locator("h1").click()
    page.keyboard.press("j")
    page.wait_for_url(
        re.compile(rf"/user/ada/tasoc/light_curves\?.*tic={data.FIRST_TIC + 1}"), timeout=PATIENCE
    )
    page.keyboard.press("r")
    page.locator("tr[data-verdict=reject]").wait_for(timeout=PATIENCE)
    home = hub.folder / "hub" / "users" / "ada"
    said = database.reviews("s0001-1-2", url=f"sqlite:///{home}/store/tasoc.sqlite")
    assert said[["tic", "verdict"]].values.tolist() == [[data.FIRST_TIC + 1, "reject"]]
    assert heard == []
    page.close()


def test_the_dashboard_of_a_user_is_behind_a_door_that_is_theirs(hub, ada):
    ada.request.get(f"{hub.url}/user/ada/tasoc/")
    (shown,) = [one for one in hub.servers()["ada"].children() if has_word(one, launcher.__name__)]
    assert shown.net_connections("inet") == []
    assert stat.S_IMODE(Path(shown.cmdline()[-1]).parent.stat().st_mode) == 0o700
    assert [name for name in ("JUPYTERHUB_API_TOKEN", PASSWORD) if name in str(shown.cmdline())] == []


@dataclass
class Kernel:
    """A kernel of a user's server, spoken to as JupyterLab does."""

    hub: Hub
    token: str
    id: str

    def run(self, code: str) -> str:
        """Run code and return the value that it ends with."""
        header = KERNEL_MESSAGE | {"msg_type": "execute_request", "msg_id": uuid.uuid4().hex}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        address = f"{self.hub.url.replace('http', 'ws')}/user/ada/api/kernels/{self.id}/channels"
        socket = websocket.create_connection(
            address, header=[f"Authorization: token {self.token}"], timeout=SECONDS
        )
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        socket.send(json.dumps(message | {"channel": "shell", "buffers": []}))
        value = ""
        while True:
            answer = json.loads(socket.recv())
            if answer["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            assert answer["msg_type"] != "error", answer["content"]
            if answer["msg_type"] == "execute_result":
                value = answer["content"]["data"]["text/plain"]
            if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
                socket.close()
                return value


@pytest.fixture(scope="module")
def kernel(ada: BrowserContext, hub: Hub) -> Kernel:
    """A kernel that runs in the server of a user."""
    (xsrf,) = [c["value"] for c in ada.cookies(f"{hub.url}/hub/") if c["name"] == "_xsrf"]
    given = ada.request.post(f"{hub.url}/hub/api/users/ada/tokens", headers={"X-XSRFToken": xsrf}).json()
    own = {"Authorization": f"token {given['token']}"}
    started = ada.request.post(f"{hub.url}/user/ada/api/kernels", headers=own, data={"name": "python3"})
    return Kernel(hub, given["token"], started.json()["id"])


def test_the_dashboard_of_dask_is_behind_the_same_address(hub, ada, kernel, heard):
    link = kernel.run(CLUSTER).strip("'")
    assert re.fullmatch(r"/user/ada/proxy/\d+/status", link)
    page = ada.new_page()
    page.goto(f"{hub.url}{link}")
    page.get_by_text("Data Transfer", exact=True).wait_for(timeout=PATIENCE)
    kernel.run("cluster.close()")
    assert heard == []
    page.close()


def test_a_hub_that_was_killed_comes_back_and_sessions_go_on(hub, ada, kernel):
    kernel.run("kept = 41")
    before = hub.servers()["ada"]
    hub.end(signal.SIGKILL)
    hub.start()
    assert hub.servers() == {"ada": before}
    assert kernel.run("kept + 1") == "42"
    assert ada.request.get(f"{hub.url}/user/ada/lab").url == f"{hub.url}/user/ada/lab"
    assert "TESS" in ada.request.get(f"{hub.url}/user/ada/server-proxy/servers-info").text()


def test_one_user_does_not_come_into_the_server_of_another(browser, hub, ada):
    context = browser.new_context()
    assert log_in(context.request, hub, "eve", PASSWORD).status == 302
    assert context.request.get(f"{hub.url}/user/ada/tasoc/").status == 403
    assert context.request.get(f"{hub.url}/hub/api/users").status == 403
    context.close()
