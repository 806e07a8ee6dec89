"""Star catalogues of the sky: fetched from a server that misbehaves, kept on disk, opened without it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tap_server import make_tic, serve

from tasoc_kit import catalog
from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.sources.footprint import around
from tasoc_kit.sources.star_partitions import ORDER, find_partition, list_partitions
from tasoc_kit.sources.star_server import CATALOGUES, Wait
from tasoc_kit.sources.targets import fetch_targets, missing_pixels, open_targets
from tasoc_kit.vocabulary import VARIABLES

pytest.importorskip("astropy_healpix", reason="targets: astropy-healpix is not installed; run: make env")
pytest.importorskip("pyvo", reason="targets: pyvo is not installed; run: make env")

TIC = CATALOGUES["tic"].table
PLACE = around(359.8, -0.3, 0.6)
FAST = Wait(tries=3, pause=0.01)


def tic() -> pd.DataFrame:
    return make_tic(6000, 0.0, 0.0, 6.0)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("TASOC_CACHE", str(tmp_path / "cache"))
    with serve({TIC: tic()}) as running:
        monkeypatch.setenv("TASOC_TAP_SERVER", running.url)
        settings.cache_clear()
        yield running


def truth(table: pd.DataFrame, faintest: float = 16.0) -> list[int]:
    inside = PLACE.contains(table["RAJ2000"].to_numpy(), table["DEJ2000"].to_numpy())
    return sorted(table["TIC"][inside & (table["Tmag"] <= faintest)])


def test_what_is_fetched_opens_without_the_server_and_is_never_fetched_again(server):
    written = fetch_targets("tic", PLACE, wait=FAST)
    assert len(written) == len(PLACE.pixels(ORDER)) == len(server.queries)
    assert missing_pixels("tic", PLACE) == [] == fetch_targets("tic", PLACE, wait=FAST)
    server.mode = "html"
    stars = open_targets("tic", PLACE)
    assert sorted(stars["tic"].values) == truth(tic())
    assert (np.diff(stars["tmag"].values) >= 0).all()
    assert stars.attrs["epoch"] == 2000.0
    for name, variable in stars.variables.items():
        assert variable.dtype == VARIABLES[name].dtype
        assert variable.attrs["units"] == VARIABLES[name].unit


def test_a_partition_says_where_it_comes_from(server):
    first = fetch_targets("tic", PLACE, 12.0, wait=FAST)[0]
    again = find_partition("tic", first.pixel)
    assert again.made["server"] == server.url
    assert again.made["query"] in server.queries
    assert again.made["faintest"] == 12.0
    assert again.rows == len(pd.read_parquet(first.path))
    assert not list(first.path.parent.glob(".*"))


def test_fainter_stars_are_fetched_once_more_and_brighter_ones_never(server):
    fetch_targets("tic", PLACE, 14.0, wait=FAST)
    assert fetch_targets("tic", PLACE, 12.0, wait=FAST) == []
    assert len(open_targets("tic", PLACE, 12.0)["tic"]) == len(truth(tic(), 12.0))
    with pytest.raises(SourceError, match="to 16 mag .*'tasoc targets fetch --ra 359.8 .* --faintest 16"):
        open_targets("tic", PLACE, 16.0)
    assert len(fetch_targets("tic", PLACE, 16.0, wait=FAST)) == len(PLACE.pixels(ORDER))
    assert len(open_targets("tic", PLACE)["tic"]) == len(truth(tic(), 16.0))


def test_artefacts_and_duplicates_are_left_out_and_counted(server):
    table = tic()
    table.loc[table["TIC"] % 10 == 0, "Disp"] = "ARTIFACT"
    table.loc[table["TIC"] % 10 == 1, "Disp"] = "DUPLICATE"
    table.loc[table["TIC"] % 10 == 2, "Disp"] = "SPLIT"
    server.tables[TIC] = table
    fetch_targets("tic", PLACE, wait=FAST)
    stars = open_targets("tic", PLACE)
    kept = [number for number in truth(table) if number % 10 > 1]
    assert sorted(stars["tic"].values) == kept
    assert stars.attrs["left_out"] == len(truth(table)) - len(kept) > 0


@pytest.mark.parametrize("say_overflow", [True, False])
def test_an_answer_cut_at_the_row_limit_is_asked_for_in_quarters(server, say_overflow):
    server.rows, server.say_overflow = 40, say_overflow
    patience = FAST if say_overflow else Wait(tries=1, rows=40)
    fetch_targets("tic", PLACE, wait=patience)
    assert len(server.queries) > len(PLACE.pixels(ORDER))
    assert sorted(open_targets("tic", PLACE)["tic"].values) == truth(tic())


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("busy", "HTTP 503"),
        ("html", "a web page in place of a table"),
        ("html as xml", "a web page in place of a table"),
        ("half", "no whole VOTable"),
        ("cut", "no answer"),
        ("slow", "no answer .ReadTimeout"),
    ],
)
def test_a_bad_answer_is_asked_for_again_and_never_kept(server, mode, problem):
    impatient = Wait(tries=2, pause=0.01, seconds=(5.0, 2.0 if mode == "slow" else 60.0))
    server.modes = [mode]
    fetch_targets("tic", PLACE, wait=impatient)
    assert sorted(open_targets("tic", PLACE)["tic"].values) == truth(tic())
    server.mode = mode
    elsewhere = around(3.0, 3.0, 0.1)
    with pytest.raises(SourceError, match=problem):
        fetch_targets("tic", elsewhere, wait=impatient)
    assert len(missing_pixels("tic", elsewhere)) == len(elsewhere.pixels(ORDER)) - len(
        set(elsewhere.pixels(ORDER)) & set(PLACE.pixels(ORDER))
    )


def test_a_server_without_such_a_page_is_told_at_once(server):
    server.mode = "nowhere"
    with pytest.raises(
        SourceError, match=r"HTTP 404 Not Found; expected a TAP server there.*TASOC_TAP_SERVER"
    ):
        fetch_targets("tic", PLACE, wait=Wait(tries=3, pause=100.0))


def test_a_server_that_is_down_or_refuses_is_said_so_and_what_came_is_kept(server, monkeypatch):
    server.mode = "refused"
    with pytest.raises(SourceError, match="the query was refused .*unknown table"):
        fetch_targets("tic", PLACE, wait=FAST)
    assert len(server.queries) <= len(PLACE.pixels(ORDER))
    server.mode, count = "ok", len(PLACE.pixels(ORDER))
    server.modes = ["refused"]
    with pytest.raises(SourceError, match=rf"of {count} parts fetched, then .*what was fetched is kept"):
        fetch_targets("tic", PLACE, wait=FAST)
    kept = len(list_partitions("tic"))
    assert len(fetch_targets("tic", PLACE, wait=FAST)) == count - kept
    monkeypatch.setenv("TASOC_TAP_SERVER", "http://127.0.0.1:9")
    settings.cache_clear()
    refused = r"127.0.0.1:9: no answer \(ConnectionError: .*Connection refused\), 2 times.*TASOC_TAP_SERVER"
    with pytest.raises(SourceError, match=refused):
        fetch_targets("tic", around(10, 10, 0.1), wait=Wait(tries=2, pause=0.01))


def test_an_empty_sky_and_another_table_are_refused(server):
    server.tables[TIC] = tic()[:0]
    with pytest.raises(SourceError, match="no part of the sky that large is empty"):
        fetch_targets("tic", PLACE, wait=FAST)
    server.tables[TIC] = tic().rename(columns={"Disp": "other"})
    with pytest.raises(SourceError, match=r"without \['Disp'\]"):
        fetch_targets("tic", PLACE, wait=FAST)
    assert list_partitions("tic") == []


def test_a_damaged_partition_counts_as_missing_and_is_fetched_again(server):
    first = fetch_targets("tic", PLACE, wait=FAST)[0]
    first.path.write_bytes(first.path.read_bytes()[:-100])
    assert missing_pixels("tic", PLACE) == [first.pixel]
    with pytest.raises(SourceError, match="1 of the"):
        open_targets("tic", PLACE)
    assert len(fetch_targets("tic", PLACE, wait=FAST)) == 1
    assert sorted(open_targets("tic", PLACE)["tic"].values) == truth(tic())


def test_a_shared_cache_is_read_and_never_written(server, tmp_path, monkeypatch):
    fetch_targets("tic", PLACE, 14.0, wait=FAST)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.parquet")}
    monkeypatch.setenv("TASOC_SHARED_CACHES", str(tmp_path / "cache"))
    monkeypatch.setenv("TASOC_CACHE", str(tmp_path / "mine"))
    settings.cache_clear()
    assert missing_pixels("tic", PLACE, 14.0) == []
    fetch_targets("tic", PLACE, 16.0, wait=FAST)
    assert len(open_targets("tic", PLACE)["tic"]) == len(truth(tic(), 16.0))
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.parquet")}


def test_a_copy_of_the_tic_stands_in_for_the_server(server, tmp_path):
    copy = tic().rename(columns={"TIC": "ID"})
    copy.loc[copy["ID"] % 10 == 0, "Disp"] = "ARTIFACT"
    copy.rename(columns={"Disp": "disposition"}).to_csv(tmp_path / "tic.csv", index=False)
    written = fetch_targets("tic", PLACE, table=tmp_path / "tic.csv")
    assert server.queries == []
    assert missing_pixels("tic", PLACE) == []
    assert sorted(open_targets("tic", PLACE)["tic"].values) == [n for n in truth(tic()) if n % 10]
    assert {one.made["server"] for one in written} == {str(tmp_path / "tic.csv")}
    with pytest.raises(SourceError, match="can stand in for the TIC alone"):
        fetch_targets("gaia", PLACE, table=tmp_path / "tic.csv")


def test_gaia_stars_get_a_magnitude_and_their_place_in_2000(server, shared_data):
    from astropy.table import Table

    real = Table.read(shared_data("catalogs/Gaia_DR3_151.0926_1.8312_17.0_19.0.fits"), hdu=2)
    ra, dec, g, bp, rp = (
        np.asarray(real[name], float) for name in ("X_WORLD", "Y_WORLD", "MAG_G", "MAG_BP", "MAG_RP")
    )
    bp[::2] = np.nan
    server.tables[CATALOGUES["gaia"].table] = pd.DataFrame(
        {
            "Source": 4 * 10**18 + np.arange(len(g)),
            "RA_ICRS": ra, "DE_ICRS": dec, "Gmag": g, "pmRA": 1000.0, "pmDE": np.nan,
            "BPmag": bp, "RPmag": rp,
        }
    )  # fmt: skip
    place = around(float(np.median(ra)), float(np.median(dec)), 0.25)
    fetch_targets("gaia", place, 19.0, wait=FAST)
    stars = open_targets("gaia", place)
    order = stars["gaia"].values - 4 * 10**18
    shift = (ra[order] - stars["ra"].values) * np.cos(np.radians(dec[order])) * 3600
    np.testing.assert_allclose(shift, 16.0, rtol=1e-4)
    assert stars.sizes["star"] == len(g) > 50
    colour = (bp - rp)[order]
    dwarf = np.polynomial.Polynomial([0.0324473, -0.633923, 0.0891337, -0.00522555])(colour)
    expected = g[order] + np.where(np.isfinite(colour), dwarf, -0.43)
    np.testing.assert_allclose(stars["tmag"].values, expected, atol=1e-5)
    assert stars["gaia"].dtype == np.int64


def test_the_catalog_entry_opens_a_circle_and_a_ccd_or_says_what_is_missing(server):
    fetch_targets("tic", PLACE, wait=FAST)
    stars = catalog.open_entry("targets.tic", ra=359.8, dec=-0.3, radius=0.6)
    assert sorted(stars["tic"].values) == truth(tic())
    with pytest.raises(SourceError, match="tasoc targets fetch --sector 1 --camera 1 --ccd 2"):
        catalog.open_entry("targets.tic", sector=1, camera=1, ccd=2)
    with pytest.raises(SourceError, match="Give one set of three"):
        catalog.open_entry("targets.gaia", sector=1)
    with pytest.raises(SourceError, match="expected sectors 1 to"):
        catalog.open_entry("targets.tic", sector=9999, camera=1, ccd=1)


def test_the_pipeline_takes_the_stars_that_were_fetched_for_its_frames(server, tmp_path, shared_data):
    from tasoc_kit.pipeline.inputs import open_catalogue, open_unit

    cutout = str(shared_data("tess_ffi/tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits"))
    server.tables[TIC] = make_tic(20_000, 84.29119, -80.46917, 4.0)
    unit = open_unit(cutout)
    assert (unit.catalogue, unit.catalogue_id) == (None, "")
    with pytest.raises(SourceError, match="Run 'tasoc targets fetch --sector 1 --camera 4 --ccd 2'"):
        open_unit(cutout, catalogue="targets.tic")
    fetch_targets("tic", around(84.29119, -80.46917, 0.5), wait=FAST)
    found = open_unit(cutout)
    assert found.catalogue == "targets.tic"
    stars = open_catalogue("targets.tic", found.cube)
    assert stars.attrs["provenance_id"] == found.catalogue_id
    assert stars.attrs["epoch"] == pytest.approx(2018.6, abs=0.1)
    assert 0 < stars.sizes["star"] < 20_000
    with pytest.raises(SourceError, match=r"'targets.hipparcos' is none; expected a file or one of"):
        open_unit(cutout, catalogue="targets.hipparcos")


def test_the_command_fetches_lists_and_shows(server):
    from typer.testing import CliRunner

    from tasoc_kit.cli import app

    def tasoc(*words: str) -> str:
        done = CliRunner().invoke(app, ["targets", *words], input="n\n", env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    place = ("--ra", "359.8", "--dec", "-0.3", "--radius", "0.6")
    count = len(PLACE.pixels(ORDER))
    assert f"{count} of {count} parts to fetch" in tasoc("fetch", *place)
    assert server.queries == []
    assert f"{count} parts," in tasoc("fetch", *place, "--yes")
    assert "Nothing to fetch" in tasoc("fetch", *place)
    assert len(server.queries) == count
    assert "TESS Input Catalog 8.2" in tasoc("list")
    assert f"{len(truth(tic())):,} stars to 16 mag" in tasoc("show", *place, "--count", "3")
