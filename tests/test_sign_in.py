"""Claims about the server of the pages: how a browser signs in, what answers carry and the log does not."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import websocket
from running_api import running_api

from tasoc_kit.records import tokens

PATIENCE = 60


@dataclass
class Pages:
    """Pages that are served: ``url`` with a slash at its end, and what their log says."""

    url: str
    log: Path

    def ask(self, path: str, **options: object) -> requests.Response:
        return requests.get(self.url + path, allow_redirects=False, timeout=PATIENCE, **options)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    folder = tmp_path_factory.mktemp("pages")
    places = {"TASOC_STORE": str(folder / "store"), "TASOC_DATABASE": f"sqlite:///{folder / 'tables.sqlite'}"}
    log = folder / "log"
    command = [sys.executable, "-m", "tasoc_kit.cli", "dashboard", "--port", "0"]
    with log.open("w") as lines:
        process = subprocess.Popen(
            command, env=os.environ | places, stdout=subprocess.PIPE, stderr=lines, text=True, cwd=folder
        )
    try:
        yield Pages(re.search(r"http://[^ ]+/", process.stdout.readline())[0], log)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
        process.stdout.close()


@pytest.fixture
def token(pages, monkeypatch) -> str:
    monkeypatch.setenv("TASOC_DATABASE", f"sqlite:///{pages.log.parent / 'tables.sqlite'}")
    from tasoc_kit.config import settings

    settings.cache_clear()
    return tokens.make_token("ada", "write")


def test_no_other_site_shows_a_page_inside_of_its_own(pages):
    for path in ("overview", "static/js/bokeh.min.js", "sign-in", "nothing"):
        headers = pages.ask(path).headers
        assert headers["content-security-policy"] == "frame-ancestors 'self'"
        assert headers["x-content-type-options"] == "nosniff"


def test_a_token_that_is_refused_is_in_no_log(pages, token):
    assert pages.ask(f"sign-in?token={token}").status_code == 302
    assert pages.ask(f"sign-in?token={token[:-1]}").status_code == 403
    assert pages.ask("oauth_callback?code=a-secret-code&state=-").status_code == 403
    deadline = time.monotonic() + PATIENCE
    while "/oauth_callback" not in pages.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    written = pages.log.read_text()
    assert "403 GET /sign-in (" in written
    assert "a-secret-code" not in written
    assert token[6:-1] not in written


def test_a_cookie_is_for_this_server_and_its_way_alone(pages, token):
    plain = pages.ask(f"sign-in?token={token}").headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(plain.split("; "))
    assert "Secure" not in plain
    for said in ("https", "https,http"):
        headers = {"X-Forwarded-Proto": said}
        assert "Secure" in pages.ask(f"sign-in?token={token}", headers=headers).headers["set-cookie"]


def test_who_signs_in_at_the_api_of_the_same_host_stays_signed_in_at_the_pages(pages, token, tmp_path):
    environment = {"TASOC_STORE": str(tmp_path), "TASOC_DATABASE": os.environ["TASOC_DATABASE"]}
    browser = requests.Session()
    browser.get(f"{pages.url}sign-in", params={"token": token}, allow_redirects=False, timeout=PATIENCE)
    before = browser.cookies.get_dict()
    with running_api(tmp_path, environment=environment, known={}) as api:
        browser.get(f"{api.url}/login", params={"token": token}, allow_redirects=False, timeout=PATIENCE)
    after = browser.cookies.get_dict()
    assert before.items() < after.items()


def test_a_page_holds_nothing_that_a_browser_shows_to_other_servers(pages, token):
    session = re.search('tasoc-pages="?([^";]+)', pages.ask(f"sign-in?token={token}").headers["set-cookie"])
    headers = {
        "Cookie": f"tasoc-pages={session[1]}; other=a-secret-of-others",
        "Authorization": "Basic eDp5",
    }
    page = pages.ask("overview", headers=headers).text
    payload = _unpacked(json.loads(_decoded(re.search(r'"token":"([^".]+)', page)[1])))
    assert payload["cookies"] == {"tasoc-pages": session[1]}
    assert list(payload["headers"]) == ["User-Agent"]


def _unpacked(token: dict[str, str]) -> dict[str, dict[str, str]]:
    return json.loads(zlib.decompress(_decoded(token["__bk__zlib_"])))


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_page_of_another_site_opens_no_line_to_a_page(pages):
    where = f"ws{pages.url.removeprefix('http')}overview/ws"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            websocket.create_connection(where, origin=origin, subprotocols=["bokeh", "x"], timeout=PATIENCE)
