"""Claims about handing over the chunks of lazy arrays."""

import dask
import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit import chunks


def test_a_single_chunk_is_handed_over_without_a_copy():
    made = np.arange(6.0)
    lazy = da.from_delayed(dask.delayed(lambda: made, pure=False)(), made.shape, made.dtype)
    assert chunks.whole(lazy).compute() is made


def test_several_chunks_are_put_together():
    values = np.arange(60.0).reshape(3, 4, 5)
    computed = chunks.whole(da.from_array(values, chunks=(2, 3, 2))).compute()
    np.testing.assert_array_equal(computed, values)


def test_a_dataset_is_computed_with_its_coordinates_and_attributes_and_each_task_runs_once():
    calls = []

    def make():
        calls.append(1)
        return {"a": np.ones((4, 2)), "b": np.arange(4)}

    made = dask.delayed(make)()
    lazy = xr.Dataset(
        {"a": (("time", "star"), da.from_delayed(made["a"], (4, 2), float), {"units": "electron/s"})},
        {"b": ("time", da.from_delayed(made["b"], (4,), int)), "tic": ("star", [7, 8])},
        {"sector": 1},
    )
    computed = chunks.compute(lazy)
    assert len(calls) == 1
    assert not any(variable.chunks for variable in computed.variables.values())
    xr.testing.assert_identical(computed, lazy.compute())
    assert set(computed.coords) == {"b", "tic"}


def test_a_block_is_that_part_of_all_variables_and_nothing_else_is_computed():
    seen = []

    def make(block):
        seen.append(int(block[0, 0]) // 30)
        return block

    values = np.arange(120.0).reshape(12, 10)
    time_first = da.map_blocks(make, da.from_array(values, chunks=(3, 4)), dtype=float, meta=values[:0, :0])
    star_first = da.from_array(values.T.copy(), chunks=(10, 3))
    lazy = xr.Dataset(
        {"a": (("time", "star"), time_first, {"units": "pix"}), "b": (("star", "time"), star_first)}
    )
    blocks = chunks.Blocks(lazy)
    assert seen == []
    for number in (2, 0):
        part = slice(3 * number, 3 * number + 3)
        xr.testing.assert_identical(blocks.compute({"time": number}), lazy.isel(time=part).compute())
    assert set(seen) == {2, 0}
