"""Light curves of other pipelines: the file's own numbers in our names, stacked by cadence number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import tasoc_kit as tk
from tasoc_kit import catalog
from tasoc_kit.corrections.filtered_light_curves import make_filtered_light_curves
from tasoc_kit.dashboards.products import name_of
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.store import list_products
from tasoc_kit.vocabulary import KitQuality, TessQuality

PI_MEN = "lightcurves/tess2018206045859-s0001-0000000261136679-0120-s_lc.fits"
WASP = "lightcurves/hlsp_tess-data-alerts_tess_phot_00025155310-s01_tess_v1_lc.fits"
SPOC_FFI = "lightcurves/hlsp_tess-spoc_tess_phot_0000000022876651-s0058_tess_v1_lc.fits"
KEPLER = "lightcurves/kplr009726699-2009350155506_llc.fits"
TGLC = "lightcurves/hlsp_tglc_tess_ffi_gaiaid-5707485527450614656-s0034-cam2-ccd3_tess_v1_llc.fits"
CDIPS = "lightcurves/hlsp_cdips_tess_ffi_gaiatwo000{}-0006_tess_v01_llc.fits"
TEXT = "lightcurves/kic11618103_LC.txt"
LOST = int(KitQuality.NO_DATA)
APART = int(KitQuality.FLAGGED_BAD_DATA)


def table_of(path: Path) -> Any:
    with fits.open(path, memmap=False) as hdus:
        return hdus[1].data


def write_spoc(
    path: Path, *, tic: int = 7, rows: slice = slice(0, 50), cadence: float = 120, **changes: Any
) -> Path:
    """Write a small file of SPOC; changes are cards in capitals, or columns (None leaves one out)."""
    number = np.arange(1000, 1060)[rows]
    flux = 100.0 * tic + number
    columns = {
        "TIME": 1500 + number * cadence / 86400 + 1e-4 * tic,
        "CADENCENO": number,
        "SAP_FLUX": flux,
        "SAP_FLUX_ERR": np.sqrt(flux),
        "PDCSAP_FLUX": flux + 1,
        "PDCSAP_FLUX_ERR": np.sqrt(flux),
        "QUALITY": np.where(number == 1020, int(TessQuality.DESAT), 0),
    }
    columns |= {name.upper(): values for name, values in changes.items() if not name.isupper()}
    made = [
        fits.Column(name, "J" if name in ("CADENCENO", "QUALITY") else "D", array=values)
        for name, values in columns.items()
        if values is not None
    ]
    head = fits.Header(
        {"ORIGIN": "NASA/Ames", "TELESCOP": "TESS", "SECTOR": 3, "CAMERA": 1, "CCD": 2, "TICID": tic}
        | {"OBJECT": f"TIC {tic}", "RA_OBJ": 10.0, "DEC_OBJ": 20.0, "TESSMAG": 10.0}
        | {name: value for name, value in changes.items() if name.isupper()}
    )
    told = {"BJDREFI": 2457000, "BJDREFF": 0.0, "TIMEDEL": cadence / 86400, "INT_TIME": 1.98, "NUM_FRM": 60}
    table = fits.BinTableHDU.from_columns(made, header=fits.Header(told))
    fits.HDUList([fits.PrimaryHDU(header=head), table]).writeto(path, overwrite=True)
    return path


@pytest.mark.parametrize(
    ("name", "column", "family"),
    [
        (PI_MEN, "PDCSAP_FLUX", "spoc"),
        (SPOC_FFI, "SAP_FLUX", "tess-spoc"),
        (TGLC, "aperture_flux", "tglc"),
        (KEPLER, "PDCSAP_FLUX", "kepler"),
    ],
)
def test_a_real_file_keeps_its_numbers(shared_data, name, column, family):
    path = shared_data(name)
    opened, table = tk.open_light_curve_files(path, column), table_of(path)
    assert (opened.attrs["family"], opened.attrs["flux_column"]) == (family, column)
    assert opened["flux"].attrs["units"] == "electron / s"
    assert opened["flux"].dtype == opened["flux_err"].dtype == np.float32
    np.testing.assert_array_equal(opened["flux"][0], np.asarray(table[column], np.float32))
    np.testing.assert_array_equal(opened["flux_err"][0], np.asarray(table[f"{column}_err"], np.float32))
    no_value = ~np.isfinite(opened["flux"][0].values)
    np.testing.assert_array_equal((opened["pixel_quality"][0] & LOST) != 0, no_value)
    assert (np.diff(opened["time"]) > 0).all()
    assert (np.diff(opened["cadenceno"]) >= 1).all()


def test_times_of_a_target_lose_the_known_error_and_gaps_are_filled_by_number(shared_data):
    opened, table = tk.open_light_curve_files(shared_data(WASP)), table_of(shared_data(WASP))
    known = np.isfinite(table["TIME"])
    off = 86400 * (opened["time"].values - table["TIME"])[known]
    np.testing.assert_allclose(off, -1.979, atol=1e-4)
    assert "known error" in opened.attrs["time_stamps"]
    np.testing.assert_array_equal((opened["frame_quality"] & LOST) != 0, ~known)
    np.testing.assert_array_equal(opened["quality"], table["QUALITY"])
    np.testing.assert_array_equal(opened["source_quality"][0], table["QUALITY"])
    assert (opened.attrs["exposure"], opened.attrs["cadence"]) == (95.04, 120.0)


@pytest.mark.parametrize(("cadence", "shift"), [(120, -1.979), (1800, 0.0)])
def test_only_targets_of_the_mission_have_the_known_error(tmp_path, cadence, shift):
    early = {"DATA_REL": 14, "PROCVER": "spoc-3.3.57-20190215"}
    opened = tk.open_light_curve_files(write_spoc(tmp_path / "a.fits", cadence=cadence, **early))
    stated = table_of(tmp_path / "a.fits")["TIME"]
    assert opened.attrs["family"] == ("spoc" if cadence == 120 else "tess-spoc")
    np.testing.assert_allclose(86400 * (opened["time"].values - stated), shift, atol=1e-4)


def test_bits_of_kepler_are_kept_and_only_those_that_mean_the_same_become_those_of_tess(shared_data):
    opened, table = tk.open_light_curve_files(shared_data(KEPLER)), table_of(shared_data(KEPLER))
    own, bits = table["SAP_QUALITY"], opened["quality"].values
    np.testing.assert_array_equal(opened["source_quality"][0], own)
    assert opened.attrs["source_bits"] == "Kepler"
    for theirs, ours in (
        (32, TessQuality.DESAT),
        (4, TessQuality.COARSE_POINT),
        (8, TessQuality.EARTH_POINT),
    ):
        np.testing.assert_array_equal((bits & int(ours)) != 0, (own & theirs) != 0)
        assert ((own & theirs) != 0).any()
    # 128 is a cosmic ray that was taken out, 64 one in TESS that was not: no cadence is lost by it.
    cosmic = own == 128
    assert cosmic.sum() > 500
    assert not bits[cosmic].any()
    assert not opened["pixel_quality"][0].values[cosmic & np.isfinite(table["PDCSAP_FLUX"])].any()
    np.testing.assert_allclose(
        opened["time"][np.isfinite(table["TIME"])], table["TIME"][np.isfinite(table["TIME"])] - 2167.0
    )
    assert opened["object"].values.tolist() == ["KIC 9726699"]
    assert opened["tic"].values.tolist() == [0]


def test_tglc_has_numbers_by_the_law_and_relative_columns_get_their_level_back(shared_data):
    path = shared_data(TGLC)
    opened, table = tk.open_light_curve_files(path, "cal_psf_flux"), table_of(path)
    numbers = opened["cadenceno"].values
    steps = np.diff(table["time"]) / (600 / 86400)
    np.testing.assert_allclose(np.diff(numbers), steps, atol=0.02)
    level = np.median(table["psf_flux"])
    np.testing.assert_allclose(opened["flux"][0], level * table["cal_psf_flux"], rtol=1e-6)
    assert opened.attrs["level"] == "the median of psf_flux"
    np.testing.assert_array_equal((opened["pixel_quality"][0] & APART) != 0, table["TGLC_flags"] != 0)


def test_magnitudes_of_cdips_become_fluxes_at_the_level_of_the_star(shared_data):
    paths = [shared_data(CDIPS.format(name)) for name in ("3007171311355035136", "4827527233363019776")]
    opened, tables = tk.open_light_curve_files(paths, "TFA1"), [table_of(path) for path in paths]
    assert dict(opened.sizes) == {"star": 2, "time": 985}
    assert "camera" not in opened.attrs  # of two cameras
    for k, table in enumerate(tables):
        flux, tmag = opened["flux"][k].values, float(opened["tmag"][k])
        np.testing.assert_allclose(
            -2.5 * np.log10(flux / np.median(flux)), table["TFA1"] - np.median(table["TFA1"]), atol=2e-7
        )
        assert np.median(flux) == pytest.approx(10 ** (-0.4 * (tmag - ZERO_POINT)), rel=1e-5)
        share = opened["flux_err"][k] / opened["flux"][k]
        np.testing.assert_allclose(share, 0.4 * np.log(10) * table["IRE1"], rtol=1e-5)
    own = np.array([table["TMID_BJD"] - 2457000 for table in tables])
    np.testing.assert_allclose(opened["time"], own.mean(axis=0), atol=1e-9)
    assert opened.attrs["time_spread"] == pytest.approx(86400 * np.ptp(own, axis=0).max(), abs=0.01)
    assert "source_quality" not in opened


def test_a_text_file_stays_relative(shared_data):
    opened = tk.open_light_curve_files(shared_data(TEXT))
    assert opened["flux"].attrs["units"] == ""
    assert np.median(opened["flux"].values) == pytest.approx(1, abs=1e-3)
    assert opened.attrs["cadence"] == pytest.approx(1765.5, abs=0.1)
    assert opened["cadenceno"][-1] > opened.sizes["time"]  # it has gaps


def test_numbers_of_a_text_file_count_gaps_and_no_drift_of_the_barycentre(tmp_path):
    number = np.concatenate([np.arange(0, 4000), np.arange(4300, 8700), np.arange(8701, 17500)])
    # In half a year the Earth comes nearer by 998 s, more than half a cadence.
    time = number * 1800 / 86400
    time += 499 * np.cos(2 * np.pi * time / 365.25) / 86400
    np.savetxt(tmp_path / "a.txt", np.column_stack([time, np.ones(time.size)]), fmt="%.9f")
    opened = tk.open_light_curve_files(tmp_path / "a.txt")
    np.testing.assert_array_equal(opened["cadenceno"], number)


def test_oscillations_of_a_text_file_are_those_that_are_known(shared_data):
    spectra = tk.make_spectra(tk.open_light_curve_files(shared_data(TEXT)))
    assert spectra.attrs["nyquist"] == pytest.approx(283.2, abs=0.1)
    found = tk.measure_oscillations(spectra)
    # About 106 and 9.4 µHz (Chontos+ 2022, JOSS 7 3331).
    assert float(found["numax"][0]) == pytest.approx(106, abs=3)
    assert float(found["dnu"][0]) == pytest.approx(9.4, abs=0.1)
    assert found["object"].values.tolist() == ["kic11618103_LC"]


def test_the_filter_keeps_the_transits_of_pi_mensae(shared_data):
    opened = catalog.open_entry("light_curves.local", files=str(shared_data(PI_MEN)), column="SAP_FLUX")
    filtered = make_filtered_light_curves(opened, transits="261136679:6.2679")
    good = (filtered["pixel_quality"][0].values == 0) & (opened["quality"].values == 0)
    flux = 1e6 * (filtered["flux_corr"][0].values / np.nanmedian(filtered["flux_corr"][0].values) - 1)
    phase = (opened["time"].values - 1325.504 + 0.5 * 6.2679) % 6.2679 - 0.5 * 6.2679
    inside, outside = np.abs(phase) < 0.04, (np.abs(phase) > 0.12) & (np.abs(phase) < 0.5)
    depth = np.nanmedian(flux[good & outside]) - np.nanmedian(flux[good & inside])
    assert 200 < depth < 400  # about 300 ppm (Huang+ 2018)
    assert filtered.attrs["sector"] == 1


def test_files_stand_on_the_union_of_their_cadences_and_are_read_when_asked_for(tmp_path, forbid_compute):
    write_spoc(tmp_path / "a.fits", tic=7, rows=slice(0, 30))
    bits = np.where(np.arange(20, 60) == 45, int(TessQuality.DESAT), 0)
    write_spoc(tmp_path / "b.fits", tic=8, rows=slice(20, 60), quality=bits)
    opened = tk.open_light_curve_files(tmp_path)
    assert opened["flux"].shape == (2, 60)
    assert opened["tic"].values.tolist() == [7, 8]
    # Only the first says of cadence 1020 that it is a momentum dump; the other does not have 1000 to 1019.
    assert np.flatnonzero(opened["quality"]).tolist() == [45]
    assert opened.attrs["time_spread"] == pytest.approx(8.64, abs=1e-3)
    assert opened["flux"].chunks is not None


def test_what_one_file_lacks_is_missing_and_what_it_sets_apart_is_told(tmp_path):
    write_spoc(tmp_path / "a.fits", tic=7, rows=slice(0, 30))
    write_spoc(tmp_path / "b.fits", tic=8, rows=slice(20, 60), quality=np.zeros(40, int))
    opened = tk.open_light_curve_files(str(tmp_path / "*.fits"), "SAP_FLUX").compute()
    number = np.arange(1000, 1060)
    np.testing.assert_array_equal(opened["flux"][0, :30], 700.0 + number[:30])
    assert opened["flux"][0, 30:].isnull().all()
    assert opened["flux"][1, :20].isnull().all()
    np.testing.assert_array_equal(opened["flux"][1, 20:], 800.0 + number[20:])
    ours = opened["pixel_quality"].values
    assert ours[0].tolist() == [0] * 20 + [APART] + [0] * 9 + [LOST] * 30
    assert ours[1].tolist() == [LOST] * 20 + [0] * 40
    assert opened["source_quality"][0, 20] == TessQuality.DESAT


def test_what_is_made_of_files_leaves_the_products_of_the_ccd_open(tmp_path):
    curves = tk.open_light_curve_files(write_spoc(tmp_path / "a.fits"))
    spectra = tk.make_spectra(curves)
    of_the_ccd = spectra.assign_attrs(field="", provenance_id="0123456789ab")
    tk.write_product(of_the_ccd)
    tk.write_product(spectra)
    tk.write_product(curves)
    place = {"sector": 3, "camera": 1, "ccd": 2}
    assert tk.open_product("spectra", **place).attrs["provenance_id"] == "0123456789ab"
    field = curves.attrs["field"]
    assert tk.open_product("spectra", field=field).attrs["provenance_id"] == spectra.attrs["provenance_id"]
    # Light curves as they were opened lack what the pages and exports of our own go by.
    assert set(list_products()["product"]) == {"spectra", "light_curve_files"}


@pytest.mark.parametrize(
    ("names", "unit", "title"),
    [
        ([KEPLER], "s0000-kepler_9c1802068aa3", "field kepler_9c1802068aa3"),
        ([TEXT], "s0000-text_df282cfee6a8", "field text_df282cfee6a8"),
        (
            [CDIPS.format(3007171311355035136), CDIPS.format(4827527233363019776)],
            "s0006-cdips_4330114952ab",
            "Sector 6 · field cdips_4330114952ab",
        ),
    ],
)
def test_files_of_no_sector_or_of_several_cameras_are_written_too(shared_data, names, unit, title):
    opened = tk.open_light_curve_files([shared_data(name) for name in names])
    tk.write_product(opened)
    assert list_products("light_curve_files")["unit"].tolist() == [unit]
    assert name_of(unit) == title
    again = tk.open_product("light_curve_files", field=opened.attrs["field"])
    np.testing.assert_array_equal(again["flux"], opened["flux"])


def test_quarters_of_kepler_do_not_belong_together(shared_data, tmp_path):
    with fits.open(shared_data(KEPLER)) as hdus:
        hdus[0].header["QUARTER"] = 4
        hdus.writeto(tmp_path / "quarter.fits")
    with pytest.raises(SourceError, match=r"its quarter is \d, that of .*fits \d.*Open the sectors one by"):
        tk.open_light_curve_files([shared_data(KEPLER), tmp_path / "quarter.fits"])


def test_the_id_is_that_of_the_files_and_the_column(tmp_path):
    first = write_spoc(tmp_path / "a.fits")
    (tmp_path / "elsewhere").mkdir()
    copied = write_spoc(tmp_path / "elsewhere" / "a.fits")
    identities = [
        tk.open_light_curve_files(*asked).attrs["provenance_id"]
        for asked in ((first,), (first, "PDCSAP_FLUX"), (copied,), (first, "SAP_FLUX"))
    ]
    assert identities[0] == identities[1] == identities[2] != identities[3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ORIGIN": "MIT/QLP"}, r"a table of 'MIT/QLP' is of no family.*Expected one of spoc"),
        ({"quality": None}, "its table has no QUALITY.*Fetch it again"),
        ({"pdcsap_flux": None}, "its table has no PDCSAP_FLUX"),
        ({"pdcsap_flux": np.full(50, np.nan)}, "PDCSAP_FLUX has no finite value in 50 cadences.*another"),
        ({"time": np.full(50, np.nan)}, "no finite value in 50 cadences"),
        ({"cadenceno": np.full(50, 3)}, "a cadence number stands twice"),
    ],
)
def test_a_file_that_is_no_light_curve_is_refused(tmp_path, changes, message):
    with pytest.raises(SourceError, match=message):
        tk.open_light_curve_files(write_spoc(tmp_path / "a.fits", **changes))


@pytest.mark.parametrize("kept", [-2000, -2880, -4000, 3000, 1000, 0])
def test_a_truncated_file_is_refused(tmp_path, kept):
    whole = write_spoc(tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(whole[:kept])
    with pytest.raises(SourceError, match=r"a\.fits: no light curve can be read"):
        tk.open_light_curve_files(tmp_path / "a.fits")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("0 1\n1\n", "no light curve can be read"),
        ("0 1\n0 1\n", "days rising"),
        ("0 1 1\n1 1 1\n", "2 rows of 3"),
        ("0 one\n1 two\n", "no light curve can be read"),
        ("0 nan\n1 nan\n", "flux has no finite value"),
    ],
)
def test_a_text_that_is_no_light_curve_is_refused(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        tk.open_light_curve_files(tmp_path / "a.txt")


def test_what_does_not_belong_together_is_refused(tmp_path):
    a = write_spoc(tmp_path / "a.fits")
    (tmp_path / "b.txt").write_text("0 1\n1 1\n2 1\n")
    for other, message in (
        (write_spoc(tmp_path / "b.fits", tic=8, SECTOR=4), "its sector is 4, that of a.fits 3"),
        (tmp_path / "b.txt", "its family is 'text', that of a.fits 'spoc'"),
        (write_spoc(tmp_path / "c.fits"), "TIC 7 is also in .*a.fits.*Leave one"),
    ):
        with pytest.raises(SourceError, match=message):
            tk.open_light_curve_files([a, other])


def test_a_place_or_column_that_does_not_exist_is_told(tmp_path):
    path = write_spoc(tmp_path / "a.fits")
    with pytest.raises(SourceError, match=r"column='PDCSAP'.*did you mean 'PDCSAP_FLUX'"):
        tk.open_light_curve_files(path, "PDCSAP")
    for absent in (tmp_path / "absent.fits", tmp_path / "*.nothing", "../../no/such/folder"):
        with pytest.raises(SourceError, match="there is no light-curve file.*Check the path"):
            tk.open_light_curve_files(absent)
    (tmp_path / "a.csv").write_text("0,1\n")
    with pytest.raises(SourceError, match="Expected a name that ends in .fits"):
        tk.open_light_curve_files(tmp_path / "a.csv")
