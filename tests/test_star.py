"""Claims about one star in every sector."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import dashboard_data as data
import numpy as np
import pytest
import xarray as xr

import tasoc_kit as tk
from tasoc_kit import plots, store
from tasoc_kit.errors import StoreError
from tasoc_kit.exports import star as star_module
from tasoc_kit.exports.star import find_star, star
from tasoc_kit.provenance import Record, stamp
from tasoc_kit.vocabulary import VARIABLES, KitQuality, Method

LEVELS = {14: 1.0, 15: 1.2, 41: 0.7}


def a_sector(number: int, level: float = 1.0, camera: int = 1, first: int = 0, field: str = "") -> xr.Dataset:
    """Light curves of another sector: the same stars from ``first`` on, at another level."""
    cube = data.make_cube()
    curves = data.make_light_curves(data.make_apertures(data.make_reference(cube)))
    place = {
        "sector": number,
        "camera": camera,
        "field": field,
        "provenance_id": f"{number:04d}{camera}{first:07d}",
    }
    for name in ("flux", "flux_err"):
        curves[name] = (curves[name] * level).astype(np.float32)
    later = curves.assign_coords(time=curves["time"].values + 27.4 * (number - 1))
    return later.isel(star=slice(first, None)).assign_attrs(place)


@pytest.fixture
def three_sectors() -> xr.Dataset:
    """Three sectors in the store; the first is returned."""
    made = [a_sector(number, level, camera=1 + number % 4) for number, level in LEVELS.items()]
    for product in reversed(made):
        store.write_product(product)
    return made[0]


def test_sectors_are_put_together_in_time_at_one_level(three_sectors):
    tic = data.FIRST_TIC + 1
    curve = tk.star(f"TIC {tic}")
    assert curve.name == f"TIC {tic}"
    assert curve.sectors["sector"].tolist() == list(LEVELS)
    assert (np.diff(curve.curve["time"]) > 0).all()
    assert curve.curve["sector"].is_monotonic_increasing
    good = curve.curve[curve.curve["good"]]
    np.testing.assert_allclose(good.groupby("sector")["flux"].median(), 1.0, atol=1e-9)
    levels = curve.sectors["level"].to_numpy()
    np.testing.assert_allclose(levels / levels[0], list(LEVELS.values()), rtol=1e-6)
    # Relative errors do not know of the level, and the numbers of every cadence stay beside its flux.
    assert good.groupby("sector")["flux_err"].median().max() == pytest.approx(
        good.groupby("sector")["flux_err"].median().min(), rel=1e-6
    )
    assert set(curve.curve["camera"]) == {1 + number % 4 for number in LEVELS}
    assert curve.curve["quality"].any()
    assert not curve.curve.loc[curve.curve["quality"] > 0, "good"].any()


def test_flux_as_measured_and_some_sectors_can_be_asked_for(three_sectors):
    tic = data.FIRST_TIC + 1
    curve = star(tic, normalise=False, sectors=[15, 14])
    assert curve.sectors["sector"].tolist() == [14, 15]
    first = curve.curve[curve.curve["sector"] == 14]
    np.testing.assert_array_equal(first["flux"], three_sectors["flux"].values[1])


def test_the_light_of_other_stars_can_be_taken_out(three_sectors):
    tic = data.FIRST_TIC + 1
    share = float(three_sectors["contamination"][1])
    as_measured, alone = star(tic).curve, star(tic, decontaminate=True).curve
    assert share > 0
    np.testing.assert_allclose(
        alone["flux"] - 1, (as_measured["flux"] - 1) / (1 - share), rtol=1e-6, atol=1e-12
    )
    np.testing.assert_allclose(alone["flux_err"], as_measured["flux_err"] / (1 - share), rtol=1e-6)


def test_a_star_is_found_by_its_place_too_and_the_ccd_counts_before_a_cutout(three_sectors):
    store.write_product(a_sector(14, camera=3, first=1, field="r0100c0300"))
    place = f"{float(three_sectors['ra'][3])} {float(three_sectors['dec'][3])}"
    found = find_star(place)
    assert [one.ref.unit for one in found] == ["s0014-3-2", "s0015-4-2", "s0041-2-2"]
    assert [one.star for one in found] == [3, 3, 3]


def test_where_only_a_cutout_holds_the_star_it_is_taken(three_sectors):
    store.write_product(a_sector(50, first=2, field="r0100c0300"))
    found = find_star(data.FIRST_TIC + 4, sectors=[50])
    assert [(one.ref.unit, one.star) for one in found] == [("s0050-1-2-r0100c0300", 2)]


def test_numbers_are_read_once_and_no_flux_is_read_to_find_a_star(three_sectors, monkeypatch):
    read = []
    real = star_module.read_variable
    star_module._column.cache_clear()
    monkeypatch.setattr(star_module, "read_variable", lambda ref, name: read.append(name) or real(ref, name))
    for tic in (data.FIRST_TIC, data.FIRST_TIC + 5, 4):
        find_star(tic)
    assert read == ["tic"] * len(LEVELS)


def test_one_star_is_found_among_hundreds_of_units(three_sectors):
    made = store.find_product("light_curves", sector=14)
    root = Path(made.store) / "light_curves"
    for number in range(300):
        unit = f"s{100 + number // 16:04d}-{1 + number // 4 % 4}-{1 + number % 4}"
        shutil.copytree(Path(made.url), root / unit / f"{number:012x}", copy_function=os.link)
    star_module._column.cache_clear()
    assert len(find_star(data.FIRST_TIC + 1)) == 303


def test_a_star_nobody_measured_is_told_what_to_do(three_sectors):
    with pytest.raises(StoreError, match=r"TIC 4 is in none of the 3 light_curves products.*tasoc where"):
        star("TIC 4")
    with pytest.raises(StoreError, match="expected one of"):
        star(data.FIRST_TIC, method="magic")


def test_a_method_that_was_not_run_gives_no_flux(three_sectors):
    curve = star(data.FIRST_TIC, method="psf")
    assert set(curve.sectors["method"]) == {Method.PSF.name.lower()}
    assert not curve.curve["good"].any()


def test_the_figure_has_a_colour_for_each_sector_and_averages_long_curves(three_sectors):
    curve = star(data.FIRST_TIC + 1)
    figure = curve.plot()
    assert [layer.label for layer in figure] == [f"sector {number}" for number in LEVELS]
    assert len({layer.opts.get("style").kwargs["color"] for layer in figure}) == len(LEVELS)
    averaged = plots.star(curve.curve, most_points=10)
    assert sum(len(layer) for layer in averaged) <= sum(len(layer) for layer in figure)


def test_what_is_told_of_every_cadence_has_a_meaning(three_sectors):
    ours = {"sector", "camera", "ccd", "flags", "good"}
    assert set(star(data.FIRST_TIC).curve.columns) - ours <= set(VARIABLES)


@pytest.fixture
def corrected():
    """Light curves, those that vectors, neighbours and the filter correct, and the choice, in the store."""
    reference = data.make_reference(data.make_cube())
    method = np.full(12, int(Method.APERTURE), np.int8)
    method[4] = int(Method.PSF)
    apertures = data.make_apertures(reference).assign(method=("star", method))
    curves = data.make_light_curves(apertures)
    made = [curves, *data.make_corrections(curves)[2:]]
    for product in made:
        store.write_product(product)
    return [*made, reference, apertures]


def made_anew(product, curves, changes):
    """Write a product that was made of the same light curves in another way."""
    record = Record(product.attrs["product"], 1, {"anew": True}, [curves.attrs["provenance_id"]])
    store.write_product(stamp(product.assign(changes), record, [curves]))


def test_the_best_correction_is_of_the_products_that_it_was_chosen_from(corrected):
    curves, by_vectors = corrected[:2]
    made_anew(by_vectors, curves, {name: 2 * by_vectors[name] for name in ("flux_corr", "flux_corr_err")})
    best, newest = (star(data.FIRST_TIC + 2, normalise=False, correction=c) for c in ("best", "cbv"))
    np.testing.assert_array_equal(best.curve["flux_corr"], by_vectors["flux_corr"].values[2])
    np.testing.assert_array_equal(newest.curve["flux_corr"], 2 * by_vectors["flux_corr"].values[2])


def test_cadences_that_a_correction_sets_apart_are_told_and_the_measured_flux_stays_good(corrected):
    curves, filtered = corrected[0], corrected[3]
    bits, flux = filtered["pixel_quality"].copy(deep=True), filtered["flux_corr"].copy(deep=True)
    bits[2, 30:80] = int(KitQuality.SIGMA_CLIP)
    flux[2, 30:80] *= 1.5
    flux[2, 20] = np.nan
    made_anew(filtered, curves, {"flux_corr": flux, "pixel_quality": bits})
    plain = star(data.FIRST_TIC + 2, correction="none").curve
    curve = star(data.FIRST_TIC + 2, correction="filter").curve
    changed = np.r_[20, 30:80]
    assert curve["flags"].str.contains("SIGMA_CLIP").to_numpy().nonzero()[0].tolist() == list(range(30, 80))
    np.testing.assert_array_equal(curve["good"], plain["good"])
    np.testing.assert_array_equal(curve["flux"], plain["flux"])
    assert not curve["good_corr"][changed].any()
    np.testing.assert_array_equal(curve["good_corr"].drop(changed), plain["good"].drop(changed))
    assert curve["flux_corr"][curve["good_corr"]].median() == pytest.approx(1, abs=1e-9)


def test_a_sector_without_a_correction_has_no_good_corrected_cadence(corrected):
    store.write_product(a_sector(14))
    curve = star(data.FIRST_TIC + 2).curve
    assert curve["good_corr"].dtype == bool
    assert curve.groupby("sector")["good_corr"].any().to_dict() == {1: True, 14: False}


def test_apertures_that_are_asked_for_are_corrected_for_stars_that_psf_photometry_serves_too(corrected):
    curves, *_, reference, apertures = corrected
    for product in (reference, apertures, data.make_psf_light_curves(curves, apertures)):
        store.write_product(product)
    chosen, asked = (star(data.FIRST_TIC + 4, method=m, correction="cbv") for m in (None, "aperture"))
    assert chosen.sectors[["method", "correction"]].to_numpy().tolist() == [["psf", "none"]]
    assert asked.sectors[["method", "correction"]].to_numpy().tolist() == [["aperture", "cbv"]]
    assert asked.curve["flux_corr"].notna().all()


def test_the_sectors_of_a_real_star_agree(shared_data):
    path = str(shared_data("tess_ffi/tess-multisector_102.7_-70.5_3x3_astrocut.zip"))
    for number in (2, 6, 13):
        made = tk.light_curve("102.7 -70.5", cube=tk.open_cube(path, sector=number))
        store.write_product(made.apertures)
        store.write_product(made.series)
    curve = star("102.7 -70.5")
    assert curve.sectors["sector"].tolist() == [2, 6, 13]
    good = curve.curve[curve.curve["good"]]
    assert len(good) > 2000
    np.testing.assert_allclose(good.groupby("sector")["flux"].median(), 1.0, atol=1e-6)
    assert (curve.sectors["level"] > 0).all()


@pytest.mark.skipif(importlib.util.find_spec("lightkurve") is None, reason="lightkurve (extra oracle)")
def test_lightkurve_takes_a_star_of_many_sectors(three_sectors):
    curve = star(data.FIRST_TIC + 1)
    theirs = curve.to_lightkurve()
    assert len(theirs) == int(curve.curve["good"].sum())
    assert theirs.targetid == data.FIRST_TIC + 1
    assert sorted(set(theirs["sector"].value)) == list(LEVELS)
    assert theirs.normalize().flux.value == pytest.approx(theirs.flux.value, rel=1e-3)
