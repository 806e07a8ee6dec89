"""The thirteen known defects of the original pipeline, each shown to be absent from end to end."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import socket
import tomllib
from pathlib import Path

import holoviews as hv
import numpy as np
import pytest
from astropy.io import fits
from drifting_stars import drifting_stars
from packaging.requirements import Requirement
from sector import in_memory, make_every_method, make_products, make_sector

import tasoc_kit
from tasoc_kit import plots, vocabulary
from tasoc_kit.corrections.cbv_light_curves import make_cbv_light_curves
from tasoc_kit.corrections.cbvs import make_cbvs
from tasoc_kit.corrections.ensemble_light_curves import make_ensemble_light_curves
from tasoc_kit.corrections.filtered_light_curves import make_filtered_light_curves
from tasoc_kit.corrections.vector_fit import design_of, fit_vectors
from tasoc_kit.exports.tasoc_files import write_tasoc_files
from tasoc_kit.numerics.noise import ecliptic_latitude, expected_noise
from tasoc_kit.photometry.one_star import light_curve
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.photometry.skies.sky_pixels import sky_pixels
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.store import find_product, open_product, write_product
from tasoc_kit.vocabulary import KitQuality, TessQuality

PRODUCTS = ("quality", "pointing", "reference", "stars", "apertures", "stream", "sky", "psf", "light_curves",
            "psf_light_curves", "halo_light_curves")  # fmt: skip


@pytest.fixture(scope="module")
def flagged(sector):
    """Products of all methods, of frames with every bit of the mission, some of ours, and one lost pixel."""
    bits = np.zeros(sector.cube.sizes["time"], np.int32)
    harmless = [b for b in TessQuality if b.value and not b.value & vocabulary.DEFAULT_BAD_BITS]
    for k, bit in enumerate(TessQuality):
        bits[2 + 3 * k] |= int(bit)
    for bit in harmless:
        bits[1] |= int(bit)
    ours = sector.cube["frame_quality"].values.copy()
    ours[1] |= int(KitQuality.BACKGROUND_SHENANIGANS | KitQuality.SIGMA_CLIP | KitQuality.INTERPOLATED)
    first = int(sector.apertures["row_size"].values[:2].sum())
    lost = {axis: sector.apertures[f"pixel_{axis}"].values[first] for axis in ("row", "column")}
    flux = sector.cube["flux"].compute()
    flux.loc[{"time": sector.cube["time"][5], **lost}] = np.nan
    cube = in_memory(sector.cube, flux)
    cube = cube.assign_coords(quality=("time", bits), frame_quality=("time", ours))
    return make_every_method(make_products(cube, sector.stars))


def files_of(made, folder: Path, stars: list[int]) -> list[fits.FITS_rec]:
    """Write products and export some stars of them; return the tables of their files."""
    for name in PRODUCTS:
        write_product(getattr(made, name))
    tics = [int(made.light_curves["tic"][star]) for star in stars]
    write_tasoc_files(find_product("light_curves"), folder, tics=tics)
    return [fits.getdata(next(folder.rglob(f"*{tic:011d}*.fits.gz")), "LIGHTCURVE") for tic in tics]


def test_defect_1_psf_photometry_gives_light_curves_with_errors(flagged, tmp_path):
    for star, table in zip(flagged.faint, files_of(flagged, tmp_path / "files", flagged.faint), strict=True):
        flux, error = table["FLUX_RAW"], table["FLUX_RAW_ERR"]
        np.testing.assert_array_equal(flux, flagged.psf_light_curves["flux"].values[star])
        assert np.isfinite(flux).mean() > 0.9
        np.testing.assert_array_equal(np.isfinite(flux), np.isfinite(error))
        assert (error[np.isfinite(error)] > 0).all()
    flux, error = (flagged.psf_light_curves[name].values for name in ("flux", "flux_err"))
    assert np.isfinite(flux).any(axis=1).mean() > 0.9
    np.testing.assert_array_equal(np.isfinite(flux), np.isfinite(error))


@pytest.mark.parametrize(("number", "cadence"), [(27, 600), (56, 200)])
def test_defect_2_every_cadence_of_the_mission_goes_through_the_chain(tmp_path, number, cadence):
    made = make_sector(tmp_path, sector=number, cadence=cadence, frames=12, rows=128, columns=128)
    assert made.light_curves.attrs["cadence"] == cadence
    assert made.light_curves.attrs["sector"] == number
    assert np.isfinite(made.light_curves["flux"].values[made.light_curves["row_size"].values > 0]).all()
    # It was the smoothing in time that knew two cadences only.
    smooth = fit_sky(made.stream, made.reference, made.quality, smooth=1.5)
    assert np.isfinite(smooth["sky_median"]).all()
    assert float(smooth["sky_err"].max()) < float(made.sky["sky_err"].max())


def test_defect_3_flags_are_read_by_the_names_they_are_written_under(sector, tmp_path):
    place = str(tmp_path)
    write_product(sector.light_curves, store=place)
    stored = open_product("light_curves", id=sector.light_curves.attrs["provenance_id"], store=place)
    for name in ("quality", "frame_quality", "pixel_quality"):
        assert name in vocabulary.VARIABLES
        np.testing.assert_array_equal(stored[name], sector.light_curves[name])


def test_defect_4_the_light_of_a_pixel_below_zero_counts_like_any_other(sector):
    flux, frame = sector.cube["flux"].compute(), 34
    low = float(flux[frame].median())
    lowered = in_memory(sector.cube, flux - low)
    stream = stream_frames(lowered, sector.reference, sector.apertures, sector.quality).compute()
    assert (lowered["flux"][frame].values < 0).mean() > 0.2
    sky = fit_sky(stream, sector.reference, sector.quality)
    change = sky_image(sky, sector.reference, frame) - sky_image(sector.sky, sector.reference, frame)
    assert abs(np.median(change) + low) < 0.01


def test_defect_5_no_bit_is_lost_or_overwritten_from_the_frames_to_the_files(flagged, tmp_path):
    cube = flagged.cube
    one = light_curve(cube=cube, catalogue=flagged.stars, target=f"TIC {int(flagged.stars['tic'][5])}").data
    series = flagged.light_curves, flagged.psf_light_curves, flagged.halo_light_curves, one
    for product in (flagged.quality, flagged.sky, *series):
        np.testing.assert_array_equal(product["quality"], cube["quality"])
        kept = product["frame_quality"].values & cube["frame_quality"].values
        np.testing.assert_array_equal(kept, cube["frame_quality"])
    for product in series:
        assert int(product["frame_quality"][1]) & int(KitQuality.BACKGROUND_SHENANIGANS)
        # 256 is SENSITIVITY_DROPOUT to the mission and BACKGROUND_SHENANIGANS to us; the columns are two.
        assert not int(product["frame_quality"][26]) & 256
        assert int(product["quality"][26]) == int(TessQuality.SENSITIVITY_DROPOUT) == 256
    stars = [0, 2, flagged.faint[0]]
    of_stars = (flagged.halo_light_curves, 0), (flagged.light_curves, 2), (flagged.psf_light_curves, stars[2])
    for table, (product, star) in zip(files_of(flagged, tmp_path / "files", stars), of_stars, strict=True):
        np.testing.assert_array_equal(table["PIXEL_QUALITY"], cube["quality"])
        ours = product["frame_quality"].values | product["pixel_quality"].values[star]
        np.testing.assert_array_equal(table["QUALITY"] & ours, ours)
    assert int(flagged.light_curves["pixel_quality"][2, 5]) & int(KitQuality.NONFINITE_PIXELS)


def test_defect_5_corrections_add_bits_and_lose_none(flagged, tmp_path):
    for product in (flagged.light_curves, flagged.cube):
        assert int(product["frame_quality"][1]) & int(KitQuality.BACKGROUND_SHENANIGANS)
    filtered = make_filtered_light_curves(flagged.light_curves, clip=1.5)
    before, after = (table["pixel_quality"].values for table in (flagged.light_curves, filtered))
    np.testing.assert_array_equal(after & before, before)
    assert (after != before).any()
    for name in (*PRODUCTS, "filtered_light_curves"):
        write_product(filtered if name == "filtered_light_curves" else getattr(flagged, name))
    tic = int(flagged.light_curves["tic"][2])
    write_tasoc_files(find_product("light_curves"), tmp_path / "files", tics=[tic], correction="filter")
    table = fits.getdata(next((tmp_path / "files").rglob("*-tasoc-kf_lc.fits.gz")), "LIGHTCURVE")
    ours = before[2] | after[2] | flagged.light_curves["frame_quality"].values
    np.testing.assert_array_equal(table["QUALITY"] & ours, ours)
    assert int(table["QUALITY"][5]) & int(KitQuality.NONFINITE_PIXELS)
    assert np.isfinite(table["FLUX_CORR"]).mean() > 0.5


@pytest.fixture(scope="module")
def drifting():
    return drifting_stars(220, 500, seed=12, varying=0.25, noise=200e-6)


def test_defect_6_the_prior_can_be_had_and_changes_a_fit(drifting):
    curves, told = drifting.light_curves, drifting.diagnostics
    cbvs = make_cbvs(curves, told)
    off = []
    for prior in (True, False):
        made = make_cbv_light_curves(curves, told, cbvs, prior=prior)
        model = curves["flux"].values / made["flux_corr"].values - 1 - drifting.model
        off.append(np.median(model[drifting.varies].std(axis=1)))
    # Of stars that vary by themselves, least squares takes that for systematics.
    assert off[0] < 0.7 * off[1]


def test_defect_7_ensembles_are_tried_on_the_raw_curve_and_judged_by_the_corrected_one(drifting):
    curves = drifting.light_curves
    made = make_ensemble_light_curves(curves, drifting.diagnostics)
    flux = curves["flux"].values.astype(float)
    relative = flux / np.median(flux, axis=1, keepdims=True)

    def corrected(star: int, number: int) -> np.ndarray:
        members, scale = (made[f"ensemble_{name}"].values[star, :number] for name in ("star", "scale"))
        return flux[star] / (1 + np.median(scale[:, None] * (relative[members] - 1), axis=0))

    def roughness(curve: np.ndarray) -> float:
        return float(np.abs(np.diff(curve)).mean() / np.median(curve))

    size = made["ensemble_size"].values
    assert {5, 40} <= set(size.tolist())
    for star in range(0, 220, 4):
        ours = made["flux_corr"].values[star]
        np.testing.assert_allclose(ours, corrected(star, size[star]), rtol=2e-6)
        for fewer in (5, 10, 20):
            if fewer < size[star]:
                assert roughness(ours) <= roughness(corrected(star, fewer)) * (1 + 1e-5)


def test_defect_8_a_fit_has_ended_when_nothing_changes_and_not_when_changes_cancel():
    random = np.random.default_rng(3)
    vectors = np.linalg.qr(random.normal(size=(400, 2)))[0].T * 20
    truth = np.array([2e-3, 1e-3])
    flux = truth @ vectors + 2e-4 * random.normal(size=400)
    odd = [int(np.argmax(vectors[0] - np.abs(vectors[1]))), int(np.argmax(vectors[1] - np.abs(vectors[0])))]
    # One draws its coefficient up as far as the other draws its own down: the sum does not move.
    for place, vector, pull in zip(odd, vectors, (0.2, -0.2), strict=True):
        flux[place] += pull / vector[place]
    design = design_of(vectors, None)
    first = np.linalg.lstsq(design, flux, rcond=None)[0][1:] - truth
    assert abs(first.sum()) < 0.2 * np.abs(first).max()
    made = fit_vectors(flux[None], design, 1)
    assert np.abs(made.coefficient[0, 1:] - truth).max() < 0.1 * np.abs(first).max()
    left = np.abs(flux - design @ made.coefficient[0])
    kept = left <= 4 * 1.4826 * np.median(left)
    assert not kept[odd].any()
    assert made.cadences[0] <= kept.sum()


def test_defect_9_zodiacal_noise_follows_the_ecliptic_latitude_of_the_field(sector):
    latitude = float(np.median(ecliptic_latitude(sector.stars["ra"], sector.stars["dec"])))
    assert ecliptic_latitude(np.array([270.0]), np.array([66.5607])) == pytest.approx(90, abs=0.01)
    figure = plots.noise(sector.light_curves)
    drawn = figure.traverse(lambda curve: curve, [hv.Curve])
    line = next(curve for curve in drawn if curve.label == "zodiacal light")
    tmag = line.dimension_values("tmag")
    seconds = sector.light_curves.attrs["exposure"]
    here, dummy = (
        expected_noise(tmag, seconds=seconds, ecliptic_latitude=place).zodiacal for place in (latitude, 0.0)
    )
    np.testing.assert_allclose(line.dimension_values("ptp"), here)
    assert (here < 0.98 * dummy).all()


def test_defect_10_nothing_of_the_chain_asks_the_network(sector, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    made = light_curve(cube=sector.cube, catalogue=sector.stars, target=f"TIC {int(sector.stars['tic'][5])}")
    assert np.isfinite(made.data["flux"].values).any()
    filtered = make_filtered_light_curves(made.series, transits=f"{int(sector.stars['tic'][5])}:0.3")
    assert np.isfinite(filtered["flux_corr"].values).any()


def test_defect_11_the_map_of_the_sky_leaves_out_what_clipping_removed(sector):
    flux, frame = sector.cube["flux"].compute(), 20
    dark = ~sector.reference["star_mask"].values
    row, column = next((i, j) for i, j in np.argwhere(dark) if dark[i : i + 4, j : j + 4].sum() == 16)
    patch = np.s_[row : row + 4, column : column + 4]
    flux.values[frame][patch] += 40.0
    cube = in_memory(sector.cube, flux)
    stream = stream_frames(cube, sector.reference, sector.apertures, sector.quality).compute()
    used, before = (
        sky_pixels(some, sector.reference, table, [frame]).values
        for some, table in ((cube, stream), (sector.cube, sector.stream))
    )
    assert before[patch].mean() > 0.9
    assert not used[patch].any()


def test_defect_12_no_library_is_held_back_and_every_module_imports_on_the_current_stack(repository: Path):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    clauses = {clause.operator for text in wanted for clause in Requirement(text).specifier}
    assert clauses == {">="}
    assert int(np.__version__.split(".")[0]) >= 2
    names = [m.name for m in pkgutil.walk_packages(tasoc_kit.__path__, "tasoc_kit.")]
    assert len(names) > 100
    for name in names:
        if ".migrations" not in name:
            importlib.import_module(name)


def test_defect_13_the_readme_tells_how_to_make_photometry_of_ones_own(repository: Path):
    text = (repository / "README.md").read_text()
    for command in ("tk.light_curve(", "tasoc run photometry --cube"):
        assert command in text
    assert "coming soon" not in text.lower()
