"""The pages and the live notebooks as a person meets them: in a real browser, without a network."""

from __future__ import annotations

import contextlib
import html
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import dashboard_data as data
import nbformat
import pytest
import requests
from bokeh.client import pull_session

from tasoc_kit import dashboards, database, store
from tasoc_kit.config import settings
from tasoc_kit.dashboards import page_list
from tasoc_kit.exports.validation_page import validation_markup
from tasoc_kit.identity import PAGES_COOKIE
from tasoc_kit.photometry.diagnostics import make_diagnostics
from tasoc_kit.photometry.psf import fit_psf
from tasoc_kit.records.jobs import get_job, list_jobs
from tasoc_kit.records.tokens import make_token, revoke_token

pytestmark = pytest.mark.browser

WINDOW = {"width": 1280, "height": 900}
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
PATIENCE = 60_000
SHOWN = re.compile("Pixel at|TIC")
"""How the heading over the series of a pixel or a star begins."""

# What the widget library itself does; each is one element that these pages do not make.
UPSTREAM = {
    "aria-progressbar-name": "the line that shows work in progress has no name",
    "empty-heading": "the bar measures its height with an empty heading",
    "heading-order": "that empty heading is of the fifth level",
    "region": "the layer for pop-ups lies outside the landmarks",
}


@dataclass
class Visit:
    """One open page and what was heard while it was."""

    page: Any
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def go(self, url: str, wait_for: str) -> None:
        self.page.goto(url)
        self.page.wait_for_selector(wait_for, timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """A page that cannot reach anything but this machine, and remembers each attempt."""
    page = browser.new_page(viewport=WINDOW)
    visit = Visit(page)

    def local_only(route: Any) -> None:
        if urlparse(route.request.url).hostname in ("127.0.0.1", None):
            route.continue_()
        else:
            visit.outside.append(route.request.url)
            route.abort()

    page.route("**/*", local_only)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("console", lambda said: visit.errors.append(said.text) if said.type == "error" else None)
    yield visit
    page.close()


def start(command: list[str], place: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start a server whose words go to a file."""
    with (place / "server.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment, cwd=place)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(server: subprocess.Popen[bytes], port: int, place: Path) -> None:
    """Return when something listens on the port; fail with the server's words when nothing does."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail(f"the server did not start: {(place / 'server.log').read_text()[-2000:]}")


@contextlib.contextmanager
def served(place: Path, **environment: str) -> Iterator[str]:
    """Serve the pages, on a store, as long as the context lasts."""
    port = free_port()
    code = f"from tasoc_kit.dashboards.app import serve; serve(port={port})"
    server = start([sys.executable, "-c", code], place, **environment)
    try:
        wait(server, port, place)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Iterator[tuple[str, str]]:
    """The address of the served pages, and the store they show."""
    place = tmp_path_factory.mktemp("dashboard")
    environment = {"TASOC_STORE": str(place / "store"), "TASOC_CACHE": str(session_cache)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings.cache_clear()
        cube = data.make_cube(24, 128, 128)
        reference = data.make_reference(cube, 40)
        apertures = data.make_apertures(reference, 40)
        curves = data.make_light_curves(apertures)
        for product in data.make_variables():  # first, for pages open on what was made last
            store.write_product(product)
        validation = data.make_validation(curves)
        others = data.make_psf_light_curves(curves, apertures)
        for product in (reference, apertures, curves, others, validation):
            store.write_product(product)
        for product in (*data.make_corrections(curves), *data.make_giants()):
            store.write_product(product)
        made = {"id": reference.attrs["provenance_id"], "parameters": {"frames": 24}}
        database.finish_run(database.start_run("photometry", "12_reference", "s0001-1-2", **made), "done")
    settings.cache_clear()
    with served(place, **environment) as address:
        yield address, environment["TASOC_STORE"]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the pages on an empty store."""
    place = tmp_path_factory.mktemp("empty")
    with served(place, TASOC_STORE=str(place / "store")) as address:
        yield address


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, session_cache: Path, sector: Any) -> Iterator[str]:
    """The address of the pages on a store that holds all products of a simulated sector."""
    place = tmp_path_factory.mktemp("measured")
    environment = {"TASOC_STORE": str(place / "store"), "TASOC_CACHE": str(session_cache)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        settings.cache_clear()
        for name in (
            "quality",
            "pointing",
            "reference",
            "stars",
            "apertures",
            "stream",
            "sky",
            "light_curves",
        ):
            store.write_product(getattr(sector, name))
        store.write_product(fit_psf(sector.reference, sector.apertures, shape="nominal"))
        store.write_product(make_diagnostics(sector.light_curves, sector.apertures, sector.quality))
        unit = store.product_unit(sector.light_curves)
        run = database.start_run(
            "photometry", "18_light_curves", unit,
            id=sector.light_curves.attrs["provenance_id"], parameters={"cube": str(sector.folder)},
        )  # fmt: skip
        database.finish_run(run, "made")
    settings.cache_clear()
    with served(place, **environment) as address:
        yield address


@pytest.mark.parametrize(
    ("address", "canvases"),
    [
        ("", 0),
        ("overview", 0),
        ("runs", 0),
        ("frames", 2),
        (f"validation?tic={data.FIRST_TIC + 1}", 8),
        ("star", 0),
        (f"star?tic={data.FIRST_TIC + 1}", 1),
    ],
)
def test_a_page_is_complete_accessible_and_asks_nothing_outside(visit, dashboard, address, canvases):
    complete(visit, f"{dashboard[0]}/{address}", canvases)


def test_a_page_of_pixels_is_drawn_without_a_warning(visit, dashboard):
    visit.go(f"{dashboard[0]}/frames", "canvas")
    log = Path(dashboard[1]).with_name("server.log").read_text()
    assert "W-1005" not in log


@pytest.mark.parametrize(
    ("slug", "asked", "said"),
    [
        ("light_curves", {"tic": "☃"}, "is no TIC number"),
        ("validation", {"tic": "' OR 1=1 --"}, "is no TIC number"),
        ("corrections", {"tic": "9" * 40}, "is no TIC number"),
        ("light_curves", {"tic": "12"}, "No TIC 12 here"),
        ("spectrum", {"tic": "12x"}, "is no TIC number"),
        ("variability", {"unit": "s9999-9-9"}, "No classes of variable stars of this"),
        ("apertures", {"id": "../../etc"}, "No apertures of this"),
        ("frames", {"cube": "simulation.tiny", "sector": "one", "tic": "<script>"}, "Pixel at"),
        ("star", {"tic": "' OR 1=1 --"}, "Not in the store"),
        ("overview", {"unit": "<script>"}, "No CCD is called &#x27;&lt;script&gt;"),
        ("runs", {"run": "' OR 1=1 --"}, "There is no run with run"),
    ],
)
def test_what_an_address_asks_for_and_the_store_has_not_is_said(dashboard, slug, asked, said):
    def pull() -> str:
        page_list.pages()[slug].load()  # so that the parts of the page are known here
        requests.get(f"{dashboard[0]}/overview", timeout=PATIENCE / 1000)  # a server that starts is slow
        session = pull_session(url=f"{dashboard[0]}/{slug}", arguments=asked)
        try:
            texts = [getattr(model, "text", "") for model in session.document.models]
        finally:
            session.close()
        return " ".join(html.unescape(text) for text in texts if isinstance(text, str))

    with ThreadPoolExecutor(1) as beside:  # the browser has the event loop of this thread
        told = html.unescape(beside.submit(pull).result())
    assert html.unescape(said) in told
    assert "This page failed" not in told


@pytest.mark.parametrize("asked", ["tic=²", f"id={'9' * 5000}"])
def test_an_address_that_cannot_be_read_is_answered_in_words(dashboard, asked):
    answer = requests.get(f"{dashboard[0]}/light_curves?{asked}", timeout=PATIENCE / 1000)
    assert (answer.status_code, "this address cannot be read" in answer.text) == (400, True)


@pytest.mark.parametrize(("address", "title"), [("", "Overview"), ("psf", "PSF"), ("ccd?tic=12", "CCD")])
def test_every_page_has_a_title_of_its_own(dashboard, address, title):
    answer = requests.get(f"{dashboard[0]}/{address}", timeout=PATIENCE / 1000)
    assert f"<title>{title} · tasoc_kit</title>" in answer.content.decode()


def test_a_page_says_when_its_server_is_gone(visit, tmp_path):
    with served(tmp_path, TASOC_STORE=str(tmp_path / "store")) as address:
        visit.go(f"{address}/overview", "h1")
        visit.page.wait_for_function("window.Bokeh?.documents[0]?.is_idle", timeout=PATIENCE)
        said = visit.page.get_by_role("alert").get_by_text("The server cannot be reached")
        assert said.count() == 0
    said.wait_for(timeout=PATIENCE)
    assert visit.page.get_by_role("button", name="Load the page again").is_visible()


def test_a_page_ends_with_the_token_that_opened_it(visit, tmp_path):
    url, closed = f"sqlite:///{tmp_path / 'tables.sqlite'}", "Sign in to see this"
    token = make_token("ann", "read", url=url)
    with served(tmp_path, TASOC_STORE=str(tmp_path), TASOC_DATABASE=url, TASOC_PUBLIC="none") as address:
        visit.go(f"{address}/sign-in?token={token}", "h1")
        visit.page.wait_for_function("window.Bokeh?.documents[0]?.is_idle", timeout=PATIENCE)
        assert visit.page.get_by_text(closed).count() == 0
        revoke_token(1, url=url)
        visit.page.get_by_text(closed).wait_for(timeout=PATIENCE)
    assert visit.errors == []


def test_a_run_is_started_again_by_who_signed_in(visit, dashboard):
    address, place = dashboard
    url, page = f"sqlite:///{place}/tasoc.sqlite", visit.page
    token = make_token("ann", "write", url=url)
    visit.go(f"{address}/sign-in?token={token}", "h1")
    assert "token" not in page.url
    cookie = next(one for one in page.context.cookies() if one["name"] == PAGES_COOKIE)
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    visit.go(f"{address}/runs?run=1", "h1")
    page.get_by_label("frames", exact=True).fill("32")
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("region", name="Jobs").get_by_text("ready").wait_for(timeout=PATIENCE)
    (job,) = list_jobs(url=url).itertuples()
    assert (job.name, job.arguments["frames"], job.submitter) == ("12_reference", 32, "ann")
    page.get_by_role("link", name=f"job {job.job}").wait_for(timeout=PATIENCE)
    assert page.get_by_label("frames", exact=True).input_value() == "32"
    assert parse_qs(urlparse(page.url).query) == {"run": ["1"]}
    page.get_by_role("button", name=f"Cancel job {job.job}").click()
    page.get_by_role("region", name="Jobs").get_by_text("cancelled", exact=True).wait_for(timeout=PATIENCE)
    assert get_job(job.job, url=url)["message"] == "cancelled by ann"
    assert visit.errors == []


def test_a_wrong_token_opens_no_session(dashboard):
    answer = requests.get(f"{dashboard[0]}/sign-in", params={"token": "tasoc_wrong"}, timeout=30)
    assert (answer.status_code, answer.cookies.get_dict()) == (403, {})


@pytest.mark.parametrize("address", ["sky", "apertures", "psf", "ccd"])
def test_a_page_without_its_product_says_what_to_run(visit, empty, address):
    visit.go(f"{empty}/{address}", "h1")
    visit.page.get_by_text("tasoc run photometry").first.wait_for(timeout=PATIENCE)
    assert visit.errors == []


def test_the_file_of_a_validation_opens_by_itself(visit, tmp_path):
    curves = data.make_light_curves(data.make_apertures(data.make_reference(data.make_cube()), 12))
    path = tmp_path / "validation.html"
    path.write_text(validation_markup(data.make_validation(curves)))
    complete(visit, path.as_uri(), 7)


WIDTHS = (None, 1000, 360)
"""Screen pixels of the window a page was opened in, and of narrow ones: with little room, and a phone."""
RUNS_OFF = """() => {
  const found = []
  const look = (place) => {
    for (const part of place.children) {
      const { left, right, width } = part.getBoundingClientRect()
      if (part.matches("[role=region], [role=grid]")) continue  // these scroll by themselves
      const seen = part.matches(".MuiPaper-root, .bk-Figure, .bk-Legend, h1, h2, p, dl, select, button")
      if (seen && width > 0 && left < innerWidth && right > innerWidth + 1)
        found.push(`${part.tagName} ${part.className} to ${Math.round(right)}`)
      look(part)
      if (part.shadowRoot) look(part.shadowRoot)
    }
  }
  look(document.body)
  const wide = document.documentElement.scrollWidth
  return wide > innerWidth ? [...found, `the page to ${wide}`] : found
}"""
"""Names what reaches beyond the right edge of the window."""


def fits(page: Any) -> None:
    """Make the window narrow: nothing runs off, nor did it before."""
    from playwright.sync_api import TimeoutError

    for width in WIDTHS:
        if width:
            page.set_viewport_size({"width": width, "height": 900})
        with contextlib.suppress(TimeoutError):
            page.wait_for_function(f"() => ({RUNS_OFF})().length === 0", timeout=PATIENCE, polling=250)
        assert page.evaluate(RUNS_OFF) == [], f"{width} pixels"


def complete(visit: Visit, url: str, canvases: int) -> None:
    """
    Open a page, wait for its figures, and look for faults: in access, and in windows of any width.

    The window is as wide as before after it. A page costs five seconds, so a test that does something on one
    begins with this.
    """
    from axe_playwright_python.sync_playwright import Axe

    visit.go(url, "h1")
    if canvases:
        visit.page.wait_for_function(
            f"""() => {{ const count = (root) => [...root.querySelectorAll('*')].reduce(
            (n, e) => n + (e.tagName === 'CANVAS') + (e.shadowRoot ? count(e.shadowRoot) : 0), 0);
            return count(document) >= {canvases} }}""",
            timeout=PATIENCE,
        )
    visit.page.wait_for_timeout(500)
    found = {violation["id"] for violation in Axe().run(visit.page).response["violations"]}
    assert visit.page.locator("h1").count() == 1
    assert found <= set(UPSTREAM)
    fits(visit.page)
    visit.page.set_viewport_size(WINDOW)
    assert visit.outside == []
    assert visit.errors == []


FAILING = """
import asyncio
import panel as pn, panel_material_ui as pmui
from functools import partial
from tasoc_kit.dashboards import app, psf, sky, theme
from tasoc_kit.dashboards.controls import Shortcuts
from tasoc_kit.dashboards.later import on_page

def broken(*_event):
    raise ZeroDivisionError("by nought")

async def later(_event):
    document = pn.state.curdoc
    await asyncio.sleep(0)
    on_page(document, broken)

async def alone(_event):
    await asyncio.sleep(0)
    broken()

def page():
    buttons = []
    for name, call in (("Now", broken), ("Later", later), ("Alone", alone)):
        button = pmui.Button(label=name)
        button.on_click(call)
        buttons.append(button)
    return theme.make_page("psf", main=[theme.heading("Buttons"), Shortcuts({"x": broken}), *buttons])

sky.page, psf.page = broken, page
app.serve(port=PORT)
"""


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of pages that fail, and the log of their server."""
    tmp_path, port = tmp_path_factory.mktemp("failing"), free_port()
    command = [sys.executable, "-c", FAILING.replace("PORT", str(port))]
    server = start(command, tmp_path, TASOC_STORE=str(tmp_path / "store"))
    try:
        wait(server, port, tmp_path)
        yield f"http://127.0.0.1:{port}", tmp_path / "server.log"
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_a_page_that_fails_says_so_and_the_server_keeps_the_traceback(visit, failing):
    address, log = failing
    visit.go(f"{address}/sky", "h1")
    visit.page.get_by_text("ZeroDivisionError: by nought").wait_for(timeout=PATIENCE)
    assert "in broken" in log.read_text()


@pytest.mark.parametrize("way", ["Now", "Later", "Alone", "x"])
def test_what_fails_on_a_page_is_told_there_and_the_server_keeps_the_traceback(visit, failing, way):
    address, log = failing
    before = log.read_text().count("in broken")
    visit.go(f"{address}/psf", "h1")
    visit.page.get_by_role("button", name="Alone").wait_for(timeout=PATIENCE)
    if way == "x":
        visit.page.keyboard.press(way)
    else:
        visit.page.get_by_role("button", name=way).click()
    visit.page.get_by_role("alert").get_by_text("ZeroDivisionError: by nought").wait_for(timeout=PATIENCE)
    assert log.read_text().count("in broken") == before + 1


def test_a_movie_of_the_frames_is_made_and_played_in_the_page(visit, dashboard):
    page = visit.page
    visit.go(f"{dashboard[0]}/frames?cube=simulation.tiny", "canvas")
    page.get_by_role("button", name="Make a movie").click()
    page.locator("video").wait_for(timeout=PATIENCE)
    page.wait_for_function(
        "() => { const dig = (r) => [...r.querySelectorAll('*')].flatMap((e) =>"
        " [...(e.tagName === 'VIDEO' ? [e] : []), ...(e.shadowRoot ? dig(e.shadowRoot) : [])]);"
        " return dig(document).some((v) => v.readyState >= 2 && v.videoWidth > 0) }",
        timeout=PATIENCE,
    )
    with page.expect_download(timeout=PATIENCE) as download:
        page.get_by_role("button", name="mp4").click()
    assert Path(download.value.path()).read_bytes()[4:8] == b"ftyp"
    assert visit.outside == []
    assert visit.errors == []


def test_stars_are_walked_judged_and_found_by_hand(visit, dashboard):
    address, place = dashboard
    page, url = visit.page, f"sqlite:///{place}/tasoc.sqlite"
    complete(visit, f"{address}/light_curves", 3)
    page.locator("h1").click()
    page.keyboard.press("r")
    page.get_by_text("this browser may only look").wait_for(timeout=PATIENCE)
    assert database.reviews(url=url).empty
    visit.go(f"{address}/sign-in?token={make_token('ada', 'write', url=url)}", "h1")
    complete(visit, f"{address}/light_curves", 3)
    page.locator("h1").click()
    page.keyboard.press("j")
    second = f"TIC {data.FIRST_TIC + 1}"
    page.get_by_role("heading", name=second).wait_for(timeout=PATIENCE)
    page.keyboard.press("r")
    page.get_by_role("heading", name=f"TIC {data.FIRST_TIC + 2}").wait_for(timeout=PATIENCE)
    page.locator("tr[data-verdict=reject]").wait_for(timeout=PATIENCE)
    said = database.reviews("s0001-1-2", url=url)
    assert said[["tic", "verdict", "reviewer"]].values.tolist() == [[data.FIRST_TIC + 1, "reject", "ada"]]
    page.get_by_label("TIC number").fill(str(data.FIRST_TIC + 30))
    page.get_by_label("TIC number").press("Enter")
    page.wait_for_function(
        "() => { const dig = (r) => [...r.querySelectorAll('*')].reduce((n, e) =>"
        " n + (e.matches('tbody tr') ? 1 : 0) + (e.shadowRoot ? dig(e.shadowRoot) : 0), 0);"
        " return dig(document) === 1 }",
        timeout=PATIENCE,
    )
    assert visit.errors == []


def test_arrows_walk_along_buttons_and_not_to_another_star(visit, dashboard):
    page = visit.page
    visit.go(f"{dashboard[0]}/light_curves", "h1")
    page.get_by_role("heading", name=f"TIC {data.FIRST_TIC}").wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="open", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("j")
    page.get_by_role("heading", name=f"TIC {data.FIRST_TIC + 1}").wait_for(timeout=PATIENCE)
    page.wait_for_timeout(1000)
    assert page.locator("h1").inner_text() == f"TIC {data.FIRST_TIC + 1}"


def test_a_page_at_twice_its_size_leaves_the_room_to_what_it_shows(visit, dashboard):
    visit.page.set_viewport_size({side: size // 2 for side, size in WINDOW.items()})
    visit.go(f"{dashboard[0]}/light_curves", "h1")
    visit.page.get_by_role("button", name="Open drawer").wait_for(timeout=PATIENCE)


def test_the_photometry_of_a_star_is_chosen_by_key_kept_in_the_address_and_downloaded(visit, dashboard):
    page = visit.page
    visit.go(f"{dashboard[0]}/light_curves?method=PSF&tic={data.FIRST_TIC + 3}", "tbody tr")
    page.get_by_role("heading", name="Light curve · PSF photometry").wait_for(timeout=PATIENCE)
    page.get_by_text("ppm, PSF").first.wait_for(timeout=PATIENCE)
    page.get_by_label("Quantity").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowUp")
    page.get_by_role("heading", name="Light curve · aperture").wait_for(timeout=PATIENCE)
    tic = data.FIRST_TIC + 3
    said = f"unit=s0001-1-2.*tic={tic}.*method=aperture|method=aperture.*tic={tic}"
    page.wait_for_url(re.compile(said), timeout=PATIENCE)
    with page.expect_download(timeout=PATIENCE) as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    text = Path(download.value.path()).read_text()
    assert download.value.suggested_filename.startswith(f"tic{tic}-s0001-1-2-")
    assert "provenance_id" in text
    assert visit.errors == []


def test_frames_and_a_tapped_pixel_come_up_by_hand_and_by_key(visit, dashboard):
    page = visit.page
    complete(visit, f"{dashboard[0]}/frames?cube=simulation.tiny", 2)
    page.get_by_text("1 of 32").wait_for(timeout=PATIENCE)
    before = page.get_by_role("heading", name=SHOWN).first.inner_text()
    page.get_by_role("button", name="Next").first.click()
    page.get_by_text("2 of 32").wait_for(timeout=PATIENCE)
    box = page.locator("canvas").first.bounding_box()
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_timeout(1500)
    assert page.get_by_role("heading", name=SHOWN).first.inner_text() != before
    page.locator("h1").click()
    for key, place in (
        ("ArrowLeft", "1 of 32"),
        ("ArrowRight", "2 of 32"),
        ("PageDown", "12 of 32"),
        ("ArrowLeft", "11 of 32"),
    ):
        page.keyboard.press(key)
        page.get_by_text(place).wait_for(timeout=PATIENCE)
    page.keyboard.press("p")
    # A slow machine leaves out frames of what it plays.
    page.get_by_text(re.compile(r"\b(1[2-9]|2\d|3[0-2]) of 32")).wait_for(timeout=PATIENCE)
    assert visit.errors == []


@pytest.mark.parametrize(
    "address",
    ["overview", "frames?cube=simulation.tiny", "light_curves", "ccd", f"star?tic={data.FIRST_TIC + 1}"],
)
def test_a_page_is_dark_where_the_system_is_and_fits_a_phone(browser, dashboard, address):
    from playwright.sync_api import expect

    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        color_scheme="dark",
        has_touch=True,
        is_mobile=True,
        user_agent="Mozilla/5.0 (Linux; Android 14; Pixel 5) Chrome/140.0 Mobile Safari/537.36",
    )
    page = context.new_page()
    page.goto(f"{dashboard[0]}/{address}")
    page.locator("h1").wait_for(timeout=PATIENCE)
    page.wait_for_function(
        "() => { const rgb = getComputedStyle(document.querySelector('main, .main') ?? document.body)"
        ".backgroundColor.match(/[0-9]+/g).map(Number); return Math.max(...rgb.slice(0, 3)) < 60 }",
        timeout=PATIENCE,
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for choice in page.locator("select").all():
        bright = re.compile(r"rgb\(255, 255, 255\)|currentcolor", re.IGNORECASE)
        expect(choice).to_have_css("background-image", bright, timeout=PATIENCE)
    bar = page.get_by_role("navigation", name="Pages")
    assert bar.get_by_role("link").count() == 0
    bar.locator("summary").focus()
    page.keyboard.press("Enter")
    assert bar.get_by_role("link").count() == len(page_list.pages())
    context.close()


def test_the_corrections_of_a_star_are_held_against_each_other(visit, dashboard):
    page = visit.page
    complete(visit, f"{dashboard[0]}/corrections?tic={data.FIRST_TIC + 2}", 6)
    page.get_by_text("vectors ✓ best").wait_for(timeout=PATIENCE)
    page.locator("h1").click()
    page.keyboard.press("j")
    page.get_by_role("heading", name=f"TIC {data.FIRST_TIC + 3}").wait_for(timeout=PATIENCE)
    page.get_by_text("neighbours ✓ best").wait_for(timeout=PATIENCE)
    assert visit.errors == []


NUMAX = """() => {
  const walk = (view) => [view, ...(view.child_views ?? []).flatMap(walk)]
  for (const view of Object.values(Bokeh.index).flatMap(walk)) {
    const line = view.model.type === "Figure" && view.model.center.find((part) => part.editable)
    if (!line) continue
    const { left, top } = view.el.getBoundingClientRect(), frame = view.frame.bbox
    const x = left + view.frame.x_scale.compute(line.location)
    return { x, y: top + frame.top + frame.height / 2, numax: line.location }
  }
}"""
"""Where the line at νmax stands on the screen, and its frequency."""


def test_numax_is_dragged_on_the_spectrum_of_a_star(visit, dashboard):
    page = visit.page
    complete(visit, f"{dashboard[0]}/spectrum", 2)
    page.set_viewport_size({"width": 1280, "height": 1100})
    page.wait_for_timeout(500)
    before = page.evaluate(NUMAX)
    page.mouse.move(before["x"], before["y"])
    page.mouse.down()
    page.mouse.move(before["x"] - 40, before["y"], steps=6)
    page.mouse.up()
    page.get_by_text("with νmax at the line").wait_for(timeout=PATIENCE)
    assert page.evaluate(NUMAX)["numax"] < 0.8 * before["numax"]
    page.get_by_role("button", name="Back to what was measured").click()
    page.get_by_text("with νmax at the line").wait_for(state="detached", timeout=PATIENCE)
    page.wait_for_function(
        f"numax => Math.abs(({NUMAX})().numax / numax - 1) < 1e-6", arg=before["numax"], timeout=PATIENCE
    )
    assert visit.errors == []


def test_the_stars_of_a_class_are_listed_and_folded(visit, dashboard):
    page = visit.page
    complete(visit, f"{dashboard[0]}/variability", 4)
    page.get_by_label("Class", exact=True).select_option("δ Scuti or β Cephei")
    page.get_by_text("2 of 6 stars").wait_for(timeout=PATIENCE)
    page.get_by_text("δ Scuti or β Cephei · probability").wait_for(timeout=PATIENCE)
    assert visit.errors == []


def test_a_cube_that_cannot_be_opened_is_answered_in_words(visit, dashboard):
    visit.go(f"{dashboard[0]}/frames?cube=simulation.tinny", "h1")
    visit.page.get_by_text("did you mean 'simulation.tiny'").wait_for(timeout=PATIENCE)
    assert visit.errors == []


# All products of a sector


@pytest.mark.parametrize(("address", "canvases"), [("psf", 7), ("ccd", 6)])
def test_a_page_of_measured_products_is_complete_too(visit, measured, address, canvases):
    complete(visit, f"{measured}/{address}", canvases)


def test_a_star_of_a_ccd_is_found_on_its_other_pages(visit, measured):
    page = visit.page
    visit.go(f"{measured}/ccd", "h1")
    name = page.get_by_role("heading", level=2).filter(has_text="TIC").first
    name.wait_for(timeout=PATIENCE)
    same = page.get_by_role("navigation", name="The same CCD")
    same.get_by_role("link", name="PSF").click()
    page.get_by_role("heading", name="PSF ·").wait_for(timeout=PATIENCE)
    page.get_by_text("brighter and fainter star").wait_for(timeout=PATIENCE)
    assert f"tic={tic_of(page.url)}" in same.get_by_role("link", name="Apertures").get_attribute("href")
    page.locator("h1").click()
    before = tic_of(page.url)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: tic_of(url) != before, timeout=PATIENCE)
    assert visit.errors == []


def tic_of(url: str) -> str:
    """Return the number of the star in an address."""
    return parse_qs(urlparse(url).query)["tic"][0]


TICKS = """() => {
  const views = (view) => [view, ...(view.children_views?.() ?? []).flatMap(views)]
  const roots = window.Bokeh.documents.flatMap((open) => open.roots())
  const all = roots.flatMap((root) => views(window.Bokeh.index.get(root)))
  return all.filter((view) => view.model.below && view.frame).flatMap((view) => view.model.below
    .filter((axis) => axis.ticker.desired_num_ticks !== undefined)
    .map((axis) => {
      const at = views(view).find((one) => one.model === axis).tick_coords.major[0]
      const x = [...view.frame.x_scale.v_compute(at)]
      return Math.min(...x.slice(1).map((right, i) => right - x[i]))
    }))
}"""
"""The least distance of two numbers along each figure, in screen pixels."""


@pytest.mark.parametrize("width", [1280, 360])
def test_numbers_along_a_figure_do_not_run_into_each_other(visit, measured, width):
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.go(f"{measured}/psf", "h1")
    visit.page.wait_for_function(
        f"() => {{ const t = ({TICKS})(); return t.length >= 6 && Math.min(...t) > 30 }}", timeout=PATIENCE
    )


def test_another_frame_of_the_sky_comes_up_by_key(visit, measured):
    complete(visit, f"{measured}/sky", 7)
    visit.page.get_by_text("1 of 48").wait_for(timeout=PATIENCE)
    visit.page.keyboard.press("PageDown")
    visit.page.get_by_text("11 of 48").wait_for(timeout=PATIENCE)
    assert visit.errors == []


def test_a_drawn_aperture_has_its_own_light_curve(visit, measured):
    page = visit.page
    complete(visit, f"{measured}/apertures", 2)
    page.get_by_text("noise per exposure").wait_for(timeout=PATIENCE)
    before = page.get_by_text("(pipeline").first.inner_text()
    assert before.split()[0] == before.split()[-1].rstrip(")")
    page.get_by_role("button", name="Shrink").click()
    page.wait_for_function(
        "said => { const dig = (r) => [...r.querySelectorAll('*')].flatMap((e) => [e.tagName === 'DD' ?"
        " e.textContent : '', ...(e.shadowRoot ? dig(e.shadowRoot) : [])]);"
        " return !dig(document).includes(said) }",
        arg=before,
        timeout=PATIENCE,
    )
    after = page.get_by_text("(pipeline").first.inner_text()
    assert int(after.split()[0]) < int(before.split()[0])
    page.get_by_role("button", name="Fainter").click()
    page.wait_for_timeout(3000)
    with page.expect_download(timeout=PATIENCE) as download:
        page.get_by_role("button", name="Light curve and pixels").click()
    text = Path(download.value.path()).read_text()
    assert "# pixels (row, column): [[" in text
    assert len(text.splitlines()) > 48
    assert visit.errors == []


# JupyterLab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Iterator[tuple[str, Path]]:
    """The address of a JupyterLab of its own, and the folder it shows."""
    place = tmp_path_factory.mktemp("lab")
    (place / "pages").symlink_to(Path(dashboards.__file__).parent)
    port = free_port()
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={place}"),
        *("--IdentityProvider.token=", "--ServerApp.password="),
        # Its kernels hold nothing that a longer goodbye could save.
        "--KernelManager.shutdown_wait_time=1",
        *("--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
    ]
    places = {name: str(place / name) for name in ("config", "data", "runtime", "settings", "workspaces")}
    server = start(
        command,
        place,
        PANEL_INLINE="true",
        TASOC_CACHE=str(session_cache),
        TASOC_STORE=str(place / "store"),
        JUPYTER_CONFIG_DIR=places["config"],
        JUPYTER_RUNTIME_DIR=places["runtime"],
        JUPYTERLAB_SETTINGS_DIR=places["settings"],
        JUPYTERLAB_WORKSPACES_DIR=places["workspaces"],
    )
    try:
        wait(server, port, place)
        yield f"http://127.0.0.1:{port}", place
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_plots_are_live_in_jupyterlab(visit, lab):
    address, place = lab
    cells = (
        "import tasoc_kit as tk\ncube = tk.open_cube('simulation.tiny')\ntk.explore(cube)",
        "import panel as pn\npn.pane.HoloViews(tk.plots.frame(cube, 3))",
    )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata={"kernelspec": kernel}
    )
    nbformat.write(notebook, place / "live.ipynb")
    page = visit.page
    visit.go(f"{address}/lab/tree/live.ipynb?reset", ".jp-Notebook .jp-Cell")
    page.get_by_text("| Idle").wait_for(timeout=PATIENCE)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).first.click()
    page.locator(".jp-OutputArea canvas").nth(3).wait_for(state="attached", timeout=120_000)
    page.get_by_text("cadence 4697").first.wait_for(timeout=PATIENCE)
    page.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("cadence 4698").first.wait_for(timeout=PATIENCE)
    chosen = page.get_by_text("Pixel at row").first
    before = chosen.inner_text()
    box = page.locator(".jp-OutputArea canvas").first.bounding_box()
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_function(
        "before => [...document.querySelectorAll('.widget-html-content, .jupyter-widgets')].some("
        "e => e.innerText.includes('Pixel at row') && !e.innerText.includes(before))",
        arg=before[before.index("Pixel at row") :],
        timeout=PATIENCE,
    )
    assert visit.outside == []
    assert visit.errors == []


@pytest.mark.parametrize("name", ["frames", "light_curves"])
def test_a_page_opens_inside_jupyter(visit, lab, name):
    visit.go(f"{lab[0]}/panel-preview/render/pages/{name}.py", "h1")
    visit.page.get_by_role("navigation", name="Pages").get_by_text("Overview").first.wait_for(
        timeout=PATIENCE
    )
    assert visit.outside == []
    assert visit.errors == []
