"""Every star on the pixels of a target pixel file has a light curve, at 20 s as at 30 minutes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from sector import make_products

import tasoc_kit as tk
from tasoc_kit import store
from tasoc_kit.exports.target_pixels import write_target_pixels
from tasoc_kit.exports.tasoc_files import write_tasoc_files
from tasoc_kit.sources.star_catalog import read_stars

SIZE = 41
FAST = 20.0
EXPOSED = 19.8
"""Seconds of ten frames of 1.98 s: cosmic rays are not clipped on board in 20 s."""
BRIGHT = 14.0
MEASURED = 5
"""Secondary stars that a stamp of this size holds here at least."""


def at_20_seconds(cube: xr.Dataset) -> xr.Dataset:
    """Return the frames as if they had been taken every 20 s."""
    middle = cube["time"].values[0] + np.arange(cube.sizes["time"]) * FAST / 86400
    half = FAST / 2 / 86400
    return cube.assign_coords(
        time=middle,
        time_start=("time", middle - half),
        time_stop=("time", middle + half),
        cadenceno=("time", (100_000 + np.arange(middle.size)).astype(np.int32)),
    ).assign_attrs(cadence=FAST, exposure=EXPOSED, cosmic_block=0)


@pytest.fixture(scope="module")
def target(sector: SimpleNamespace) -> int:
    """The star with most measured stars about it, none of which outshines the others."""
    curves = sector.light_curves
    place = np.array([curves["star_row"].values, curves["star_column"].values])
    ends = np.array([[sector.cube[name].values[k] for name in ("row", "column")] for k in (0, -1)])
    amid = ((place.T - SIZE / 2 > ends[0]) & (place.T + SIZE / 2 < ends[1])).all(axis=1)
    near = (np.abs(place[:, :, None] - place[:, None, :]) < SIZE / 2).all(axis=0)
    tmag, measured = curves["tmag"].values, curves["row_size"].values > 0
    number = (near & measured & (tmag < BRIGHT)).sum(axis=1) - 100 * (near & (tmag < 9)).any(axis=1)
    return int(curves["tic"][int(np.argmax(np.where(amid & measured, number, -200)))])


@pytest.fixture(scope="module")
def file(sector: SimpleNamespace, target: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target pixel file of 20 s about the target, without the sky as those of the mission."""
    path = tmp_path_factory.mktemp("fast") / "fast_tp.fits"
    names = ("apertures", "reference", "sky", "pointing")
    frames, known = at_20_seconds(sector.cube), {name: getattr(sector, name) for name in names}
    known |= {
        name: known[name].assign_coords(cadenceno=frames["cadenceno"].variable)
        for name in ("sky", "pointing")
    }
    return write_target_pixels(frames, path, tic=target, size=SIZE, products=known)


@pytest.fixture(scope="module")
def made(sector: SimpleNamespace, file: Path) -> SimpleNamespace:
    """Every product of the file, with the catalogue of the field."""
    return make_products(tk.open_cube(str(file)), read_stars(sector.folder / "stars.parquet"))


def test_a_file_of_20_s_keeps_its_times_numbers_and_exposure(sector, file):
    cube, frames = tk.open_cube(str(file)), at_20_seconds(sector.cube)
    assert (cube.attrs["cadence"], cube.attrs["exposure"]) == (FAST, pytest.approx(EXPOSED))
    np.testing.assert_allclose(cube["time"].values, frames["time"].values, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(cube["cadenceno"].values, frames["cadenceno"].values)
    np.testing.assert_allclose((cube["time_stop"] - cube["time_start"]) * 86400, FAST, atol=1e-3)


def test_every_star_of_the_catalogue_on_the_pixels_of_a_file_has_a_row(sector, made):
    whole, pixels = sector.stars, made.cube
    inside = np.ones(whole.sizes["star"], bool)
    for name in ("row", "column"):
        labels, place = pixels[name].values, whole[f"star_{name}"].values
        inside &= (place > labels[0]) & (place < labels[-1])
    assert inside.sum() > MEASURED
    assert set(whole["tic"].values[inside]) <= set(made.light_curves["tic"].values)


def test_the_secondary_stars_of_a_file_have_the_flux_that_the_frames_give_them(sector, made, target):
    here, there = (
        one.light_curves.isel(star=one.light_curves["row_size"].values > 0).set_xindex("tic")
        for one in (made, sector)
    )
    tics = [
        int(tic) for tic in here["tic"].values[here["tmag"].values < BRIGHT] if tic in there["tic"].values
    ]
    assert target in tics
    assert len(tics) > 3
    here, there = (one["flux"].sel(tic=tics).median("time") for one in (here, there))
    # Another sky and the edges of the file draw some masks otherwise, by a few pixels of their wings.
    np.testing.assert_allclose(here.values, there.values, rtol=0.1)


def test_a_secondary_star_is_measured_by_its_name_too(sector, file, made, target):
    curves = made.light_curves
    other = next(
        int(tic)
        for tic, size in zip(curves["tic"].values, curves["row_size"].values, strict=True)
        if size > 0 and tic != target
    )
    one = tk.light_curve(f"TIC {other}", cube=str(file), catalogue=sector.folder / "stars.parquet")
    star = int(np.flatnonzero(curves["tic"].values == other)[0])
    np.testing.assert_allclose(one.data["flux"].values, curves["flux"].values[star], rtol=1e-6)


def test_the_stars_of_a_file_are_exported_as_those_of_20_s(made, tmp_path):
    for name in ("quality", "pointing", "reference", "stars", "apertures", "sky", "light_curves"):
        store.write_product(getattr(made, name))
    ref = store.find_product("light_curves")
    assert ref is not None
    written = write_tasoc_files(ref, tmp_path / "files")
    paths = list((tmp_path / "files" / "c0020").rglob("*-c0020-*.fits.gz"))
    assert written.made == len(paths) > MEASURED
    with fits.open(paths[0]) as hdus:
        head = hdus["LIGHTCURVE"].header
        assert (head["NUM_FRM"], head["NREADOUT"]) == (10, 10)
        assert head["EXPOSURE"] / head["TELAPSE"] == pytest.approx(0.99)
        assert hdus[0].header["CRMITEN"] is False
        np.testing.assert_allclose(np.diff(hdus["LIGHTCURVE"].data["TIME"]) * 86400, FAST, rtol=1e-4)
