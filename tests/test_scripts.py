"""The scripts of figures travel packed, and once."""

from __future__ import annotations

import base64
import gzip
import queue
import re
from pathlib import Path
from urllib.parse import urlparse

import nbformat
import pytest
from tiny_pipeline import write_notebook

from tasoc_kit.pipeline.notebook import run_notebook
from tasoc_kit.pipeline.request import Place
from tasoc_kit.pipeline.scripts import LOADED, pack_scripts
from tasoc_kit.storage.folders import Folder

DRAW = (
    "import holoviews as hv\nimport panel as pn\nimport tasoc_kit as tk\ntk.plots.live()",
    "pn.pane.HoloViews(hv.Curve([1.0, 3.0, 2.0], label='drawn'))",
    "from tasoc_kit.pipeline.report import Report\nReport('tiny', 's0001-1-2', '0123456789ab')",
)
LARGEST = 1_500_000
"""Bytes of a notebook that holds the scripts once, packed."""


@pytest.fixture(scope="module")
def executed(places: queue.Queue[Place], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A notebook with one live figure, as a run leaves it."""
    here = tmp_path_factory.mktemp("scripts")
    path = write_notebook(here / "10_a.ipynb", "n: int = 1", *DRAW)
    place, folder = places.get(), Folder(str(here / "logs"))
    try:
        run_notebook(path, {}, place=place, folder=folder, log="runs/a")
    finally:
        places.put(place)
    return folder.get("runs/a.ipynb")


def test_a_packed_script_is_whole() -> None:
    script = "let a = '</script>';\n" * 1000
    message = {"header": 1, "content": {"data": {LOADED: script, "application/javascript": script}}}
    data = pack_scripts(message)["content"]["data"]
    packed = re.search(r'atob\("(.*)"\)', data["text/html"])
    assert packed is not None
    assert list(data) == ["text/html"]
    assert gzip.decompress(base64.b64decode(packed[1])).decode() == script


def test_what_holds_no_script_is_left_alone() -> None:
    for message in ({"content": {"data": {"text/plain": "1"}}}, {"content": {"wait": True}}):
        assert pack_scripts(message) is message


def test_an_executed_notebook_carries_its_scripts_once(executed: bytes) -> None:
    assert len(executed) < LARGEST
    outputs = [
        output for cell in nbformat.reads(executed.decode(), 4).cells for output in cell.get("outputs", [])
    ]
    assert not [output for output in outputs if LOADED in output.get("data", {})]


@pytest.mark.browser
def test_the_figures_of_an_exported_notebook_are_live_without_a_network(
    executed: bytes, chromium: str, tmp_path: Path
) -> None:
    from nbconvert import HTMLExporter
    from playwright.sync_api import sync_playwright

    page_file = tmp_path / "page.html"
    page_file.write_text(HTMLExporter().from_notebook_node(nbformat.reads(executed.decode(), 4))[0])
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        page = browser.new_page()
        page.route(re.compile("^https?:"), lambda route: (asked.append(route.request.url), route.abort()))
        page.goto(page_file.as_uri())
        page.locator("canvas").first.wait_for(state="attached", timeout=60_000)
        assert page.evaluate("Object.keys(Bokeh.index).length") >= 1
        browser.close()
    # The template of nbconvert asks for these itself, for formulas and for widgets that no notebook here has.
    assert {urlparse(url).hostname for url in asked} <= {"cdnjs.cloudflare.com"}
