"""Claims about the index of stars: whole, exact on the sphere, and a mirror of the products."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dashboard_data as data
import numpy as np
import pytest
import sqlalchemy as sa
from stored_dataset import ID, records

from tasoc_kit import database, store
from tasoc_kit.config import settings
from tasoc_kit.errors import DatabaseError
from tasoc_kit.numerics.sky_cells import cell_of, cell_runs, chord2, unit_vectors
from tasoc_kit.products import prune, rebuild, tag_product
from tasoc_kit.records import engine, objects
from tasoc_kit.records.objects import (
    Wanted,
    each_object,
    find_objects,
    object_name,
    parse_object,
    random_objects,
)

OTHER = "a" * 12
STARS = 3000
CIRCLES = [
    (0.0, 90.0, 3.0), (123.0, 89.5, 2.0), (10.0, -90.0, 40.0), (359.99, 0.0, 4.0), (0.0, -45.0, 30.0),
    (200.0, 12.0, 95.0), (77.0, 5.0, 180.0), (180.0, 60.0, 0.3), (300.0, -20.0, 89.999),
]  # fmt: skip


def sky(stars: int = STARS, seed: int = 1) -> dict[str, np.ndarray]:
    """Return stars spread over the sky, some at its poles and where right ascension begins."""
    random = np.random.default_rng(seed)
    ra, dec = random.uniform(0, 360, stars), np.degrees(np.arcsin(random.uniform(-1, 1, stars)))
    ra[:4], dec[:4] = (0.0, 359.9999999, 17.0, 200.0), (0.0, 1e-9, 90.0, -90.0)
    tic = np.arange(seed * 10**6, seed * 10**6 + stars)
    return {"tic": tic, "ra": ra, "dec": dec, "tmag": random.uniform(6, 15, stars)}


def record(unit: str = "s0001-1-2", id_: str = ID, created: float = 1.0, stars: dict | None = None) -> dict:
    columns = sky() if stars is None else stars
    attrs = {"provenance": records(id_)}
    database.record_product("light_curves", unit, id_, "here", attrs, created=created, stars=lambda: columns)
    return columns


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, monkeypatch) -> str:
    """The settings' database: an empty one, of each kind."""
    if request.param == "postgresql":
        monkeypatch.setenv("TASOC_DATABASE", request.getfixturevalue("postgres_url"))
        settings.cache_clear()
    return settings().database


def test_a_circle_holds_exactly_the_stars_within_it(url):
    columns = record()
    where = unit_vectors(columns["ra"], columns["dec"])
    for ra, dec, radius in CIRCLES:
        middle = unit_vectors(ra, dec)[:, None]
        inside = np.flatnonzero(((where - middle) ** 2).sum(axis=0) <= chord2(radius))
        found = [one for page in each_object(Wanted(cone=(ra, dec, radius)), at_once=700) for one in page]
        assert sorted(one.star for one in found) == inside.tolist(), (ra, dec, radius)
        assert max((one.distance for one in found), default=0.0) <= radius + 1e-9


def test_the_cells_of_a_circle_hold_every_place_in_it():
    random = np.random.default_rng(3)
    for ra, dec, radius in CIRCLES + [
        (random.uniform(0, 360), random.uniform(-90, 90), 1.0) for _ in range(40)
    ]:
        angle, away = (
            random.uniform(0, 2 * np.pi, 300),
            np.radians(radius) * np.sqrt(random.uniform(0, 1, 300)),
        )
        d0 = np.radians(dec)
        at_dec = np.arcsin(np.sin(d0) * np.cos(away) + np.cos(d0) * np.sin(away) * np.cos(angle))
        turn = np.arctan2(
            np.sin(angle) * np.sin(away) * np.cos(d0), np.cos(away) - np.sin(d0) * np.sin(at_dec)
        )
        cells = cell_of(ra + np.degrees(turn), np.degrees(at_dec))
        runs = np.array(cell_runs(ra, dec, radius))
        assert (np.diff(runs.ravel()) >= 0).all()
        place = np.searchsorted(runs[:, 0], cells, side="right") - 1
        assert ((place >= 0) & (cells <= runs[place, 1])).all(), (ra, dec, radius)


def test_pages_of_any_order_hold_every_object_once(url):
    record()
    record("s0002-1-2", OTHER, stars=sky(50, seed=2))
    asked = [
        Wanted(), Wanted(sector=2), Wanted(tmag_min=8, tmag_max=12), Wanted(cone=(10, 10, 60)),
        Wanted(cone=(10, 10, 60), tmag_max=10, sector=1), Wanted(id=OTHER),
        Wanted(unit="s0001-1-2", tmag_min=14),
    ]  # fmt: skip
    for wanted in asked:
        found = [(one.id, one.star) for page in each_object(wanted, at_once=97) for one in page]
        (once,) = each_object(wanted, at_once=10**4)
        assert found == [(one.id, one.star) for one in once]
        assert len(set(found)) == len(found) > 10


def test_a_page_goes_on_where_the_last_one_ended_though_stars_came_in_between(url):
    record(stars=sky(20))
    page, after = find_objects(Wanted(), limit=8)
    record("s0002-1-2", OTHER, stars=sky(20, seed=2))
    rest, end = find_objects(Wanted(), after=after, limit=1000)
    assert end is None
    assert len({(one.id, one.star) for one in page + rest}) == 40
    with pytest.raises(DatabaseError, match="another query"):
        find_objects(Wanted(tic=1), after=after)


def test_the_light_curves_that_count_are_the_current_or_the_newest(url):
    record(created=2.0, stars=sky(5))
    record(id_=OTHER, created=1.0, stars=sky(5))

    def shown(**changes: object) -> set[str]:
        return {one.id for one in find_objects(replace(Wanted(), **changes))[0]}

    assert shown() == {ID}
    database.set_tag("current", "light_curves", "s0001-1-2", OTHER)
    database.set_tag("paper-1", "light_curves", "s0001-1-2", ID)
    assert (shown(), shown(tag="paper-1"), shown(id=ID), shown(tag="none")) == ({OTHER}, {ID}, {ID}, set())
    database.remove_product("light_curves", "s0001-1-2", OTHER)
    assert shown() == shown(tag="paper-1") == {ID}
    assert find_objects(Wanted(id=OTHER)) == ([], None)


def test_a_star_without_a_place_or_brightness_is_found_by_its_number(url):
    stars = {"tic": [5, 6], "ra": [np.nan, 1.0], "dec": [0.0, 1.0], "tmag": [np.nan, 9.0]}
    record(stars={name: np.array(values) for name, values in stars.items()})
    ((found,), _) = find_objects(Wanted(tic=5))
    assert (found.ra, found.dec, found.tmag, found.cell, found.distance) == (None,) * 5
    assert [one.tic for one in find_objects(Wanted(cone=(0, 0, 180)))[0]] == [6]


def test_objects_by_chance_come_from_all_products(url):
    record(stars=sky(4))
    record("s0002-1-2", OTHER, stars=sky(300, seed=2))
    assert len(random_objects(Wanted(), 100)) == 100
    assert {one.star for one in random_objects(Wanted(sector=1), 50)} == {0, 1, 2, 3}
    assert random_objects(Wanted(sector=3), 5) == []


def test_objects_by_chance_are_each_as_likely_though_products_are_in_order_of_brightness(url):
    columns = sky(400)
    record(stars=columns | {"tmag": np.sort(columns["tmag"])})
    faint = [one.star for one in find_objects(Wanted(tmag_min=12.0), limit=1000)[0]]
    drawn = [one.star for _ in range(60) for one in random_objects(Wanted(tmag_min=12.0), 5)]
    # 300 draws of 100 to 200 stars: of a fair choice no star comes more than a dozen times.
    assert set(drawn) <= set(faint)
    assert max(map(drawn.count, set(drawn))) <= 12
    assert len(set(drawn)) > 0.6 * len(faint)


@pytest.mark.parametrize("few", [Wanted(tmag_min=20.0), Wanted(cone=(50.0, 50.0, 1.0)), Wanted(tic=999)])
def test_objects_by_chance_are_found_however_few_meet_the_conditions(url, few, monkeypatch):
    monkeypatch.setattr(objects, "_DRAWN", 50)
    for number in range(20):
        record(f"s{2 + number:04d}-1-2", f"{number:012x}", stars=sky(40, seed=2 + number))
    rare = {"tic": [999, 998], "ra": [50.0, 50.1], "dec": [50.0, 50.1], "tmag": [21.0, 22.0]}
    record(stars={name: np.array(values) for name, values in rare.items()})
    expected = {(one.id, one.star) for one in find_objects(few)[0]}
    assert {(one.id, one.star) for one in random_objects(few, 100)} == expected
    assert len(random_objects(few, 1)) == 1


def test_names_lead_to_objects_and_nothing_else_does():
    assert parse_object(object_name(ID, 17)) == (ID, 17)
    for name in ("", "17", f"{ID}-", f"{ID}-1'; --", f"{ID}--1", f"{ID.upper()}x-1", f"{ID}-١٢"):
        assert parse_object(name) is None, name


def test_the_index_follows_the_products_of_the_store():
    curves = data.make_light_curves(data.make_apertures(data.make_reference(data.make_cube())))
    store.write_product(curves)
    id_ = curves.attrs["provenance_id"]

    def listed() -> list[tuple[str, int]]:
        return [(one.id, one.tic) for page in each_object(Wanted()) for one in page]

    expected = [(id_, int(tic)) for tic in curves["tic"].values]
    assert listed() == expected
    database.remove_product("light_curves", store.product_unit(curves), id_)
    assert listed() == []
    assert rebuild() == rebuild() == 1
    assert listed() == expected
    newest = curves.assign_attrs(provenance_id=OTHER)
    store.write_product(newest)
    tag_product("current", id_)
    assert listed() == expected
    assert set(find_objects(Wanted(id=OTHER), limit=1000)[0]) != set()
    tag_product("current", OTHER)
    prune(dry_run=False)
    assert {one for one, _ in listed()} == {OTHER}


def test_kept_connections_see_another_file_at_once(monkeypatch):
    monkeypatch.setattr(engine, "_pool", dict(engine._pool))
    engine.keep_connections(2)
    try:
        record(stars=sky(4))
        assert len(find_objects(Wanted())[0]) == 4
        for ending in ("", "-wal", "-shm"):
            Path(settings().database.removeprefix("sqlite:///") + ending).unlink(missing_ok=True)
        assert find_objects(Wanted())[0] == []
        record(stars=sky(5))
        assert len(find_objects(Wanted())[0]) == 5
    finally:
        engine._engine.cache_clear()


def test_a_page_is_found_by_an_index_and_never_by_reading_all():
    record()
    for wanted in (Wanted(cone=(1, 1, 1)), Wanted(tic=5), Wanted(tmag_min=9), Wanted(sector=1)):
        text = objects._query(frozenset(wanted.binds), wanted.order, 2, True)
        values = dict.fromkeys(text._bindparams, 1)
        with engine.connect().connect() as connection:
            plan = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text.text}"), values).all()
        steps = [row.detail for row in plan]
        assert not [step for step in steps if step.startswith("SCAN o")], steps
        assert sum("SEARCH o USING" in step for step in steps) == 2, steps


def test_postgresql_finds_a_page_by_an_index_as_well(postgres_url, monkeypatch):
    monkeypatch.setenv("TASOC_DATABASE", postgres_url)
    settings.cache_clear()
    record()
    for wanted, column in (
        (Wanted(cone=(1, 1, 1)), "cell"),
        (Wanted(tic=5), "tic"),
        (Wanted(tmag_min=9), "tmag"),
    ):
        runs = next(objects._runs(wanted, None, None))
        text = objects._query(frozenset(wanted.binds), wanted.order, len(runs), False)
        values = dict.fromkeys(text._bindparams, 1) | wanted.binds
        for k, (low, high) in enumerate(runs):
            values |= {f"low{k}": low, f"high{k}": high}
        with engine.connect().connect() as connection:
            # So few rows are read fastest as they stand.
            connection.execute(sa.text("SET enable_seqscan = off"))
            plan = "\n".join(connection.scalars(sa.text(f"EXPLAIN {text.text}"), values))
        assert plan.count(f"Index Cond: (({column} >= ") == len(runs), plan
