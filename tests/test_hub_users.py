"""The API behind a JupyterHub: its tokens, its sign-in for browsers, and who may not come."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from conftest import free_port
from running_api import places

from tasoc_kit.records import tokens

PASSWORD, ADMIN_PASSWORD = uuid.uuid4().hex, uuid.uuid4().hex + uuid.uuid4().hex
STRANGER = uuid.uuid4().hex + uuid.uuid4().hex
SECONDS = 180
CONFIG = """
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = "{password}"
c.SharedPasswordAuthenticator.admin_password = "{admin_password}"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"chief"}}
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.services = [
    {{
        "name": "api",
        "url": "http://127.0.0.1:{api}",
        "command": ["{python}", "-m", "tasoc_kit.cli", "api", "--port", "{api}"],
        "environment": {variables},
        "oauth_no_confirm": True,
    }},
    {{"name": "stranger", "api_token": "{stranger}"}},
]
c.JupyterHub.load_roles = [{{"name": "user", "scopes": ["self", "access:services!service=api"]}}]
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a Hub that serves the API, and a token of the API itself."""
    if not shutil.which("configurable-http-proxy"):
        pytest.skip("Hub: no configurable-http-proxy; install it: npm install -g configurable-http-proxy")
    folder = tmp_path_factory.mktemp("hub")
    port = free_port()
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))))
    with places(folder) as variables:
        own = tokens.make_token("a program", "admin")
    config = folder / "config.py"
    config.write_text(
        CONFIG.format(
            port=port, hub=free_port(), proxy=free_port(), api=free_port(), folder=folder,
            python=sys.executable, password=PASSWORD, admin_password=ADMIN_PASSWORD, stranger=STRANGER,
            variables=variables | {"PYTHONPATH": path},
        )
    )  # fmt: skip
    whole = {name: value for name, value in os.environ.items() if not name.startswith(("TASOC_", "JUPYTER"))}
    log = folder / "log"
    with log.open("w") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=folder,
            env=whole,
            stdout=lines,
            stderr=lines,
        )
    try:
        wait_for_api(f"http://127.0.0.1:{port}/services/api/health", process, log)
        yield f"http://127.0.0.1:{port}", own
        written = log.read_text()
        assert own[6:] not in written
        assert not re.search(r"code=(?!\[secret\])\w{20}", re.sub(r".*ConfigProxy.*", "", written))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=SECONDS)


def wait_for_api(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the Hub leads to the API."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=30).headers.get("content-type") == "application/json":
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.3)
    pytest.fail(f"the Hub did not start: {log.read_text()[-3000:]}")


def signed_in(url: str, name: str, password: str) -> requests.Session:
    """Return the browser of somebody who signed in at the Hub."""
    browser = requests.Session()
    browser.headers["Accept"] = "text/html,*/*"
    browser.get(f"{url}/hub/login", timeout=60)
    form = {"username": name, "password": password, "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
    browser.post(f"{url}/hub/login", data=form, allow_redirects=False, timeout=60).raise_for_status()
    return browser


def token_of(url: str, browser: requests.Session, name: str) -> str:
    """Return a token that somebody made at the Hub."""
    headers = {"X-XSRFToken": browser.cookies.get("_xsrf", path="/hub/"), "Referer": f"{url}/hub/home"}
    made = browser.post(
        f"{url}/hub/api/users/{name}/tokens", json={"note": "test"}, headers=headers, timeout=60
    )
    return made.json()["token"]


def ask(url: str, path: str, token: str, **options: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.request(
        options.pop("method", "GET"), f"{url}/services/api{path}", headers=headers, timeout=60, **options
    )


def test_behind_a_hub_nobody_reads_unknown(hub):
    url, own = hub
    assert ask(url, "/products", "").status_code == 401
    assert ask(url, "/products", STRANGER).status_code == 401
    assert ask(url, "/products", "0" * 32).status_code == 401
    assert ask(url, "/products", own).status_code == 200
    assert ask(url, "/health", "").json()["parts"]["disk"]["facts"] == {}


def test_users_of_the_hub_write_and_its_admins_do_all(hub):
    url, _ = hub
    job = {"name": "17_sky", "held": True}
    users = {"alice": PASSWORD, "chief": ADMIN_PASSWORD}
    alice, chief = (token_of(url, signed_in(url, *user), user[0]) for user in users.items())
    made = ask(url, "/jobs", alice, method="POST", json=job).json()
    assert made["submitter"] == "alice"
    foreign = ask(url, "/jobs", chief, method="POST", json=job | {"name": "18_light_curves"}).json()["job"]
    assert ask(url, f"/jobs/{foreign}/cancel", alice, method="POST").status_code == 403
    assert ask(url, f"/jobs/{made['job']}/cancel", chief, method="POST").json()["state"] == "cancelled"


def test_a_browser_is_sent_to_the_hub_and_comes_back_with_a_session(hub):
    url, _ = hub
    browser = signed_in(url, "bob", PASSWORD)
    came = browser.get(f"{url}/services/api/products", timeout=60)
    assert came.status_code == 200
    assert came.json() == {"products": [], "next": None}
    steps = [urlsplit(step.url).path.removeprefix("/services/api/") for step in came.history]
    assert steps == ["products", "login", "/hub/api/oauth2/authorize", "oauth_callback"]
    cookie = next(cookie for cookie in browser.cookies if cookie.name == "tasoc-api")
    assert cookie.path == "/services/api/"
    assert cookie.has_nonstandard_attr("HttpOnly")
    again = browser.get(f"{url}/services/api/jobs", timeout=60)
    assert (again.status_code, again.history) == (200, [])
    assert browser.post(f"{url}/services/api/jobs", json={"name": "17_sky"}, timeout=60).status_code == 401


def test_the_answer_of_the_hub_is_good_once_and_for_the_browser_that_asked(hub):
    url, _ = hub
    browser = signed_in(url, "carol", PASSWORD)
    step = browser.get(
        f"{url}/services/api/login", params={"next": "//evil.example"}, allow_redirects=False, timeout=60
    )
    step = browser.get(f"{url}{step.headers['location']}", allow_redirects=False, timeout=60)
    answer = f"{url}{step.headers['location']}"
    assert {"code", "state"} <= parse_qs(urlsplit(answer).query).keys()
    assert requests.get(answer, timeout=60, allow_redirects=False).status_code == 401
    state = browser.cookies.get_dict(path="/services/api/")
    came = browser.get(answer, allow_redirects=False, timeout=60)
    assert (came.status_code, came.headers["location"]) == (303, "/services/api/docs")
    replayed = requests.get(answer, cookies=state, allow_redirects=False, timeout=60)
    assert replayed.status_code in (401, 503)
    assert "tasoc-api" not in replayed.headers.get("set-cookie", "")


def test_an_admin_of_the_hub_is_one_in_a_browser_too(hub):
    url, _ = hub
    alice = token_of(url, signed_in(url, "alice", PASSWORD), "alice")
    made = ask(url, "/jobs", alice, method="POST", json={"name": "11_pointing", "held": True}).json()["job"]
    for name, password, status in (("bob", PASSWORD, 403), ("chief", ADMIN_PASSWORD, 200)):
        browser = signed_in(url, name, password)
        browser.get(f"{url}/services/api/products", timeout=60)
        session = next(cookie.value for cookie in browser.cookies if cookie.name == "tasoc-api")
        given = json.loads(base64.urlsafe_b64decode(session.split(".")[0]))["hub"]
        assert ask(url, f"/jobs/{made}/cancel", given, method="POST").status_code == status
