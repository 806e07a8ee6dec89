"""Validation: bits that are provoked one by one, a zero point that is found again, verdicts that flip."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from astropy.coordinates import SkyCoord
from validated_ccd import make_stars, make_tables

from tasoc_kit import cli, store
from tasoc_kit.dashboards.validation import ValidationView
from tasoc_kit.errors import NotebookError, SourceError, StepInputError, StoreError
from tasoc_kit.exports.validation_page import validation_markup, write_validation
from tasoc_kit.numerics import validation_limits as limits
from tasoc_kit.numerics.noise import expected_noise
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.pipeline.inputs import open_inputs, open_unit
from tasoc_kit.pipeline.plan import check_start, load_pipelines, make_plan
from tasoc_kit.plots.validation import (
    FIGURES,
    noise_by_magnitude,
    overlap_table,
    validation_source,
    validation_table,
)
from tasoc_kit.provenance import Record, stamp
from tasoc_kit.sources.neighbours import read_neighbours
from tasoc_kit.validation.overlap import compare_overlap
from tasoc_kit.validation.validation import fit_zero_point, make_validation
from tasoc_kit.vocabulary import ApertureFlag, Dataval, Method, Status, Verdict, flag_names

STAR = 7
"""The star that a test spoils; at Tmag 9."""
OF_TASOC = (
    "MagVsFluxHigh MagVsFluxLow FluxFFIOverTPF FluxTPFOverFFI MinimalMask SmallMask LargeMask SmallStamp "
    "LowPTP LowRMS InvalidContamination ContaminationHigh InvalidFlux InvalidNoise"
)


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def make_ccd(stars: int = 200, *, seed: int = 1, **looks: float) -> SimpleNamespace:
    curves = make_stars(stars, seed=seed)
    if stars > STAR:
        curves["tmag"].values[STAR] = 9.0
    return make_tables(curves, **looks)


def validate(ccd: SimpleNamespace, neighbours: xr.Dataset | None = None) -> xr.Dataset:
    return make_validation(ccd.light_curves, ccd.diagnostics, ccd.corrections, neighbours)


def said(validation: xr.Dataset) -> dict[str, Verdict]:
    names = (str(name) for name in validation["check"].values)
    return {name: Verdict(int(v)) for name, v in zip(names, validation["check_verdict"].values, strict=True)}


def worse(validation: xr.Dataset) -> set[str]:
    return {name for name, verdict in said(validation).items() if verdict > Verdict.PASS}


# Stars


def test_the_bits_are_those_of_tasoc_in_their_order():
    names = [name.lower() for name in OF_TASOC.split()]
    assert [flag.name.replace("_", "").lower() for flag in Dataval] == names
    assert [flag.value for flag in Dataval] == [1 << bit for bit in range(14)]
    rejecting = ["SMALL_MASK", "LARGE_MASK", "INVALID_CONTAMINATION", "INVALID_FLUX", "INVALID_NOISE"]
    assert flag_names(int(limits.REJECTING), Dataval) == rejecting


SPOILED = [
    ("mean_flux", 3.0, {"MAG_VS_FLUX_HIGH"}),
    ("mean_flux", 0.2, {"MAG_VS_FLUX_LOW"}),
    ("mean_flux", -1.0, {"MAG_VS_FLUX_LOW", "INVALID_FLUX"}),
    ("rms_hour", 0.5, {"LOW_RMS"}),
    ("rms_hour", np.nan, {"INVALID_NOISE"}),
    ("rms_hour", 0.0, {"INVALID_NOISE"}),
    ("ptp", 0.5, {"LOW_PTP"}),
    ("ptp", np.nan, {"INVALID_NOISE"}),
    ("row_size", 0.3, {"SMALL_MASK"}),
    ("row_size", 3.0, {"LARGE_MASK"}),
]
PUT = [
    ("contamination", 0.6, {"CONTAMINATION_HIGH"}),
    ("contamination", 1.0, {"INVALID_CONTAMINATION"}),
    ("contamination", -0.1, {"INVALID_CONTAMINATION"}),
    ("contamination", np.nan, {"INVALID_CONTAMINATION"}),
    ("aperture_flags", int(ApertureFlag.MINIMUM), {"MINIMAL_MASK"}),
]


@pytest.mark.parametrize(
    ("name", "factor", "value", "bits"),
    [(name, by, None, bits) for name, by, bits in SPOILED]
    + [(name, None, to, bits) for name, to, bits in PUT],
)
def test_a_star_has_the_bit_of_what_is_wrong_with_it_and_no_other_star_has_one(name, factor, value, bits):
    ccd = make_ccd()
    column = ccd.diagnostics[name].values
    column[STAR] = value if factor is None else factor * column[STAR]
    found = validate(ccd)
    assert set(flag_names(int(found["dataval"][STAR]), Dataval)) == bits
    assert int((found["dataval"] != 0).sum()) == 1
    rejected = any(limits.REJECTING & Dataval[bit] for bit in bits)
    assert bool(found["approved"][STAR]) is not rejected
    assert int(found["approved"].sum()) == 200 - rejected


def test_the_limits_along_magnitude_are_the_published_ones():
    tmag = [0, 3.55, 6.8, 8.4, 10, 11, 11.6, 14]
    assert limits.smallest_mask(tmag).tolist() == [30, 30, 26, 22, 15, 8, 4, 4]
    tmag = [2, 4.2, 6.8, 8.4, 10, 11, 12, 14, 15, 18]
    assert limits.largest_mask(tmag).tolist() == [3200, 1200, 470, 200, 130, 100, 86, 59, 50, 50]
    tmag = [0, 1.5, 9, 12.6, 13, 14, 15, 17]
    np.testing.assert_allclose(limits.lowest_flux(tmag), [8e7, 1.8e7, 12500, 250, 59, 5, 1, 1])
    tmag = [2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16]
    shares = [0.1, 0.1, 0.12, 0.2, 0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 0.9]
    np.testing.assert_allclose(limits.high_contamination(tmag), shares)


def test_stars_without_a_light_curve_have_no_bits_and_halo_stars_none_of_an_aperture():
    ccd = make_ccd()
    table = ccd.diagnostics
    for name in ("mean_flux", "rms_hour", "contamination"):
        table[name].values[:3] = np.nan
    table["status"].values[:3] = (Status.SKIPPED, Status.ERROR, Status.OK)
    table["row_size"].values[3], table["method"].values[3] = 5000, Method.HALO
    table["status"].values[4] = Status.WARNING
    found = validate(ccd)
    assert found["dataval"].values[[0, 1, 3, 4]].tolist() == [0, 0, 0, 0]
    assert found["approved"].values[:5].tolist() == [False, False, False, True, True]


def test_the_noise_is_that_of_the_model_at_the_latitude_of_the_field():
    ccd = make_ccd()
    pole = validate(ccd)
    sky = SkyCoord(ccd.light_curves["ra"].values, ccd.light_curves["dec"].values, unit="deg")
    expected = np.median(sky.barycentricmeanecliptic.lat.deg)
    assert pole.attrs["ecliptic_latitude"] == pytest.approx(expected, abs=0.01)
    tmag, latitude = ccd.light_curves["tmag"].values, pole.attrs["ecliptic_latitude"]
    hour = expected_noise(tmag, seconds=2851.2, ecliptic_latitude=latitude).total
    np.testing.assert_allclose(pole["noise_hour"], 1e-6 * hour, rtol=1e-5)
    curves = ccd.light_curves
    on_the_ecliptic = curves.assign_coords(ra=0 * curves["ra"], dec=0 * curves["dec"])
    bright = make_validation(on_the_ecliptic, ccd.diagnostics, ccd.corrections)
    faint = tmag > 12
    assert (bright["noise_hour"].values[faint] > 1.1 * pole["noise_hour"].values[faint]).all()


@pytest.mark.parametrize("of", ["hour", "cadence"])
def test_the_line_of_the_model_is_what_the_stars_are_held_against(of):
    ccd = make_ccd()
    curves = ccd.light_curves.assign_coords(time=1325 + np.arange(48) * 200 / 86400)
    curves.attrs = {
        name: value for name, value in curves.attrs.items() if name not in ("cadence", "exposure")
    }
    found = make_validation(curves, ccd.diagnostics, ccd.corrections)
    assert found.attrs["cadence"] == pytest.approx(200)
    stars = validation_table(found)
    figure = noise_by_magnitude(found, stars, validation_source(stars), of=of)
    (total,) = (curve for curve in figure if curve.label == "total")
    expected = 1e6 * found["noise_hour" if of == "hour" else "noise_ptp"].values
    expected = expected if of == "hour" else expected * MAD_TO_SIGMA / np.sqrt(2)
    line = np.interp(found["tmag"], total.dimension_values(0), total.dimension_values(1))
    np.testing.assert_allclose(line, expected, rtol=0.01)


def test_the_noise_after_is_that_of_the_correction_that_serves_a_star_best():
    found = validate(make_ccd())
    ratio = (found["rms_hour_best"] / found["rms_hour"]).values
    np.testing.assert_allclose(ratio, np.where(np.arange(200) % 2, 0.98, 1.0), rtol=1e-5)


def test_light_curves_that_nobody_corrected_are_judged_as_they_are():
    ccd = make_ccd()
    found = make_validation(ccd.light_curves, ccd.diagnostics)
    np.testing.assert_array_equal(found["rms_hour_best"], found["rms_hour"])
    not_done = {name for name, verdict in said(found).items() if verdict == Verdict.NOT_DONE}
    assert not_done == {"hour_change", "ptp_change", "overlap_flux", "overlap_noise"}
    assert int(found["verdict"]) == Verdict.PASS


# The CCD


def test_a_ccd_as_the_model_expects_it_passes():
    found = validate(make_ccd())
    not_done = {"overlap_flux", "overlap_noise"}
    assert {name for name, verdict in said(found).items() if verdict == Verdict.NOT_DONE} == not_done
    assert worse(found) == set()
    assert int(found["verdict"]) == Verdict.PASS
    assert found.attrs["reason"] == "All of the 11 checks that could be done are within their limits."


def test_the_zero_point_is_found_again_with_an_error_that_is_true():
    pulls = []
    for seed in range(60):
        ccd = make_ccd(120, seed=seed, zero_point=20.52)
        random = np.random.default_rng(seed)
        others = random.uniform(0, 0.14, 120)
        scatter = 10 ** (0.4 * random.normal(0, 0.05, 120))
        ccd.diagnostics["contamination"].values[:] = others
        ccd.diagnostics["mean_flux"].values[:] *= scatter / (1 - others)
        ccd.diagnostics["mean_flux"].values[:4] *= 3
        found = fit_zero_point(ccd.diagnostics, np.ones(120, bool))
        pulls.append((found.value - 20.52) / found.error)
    assert abs(np.mean(pulls)) < 0.6
    assert 0.7 < np.std(pulls) < 1.4


@pytest.mark.parametrize(
    ("zero_point", "verdict"), [(20.46, Verdict.PASS), (20.38, Verdict.WARN), (20.65, Verdict.FAIL)]
)
def test_a_zero_point_far_from_those_of_other_sectors_is_told(zero_point, verdict):
    found = validate(make_ccd(zero_point=zero_point))
    assert float(found["zero_point"]) == pytest.approx(zero_point, abs=1e-3)
    assert said(found)["zero_point"] == verdict == Verdict(int(found["verdict"]))


def test_magnitudes_that_were_made_with_a_zero_point_do_not_measure_one():
    ccd = make_ccd()
    nameless = ccd.light_curves.assign_coords(tic=0 * ccd.light_curves["tic"])
    found = make_validation(nameless, ccd.diagnostics, ccd.corrections)
    assert np.isnan(found["zero_point"])
    assert said(found)["zero_point"] == Verdict.NOT_DONE
    of_gaia = nameless.assign_coords(gaia=("star", np.arange(1, 201)))
    assert np.isfinite(make_validation(of_gaia, ccd.diagnostics, ccd.corrections)["zero_point"])


@pytest.mark.parametrize(("noise", "verdict"), [(1.1, "PASS"), (2.2, "WARN"), (4.4, "FAIL")])
def test_the_verdict_follows_the_noise(noise, verdict):
    found = validate(make_ccd(noise=noise))
    assert Verdict(int(found["verdict"])).name == verdict
    assert worse(found) == (set() if verdict == "PASS" else {"hour_noise", "ptp_noise"})
    value = float(found["check_value"].sel(check="hour_noise"))
    assert value == pytest.approx(noise, rel=1e-3)
    if verdict != "PASS":
        assert found.attrs["reason"].startswith(f"Noise of one hour is {noise:.2f} times the model")


def test_corrections_that_add_noise_are_told():
    assert worse(validate(make_ccd(change=1.05))) == {"hour_change", "ptp_change"}


def test_failed_stars_count_unless_they_are_off_the_frame():
    ccd = make_ccd()
    ccd.diagnostics["status"].values[:14] = Status.ERROR
    assert said(validate(ccd))["errors"] == Verdict.WARN
    ccd.diagnostics["status"].values[:30] = Status.ERROR
    assert said(validate(ccd))["errors"] == Verdict.FAIL
    ccd.diagnostics["aperture_flags"].values[:30] = ApertureFlag.OUTSIDE
    assert said(validate(ccd))["errors"] == Verdict.PASS


def test_a_star_that_stands_twice_fails_the_ccd():
    ccd = make_ccd()
    ccd.light_curves["tic"].values[3] = ccd.light_curves["tic"].values[4]
    found = validate(ccd)
    assert worse(found) == {"duplicates"}
    assert found.attrs["reason"] == "1 TIC numbers stand twice in the table."


# Bad input


def test_a_ccd_without_a_finite_number_fails_in_words():
    ccd = make_ccd()
    for name in ("mean_flux", "rms_hour", "ptp", "contamination"):
        ccd.diagnostics[name].values[:] = np.nan
    found = validate(ccd)
    assert not found["approved"].any()
    assert {"rejected", "flux"} <= worse(found)
    assert int(found["verdict"]) == Verdict.FAIL
    ccd.diagnostics["status"].values[:] = Status.ERROR
    assert validate(ccd).attrs["reason"] == "No star has a light curve."


def test_constant_flux_is_no_quiet_star():
    ccd = make_ccd()
    for name in ("rms_hour", "ptp"):
        ccd.diagnostics[name].values[:] = 0
        ccd.corrections[f"{name}_corr"].values[:] = 0
    found = validate(ccd)
    assert (found["dataval"] == Dataval.INVALID_NOISE).all()
    assert worse(found) == {"rejected"}


def test_stars_without_a_magnitude_are_judged_by_the_rest():
    ccd = make_ccd()
    ccd.light_curves["tmag"].values[:] = np.nan
    ccd.diagnostics["contamination"].values[0] = 2
    found = validate(ccd)
    assert found["dataval"].values[:2].tolist() == [Dataval.INVALID_CONTAMINATION, 0]
    assert {name for name, verdict in said(found).items() if verdict == Verdict.NOT_DONE} == {
        "zero_point", "hour_noise", "ptp_noise", "overlap_flux", "overlap_noise",
    }  # fmt: skip
    assert int(found["verdict"]) == Verdict.PASS
    assert validation_table(found).empty


@pytest.mark.parametrize("stars", [0, 6])
def test_too_few_stars_are_no_evidence(stars):
    ccd = make_ccd(stars)
    found = validate(ccd)
    assert worse(found) == set()
    assert int(found["verdict"]) == (Verdict.NOT_DONE if stars else Verdict.FAIL)
    told = f"No check of the light curves could be done: too few stars ({stars})."
    assert found.attrs["reason"] == (told if stars else "No star has a light curve.")
    reasons = found["check_reason"].sel(check=["masks", "hour_noise"]).values
    assert [reason[:8] for reason in reasons] == ["not done", "not done"]
    assert "expected 10" in reasons[0]
    assert stars or validation_markup(found).endswith("</html>")
    if stars:
        ccd.light_curves["tic"].values[0] = ccd.light_curves["tic"].values[1]
        assert int(validate(ccd)["verdict"]) == Verdict.FAIL


def test_tables_of_other_stars_are_refused():
    ccd = make_ccd()
    ccd.corrections = ccd.corrections.isel(star=slice(3))
    with pytest.raises(StepInputError, match="corrections has 3 stars, the light curves 200"):
        validate(ccd)


# Other CCDs


def store_diagnostics(diagnostics: xr.Dataset, camera: int, ccd: int) -> None:
    place = diagnostics.attrs | {"camera": camera, "ccd": ccd, "product": "diagnostics"}
    record = Record("make_diagnostics", 1, {"of": [camera, ccd]}, [])
    store.write_product(stamp(diagnostics.assign_attrs(place), record, []))


def test_stars_of_two_ccds_are_compared_by_their_numbers():
    ccd = make_ccd()
    store_diagnostics(ccd.diagnostics, 1, 2)
    there = ccd.diagnostics.isel(star=slice(150, 200)).copy(deep=True)
    there["mean_flux"].values[:] /= 0.9
    there["rms_hour"].values[:] /= 2
    there["status"].values[:5] = Status.ERROR
    store_diagnostics(there, 1, 3)
    elsewhere = make_tables(make_stars(20, first=5001)).diagnostics
    store_diagnostics(elsewhere, 4, 1)
    neighbours = read_neighbours(1)
    assert neighbours.sizes["star"] == 200 + 50 + 20
    others = read_neighbours(1, "s0001-1-2")
    assert set(zip(others["star_camera"].values, others["star_ccd"].values, strict=True)) == {(1, 3), (4, 1)}
    table = compare_overlap(ccd.diagnostics, neighbours)
    xr.testing.assert_identical(compare_overlap(ccd.diagnostics, others), table)
    assert (table["overlap_camera"].item(), table["overlap_ccd"].item()) == (1, 3)
    assert table["overlap_stars"].item() == 45
    assert table["overlap_flux"].item() == pytest.approx(0.9)
    assert table["overlap_rms"].item() == pytest.approx(2)
    found = validate(ccd, neighbours)
    assert worse(found) == {"overlap_flux", "overlap_noise"}
    assert "10.0% off that on camera 1, CCD 3" in found.attrs["reason"]
    row = "<td>camera 1, CCD 3</td><td>45</td><td>0.900</td><td>2.00</td>"
    assert row in overlap_table(found)
    assert said(validate(ccd, neighbours.isel(star=slice(0, 203))))["overlap_flux"] == Verdict.NOT_DONE


def test_a_run_is_told_the_sector_whose_ccds_are_compared():
    pipeline, unit = load_pipelines()["photometry"], open_unit("simulation.tiny")
    alone = make_plan(pipeline, unit, last="validation")[-1]
    chosen = {"validation": {"neighbours": 1}}
    with pytest.raises(SourceError, match="no diagnostics of sector 1; expected those of its other CCDs"):
        read_neighbours(1)
    store_diagnostics(make_ccd(20).diagnostics, 1, 2)
    with pytest.raises(SourceError, match="no diagnostics of sector 1 beside s0001-1-2; expected"):
        make_plan(pipeline, unit, chosen, last="validation")
    store_diagnostics(make_ccd(20).diagnostics, 1, 3)
    plan = make_plan(pipeline, unit, chosen, last="validation")
    compared = plan[-1]
    assert compared.id != alone.id
    assert compared.ids == alone.ids
    check_start([plan], pipeline)
    another = [replace(run, unit=replace(unit, cube=unit.cube.assign_attrs(ccd=3))) for run in plan]
    with pytest.raises(NotebookError, match=r"\['s0001-1-3'\] have no diagnostics.*Run with --until"):
        check_start([plan, another], pipeline)
    with pytest.raises(SourceError, match="'next door' is no sector; expected its number"):
        read_neighbours("next door")


def test_a_run_that_makes_its_own_diagnostics_again_compares_them_with_those_of_others():
    pipeline, unit = load_pipelines()["photometry"], open_unit("simulation.tiny")
    ccd = make_ccd(20)
    there = ccd.diagnostics.copy(deep=True)
    there["mean_flux"].values[:] *= 1.25
    store_diagnostics(there, 1, 3)
    *_, run = make_plan(pipeline, unit, {"validation": {"neighbours": 1}}, last="validation")
    for name, id_ in run.ids.items():
        made = getattr(ccd, name).assign_attrs(product=name, provenance_id=id_, provenance="{}")
        store.write_product(made)
    # What the notebook of the run does, in this process.
    inputs = open_inputs("validation", cube="simulation.tiny", neighbours=1, ids=run.ids)
    tables = inputs.light_curves, inputs.diagnostics, inputs.corrections
    compared = make_validation(*tables, inputs.neighbours)
    assert compared.attrs["provenance_id"] == run.id
    assert compared["overlap_flux"].values == pytest.approx([0.8])
    assert int(compared["overlap_ccd"][0]) == 3


# Figures, page and file


@pytest.fixture(scope="module")
def many() -> xr.Dataset:
    return validate(make_ccd(20_000))


def test_of_very_many_stars_some_are_drawn(many):
    stars = validation_table(many)
    assert (len(stars), len(validation_source(stars).data["tic"])) == (20_000, 10_000)


def test_a_tap_on_a_point_names_its_star():
    view = ValidationView(validate(make_ccd()))
    row = view.stars.loc[STAR]
    across = SimpleNamespace(start=6.0, end=14.0)
    for name, ends in (("hour", (10, 1e4)), ("pixels", (4, 1e3)), ("contamination", (-4, 104))):
        view.star = 0
        value = row[{"hour": "hour_best"}.get(name, name)]
        view.tapped(
            name, float(row["tmag"]) + 1e-4, float(value), across, SimpleNamespace(start=ends[0], end=ends[1])
        )
        assert view.star == STAR, name
    view.tapped("hour", 6.1, 9e3, across, SimpleNamespace(start=10, end=1e4))
    assert view.star == STAR
    assert f"TIC {1001 + STAR}" in view.facts.object


def test_the_page_is_written_as_one_small_file_and_never_lost(many, tmp_path, monkeypatch, capsys):
    store.write_product(many)
    with pytest.raises(StoreError, match="expected a name that ends in .html"):
        write_validation(store.find_product("validation"), tmp_path / "ccd.pdf")
    words = ["tasoc", "export", "validation", "--to", str(tmp_path / "ccd.html")]
    for code in (0, 2):
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert int(ended.value.code or 0) == code
        # A cutout of this CCD does not stand in the way of the CCD.
        store.write_product(many.assign_attrs(field="r0105c0126", provenance_id="0123456789ab"))
    told = capsys.readouterr()
    assert "s0001-1-2: pass" in told.out
    assert "is there already" in told.out + told.err
    text = (tmp_path / "ccd.html").read_text()
    assert many.attrs["reason"] in text
    assert len(text) < 4_000_000
    assert text.count("data-root-id") == len(FIGURES)
    assert " src=" not in text.split("<body>")[0]
