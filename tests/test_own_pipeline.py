"""A pipeline of one's own: a folder with one file and one notebook, and a step of another package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import tasoc
from tiny_pipeline import write_notebook

from tasoc_kit import catalog, database, store
from tasoc_kit.config import settings
from tasoc_kit.pipeline.notebook_files import find_notebook
from tasoc_kit.pipeline.plan import load_pipelines

STEP = '''
from typing import Annotated
import xarray as xr
from tasoc_kit.step import Parameter, step

Side = Annotated[int, Parameter("side", unit="pix", ge=1)]

@step(version=1, product="corner", needs={"cube": ("flux",)}, gives=("flux",))
def make_corner(cube: xr.Dataset, *, size: Side = 8) -> xr.Dataset:
    """Mean of the pixels of a corner, in every frame."""
    corner = cube["flux"].isel(row=slice(0, size), column=slice(0, size))
    return xr.Dataset({"flux": corner.mean(("row", "column"))})
'''
PIPELINE = """
title: The corner of every frame
notebooks:
  - {notebook: 90_corner, step: "my_survey.steps:make_corner", inputs: [cube]}
"""
PARAMETERS = """cube: str = ""  # frames
sector: int | None = None  # sector
camera: int | None = None  # camera
ccd: int | None = None  # CCD
size: int = 8  # pixels"""
CELLS = (
    "import tasoc_kit as tk\nfrom my_survey.steps import make_corner",
    "frames = tk.open_cube(cube)",
    "corner = make_corner(frames, size=size)",
    "tk.write_product(corner)\ntk.report(corner)",
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipeline of one notebook, whose step is of a package beside it."""
    package, folder = tmp_path / "my_survey", tmp_path / "my notebooks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "steps.py").write_text(STEP)
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / "corners.yaml").write_text(PIPELINE)
    write_notebook(folder / "90_corner.ipynb", PARAMETERS, *CELLS)
    monkeypatch.setenv("TASOC_NOTEBOOKS", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.syspath_prepend(tmp_path)
    settings.cache_clear()
    return folder


def test_a_folder_of_ones_own_runs_beside_the_shipped_pipelines(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {"corners", "photometry", "seismology"} == load_pipelines().keys()
    command = ("run", "corners", "--cube", "simulation.tiny", "--set", "corner.size=4")
    code, told, wrong = tasoc(*command, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "1 made" in told) == (0, True), told + wrong
    made = store.open_product("corner", sector=1)
    expected = catalog.open_cube("simulation.tiny")["flux"][:, :4, :4].mean(("row", "column")).values
    np.testing.assert_allclose(made["flux"].values, expected, rtol=1e-6)
    (run,) = database.list_runs().itertuples()
    assert (run.pipeline, run.notebook, run.parameters["size"]) == ("corners", "90_corner", 4)


def test_a_notebook_of_ones_own_takes_the_place_of_a_shipped_one(own: Path) -> None:
    shipped = find_notebook("17_sky")
    assert shipped.parent != own
    write_notebook(own / "17_sky.ipynb", "cube: str = ''  # frames")
    assert find_notebook("17_sky") == own / "17_sky.ipynb"
