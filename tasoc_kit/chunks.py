"""Chunks of lazy arrays, handed over as they are.

Dask copies an array of one chunk when it is computed, in case its memory also lies in the graph.
Here it never does: the arrays are made by tasks, and nobody writes into them. A block of a product
fills much memory, and the second copy would cost as much as making it.
"""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed

__all__ = ["compute", "whole"]


def whole(array: da.Array) -> Delayed:
    """Return what stands for all of a lazy array: its only chunk, or its chunks put together."""
    chunks = array.to_delayed(optimize_graph=False)
    return chunks.item() if chunks.size == 1 else dask.delayed(np.block)(chunks.tolist())


def compute(dataset: xr.Dataset) -> xr.Dataset:
    """Return a Dataset in memory; tasks that variables share run once."""
    names = [name for name, variable in dataset.variables.items() if variable.chunks]
    values = dask.compute(*(whole(dataset.variables[name].data) for name in names))
    return dataset.assign(
        {
            name: dataset.variables[name].copy(deep=False, data=value)
            for name, value in zip(names, values, strict=True)
        }
    )
