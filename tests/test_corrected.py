"""Claims about corrected flux in what leaves the store."""

import gzip
import importlib.util

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import tasoc_kit as tk
from tasoc_kit import store
from tasoc_kit.config import settings
from tasoc_kit.corrections.cbv_light_curves import make_cbv_light_curves
from tasoc_kit.corrections.cbvs import make_cbvs
from tasoc_kit.corrections.corrections import choose_corrections
from tasoc_kit.corrections.ensemble_light_curves import make_ensemble_light_curves
from tasoc_kit.corrections.filtered_light_curves import make_filtered_light_curves
from tasoc_kit.errors import StoreError
from tasoc_kit.exports.corrected import in_ppm
from tasoc_kit.exports.tasoc_files import write_tasoc_files
from tasoc_kit.photometry.diagnostics import make_diagnostics
from tasoc_kit.vocabulary import Correction, KitQuality, Method

BEFORE = ("quality", "pointing", "reference", "stars", "apertures", "sky", "light_curves")
KINDS = {
    "cbv": ("tasoc-cbv", "cbv_light_curves"),
    "ensemble": ("tasoc-ens", "ensemble_light_curves"),
    "filter": ("tasoc-kf", "filtered_light_curves"),
}


@pytest.fixture(scope="module")
def corrected(sector):
    """Corrections of the small sector; every star has a bit of the photometry that they must keep."""
    curves = sector.light_curves
    told = make_diagnostics(curves, sector.apertures, sector.quality)
    cbvs = make_cbvs(curves, told, variability=1e3)
    made = {
        "cbvs": cbvs,
        "cbv_light_curves": make_cbv_light_curves(curves, told, cbvs).compute(),
        "ensemble_light_curves": make_ensemble_light_curves(curves, told),
        "filtered_light_curves": make_filtered_light_curves(curves, clip=2.0),
    }
    best = choose_corrections(curves, told, *list(made.values())[1:])
    return made | {"corrections": best}


@pytest.fixture(scope="module")
def corrected_store(sector, corrected, tmp_path_factory):
    place = str(tmp_path_factory.mktemp("corrected") / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASOC_STORE", place)
        settings.cache_clear()
        for product in (*(getattr(sector, name) for name in BEFORE), *corrected.values()):
            store.write_product(product)
    settings.cache_clear()
    return place


@pytest.fixture
def ref(corrected_store, monkeypatch):
    monkeypatch.setenv("TASOC_STORE", corrected_store)
    settings.cache_clear()
    return store.find_product("light_curves")


def served(sector, corrected, kind, count=2):
    """Return the numbers of some stars that have a light curve and a correction."""
    known = np.isfinite(corrected[KINDS[kind][1]]["flux_corr"].values).any(axis=1)
    return np.flatnonzero(known & (sector.light_curves["row_size"].values > 0))[:count]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_has_the_corrected_flux_in_ppm_and_all_bits(sector, corrected, ref, tmp_path, kind):
    ending, product = KINDS[kind]
    table = corrected[product]
    for star in served(sector, corrected, kind):
        tic = int(sector.light_curves["tic"][star])
        write_tasoc_files(ref, tmp_path, tics=[tic], correction=kind)
        (path,) = tmp_path.rglob(f"*{tic:011d}*-{ending}_lc.fits.gz")
        with gzip.open(path) as packed, fits.open(packed, checksum=True) as file:
            head, data, names = file[0].header, file["LIGHTCURVE"].data, [hdu.name for hdu in file]
            members = file["ENSEMBLE"].data if "ENSEMBLE" in names else None
            flux, error = data["FLUX_CORR"], data["FLUX_CORR_ERR"]
            ours, errors = (table[name].values[star].astype(float) for name in ("flux_corr", "flux_corr_err"))
            np.testing.assert_array_equal(np.isfinite(flux), np.isfinite(ours))
            known = np.isfinite(flux)
            np.testing.assert_allclose(
                (1e-6 * flux[known] + 1) / (1e-6 * flux[known][0] + 1),
                ours[known] / ours[known][0],
                rtol=1e-6,
            )
            np.testing.assert_allclose(
                error[known] / (flux[known] + 1e6), errors[known] / ours[known], rtol=1e-6
            )
            assert abs(np.median(flux[known])) < 50
            np.testing.assert_array_equal(data["FLUX_RAW"], sector.light_curves["flux"].values[star])
            photometry = (
                sector.light_curves["pixel_quality"].values[star]
                | sector.light_curves["frame_quality"].values
            )
            for bits in (photometry, table["pixel_quality"].values[star]):
                np.testing.assert_array_equal(data["QUALITY"] & bits, bits)
            assert head["CORRID"] == table.attrs["provenance_id"]
            assert head["PROVID"] == sector.light_curves.attrs["provenance_id"]
        assert head["CORRMET"] == {"cbv": "cbv", "ensemble": "ensemble", "filter": "kasoc_filter"}[kind]
        assert ("ENSEMBLE" in names) == (kind == "ensemble")
        if kind == "cbv":
            assert head["CBV_AREA"] == corrected["cbvs"]["star_area"].values[star]
            assert (head["CBV_MET"], head["CBV_PRI"]) == ("MAP", True)
            assert head["CBV_C1"] == pytest.approx(float(table["cbv_coefficient"][star, 0]), rel=1e-6)
        if kind == "ensemble":
            assert len(members) == head["ENS_NUM"] == int(table["ensemble_size"][star])
            assert set(members["TIC"]) <= set(sector.light_curves["tic"].values.tolist()) - {tic}
            assert np.isfinite(members["SCALE"]).all()
    if kind == "filter":
        assert (table["pixel_quality"].values & int(KitQuality.SIGMA_CLIP)).any()


def test_the_best_correction_is_what_the_product_says_and_files_know_what_they_were_made_from(
    sector, corrected, ref, tmp_path
):
    best, curves = corrected["corrections"]["best_correction"].values, sector.light_curves
    measured = (curves["row_size"].values > 0) & (curves["tic"].values > 0)
    chosen = [star for kind in np.unique(best) for star in np.flatnonzero(measured & (best == kind))[:3]]
    tics = [int(curves["tic"][star]) for star in chosen]
    assert len(np.unique(best[chosen])) > 1
    assert write_tasoc_files(ref, tmp_path, tics=tics).made == len(tics)
    endings = {Correction.NONE: "-tasoc", Correction.CBV: "-tasoc-cbv", Correction.ENSEMBLE: "-tasoc-ens"}
    for star, tic in zip(chosen, tics, strict=True):
        (path,) = tmp_path.rglob(f"*{tic:011d}*")
        assert path.name.endswith(f"{endings[Correction(int(best[star]))]}_lc.fits.gz")
    assert write_tasoc_files(ref, tmp_path, tics=tics).made == 0
    write_tasoc_files(ref, tmp_path / "plain", tics=tics, correction="none")
    assert sum(1 for _ in (tmp_path / "plain").rglob("*-tasoc_lc.fits.gz")) == len(tics)


def test_the_level_of_a_file_is_that_of_good_cadences_whose_time_is_known():
    flux, nothing = np.array([[100.0, 500.0, 500.0, 500.0, 102.0, 98.0]]), np.zeros(6, np.int32)
    place = {"time": ("time", [1.0, np.nan, np.nan, np.nan, 2.0, 3.0])}
    bits = {name: ("time", nothing) for name in ("quality", "frame_quality")}
    read = xr.Dataset(
        {name: (("star", "time"), flux) for name in ("flux_corr", "flux_corr_err")}
        | {"pixel_quality": (("star", "time"), nothing[None])}
    )
    np.testing.assert_allclose(in_ppm(xr.Dataset(bits, place), read)[0][0, [0, 4, 5]], [0, 2e4, -2e4])


def test_a_correction_that_is_not_known_or_not_there_is_refused(ref, sector, tmp_path, monkeypatch):
    with pytest.raises(StoreError, match="corrections: 'cbvs'; expected one of best, none, cbv"):
        write_tasoc_files(ref, tmp_path, correction="cbvs")
    monkeypatch.setenv("TASOC_STORE", str(tmp_path / "empty"))
    settings.cache_clear()
    store.write_product(sector.light_curves)
    with pytest.raises(StoreError, match="the store has no cbv_light_curves of .*tasoc run corrections"):
        write_tasoc_files(store.find_product("light_curves"), tmp_path, correction="cbv")


def test_a_star_of_the_store_has_its_corrected_flux(sector, corrected, ref):
    star = int(served(sector, corrected, "cbv", 1)[0])
    tic = int(sector.light_curves["tic"][star])
    raw, named = tk.star(tic, correction="none"), tk.star(tic, correction="cbv")
    assert "flux_corr" not in raw.curve
    ours = corrected["cbv_light_curves"]["flux_corr"].values[star].astype(float)
    good = named.curve["good"].to_numpy()
    np.testing.assert_allclose(named.curve["flux_corr"], ours / np.median(ours[good]), rtol=1e-6)
    assert named.sectors["correction"].tolist() == ["cbv"]
    kept = named.curve["pixel_quality"].to_numpy() & sector.light_curves["pixel_quality"].values[star]
    np.testing.assert_array_equal(kept, sector.light_curves["pixel_quality"].values[star])
    best = Correction(int(corrected["corrections"]["best_correction"][star])).name.lower()
    assert tk.star(tic).sectors["correction"].tolist() == [best]
    other = tk.star(tic, method=Method.PSF, correction="cbv")
    assert other.sectors["correction"].tolist() == ["none"]


@pytest.mark.skipif(importlib.util.find_spec("lightkurve") is None, reason="lightkurve (extra oracle)")
def test_lightkurve_takes_the_corrected_flux_of_a_tasoc_file(sector, corrected, ref, tmp_path):
    import lightkurve

    star = int(served(sector, corrected, "cbv", 1)[0])
    write_tasoc_files(ref, tmp_path, tics=[int(sector.light_curves["tic"][star])], correction="cbv")
    (path,) = tmp_path.rglob("*-tasoc-cbv_lc.fits.gz")
    curve = lightkurve.read(str(path), quality_bitmask="none")
    assert (curve.meta["AUTHOR"], curve.meta["FLUX_ORIGIN"]) == ("TASOC", "flux_corr")
    ours = corrected["cbv_light_curves"]["flux_corr"].values[star].astype(float)
    flux = np.ma.filled(np.ma.asarray(curve.flux.value), np.nan)
    places = np.searchsorted(sector.light_curves["cadenceno"].values, np.asarray(curve["cadenceno"]))
    known = np.isfinite(flux)
    assert known.sum() > 40
    np.testing.assert_allclose(
        np.diff(flux[known]) / 1e6, np.diff(ours[places][known] / np.median(ours)), atol=2e-6
    )
