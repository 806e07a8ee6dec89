"""A Dataset that is cheap to make, as large as wanted, and the same in every process."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

ID = "0123456789ab"
PARENT = "ba9876543210"
BLOCK = 16


def _ramp(block_info: dict | None = None, scale: float = 1.0) -> np.ndarray:
    """Fill a block from the place it has in the whole, so that no two blocks are alike."""
    place = block_info[None]
    axes = [np.arange(start, stop) for start, stop in place["array-location"]]
    return (scale * sum(np.ix_(*axes))).astype(place["dtype"])


def lazy(shape: tuple[int, ...], chunks: tuple[int, ...], scale: float, dtype: str = "float32") -> da.Array:
    """Return a Dask array that nothing has computed yet."""
    chunks = da.core.normalize_chunks(chunks, shape)
    return da.map_blocks(_ramp, chunks=chunks, dtype=dtype, meta=np.empty(0, dtype), scale=scale)


def records(id_: str = ID, parents: dict | None = None, step: str = "make_it", **parameters: object) -> str:
    """Return the provenance attribute of a product."""
    own = {"step": step, "version": 1, "parameters": parameters, "parents": sorted(parents or {})}
    return json.dumps({id_: own | {"libraries": {}}} | (parents or {}), sort_keys=True)


def make_dataset(
    cadences: int = 70, stars: int = 40, *, name: str = "stream", id_: str = ID, **attrs: object
) -> xr.Dataset:
    """Return a product with everything that the store treats in its own way."""
    blocks = -(-cadences // BLOCK)
    return xr.Dataset(
        {
            "aperture_sum": (("time", "star"), lazy((cadences, stars), (BLOCK, -1), 1.5, "float64")),
            "flux": (("star", "time"), lazy((stars, cadences), (-1, BLOCK), 0.25)),
            "pixel_quality": (("star", "time"), lazy((stars, cadences), (-1, BLOCK), 1, "int32")),
            "finite_pixels": ("time", lazy((cadences,), (BLOCK,), 3, "int32")),
            "block_image": (("block", "row", "column"), lazy((blocks, 12, 10), (1, -1, -1), 0.5)),
            "row_size": ("star", np.arange(stars, dtype="int32")),
            "noise_floor": ((), 2.5),
            "image": (("row", "column"), np.arange(120.0, dtype="float32").reshape(12, 10)),
        },
        coords={
            "time": 1325.0 + np.arange(cadences) / 48,
            "frame_quality": ("time", lazy((cadences,), (BLOCK,), 1, "int32")),
            "file": ("time", np.array([f"tess{i:05d}.fits" for i in range(cadences)])),
            "tic": ("star", np.arange(stars, dtype="int64") + 10**10),
            "row": np.arange(12, dtype="int32"),
        },
        attrs={
            "product": name,
            "provenance_id": id_,
            "provenance": records(id_),
            "sector": 1,
            "camera": 1,
            "ccd": 2,
            **attrs,
        },
    )


def small_dataset() -> xr.Dataset:
    """Return a product of three blocks and few files, for stores that are slow."""
    dataset = make_dataset(cadences=40)
    return dataset[["flux", "row_size"]].drop_vars(["frame_quality", "file"])


LARGE_FILE = 16 * 200_000 * 4
"""Bytes of a file of the large Dataset: its writing takes long enough to be hit."""


def large_dataset() -> xr.Dataset:
    """Return a product whose writing takes longer than its making: 4 blocks of 2 large files."""
    shape, chunks = (4 * BLOCK, LARGE_FILE // BLOCK // 4), (BLOCK, -1)
    return xr.Dataset(
        {
            "aperture_sum": (("time", "star"), lazy(shape, chunks, 1)),
            "flux": (("time", "star"), lazy(shape, chunks, 2)),
        },
        coords={"time": np.arange(shape[0]) / 48},
        attrs=make_dataset().attrs,
    )


def contents(folder: Path | str) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def write_and_tell(make: Callable[[], xr.Dataset], store: str, started: object) -> None:
    """Write a product in a process of its own, and say when the writing begins."""
    from tasoc_kit.store import write_product

    dataset = make()
    started.set()
    write_product(dataset, store=store)


def processes_with_imports() -> multiprocessing.context.BaseContext:
    """Return how to start processes quickly: forked from a server that has the imports behind it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tasoc_kit.store", "stored_dataset", "distributed", "alembic.command", "psycopg", "s3fs"]
    )
    return context
