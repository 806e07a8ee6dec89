"""Catalogs: every entry can be walked and opened; unknown names and values are refused with a suggestion."""

from __future__ import annotations

from pathlib import Path

import intake
import numpy as np
import pandas as pd
import pytest
import s3fs
import xarray as xr
from ffi_files import frame_pixels, write_sector_of

from tasoc_kit import catalog
from tasoc_kit.config import settings
from tasoc_kit.errors import CatalogError, SourceError
from tasoc_kit.sources.ffi_index import read_index

PI_MEN = "tess_ffi/tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits"


@pytest.fixture
def data():
    """The folder of raw files with three frames in it."""
    folder = Path(settings().data)
    write_sector_of(folder, 3)
    return folder


def test_the_main_catalog_nests_the_others():
    assert list(catalog.open_catalog()) == [
        "ffi",
        "cutouts",
        "light_curves",
        "targets",
        "vectors",
        "simulation",
        "products",
    ]


def test_every_entry_has_a_description_and_a_driver_that_can_be_imported():
    table = catalog.check().merge(catalog.entries(), on="entry")
    assert {"ffi.local", "ffi.tess", "cutouts.local", "simulation.tiny", "products.light_curves"} <= set(
        table["entry"]
    )
    assert not (table["state"] == "broken").any(), table
    assert table["description"].str.len().min() > 10
    assert set(table.loc[table["state"] == "needs", "entry"]) == {
        "ffi.tess",
        "ffi.listing",
        "cutouts.local",
        "vectors.tasoc",
        "light_curves.local",
    }


def test_every_parameter_says_what_it_means():
    for entry in catalog.entries()["entry"]:
        table = catalog.describe(entry)
        assert table["description"].str.len().min() > 2, entry
        assert table["accepts"].str.len().min() > 2, entry


def test_the_data_folder_is_what_the_local_entry_opens(data):
    cube = catalog.open_cube("ffi.local")
    np.testing.assert_array_equal(cube["flux"][2].values, frame_pixels(2))
    xr.testing.assert_identical(cube.compute(), catalog.open_cube(data).compute())


def test_a_path_opens_as_the_entry_does(data):
    by_path = catalog.open_cube(data, sector=1, camera=1, ccd=2)
    by_entry = catalog.open_cube("ffi.local", folder=str(data), sector=1, camera=1, ccd=2)
    by_list = catalog.open_cube(sorted(map(str, data.iterdir())))
    assert by_path.attrs["provenance_id"] == by_entry.attrs["provenance_id"]
    assert by_list.attrs["provenance_id"] == by_path.attrs["provenance_id"]


def test_parameters_that_are_none_count_as_not_given(data):
    assert catalog.open_cube("ffi.local", sector=None, camera=None, ccd=2).sizes["time"] == 3
    assert catalog.open_cube(data, sector=None).sizes["time"] == 3


def test_a_cutout_opens_by_its_entry(shared_data):
    cube = catalog.open_cube("cutouts.local", file=str(shared_data(PI_MEN)))
    assert dict(cube.sizes) == {"time": 50, "row": 6, "column": 6}


def test_a_listing_opens_by_its_entry(shared_data, forbid_compute):
    path = str(shared_data("tess_ffi/tess-s0002-spoc-ffi-catalog.parquet"))
    cube = catalog.open_cube("ffi.listing", file=path, camera=4, ccd=4)
    assert cube.sizes["time"] == 1245


def test_the_public_bucket_is_read_without_an_account(data, s3, monkeypatch):
    files = s3fs.S3FileSystem()
    files.mkdir("stpubdata", acl="public-read")
    for path in data.iterdir():
        place = f"stpubdata/tess/public/ffi/s0001/2018/292/1-2/{path.name}"
        files.pipe_file(place, path.read_bytes(), ACL="public-read")
        files.pipe_file(place.replace("1-2", "1-3"), b"another CCD", ACL="public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    s3fs.S3FileSystem.clear_instance_cache()
    cube = catalog.open_cube("ffi.tess", sector=1, camera=1, ccd=2)
    np.testing.assert_array_equal(cube["flux"].values, catalog.open_cube(data)["flux"].values)
    assert cube.attrs["provenance_id"] == catalog.open_cube(data).attrs["provenance_id"]


def test_a_listing_can_point_to_a_mirror(data, tmp_path):
    names = sorted(path.name for path in data.iterdir())
    hours = ["09:41:37", "10:11:37", "10:41:37", "11:11:37"]
    table = pd.DataFrame({"path": names, "sector": 1, "camera": 1, "ccd": 2, "quality": 0})
    table["start"] = [f"2018-10-19T{hour}" for hour in hours[:3]]
    table["stop"] = [f"2018-10-19T{hour}" for hour in hours[1:]]
    table.to_parquet(tmp_path / "listing.parquet")
    cube = catalog.open_cube(
        "ffi.listing", file=str(tmp_path / "listing.parquet"), base=str(data), camera=1, ccd=2
    )
    np.testing.assert_array_equal(cube["flux"][1, :24, :60].values, frame_pixels(1))
    assert cube.attrs["exposure"] == pytest.approx(1425.6)


def test_a_simulated_sector_opens_by_name():
    cube = catalog.open_cube("simulation.tiny", frames=2)
    assert (cube.sizes["time"], cube.sizes["row"]) == (2, 128)
    assert np.isfinite(cube["flux"].values).all()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("ffi.tes", "no entry 'ffi.tes'; did you mean 'ffi.tess'"),
        ("simulation.demmo", "did you mean 'simulation.demo'"),
        ("nonsense", "no entry 'nonsense'.*Run 'tasoc catalog list'"),
    ],
)
def test_an_unknown_entry_is_refused_with_a_suggestion(entry, message):
    for use in (catalog.open_cube, catalog.describe):
        with pytest.raises(CatalogError, match=message):
            use(entry)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sector": 14, "camera": 1, "cdd": 2}, "unknown parameter 'cdd'; did you mean 'ccd'"),
        ({"sector": 14, "camera": 7, "ccd": 2}, r"camera=7; expected one of \[1, 2, 3, 4\]"),
        ({"sector": 0, "camera": 1, "ccd": 2}, "sector=0; expected an integer at least 1"),
        ({"sector": "14", "camera": 1, "ccd": 2}, "sector='14'; expected an integer"),
        ({"sector": 14.0, "camera": 1, "ccd": 2}, "sector=14.0; expected an integer"),
        ({"sector": True, "camera": 1, "ccd": 2}, "sector=True; expected an integer"),
        ({"sector": 14, "camera": 1}, "ccd=0; expected one of"),
        ({"urlpath": "/etc/passwd"}, "unknown parameter 'urlpath'"),
    ],
)
def test_an_unknown_parameter_or_value_is_refused(parameters, message):
    with pytest.raises(CatalogError, match=message):
        catalog.open_cube("ffi.tess", **parameters)


def test_a_path_takes_the_unit_and_nothing_else(data):
    with pytest.raises(CatalogError, match="unknown parameter 'camra'; did you mean 'camera'"):
        catalog.open_cube(data, camra=1)
    with pytest.raises(CatalogError, match="camera='1'; expected an integer"):
        catalog.open_cube(data, camera="1")


def test_a_path_that_does_not_exist_is_told_as_a_path():
    for path in ("no/such/folder", "absent.fits", "absent.parquet"):
        with pytest.raises(SourceError, match="absent|no/such/folder"):
            catalog.open_cube(path)


def test_an_entry_that_needs_a_file_says_so():
    with pytest.raises(CatalogError, match="file=''; expected a text that is not empty"):
        catalog.open_cube("cutouts.local")


def test_catalogs_of_ones_own_stand_before_those_that_are_shipped(tmp_path, monkeypatch):
    monkeypatch.setenv("TASOC_CATALOGS", str(tmp_path))
    settings.cache_clear()
    with pytest.raises(CatalogError, match=r"no file .*main\.yaml.*Correct TASOC_CATALOGS"):
        catalog.entries()
    (tmp_path / "main.yaml").write_text("sources: [not, a, catalog]")
    with pytest.raises(CatalogError, match=r"main\.yaml cannot be read"):
        catalog.entries()
    entry = "sources:\n  mine:\n    description: my frames of tonight\n    driver: no_such_driver\n"
    (tmp_path / "main.yaml").write_text("metadata: {version: 1}\n" + entry)
    with pytest.raises(CatalogError, match="mine: its driver cannot be used.*no_such_driver"):
        catalog.open_entry("mine")
    told = catalog.check().set_index("entry")["state"]
    assert (told.index[0], told["mine"], told["simulation.tiny"]) == ("mine", "broken", "ok")
    theirs = "sources:\n  simulation: {description: my own, driver: tasoc_product, args: {product: sky}}\n"
    (tmp_path / "main.yaml").write_text("metadata: {version: 1}\n" + theirs)
    assert catalog.entries().set_index("entry")["description"]["simulation"] == "my own"
    assert list(catalog.open_catalog()).count("simulation") == 1


def test_an_index_is_written_where_asked_and_opens_as_a_cube(data, tmp_path):
    told = []
    output = tmp_path / "index.parquet"
    table = catalog.index(data, output, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)
    pd.testing.assert_frame_equal(read_index(output), table)
    assert catalog.open_cube(output).sizes["time"] == 3
    with pytest.raises(SourceError, match="cannot be written.*Choose another place"):
        catalog.index(data, tmp_path / "absent" / "index.parquet")


def test_intake_finds_the_drivers_by_name(data):
    source = intake.open_tess_ffi(urlpath=str(data))
    assert source.discover()["shape"]["flux"] == (3, 24, 60)
    assert source.read().sizes["time"] == 3
    source.close()


def test_every_product_of_the_shipped_pipelines_has_an_entry():
    from tasoc_kit.pipeline.plan import load_pipelines

    stages = [stage for pipeline in load_pipelines().values() for stage in pipeline.notebooks if stage.step]
    names = {name for name in catalog.entries()["entry"] if name.startswith("products.")}
    assert names == {f"products.{stage.name}" for stage in stages}
    for stage in stages:
        name = f"products.{stage.name}"
        source = catalog._made(name, catalog._entry(name), {"sector": 1})
        assert (source.product, source.unit["sector"]) == (stage.name, 1)


def test_a_product_opens_by_its_entry():
    from tasoc_kit.errors import StoreError

    with pytest.raises(StoreError, match="light_curves"):
        catalog.open_entry("products.light_curves", sector=1)
