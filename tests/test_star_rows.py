"""Claims about series of single stars read from their bytes: the same numbers as Zarr gives."""

from __future__ import annotations

import shutil

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from stored_dataset import make_dataset, records

from tasoc_kit import store
from tasoc_kit.errors import StoreError
from tasoc_kit.storage import star_rows
from tasoc_kit.storage.encoding import STAR_CHUNK
from tasoc_kit.storage.star_rows import StarRows


def written(dataset: xr.Dataset, **options: str) -> tuple[StarRows, xr.Dataset]:
    store.write_product(dataset, **options)
    ref = store.find_product(dataset.attrs["product"], **options)
    return StarRows(ref), store.open_ref(ref)


def many_stars(stars: int = STAR_CHUNK + 5, cadences: int = 21) -> xr.Dataset:
    random = np.random.default_rng(1)
    flux = random.normal(size=(stars, cadences))
    bits = random.integers(0, 2**20, (stars, cadences), dtype=np.int32)
    return xr.Dataset(
        {
            "flux": (("star", "time"), da.from_array(flux.astype(np.float32), chunks=(-1, 8))),
            "centroid_row": (("star", "time"), da.from_array(flux, chunks=(-1, 8))),
            "pixel_quality": (("star", "time"), da.from_array(bits, chunks=(-1, 8))),
            "held": (("star", "time"), flux.astype(np.float32)),
        },
        attrs=make_dataset(name="light_curves").attrs | {"provenance": records()},
    )


@pytest.mark.parametrize("make", [many_stars, lambda: make_dataset()[["flux", "pixel_quality"]]])
def test_a_series_is_that_of_zarr(make):
    rows, opened = written(make())
    for name in opened.data_vars:
        values = opened[name].values
        for star in {0, 7, values.shape[0] - 1, min(STAR_CHUNK, values.shape[0] - 1)}:
            np.testing.assert_array_equal(rows.read(str(name), star), values[star], err_msg=f"{name} {star}")


def test_fluxes_are_read_where_they_lie(monkeypatch):
    rows, opened = written(many_stars())
    monkeypatch.setattr(rows, "_row", None)
    np.testing.assert_array_equal(rows.read("flux", STAR_CHUNK + 1), opened["flux"].values[STAR_CHUNK + 1])
    np.testing.assert_array_equal(rows.read("held", 3), opened["held"].values[3])


def test_a_product_behind_a_url_is_read_too():
    rows, opened = written(many_stars(), store="memory://rows")
    np.testing.assert_array_equal(rows.read("flux", 9), opened["flux"].values[9])


def test_what_is_decoded_is_kept_up_to_some_bytes(monkeypatch):
    rows, opened = written(many_stars())
    values = opened["pixel_quality"].values
    kept = star_rows._Decoded(values[:STAR_CHUNK].nbytes + 1000)
    monkeypatch.setattr(star_rows, "_decoded", kept)
    for star in (0, STAR_CHUNK, 1, STAR_CHUNK + 1):
        np.testing.assert_array_equal(rows.read("pixel_quality", star), values[star])
    assert 0 < kept._bytes <= kept.most
    assert kept._bytes == sum(one.nbytes for one in kept._kept.values())


def test_a_product_that_went_is_an_error_that_says_so():
    rows, _ = written(many_stars())
    rows.read("flux", 1)
    shutil.rmtree(rows.ref.url)
    with pytest.raises(StoreError, match="gone"):
        rows.read("flux", 1)
