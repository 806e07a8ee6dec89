"""Claims about what the API gives of the products, over HTTP, from a real server."""

from __future__ import annotations

import gzip
import io
import re
import warnings
from typing import Any

import dashboard_data as data
import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest
import requests
from astropy.io import fits
from astropy.io.votable import parse as parse_votable
from astropy.wcs import WCS
from PIL import Image
from pyarrow import parquet
from served_store import newer, served_store
from stored_dataset import ID

from tasoc_kit import database, store
from tasoc_kit.api import staged_frames
from tasoc_kit.api.opened import open_curves
from tasoc_kit.api.routes import cone
from tasoc_kit.config import settings
from tasoc_kit.errors import DatabaseError
from tasoc_kit.exports.corrected import open_corrected
from tasoc_kit.exports.family import family_of
from tasoc_kit.numerics.geometry import pixel_to_sky
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.records.objects import Found
from tasoc_kit.records.tokens import make_token
from tasoc_kit.vocabulary import VARIABLES


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    with served_store(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture(autouse=True)
def served(everything, monkeypatch):
    """The store that is served is the one that the settings lead to."""
    for name, value in everything.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TASOC_CACHE", str(everything.folder / "cache"))
    settings.cache_clear()
    return everything


def rows_of(answer) -> list[dict]:
    return answer.json()["rows"]


def all_pages(served, path: str, **parameters) -> list[dict]:
    """Follow the cursor to the end."""
    rows, cursor = [], None
    while True:
        page = served.get(path, **parameters, **({"cursor": cursor} if cursor else {})).json()
        rows += page["rows"]
        cursor = page["next"]
        if cursor is None:
            return rows


def measured(served) -> tuple[int, int]:
    """Return index and TIC number of a star of the simulated sector that has a light curve."""
    curves = served.made.light_curves
    star = int(np.flatnonzero(curves["row_size"].values > 0)[3])
    return star, int(curves["tic"].values[star])


def test_pages_of_objects_hold_every_star_once(served):
    rows = all_pages(served, "/curated/objects", limit=37)
    tics = [*served.made.light_curves["tic"].values, *served.other["tic"].values]
    assert sorted(row["tic"] for row in rows) == sorted(int(tic) for tic in tics)
    assert len({row["object"] for row in rows}) == len(rows)


def test_a_star_is_found_by_number_place_name_and_brightness(served):
    star, tic = measured(served)
    curves = served.made.light_curves
    ra, dec, tmag = (float(curves[name].values[star]) for name in ("ra", "dec", "tmag"))
    (row,) = rows_of(served.get("/curated/objects", tic=tic))
    assert row["object"] == f"{curves.attrs['provenance_id']}-{star}"
    assert (row["sector"], row["camera"], row["ccd"]) == tuple(
        int(curves.attrs[name]) for name in ("sector", "camera", "ccd")
    )
    assert (row["ra"], row["dec"]) == (ra, dec)
    for asked in (
        {"object": row["object"]},
        {"ra": ra, "dec": dec, "radius": 0.5 / 3600},
        {"tmag_min": tmag - 1e-6, "tmag_max": tmag + 1e-6},
    ):
        assert row["object"] in [one["object"] for one in rows_of(served.get("/curated/objects", **asked))]
    one = rows_of(served.get("/curated/objects", ra=ra, dec=dec + 0.001, radius=0.01))
    distance = {found["object"]: found["distance"] for found in one}
    assert distance[row["object"]] == pytest.approx(0.001, abs=1e-9)


def test_numbers_are_compared_whole_and_never_as_parts_of_a_text(served):
    tic = int(served.other["tic"].values[0])
    assert rows_of(served.get("/curated/objects", tic=int(str(tic)[:-1]))) == []
    assert all(row["sector"] == 1 for row in rows_of(served.get("/curated/objects", sector=1)))
    assert rows_of(served.get("/curated/objects", sector=11)) == []
    name = rows_of(served.get("/curated/objects", limit=1))[0]["object"]
    assert rows_of(served.get("/curated/objects", object=name, id="0" * 12)) == []


def test_objects_by_chance_are_different_ones_that_meet_the_conditions(served):
    rows = rows_of(served.get("/curated/objects", random=5, tmag_max=14))
    assert len({row["object"] for row in rows}) == len(rows) == 5
    assert max(row["tmag"] for row in rows) <= 14


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "parquet", "fits", "votable"])
def test_a_table_is_the_same_in_every_format(served, form):
    tic = int(served.other["tic"].values[4])
    answer = served.get("/curated/objects", sector=1, tmag_max=12, limit=1000, format=form)
    expected = pd.DataFrame(rows_of(served.get("/curated/objects", sector=1, tmag_max=12, limit=1000)))
    found = READ[form](answer.content)
    assert list(found.columns) == list(expected.columns)
    for name in ("tic", "ra", "dec", "tmag", "object", "star"):
        assert found[name].tolist() == expected[name].tolist(), name
    assert tic not in (0, None)


def _of_fits(content: bytes) -> pd.DataFrame:
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        return pd.DataFrame({name: hdus[1].data[name].tolist() for name in hdus[1].columns.names})


def _of_votable(content: bytes) -> pd.DataFrame:
    table = parse_votable(io.BytesIO(content), verify="exception").get_first_table().to_table()
    return pd.DataFrame(
        {name: [getattr(v, "item", lambda v=v: v)() for v in table[name]] for name in table.colnames}
    )


READ = {
    "json": lambda content: pd.DataFrame(orjson.loads(content)["rows"]),
    "ndjson": lambda content: pd.DataFrame([orjson.loads(line) for line in content.splitlines()]),
    "csv": lambda content: pd.read_csv(io.BytesIO(content)),
    "parquet": lambda content: parquet.read_table(io.BytesIO(content)).to_pandas(),
    "fits": _of_fits,
    "votable": _of_votable,
}


def test_the_header_accept_chooses_a_format_and_units_come_with_it(served):
    answer = served.session.get(
        served.url + "/curated/objects?limit=2", headers={"Accept": "application/vnd.apache.parquet"}
    )
    schema = parquet.read_schema(io.BytesIO(answer.content))
    assert schema.field("tmag").metadata == {
        b"unit": b"mag", b"description": VARIABLES["tmag"].meaning.encode(),
    }  # fmt: skip
    assert served.get("/curated/objects", limit=1).json()["columns"]["ra"] == {
        "unit": "deg", "meaning": VARIABLES["ra"].meaning,
    }  # fmt: skip


TYPES = {
    "parquet": lambda content: parquet.read_schema(io.BytesIO(content)).types,
    "fits": lambda content: [column.format for column in fits.open(io.BytesIO(content))[1].columns],
    "votable": lambda content: [
        field.datatype for field in parse_votable(io.BytesIO(content)).get_first_table().fields
    ],
}


@pytest.mark.parametrize("form", TYPES)
@pytest.mark.parametrize(
    ("path", "nothing"),
    [("/curated/objects", {"tic": 1}), ("/raw", {"camera": 4}), ("/staging", {"camera": 4})],
)
def test_a_page_without_rows_has_the_types_of_all_pages(served, form, path, nothing):
    full, empty = (TYPES[form](served.get(path, format=form, **asked).content) for asked in ({}, nothing))
    texts = re.compile(r"\d+A")
    assert [texts.sub("A", str(kind)) for kind in empty] == [texts.sub("A", str(kind)) for kind in full]


def test_times_say_what_they_count_from(served):
    _, tic = measured(served)
    path, asked = f"/curated/light_curves/{tic}", {"columns": "time,flux"}
    told = served.get(path, **asked).json()["columns"]["time"]["meaning"]
    assert told == "mid-exposure for the place of the star, BTJD = BJD − 2457000, TDB"
    resource = parse_votable(
        io.BytesIO(served.get(path, format="votable", **asked).content), verify="exception"
    ).resources[0]
    (system,) = resource.time_systems
    assert (float(system.timeorigin), system.timescale) == (2457000, "TDB")
    assert resource.tables[0].fields[0].ref == system.ID
    with fits.open(io.BytesIO(served.get(path, format="fits", **asked).content)) as hdus:
        header = hdus[1].header
    assert (header["BJDREFI"], header["BJDREFF"], header["TIMESYS"]) == (2457000, 0, "TDB")
    assert header["TCOMM1"] == told.replace("−", "-")
    assert header.comments["TMAG"] == "[mag] TESS magnitude"


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet", "votable"])
def test_all_rows_come_in_one_stream(served, form):
    everything = all_pages(served, "/curated/objects")
    found = READ[form](served.get("/curated/objects", stream="true", format=form).content)
    assert found["object"].tolist() == [row["object"] for row in everything]


def test_a_light_curve_is_that_of_the_store_whatever_reads_it(served):
    star, tic = measured(served)
    family = family_of(served.made.light_curves)
    found = served.get(f"/curated/light_curves/{tic}").json()
    expected = family.read(np.array([star]))
    for name in ("flux", "flux_err", "background", "centroid_row", "centroid_column", "pixel_quality"):
        values = np.array([np.nan if v is None else v for v in found["data"][name]], float)
        np.testing.assert_array_equal(
            values.astype(expected[name].dtype), expected[name].values[0], err_msg=name
        )
    np.testing.assert_array_equal(found["data"]["time"], expected["star_time"].values[0])
    assert (found["tic"], found["star"], found["method"]) == (tic, star, "aperture")
    assert found["columns"]["flux"]["unit"] == "electron / s"
    table = parquet.read_table(
        io.BytesIO(served.get(f"/curated/light_curves/TIC {tic}", format="parquet").content)
    )
    np.testing.assert_array_equal(table["flux"].to_numpy(), expected["flux"].values[0])
    assert table.schema.field("flux").type == pa.float32()


def test_a_correction_is_chosen_by_name_and_missing_numbers_are_null(served):
    curves = served.other
    star = 1
    name = f"{curves.attrs['provenance_id']}-{star}"
    family = family_of(curves)
    for correction in ("best", "cbv", "ensemble"):
        found = served.get(
            f"/curated/light_curves/{name}", correction=correction, columns="time,flux_corr"
        ).json()
        expected = open_corrected(family, correction).read(np.array([star]))
        assert found["data"]["flux_corr"] == pytest.approx(
            expected["flux_corr"].values[0].tolist(), nan_ok=True
        )
        assert list(found["data"]) == ["time", "flux_corr"]
    assert found["correction"] == "ensemble"
    bare = served.get(f"/curated/light_curves/{name}", correction="none").json()
    assert "flux_corr" not in bare["data"]


def test_fits_is_the_file_of_tasoc(served):
    star, tic = measured(served)
    answer = served.get(f"/curated/light_curves/{tic}", format="fits")
    assert f"tess{tic:011d}" in answer.headers["content-disposition"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(io.BytesIO(gzip.decompress(answer.content)), checksum=True) as hdus:
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "LIGHTCURVE", "SUMIMAGE", "APERTURE"]
            flux = served.made.light_curves["flux"].values[star]
            np.testing.assert_array_equal(hdus["LIGHTCURVE"].data["FLUX_RAW"], flux)


def test_an_aperture_has_its_pixels_and_the_stamp_around_them(served):
    star, tic = measured(served)
    apertures = served.made.apertures
    found = served.get(f"/curated/apertures/{tic}").json()
    first = int(apertures["row_size"].values[:star].sum())
    span = slice(first, first + int(apertures["row_size"].values[star]))
    assert found["data"]["pixel_row"] == apertures["pixel_row"].values[span].tolist()
    stamp = found["stamp"]
    inside = np.argwhere(stamp["in_aperture"]) + [stamp["first_row"], stamp["first_column"]]
    pixels = zip(found["data"]["pixel_row"], found["data"]["pixel_column"], strict=True)
    assert sorted(map(tuple, inside.tolist())) == sorted(pixels)
    row, column = inside[0]
    image = served.made.reference["reference"].sel(row=row, column=column)
    shown = stamp["reference"][row - stamp["first_row"]][column - stamp["first_column"]]
    assert shown == pytest.approx(float(image), rel=1e-6)


def test_pyvo_finds_what_lies_in_a_circle(served):
    import pyvo

    curves = served.made.light_curves
    ra, dec = (float(np.mean(curves[name].values)) for name in ("ra", "dec"))
    service = pyvo.dal.SCSService(served.url + "/cone")
    found = service.search(pos=(ra, dec), radius=0.2, verbosity=3)
    across = (curves["ra"].values - ra) * np.cos(np.radians(dec))
    near = np.hypot(across, curves["dec"].values - dec) < 0.199
    assert near.sum() > 3
    assert set(curves["tic"].values[near]) <= {int(row["tic"]) for row in found}
    assert {found.getdesc(name).ucd for name in ("object", "ra", "dec")} == {
        "ID_MAIN", "POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN",
    }  # fmt: skip
    assert len(service.search(pos=(ra, dec), radius=0.0)) == 0
    with pytest.raises(pyvo.dal.DALQueryError, match="SR"):
        service.search(pos=(ra, dec), radius=999.0)


def test_a_cone_search_passes_over_what_it_does_not_know(served):
    table = parse_votable(io.BytesIO(served.get("/cone", ra=10, Dec=5, sr=0.1, x="'; DROP").content))
    assert [field.name for field in table.get_first_table().fields] == [
        "object", "ra", "dec", "tic", "tmag", "distance",
    ]  # fmt: skip


def test_a_cone_search_that_breaks_off_says_so_behind_its_rows():
    def pages():
        yield [Found(5, 1.0, 2.0, 9.0, 1, 1, 2, "s0001-1-2", ID, 0, 1, 7, 0.0)]
        raise DatabaseError("database sqlite:///here?a=1&b=2: <gone>; expected one. Ask again.")

    sent = b"".join(cone._written(pages(), ["object", "ra", "dec"]))
    found = parse_votable(io.BytesIO(sent)).resources[0]
    assert found.tables[0].array["ra"].tolist() == [1.0]
    assert found.infos[-1].content.endswith("<gone>; expected one. Ask again.")


def test_raw_frames_are_listed_by_date_and_place(served):
    rows = all_pages(served, "/raw", limit=5)
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    assert len(rows) == served.made.cube.sizes["time"]
    np.testing.assert_array_equal([row["cadenceno"] for row in rows], served.made.cube["cadenceno"].values)
    some = rows_of(served.get("/raw", start=rows[3]["start"], end=rows[6]["start"], camera=rows[0]["camera"]))
    assert [row["name"] for row in some] == [row["name"] for row in rows[3:6]]
    assert rows_of(served.get("/raw", camera=rows[0]["camera"] % 4 + 1)) == []
    bits = served.made.cube["quality"].values
    none = rows_of(served.get("/raw", with_bits=int(bits.max()) or 4096, limit=100))
    assert len(none) == np.sum((bits & (int(bits.max()) or 4096)) > 0)


def test_a_frame_without_its_sky_is_served_with_its_plate_solution(served):
    sky, cube = served.made.sky, served.made.cube
    id_ = sky.attrs["provenance_id"]
    rows = all_pages(served, "/staging", limit=5)
    np.testing.assert_array_equal([row["cadenceno"] for row in rows], sky["cadenceno"].values)
    assert [row["start"] for row in rows] == [row["start"] for row in all_pages(served, "/raw")]
    answer = served.get(f"/staging/{id_}/frame", cadenceno=rows[4]["cadenceno"])
    with fits.open(io.BytesIO(answer.content), checksum=True) as hdus:
        image, header = hdus[0].data, hdus[0].header
        expected = cube["flux"][4].values - sky_image(sky, served.made.reference, 4)
        np.testing.assert_allclose(image, expected, rtol=1e-6, atol=1e-3)
        assert header["CADENCE"] == rows[4]["cadenceno"]
        raw = fits.getheader(served.made.folder / all_pages(served, "/raw")[4]["name"], 1)
        for name in ("SECTOR", "CAMERA", "CCD", "TSTART", "TSTOP", "TIMESYS", "BJDREFI"):
            assert header[name] == raw.get(name, header[name]), name
        assert (header["DATE-OBS"][:19], header["DATE-END"][:19]) == (rows[4]["start"], rows[5]["start"])
        assert header["BTJD"] == pytest.approx((header["TSTART"] + header["TSTOP"]) / 2, abs=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ra, dec = WCS(header).all_pix2world(10, 20, 0)
    first = int(cube["row"][0]), int(cube["column"][0])
    place = pixel_to_sky(str(cube["wcs"].values[4]), first[0] + 20, first[1] + 10)
    np.testing.assert_allclose([ra, dec], np.array(place).ravel(), atol=1e-6)
    picture = served.get(f"/staging/{id_}/frame", cadenceno=rows[4]["cadenceno"], format="png", bin=2)
    shown = Image.open(io.BytesIO(picture.content))
    assert shown.size == (sky.sizes["column"] // 2, sky.sizes["row"] // 2)
    assert len(np.unique(np.asarray(shown))) > 20


def test_frames_that_are_gone_are_said_to_be(served, monkeypatch, tmp_path):
    monkeypatch.setenv("TASOC_DATA", str(tmp_path / "nothing"))
    settings.cache_clear()
    id_ = served.made.sky.attrs["provenance_id"]
    staged_frames._cubes.forget((store.product_unit(served.made.sky), id_))
    cadenceno = int(served.made.sky["cadenceno"][0])
    answer = served.get(f"/staging/{id_}/frame", 409, cadenceno=cadenceno).json()
    assert "not here" in answer["error"]
    assert "Bring them back" in answer["next"]
    assert "no such" not in answer["error"]
    served.get(f"/staging/{id_}/frame", 404, cadenceno=1)
    served.get(f"/staging/{'0' * 12}/frame", 404, cadenceno=1)


def test_oscillators_are_found_by_numax_and_spectra_by_star(served):
    measured = store.open_product("oscillations", sector=2)
    rows = all_pages(served, "/spectra", limit=1, probability=0.01)
    likely = np.flatnonzero(measured["detection_probability"].values >= 0.01)
    assert [row["star"] for row in rows] == likely.tolist()
    assert len(rows) > 1
    numax = [row["numax"] for row in rows]
    some = rows_of(
        served.get("/spectra", numax_min=min(numax) - 0.01, numax_max=min(numax) + 0.01, probability=0.01)
    )
    assert [row["tic"] for row in some] == [row["tic"] for row in rows if row["numax"] == min(numax)]
    found = served.get(f"/spectra/{rows[0]['tic']}").json()
    spectra = store.open_product("spectra", id=found["id"])
    np.testing.assert_array_equal(
        np.float32(found["data"]["power"]), spectra["power"][rows[0]["star"]].values
    )
    assert found["numax"] == pytest.approx(numax[0], rel=1e-6)
    served.get("/spectra/7", 404)


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "parquet", "fits", "votable"])
def test_the_spectrum_of_a_star_without_oscillations_is_told_in_every_format(served, form):
    measured = store.open_product("oscillations", sector=2)
    star = int(np.flatnonzero(np.isnan(measured["numax"].values))[0])
    answer = served.get(f"/spectra/{measured['tic'].values[star]}", format=form)
    if form == "fits":
        with fits.open(io.BytesIO(answer.content)) as hdus:
            assert hdus[1].header["NUMAX"] is None
            assert hdus[1].header["NOISE_LE"] > 0


def test_the_product_that_counts_is_the_newest_or_the_current_one(served):
    curves = served.other
    tic = int(curves["tic"].values[0])
    unit, first = store.product_unit(curves), curves.attrs["provenance_id"]
    later = newer(curves, 2.0)
    store.write_product(later)
    second = later.attrs["provenance_id"]
    try:
        assert [row["id"] for row in rows_of(served.get("/curated/objects", tic=tic))] == [second]
        database.set_tag("current", "light_curves", unit, first)
        assert [row["id"] for row in rows_of(served.get("/curated/objects", tic=tic))] == [first]
        assert [row["id"] for row in rows_of(served.get("/curated/objects", tic=tic, id=second))] == [second]
        old, new = (
            np.array(
                served.get(f"/curated/light_curves/{tic}", columns="flux", **asked).json()["data"]["flux"]
            )
            for asked in ({"tag": "current"}, {"id": second})
        )
        np.testing.assert_allclose(new, 2 * old, rtol=1e-6)
    finally:
        database.set_tag("current", "light_curves", unit, first)


BAD = [
    ("/curated/objects", {"ra": "nan", "dec": 1, "radius": 1}),
    ("/curated/objects", {"ra": 10}),
    ("/curated/objects", {"limit": 10**6}),
    ("/curated/objects", {"cursor": "☃"}),
    ("/curated/objects", {"cursor": "WzEsMl0"}),
    ("/curated/objects", {"tic": "1 OR 1=1"}),
    ("/curated/objects", {"tic": 2**70}),
    ("/curated/objects", {"object": "../../etc/passwd"}),
    ("/curated/objects", {"unit": "s0001-1-2'; DROP TABLE objects; --"}),
    ("/curated/objects", {"unknown": 1}),
    ("/curated/objects", {"stream": "true", "format": "fits"}),
    ("/curated/light_curves/ångström", {}),
    ("/curated/light_curves/1", {"columns": "flux;drop"}),
    ("/raw", {"start": "0001-01-01T00:00:00+14:00"}),
    ("/raw", {"start": "yesterday"}),
    ("/staging", {"id": "%2e%2e"}),
    ("/spectra", {"numax_min": "inf"}),
    ("/raw", {"sector": [1, 2]}),
    ("/products", {"sector": [1, 2]}),
    ("/products", {"sektor": 1}),
    ("/stats", {"sector": 1}),
    ("/jobs", {"quueue": "photometry"}),
]


@pytest.mark.parametrize(("path", "asked"), BAD, ids=lambda value: str(value)[:40])
def test_what_is_no_question_is_refused_in_one_form(served, path, asked):
    if asked.get("cursor") == "WzEsMl0":
        asked = asked | {"tic": 1}
    answer = served.get(path, 422, **asked).json()
    assert answer.keys() == {"error", "next"}
    assert answer["next"]


def test_a_star_that_nobody_measured_is_not_found(served):
    for path in ("light_curves", "apertures"):
        assert "objects" in served.get(f"/curated/{path}/999999999999", 404).json()["next"]
    last = served.other.sizes["star"] - 1
    name = f"{served.other.attrs['provenance_id']}-{last}"
    served.get(f"/curated/light_curves/{name}", 404)
    served.get(f"/curated/light_curves/{name[:13]}{10**6}", 404)


def test_opened_products_are_kept_and_few(served):
    star, tic = measured(served)
    curves = served.made.light_curves
    one = open_curves(store.product_unit(curves), curves.attrs["provenance_id"])
    served.get(f"/curated/light_curves/{tic}")
    assert open_curves(store.product_unit(curves), curves.attrs["provenance_id"]) is one
    assert one.rows(curves) is one.rows(curves)


# The examples of the documentation


def in_this_store(text: str, served) -> str:
    """Return an example with the names of what this store has in place of those it was written with."""
    text = text.replace("http://127.0.0.1:8000", served.url).replace("261136679", str(data.FIRST_TIC + 1))
    made, other = served.made, served.other
    sky, stars, curves = (one.attrs["provenance_id"] for one in (made.sky, made.light_curves, other))
    lit = int(np.flatnonzero(made.light_curves["row_size"].values)[0])
    cadence = int(made.sky["cadenceno"][3])
    for old, new in {
        "staging/0123456789ab": f"staging/{sky}",
        "0123456789ab-17": f"{stars}-{lit}",
        "0123456789ab": curves,
        "cadenceno=4800": f"cadenceno={cadence}",
        "camera=4&ccd=2": "camera=1&ccd=2",
        "s0001-4-2": "s0001-1-2",
    }.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("page", ["api", "api_data"])
def test_every_address_of_the_documentation_is_answered(served, repository, page):
    text = in_this_store((repository / "docs" / f"{page}.md").read_text(), served)
    # A job that runs here is the business of the tests of jobs.
    addresses = [url for url in re.findall(rf"({served.url}/[^\s'\"]+)", text) if "/jobs" not in url]
    assert len(addresses) > 4
    for address in addresses:
        told = requests.get(address, timeout=60)
        assert told.status_code == 200, (address, told.text[:300])


@pytest.mark.parametrize("page", ["api", "api_data"])
def test_the_python_of_the_documentation_runs(served, repository, page, monkeypatch):
    monkeypatch.setenv("TASOC_TOKEN", make_token("script", "write"))
    text = in_this_store((repository / "docs" / f"{page}.md").read_text(), served)
    examples = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if served.url in code]
    names: dict[str, Any] = {}
    for code in examples:
        if "/jobs" not in code:
            exec(compile(code, page, "exec"), names)
    if page == "api":
        assert names["api"].get(f"{served.url}/products", timeout=60).json()["products"]
    else:
        assert len(names["curve"]) == served.other.sizes["time"]
        assert len(names["found"].to_table()) == 0
