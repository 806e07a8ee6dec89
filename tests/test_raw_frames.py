"""Claims about the lists of frames: one scale of dates, every frame once, whatever way it came."""

from __future__ import annotations

import datetime
import io

import pytest
import requests
from api_server import api_of_a_module, bearer
from astropy.table import Table
from ffi_files import frame_pixels, write_ffi, write_sector_of

from tasoc_kit.config import settings
from tasoc_kit.records.files import add_file
from tasoc_kit.sources.ffi_index import scan

STARTED = datetime.datetime(2018, 7, 25, 19, 29, 42, 708000, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with api_of_a_module(tmp_path_factory.mktemp("api")) as url:
        yield url


@pytest.fixture
def frames(address, tmp_path, monkeypatch):
    """Three frames in a data folder whose headers were read, and a function that asks for all pages."""
    for name, place in (("STORE", "store"), ("DATA", "data"), ("CACHE", "cache")):
        monkeypatch.setenv(f"TASOC_{name}", str(tmp_path / place))
    settings.cache_clear()
    write_sector_of(tmp_path / "data" / "frames", 3)
    scan(tmp_path / "data")

    def ask(**asked: object) -> list[dict]:
        rows, cursor = [], {}
        while True:
            page = requests.get(f"{address}/raw", params=asked | cursor).json()
            rows += page["rows"]
            if page["next"] is None:
                return rows
            cursor = {"cursor": page["next"]}

    return ask


def bring_in(address: str, path) -> str:
    answer = requests.put(f"{address}/inject/{path.name}", data=path.read_bytes(), headers=bearer())
    assert answer.status_code == 201, answer.text
    return answer.json()["sha256"]


def test_dates_are_those_of_the_names_whatever_way_a_frame_came(frames, address, tmp_path):
    (tmp_path / "copy").mkdir()
    sha256 = bring_in(address, write_ffi(tmp_path / "copy", 1, pixels=frame_pixels(9)))
    rows = frames()
    assert sorted((row["name"], row["sha256"] or "") for row in rows) == sorted(
        [*((row["name"], "") for row in rows if row["origin"] == "data"), (rows[1]["name"], sha256)]
    )
    assert len(rows) == 4
    for row in rows:
        told = datetime.datetime.fromisoformat(row["start"])
        assert told.strftime("tess%Y%j%H%M%S") == row["name"][:17]
    first, last = rows[1]["start"], rows[3]["start"]
    assert [row["start"] for row in frames(start=first, end=last)] == [first, first]
    assert frames(start=first, end=first) == []


def test_a_frame_that_was_brought_in_and_read_since_is_one(frames, address, tmp_path):
    (tmp_path / "copy").mkdir()
    # The same name and moment thrice: in the folder, and of two contents that were brought in.
    known = {bring_in(address, write_ffi(tmp_path / "copy", 1, pixels=frame_pixels(k))) for k in (8, 9)}
    before = frames()
    scan(tmp_path / "data")
    after = frames()
    assert len(before) == len(after) == 5
    for name in ("sha256", "start", "end", "cadenceno", "bytes"):
        assert [row[name] for row in before] == [row[name] for row in after], name
    assert {row["sha256"] for row in after if row["origin"] == "inject"} == known
    assert {row["time_start"] for row in before if row["sha256"]} == {None}
    assert len({row["time_start"] for row in after}) == 3
    assert frames(limit=1) == frames(limit=2) == after
    sent = requests.get(f"{address}/download/raw/{sorted(known)[0]}")
    assert len(sent.content) == next(row["bytes"] for row in after if row["sha256"] == sorted(known)[0])


def test_pages_of_frames_that_began_together_hold_each_once(frames):
    """All CCDs of a sector begin in one moment, and files that were brought in have many versions."""
    same = {"kind": "ffi", "bytes": 9, "location": "raw", "sector": 2, "cadenceno": 5, "quality": 0}
    same |= {"ended": None, "received": STARTED, "sender": "me", "state": "whole"}
    for number in range(200):
        moment = STARTED + datetime.timedelta(minutes=number // 180)
        place = {"camera": 1 + number % 4, "ccd": 1 + number // 4 % 4, "name": f"tess-{number % 16}.fits"}
        add_file({"sha256": f"{number * 7919:064x}", "started": moment} | place | same)
    for limit in (3, 77, 1000):
        rows = frames(sector=2, limit=limit)
        keys = [(row["start"], row["name"], row["sha256"]) for row in rows]
        assert len(keys) == 200
        assert keys == sorted(set(keys))


@pytest.mark.parametrize("asked", ["1491.2", "2458325.5", "20180725", "1532476800"])
def test_what_is_no_date_is_not_taken_as_seconds(frames, address, asked):
    for place in ("/raw", "/staging"):
        answer = requests.get(f"{address}{place}", params={"start": asked})
        assert answer.status_code == 422
        assert f"start='{asked}': expected a date as 2018-07-25" in answer.json()["error"]


def test_a_number_that_is_missing_is_masked_in_fits_and_votable(frames, address, tmp_path):
    (tmp_path / "copy").mkdir()
    bring_in(address, write_ffi(tmp_path / "copy", 5))
    expected = [row["cadenceno"] for row in frames()]
    assert None in expected
    assert any(expected)
    for form, read in (("fits", {"format": "fits", "hdu": 1}), ("votable", {"format": "votable"})):
        content = requests.get(f"{address}/raw", params={"format": form}).content
        found = Table.read(io.BytesIO(content), **read)["cadenceno"]
        assert found.dtype.kind == "i"
        assert found.tolist() == expected
