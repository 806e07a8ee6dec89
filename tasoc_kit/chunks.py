"""Chunks of lazy arrays, handed over as they are.

Dask copies an array of one chunk when it is computed, in case its memory also lies in the graph.
Here it never does: the arrays are made by tasks, and nobody writes into them. A block of a product
fills much memory, and the second copy would cost as much as making it.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
from dask import threaded
from dask.base import get_scheduler
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.optimization import cull
from dask.utils import ensure_dict

__all__ = ["Blocks", "compute", "whole"]


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


class Blocks:
    """
    Lazy variables, computed one block at a time.

    The graph of all blocks is laid out once, and each takes from it what it needs. Dask would lay it out
    anew for every block, so that time and memory for one grew with the number of all.

    Parameters
    ----------
    dataset
        Variables whose chunks are the blocks; none of them is in memory.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self.variables = dict(dataset.variables)
        self.graph = ensure_dict(HighLevelGraph.merge(*(v.data.dask for v in self.variables.values())))
        # Asked for here, as Dask looks for a cluster by an import, which two threads may not begin at once.
        self._get = (get_scheduler() if self.variables else None) or threaded.get

    def compute(self, numbers: Mapping[Hashable, int]) -> xr.Dataset:
        """
        Return one block in memory; tasks that variables share run once.

        Parameters
        ----------
        numbers
            Dimension to number of the chunk along it; along other dimensions all chunks are taken.
        """
        keys = {name: self._keys(variable, numbers) for name, variable in self.variables.items()}
        wanted = [key for grid in keys.values() for key in grid.flat]
        graph, _ = cull(self.graph, wanted)
        made = dict(zip(wanted, self._get(graph, wanted), strict=True))
        return xr.Dataset(
            {
                name: (self.variables[name].dims, _joined(grid, made), self.variables[name].attrs)
                for name, grid in keys.items()
            }
        )

    @staticmethod
    def _keys(variable: xr.Variable, numbers: Mapping[Hashable, int]) -> np.ndarray:
        """Return the keys of the chunks of a block, as they lie beside one another."""
        axes = zip(variable.dims, variable.data.numblocks, strict=True)
        places = [[numbers[dim]] if dim in numbers else range(count) for dim, count in axes]
        grid = np.empty([len(place) for place in places], object)
        for index, place in zip(np.ndindex(grid.shape), itertools.product(*places), strict=True):
            grid[index] = (variable.data.name, *place)
        return grid


def _joined(grid: np.ndarray, made: Mapping[Any, np.ndarray]) -> np.ndarray:
    """Return the chunks of a grid put together; a single one as it is."""
    if grid.size == 1:
        return made[grid.item()]
    parts = np.empty_like(grid)
    for index in np.ndindex(grid.shape):
        parts[index] = made[grid[index]]
    return np.block(parts.tolist())
