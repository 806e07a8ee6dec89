"""
The cost of the pass over the frames, and of what it is held against.

The pass is all that follows the plan: ``stream_frames``, ``fit_sky`` and ``make_light_curves`` with
errors, centroids and quality, each written through the store. What it is held against is
``preadv`` of the image HDUs of the same files, on as many threads, into buffers that are reused.
What more stars cost is measured on the first step alone, the pass over the pixels; what follows
makes and writes series, and grows with them.
Tables that were compiled before are loaded ahead of the clock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask
import numpy as np
import xarray as xr
from fresh_process import Cost, measured
from photometry_plan import THREADS, Plan, open_plan

from tasoc_kit.photometry import stream as streaming
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.sources.frame_reader import open_frames
from tasoc_kit.store import open_product, write_product

__all__ = ["background_costs", "drop_cache", "image_reading", "sky_cost", "stream_step", "whole_pass"]

WARM_UP = 64
"""Frames of the pass before the clock: with fewer than a block not all that was compiled is loaded."""
BOX = 64


def stored(dataset: xr.Dataset, store: Path) -> xr.Dataset:
    """Write a product and open it again, as the next notebook does."""
    write_product(dataset, store=str(store))
    return open_product(
        dataset.attrs["product"],
        sector=dataset.attrs["sector"],
        camera=dataset.attrs["camera"],
        ccd=dataset.attrs["ccd"],
        id=dataset.attrs["provenance_id"],
        store=str(store),
    )


def over_the_pixels(plan: Plan, store: Path) -> xr.Dataset:
    """Do the first step, which reads the frames."""
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        return stored(stream_frames(plan.cube, plan.reference, plan.apertures, plan.quality), store)


def through_the_store(plan: Plan, store: Path) -> None:
    """Do the pass over the frames of a plan, to the end."""
    apertures = plan.apertures
    stream = over_the_pixels(plan, store)
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        sky = stored(fit_sky(stream, plan.reference, plan.quality), store)
        stored(make_light_curves(stream, sky, apertures, plan.reference, plan.quality), store)


def drop_cache(cube: xr.Dataset) -> None:
    """Ask the kernel to forget the files of a cube."""
    for path in cube["file"].values:
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def read_images(cube: xr.Dataset) -> None:
    """Read the image HDU of every file into one buffer a thread."""
    files, offsets = cube["file"].values, cube["file_offset"].values
    sizes = cube["file_rows"].values.astype(np.int64) * cube["file_columns"].values * 4

    def read_some(frames: range) -> None:
        buffer = memoryview(bytearray(int(sizes.max())))
        for i in frames:
            handle = os.open(files[i], os.O_RDONLY)
            done = 0
            while done < sizes[i]:
                done += os.preadv(handle, [buffer[done : sizes[i]]], int(offsets[i]) + done)
            os.close(handle)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read_some, [range(k, files.size, THREADS) for k in range(THREADS)]))


def image_reading(folder: Path, frames: int, *, cold: bool) -> Cost:
    """Return what reading the image HDUs of the first frames costs."""
    cube = open_plan(folder, frames).cube
    read_images(cube)
    if cold:
        drop_cache(cube)
    with measured() as cost:
        read_images(cube)
    return cost


def _cost_of(
    work: Callable[[Plan, Path], object], plans: Callable[[int], Plan], frames: int, store: Path, cold: bool
) -> Cost:
    through_the_store(plans(WARM_UP), store / "warm-up")
    plan = plans(frames)
    read_images(plan.cube)
    if cold:
        drop_cache(plan.cube)
    with measured() as cost:
        work(plan, store / "products")
    shutil.rmtree(store)
    return cost


def whole_pass(folder: Path, frames: int, store: Path, *, cold: bool = False) -> Cost:
    """Return what the pass over the first frames costs, written into an empty store."""
    return _cost_of(through_the_store, partial(open_plan, folder), frames, store, cold)


def stream_step(folder: Path, frames: int, stars: str, store: Path) -> Cost:
    """Return what the step over the pixels alone costs for some choice of stars, written too."""
    return _cost_of(over_the_pixels, partial(open_plan, folder, stars=stars), frames, store, False)


def sky_cost(folder: Path, frames: int) -> tuple[float, float]:
    """
    Return the CPU seconds a frame costs with its sky and without.

    The first is the stream's work on the frames and the fit to their cells, the second the
    stream's work without cells.
    """
    plan = open_plan(folder, frames)
    stream = stream_frames(plan.cube, plan.reference, plan.apertures, plan.quality)
    settings = stream.attrs["clip"], stream.attrs["cell"], stream.attrs["band"] // stream.attrs["cell"]
    stamps = streaming._halo_stamps(plan.cube, plan.apertures)
    made = streaming._make_plan(plan.cube, plan.reference, plan.apertures, stamps, *settings)
    reader, good = open_frames(plan.cube), np.ones(frames, bool)
    costs = []
    for sky in (True, False):
        settings = replace(made, sky=sky)
        tables = made.empty(frames)
        image = np.zeros(reader.shape, np.float32)
        streaming._measure_some(reader, settings, range(1), good[:1], tables, image)
        with measured() as cost:
            streaming._measure_some(reader, settings, range(frames), good, tables, image)
        costs.append(cost.cpu)
    stream = stream.compute()
    with measured() as cost:
        fit_sky(stream, plan.reference, plan.quality)
    return (costs[0] + cost.cpu) / frames, costs[1] / frames


def background_costs(folder: Path, frame: int) -> tuple[float, float]:
    """
    Return the CPU seconds of the same frame's sky by photutils and by sep: boxes of 64 pixels.

    The first clips at 3 sigma and evaluates every pixel, the second only makes its mesh.
    """
    import sep
    from astropy.stats import SigmaClip
    from photutils.background import Background2D

    plan = open_plan(folder, frame + 1)
    image = np.empty((plan.cube.sizes["row"], plan.cube.sizes["column"]), np.float32)
    open_frames(plan.cube).read(frame, image)
    with measured() as slow:
        sky = Background2D(image, BOX, sigma_clip=SigmaClip(3.0)).background
    with measured() as quick:
        mesh = sep.Background(image, bw=BOX, bh=BOX)
    if not (np.isfinite(sky).all() and np.isfinite(mesh.globalback)):
        raise RuntimeError("a peer left pixels without a sky")
    return slow.cpu, quick.cpu
