"""What corrections take away, what they leave, and what they cost.

Light curves of stars that drift by four known vectors are corrected with vectors made from them: a residual
is held against that of a fit with the true vectors, an amplitude against what was injected; a depth of
transits, in light curves with steps, against that injected, less what the filter makes of none. Each
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
import xarray as xr
from claims import Claim, make_parser, print_rows, scratch_folder
from fresh_process import fresh, measured
from slow_cleaning import clean_slowly

sys.path.insert(0, str(Path(__file__).parents[1]))

from drifting_stars import drifting_stars

from tasoc_kit.corrections.cbv_light_curves import make_cbv_light_curves
from tasoc_kit.corrections.cbvs import make_cbvs
from tasoc_kit.corrections.cleaning import clean_components
from tasoc_kit.corrections.ensemble_light_curves import make_ensemble_light_curves
from tasoc_kit.corrections.filtered_light_curves import make_filtered_light_curves
from tasoc_kit.vocabulary import DEFAULT_BAD_KIT_BITS, TessQuality

THREADS = 2
CADENCES, STARS, SEEDS = 1300, 8000, (1, 2, 3)
PLANETS = [
    (depth, period, hours)
    for depth in (5e-4, 2e-3, 1e-2)
    for period, hours in ((0.9, 1.5), (3.7, 3.0), (8.3, 5.0), (12.0, 7.0))
]
"""Depth, days and hours of transits; fifteen stars have each."""
DUMPS = (300, 620, 950)
CLAIMS = {
    "cbv_residual_over_oracle": Claim("ppm / ppm", 1.5),
    "cbv_signal_kept": Claim("amplitude / amplitude", least=0.95),
    "cbv_clean_speedup": Claim("CPU / CPU", least=20),
    "cbv_fit_20k_cpu": Claim("s", 30),
    "kasoc_20k_cpu": Claim("s", 60),
    "ensemble_20k_cpu": Claim("s", 60),
    "kasoc_depth_error": Claim("depth / depth", 0.02),
    "kasoc_depth_worst": Claim("depth / depth", 0.1),
}

DEPTHS = ("kasoc_depth_error", "kasoc_depth_worst")


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


def jumping_stars(stars: int, **options: float) -> tuple[xr.Dataset, np.ndarray]:
    """Return light curves that drift, and step by half a percent after dumps; and good cadences."""
    curves = drifting_stars(stars, CADENCES, seed=5, number=2, **options).light_curves
    random, quality = np.random.default_rng(5), np.zeros(CADENCES, np.int32)
    for dump in DUMPS:
        quality[dump] = int(TessQuality.DESAT)
        curves["flux"][:, dump + 1 :] *= random.normal(1, 5e-3, size=(stars, 1)).astype(np.float32)
    return curves.assign_coords(quality=("time", quality)), quality == 0


def filtering() -> float:
    """Return the CPU seconds of filtering 20,000 stars, steps included."""
    curves, _ = jumping_stars(20_000)
    make_filtered_light_curves(curves.isel(star=slice(0, 20))).compute()
    with measured() as cost:
        make_filtered_light_curves(curves).compute()
    print(f"20,000 stars: CPU {cost.cpu:.1f} s, wall {cost.wall:.1f} s, {cost.peak:.0f} MB", flush=True)
    return cost.cpu


def dividing() -> float:
    """Return the CPU seconds of dividing 20,000 stars by what their neighbours share."""
    made = drifting_stars(20_000, CADENCES, seed=4)
    some = {"star": slice(0, 200)}
    make_ensemble_light_curves(made.light_curves.isel(some), made.diagnostics.isel(some)).compute()
    with measured() as cost, dask.config.set(scheduler="threads", num_workers=THREADS):
        make_ensemble_light_curves(made.light_curves, made.diagnostics).compute()
    print(f"20,000 stars: CPU {cost.cpu:.1f} s, wall {cost.wall:.1f} s, {cost.peak:.0f} MB", flush=True)
    return cost.cpu


def good_flux(corrected: xr.Dataset) -> np.ndarray:
    """Return the corrected flux without the cadences that are set apart, as a user takes it."""
    return corrected["flux_corr"].where((corrected["pixel_quality"] & DEFAULT_BAD_KIT_BITS) == 0).values


def depths() -> tuple[float, float]:
    """Return the error of the depth of transits of a known period over that injected: median and largest."""
    which = np.repeat(np.arange(len(PLANETS)), 15)
    depth, period, hours = (np.array(values)[which] for values in zip(*PLANETS, strict=True))
    clean, good = jumping_stars(which.size)
    time = clean["time"].values
    first = time[0] + np.random.default_rng(5).random(which.size) * period
    off = np.abs((time - first[:, None] + period[:, None] / 2) % period[:, None] - period[:, None] / 2)
    inside, near = good & (off < hours[:, None] / 48), good & (off < hours[:, None] / 12)
    dimmed = clean["flux"].values * np.where(off < hours[:, None] / 48, 1 - depth[:, None], 1)
    known = "; ".join(f"{tic}:{days}" for tic, days in zip(clean["tic"].values, period, strict=True))
    made = [
        good_flux(make_filtered_light_curves(curves, transits=known))
        for curves in (clean.assign(flux=(("star", "time"), dimmed.astype(np.float32))), clean)
    ]
    change = np.subtract(*(flux / np.nanmedian(flux, axis=1, keepdims=True) for flux in made))
    within, beside = (
        np.nanmedian(np.where(some, change, np.nan), axis=1) for some in (inside, near & ~inside)
    )
    error = np.abs((beside - within) / depth - 1)
    for k, planet in enumerate(PLANETS):
        mine = error[which == k]
        print(f"{planet}: median {np.median(mine):.4f}, worst {mine.max():.4f}", flush=True)
    return float(np.median(error)), float(error.max())


def main() -> None:
    """Measure what is asked for and print one JSON object last."""
    given = make_parser(__doc__, CLAIMS, room=1).parse_args()
    measures = dict(zip(CLAIMS, (residuals, signals, cleaning, fitting, filtering, dividing), strict=False))
    with scratch_folder("corrections", given.scratch, THREADS):
        found = {name: fresh(measure) for name, measure in measures.items() if name in given.only}
        if given.only & set(DEPTHS):
            found |= dict(zip(DEPTHS, fresh(depths), strict=True))
    print_rows("corrections", CLAIMS, given.only, found)


if __name__ == "__main__":
    main()
