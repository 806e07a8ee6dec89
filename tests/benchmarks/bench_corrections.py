"""What corrections take away, what they leave, and what they cost.

Light curves of stars that drift by four known vectors are corrected with vectors made from them: a residual
is held against that of a fit with the true vectors, an amplitude against what was injected. Each
measurement of time has a process of its own; compiled functions are loaded ahead of the clock. The last
line is one JSON object with a row for every claim.

python tests/benchmarks/bench_corrections.py [--only ROW,ROW] [--scratch DIR]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import dask
import numpy as np
from claims import Claim, make_parser, print_rows, scratch_folder
from fresh_process import fresh, measured
from slow_cleaning import clean_slowly

sys.path.insert(0, str(Path(__file__).parents[1]))

from drifting_stars import drifting_stars

from tasoc_kit.corrections.cbv_light_curves import make_cbv_light_curves
from tasoc_kit.corrections.cbvs import make_cbvs
from tasoc_kit.corrections.cleaning import clean_components

THREADS = 2
CADENCES, STARS, SEEDS = 1300, 8000, (1, 2, 3)
CLAIMS = {
    "cbv_residual_over_oracle": Claim("ppm / ppm", 1.5),
    "cbv_signal_kept": Claim("amplitude / amplitude", least=0.95),
    "cbv_clean_speedup": Claim("CPU / CPU", least=20),
    "cbv_fit_20k_cpu": Claim("s", 30),
}


def _spread(model: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the rms (star) by which a model is off, its offset aside."""
    off = model - truth
    return (off - off.mean(axis=1, keepdims=True)).std(axis=1)


def residuals() -> float:
    """Return the error of the systematics found over that of a fit with the true vectors; medians."""
    ratios = []
    for seed in SEEDS:
        made = drifting_stars(STARS, CADENCES, seed=seed)
        curves = made.light_curves
        cbvs = make_cbvs(curves, made.diagnostics)
        corrected = make_cbv_light_curves(curves, made.diagnostics, cbvs)["flux_corr"].values
        flux = curves["flux"].values.astype(float)
        relative = flux / np.median(flux, axis=1, keepdims=True)
        basis = np.vstack([np.ones(CADENCES), *made.vectors]).T
        oracle = (basis @ np.linalg.lstsq(basis, relative.T, rcond=None)[0]).T
        ours, best = (np.median(_spread(model, made.model)) for model in (flux / corrected, oracle))
        print(f"seed {seed}: {1e6 * ours:.1f} ppm, with the true vectors {1e6 * best:.1f} ppm", flush=True)
        ratios.append(ours / best)
    return float(np.median(ratios))


def signals() -> float:
    """Return the median amplitude, over the injected one, of sine waves of 0.2 to 5 days."""
    kept = []
    for seed in SEEDS:
        made = drifting_stars(STARS, CADENCES, seed=seed, varying=0.2)
        cbvs = make_cbvs(made.light_curves, made.diagnostics)
        corrected = make_cbv_light_curves(made.light_curves, made.diagnostics, cbvs)["flux_corr"].values
        for star in made.varies:
            turn = 2 * np.pi * made.light_curves["time"].values / made.period[star]
            basis = np.stack([np.ones(CADENCES), np.sin(turn), np.cos(turn)], axis=1)
            flux = corrected[star] / np.median(corrected[star])
            kept.append(np.hypot(*np.linalg.lstsq(basis, flux, rcond=None)[0][1:]) / made.size[star])
    low, middle = np.percentile(kept, (1, 50))
    print(f"{len(kept)} waves: first percentile {low:.3f}, median {middle:.3f}", flush=True)
    return float(middle)


def cleaning() -> float:
    """Return what cleaning 500 curves costs star by star over what it costs here."""
    random = np.random.default_rng(1)
    flux = (
        random.normal(size=(500, CADENCES))
        + random.normal(size=(500, 4)) @ drifting_stars(5, CADENCES).vectors
    )
    odd = random.choice(500, 60, replace=False)
    for group in np.split(odd, 12):
        flux[group] += 3 * np.sin(2 * np.pi * np.arange(CADENCES) / random.uniform(20, 300) + random.random())
    flux = (flux - flux.mean(axis=1, keepdims=True)) / flux.std(axis=1, keepdims=True)
    clean_components(flux[:50], 4, -0.5, 5)
    began = time.process_time()
    ours = clean_components(flux, 16, -0.5, 150)
    middle = time.process_time()
    kept, analyses = clean_slowly(flux, 16, -0.5, 150)
    slow, fast = time.process_time() - middle, middle - began
    removed = np.setdiff1d(np.arange(500), kept)
    caught = np.isin(removed, odd).sum(), (~ours.kept[odd]).sum()
    print(
        f"{analyses} analyses, {slow:.2f} s, {removed.size} stars, {caught[0]} of the 60 odd ones", flush=True
    )
    print(f"here {fast:.3f} s, {(~ours.kept).sum()} stars, {caught[1]} of them", flush=True)
    return slow / fast


def fitting() -> float:
    """Return the CPU seconds of correcting 20,000 stars with priors and criterion, flux included."""
    made = drifting_stars(20_000, CADENCES, seed=4)
    cbvs = make_cbvs(made.light_curves, made.diagnostics)
    some = {"star": slice(0, 200)}
    make_cbv_light_curves(
        made.light_curves.isel(some), made.diagnostics.isel(some), cbvs.isel(some)
    ).compute()
    with measured() as cost, dask.config.set(scheduler="threads", num_workers=THREADS):
        make_cbv_light_curves(made.light_curves, made.diagnostics, cbvs).compute()
    print(f"20,000 stars: CPU {cost.cpu:.1f} s, wall {cost.wall:.1f} s, {cost.peak:.0f} MB", flush=True)
    return cost.cpu


def main() -> None:
    """Measure what is asked for and print one JSON object last."""
    given = make_parser(__doc__, CLAIMS, room=1).parse_args()
    measures = dict(zip(CLAIMS, (residuals, signals, cleaning, fitting), strict=True))
    with scratch_folder("corrections", given.scratch, THREADS):
        found = {name: fresh(measure) for name, measure in measures.items() if name in given.only}
    print_rows("corrections", CLAIMS, given.only, found)


if __name__ == "__main__":
    main()
