"""
Rows and light curves over HTTP, by 32 clients at a time: circles, lists, one light curve as parquet.

The database has 100,000 products and a million stars of light curves, several of every unit. Server and
clients share two cores; the clients' work counts.

    python tests/benchmarks/platform_rows.py [--only ROW,ROW] [--scratch DIR]
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from claims import Claim, Row, make_parser, print_rows, scratch_folder
from http_load import load

from tasoc_kit import database
from tasoc_kit.config import settings

CLAIMS = {
    "rows_median_ms": Claim("ms", 60),
    "rows_p99_ms": Claim("ms", 200),
    "curve_p99_ms": Claim("ms", 250),
}
CLIENTS, SECONDS, TURNS = 32, 10.0, 3
SECTORS, IDS = 100, 5
"""Sectors of 16 CCDs, and how often each was made."""
NAMES = (
    "light_curves", "quality", "pointing", "reference", "stars", "apertures", "stream", "sky", "diagnostics",
    "cbvs", "corrections", "spectra", "validation",
)  # fmt: skip
"""Products of each CCD: 100 · 16 · 13 · 5 = 104,000."""
STARS = 125
CADENCES, CURVES, UNITS = 1300, 3000, 3
_SERVER = """
from tasoc_kit.api.limits import Limits
from tasoc_kit.api.server import Place, serve
serve(Place(port=0), limits=Limits(rate=0), log=False, ready=lambda url: print(url, flush=True))
"""
"""As ``tasoc api`` serves, but all clients here have one address, which may ask as often as it wants."""


def rows(scratch: Path) -> list[Row]:
    """Measure each claim, the median of some turns, in a store and database of their own."""
    os.environ |= {"TASOC_STORE": str(scratch / "store"), "TASOC_DATABASE": ""}
    settings.cache_clear()
    database.upgrade()
    fill_database()
    curves = write_curves()
    with server() as (url, process):
        asked = {"rows": row_paths(), "curve": curves}
        turns = {
            name: [_turn(url, process, paths, scratch) for _ in range(TURNS)] for name, paths in asked.items()
        }
    median = {
        name: {key: float(np.median([one[key] for one in some])) for key in some[0]}
        for name, some in turns.items()
    }
    for name, told in median.items():
        print(name, {key: round(value, 2) for key, value in told.items()}, flush=True)
    values = {
        "rows_median_ms": median["rows"]["median_ms"],
        "rows_p99_ms": median["rows"]["p99_ms"],
        "curve_p99_ms": median["curve"]["p99_ms"],
    }
    return [Row(name, values[name], claim) for name, claim in CLAIMS.items()]


def _turn(url: str, process: psutil.Process, paths: list[str], scratch: Path) -> dict[str, float]:
    before = _cpu(process)
    made = load(url, paths, clients=CLIENTS, seconds=SECONDS, folder=scratch)
    spent = _cpu(process) - before
    if made["failed"]:
        raise RuntimeError(f"{made['failed']} of {len(made['ms'])} answers had another status than 200")
    ms = np.array(made["ms"])
    answers = ms.size * (SECONDS + 2.0) / SECONDS
    return {
        "median_ms": float(np.median(ms)), "p99_ms": float(np.percentile(ms, 99)),
        "answers_per_s": ms.size / SECONDS, "server_cpu_ms": 1000 * spent / answers,
        "client_cpu_ms": 1000 * made["cpu"] / answers, "kilobytes": made["bytes"] / ms.size / 1000,
    }  # fmt: skip


def _cpu(process: psutil.Process) -> float:
    all_of_it = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in all_of_it)


@contextmanager
def server() -> Iterator[tuple[str, psutil.Process]]:
    """Serve the API in a process of its own, and give its address."""
    started = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        yield started.stdout.readline().strip(), psutil.Process(started.pid)
    finally:
        started.terminate()
        started.wait(60)


def _centre(sector: int, ccd: int) -> tuple[float, float]:
    """Return the middle of a CCD: sectors in rings about both poles, CCDs of 12 degrees along a meridian."""
    south = -1 if sector % 26 < 13 else 1
    return 27.7 * (sector % 13) % 360, south * (6.0 + 5.2 * ccd)


def fill_database() -> None:
    """Enter the products and stars of a hundred sectors."""
    import sqlalchemy as sa

    from tasoc_kit.records import objects
    from tasoc_kit.records.engine import writing
    from tasoc_kit.records.tables import Product, SkyObject, StarList

    random = np.random.default_rng(1)
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    number = 0
    for sector in range(1, SECTORS + 1):
        made: dict[type, list[dict[str, Any]]] = {Product: [], StarList: [], SkyObject: []}
        for ccd in range(16):
            place = {"sector": sector, "camera": ccd // 4 + 1, "ccd": ccd % 4 + 1}
            unit = "s{sector:04d}-{camera}-{ccd}".format(**place)
            for version in range(IDS):
                number += 1
                ids = [f"{random.integers(2**48):012x}" for _ in NAMES]
                made[Product] += [
                    {
                        "product": name,
                        "unit": unit,
                        "id": id_,
                        "url": f"{name}/{unit}/{id_}",
                        "recorded": moment,
                    }
                    for name, id_ in zip(NAMES, ids, strict=True)
                ]
                newest = version == IDS - 1
                told = {"stars": STARS, "created": float(version), "chosen": newest}
                made[StarList].append({"star_list": number, "unit": unit, "id": ids[0], **place, **told})
                made[SkyObject] += objects.star_rows(number, _stars(sector, ccd, random))
        with writing(None) as session:
            for table, rows_of_it in made.items():
                session.execute(sa.insert(table.__table__), rows_of_it)


def _stars(sector: int, ccd: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    ra, dec = _centre(sector, ccd)
    return {
        "tic": random.integers(10**6, 10**9, STARS),
        "ra": ra + random.uniform(-6, 6, STARS) / np.cos(np.radians(min(abs(dec), 85.0))),
        "dec": np.clip(dec + random.uniform(-3, 3, STARS), -90, 90),
        "tmag": random.uniform(6, 15, STARS),
    }


def row_paths() -> list[str]:
    """Return what is asked for: circles in both forms, numbers, names, chance, brightness, CCDs."""
    from tasoc_kit.records.objects import Wanted, find_objects, object_name

    random = np.random.default_rng(2)
    found = [
        one for number in range(1, SECTORS, 7) for one in find_objects(Wanted(sector=number), limit=40)[0]
    ]
    paths = []
    for one in found:
        ra, dec = (one.ra or 0.0) + random.normal(0, 0.3), float(np.clip((one.dec or 0.0), -89, 89))
        radius = random.choice([0.01, 0.1, 0.5, 1.0])
        bright = random.uniform(6, 14)
        paths += [
            f"/cone?RA={ra:.5f}&DEC={dec:.5f}&SR={radius / 4}",
            f"/cone?RA={one.ra}&DEC={one.dec}&SR=0.02",
            f"/curated/objects?ra={ra:.5f}&dec={dec:.5f}&radius={radius}&limit=50",
            f"/curated/objects?tic={one.tic}",
            f"/curated/objects/?object={object_name(one.id, one.star)}".replace("/?", "?"),
            f"/curated/objects?sector={one.sector}&camera={one.camera}&ccd={one.ccd}&limit=50",
            f"/curated/objects?tmag_min={bright:.3f}&tmag_max={bright + 0.2:.3f}&limit=50",
        ]
    return paths


def write_curves() -> list[str]:
    """Write light curves as a run does, in blocks of 64 cadences, and return where each is served."""
    import dask.array as da
    import xarray as xr

    from tasoc_kit import store

    paths = []
    for number in range(UNITS):
        id_ = f"{number:012x}"
        random = np.random.default_rng(number)
        shape = CURVES, CADENCES

        def series(dtype: str, random: np.random.Generator = random, shape: Any = shape) -> Any:
            values = random.normal(1000, 1, shape).astype(dtype)
            return ("star", "time"), da.from_array(values, chunks=(-1, 64))

        names = {
            "flux": "f4",
            "flux_err": "f4",
            "background": "f4",
            "centroid_row": "f8",
            "centroid_column": "f8",
        }
        variables = {name: series(kind) for name, kind in names.items()}
        variables["pixel_quality"] = ("star", "time"), da.zeros(shape, dtype=np.int32, chunks=(-1, 64))
        stars = _stars(number, number, random)
        count = {name: ("star", np.resize(values, CURVES)) for name, values in stars.items()}
        place = {
            "star_row": ("star", random.uniform(0, 2047, CURVES)),
            "star_column": ("star", random.uniform(44, 2091, CURVES)),
        }
        cadences = {
            "time": 1325 + np.arange(CADENCES) / 48,
            "cadenceno": ("time", np.arange(CADENCES, dtype=np.int32)),
            "quality": ("time", np.zeros(CADENCES, np.int32)),
            "frame_quality": ("time", np.zeros(CADENCES, np.int32)),
        }
        record = {"step": "make_light_curves", "version": 1, "parameters": {}, "parents": [], "libraries": {}}
        product = xr.Dataset(
            variables | {"row_size": ("star", np.full(CURVES, 9, np.int32))},
            coords=count | place | cadences,
            attrs={"product": "light_curves", "provenance_id": id_, "provenance": json.dumps({id_: record}),
                   "sector": 200 + number, "camera": 1, "ccd": 1, "cadence": 1800.0, "exposure": 1425.6},
        )  # fmt: skip
        store.write_product(product)
        paths += [f"/curated/light_curves/{id_}-{star}?format=parquet" for star in range(CURVES)]
    return paths


def main() -> None:
    """Measure, and print a row for every claim."""
    options = make_parser(__doc__, CLAIMS, 2).parse_args()
    with scratch_folder("platform-rows", options.scratch, len(os.sched_getaffinity(0))) as scratch:
        begun = time.time()
        values = {row.name: row.value for row in rows(scratch)}
        print(f"{time.time() - begun:.0f} s", flush=True)
        print_rows("platform_rows", CLAIMS, options.only, values)


if __name__ == "__main__":
    main()
