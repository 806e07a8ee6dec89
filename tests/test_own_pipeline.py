"""What docs/extending.md brings: its files as they stand there, installed beside the package and used."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from command import tasoc
from running_api import make_tokens, running_api
from tiny_pipeline import write_notebook

import tasoc_kit as tk
from tasoc_kit import catalog, database, store
from tasoc_kit.config import settings
from tasoc_kit.dashboards import page_list
from tasoc_kit.dashboards.app import pages as served
from tasoc_kit.errors import CatalogError, NotebookError
from tasoc_kit.pipeline.inputs import open_unit
from tasoc_kit.pipeline.notebook_files import find_notebook
from tasoc_kit.pipeline.plan import load_pipelines, make_plan
from tasoc_kit.provenance import lineage

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
BLOCK = re.compile(r"\n\n```(?:python|toml|yaml)\n(.*?)```", re.DOTALL)
NAMED = re.compile(r"`((?:my_survey/|my_catalogs/|my_notebooks/)?[\w/]+\.(?:py|toml|yaml))`")
EVENTS = """
import pandas as pd
import xarray as xr
from tasoc_kit.provenance import with_content_id


def read_events(place):
    return with_content_id(xr.Dataset.from_dataframe(pd.read_csv(place)), "events")
"""


@dataclass
class Survey:
    """A package of somebody else, and the folders beside it."""

    folder: Path

    @property
    def notebooks(self) -> Path:
        return self.folder / "my_notebooks"

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new))


def blocks() -> list[tuple[str, str]]:
    """Return each block of the page behind the paragraph before it."""
    page = PAGE.read_text()
    return [(page[: found.start()].rpartition("\n\n")[2], found[1]) for found in BLOCK.finditer(page)]


def write_survey(folder: Path) -> None:
    """Write the files of the page, the notebook of its cells, and what an installer notes of a package."""
    cells = []
    for before, text in blocks():
        names = NAMED.findall(before)
        if not names:
            cells.append(text)
            continue
        path = folder / names[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "my_survey" / "__init__.py").touch()
    parameters, *others = cells
    write_notebook(folder / "my_notebooks" / "40_transits.ipynb", parameters, *others)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    about = folder / "my_survey-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-survey\nVersion: 0.1.0\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in points.items()) for group, points in groups]
    (about / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Survey]:
    """The package of the page, as if it were installed."""
    folder = tmp_path / "survey"
    write_survey(folder)
    monkeypatch.setenv("TASOC_NOTEBOOKS", str(folder / "my_notebooks"))
    monkeypatch.setenv("TASOC_CATALOGS", str(folder / "my_catalogs"))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    monkeypatch.syspath_prepend(folder)
    settings.cache_clear()
    page_list._found.cache_clear()
    yield Survey(folder)
    page_list._found.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_survey"]:
        sys.modules.pop(name)


def words(page: object) -> str:
    parts = (getattr(part, "object", "") for part in page.select())
    return " ".join(part for part in parts if isinstance(part, str))


def test_a_pipeline_of_ones_own_comes_after_a_shipped_one_with_its_product_page_and_route(
    survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {"transits", "photometry", "seismology"} == load_pipelines().keys()
    curves = tk.make_products("simulation.tiny", last="filtered_light_curves").filtered_light_curves
    command = ("run", "transits", "--cube", "simulation.tiny", "--set", "transits.longest=0.3")
    code, told, wrong = tasoc(*command, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "1 made" in told) == (0, True), told + wrong
    made = store.open_product("transits", sector=1)
    period = made["transit_period"]
    assert (period.attrs["units"], period.attrs["long_name"]) == ("d", "period of the box that fits best")
    assert 0.2 <= float(period.min()) <= float(period.max()) <= 0.31
    np.testing.assert_array_equal(made["tic"], curves["tic"])
    records = lineage(made)
    assert records[made.attrs["provenance_id"]]["parents"] == [curves.attrs["provenance_id"]]
    (run,) = database.list_runs().itertuples()
    assert (run.pipeline, run.notebook, run.parameters["longest"]) == ("transits", "40_transits", 0.3)

    assert page_list.problems() == []
    assert "The same on" in words(served()["transits"]())
    tokens = make_tokens()
    places = {name: str(getattr(settings(), name)) for name in ("store", "database")}
    variables = {f"TASOC_{name.upper()}": value for name, value in places.items()}
    with running_api(
        tmp_path, environment=variables | {"PYTHONPATH": str(survey.folder)}, known=tokens
    ) as api:
        tic = int(made["tic"][0])
        answer = api.ask(f"/transits/{tic}?sector=1", scope="read").json()
        assert answer["transit_period"] == pytest.approx(float(period[0]))
        assert api.ask("/transits/1", scope="read").status_code == 404
        assert "/transits/{tic}" in api.ask("/openapi.json", scope="read").json()["paths"]
        rows = api.ask("/products?product=transits", scope="read").json()["products"]
        assert [row["id"] for row in rows] == [made.attrs["provenance_id"]]


def test_a_part_that_cannot_be_loaded_is_told_and_stops_nothing(
    survey: Survey, caplog: pytest.LogCaptureFixture
) -> None:
    from tasoc_kit.api.plugins import routers

    survey.change(
        "my_survey/routes.py", "from fastapi import APIRouter", "from no_such_module import APIRouter"
    )
    assert {"my_survey", "products"} & dict(routers()).keys() == {"products"}
    assert "routes 'my_survey': my_survey.routes:router cannot be loaded" in caplog.text
    survey.change(
        "my_survey/routes.py", "from no_such_module import APIRouter", "router = 3\nAPIRouter = dict\n#"
    )
    caplog.clear()
    list(routers())
    assert "cannot be loaded" in caplog.text or "is a int; expected a FastAPI router" in caplog.text


def test_a_table_of_ones_own_is_an_input_by_its_content(survey: Survey, tmp_path: Path) -> None:
    (survey.folder / "my_survey" / "events.py").write_text(EVENTS)
    survey.change(
        "my_notebooks/pipelines/transits.yaml", "[filtered_light_curves]",
        '[filtered_light_curves, "events?"]\n    tables: {events: "my_survey.events:read_events"}',
    )  # fmt: skip
    survey.change(
        "my_survey/steps.py", "filtered_light_curves: xr.Dataset,",
        "filtered_light_curves: xr.Dataset, events: xr.Dataset | None = None,",
    )  # fmt: skip
    parameters = next(text for _, text in blocks() if text.startswith("cube: str"))
    write_notebook(survey.notebooks / "40_transits.ipynb", parameters + "events: str | None = None  # table")
    for name in ("one", "two"):
        pd.DataFrame({"tic": [7], "period": [1.5]}).to_csv(tmp_path / f"{name}.csv", index=False)
    pd.DataFrame({"tic": [8], "period": [1.5]}).to_csv(tmp_path / "other.csv", index=False)
    pipeline, unit = load_pipelines()["transits"], open_unit("simulation.tiny")

    def planned(place: str | None) -> str:
        return make_plan(pipeline, unit, {"transits": {"events": place}})[-1].id

    ids = [planned(str(tmp_path / f"{name}.csv")) for name in ("one", "two", "other")] + [planned(None)]
    assert (ids[0] == ids[1], len(set(ids))) == (True, 3)
    survey.change("my_notebooks/pipelines/transits.yaml", "events: ", "others: ")
    with pytest.raises(NotebookError, match="nothing reads the table 'events'"):
        load_pipelines()


def test_a_notebook_of_ones_own_takes_the_place_of_a_shipped_one(survey: Survey) -> None:
    shipped = find_notebook("17_sky")
    assert shipped.parent != survey.notebooks
    write_notebook(survey.notebooks / "17_sky.ipynb", "cube: str = ''  # frames")
    assert find_notebook("17_sky") == survey.notebooks / "17_sky.ipynb"


def write_frames(folder: Path) -> None:
    """Write frames of a telescope that is not TESS, of twelve stars on a sky."""
    random = np.random.default_rng(5)
    stars = np.stack([np.repeat([10, 25, 40, 55], 3), np.tile([10, 30, 50], 4)], axis=1)
    row, column = np.mgrid[:64, :64]
    squares = ((row[None] - stars[:, :1, None]) ** 2 + (column[None] - stars[:, 1:, None]) ** 2).clip(0, 200)
    image = 40 + (np.geomspace(500, 20_000, 12)[:, None, None] * np.exp(-squares / 4)).sum(axis=0)
    solution = WCS(naxis=2)
    solution.wcs.crpix, solution.wcs.crval, solution.wcs.cdelt = (32, 32), (120.0, 20.0), (-5e-4, 5e-4)
    solution.wcs.ctype = "RA---TAN", "DEC--TAN"
    folder.mkdir()
    for number in range(12):
        header = solution.to_header()
        header["BJD"], header["EXPTIME"] = 2460000.5 + number / 720, 100.0
        pixels = random.poisson(image).astype(np.float32)
        fits.writeto(folder / f"f{number:03d}.fits", pixels, header, checksum=True)


def test_frames_of_another_instrument_go_through_the_photometry(
    survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_frames(tmp_path / "frames")
    cube = tk.open_cube("telescope")
    assert cube["flux"].chunks[0] == (1,) * 12
    assert "simulation.tiny" in set(catalog.entries()["entry"])
    command = ("run", "photometry", "--cube", "telescope", "--until", "quality")
    code, told, wrong = tasoc(*command, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, "1 made" in told) == (0, True), told + wrong
    tk.make_products("telescope", last="light_curves")
    curves = store.open_product("light_curves", field="telescope")
    assert curves.sizes == {"star": 12, "time": 12}
    assert lineage(curves).keys() >= {cube.attrs["provenance_id"]}


def test_the_unit_of_an_entry_that_has_only_one_must_be_that_one(
    survey: Survey, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_frames(tmp_path / "frames")
    assert tk.open_cube("telescope", sector=1, camera=1, ccd=1).sizes["time"] == 12
    with pytest.raises(CatalogError, match="telescope: sector=5; expected 1, the only one there"):
        tk.open_cube("telescope", sector=5)
    with pytest.raises(CatalogError, match="unknown parameter 'fields'"):
        tk.open_cube("telescope", fields=5)
