"""Pages that people read say what the code does."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib

import pytest
import typer
import yaml

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/api.md",
    "docs/api_transfer.md",
    "docs/architecture.md",
    "docs/guide.md",
    "docs/jobs.md",
    "docs/photometry.md",
    "docs/scale.md",
    "docs/validation.md",
)


def test_the_page_of_the_data_model_is_that_of_the_vocabulary(repository):
    render = runpy.run_path(str(repository / "docs" / "data_model.py"))["render"]
    written = (repository / "docs" / "data_model.md").read_text()
    assert written == render(), "run: .venv/bin/python docs/data_model.py"


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


def test_the_version_is_the_same_everywhere(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    import tasoc_kit

    assert project["version"] == tasoc_kit.__version__ == citation["version"]
    assert project["license"] == citation["license"] == "BSD-3-Clause"
    assert f"## {project['version']}" in (repository / "CHANGELOG.md").read_text()
