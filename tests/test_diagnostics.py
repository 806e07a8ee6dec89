"""Diagnostics: measures of light curves with known scatter, and what became of the stars."""

import warnings

import numpy as np
import pytest
import xarray as xr

from tasoc_kit import star_series
from tasoc_kit.errors import StepInputError
from tasoc_kit.photometry import diagnostics
from tasoc_kit.photometry.diagnostics import make_diagnostics
from tasoc_kit.photometry.halo_light_curves import make_halo_light_curves
from tasoc_kit.photometry.stream import stream_frames
from tasoc_kit.vocabulary import KitQuality, Method, Status, TessQuality


def make_curves(stars: int = 40, *, seconds: float = 1800.0, days: float = 25.0, noise: float = 1e-3):
    """Return white light curves of stars that brighten by a cubic law, and their apertures."""
    random = np.random.default_rng(4)
    time = 1500 + np.arange(0, days, seconds / 86400)
    level = np.linspace(100, 1e5, stars)[:, None]
    flux = level * (1 + noise * random.normal(size=(stars, time.size)))
    curves = xr.Dataset(
        {
            "flux": (("star", "time"), flux.astype(np.float32)),
            "flux_err": (("star", "time"), np.broadcast_to(level * noise, flux.shape).astype(np.float32)),
            "pixel_quality": (("star", "time"), np.zeros(flux.shape, np.int32)),
        },
        coords={
            "time": time,
            "tic": ("star", np.arange(1, stars + 1)),
            "star_row": ("star", np.arange(stars) + 0.5),
            "star_column": ("star", np.full(stars, 50.25)),
            "quality": ("time", np.zeros(time.size, np.int32)),
            "frame_quality": ("time", np.zeros(time.size, np.int32)),
        },
    )
    columns = {"tic": np.arange(1, stars + 1), "status": np.full(stars, Status.OK, np.int8),
               "aperture_flags": np.zeros(stars, np.int32), "contamination": np.zeros(stars, np.float32),
               "row_size": np.full(stars, 9, np.int32), "edge_flux": np.zeros(stars, np.float32),
               "method": np.ones(stars, np.int8), "star_row": np.arange(stars) + 0.5,
               "star_column": np.full(stars, 50.25)}  # fmt: skip
    return curves, xr.Dataset({name: ("star", values) for name, values in columns.items()})


@pytest.mark.parametrize("seconds", [200, 600, 1800])
def test_white_light_curves_have_the_scatter_they_were_given(seconds):
    found = make_diagnostics(*make_curves(seconds=seconds)).median()
    assert found["variance"] == pytest.approx(1e-6, rel=0.05)
    assert found["variability"] == pytest.approx(1, rel=0.03)
    assert found["ptp"] == pytest.approx(0.6745 * np.sqrt(2) * 1e-3, rel=0.05)
    assert found["rms_hour"] == pytest.approx(1e-3 / np.sqrt(3600 / seconds), rel=0.08)


def test_the_measures_are_the_formulas_written_out():
    curves, apertures = make_curves(3)
    random = np.random.default_rng(8)
    curves["flux"] = curves["flux"].where(random.random(curves["flux"].shape) > 0.2)
    found = make_diagnostics(curves, apertures)
    time = curves["time"].values
    for star in range(3):
        flux = curves["flux"].values[star].astype(float)
        relative = flux / np.nanmedian(flux) - 1
        edges = np.floor((time - time[0]) * 24)
        with warnings.catch_warnings(action="ignore"):
            means = np.array([np.nanmean(relative[edges == k]) for k in np.unique(edges)])
        hourly = means[np.isfinite(means)]
        some = np.isfinite(flux)
        rest = flux[some] - np.polyval(np.polyfit(time[some] - 1512, flux[some], 3), time[some] - 1512)
        expected = {
            "mean_flux": np.nanmedian(flux),
            "variance": np.nanvar(relative, ddof=1),
            "variability": rest.std(ddof=1) / np.nanmedian(curves["flux_err"].values[star]),
            "rms_hour": 1.482602218505602 * np.median(np.abs(hourly - np.median(hourly))),
            "ptp": np.nanmedian(np.abs(np.diff(relative))),
        }
        for name, value in expected.items():
            assert found[name].values[star] == pytest.approx(value, rel=1e-4), name


def test_a_trend_is_no_variability():
    curves, apertures = make_curves()
    phase = xr.DataArray(np.linspace(-1, 1, curves.sizes["time"]), dims="time")
    curves["flux"] = curves["flux"] * (1 + 0.5 * phase + 0.2 * phase**3)
    found = make_diagnostics(curves, apertures).median()
    assert found["variability"] < 1.3
    assert found["variance"] > 0.05


@pytest.mark.parametrize(
    ("name", "bit"),
    [
        ("quality", TessQuality.DESAT),
        ("frame_quality", KitQuality.NO_DATA),
        ("pixel_quality", KitQuality.SIGMA_CLIP),
    ],
)
def test_cadences_that_either_column_sets_apart_count_for_nothing(name, bit):
    curves, apertures = make_curves()
    before = make_diagnostics(curves, apertures)
    curves["flux"][:, 100:130] = 1e9
    curves[name][..., 100:130] = int(bit)
    after = make_diagnostics(curves, apertures)
    for measure in diagnostics.MEASURES:
        np.testing.assert_allclose(after[measure], before[measure], rtol=0.1, err_msg=measure)


def test_the_table_does_not_depend_on_chunks_or_blocks(monkeypatch):
    curves, apertures = make_curves()
    whole = make_diagnostics(curves, apertures)
    monkeypatch.setattr(star_series, "VALUES_AT_ONCE", 7 * curves.sizes["time"])
    parts = make_diagnostics(curves.chunk(star=9, time=100), apertures)
    xr.testing.assert_identical(whole, parts)


def test_a_star_without_flux_is_an_error_and_one_in_the_dark_has_no_relative_scatter():
    curves, apertures = make_curves(4)
    curves["flux"][1] = np.nan
    curves["flux"][2] *= -1
    curves["flux"][3, 5:] = np.nan
    found = make_diagnostics(curves, apertures)
    assert found["status"].values.tolist() == [Status.OK, Status.ERROR, Status.OK, Status.OK]
    assert found["mean_flux"].values[2] < 0
    assert np.isnan(found["ptp"].values[1:]).all()
    assert np.isfinite(found["mean_flux"].values[3])


def test_light_curves_of_some_stars_find_their_apertures():
    curves, apertures = make_curves(6)
    apertures["aperture_flags"] = ("star", np.arange(6, dtype=np.int32))
    found = make_diagnostics(curves.isel(star=[4, 1]), apertures)
    assert found["aperture_flags"].values.tolist() == [4, 1]
    with pytest.raises(StepInputError, match="2 of the 2 stars with light curves have no aperture"):
        make_diagnostics(curves.isel(star=[4, 1]).assign_coords(tic=("star", [70, 80])), apertures)


def test_halo_light_curves_of_stars_without_a_number_find_their_own_rows(sector):
    method = sector.apertures["method"].copy()
    chosen = np.flatnonzero(sector.apertures["row_size"].values > 12)[[7, 2, 4]]
    method[chosen] = Method.HALO
    # As detected stars, which all have the number 0.
    nameless = sector.apertures.assign(method=method).assign_coords(tic=sector.apertures["tic"] * 0)
    stream = stream_frames(sector.cube, sector.reference, nameless, sector.quality)
    halo = make_halo_light_curves(stream, sector.sky, nameless, sector.reference, sector.quality)
    found = make_diagnostics(halo.isel(star=[2, 0, 1]), nameless)
    expected = np.sort(chosen)[[2, 0, 1]]
    for name in ("tmag", "star_row", "row_size", "contamination", "aperture_flags", "method"):
        np.testing.assert_array_equal(found[name], nameless[name][expected], err_msg=name)


def test_a_sector_without_a_good_cadence_has_no_measures():
    curves, apertures = make_curves(3)
    curves["quality"][:] = int(TessQuality.SAFE_MODE)
    found = make_diagnostics(curves, apertures)
    assert np.isnan(found["mean_flux"]).all()
    assert (found["status"] == Status.ERROR).all()
