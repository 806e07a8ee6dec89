"""
What every measurement needs first: a simulated sector on disk and the plan made from it.

The *steady* sector is a run of consecutive full frames, from the fading scattered light after a
perigee into the dark part of the orbit.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from fresh_process import measured

from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.pointing import estimate_pointing
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.photometry.reference import make_reference
from tasoc_kit.photometry.stars import locate_stars
from tasoc_kit.simulation import write_sector
from tasoc_kit.sources.cube import open_cube
from tasoc_kit.sources.ffi import science
from tasoc_kit.sources.star_catalog import read_stars

__all__ = ["THREADS", "Plan", "make_plan", "open_plan", "simulate", "take_stars"]

THREADS = 2
STEADY = {"rows": 2048, "columns": 2048, "seed": 5, "first": 60, "catalogue_limit": 19.0}
STARS, MANY_STARS, FEW_STARS = 20_000, 100_000, 5_000
PLAN = "plan-{}.pickle"


@dataclass
class Plan:
    """All that the pass over the frames needs beside them, and the frames."""

    cube: xr.Dataset
    quality: xr.Dataset
    pointing: xr.Dataset
    reference: xr.Dataset
    stars: xr.Dataset
    apertures: xr.Dataset


def simulate(folder: Path, **settings: object) -> float:
    """Write a sector of full frames and return its CPU seconds per frame."""
    with measured() as cost:
        truth = write_sector(folder, threads=THREADS, **settings)
    return cost.cpu / truth.sizes["time"]


def steady_sector(folder: Path, frames: int) -> float:
    """Write the steady sector and return its CPU seconds per frame."""
    return simulate(folder, **STEADY, frames=frames)


def sector_products(folder: Path) -> tuple[xr.Dataset, ...]:
    """Return cube, quality, pointing and reference of a sector."""
    cube = science(open_cube(folder))
    quality = make_quality(cube)
    pointing = estimate_pointing(cube, quality)
    return cube, quality, pointing, make_reference(cube, quality, pointing)


def take_stars(apertures: xr.Dataset, chosen: np.ndarray) -> xr.Dataset:
    """Return the apertures of some stars, given in ascending order."""
    starts = np.concatenate([[0], np.cumsum(apertures["row_size"].values)])
    pixels = np.concatenate([np.arange(starts[star], starts[star + 1]) for star in chosen])
    return apertures.isel(star=chosen, aperture_pixel=pixels)


def make_plan(folder: Path) -> None:
    """
    Make the plan of the steady sector and leave it beside the sector, once for each choice of stars.

    ``usual`` are the 20,000 brightest; ``many`` and ``few`` are 100,000 and, of these, 5,000 at
    random that all have pixels.
    """
    _, quality, pointing, reference = sector_products(folder)
    stars = locate_stars(reference, read_stars(str(folder / "stars.parquet")), faintest=20.0)
    every = make_apertures(reference, stars)
    lit = np.flatnonzero(every["row_size"].values > 0)[:MANY_STARS]
    few = np.sort(np.random.default_rng(1).choice(lit, FEW_STARS, replace=False))
    usual = stars.isel(star=slice(0, STARS))
    chosen = {
        "usual": (usual, make_apertures(reference, usual)),
        "many": (stars.isel(star=lit), take_stars(every, lit)),
        "few": (stars.isel(star=few), take_stars(every, few)),
    }
    for name, made in chosen.items():
        content = pickle.dumps((quality, pointing, reference, *made))
        folder.with_name(PLAN.format(name)).write_bytes(content)


def open_plan(folder: Path, frames: int | None = None, stars: str = "usual") -> Plan:
    """Return the plan of the steady sector for its first frames and some choice of stars."""
    quality, *rest = pickle.loads(folder.with_name(PLAN.format(stars)).read_bytes())
    first = {"time": slice(0, frames)}
    return Plan(science(open_cube(folder)).isel(first), quality.isel(first), *rest)
