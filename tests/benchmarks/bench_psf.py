"""
Cost and accuracy of PSF photometry, from frames on disk to light curves.

Full simulated frames (2078×2136), 20,000 stars, two threads. Two sectors: one with the PRF that is
nominal here, one with a PRF that no fit knows (``prf="skewed"``). What remains of a motion of the
stars is measured on a sector without noise. The last line is one JSON object with a row for every claim.

    python tests/benchmarks/bench_psf.py [--frames 128] [--size 2048] [--only ROW,ROW] [--scratch DIR]
"""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path

import dask
import numpy as np
import xarray as xr
from claims import Claim, make_parser, print_rows, scratch_folder
from fresh_process import fresh, measured
from pass_timing import read_images, stored
from photometry_plan import STARS, STEADY, THREADS, Plan, sector_products

from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.psf import fit_psf
from tasoc_kit.photometry.psf_light_curves import make_psf_light_curves
from tasoc_kit.photometry.quality import good_cadences
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stars import locate_stars
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.simulation import open_truth, write_sector
from tasoc_kit.sources.star_catalog import read_stars
from tasoc_kit.vocabulary import Status

TURNS = 3
SPANS = ((8, 10), (10, 12), (12, 14), (14, 16))
OFFSET, NEAR = 0.2, 0.02
"""Pixels of motion at which what is left of it is measured, and how near to that a frame must be."""
STILL = {
    "noise": False, "cosmic_rays": 0.0, "column_noise": 0.0, "variables": False, "asteroid": False,
    "scattered": 0.0, "glow": 0.0, "straps": False, "zodiacal_gradient": 0.0, "aberration": 0.0,
    "prf": "skewed", "drift": 0.6, "rows": 512, "columns": 512, "frames": 48, "every": 24, "seed": 7,
    "faint_limit": 20.0, "catalogue_limit": 20.0,
}  # fmt: skip


CLAIMS = {
    "psf_over_aperture": Claim("CPU / CPU", 3),
    "psf_bias_true": Claim("", 0.003),
    "psf_bias_fitted": Claim("", 0.01),
    "psf_pull_temporal": Claim("sigma", 1.1, 0.9),
    "jitter_left": Claim("", 200e-6),
}


def plan_of(folder: Path, faintest: float = 16.0) -> Plan:
    """Make the plan of a sector with the brightest stars of its catalogue."""
    cube, quality, pointing, reference = sector_products(folder)
    stars = locate_stars(reference, read_stars(str(folder / "stars.parquet")), faintest=faintest)
    stars = stars.isel(star=slice(0, STARS))
    return Plan(cube, quality, pointing, reference, stars, make_apertures(reference, stars))


def whole_pass(plan: Plan, psf: xr.Dataset | None, store: Path) -> xr.Dataset | None:
    """Do the pass through the store, with PSF photometry or without; return what that gives."""
    parts = plan.apertures, plan.reference, plan.quality
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        stream = stored(stream_frames(plan.cube, plan.reference, plan.apertures, plan.quality, psf), store)
        sky = stored(fit_sky(stream, plan.reference, plan.quality), store)
        stored(make_light_curves(stream, sky, *parts), store)
        if psf is None:
            return None
        return stored(make_psf_light_curves(stream, sky, psf, *parts), store).compute()


def constant_stars(folder: Path, tic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which stars never vary, and their true fluxes."""
    truth = open_truth(folder)
    known = truth["tic"].values
    place = np.searchsorted(known, tic)
    varies = np.zeros(known.size, bool)
    varies[truth["variable_star"].values[truth["variable_star"].values < known.size]] = True
    return ~varies[place], truth["star_flux"].values[place]


def accuracy(folder: Path, shape: str, store: Path) -> tuple[float, float]:
    """
    Return the median of the relative bias at T 10–14, and the scatter over the errors of all stars.

    These are all constant stars that have a flux, those too that depend on a neighbour or share its pixels
    (WARNING); what the others alone give, and the spans of magnitude, is printed.
    """
    plan = plan_of(folder)
    curves = whole_pass(plan, fit_psf(plan.reference, plan.apertures, shape=shape), store)
    shutil.rmtree(store)
    constant, truth = constant_stars(folder, curves["tic"].values)
    kept = constant & np.isin(curves["status"].values, (Status.OK, Status.WARNING))
    good = good_cadences(plan.quality)
    flux, error = (curves[name].values[kept][:, good].astype(float) for name in ("flux", "flux_err"))
    middle = np.nanmedian(flux, axis=1, keepdims=True)
    wrong, pull = np.abs(middle[:, 0] / truth[kept] - 1), np.abs((flux - middle) / error)
    tmag, alone = curves["tmag"].values[kept], curves["status"].values[kept] == Status.OK

    def of(some: np.ndarray) -> tuple[float, float]:
        return float(np.nanmedian(wrong[some])), MAD_TO_SIGMA * float(np.nanmedian(pull[some]))

    for low, high in SPANS:
        inside = (tmag > low) & (tmag <= high)
        told = "bias {:.2e}, pull {:.3f}; those of status OK {:.2e}, {:.3f}"
        numbers = f"{inside.sum()} stars, {(inside & ~alone).sum()} of them WARNING"
        print(f"T {low}-{high}: {told.format(*of(inside), *of(inside & alone))} ({numbers})", flush=True)
    return of((tmag > 10) & (tmag < 14))[0], of(np.ones(tmag.size, bool))[1]


def cost_ratio(folder: Path, store: Path) -> float:
    """Return what the pass costs with PSF photometry of all stars over what it costs without."""
    plan = plan_of(folder)
    with measured() as cost:
        psf = fit_psf(plan.reference, plan.apertures)
    print(f"fit of the PSF, once a sector and in no row: CPU {cost.cpu:.1f} s", flush=True)
    read_images(plan.cube)
    costs: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(TURNS + 1):
        for wanted in costs:
            with measured() as cost:
                whole_pass(plan, psf if wanted else None, store)
            shutil.rmtree(store)
            # The first turn compiles.
            costs[wanted] += [cost.cpu] if turn else []
    return statistics.median(costs[True]) / statistics.median(costs[False])


def boxes(apertures: xr.Dataset, reference: xr.Dataset, psf: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the same stars with apertures of three by three pixels, and their PSF."""
    rows, columns = reference["row"].values, reference["column"].values
    row, column = np.rint(apertures["star_row"].values), np.rint(apertures["star_column"].values)
    inside = (row > rows[0]) & (row < rows[-1]) & (column > columns[0]) & (column < columns[-1])
    stars = apertures.drop_dims("aperture_pixel").isel(star=np.flatnonzero(inside))
    y, x = (side.ravel() for side in np.mgrid[-1:2, -1:2])
    made = stars.assign(
        row_size=("star", np.full(stars.sizes["star"], 9, np.int32)),
        pixel_row=("aperture_pixel", (row[inside, None] + y).ravel().astype(np.int16)),
        pixel_column=("aperture_pixel", (column[inside, None] + x).ravel().astype(np.int16)),
    )
    return made, psf.isel(star=np.flatnonzero(inside))


def motion_left(folder: Path) -> float:
    """
    Return what an offset leaves in fluxes at T 12–15: the size of the median of the signed errors.

    The row is the signed median, which tells whether the fluxes of all stars are moved together, as in the
    prototype that the goal is from. What single stars keep is printed: the median of the absolute errors
    and the robust scatter. It comes from the fitted PSF: with the true PSF and
    fluxes the absolute error is a quarter.
    """
    plan = plan_of(folder, 20.0)
    psf = fit_psf(plan.reference, plan.apertures)
    apertures, psf = boxes(plan.apertures, plan.reference, psf)
    stream = stream_frames(plan.cube, plan.reference, apertures, plan.quality).compute()
    sky = fit_sky(stream, plan.reference, plan.quality)
    curves = make_light_curves(stream, sky, apertures, plan.reference, plan.quality, psf).compute()
    offset = np.hypot(curves["motion_row"], curves["motion_column"]).values
    tmag = curves["tmag"].values
    good = good_cadences(plan.quality)
    moved, still = good & (np.abs(offset - OFFSET) < NEAR), good & (offset < NEAR)
    flux = curves["flux"].values[(tmag > 12) & (tmag < 15)].astype(float)
    usual = np.nanmedian(flux[:, still], axis=1, keepdims=True)
    error = flux[:, moved] / usual - 1
    signed, absolute = float(np.nanmedian(error)), float(np.nanmedian(np.abs(error)))
    scatter = MAD_TO_SIGMA * float(np.nanmedian(np.abs(error - signed)))
    print(
        f"{moved.sum()} frames moved, {still.sum()} still, {len(flux)} stars: median {signed:+.2e}, "
        f"median of |error| {absolute:.2e}, scatter {scatter:.2e}",
        flush=True,
    )
    return abs(signed)


def measure(wanted: set[str], frames: int, size: int, scratch: Path) -> dict[str, float]:
    """Measure the rows that are wanted."""
    found: dict[str, float] = {}
    store, sector = scratch / "store", STEADY | {"rows": size, "columns": size, "frames": frames}
    sectors = {
        "nominal": {"psf_over_aperture", "psf_bias_true", "psf_pull_temporal"},
        "skewed": {"psf_bias_fitted"},
    }
    for prf, rows in sectors.items():
        if not rows & wanted:
            continue
        folder = scratch / prf
        fresh(write_sector, folder, threads=THREADS, **sector, prf=prf)
        if prf == "skewed":
            found["psf_bias_fitted"], pull = fresh(accuracy, folder, "fitted", store)
            print(f"pull with the fitted PSF {pull:.3f}", flush=True)
        else:
            if {"psf_bias_true", "psf_pull_temporal"} & wanted:
                found["psf_bias_true"], found["psf_pull_temporal"] = fresh(accuracy, folder, "nominal", store)
            if "psf_over_aperture" in wanted:
                found["psf_over_aperture"] = fresh(cost_ratio, folder, store)
        shutil.rmtree(folder)
    if "jitter_left" in wanted:
        fresh(write_sector, scratch / "still", threads=THREADS, **STILL)
        found["jitter_left"] = fresh(motion_left, scratch / "still")
    return found


def main() -> None:
    """Measure what is asked for and print one JSON object last."""
    parser = make_parser(__doc__, CLAIMS, room=10)
    parser.add_argument("--frames", type=int, default=128, help="frames of a sector")
    parser.add_argument("--size", type=int, default=2048, help="rows and columns of a frame")
    given = parser.parse_args()
    with scratch_folder("psf", given.scratch, THREADS) as scratch:
        found = measure(given.only, given.frames, given.size, scratch)
    print_rows("psf", CLAIMS, given.only, found)


if __name__ == "__main__":
    main()
