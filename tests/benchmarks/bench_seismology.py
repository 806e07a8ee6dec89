"""What spectra cost, how well they tell νmax and Δν, and how well rotation and classes are told.

Spectra are timed against the fast method of astropy on the same light curves, of which a CCD has 20,000; the
processor time of 500 is projected. νmax and Δν are those of simulated giants, whose intervals were calibrated
on stars of other seeds, and of a star that was measured before. The last line is one JSON object with a row
for every claim.

python tests/benchmarks/bench_seismology.py [--only ROW,ROW] [--scratch DIR]
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from astropy.timeseries import LombScargle
from claims import Claim, make_parser, print_rows, scratch_folder
from fresh_process import fresh, measured
from variability_truth import CLAIMS as OF_VARIABILITY
from variability_truth import MEASURES as MEASURES_OF_VARIABILITY

sys.path.insert(0, str(Path(__file__).parents[1]))

from drifting_stars import drifting_stars
from giants import as_light_curves, simulate_giants

from tasoc_kit.seismology.oscillations import measure_oscillations
from tasoc_kit.seismology.power_density import MICROHERTZ, frequency_grid, power_density
from tasoc_kit.seismology.spectra import make_spectra

THREADS = 2
CADENCES, STARS, TIMED = 1300, 20_000, 500
GIANTS, SEEDS = 120, (11, 12, 13)
"""The intervals were calibrated on the seeds from 101 on."""
NEAR = {"numax": 0.10, "dnu": 0.05}
"""Relative errors within which they count as found."""
WORST = 1e-7
"""Largest difference of two spectra, over their highest power; beyond it nothing was gained."""
SHARE = 0.6827
REAL = "lightcurves/kic1435467_LC.txt"
PUBLISHED = {"dnu": 70.6, "numax": 1340.0}
"""µHz. The SYD pipeline (Huber+ 2009) has 70.56 ± 0.05 and 1382 ± 9; for νmax the middle of 1300 to 1380."""
CLAIMS = {
    "ls_speedup": Claim("CPU / CPU", least=10),
    "spectra_20k": Claim("s", 60),
    "oscillations_star_cpu": Claim("s", 0.03),
    "numax_hit": Claim("", least=0.90),
    "dnu_hit": Claim("", least=0.85),
    "interval_coverage": Claim("", least=0.60, most=0.76),
    "false_alarms": Claim("", 0.01),
    "kic1435467_dnu": Claim("", 0.015),
    "kic1435467_numax": Claim("", 0.06),
} | OF_VARIABILITY


def speedup() -> dict[str, float]:
    """Return what 20,000 spectra cost with astropy over what they cost here."""
    random = np.random.default_rng(1)
    number = np.arange(CADENCES)
    day = 1800 / 86400
    # Barycentric times are not even; a gap, and single cadences that each star lacks.
    seen = 1325 + day * number + 0.004 * np.sin(2 * np.pi * day * number / 365.25)
    flux = 100 * random.normal(size=(STARS, CADENCES))
    flux[:, 600:680], flux[np.arange(STARS), random.integers(0, CADENCES, STARS)] = np.nan, np.nan
    frequency = frequency_grid(seen, day, 1.0)
    power_density(flux[:50], seen, frequency, day)
    with measured() as here:
        ours = power_density(flux, seen, frequency, day)
    began, error = time.process_time(), 0.0
    for star in range(TIMED):
        known = np.isfinite(flux[star])
        theirs = LombScargle(seen[known], flux[star, known]).power(
            frequency / MICROHERTZ, method="fast", assume_regular_frequency=True
        )
        scale = np.nanvar(flux[star]) * known.sum() * day / MICROHERTZ
        error = max(error, float(np.abs(ours[star] / scale - theirs).max() / theirs.max()))
    slow = (time.process_time() - began) * STARS / TIMED
    print(
        f"20,000 spectra: astropy {slow:.1f} s CPU, here {here.cpu:.1f} s; they differ by {error:.1e}",
        flush=True,
    )
    return {"ls_speedup": slow / here.cpu if error <= WORST else 0.0}


def whole_ccd() -> dict[str, float]:
    """Return the wall seconds of the product of 20,000 stars."""
    curves = drifting_stars(STARS, CADENCES, seed=4).light_curves
    make_spectra(curves.isel(star=slice(0, 50)))
    with measured() as cost:
        make_spectra(curves)
    print(f"{STARS} stars: CPU {cost.cpu:.1f} s, wall {cost.wall:.1f} s, {cost.peak:.0f} MB", flush=True)
    return {"spectra_20k": cost.wall}


def giants() -> dict[str, float]:
    """Return how often νmax and Δν are found, how often their intervals hold the truth, and what it costs."""
    hits: dict[str, list[np.ndarray]] = {"numax": [], "dnu": []}
    held: dict[str, list[np.ndarray]] = {"numax": [], "dnu": []}
    seconds = 0.0
    for seed in SEEDS:
        made = simulate_giants(GIANTS, seed=seed)
        spectra = make_spectra(as_light_curves(made.flux, made.time))
        if not seconds:
            measure_oscillations(spectra.isel(star=slice(0, 2)))
        with measured() as cost:
            found = measure_oscillations(spectra)
        seconds += cost.cpu / (GIANTS * len(SEEDS))
        for name, limit in NEAR.items():
            truth = getattr(made, name)
            hits[name].append(np.abs(found[name].values / truth - 1) < limit)
            held[name].append((found[f"{name}_low"].values < truth) & (truth < found[f"{name}_high"].values))
    hit = {name: float(np.concatenate(values).mean()) for name, values in hits.items()}
    cover = {name: float(np.concatenate(values).mean()) for name, values in held.items()}
    print(
        f"{GIANTS * len(SEEDS)} giants: {1e3 * seconds:.1f} ms CPU each; {hit}; intervals {cover}", flush=True
    )
    worse = max(cover.values(), key=lambda share: abs(share - SHARE))
    return {
        "oscillations_star_cpu": seconds,
        "numax_hit": hit["numax"],
        "dnu_hit": hit["dnu"],
        "interval_coverage": worse,
    }


def false_alarms() -> dict[str, float]:
    """Return the share of stars without oscillations that are taken for some with them."""
    wrong = []
    for days in (27.0, 108.0):
        made = simulate_giants(GIANTS, seed=14, days=days, oscillating=False)
        white = 300 * np.random.default_rng(15).normal(size=made.flux.shape)
        for flux in (made.flux, white):
            found = measure_oscillations(make_spectra(as_light_curves(flux, made.time)))
            wrong.append(float((found["detection_probability"] > 0.5).mean()))
    print(f"granulation, white noise, of 27 and of 108 days: {wrong}", flush=True)
    return {"false_alarms": float(np.mean(wrong))}


def real_star() -> dict[str, float]:
    """Return how far νmax and Δν of a star are from those that were published; nothing without its file."""
    folder = Path(os.environ.get("TASOC_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / REAL).exists():
        print(f"no {REAL} in {folder}; set TASOC_TEST_DATA to the folder that holds it", flush=True)
        return {}
    seen, flux = np.loadtxt(folder / REAL).T
    found = measure_oscillations(make_spectra(as_light_curves(1e6 * (flux[None] - 1), seen)))
    told = {name: float(found[name][0]) for name in PUBLISHED}
    print(f"KIC 1435467: {told}, published {PUBLISHED}", flush=True)
    return {f"kic1435467_{name}": abs(told[name] / value - 1) for name, value in PUBLISHED.items()}


MEASURES = {
    speedup: ("ls_speedup",),
    whole_ccd: ("spectra_20k",),
    giants: ("oscillations_star_cpu", "numax_hit", "dnu_hit", "interval_coverage"),
    false_alarms: ("false_alarms",),
    real_star: ("kic1435467_dnu", "kic1435467_numax"),
} | MEASURES_OF_VARIABILITY
"""What each function measures."""


def main() -> None:
    """Measure what is asked for and print one JSON object last."""
    given = make_parser(__doc__, CLAIMS, room=1).parse_args()
    found: dict[str, float] = {}
    with scratch_folder("seismology", given.scratch, THREADS):
        for measure, rows in MEASURES.items():
            if given.only & set(rows):
                found |= fresh(measure)
    print_rows("seismology", CLAIMS, given.only, found)


if __name__ == "__main__":
    main()
