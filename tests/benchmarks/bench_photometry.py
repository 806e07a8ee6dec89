"""
Speed and accuracy of the photometry, from frames on disk to light curves.

Full simulated frames (2078×2136), 20,000 stars, two threads. What is compared is measured in turns,
each time in a process of its own, and the medians of the turns are divided. The last line is one
JSON object with a row for every claim.

    python tests/benchmarks/bench_photometry.py [--frames 256] [--only ROW,ROW] [--scratch DIR]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from barycentre_truth import REAL_EPHEMERIS, barycentre_error
from claims import Claim, make_parser, print_rows, scratch_folder
from fresh_process import Cost, fresh, measured
from k2p2_oracle import dbscan_mismatches, median_iou
from kill_and_resume import kill_and_compare
from noise_floor import FAINTEST_FLOOR, noise_ratios
from pass_timing import background_costs, image_reading, sky_cost, stream_step, whole_pass
from photometry_plan import THREADS, make_plan, open_plan, steady_sector
from sky_truth import sky_errors
from tasoc_parts import prepared_frame

from tasoc_kit.photometry.apertures import make_apertures

TURNS = 3
K2P2_SECONDS = 2.9e-3
"""CPU of one mask of the original K2P2, on the stamps that TASOC gives it."""
LIT_SHARE, FEWEST_POINTS = 0.2, 600_000
REAL_INDEX = "tess_ffi/tess-s0002-spoc-ffi-catalog.parquet"
OPEN_INDEX = """
import json, sys, time
from pathlib import Path
from tasoc_kit.sources.cube import open_cube
start = time.perf_counter()
cube = open_cube(sys.argv[1], camera=1, ccd=2)
seconds = time.perf_counter() - start
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(json.dumps([seconds, int(peak) / 1024, cube.sizes["time"]]))
"""


CLAIMS = {
    "stream_over_read_cold": Claim("wall / wall", 1.3),
    "stream_over_read_warm": Claim("wall / wall", 15),
    "stars_100k_over_5k": Claim("CPU / CPU", 1.5),
    "frames_2n_over_n": Claim("CPU / CPU", 2.1),
    "rss_2n_over_n": Claim("MB / MB", 1.05),
    "cpu_tasoc_over_ours": Claim("CPU / CPU", least=200),
    "background2d_over_sky": Claim("CPU / CPU", least=10),
    "sep_over_sky": Claim("CPU / CPU", least=2),
    "sky_rms_smooth": Claim("electron / s", 0.01),
    "sky_ap3_straps": Claim("electron / s", 0.06),
    "sky_ap3_grf300": Claim("electron / s", 0.08),
    "sky_ap3_grf150": Claim("electron / s", 0.15),
    "sky_median_abs": Claim("electron / s", 0.05),
    "dbscan_mismatches": Claim("pixels", 0),
    "k2p2_iou": Claim("", least=0.985),
    "apertures_over_k2p2": Claim("CPU / CPU", least=20),
    "apertures_over_k2p2_tiles": Claim("CPU / CPU", least=80),
    "p2p_over_floor": Claim("", 1.2),
    "noise_1h_over_model": Claim("ppm / ppm", 1.15),
    "barycentre_error": Claim("s", 0.01),
    "open_index_seconds": Claim("s", 1),
    "open_index_mb": Claim("MB", 300),
    "simulate_cpu_per_frame": Claim("s", 0.6),
    "kills_bit_equal": Claim("kills", least=20),
}


def count_mismatches(folder: Path) -> tuple[int, int]:
    """Return the pixels whose cluster is not scikit-learn's, and the number of lit pixels."""
    image = open_plan(folder).reference["reference"].values
    return dbscan_mismatches(image > np.quantile(image, 1 - LIT_SHARE))


def mask_overlap(folder: Path) -> tuple[float, float]:
    """Return the median IoU of the masks with those made stamp by stamp, and that which a tenth is below."""
    plan = open_plan(folder)
    middle, each = median_iou(plan.reference, plan.stars, plan.apertures)
    return middle, float(np.quantile(each, 0.1))


def real_data() -> Path:
    """Return the folder of real files."""
    return Path(os.environ.get("TASOC_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")


def aperture_gain(folder: Path, mode: str) -> float:
    """Return the CPU of K2P2 for all masks of the plan ÷ ours, compiled code being at hand."""
    plan = open_plan(folder)
    reference, stars = plan.reference.compute(), plan.stars.compute()
    make_apertures(reference, stars, mode=mode)
    with measured() as cost:
        apertures = make_apertures(reference, stars, mode=mode)
    return K2P2_SECONDS * int((apertures["row_size"] > 0).sum()) / cost.cpu


def median(costs: Iterable[Cost], kind: str) -> float:
    """Return the median of one kind of cost."""
    return statistics.median(getattr(cost, kind) for cost in costs)


class Bench:
    """The measurements; each takes the names of the rows that are wanted and returns their values."""

    def __init__(self, scratch: Path, frames: int) -> None:
        self.scratch, self.frames = scratch, frames
        self.began = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line with the time that has passed."""
        print(f"[{time.monotonic() - self.began:5.0f} s] {line}", flush=True)

    @cached_property
    def sector(self) -> tuple[Path, float]:
        """The steady sector, and the CPU seconds each of its frames took."""
        folder = self.scratch / "steady"
        self.say(f"simulating {self.frames} consecutive full frames")
        return folder, fresh(steady_sector, folder, self.frames)

    @cached_property
    def planned(self) -> Path:
        """The steady sector with its plan."""
        folder, _ = self.sector
        self.say("making reference and apertures")
        fresh(make_plan, folder)
        os.sync()
        return folder

    def timing(self, wanted: set[str]) -> dict[str, float]:
        """Measure the pass over the frames."""
        folder, n, store = self.planned, self.frames // 2, self.scratch / "store"
        work: dict[str, Callable[[], Cost]] = {
            "pass, 2n": partial(fresh, whole_pass, folder, 2 * n, store),
            "read, warm": partial(fresh, image_reading, folder, 2 * n, cold=False),
            "pass, cold": partial(fresh, whole_pass, folder, 2 * n, store, cold=True),
            "read, cold": partial(fresh, image_reading, folder, 2 * n, cold=True),
            "pass, n": partial(fresh, whole_pass, folder, n, store),
            "100k stars": partial(fresh, stream_step, folder, n, "many", store),
            "5k stars": partial(fresh, stream_step, folder, n, "few", store),
            "TASOC, a frame": partial(fresh, prepared_frame, folder, n),
        }
        ratios = {
            "stream_over_read_warm": ("pass, 2n", "read, warm", "wall", 1),
            "stream_over_read_cold": ("pass, cold", "read, cold", "wall", 1),
            "stars_100k_over_5k": ("100k stars", "5k stars", "cpu", 1),
            "frames_2n_over_n": ("pass, 2n", "pass, n", "cpu", 1),
            "rss_2n_over_n": ("pass, 2n", "pass, n", "peak", 1),
            "cpu_tasoc_over_ours": ("TASOC, a frame", "pass, 2n", "cpu", 2 * n),
        }
        needed = {name for row in wanted for name in ratios[row][:2]}
        costs: dict[str, list[Cost]] = {name: [] for name in work if name in needed}
        for turn in range(TURNS):
            for name, found in costs.items():
                found.append(work[name]())
                cost = found[-1]
                self.say(
                    f"turn {turn + 1}, {name}: {cost.wall:.2f} s, CPU {cost.cpu:.2f} s, {cost.peak:.0f} MB"
                )
        return {
            row: frames * median(costs[over], kind) / median(costs[under], kind)
            for row, (over, under, kind, frames) in ratios.items()
            if row in wanted
        }

    def background(self, wanted: set[str]) -> dict[str, float]:
        """Compare the sky of a frame with Background2D and with sep."""
        folder, n, ours = self.planned, min(64, self.frames), []
        theirs: list[tuple[float, float]] = []
        for turn in range(TURNS):
            with_sky, without = fresh(sky_cost, folder, n)
            ours.append(with_sky - without)
            theirs.append(fresh(background_costs, folder, turn))
            slow, quick = theirs[-1]
            self.say(
                f"turn {turn + 1}, sky of a frame: {ours[-1] * 1e3:.1f} ms CPU (pass without sky "
                f"{without * 1e3:.1f}), Background2D {slow * 1e3:.0f}, sep {quick * 1e3:.0f}"
            )
        own = statistics.median(ours)
        slow, quick = (statistics.median(costs) for costs in zip(*theirs, strict=True))
        return {"background2d_over_sky": slow / own, "sep_over_sky": quick / own}

    def sky(self, wanted: set[str]) -> dict[str, float]:
        """Compare the sky with what was simulated; its absolute level is the worst of all skies made."""
        made, absolute = {}, []
        kinds = {"sky_rms_smooth": "rms"} | dict.fromkeys(
            ("sky_ap3_straps", "sky_ap3_grf300", "sky_ap3_grf150"), "ap3"
        )
        rows = [row for row in kinds if row in wanted] or ["sky_ap3_straps"]
        for row in rows:
            name = row.rsplit("_", 1)[1]
            found = fresh(sky_errors, self.scratch / name, min(128, self.frames // 2), name)
            self.say(
                f"{name} sky: rms {found['rms']:.4f}, ap3 {found['ap3']:.4f}, absolute "
                f"{found['absolute']:+.3f} electron/s, frames by level {found['levels']}, simulated at "
                f"{found['cpu']:.2f} s CPU a frame"
            )
            made[row] = found[kinds[row]]
            absolute.append(abs(found["absolute"]))
        return made | {"sky_median_abs": max(absolute)}

    def masks(self, wanted: set[str]) -> dict[str, float]:
        """Compare clusters and masks with scikit-learn and with K2P2 per stamp."""
        made: dict[str, float] = {}
        if "dbscan_mismatches" in wanted:
            made["dbscan_mismatches"], points = fresh(count_mismatches, self.planned)
            self.say(f"clusters of {points} points compared with scikit-learn's")
            if points < FEWEST_POINTS:
                raise RuntimeError(f"only {points} points; expected {FEWEST_POINTS} or more")
        if "k2p2_iou" in wanted:
            made["k2p2_iou"], tenth = fresh(mask_overlap, self.planned)
            self.say(f"masks of a tenth of the stars have less than {tenth:.3f} in common with K2P2's")
        for row, mode in (("apertures_over_k2p2", "k2p2"), ("apertures_over_k2p2_tiles", "tile")):
            if row in wanted:
                made[row] = statistics.median(fresh(aperture_gain, self.planned, mode) for _ in range(TURNS))
        return made

    def noise(self, wanted: set[str]) -> dict[str, float]:
        """Compare the noise of light curves with photons and reading, and with TASOC's model."""
        found = fresh(noise_ratios, self.planned)
        for (low, high), (floor, hour, collected, stars) in found.items():
            self.say(
                f"T {low}-{high}: {floor:.3f} of the floor, in one hour {hour:.3f} of the model, "
                f"{collected:.3f} of that of the light which is collected ({stars} stars)"
            )
        return {
            "p2p_over_floor": max(ratios[0] for span, ratios in found.items() if span[1] <= FAINTEST_FLOOR),
            "noise_1h_over_model": max(ratios[1] for ratios in found.values()),
        }

    def times(self, wanted: set[str]) -> dict[str, float]:
        """Compare star times over a CCD and a sector with astropy's full computation."""
        data = real_data()
        if not (data / REAL_EPHEMERIS).exists():
            self.say(f"no {REAL_EPHEMERIS} in {data}; set TASOC_TEST_DATA to the folder that holds it")
            return {}
        error, cadences = fresh(barycentre_error, data)
        self.say(f"star times of {cadences} cadences compared")
        return {"barycentre_error": error}

    def index(self, wanted: set[str]) -> dict[str, float]:
        """Open the real listing of sector 2; the import is not timed, but its memory counts."""
        path = real_data() / REAL_INDEX
        if not path.exists():
            self.say(f"no {REAL_INDEX} in {real_data()}; set TASOC_TEST_DATA to the folder that holds it")
            return {}
        command = [sys.executable, "-c", OPEN_INDEX, str(path)]
        runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                for _ in range(TURNS)]  # fmt: skip
        self.say(f"opened {runs[0][2]} cadences of camera 1, CCD 2")
        seconds, peak, _ = (statistics.median(values) for values in zip(*runs, strict=True))
        return {"open_index_seconds": seconds, "open_index_mb": peak}

    def simulation(self, wanted: set[str]) -> dict[str, float]:
        """Return what a simulated frame costs."""
        return {"simulate_cpu_per_frame": self.sector[1]}

    def kills(self, wanted: set[str]) -> dict[str, float]:
        """Kill runs of the whole pipeline and compare what the resumed ones made."""
        place = self.scratch / "kills"
        place.mkdir()
        tally = kill_and_compare(place, place / "cache", say=self.say)
        self.say(f"{tally.kills} kills, {tally.in_write} of them inside a store write")
        return {"kills_bit_equal": tally.equal}

    @property
    def groups(self) -> dict[Callable[[set[str]], dict[str, float]], set[str]]:
        """Rows that are measured together; nothing else runs meanwhile."""
        return {
            self.simulation: {"simulate_cpu_per_frame"},
            self.timing: {"stream_over_read_cold", "stream_over_read_warm", "stars_100k_over_5k",
                          "frames_2n_over_n", "rss_2n_over_n", "cpu_tasoc_over_ours"},
            self.background: {"background2d_over_sky", "sep_over_sky"},
            self.masks: {"dbscan_mismatches", "k2p2_iou", "apertures_over_k2p2", "apertures_over_k2p2_tiles"},
            self.noise: {"p2p_over_floor", "noise_1h_over_model"},
            self.times: {"barycentre_error"},
            self.index: {"open_index_seconds", "open_index_mb"},
            self.sky: {"sky_rms_smooth", "sky_ap3_straps", "sky_ap3_grf300", "sky_ap3_grf150",
                       "sky_median_abs"},
            self.kills: {"kills_bit_equal"},
        }  # fmt: skip

    def run(self, wanted: set[str]) -> dict[str, float]:
        """Measure the rows and return their values."""
        values: dict[str, float] = {}
        for measure, rows in self.groups.items():
            if rows & wanted:
                found = measure(rows & wanted)
                for name in sorted(found.keys() & wanted):
                    claim = CLAIMS[name]
                    self.say(f"{name}: {found[name]:.4g} {claim.unit} ({claim.goal})")
                values |= found
        return values


def main() -> None:
    """Measure what is asked for and print one JSON object last."""
    parser = make_parser(__doc__, CLAIMS, room=16)
    parser.add_argument("--frames", type=int, default=256, help="frames of the longer pass, at least 32")
    given = parser.parse_args()
    if given.frames < 32:
        parser.error(f"--frames {given.frames}; expected at least 32")
    with scratch_folder("photometry", given.scratch, THREADS) as scratch:
        values = Bench(scratch, given.frames).run(given.only)
    print_rows("photometry", CLAIMS, given.only, values)


if __name__ == "__main__":
    main()
