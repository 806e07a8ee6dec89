"""A pipeline of two steps on four numbers, and one of a slow step, for tests of the machinery alone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import dask.array as da
import nbformat
import numpy as np
import xarray as xr
from nbformat import v4

from tasoc_kit.pipeline.plan import Unit
from tasoc_kit.step import Parameter, step

PARAMETERS = {
    "doubled": "cube: str = ''  # folder of the numbers\nids: dict[str, str] = {}  # inputs\n"
    "factor: float = 2.0  # factor",
    "summed": "cube: str = ''  # folder of the numbers\nids: dict[str, str] = {}  # inputs\n"
    "offset: int = 0  # electron / s",
    "slowed": "cube: str = ''  # folder of the numbers\nids: dict[str, str] = {}  # inputs\n"
    "pause: float = 0.2  # s",
}
MAKE = {
    "doubled": "made = tiny.make_doubled(xr.open_zarr(cube), factor=factor)",
    "summed": "made = tiny.make_summed(tk.open_product('doubled', id=ids['doubled']), offset=offset)",
    "slowed": "made = tiny.make_slowed(xr.open_zarr(cube), pause=pause)",
}
WRITE = "tk.write_product(made, progress=tk.progress('numbers'))"
FINISH = f"{WRITE}\ntk.report(made, total=float(made.flux.sum()))"
IMPORTS = "import xarray as xr\nimport tasoc_kit as tk\nimport tiny_pipeline as tiny"

TINY = """
title: Four numbers, doubled and summed
notebooks:
  - {notebook: 10_doubled, step: "tiny_pipeline:make_doubled", inputs: [cube]}
  - {notebook: 11_summed, step: "tiny_pipeline:make_summed", inputs: [doubled]}
"""
SLOW = """
title: Four numbers, one after another
notebooks:
  - {notebook: 12_slowed, step: "tiny_pipeline:make_slowed", inputs: [cube]}
"""

LOG = "TINY_LOG"
"""Variable that names the file to which the slow step says what it has computed."""


@step(version=1, product="doubled", needs={"cube": ("flux",)}, gives=("flux",))
def make_doubled(
    cube: xr.Dataset, *, factor: Annotated[float, Parameter("factor", ge=0.0)] = 2.0
) -> xr.Dataset:
    """Multiply."""
    return xr.Dataset({"flux": cube["flux"] * factor})


@step(version=1, product="summed", needs={"doubled": ("flux",)}, gives=("flux",))
def make_summed(doubled: xr.Dataset, *, offset: Annotated[int, Parameter("offset")] = 0) -> xr.Dataset:
    """Sum."""
    return xr.Dataset({"flux": doubled["flux"].sum("time") + offset})


def _slow(numbers: np.ndarray, unit: str, pause: float, block_info: dict | None = None) -> np.ndarray:
    """Take some time, say which block of which unit this process has made, and by how many threads."""
    time.sleep(pause)
    if block_info and LOG in os.environ:
        line = f"{unit} {block_info[0]['chunk-location'][0]} {os.environ['TASOC_THREADS']}\n"
        with open(os.environ[LOG], "a") as log:
            log.write(line)
    return numbers


@step(version=1, product="slowed", needs={"cube": ("flux",)}, gives=("flux",))
def make_slowed(
    cube: xr.Dataset, *, pause: Annotated[float, Parameter("pause before each number", ge=0)] = 0.2
) -> xr.Dataset:
    """Pass numbers on, one block each, slowly."""
    numbers = da.from_array(cube["flux"].values, chunks=1)
    unit = f"s{cube.attrs['sector']:04d}-{cube.attrs['camera']}-{cube.attrs['ccd']}"
    slow = numbers.map_blocks(_slow, unit=unit, pause=pause, dtype=float, meta=np.empty(0))
    return xr.Dataset({"flux": ("time", slow)})


def write_notebook(path: Path, parameters: str, *cells: str) -> Path:
    """Write a notebook of a tagged cell and others."""
    tagged = v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    body = [v4.new_markdown_cell("# A tiny notebook"), tagged, *(v4.new_code_cell(cell) for cell in cells)]
    nbformat.write(v4.new_notebook(cells=body, metadata=kernel), path)
    return path


def write_pipeline(folder: Path) -> None:
    """Write the notebooks of the tiny pipelines and their files."""
    (folder / "pipelines").mkdir(parents=True, exist_ok=True)
    (folder / "pipelines" / "tiny.yaml").write_text(TINY)
    (folder / "pipelines" / "slow.yaml").write_text(SLOW)
    for number, name in enumerate(PARAMETERS, start=10):
        finish = f"{WRITE}\ntk.report(made)" if name == "slowed" else FINISH
        write_notebook(folder / f"{number}_{name}.ipynb", PARAMETERS[name], IMPORTS, MAKE[name], finish)


def make_unit(folder: Path, *, camera: int = 1, ccd: int = 2, identity: str = "aaaaaaaaaaaa") -> Unit:
    """Write four numbers as the cube of a unit."""
    unit = {"sector": 1, "camera": camera, "ccd": ccd, "field": ""}
    attrs = {"product": "cube", "provenance_id": identity, "provenance": "{}"} | unit
    cube = xr.Dataset({"flux": ("time", np.arange(4.0))}, attrs=attrs)
    place = folder / f"cube-{camera}-{ccd}.zarr"
    if not place.exists():
        cube.to_zarr(place, zarr_format=3, consolidated=False)
    return Unit(str(place), cube)
