"""Claims about what is counted: products, raw files, jobs and runs."""

from __future__ import annotations

import datetime

import pytest
import requests
import sqlalchemy as sa
from api_server import served_api
from stored_dataset import ID, small_dataset

from tasoc_kit import database, store
from tasoc_kit.config import settings
from tasoc_kit.products import rebuild
from tasoc_kit.records.engine import connect, writing
from tasoc_kit.records.files import add_file
from tasoc_kit.records.jobs import submit_job
from tasoc_kit.records.statistics import count_files, count_jobs, count_products, count_runs
from tasoc_kit.records.tables import Product

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, monkeypatch):
    """A database of each kind, which is that of the settings."""
    if request.param == "postgresql":
        monkeypatch.setenv("TASOC_DATABASE", request.getfixturevalue("postgres_url"))
        settings.cache_clear()
    return settings().database


def fill(products: int) -> None:
    """Enter products of two names, a minute apart, of 10 bytes each."""
    now = datetime.datetime.now(datetime.UTC)
    with writing(None) as session:
        rows = [
            {
                "product": ("sky", "stream")[number % 2],
                "unit": f"s{1 + number % 3:04d}-{1 + number % 4}-{1 + number % 2}",
                "id": f"{number:012x}",
                "url": "here",
                "recorded": now - datetime.timedelta(minutes=number),
                "bytes": 10,
            }
            for number in range(products)
        ]
        session.execute(sa.insert(Product), rows)


def a_file(number: int, **changes: object) -> dict[str, object]:
    row = {"sha256": f"{number:064x}", "name": "x.fits", "kind": "ffi", "bytes": 100, "location": "here"}
    row |= {"sector": 1, "camera": 1, "ccd": 2, "cadenceno": number, "quality": 0, "started": None}
    return row | {"ended": None, "received": NOW, "sender": "me", "state": "whole"} | changes


def test_every_kind_is_counted_by_what_it_is_of(url):
    fill(2000)
    counts = count_products()
    assert sum(row["number"] for row in counts) == 2000
    assert sum(row["bytes"] for row in counts) == 20_000
    # The last minutes of the hour and the day may pass while this runs.
    assert 55 <= sum(row["last_hour"] for row in counts) <= 60
    assert 1430 <= sum(row["last_day"] for row in counts) <= 1440
    places = {(row["product"], row["sector"], row["camera"]) for row in counts}
    assert places == {(("sky", "stream")[n % 2], 1 + n % 3, 1 + n % 4) for n in range(2000)}
    assert {row["product"] for row in count_products(product="sky")} == {"sky"}
    for number in range(5):
        add_file(a_file(number, camera=1 + number % 2, state=("whole", "checksum")[number == 4]))
    shown = [(row["camera"], row["state"], row["number"], row["bytes"]) for row in count_files()]
    assert shown == [(1, "checksum", 1, 100), (1, "whole", 2, 200), (2, "whole", 2, 200)]
    for sector in (1, 2):
        submit_job("pipeline", "photometry", {"sector": sector})
    assert [(row["name"], row["state"], row["number"]) for row in count_jobs()] == [
        ("photometry", "ready", 2)
    ]
    database.finish_run(database.start_run("photometry", "17_sky", "s0001-1-2"), "done")
    assert [(row["notebook"], row["status"], row["last_hour"]) for row in count_runs()] == [
        ("17_sky", "done", 1)
    ]


def test_a_count_of_products_finds_them_in_the_order_of_the_groups():
    fill(10)
    with connect(None).connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT product, substr(unit, 1, 7), count(*), sum(bytes) FROM products "
            "GROUP BY product, substr(unit, 1, 7) ORDER BY product, substr(unit, 1, 7)"
        ).fetchall()
    assert len(plan) == 1
    assert "ix_products_counted" in plan[0][-1]


def test_the_bytes_of_a_product_are_those_of_its_files(monkeypatch):
    store.write_product(small_dataset())
    listed = int(store.list_products()["bytes"][0])
    assert (count_products()[0]["bytes"], listed > 0) == (listed, True)
    assert rebuild() == 1
    assert count_products()[0]["bytes"] == listed


def test_the_api_tells_all_of_it_and_nothing_where_nothing_is():
    with served_api() as address:
        empty = requests.get(f"{address}/stats").json()
        assert {name: total["number"] for name, total in empty["totals"].items()} == dict.fromkeys(
            ("products", "files", "jobs", "runs"), 0
        )
        store.write_product(small_dataset())
        told = requests.get(f"{address}/stats", params={"product": "stream"}).json()
        product = told["products"][0]
        assert (product["product"], product["sector"], product["camera"]) == ("stream", 1, 1)
        assert told["totals"]["products"]["bytes"] == product["bytes"] > 0
        assert requests.get(f"{address}/stats", params={"product": "'; DROP"}).status_code == 422
    assert store.is_complete("stream", "s0001-1-2", ID)
