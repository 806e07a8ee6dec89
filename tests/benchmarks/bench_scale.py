"""
What more frames and more machines cost.

The pass over the pixels is made over 500 and 2,000 frames of 200 s, corners of 1024×1024 pixels: memory
must not grow and work must grow as the frames do.

Whole pipelines of some CCDs run on processes of this machine and on separate Dask workers, both started
and used once before the clock: what is left is what the cluster costs. Each measurement has a process of
its own; medians of the turns are divided. The last line is one JSON object with a row for every claim.

    python tests/benchmarks/bench_scale.py [--only ROW,ROW] [--scratch DIR]
"""

from __future__ import annotations

import os
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from claims import Claim, make_parser, print_rows, scratch_folder
from fresh_process import fresh
from pass_timing import whole_pass
from photometry_plan import PLAN, THREADS, sector_products

sys.path.insert(0, str(Path(__file__).parents[1]))

from dask_processes import dask_processes

from tasoc_kit.config import settings
from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.stars import locate_stars
from tasoc_kit.pipeline.executors import run_plans
from tasoc_kit.pipeline.inputs import open_unit
from tasoc_kit.pipeline.places import start_places
from tasoc_kit.pipeline.plan import load_pipelines, make_plan
from tasoc_kit.simulation import write_sector
from tasoc_kit.sources.star_catalog import read_stars

TURNS = 3
FEW, MANY = 500, 2000
LONG = {"rows": 1024, "columns": 1024, "cadence": 200, "frames": MANY, "seed": 5, "sector": 60, "first": 600}
UNITS = {"rows": 256, "columns": 256, "frames": 96, "seed": 7, "first": 60}
CCDS = (1, 2, 3, 4)
PLACES = 2
"""Notebooks at a time; as many CCDs are run before the clock, so that each place was used once."""


CLAIMS = {
    "dask_over_plain": Claim("CPU / CPU", 1.15),
    "rss_2000_over_500": Claim("MB / MB", 1.05),
    "cpu_2000_over_500": Claim("CPU / CPU", 4.1, 3.9),
}


def long_sector(folder: Path) -> None:
    """Write the frames of 200 s, and the plan of the pass over them."""
    write_sector(folder, threads=THREADS, **LONG)
    _, quality, pointing, reference = sector_products(folder)
    stars = locate_stars(reference, read_stars(str(folder / "stars.parquet")))
    made = (quality, pointing, reference, stars, make_apertures(reference, stars))
    folder.with_name(PLAN.format("usual")).write_bytes(pickle.dumps(made))


def tree_cpu(*roots: int) -> float:
    """Return the CPU seconds of processes, of all that they started, and of what of these has ended."""
    found = {process for root in roots for process in tree(root)}
    return sum(sum(process.cpu_times()[:4]) for process in found)


def tree(root: int) -> list[psutil.Process]:
    """Return a process and all that live below it."""
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def pipeline_cost(scratch: Path, where: str) -> tuple[float, list[str]]:
    """Return the CPU seconds of the pipeline on two CCDs, and the ids that it made."""
    os.environ["TASOC_STORE"] = str(scratch / f"store-{where}-{os.getpid()}")
    settings.cache_clear()
    pipeline = load_pipelines()["photometry"]
    units = [open_unit(str(scratch / "units" / str(ccd)), sector=1, camera=1, ccd=ccd) for ccd in CCDS]
    plans = [make_plan(pipeline, unit, last="light_curves") for unit in units]
    if where == "plain":
        with start_places(number=PLACES) as places:
            return _cost(plans, places, os.getpid())
    with (
        dask_processes(scratch / f"dask-{os.getpid()}", PLACES) as cluster,
        start_places("dask", scheduler=cluster.address) as places,
    ):
        roots = [process.pid for process in cluster.processes.values()]
        return _cost(plans, places, os.getpid(), *roots)


def _cost(plans: list, places: object, *roots: int) -> tuple[float, list[str]]:
    run_plans(plans[:PLACES], places=places)
    before = tree_cpu(*roots)
    results = run_plans(plans[PLACES:], places=places)
    cost = tree_cpu(*roots) - before
    bad = [result.message for result in results if result.status != "made"]
    if bad:
        raise RuntimeError(f"{len(bad)} notebooks failed: {bad[0]}")
    return cost, [result.run.id for result in results]


class Bench:
    """The measurements; each takes the names of the rows that are wanted and returns their values."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.began = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line with the time that has passed."""
        print(f"[{time.monotonic() - self.began:5.0f} s] {line}", flush=True)

    def frames(self) -> dict[str, float]:
        """Make the pass over few and many frames."""
        folder = self.scratch / "long"
        self.say(f"simulating {MANY} frames of 200 s, {LONG['rows']}×{LONG['columns']} pixels")
        fresh(long_sector, folder)
        found: dict[int, list] = {FEW: [], MANY: []}
        for turn in range(TURNS):
            for number, costs in found.items():
                costs.append(fresh(whole_pass, folder, number, self.scratch / "store"))
                cost = costs[-1]
                self.say(f"turn {turn + 1}, {number} frames: CPU {cost.cpu:.2f} s, {cost.peak:.0f} MB")

        def ratio(kind: str) -> float:
            many, few = (statistics.median(getattr(cost, kind) for cost in found[n]) for n in (MANY, FEW))
            return many / few

        return {"cpu_2000_over_500": ratio("cpu"), "rss_2000_over_500": ratio("peak")}

    def cluster(self) -> dict[str, float]:
        """Run the pipeline here and on Dask workers."""
        for ccd in CCDS:
            fresh(write_sector, self.scratch / "units" / str(ccd), threads=THREADS, ccd=ccd, **UNITS)
        costs: dict[str, list[float]] = {"plain": [], "dask": []}
        ids: set[tuple[str, ...]] = set()
        for turn in range(TURNS - 1):
            for where, found in costs.items():
                cost, made = fresh(pipeline_cost, self.scratch, where)
                found.append(cost)
                ids.add(tuple(sorted(made)))
                self.say(f"turn {turn + 1}, {len(CCDS) - PLACES} CCDs, {where}: CPU {cost:.2f} s")
        if len(ids) != 1:
            raise RuntimeError("the cluster made other products than this machine")
        return {"dask_over_plain": statistics.median(costs["dask"]) / statistics.median(costs["plain"])}

    def run(self, wanted: set[str]) -> dict[str, float]:
        """Measure the rows and return their values."""
        values: dict[str, float] = {}
        groups: dict[Callable[[], dict[str, float]], set[str]] = {
            self.frames: {"rss_2000_over_500", "cpu_2000_over_500"},
            self.cluster: {"dask_over_plain"},
        }
        for measure, rows in groups.items():
            if rows & wanted:
                values |= measure()
        for name in sorted(values.keys() & wanted):
            self.say(f"{name}: {values[name]:.4g} {CLAIMS[name].unit} ({CLAIMS[name].goal})")
        return values


def main() -> None:
    """Measure what is asked for and print one JSON object last."""
    given = make_parser(__doc__, CLAIMS, room=18).parse_args()
    with scratch_folder("scale", given.scratch, THREADS) as scratch:
        settings.cache_clear()
        values = Bench(scratch).run(given.only)
    print_rows("scale", CLAIMS, given.only, values)


if __name__ == "__main__":
    main()
