from __future__ import annotations

import dashboard_data as data
import holoviews as hv
import numpy as np
import pytest
import xarray as xr

from tasoc_kit import plots
from tasoc_kit.errors import StepInputError, StepParameterError
from tasoc_kit.numerics.statistics import median_of_rows, point_to_point
from tasoc_kit.plots.apertures import aperture_of, outline
from tasoc_kit.plots.light_curve import find_star, flag_spans, one_star, parts
from tasoc_kit.plots.stretch import STRETCHES, make_stretch
from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, TessQuality


@pytest.fixture(scope="module")
def sector() -> dict[str, xr.Dataset]:
    cube = data.make_cube()
    reference = data.make_reference(cube)
    apertures = data.make_apertures(reference)
    return {
        "cube": cube,
        "reference": reference,
        "apertures": apertures,
        "light_curves": data.make_light_curves(apertures),
    }


def rendered(figure: hv.Dimensioned) -> object:
    return hv.renderer("bokeh").get_plot(figure)


# Stretch


@pytest.mark.parametrize("name", STRETCHES)
def test_a_stretch_and_its_inverse_meet(name):
    flux = np.random.default_rng(1).gamma(2.0, 50.0, (80, 80))
    stretch = make_stretch(flux, name)
    inside = np.linspace(stretch.low + 1, stretch.high - 1, 50)
    np.testing.assert_allclose(stretch.inverse(stretch(inside)), inside, rtol=2e-3)


@pytest.mark.parametrize("name", STRETCHES)
def test_brighter_is_never_drawn_darker_and_nan_stays_nan(name):
    flux = np.random.default_rng(2).normal(100, 30, (50, 50))
    shade = make_stretch(flux, name)(np.array([*np.sort(flux.ravel()), np.nan]))
    assert (np.diff(shade[:-1]) >= 0).all()
    assert shade[:-1].min() >= 0
    assert shade[:-1].max() <= 1
    assert np.isnan(shade[-1])


def test_an_equalised_histogram_gives_every_shade_the_same_share_of_pixels():
    flux = np.random.default_rng(3).lognormal(5, 2, 40_000)
    counts, _ = np.histogram(make_stretch(flux, "eq_hist")(flux), bins=10, range=(0, 1))
    np.testing.assert_allclose(counts / flux.size, 0.1, atol=0.01)


@pytest.mark.parametrize("name", STRETCHES)
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_frame_of_one_value_can_still_be_drawn(name, value):
    cube = data.make_cube(frames=12).isel(time=[0])
    flat = xr.full_like(cube["flux"].isel(time=0), value)
    assert rendered(plots.image(flat, stretch=name)) is not None


def test_a_mistyped_stretch_is_refused_with_the_right_one():
    with pytest.raises(StepParameterError, match="did you mean 'asinh'"):
        make_stretch(np.ones(4), "asin")


# Frames


def test_a_drawn_pixel_stands_at_its_row_and_column(sector):
    figure = plots.frame(sector["cube"], 3)
    picked = figure.select(row=130, column=321)
    value = figure.dimension_values("flux", flat=False)
    rows, columns = (figure.dimension_values(name, expanded=False) for name in ("row", "column"))
    assert value[list(rows).index(130), list(columns).index(321)] == pytest.approx(3130.321, abs=1e-3)
    assert picked is not None
    assert figure.bounds.lbrt() == (299.5, 99.5, 379.5, 163.5)


def test_drawing_one_frame_reads_no_other(sector):
    import dask

    cube, seen = sector["cube"], []

    def keep(block, block_info=None):
        seen.append(block_info[0]["chunk-location"][0])
        return block

    watched = cube.assign(
        flux=(
            cube["flux"].dims,
            cube["flux"].data.map_blocks(keep, dtype="f4", meta=np.empty((0, 0, 0), "f4")),
        )
    )
    with dask.config.set(scheduler="synchronous"):
        plots.frame(watched, 7)
    assert seen == [7]


def test_a_title_names_sector_cadence_and_time(sector):
    title = plots.frame(sector["cube"], 2).opts.get("plot").kwargs["title"]
    assert title == "Sector 1 · camera 1 · CCD 2 · cadence 4699 · BTJD 1325.3417"


def test_an_image_larger_than_the_screen_is_rasterised():
    values = xr.DataArray(
        np.random.default_rng(4).normal(100, 5, (2078, 2136)).astype("f4"),
        dims=("row", "column"),
        coords={"row": np.arange(2078), "column": np.arange(2136)},
    )
    figure = plots.image(values)
    assert isinstance(figure, hv.DynamicMap)
    drawn = figure[()]
    assert drawn.dimension_values("shade", flat=False).size < 1_000_000
    assert drawn.dimension_values("flux").mean() == pytest.approx(100, abs=0.1)


# Apertures


def test_one_pixel_is_outlined_by_its_four_edges():
    edges = outline(np.array([10]), np.array([20]), np.array([0]))
    ends = {tuple(sorted([(x0, y0), (x1, y1)])) for x0, y0, x1, y1 in edges}
    assert ends == {
        ((19.5, 9.5), (20.5, 9.5)),
        ((19.5, 10.5), (20.5, 10.5)),
        ((19.5, 9.5), (19.5, 10.5)),
        ((20.5, 9.5), (20.5, 10.5)),
    }


def test_an_outline_runs_around_a_mask_and_not_through_it():
    rows, columns = (a.ravel() for a in np.mgrid[0:3, 0:4])
    assert len(outline(rows, columns, np.zeros(12, int))) == 2 * (3 + 4)


def test_two_masks_that_touch_are_outlined_apart():
    edges = outline(np.array([5, 5]), np.array([7, 8]), np.array([0, 1]))
    assert len(edges) == 8


def test_pixels_at_the_ends_of_a_row_are_no_neighbours():
    edges = outline(np.array([0, 1]), np.array([2135, 0]), np.array([0, 0]))
    assert len(edges) == 8


def test_the_stamp_shows_the_aperture_of_the_asked_star(sector):
    rows, columns = aperture_of(sector["apertures"], 3)
    figure = plots.stamp(sector["reference"], sector["apertures"], 3)
    mask = figure.Segments.I
    assert mask.range("row") == (rows.min() - 0.5, rows.max() + 0.5)
    assert mask.range("column") == (columns.min() - 0.5, columns.max() + 0.5)
    assert rendered(figure) is not None


def test_a_star_without_pixels_still_has_a_stamp_about_its_position(sector):
    figure = plots.stamp(sector["reference"], sector["apertures"], 11)
    row = float(sector["apertures"]["star_row"][11])
    low, high = figure.Image.I.range("row")
    assert low < row < high
    assert rendered(figure) is not None


# Light curves


def test_a_flag_is_shaded_from_its_first_to_its_last_cadence():
    time = np.arange(10.0)
    bits = np.where((time >= 3) & (time <= 5), int(TessQuality.DESAT), 0)
    bits[8] = TessQuality.COARSE_POINT
    spans = flag_spans(time, bits, TessQuality)
    np.testing.assert_allclose(spans["DESAT"], [[2.5, 5.5]])
    np.testing.assert_allclose(spans["COARSE_POINT"], [[7.5, 8.5]])
    assert set(spans) == {"DESAT", "COARSE_POINT"}


def test_a_cadence_is_set_apart_by_flags_of_the_frame_or_of_the_star(sector):
    table = one_star(sector["light_curves"], 1)
    apart = table.index[~table["good"]].tolist()
    assert apart == [5, 6, 7, 50]  # a high sky at 10 is named, and does not spoil the flux
    assert table["flags"][5] == "DESAT"
    assert table["flags"][10] == "HIGH_SKY"
    assert table["flags"][50] == "COSMIC_RAY"


def test_the_names_of_the_flags_stand_in_the_legend(sector):
    figure = plots.light_curve(sector["light_curves"], 0)
    labels = [layer.label for layer in figure]
    assert "desat" in labels
    assert "high sky" in labels
    assert rendered(figure) is not None


def test_parts_per_million_are_about_the_median_of_the_good_cadences(sector):
    figure = plots.light_curve(sector["light_curves"], 0, relative=True)
    good = next(layer for layer in figure if layer.label == "good")
    depth = good.dimension_values("flux").min()
    assert -10_500 < depth < -9_500


def test_a_star_is_found_by_its_number_and_a_wrong_number_says_where_to_look(sector):
    assert find_star(sector["light_curves"], data.FIRST_TIC + 4) == 4
    with pytest.raises(StepInputError, match="tasoc where 12345"):
        find_star(sector["light_curves"], 12345)


def test_a_cadence_that_is_set_apart_does_not_stretch_the_axis(sector):
    table = one_star(sector["light_curves"], 1)
    table.loc[5, "flux"] = 1e9
    assert not table["good"][5]
    split, _axis, (low, high) = parts(table)
    assert high < 1e9
    assert low < split["good"]["flux"].min() < split["good"]["flux"].max() < high
    assert split["set apart"]["flux"].max() == 1e9


def test_only_what_a_figure_shows_is_read(sector):
    table = one_star(sector["light_curves"], 1, quantity="background")
    assert {"flux", "background", "pixel_quality"} <= set(table)
    assert "centroid_row" not in table
    whole = one_star(sector["light_curves"], 1)
    np.testing.assert_array_equal(table["good"], whole["good"])
    assert table["flags"].tolist() == whole["flags"].tolist()


# Noise


def test_white_noise_is_measured_as_its_sigma(sector):
    light_curves = data.make_light_curves(sector["apertures"], frames=1200)
    ptp = plots.measure_noise(light_curves)["ptp"].values
    truth = 1e6 * light_curves["flux_err"].values[:, 0] / light_curves["flux"].median("time").values
    np.testing.assert_allclose(ptp[1:-1], truth[1:-1], rtol=0.12)
    assert np.isnan(ptp[-1])


def test_the_noise_is_that_of_the_good_cadences_and_gaps_do_not_count(sector):
    light_curves = data.make_light_curves(sector["apertures"], frames=400)
    holes = light_curves["flux"].values.copy()
    holes[3, ::7] = np.nan
    light_curves = light_curves.assign(flux=(("star", "time"), holes))
    measured = plots.measure_noise(light_curves)
    good = (light_curves["quality"].values & DEFAULT_BAD_BITS) == 0
    flux = holes[3, good].astype(float)
    level = np.nanmedian(flux)
    expected = 1e6 * point_to_point(flux) / level
    assert float(measured["mean_flux"][3]) == pytest.approx(level, rel=1e-6)
    assert float(measured["ptp"][3]) == pytest.approx(expected, rel=1e-3)


def test_the_noise_figure_draws_every_measured_star_and_the_model(sector):
    figure = plots.noise(sector["light_curves"])
    assert len(figure.Scatter.Measured) == 11
    assert [layer.label for layer in figure][1:] == ["total", "star", "zodiacal light", "read-out"]
    assert rendered(figure) is not None


# Conditions


def test_sky_and_pointing_are_drawn_over_the_flagged_spans():
    for figure in (plots.sky(data.make_sky()), plots.pointing(data.make_pointing())):
        assert "desat" in [layer.label for layer in figure]
        assert rendered(figure) is not None


def test_every_flag_that_is_set_has_its_row_and_its_cadences():
    figure = plots.flags(data.make_pointing())
    drawn = {
        (flag, int(cadence)) for flag, cadence in zip(*map(figure.dimension_values, (1, 3)), strict=True)
    }
    assert {flag for flag, _ in drawn} == {"desat", "high sky"}
    assert rendered(figure) is not None


def test_the_share_of_frames_in_which_a_pixel_is_sky_is_drawn_in_place():
    share = np.array([[0.0, 0.25, 1.0], [1.0, 1.0, 0.5]], np.float32)
    used = xr.DataArray(share, dims=("row", "column"), coords={"row": [10, 11], "column": [50, 51, 52]})
    figure = plots.sky_share(used)
    assert figure[51, 10] == 0.25
    assert figure[52, 11] == 0.5
    assert rendered(figure) is not None


def test_masks_stand_beside_the_reference(sector):
    figure = plots.masks(sector["reference"])
    assert len(figure) == 2
    assert rendered(figure) is not None
    widths = [hv.Store.lookup_options("bokeh", one, "plot").kwargs["frame_width"] for one in figure]
    assert sum(widths) <= 640, "with their scales they are wider than a notebook in JupyterLab"


# Halo


def halo_product(stars: int) -> xr.Dataset:
    row, column = (axis.ravel() for axis in np.mgrid[10:20, 50:62])
    owner = np.repeat(np.arange(stars), row.size).astype(np.int32)
    weight = np.random.default_rng(1).random((1, owner.size))
    weight[:, : owner.size // 3] = 0
    flux = np.random.default_rng(2).normal(1e6, 50.0, (stars, 30))
    return xr.Dataset(
        {"halo_weight": (("segment", "stamp_pixel"), weight), "flux": (("star", "time"), flux)},
        coords={
            "time": np.arange(30.0),
            "cadenceno": ("time", np.arange(30, dtype=np.int32)),
            "quality": ("time", np.zeros(30, np.int32)),
            "frame_quality": ("time", np.zeros(30, np.int32)),
            "tic": ("star", np.arange(stars) + 1),
            "tmag": ("star", np.full(stars, 3.5)),
            "star_row": ("star", np.full(stars, 15.2)),
            "star_column": ("star", np.full(stars, 55.7)),
            "stamp_star": ("stamp_pixel", owner),
            "stamp_row": ("stamp_pixel", np.tile(row, stars)),
            "stamp_column": ("stamp_pixel", np.tile(column, stars)),
        },
    )


def test_the_weights_of_a_halo_are_drawn_at_their_pixels_and_those_left_out_stay_empty():
    made = halo_product(2)
    figure = plots.halo(made, 1)
    drawn = figure[0].get(0).dimension_values("weight", flat=False)
    assert drawn.shape == (10, 12)
    np.testing.assert_allclose(np.nan_to_num(drawn).ravel(), made["halo_weight"].values[0, 120:])
    assert np.isnan(plots.halo(made, 0)[0].get(0).dimension_values("weight")).sum() == 80
    assert rendered(figure)


def test_a_ccd_without_halo_stars_says_so():
    figure = plots.halo(halo_product(0))
    assert "No star" in figure.get(0).data[2]
    assert rendered(figure)


def test_the_median_of_rows_is_that_of_what_is_finite():
    values = np.random.default_rng(4).normal(size=(40, 23)).astype(np.float32)
    values[np.random.default_rng(5).random(values.shape) < 0.3] = np.nan
    values[7] = np.nan
    rows = np.delete(np.arange(40), 7)
    found = median_of_rows(values)
    np.testing.assert_array_equal(found[rows], np.nanmedian(values[rows].astype(float), axis=1))
    assert np.isnan(found[7])
