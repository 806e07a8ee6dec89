"""Pages that people read say what the code does."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

import tasoc_kit as tk
from tasoc_kit.config import settings
from tasoc_kit.pipeline.plan import load_pipelines

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *sorted(f"docs/{p.name}" for p in DOCS.glob("*.md")))
RUN_HERE = ("docs/coming_from.md", "docs/guide.md", "docs/index.md", "docs/simulation.md")
"""Examples of other pages are run beside what they are about, or open files of the mission."""


@pytest.mark.parametrize("page", ["commands", "data_model", "reference"])
def test_a_page_that_is_written_from_the_code_says_what_the_code_does(page):
    render = runpy.run_path(str(DOCS / f"{page}.py"))["render"]
    assert (DOCS / f"{page}.md").read_text() == render(), f"run: .venv/bin/python docs/{page}.py"


def test_every_public_name_stands_in_the_reference():
    import tasoc_kit

    listed = re.findall(r":: tasoc_kit\.(\w+)$", (DOCS / "reference.md").read_text(), re.MULTILINE)
    assert sorted(tasoc_kit._PUBLIC) == sorted(listed)


def test_every_step_of_a_pipeline_stands_among_the_methods():
    stages = [stage for pipeline in load_pipelines().values() for stage in pipeline.notebooks]
    steps = [step.name for step in (stage.load_step() for stage in stages) if step]
    text = (DOCS / "methods.md").read_text()
    assert [name for name in steps if f"`{name}`" not in text] == []


def test_every_variable_that_is_read_stands_among_the_settings():
    """``TASOC_PROGRESS`` and ``TASOC_API`` are what our own processes tell each other."""
    code = "".join(path.read_text() for path in (REPOSITORY / "tasoc_kit").rglob("*.py"))
    read = set(re.findall(r"\"(TASOC_[A-Z_]+)\"", code)) - {"TASOC_PROGRESS", "TASOC_API"}
    listed = re.findall(r"^\| `(TASOC_[A-Z_]+)` \|", (DOCS / "architecture.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(read)


def test_every_extra_stands_in_the_guide(repository):
    extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    table = (DOCS / "guide.md").read_text().partition("| extra |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(extras)


def test_the_site_is_built_without_a_warning_and_asks_nothing_of_other_hosts(tmp_path):
    """A link within the pages, or a name in a docstring, that leads nowhere is a warning."""
    sources = tmp_path / "docs"
    shutil.copytree(DOCS, sources, ignore=shutil.ignore_patterns("_build"))
    for name in ("notebooks", "tasoc_kit"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run([*command, str(sources), str(site)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'id="tasoc_kit.open_cube"' in (site / "reference.html").read_text()
    asked = re.compile(r"<(?:script|img|iframe|link)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+", re.I)
    assert [found for page in site.rglob("*.html") for found in asked.findall(page.read_text())] == []


@pytest.fixture(scope="module")
def small_store(tmp_path_factory, session_cache):
    """A store with what the photometry makes of the smallest simulated sector."""
    store = tmp_path_factory.mktemp("docs") / "store"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TASOC_STORE", str(store))
        environment.setenv("TASOC_CACHE", str(session_cache))
        settings.cache_clear()
        tk.make_products("simulation.tiny", last="diagnostics")
    settings.cache_clear()
    return store


def examples(page: str) -> list[str]:
    """Return the Python of a page, block by block."""
    return re.findall(r"^```python\n(.*?)^```", (REPOSITORY / page).read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", RUN_HERE)
def test_the_examples_of_a_page_run_one_after_the_other(page, small_store, tmp_path, monkeypatch):
    monkeypatch.setenv("TASOC_STORE", str(small_store))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    names: dict[str, object] = {}
    for block in examples(page):
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_to_one(repository, page):
    text = (repository / page).read_text()
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    folder = (repository / page).parent
    assert [link for link in links if link and not (folder / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_path_in_a_page_exists(repository, page):
    named = re.findall(
        r"`((?:tasoc_kit|tests|notebooks|catalogs|docs|binder)/[\w/.-]+)`", (repository / page).read_text()
    )
    assert [path for path in named if not (repository / path).exists()] == []


def tasoc_lines(text: str) -> list[list[str]]:
    """Return the words of every ``tasoc`` command in the code blocks of a page."""
    lines = re.findall(r"^tasoc (.+)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_a_page_is_one_that_tasoc_takes(repository, page):
    from tasoc_kit.cli import app

    for words in tasoc_lines((repository / page).read_text()):
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            verb, *words = words
            command = command.commands[verb]
        command.make_context("tasoc", words)


def test_the_example_of_the_readme_prints_what_the_readme_says(repository, capsys):
    text = (repository / "README.md").read_text()
    code, printed = re.search(r"```python\n(.*?)```\s+```\n(.*?)```", text, re.DOTALL).groups()
    exec(compile(code, "README.md", "exec"), {})
    variable = re.compile(r"^    (\w+) +(\(.*?\)) (\w+)", re.MULTILINE)
    assert variable.findall(capsys.readouterr().out) == variable.findall(printed) != []


def test_the_readme_and_the_guide_are_short(repository):
    assert len((repository / "README.md").read_text().splitlines()) <= 150
    assert len((repository / "CONTRIBUTING.md").read_text().splitlines()) <= 80


def test_every_notebook_stands_in_the_readme(repository):
    text = (repository / "README.md").read_text()
    stems = [path.stem for path in repository.glob("notebooks/**/*.ipynb")]
    assert [stem for stem in stems if stem not in text] == []


def test_every_page_is_found_from_the_readme(repository):
    text, contents = (repository / "README.md").read_text(), (DOCS / "index.md").read_text()
    assert "(docs/index.md)" in text
    lost = [
        p.stem
        for p in DOCS.glob("*.md")
        if f"(docs/{p.name})" not in text and f"\n{p.stem}\n" not in contents
    ]
    assert lost == []


def test_the_version_is_the_same_everywhere(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    import tasoc_kit

    assert project["version"] == tasoc_kit.__version__ == citation["version"]
    assert project["license"] == citation["license"] == "BSD-3-Clause"
    assert f"## {project['version']}" in (repository / "CHANGELOG.md").read_text()
