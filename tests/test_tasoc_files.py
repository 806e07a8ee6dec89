"""Claims about light curves as TASOC files."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS

from tasoc_kit import store
from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError
from tasoc_kit.exports.family import open_family
from tasoc_kit.exports.tasoc_files import file_name, tasoc_quality, write_tasoc_files
from tasoc_kit.photometry.spacecraft import star_time
from tasoc_kit.provenance import Record, stamp
from tasoc_kit.storage.units import ProductRef
from tasoc_kit.vocabulary import KitQuality, Method

PRODUCTS = ("quality", "pointing", "reference", "stars", "apertures", "sky", "light_curves")


@pytest.fixture(scope="module")
def products_store(sector, tmp_path_factory) -> str:
    """A store with every product of the small sector."""
    place = str(tmp_path_factory.mktemp("products") / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASOC_STORE", place)
        settings.cache_clear()
        for name in PRODUCTS:
            store.write_product(getattr(sector, name))
    settings.cache_clear()
    return place


@pytest.fixture
def ref(products_store, monkeypatch) -> ProductRef:
    monkeypatch.setenv("TASOC_STORE", products_store)
    settings.cache_clear()
    found = store.find_product("light_curves")
    assert found is not None
    return found


def brightest(sector, count: int) -> list[int]:
    measured = np.flatnonzero(sector.light_curves["row_size"].values > 0)[:count]
    return [int(tic) for tic in sector.light_curves["tic"].values[measured]]


def read(path: Path) -> fits.HDUList:
    """Open a file with its checksums tested; a wrong one is a warning, which is an error here."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hdus = fits.open(path, checksum=True)
        for hdu in hdus:
            hdu.verify("exception")
            _ = hdu.data
    return hdus


def test_a_file_holds_the_light_curve_and_where_it_came_from(sector, ref, tmp_path):
    (tic,) = brightest(sector, 1)
    written = write_tasoc_files(ref, tmp_path, tics=[tic], version=4)
    assert (written.made, written.kept, written.left_out) == (1, 0, 0)
    star = int(np.flatnonzero(sector.light_curves["tic"].values == tic)[0])
    (path,) = tmp_path.rglob("*.fits.gz")
    place = "s{sector:03d}-{camera}-{ccd}".format(**sector.light_curves.attrs)
    assert str(path.relative_to(tmp_path)) == (
        f"c1800/{tic:011d}"[:11] + f"/tess{tic:011d}-{place}-c1800-dr01-v04-tasoc_lc.fits.gz"
    )
    assert sector.cube.attrs["data_rel"] == 1
    hdus = read(path)
    assert [hdu.name for hdu in hdus] == ["PRIMARY", "LIGHTCURVE", "SUMIMAGE", "APERTURE"]
    one = sector.light_curves.isel(star=star)
    for column, name in {
        "CADENCENO": "cadenceno",
        "FLUX_RAW": "flux",
        "FLUX_RAW_ERR": "flux_err",
        "FLUX_BKG": "background",
        "PIXEL_QUALITY": "quality",
        "MOM_CENTR1": "centroid_column",
        "MOM_CENTR2": "centroid_row",
    }.items():
        np.testing.assert_array_equal(hdus["LIGHTCURVE"].data[column], one[name].values, err_msg=column)
    assert np.isnan(hdus["LIGHTCURVE"].data["FLUX_CORR"]).all()
    time, corr = (hdus["LIGHTCURVE"].data[name] for name in ("TIME", "TIMECORR"))
    own = star_time(sector.quality, ra=float(one["ra"]), dec=float(one["dec"])).values
    np.testing.assert_array_equal(time, own)
    # Whatever the barycentre of the star does, clock and correction give the time at the spacecraft.
    spacecraft = sector.cube["time"].values - sector.cube["timecorr"].values
    np.testing.assert_allclose(time - corr, spacecraft, rtol=0, atol=1e-8)
    head = hdus[0].header
    assert (head["ORIGIN"], head["TICID"], head["PHOTMET"], head["VERSION"]) == (
        "TASOC/Aarhus",
        tic,
        "aperture",
        4,
    )
    assert head["DATA_REL"] == 1
    assert head["PROVID"] == sector.light_curves.attrs["provenance_id"]
    assert (head["CRMITEN"], head["CRBLKSZ"], head["KP_THRES"]) == (True, 10, 0.8)
    table = hdus[1].header
    assert (table["NUM_FRM"], table["NREADOUT"], table["INT_TIME"]) == (900, 720, 1.98)
    assert table["DEADC"] == pytest.approx(0.99 * 0.8)
    assert table["XPOSURE"] == pytest.approx(1425.6)
    assert table["LIVETIME"] == pytest.approx(table["TELAPSE"] * table["DEADC"])


def test_images_show_the_aperture_and_the_sky_puts_the_star_where_it_is(sector, ref, tmp_path):
    (tic,) = brightest(sector, 1)
    write_tasoc_files(ref, tmp_path, tics=[tic])
    (path,) = tmp_path.rglob("*.fits.gz")
    hdus = read(path)
    bits = hdus["APERTURE"].data
    star = int(np.flatnonzero(sector.light_curves["tic"].values == tic)[0])
    one = sector.apertures.isel(star=star)
    assert ((bits & 2) > 0).sum() == ((bits & 8) > 0).sum() == int(one["row_size"])
    assert ((bits & 1) > 0).all()
    assert set(np.unique(bits[bits & 2 > 0] & 4)) == {0}
    head = hdus["APERTURE"].header
    column, row = WCS(head).world_to_pixel_values(float(one["ra"]), float(one["dec"]))
    place = row + head["CRVAL2P"] - 1, column + head["CRVAL1P"] - 1
    assert np.hypot(place[0] - float(one["star_row"]), place[1] - float(one["star_column"])) < 0.01
    assert head["WCS_MSEP"] < 0.05 * 21 / 3600
    # A pixel of the aperture has the light that the reference has there.
    image, peak = hdus["SUMIMAGE"].data, np.argwhere(bits & 2)[0]
    label = peak + [head["CRVAL2P"] - 1, head["CRVAL1P"] - 1]
    assert image[tuple(peak)] == sector.reference["reference"].sel(row=label[0], column=label[1])


def test_output_bits_follow_the_columns_of_the_ccd():
    from tasoc_kit.exports.stamp import Stamp, aperture_bits

    columns = np.array([43, 44, 555, 556, 1067, 1068, 1579, 1580, 2091, 2092])
    bits = aperture_bits(Stamp(np.array([0, 2047, 2048]), columns), *np.empty((2, 0), int))
    assert (bits[0] - 1).tolist() == [0, 32, 32, 64, 64, 128, 128, 256, 256, 0]
    assert (bits[2] == 1).all()


def test_every_star_gets_its_file_in_processes_too_and_a_second_run_makes_none(sector, ref, tmp_path):
    seen: list[tuple[int, int]] = []
    curves = sector.light_curves
    everybody = curves["tic"].values[:100].tolist()
    written = write_tasoc_files(
        ref, tmp_path, tics=everybody, workers=2, progress=lambda *done: seen.append(done)
    )
    expected = int((curves["row_size"].values[:100] > 0).sum())
    assert written.made == expected == len(list(tmp_path.rglob("*.fits.gz")))
    assert written.left_out == 100 - expected > 0
    assert seen[-1] == (expected, expected)
    assert not list(tmp_path.rglob(".*"))
    lost = sorted(tmp_path.rglob("*.fits.gz"))[3]
    content = gzip.decompress(lost.read_bytes())
    lost.unlink()
    again = write_tasoc_files(ref, tmp_path, tics=everybody)
    assert (again.made, again.kept) == (1, expected - 1)
    assert gzip.decompress(lost.read_bytes()) == content


def test_a_file_of_another_product_is_not_lost(sector, ref, tmp_path):
    tics = brightest(sector, 2)
    write_tasoc_files(ref, tmp_path, tics=tics[:1])
    (path,) = tmp_path.rglob("*.fits.gz")
    path.write_bytes(gzip.compress(b"something that a person made"))
    with pytest.raises(StoreError, match="--overwrite"):
        write_tasoc_files(ref, tmp_path, tics=tics)
    assert gzip.decompress(path.read_bytes()) == b"something that a person made"
    assert len(list(tmp_path.rglob("*.fits.gz"))) == 1
    assert write_tasoc_files(ref, tmp_path, tics=tics, overwrite=True).made == 2


def test_a_star_that_is_not_there_is_named(ref, tmp_path):
    with pytest.raises(StoreError, match="TIC 17 is not among"):
        write_tasoc_files(ref, tmp_path, tics=[17])


def test_a_folder_that_takes_no_files_is_named(ref, sector, tmp_path):
    (tmp_path / "c1800").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        write_tasoc_files(ref, tmp_path, tics=brightest(sector, 1))


def test_tasoc_leaves_out_the_cadences_that_we_leave_out():
    ours = np.array(
        [0, KitQuality.SIGMA_CLIP, KitQuality.NO_DATA, KitQuality.HIGH_SKY, KitQuality.BACKGROUND_SHENANIGANS]
    )
    theirs = tasoc_quality(ours.astype(np.int32))
    assert (theirs & 1).tolist() == [0, 0, 1, 0, 0]
    assert (theirs & ~1).tolist() == ours.tolist()


def test_names_are_those_of_the_releases():
    attrs = {"sector": 1, "camera": 1, "ccd": 2, "cadence": 1800.0}
    name = file_name(29281992, attrs, 1, 4)
    assert name == "c1800/00029/tess00029281992-s001-1-2-c1800-dr01-v04-tasoc_lc.fits.gz"


def as_psf(light_curves: xr.Dataset, apertures: xr.Dataset, stars: np.ndarray) -> xr.Dataset:
    """Return light curves of some stars as another method would have made them: twice as bright."""
    other = light_curves.isel(star=stars)
    doubled = (
        other.assign(flux=2 * other["flux"])
        .drop_vars("centroid_row")
        .assign_attrs(product="psf_light_curves")
    )
    return stamp(
        doubled, Record("make_psf_light_curves", 1, {}, [apertures.attrs["provenance_id"]]), [apertures]
    )


def test_each_star_has_the_series_of_the_method_that_serves_it(sector, tmp_path):
    curves = sector.light_curves
    measured = np.flatnonzero(curves["row_size"].values > 0)
    psf_stars = measured[[4, 2]]
    method = np.full(curves.sizes["star"], int(Method.APERTURE), np.int8)
    method[[measured[2], measured[3]]] = Method.PSF
    apertures = sector.apertures.assign(method=("star", method))
    for product in (sector.reference, apertures, curves, as_psf(curves, apertures, psf_stars)):
        store.write_product(product)
    family = open_family(store.find_product("light_curves"))
    read = family.read(measured[:5])
    factor = np.nanmedian(read["flux"].values / curves["flux"].values[measured[:5]], axis=1)
    # The third star has PSF photometry and shall; the fourth shall and has none; the fifth has and shall not.
    assert factor.tolist() == [1, 1, 2, 1, 1]
    assert read["method"].values.tolist() == [1, 1, 2, 1, 1]
    assert np.isnan(read["centroid_row"].values[2]).all()
    forced = family.read(measured[:5], Method.PSF)
    assert np.isfinite(forced["flux"].values).any(axis=1).tolist() == [False, False, True, False, True]


@pytest.mark.skipif(importlib.util.find_spec("lightkurve") is None, reason="lightkurve (extra oracle)")
def test_lightkurve_takes_a_tasoc_file_as_tasoc(sector, ref, tmp_path):
    import lightkurve

    (tic,) = brightest(sector, 1)
    write_tasoc_files(ref, tmp_path, tics=[tic])
    (path,) = tmp_path.rglob("*.fits.gz")
    curve = lightkurve.read(str(path), flux_column="flux_raw")
    assert type(curve).__name__ == "TessLightCurve"
    assert (curve.meta["AUTHOR"], curve.meta["TARGETID"], curve.meta["SECTOR"]) == ("TASOC", tic, 1)
    star = int(np.flatnonzero(sector.light_curves["tic"].values == tic)[0])
    one = sector.light_curves.isel(star=star)
    assert np.abs(curve.time.btjd - one["time"].values).max() < 70 / 86400
    np.testing.assert_allclose(curve.flux.value, one["flux"].values, rtol=0)
    np.testing.assert_allclose(curve.flux_err.value, one["flux_err"].values, rtol=0)
    assert str(curve.flux.unit) == "electron / s"
    # Without corrections its own choice of column holds nothing.
    assert lightkurve.read(str(path)).flux.mask.all()
