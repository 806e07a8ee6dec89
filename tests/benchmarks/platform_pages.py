"""Pages and notebooks in headless Chromium: how soon pages of a full CCD stand, and what is wrong with them.

Two CCDs of 2078 × 2136 pixels with 20,000 stars: one that the pipeline made from 16 simulated frames, for
the pages of pixels, and one of drawn numbers with the 1,300 cadences of a sector, for the pages of stars; the
list of giants has 600. A page is there when its first picture is drawn: a canvas has the size that it keeps,
and something is on it. Each page is opened in a new context, so nothing is taken from a cache of the browser.
As of the other rows of the platform, the browser runs on the same two cores as the server.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import xarray as xr
from claims import Claim, Row, print_rows, scratch_folder
from lab_notebooks import ALLOWED, execute_all, lab
from loopback import served_by

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dashboard_data as data  # noqa: E402  of the tests

CLAIMS = {
    "page_first_s": Claim("s", most=3.0),
    "page_change_s": Claim("s", most=1.0),
    "frame_change_s": Claim("s", most=0.3),
    "page_errors": Claim("", most=0),
    "page_external_requests": Claim("", most=0),
    "axe_serious": Claim("", most=0),
}
ROWS, COLUMNS, STARS, CADENCES, FRAMES = 2078, 2136, 20_000, 1300, 16
GIANTS = 600
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
WINDOW = {"width": 1280, "height": 900}
PATIENCE, LOOK = 60_000, 50
"""Milliseconds: for a page at most, and between two looks at its pictures, which take time of the browser."""
WARM, SETTLE = 20, 1500
"""Seconds for the server to import all pages; milliseconds for a page to draw the rest."""
WORDS = ("overview", "runs")
"""Pages whose first picture are words."""
OF_PIXELS = ("sky", "psf", "apertures")
"""Pages of what only the pipeline makes."""
OF_A_CCD = ("ccd", "validation", "light_curves", "corrections")
"""Pages that both CCDs have."""
WALKED = ("light_curves", "corrections", "spectrum", "variability")
"""Pages on which the key j shows the next star."""
DRAWN_UNIT, MADE_UNIT = "s0001-1-2", "s0003-1-2"
UPSTREAM = {"aria-progressbar-name", "empty-heading", "heading-order", "region"}
"""Faults of the widget library, which these pages do not make; see ``test_browser.py``."""

FIRST_PICTURE = """() => {
  const canvases = (root) => [...root.querySelectorAll('*')].flatMap((e) => [
    ...(e.tagName === 'CANVAS' ? [e] : []), ...(e.shadowRoot ? canvases(e.shadowRoot) : [])])
  const drawn = (canvas) => {
    if (!(canvas.width > 40 && canvas.height > 40)) return false
    const small = document.createElement('canvas')
    small.width = small.height = 24
    const pen = small.getContext('2d')
    pen.drawImage(canvas, 0, 0, 24, 24)
    const { data } = pen.getImageData(0, 0, 24, 24)
    return new Set(new Uint32Array(data.buffer)).size > 3
  }
  return canvases(document).some(drawn)
}"""
"""Tells whether a canvas of the page has more on it than one colour."""

CHANGE = """async (key) => {
  const canvases = (root) => [...root.querySelectorAll('*')].flatMap((e) => [
    ...(e.tagName === 'CANVAS' ? [e] : []), ...(e.shadowRoot ? canvases(e.shadowRoot) : [])])
  const small = document.createElement('canvas')
  small.width = small.height = 48
  const pen = small.getContext('2d', { willReadFrequently: true })
  const print = () => canvases(document).filter((c) => c.width > 40 && c.height > 40).map((c) => {
    pen.clearRect(0, 0, 48, 48)
    pen.drawImage(c, 0, 0, 48, 48)
    return pen.getImageData(0, 0, 48, 48).data.reduce((sum, v, i) => (sum * 31 + v * (i % 7 + 1)) >>> 0, 7)
  }).join()
  let shown = print(), changed = null
  const begun = performance.now()
  document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, composed: true }))
  for (;;) {
    await new Promise((done) => setTimeout(done, LOOK))
    const now = performance.now(), seen = print()
    if (seen !== shown) { shown = seen; changed = now }
    if (changed !== null && now - changed > 500) return (changed - begun) / 1000
    if (now - begun > 20000) return NaN
  }
}""".replace("LOOK", str(LOOK))
"""Presses a key and returns the seconds until the last picture that it changes is drawn."""


def _many(dataset: xr.Dataset, stars: int) -> xr.Dataset:
    """Return a product with its stars repeated under other numbers, never one below itself in the list."""
    picked = np.arange(stars) % (dataset.sizes["star"] - 1)
    tic = ("star", data.FIRST_TIC + np.arange(stars, dtype=np.int64))
    many = dataset.isel(star=picked).assign_coords(tic=tic)
    ordered = {"detection_probability": ("star", np.linspace(1.0, 0.9, stars))}
    return many.assign({name: values for name, values in ordered.items() if name in many})


def make_store() -> None:
    """Write the products of a CCD with drawn numbers to the store of this process."""
    from tasoc_kit import store

    for product in data.make_variables():
        store.write_product(product)
    for product in data.make_giants():
        store.write_product(_many(product, GIANTS))
    reference = _whole(data.make_reference(data.make_cube()))
    apertures = data.make_apertures(reference, STARS)
    curves = data.make_light_curves(apertures, CADENCES)
    for product in (reference, apertures, curves, data.make_validation(curves)):
        store.write_product(product)
    for product in data.make_corrections(curves):
        more = {"variability": ("star", np.ones(STARS))} if product.attrs["product"] == "diagnostics" else {}
        store.write_product(product.assign(more))


def _whole(reference: xr.Dataset) -> xr.Dataset:
    """Return a reference of full size: 20,000 stars on it would take minutes to draw one by one."""
    table = data.make_stars(STARS, ROWS, COLUMNS)
    image = np.random.default_rng(3).normal(0, 1, (ROWS, COLUMNS))
    steps = [(i, j) for i in range(-4, 5) for j in range(-4, 5)]
    row = np.round(table["star_row"][1]).astype(int) - data.FIRST_ROW
    column = np.round(table["star_column"][1]).astype(int) - data.FIRST_COLUMN
    level = 10 ** (-0.4 * (table["tmag"][1] - 20.45)) / 8
    for i, j in steps:
        inside = (row + i >= 0) & (row + i < ROWS) & (column + j >= 0) & (column + j < COLUMNS)
        np.add.at(
            image, ((row + i)[inside], (column + j)[inside]), (level * np.exp(-(i**2 + j**2) / 2))[inside]
        )
    place = {
        "row": (data.FIRST_ROW + np.arange(ROWS)).astype(np.int32),
        "column": (data.FIRST_COLUMN + np.arange(COLUMNS)).astype(np.int32),
    }
    both = ("row", "column")
    return xr.Dataset(
        {
            "reference": (both, image.astype(np.float32)),
            "star_mask": (both, image > 10),
            "saturated": (both, image > 5e4),
        },
        coords=place, attrs=reference.attrs,
    )  # fmt: skip


def run_pipeline(folder: Path) -> None:
    """Write some FFIs of full size, and let the pipeline make all it makes of them."""
    from tasoc_kit.simulation import write_sector

    write_sector(
        folder, sector=3, rows=2048, columns=2048, frames=FRAMES, star_density=float(STARS), faint_limit=15.0,
        variables=False, asteroid=False,
    )  # fmt: skip
    command = ["tasoc", "run", "photometry", "--cube", str(folder), "--workers", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "tasoc_kit.cli", *command[1:]], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


@contextmanager
def served(place: Path) -> Iterator[str]:
    """Serve the pages as ``tasoc dashboard`` does; give their address when all is imported."""
    words = [sys.executable, "-m", "tasoc_kit.cli", "dashboard", "--port"]
    with served_by(lambda port: [*words, str(port)], place) as address:
        time.sleep(WARM)
        yield address


class Visits:
    """Pages opened one after another, and what was heard of them."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.faults: list[str] = []

    @contextmanager
    def open(self, slug: str, picture: bool) -> Iterator[tuple[Any, float]]:
        """Open a page in a new context; give it with the seconds to its first picture, or first words."""
        context = self.browser.new_context(viewport=WINDOW)
        page = context.new_page()
        page.route("**/*", self._local_only)
        page.on("pageerror", lambda error: self.errors.append(f"{slug}: {error}"))
        page.on("console", partial(self._hear, slug))
        begun = time.monotonic()
        page.goto(f"{self.address}/{slug}", wait_until="commit")
        if picture:
            page.wait_for_function(FIRST_PICTURE, timeout=PATIENCE, polling=LOOK)
        else:
            page.locator("h1").first.wait_for(timeout=PATIENCE)
        took = time.monotonic() - begun
        page.wait_for_timeout(SETTLE)
        yield page, took
        context.close()

    def _hear(self, slug: str, said: Any) -> None:
        if said.type == "error" and not any(words in said.text for words in ALLOWED):
            self.errors.append(f"{slug}: {said.text}")

    def _local_only(self, route: Any) -> None:
        if urlparse(route.request.url).hostname in ("127.0.0.1", None):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def look_for_faults(self, page: Any, slug: str) -> None:
        """Count the serious faults in access that these pages make."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(page).response["violations"]
        self.faults += [
            f"{slug}: {one['id']}"
            for one in found
            if one["impact"] in ("serious", "critical") and one["id"] not in UPSTREAM
        ]


def _asked(slugs: list[str]) -> Iterator[str]:
    """Give every page once, and those of a CCD for both."""
    for slug in slugs:
        if slug == "star":
            yield f"{slug}?tic={data.FIRST_TIC + 1}"
        elif slug in OF_PIXELS:
            yield f"{slug}?unit={MADE_UNIT}"
        elif slug in OF_A_CCD:
            yield from (f"{slug}?unit={unit}" for unit in (DRAWN_UNIT, MADE_UNIT))
        else:
            yield slug


def open_notebooks(visits: Visits, names: list[str]) -> None:
    """Open each executed notebook in JupyterLab and see that its headings are there."""
    for name in names:
        with visits.open(f"lab/tree/{name}?reset", False) as (_page, took):
            print(f"  {name:<40} open in {took:5.2f} s", flush=True)


def measure(visits: Visits) -> dict[str, float]:
    """Open every page once, and change the star and the frame where there is one."""
    from tasoc_kit.dashboards.page_list import pages

    first, change, frame = {}, {}, {}
    for asked in _asked(list(pages())):
        slug = asked.split("?")[0]
        with visits.open(asked, slug not in WORDS) as (page, took):
            first[asked] = took
            visits.look_for_faults(page, asked)
            if slug in WALKED:
                change[asked] = float(np.median([page.evaluate(CHANGE, key) for key in "jjkjj"]))
            elif slug == "frames":
                frame[asked] = float(
                    np.median([page.evaluate(CHANGE, "ArrowRight") for _ in range(FRAMES - 2)])
                )
        told = f", another star {change[asked]:.2f} s" if asked in change else ""
        told += f", another frame {frame[asked]:.2f} s" if asked in frame else ""
        print(f"  {asked:<32} first {took:5.2f} s{told}", flush=True)
    return {
        "page_first_s": max(first.values()),
        "page_change_s": max(change.values()),
        "frame_change_s": max(frame.values()),
    }


def rows(scratch: Path) -> list[Row]:
    """Return the rows of the pages, measured in a folder with 2 GB of room."""
    from playwright.sync_api import sync_playwright

    from tasoc_kit.config import settings
    from tasoc_kit.doctor import find_chromium

    place = scratch / "pages"
    place.mkdir(parents=True, exist_ok=True)
    before = {name: os.environ.get(name) for name in ("TASOC_STORE", "TASOC_DATABASE")}
    os.environ |= {"TASOC_STORE": str(place / "store"), "TASOC_DATABASE": ""}
    settings.cache_clear()
    try:
        if not (place / "store").exists():
            make_store()
            run_pipeline(place / "frames")
        names = execute_all(place / "notebooks")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
            with served(place) as address:
                visits = Visits(browser, address)
                values = measure(visits)
            with lab(place / "notebooks", names) as visits.address:
                open_notebooks(visits, names)
            browser.close()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        settings.cache_clear()
    for line in [*visits.errors, *visits.outside, *visits.faults]:
        print(f"  {line}", flush=True)
    values |= {
        "page_errors": len(visits.errors),
        "page_external_requests": len(visits.outside),
        "axe_serious": len(visits.faults),
    }
    return [Row(name, values[name], claim) for name, claim in CLAIMS.items()]


if __name__ == "__main__":
    with scratch_folder("pages", None if len(sys.argv) < 2 else Path(sys.argv[1]), 2) as folder:
        measured = rows(folder)
        print_rows("platform_pages", CLAIMS, set(CLAIMS), {row.name: row.value for row in measured})
