"""Pages that people read say what the code does."""

from __future__ import annotations

import re
import runpy
import tomllib

import pytest
import yaml

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/photometry.md")


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


def test_the_readme_and_the_guide_are_short(repository):
    assert len((repository / "README.md").read_text().splitlines()) <= 150
    assert len((repository / "CONTRIBUTING.md").read_text().splitlines()) <= 80


def test_every_notebook_stands_in_the_readme(repository):
    text = (repository / "README.md").read_text()
    stems = [path.stem for path in repository.glob("notebooks/*.ipynb")]
    assert [stem for stem in stems if stem not in text] == []


def test_the_version_is_the_same_everywhere(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    import tasoc_kit

    assert project["version"] == tasoc_kit.__version__ == citation["version"]
    assert project["license"] == citation["license"] == "BSD-3-Clause"
    assert f"## {project['version']}" in (repository / "CHANGELOG.md").read_text()
