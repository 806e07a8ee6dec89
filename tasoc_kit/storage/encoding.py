"""How a Dataset becomes bytes: chunks, compression, blocks of cadences.

A product is a Zarr (version 3) group. Its *head* holds the metadata and every variable that is
in memory or does not run along time; a Dataset whose Dask chunks run along ``time`` gives one
*block* per Dask chunk, one file for each variable, so that it is computed and written with one
block in memory; inside a file, stars and images are cut into chunks that can be read alone.
Zarr writes into a dictionary here; who calls puts the bytes where they belong. The same Dataset
gives the same bytes in every process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
from zarr.codecs import ZstdCodec
from zarr.storage import MemoryStore

from tasoc_kit import chunks
from tasoc_kit.errors import StoreError

__all__ = ["IMAGE_CHUNK", "STAR_CHUNK", "Encoder"]

STAR_CHUNK = 2048
"""Stars in one chunk of a variable that runs along ``star`` first: one star is one small read."""
IMAGE_CHUNK = 1024
"""Rows and columns in one chunk of an image: a stamp does not read the frame."""

_COMPRESSED = ZstdCodec(level=1)


def _plain(owner: str, name: str, value: Any) -> Any:
    """Return an attribute as JSON holds it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        raise StoreError(
            f"write_product: attribute {name!r} of {owner} is a {type(value).__name__}; expected text, "
            "numbers, lists or dictionaries. Leave it out or convert it."
        ) from None


def _view(buffer: Any) -> memoryview:
    """Return the bytes of one of Zarr's buffers without a copy."""
    return memoryview(buffer.as_numpy_array()).cast("B")


def _tidy(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset without inherited encodings, its attributes sorted, its text as objects."""
    tidy = dataset.drop_encoding()
    tidy.attrs = {name: _plain("the product", name, tidy.attrs[name]) for name in sorted(tidy.attrs)}
    for name, variable in tidy.variables.items():
        attrs = {key: _plain(str(name), key, variable.attrs[key]) for key in sorted(variable.attrs)}
        if variable.dtype.kind in "UT":
            tidy[name] = variable.astype(object)
        tidy[name].attrs = attrs
    return tidy


def _nothing(variable: xr.Variable) -> Any:
    """Return an array of the same shape and type that is never computed."""
    if variable.dtype == object:
        return np.full(variable.shape, "", object)
    if variable.size == 0:
        return np.empty(variable.shape, variable.dtype)
    # Made by hand: da.zeros takes ten milliseconds to find itself a name.
    name = f"nothing-{id(variable)}"
    place = (name, *(0 for _ in variable.shape))
    return da.Array({place: None}, name, tuple((n,) for n in variable.shape), variable.dtype)


def _time_chunks(dataset: xr.Dataset) -> tuple[int, ...]:
    """Return the lengths of the Dask chunks along time; none where no variable has any."""
    found = {
        variable.chunksizes["time"]: str(name)
        for name, variable in dataset.variables.items()
        if "time" in variable.chunksizes
    }
    if len(found) > 1:
        raise StoreError(
            f"write_product: {sorted(found.values())} have different chunks along time; expected one set "
            "of blocks for all variables. Rechunk them with .chunk(time=...)."
        )
    chunks = next(iter(found), ())
    if len(set(chunks[:-1])) > 1 or (chunks and chunks[-1] > chunks[0]):
        raise StoreError(
            f"write_product: chunks along time are {chunks[:8]}; expected equal blocks, the last one "
            "shorter at most. Rechunk the Dataset with .chunk(time=...)."
        )
    return tuple(chunks)


class Encoder:
    """
    The bytes of one Dataset.

    Parameters
    ----------
    dataset
        What is to be stored. Nothing is computed until ``head`` or ``compute`` is called.

    Raises
    ------
    StoreError
        If the chunks along time are not equal blocks, or an attribute does not fit into JSON.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self.dataset = _tidy(dataset)
        lengths = _time_chunks(self.dataset)
        edges = np.concatenate([[0], np.cumsum(lengths, dtype=int)])
        self.slices = [
            slice(int(start), int(stop)) for start, stop in zip(edges[:-1], edges[1:], strict=True)
        ]
        self._block = lengths[0] if lengths else 0
        self._blocked = [name for name, v in self.dataset.variables.items() if self._runs_along_time(v)]
        self._check_block_dimension()
        self._lazy = chunks.Blocks(xr.Dataset({name: self.dataset.variables[name] for name in self._blocked}))
        self._metadata: dict[str, Any] = {}

    @property
    def blocks(self) -> int:
        """Number of blocks of cadences."""
        return len(self.slices)

    def _runs_along_time(self, variable: xr.Variable) -> bool:
        return bool(self._block and variable.chunks) and bool({"time", "block"} & set(variable.dims))

    def _check_block_dimension(self) -> None:
        lazy = (self.dataset.variables[name] for name in self._blocked)
        cut = {variable.chunksizes["block"] for variable in lazy if "block" in variable.dims}
        if cut - {(1,) * self.blocks}:
            raise StoreError(
                f"write_product: dimension block has {self.dataset.sizes['block']} entries; expected one "
                f"for each of the {self.blocks} blocks of cadences, each a chunk. Make both from the same "
                "chunks."
            )

    def _chunk(self, name: Hashable, axis: int) -> int:
        variable = self.dataset.variables[name]
        dim, length = variable.dims[axis], variable.shape[axis]
        if name in self._blocked and dim in ("time", "block"):
            return self._block if dim == "time" else 1
        if dim == "star" and axis == 0 and variable.ndim > 1:
            return min(length, STAR_CHUNK)
        if dim in ("row", "column"):
            return min(length, IMAGE_CHUNK)
        return length

    def _file(self, name: Hashable, axis: int, chunk: int) -> int:
        """Return the extent of one file along an axis: all chunks of a block share a file."""
        variable = self.dataset.variables[name]
        if name in self._blocked and variable.dims[axis] in ("time", "block"):
            return chunk
        return chunk * math.ceil(variable.shape[axis] / chunk)

    def _encoding(self, name: Hashable) -> dict[str, Any]:
        variable = self.dataset.variables[name]
        pieces = tuple(max(1, self._chunk(name, axis)) for axis in range(variable.ndim))
        files = tuple(self._file(name, axis, piece) for axis, piece in enumerate(pieces))
        # The low bits of a measured flux are noise: compressing them costs more than it saves.
        noisy = variable.dtype.kind == "f" and variable.ndim > 1
        compressors = None if noisy else (_COMPRESSED,)
        encoding = {"chunks": pieces, "compressors": compressors, "_FillValue": None}
        return encoding if files == pieces else encoding | {"shards": files}

    def _template(self) -> xr.Dataset:
        """Return the Dataset with its head computed and nothing in place of its blocks."""
        (template,) = dask.compute(self.dataset.drop_vars(self._blocked))
        blocked = {name: self.dataset.variables[name] for name in self._blocked}
        template = template.assign({name: (v.dims, _nothing(v), v.attrs) for name, v in blocked.items()})
        return template.set_coords([name for name in self._blocked if name in self.dataset.coords])

    def head(self) -> dict[str, memoryview]:
        """Return the metadata and all variables that do not come in blocks, by key."""
        template = self._template()
        files: dict[str, Any] = {}
        template.to_zarr(
            MemoryStore(files),
            mode="w",
            compute=False,
            consolidated=False,
            zarr_format=3,
            safe_chunks=False,
            encoding={name: self._encoding(name) for name in template.variables},
        )
        later = tuple(f"{name}/c/" for name in self._blocked)
        kept = {key: files[key] for key in sorted(files) if not key.startswith(later)}
        self._metadata = {key: data for key, data in kept.items() if key.endswith("zarr.json")}
        return {key: _view(data) for key, data in kept.items()}

    def compute(self, number: int) -> xr.Dataset:
        """Return one block of cadences in memory; all variables at once, so shared tasks run once."""
        return self._lazy.compute({"time": number, "block": number})

    def block(self, number: int, computed: xr.Dataset) -> dict[str, memoryview]:
        """Return the chunks of one computed block, by key. ``head`` must have been called."""
        files = dict(self._metadata)
        region = self._region(computed, number)
        # Chunks of zeros are written as well: to look for them costs more than they take.
        computed.to_zarr(
            MemoryStore(files), region=region, consolidated=False, safe_chunks=False, write_empty_chunks=True
        )
        encoded = {key: _view(files[key]) for key in sorted(files.keys() - self._metadata.keys())}
        # Zarr's store may live on in a reference cycle; an empty one holds no block in memory.
        files.clear()
        return encoded

    def _region(self, part: xr.Dataset, number: int) -> dict[Hashable, slice]:
        region = {"time": self.slices[number], "block": slice(number, number + 1)}
        return {dim: place for dim, place in region.items() if dim in part.dims}
