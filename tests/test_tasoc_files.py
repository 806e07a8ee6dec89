"""Claims about light curves as TASOC files."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from sector import make_every_method

import tasoc_kit as tk
from tasoc_kit import store
from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError, StoreError
from tasoc_kit.exports.family import Family, open_family
from tasoc_kit.exports.tasoc_cards import object_cards, primary_cards, time_cards
from tasoc_kit.exports.tasoc_files import file_name, render, tasoc_quality, write_tasoc_files
from tasoc_kit.photometry.conditions.spacecraft import star_time
from tasoc_kit.photometry.pointing import motion_at
from tasoc_kit.photometry.psfs.psf_scene import scene_of
from tasoc_kit.photometry.skies.sky_pixels import sky_pixels
from tasoc_kit.storage.units import ProductRef
from tasoc_kit.vocabulary import KitQuality, Method, Status

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


UNITS = {
    "TIME": "BJD - 2457000, days", "TIMECORR": "d", "CADENCENO": None, "FLUX_RAW": "e-/s",
    "FLUX_RAW_ERR": "e-/s", "FLUX_BKG": "e-/s", "FLUX_CORR": "ppm", "FLUX_CORR_ERR": "ppm", "QUALITY": None,
    "PIXEL_QUALITY": None, "MOM_CENTR1": "pixels", "MOM_CENTR2": "pixels", "POS_CORR1": "pixels",
    "POS_CORR2": "pixels",
}  # fmt: skip
KEYWORDS = {
    "PRIMARY": (
        "PROCVER FILEVER DATA_REL VERSION PHOTMET TICID RA_OBJ DEC_OBJ PMRA PMDEC PMTOTAL TESSMAG TEFF "
        "TICVER CRMITEN CRBLKSZ CRSPOC DATAVAL AP_CONT KP_THRES KP_MIPIX KP_MICLS KP_CLSRA KP_WS KP_WSBLR "
        "KP_WSTHR KP_WSFOT KP_EX"
    ),
    "LIGHTCURVE": (
        "TSTART TSTOP TELAPSE LIVETIME DEADC EXPOSURE XPOSURE TIMEDEL INT_TIME READTIME FRAMETIM NUM_FRM "
        "NREADOUT"
    ),
}
"""Of TASOC's files, version 1.5."""


def test_columns_units_and_keywords_are_those_of_tasoc(sector, ref, tmp_path):
    (tic,) = brightest(sector, 1)
    write_tasoc_files(ref, tmp_path, tics=[tic])
    (path,) = tmp_path.rglob("*.fits.gz")
    hdus = read(path)
    table = hdus["LIGHTCURVE"]
    assert {column.name: column.unit for column in table.columns} == UNITS
    for name, keywords in KEYWORDS.items():
        assert [key for key in keywords.split() if key not in hdus[name].header] == []
    assert (hdus[0].header["FILEVER"], table.header["READTIME"], table.header["FRAMETIM"]) == ("1.5", 0.02, 2)
    star = sector.light_curves.isel(star=int(np.flatnonzero(sector.light_curves["tic"].values == tic)[0]))
    row, column = motion_at(
        sector.pointing, *(star[f"star_{axis}"].values[None] for axis in ("row", "column"))
    )
    np.testing.assert_allclose(table.data["POS_CORR1"], column[:, 0])
    np.testing.assert_allclose(table.data["POS_CORR2"], row[:, 0])
    assert np.abs(row - column).max() > 1e-3


def test_the_place_of_a_star_is_stated_for_the_year_2000_with_its_motion(sector, ref):
    family, star = open_family(ref), 3
    stars = family.parents["stars"]
    for name, motion in (("pmra", 3000.0), ("pmdec", 4000.0)):
        stars[name] = ("star", np.full(stars.sizes["star"], motion))
    said = {key: value for key, value, _ in object_cards(family, star, Method.APERTURE, 0.1)}
    assert (said["PMTOTAL"], said["AP_CONT"], said["PSF_CONT"]) == (5000.0, 0.1, None)
    years = (2457000 + float(sector.cube["time"].mean()) - 2451545) / 365.25
    ra, dec = (float(sector.light_curves[name][star]) for name in ("ra", "dec"))
    assert dec - said["DEC_OBJ"] == pytest.approx(4.0 / 3600 * years, rel=1e-3)
    assert (ra - said["RA_OBJ"]) * np.cos(np.radians(dec)) == pytest.approx(3.0 / 3600 * years, rel=1e-3)


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


def test_what_goes_wrong_in_one_process_ends_the_others_and_leaves_no_part(sector, ref, tmp_path):
    (tmp_path / "c1800").write_text("a file where the folder should be")
    everybody = sector.light_curves["tic"].values[:100].tolist()
    with pytest.raises(StoreError, match="cannot be written"):
        write_tasoc_files(ref, tmp_path, tics=everybody, workers=2)
    assert [path.name for path in tmp_path.rglob("*")] == ["c1800"]


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


@pytest.fixture(scope="module")
def every_method(sector, tmp_path_factory):
    """Products of stars that halo, PSF and apertures serve, each made by its step, and their store."""
    # The second halo shows that weights are those of their star.
    made = make_every_method(sector)
    made.store = str(tmp_path_factory.mktemp("methods") / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASOC_STORE", made.store)
        settings.cache_clear()
        for name in (*PRODUCTS, "stream", "psf", "psf_light_curves", "halo_light_curves"):
            store.write_product(getattr(made, name))
    settings.cache_clear()
    return made


@pytest.fixture
def methods(every_method, monkeypatch):
    monkeypatch.setenv("TASOC_STORE", every_method.store)
    settings.cache_clear()
    return every_method


def export(made: SimpleNamespace, tmp_path: Path, star: int, **options: object) -> fits.HDUList:
    tic = int(made.light_curves["tic"][star])
    write_tasoc_files(store.find_product("light_curves"), tmp_path, tics=[tic], **options)
    return read(next(iter(tmp_path.rglob(f"*{tic:011d}*.fits.gz"))))


def test_each_star_has_the_series_of_the_method_that_serves_it(methods):
    made, family = methods, open_family(store.find_product("light_curves"))
    stars = np.array([0, 2, *made.faint])
    assert made.apertures["method"].values[stars].tolist() == [3, 1, 2, 2]
    series = family.read(stars)
    assert series["method"].values.tolist() == [3, 1, 2, 2]
    served = [made.halo_light_curves, made.light_curves, *2 * [made.psf_light_curves]]
    for row, (product, star) in enumerate(zip(served, stars, strict=True)):
        for name in ("flux", "flux_err", "background", "pixel_quality"):
            np.testing.assert_array_equal(series[name].values[row], product[name].values[star], err_msg=name)
    assert np.isnan(series["centroid_row"].values[[0, 2, 3]]).all()
    forced = family.read(stars, Method.HALO)
    assert np.isfinite(forced["flux"].values).any(axis=1).tolist() == [True, False, False, False]


def test_a_star_that_its_method_could_not_measure_keeps_the_flux_of_its_aperture(methods):
    family = open_family(store.find_product("light_curves"))
    halo = family.beside[Method.HALO]
    failed = halo.assign_coords(status=("star", np.array([Status.ERROR, Status.WARNING], np.int8)))
    again = Family(family.light_curves, family.parents, {**family.beside, Method.HALO: failed}, family.psf)
    assert family.method[:3].tolist() == [3, 3, 1]
    assert again.method[:3].tolist() == [1, 3, 1]


def test_stars_without_a_number_are_matched_by_their_place(methods):
    family = open_family(store.find_product("light_curves"))
    unnamed = [curves.copy() for curves in (family.light_curves, family.beside[Method.HALO])]
    for curves in unnamed:
        curves["tic"] = curves["tic"] * 0
    again = Family(unnamed[0], family.parents, {**family.beside, Method.HALO: unnamed[1]}, family.psf)
    np.testing.assert_array_equal(again.method, family.method)


def test_one_star_takes_the_method_that_serves_it(methods):
    for star, product in ((0, "halo"), (int(methods.faint[0]), "psf"), (2, "aperture")):
        curve = tk.star(int(methods.light_curves["tic"][star]), normalise=False)
        name = "light_curves" if product == "aperture" else f"{product}_light_curves"
        place = star if product != "halo" else 0
        assert curve.sectors["method"].tolist() == [product]
        np.testing.assert_array_equal(curve.curve["flux"], getattr(methods, name)["flux"].values[place])


def test_the_file_of_a_halo_has_its_weights_and_settings(methods, tmp_path):
    halo = methods.halo_light_curves
    hdus = export(methods, tmp_path, 1)
    assert [hdu.name for hdu in hdus] == ["PRIMARY", "LIGHTCURVE", "SUMIMAGE", "APERTURE", "WEIGHTMAP"]
    head = hdus[0].header
    assert (head["NEXTEND"], head["PHOTMET"], head["PROVID"]) == (4, "halo", halo.attrs["provenance_id"])
    assert (head["HALO_OBJ"], head["HALO_SCL"], head["HALO_THR"], head["HALO_PRT"]) == ("tv", False, 7e4, 40)
    assert {f"HALO_{name}" for name in ("VER", "MXI", "MFL")} <= set(head)
    table, bits = hdus["WEIGHTMAP"], hdus["APERTURE"].data
    assert table.columns.names == ["CADENCENO1", "CADENCENO2", "SAT_PIXELS", "WEIGHTMAP"]
    number = halo["cadenceno"].values
    assert (table.data["CADENCENO1"].tolist(), table.data["CADENCENO2"].tolist()) == (
        [number[0]],
        [number[-1]],
    )
    shown = table.data["WEIGHTMAP"]
    assert shown.shape == (halo.sizes["segment"], *bits.shape)
    assert shown.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(shown[0] > 0, (bits & 2) > 0)
    assert not (bits & 8).any()
    # By its place on the CCD, every weight is that of the product.
    corner = [hdus["APERTURE"].header[f"CRVAL{k}P"] - 1 for k in (2, 1)]
    mine = halo["stamp_star"].values == 1
    row, column = (
        halo[f"stamp_{axis}"].values[mine] - first
        for axis, first in zip(("row", "column"), corner, strict=True)
    )
    np.testing.assert_array_equal(shown[0][row, column], halo["halo_weight"].values[0, mine])
    image = hdus["SUMIMAGE"].data
    assert table.data["SAT_PIXELS"].tolist() == [(image > 7e4).sum()]
    np.testing.assert_array_equal(hdus["LIGHTCURVE"].data["FLUX_RAW"], halo["flux"].values[1])


def test_the_file_of_psf_photometry_says_what_share_of_its_light_is_of_others(methods, tmp_path):
    made, (star, _) = methods, methods.faint
    hdus = export(made, tmp_path, star)
    head = hdus[0].header
    assert (head["PHOTMET"], head["PROVID"]) == ("linpsf", made.psf_light_curves.attrs["provenance_id"])
    assert head["AP_CONT"] is None
    # The same by drawing the stars: the weighed light with the star, and without it.
    scene = scene_of(made.psf, made.reference)
    unknown = int(np.flatnonzero(scene.star == star)[0])
    shape, top, left = made.reference["reference"].shape, scene.top[unknown], scene.left[unknown]
    light = []
    for flux in (scene.expected, np.where(np.arange(scene.star.size) == unknown, 0, scene.expected)):
        cut = scene.draw(flux, shape)[0][top : top + 8, left : left + 8]
        light.append(float((scene.weight[unknown] * cut).sum()))
    assert head["PSF_CONT"] == pytest.approx(light[1] / light[0], rel=0.02, abs=1e-3)
    bits = hdus["APERTURE"].data
    assert ((bits & 2) > 0).sum() == (scene.weight[unknown] > 0).sum()
    assert not (bits & 8).any()


def test_settings_of_the_halo_stay_with_its_star(methods, tmp_path):
    family = open_family(store.find_product("light_curves"))
    stars = np.array([0, 2])
    files = dict(render(family, family.read(stars), stars, 1))
    heads = [
        fits.Header.fromstring(gzip.decompress(content)[: 3 * 2880].decode()) for content in files.values()
    ]
    assert ["HALO_VER" in head for head in heads] == [True, False]


def test_a_file_follows_the_product_of_its_own_method(methods, tmp_path):
    ref = store.find_product("light_curves")
    tics = [int(methods.light_curves["tic"][star]) for star in (0, 2)]
    write_tasoc_files(ref, tmp_path, tics=tics)
    for path in tmp_path.rglob(f"*{tics[0]:011d}*"):
        # As an export before halo photometry was run would have left it.
        hdus = read(path)
        hdus[0].header["PROVID"] = methods.light_curves.attrs["provenance_id"]
        hdus.writeto(path, overwrite=True)
    with pytest.raises(StoreError, match=methods.halo_light_curves.attrs["provenance_id"]):
        write_tasoc_files(ref, tmp_path, tics=tics)
    again = write_tasoc_files(ref, tmp_path, tics=tics, overwrite=True)
    assert (again.made, again.kept) == (1, 1)


def test_the_pixels_of_the_sky_are_those_that_were_used(methods, tmp_path):
    made = methods
    by_mask, used = (export(made, tmp_path / str(cube is None), 2, cube=cube) for cube in (None, made.cube))
    assert [hdus["APERTURE"].header["SKYUSED"] for hdus in (by_mask, used)] == [False, True]
    head, bits = used["APERTURE"].header, used["APERTURE"].data
    share = sky_pixels(made.cube, made.reference, made.stream)
    corner = {name: head[f"CRVAL{k}P"] - 1 for k, name in ((2, "row"), (1, "column"))}
    size = dict(zip(("row", "column"), bits.shape, strict=True))
    cut = share.sel({name: slice(first, first + size[name] - 1) for name, first in corner.items()})
    np.testing.assert_array_equal((bits & 4) > 0, cut.values >= 0.5)
    masked = by_mask["APERTURE"].data
    np.testing.assert_array_equal(bits & ~4, masked & ~4)
    # The pass takes the stars out first, so that sky is seen where a mask sees their wings.
    assert ((bits & 4) > 0).sum() > ((masked & 4) > 0).sum()
    other = made.cube.assign_attrs(provenance_id="0123456789ab")
    with pytest.raises(SourceError, match="0123456789ab.*expected those that the pipeline ran on"):
        export(made, tmp_path / "other", 2, cube=other)


def test_headers_say_what_the_frames_and_the_catalogue_say(sector, ref):
    family = open_family(ref)
    assert (sector.cube.attrs["cosmic_block"], sector.cube.attrs["cosmic_cleaned"]) == (10, 0)
    family.light_curves.attrs |= {"cosmic_block": 8, "cosmic_cleaned": 1}
    family.parents["stars"].attrs["catalogue"] = "TESS Input Catalog 8.2 (Paegert+ 2021), VizieR IV/39"
    said = {key: value for key, value, _ in primary_cards(family, 1)}
    assert (said["CRMITEN"], said["CRBLKSZ"], said["CRSPOC"], said["TICVER"]) == (True, 8, True, "8.2")
    family.light_curves.attrs["cosmic_block"] = 0
    said = {key: value for key, value, _ in primary_cards(family, 1)}
    assert (said["CRMITEN"], said["CRBLKSZ"], said["DATAVAL"]) == (False, None, 0)


def test_the_time_of_200_second_frames_is_counted_right():
    time = 2900.0 + 200 / 86400 * np.arange(5)
    said = {key: value for key, value, _ in time_cards(time, {"cadence": 200.0, "exposure": 158.4})}
    assert (said["NUM_FRM"], said["NREADOUT"], said["INT_TIME"]) == (100, 80, 1.98)
    assert said["TIMEDEL"] == pytest.approx(200 / 86400)
    assert (said["DEADC"], said["XPOSURE"]) == pytest.approx((0.792, 158.4))
    assert said["EXPOSURE"] == pytest.approx(5 * 158.4 / 86400)


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
