"""A pipeline brings its pages with one file, here or in a package of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasoc_kit.dashboards import page_list
from tasoc_kit.dashboards import pages as ours
from tasoc_kit.dashboards.app import pages as served
from tasoc_kit.dashboards.page_list import Page, makers, pages, problems, shows
from tasoc_kit.errors import PluginError

TRANSITS = """
from tasoc_kit.dashboards.page_list import Page

PAGES = (
    Page("tces", "Events", "transit_pages:page", group="transits", product="tces", maker="find_tces",
         of_a_star=True),
)
"""
MODULE = """
from tasoc_kit.dashboards import theme

def page():
    return theme.make_page("tces", main=[theme.heading("Events of all stars")])
"""


@pytest.fixture(autouse=True)
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look for pages anew, on a path that ends where the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    page_list._found.cache_clear()
    yield
    page_list._found.cache_clear()
    page_list._LATER.clear()
    for name in ("transit_pages", "transit_list"):
        sys.modules.pop(name, None)


@pytest.fixture
def brought(tmp_path: Path) -> Callable[[str], None]:
    """Install a package that brings pages by an entry point; called with the text of its list."""

    def install(text: str) -> None:
        (tmp_path / "transit_list.py").write_text(text)
        (tmp_path / "transit_pages.py").write_text(MODULE)
        about = tmp_path / "transits-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: transits\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[tasoc_kit.pages]\ntransits = transit_list:PAGES\n")

    return install


def words(page: object) -> str:
    parts = (getattr(part, "object", "") for part in page.select())
    return " ".join(part for part in parts if isinstance(part, str))


def test_a_third_pipeline_brings_its_page_with_one_file(tmp_path, monkeypatch):
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "transits.py").write_text(TRANSITS)
    (tmp_path / "transit_pages.py").write_text(MODULE)
    monkeypatch.setattr(ours, "__path__", [*ours.__path__, str(folder)])
    assert (shows()["tces"], makers()["tces"]) == ("tces", "find_tces")
    assert list(pages())[-1] == "tces"
    assert "transit_pages" not in sys.modules
    assert "Events of all stars" in words(served()["tces"]())
    assert "href='./tces' class=group>Events</a>" in words(served()["overview"]())
    sys.modules.pop(f"{ours.__name__}.transits")


def test_another_package_brings_its_page_by_an_entry_point(brought):
    brought(TRANSITS)
    assert problems() == []
    assert "Events of all stars" in words(served()["tces"]())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("PAGES = 3", "not iterable"),
        ("PAGES = ['tces']", "holds str"),
        (TRANSITS.replace('"tces", "Events"', '"sky", "Events"'), "has this slug already"),
        (TRANSITS.replace('"tces", "Events"', '"../etc", "Events"'), "expected a slug"),
        ("raise SystemError('at import')", "at import"),
    ],
)
def test_a_broken_package_is_told_on_the_first_page_and_stops_nothing(brought, text, said):
    brought(text)
    assert "tces" not in pages()
    assert {"overview", "sky", "spectrum"} <= served().keys()
    (problem,) = problems()
    assert said in problem
    assert "Pages of other packages" in words(served()["overview"]())


def test_a_page_whose_module_is_gone_says_so(brought, tmp_path):
    brought(TRANSITS)
    (tmp_path / "transit_pages.py").unlink()
    with pytest.raises(PluginError, match="page 'tces': transit_pages:page cannot be imported"):
        pages()["tces"].load()


def test_every_page_of_ours_can_be_imported_and_names_a_step_that_there_is():
    from tasoc_kit.pipeline.plan import load_pipelines

    steps = {s.name: s.load_step().name for p in load_pipelines().values() for s in p.notebooks if s.step}
    assert {product: steps[product] for product in makers()} == makers()
    assert all(callable(page.load()) for page in pages().values())
    assert Page("a", "A", "b:c").group == "store"


def test_a_server_starts_without_importing_a_page():
    code = (
        "import sys\nfrom tasoc_kit.dashboards.app import make_server\n"
        "make_server(port=0).stop()\n"
        "print(sorted(m for m in sys.modules if m in ('tasoc_kit.dashboards.ccd', 'numba', 'datashader')))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
