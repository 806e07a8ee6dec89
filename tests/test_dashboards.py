from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import dashboard_data as data
import numpy as np
import pandas as pd
import panel as pn
import pytest
import xarray as xr
from bokeh.document import Document
from ffi_files import write_ffi
from panel.io.state import set_curdoc
from panel.util import edit_readonly

from tasoc_kit import database, store
from tasoc_kit.dashboards import holdings, overview, products, theme
from tasoc_kit.dashboards.app import make_server, pages
from tasoc_kit.dashboards.failed import or_failed
from tasoc_kit.dashboards.frame_viewer import FrameViewer
from tasoc_kit.dashboards.frames import available
from tasoc_kit.dashboards.light_curves import LightCurves
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.movie_maker import MovieMaker, plan_movie
from tasoc_kit.dashboards.star_figures import NoiseFigure, SeriesFigure, StampFigure
from tasoc_kit.dashboards.star_groups import count_flags, group_stars, legend_markup, make_table
from tasoc_kit.dashboards.star_list import (
    Wanted,
    add_noise,
    add_reviews,
    make_star_list,
    page_rows,
    select_stars,
)
from tasoc_kit.dashboards.star_methods import StarMethods
from tasoc_kit.dashboards.verdicts import WHOLE_CCD
from tasoc_kit.errors import SourceError, StepInputError, TasocKitError
from tasoc_kit.exports.family import family_of
from tasoc_kit.plots import measure_noise
from tasoc_kit.plots.light_curve import one_star, pixel_series
from tasoc_kit.plots.theme import STAR
from tasoc_kit.products import open_ancestor
from tasoc_kit.provenance import Record, lineage, stamp
from tasoc_kit.sources.ffi import open_ffi
from tasoc_kit.vocabulary import ApertureFlag, Method


@pytest.fixture(scope="module")
def sector() -> dict[str, xr.Dataset]:
    cube = data.make_cube()
    reference = data.make_reference(cube)
    apertures = data.make_apertures(reference)
    curves = data.make_light_curves(apertures)
    return {"cube": cube, "reference": reference, "apertures": apertures, "light_curves": curves}


@pytest.fixture
def stored(sector: dict[str, xr.Dataset]) -> xr.Dataset:
    """The light curves, opened from a store that holds what they were made from."""
    for name in ("reference", "apertures", "light_curves"):
        store.write_product(sector[name])
    return store.open_product("light_curves", sector=1, camera=1, ccd=2)


# The table of stars


@pytest.fixture
def stars(sector: dict[str, xr.Dataset]) -> pd.DataFrame:
    return add_noise(make_star_list(sector["light_curves"]), measure_noise(sector["light_curves"]))


def test_stars_are_found_by_any_part_of_their_number(stars):
    assert select_stars(stars, Wanted(search="TIC 6604")).index.tolist() == [4]
    assert select_stars(stars, Wanted(search="2611366")).index.size == len(stars)
    assert select_stars(stars, Wanted(search="abc")).empty


def test_stars_are_kept_by_magnitude_and_status(stars):
    bright = select_stars(stars, Wanted(tmag=(0.0, 10.0)))
    assert bright["tmag"].max() <= 10
    assert len(bright) == (stars["tmag"] <= 10).sum()
    assert select_stars(stars, Wanted(statuses=("SKIPPED",))).index.tolist() == [11]


def test_stars_without_a_value_come_last_in_either_order(stars):
    for descending in (False, True):
        ordered = select_stars(stars, Wanted(order="ptp", descending=descending))
        assert ordered.index[-1] == 11
    assert ordered["ptp"].iloc[0] == stars["ptp"].max()


def test_the_last_review_of_a_star_counts(stars):
    said = pd.DataFrame(
        {
            "review": [2, 1],
            "star": [3, 3],
            "verdict": ["reject", "accept"],
            "comment": ["blended", "fine"],
        }
    )
    reviewed = add_reviews(stars, said)
    assert reviewed.at[3, "verdict"] == "reject"
    assert reviewed.at[3, "comment"] == "blended"
    assert select_stars(reviewed, Wanted(verdicts=("open",))).index.size == len(stars) - 1


def test_pages_hold_every_star_once(stars):
    rows = [row["star"] for page in range(3) for row in page_rows(stars, page, 5)]
    assert rows == list(range(12))


def test_a_star_without_a_light_curve_is_listed_with_a_dash(stars):
    assert page_rows(stars, 0, 12)[-1]["ptp"] == "–"


# Frames


def test_a_frame_is_read_once_and_no_other_is(sector):
    viewer = FrameViewer(sector["cube"])
    viewer.image()[()]
    assert viewer.reader.count == 1
    viewer.frame = 7
    pixels = viewer.pixels(7)
    assert viewer.reader.count == 2
    assert pixels[30, 21] == pytest.approx(7130.321, abs=1e-3)


@pytest.mark.parametrize("step", [1, -1, 10, -10])
def test_who_goes_step_by_step_finds_the_next_frame_read(sector, step):
    viewer = FrameViewer(sector["cube"])
    first = 1 if step > 0 else 22
    viewer.pixels(first)
    viewer.pixels(first + step)
    following = first + 2 * step
    assert viewer._ahead[0] == following
    assert viewer._ahead[1].result()[30, 21] == pytest.approx(1000 * following + 130.321, abs=1e-3)
    read = viewer.reader.count
    assert viewer.pixels(following) is viewer.pixels(following)
    if viewer._ahead is not None:
        viewer._ahead[1].result()
    assert viewer.reader.count == read + (0 <= following + step < 24)


def test_a_frame_that_could_not_be_read_ahead_is_read_once_it_is_there(tmp_path):
    paths = [write_ffi(tmp_path, number) for number in range(3)]
    viewer = FrameViewer(open_ffi(tmp_path))
    viewer.pixels(0)
    gone = paths[2].rename(tmp_path / "gone")
    viewer.pixels(1)
    with pytest.raises(SourceError):
        viewer.pixels(2)
    gone.rename(paths[2])
    np.testing.assert_array_equal(viewer.pixels(2), viewer.cube["flux"][2].values)


def test_a_new_stretch_reads_nothing(sector):
    viewer = FrameViewer(sector["cube"])
    figure = viewer.image()
    figure[()]
    viewer.stretch = "log"
    figure[()]
    assert viewer.reader.count == 1


def test_one_scale_can_be_kept_for_all_frames(sector):
    viewer = FrameViewer(sector["cube"])
    free = viewer._stretch_of("linear")
    viewer.fixed = True
    viewer.frame = 9
    kept = viewer._stretch_of("linear")
    assert (kept.low, kept.high) == (free.low, free.high)


def test_the_series_of_a_pixel_is_its_flux_in_every_frame(sector):
    table = pixel_series(sector["cube"], 130, 321)
    np.testing.assert_allclose(table["flux"], 1000 * np.arange(24) + 130.321, atol=1e-2)
    assert table["flags"][6] == "DESAT"
    assert not table["good"][6]


def test_a_pixel_outside_the_cube_is_refused_with_the_limits(sector):
    with pytest.raises(StepInputError, match="expected 100 to 163"):
        pixel_series(sector["cube"], 5, 321)


def test_a_tap_on_a_star_shows_its_light_curve_and_one_beside_it_the_pixel(sector):
    viewer = FrameViewer(sector["cube"], sector["apertures"], sector["light_curves"])
    row, column = (float(sector["apertures"][f"star_{name}"][3]) for name in ("row", "column"))
    viewer._tapped(column + 0.3, row)
    assert viewer.star == 3
    assert str(data.FIRST_TIC + 3) in viewer.series_title()
    unnumbered = viewer.stars.assign(tic=xr.zeros_like(viewer.stars["tic"]))
    viewer.stars, numbered = unnumbered, viewer.stars
    assert viewer.series_title().startswith("Star 3 · Tmag")
    viewer.stars = numbered
    viewer.show_stars = False
    viewer._tapped(column + 0.3, row)
    assert viewer.star == -1
    assert viewer.series_title().startswith("Pixel at row")


def test_a_viewer_opens_on_the_brightest_star_with_a_light_curve_or_the_one_that_is_asked_for(sector):
    viewer = FrameViewer(sector["cube"], sector["apertures"], sector["light_curves"])
    assert viewer.star == 0
    viewer.choose(data.FIRST_TIC + 5)
    assert viewer.star == 5
    viewer.choose(1)
    assert viewer.star == 0
    assert FrameViewer(sector["cube"]).star == -1


def test_no_more_stars_are_marked_than_are_in_view_and_bright_enough(sector):
    viewer = FrameViewer(sector["cube"], sector["apertures"])
    row, column = (sector["apertures"][f"star_{name}"].values for name in ("row", "column"))
    near = viewer._in_view((column[2] - 1, column[2] + 1), (row[2] - 1, row[2] + 1), 20.0)
    assert 2 in near
    assert (np.abs(row[near] - row[2]) <= 1).all()
    assert viewer._in_view(None, None, 0.0).size == 0


# Products


def test_a_light_curve_finds_the_very_apertures_it_was_made_from(sector, stored):
    newer = sector["apertures"].assign_attrs(provenance_id="ffffffffffff", provenance="{}")
    store.write_product(newer)
    opened = open_ancestor(stored, "apertures")
    assert opened.attrs["provenance_id"] == sector["apertures"].attrs["provenance_id"]


def test_a_parent_that_is_gone_is_none(sector):
    assert open_ancestor(sector["light_curves"], "apertures") is None


def test_the_ids_behind_a_light_curve_are_shown(sector, stored):
    facts = products.describe(stored)
    assert stored.attrs["provenance_id"] in facts["product"]
    assert sector["apertures"].attrs["provenance_id"] in facts["apertures"]


def test_the_overview_counts_products_and_reviewed_stars(stored):
    for verdict in ("accept", "reject"):
        database.save_review("s0001-1-2", stored.attrs["provenance_id"], 4, verdict=verdict)
    database.save_review("s0001-1-2", stored.attrs["provenance_id"], 5, comment="later")
    table = holdings.units(store.list_products(), database.reviews())
    assert table["unit"].tolist() == ["s0001-1-2"]
    assert table["products"].tolist() == [3]
    assert table["reviewed"].tolist() == [1]
    assert table["light_curves"].tolist() == [stored.attrs["provenance_id"]]
    assert table["verdict"].tolist() == [""]
    database.save_review("s0001-1-2", stored.attrs["provenance_id"], WHOLE_CCD, verdict="accept")
    table = holdings.units(store.list_products(), database.reviews())
    assert (table["reviewed"][0], table["verdict"][0]) == (1, "accept")


@pytest.mark.usefixtures("stored")
def test_the_overview_tells_what_failed_until_it_was_made():
    def end(status: str, message: str = "") -> str:
        run = database.start_run("photometry", "15_psf", "s0001-1-2")
        database.finish_run(run, status, message=message)
        return " ".join(str(part.object) for part in overview.page().select() if hasattr(part, "object"))

    said = end("failed", "fit_psf: no star <bright> enough")
    assert "Sector 1 · camera 1 · CCD 2 · 15_psf" in said
    assert "fit_psf: no star &lt;bright&gt; enough" in said
    assert "Runs that failed" in said
    assert "Runs that failed" not in end("made")


def test_what_was_run_can_be_opened_again_the_newest_first_and_then_what_is_made_here():
    for number, cube in enumerate(("old/", "frames/")):
        place = {"sector": 1, "camera": 1, "ccd": 2 + number}
        database.start_run(
            "photometry", "10_quality", f"s0001-1-{2 + number}", parameters=place | {"cube": cube}
        )
    found = available(["simulation.demo", "simulation.tiny"])
    names = [f"Sector 1 · camera 1 · CCD {text}" for text in ("3 · frames/", "2 · old/")]
    assert list(found) == [*names, "simulation.tiny", "simulation.demo"]
    assert found[names[1]] == {"cube": "old/", "sector": "1", "camera": "1", "ccd": "2"}


# Pages and server


def test_a_page_is_not_told_that_another_works():
    page = theme.make_page("overview", main=[])
    with edit_readonly(pn.state):
        pn.state.busy = True
    told = page.busy
    with edit_readonly(pn.state):
        pn.state.busy = False
    assert not told


def test_an_address_keeps_ids_that_look_like_numbers_and_loses_what_is_not_shown():
    with set_curdoc(Document()):
        pn.state.location.search = "?id=0070e2345678&unit=s0001-1-2&run=4"
        theme.in_address(tic=12, run=None)
        assert pn.state.location.search == "?id=0070e2345678&unit=s0001-1-2&tic=12"


def test_a_file_is_saved_without_a_warning_of_the_library():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = theme.download("CSV", lambda: io.BytesIO(b"1"), "one.csv")
        given = theme.download("mp4", io.BytesIO(b"1"), "one.mp4")
    assert made.variant == given.variant == "outlined"
    assert (made.callback().read(), given.file.read()) == (b"1", b"1")


def test_the_frames_page_opens_on_something_even_where_nothing_was_run(monkeypatch):
    opened = []
    monkeypatch.setattr(
        "tasoc_kit.dashboards.frames.controls", lambda viewer: opened.append(viewer.title()) or []
    )
    pages()["frames"]()
    assert opened == ["Sector 1 · camera 1 · CCD 2"]


@pytest.mark.parametrize(
    "name", ["/", "overview", "light_curves", "validation", "corrections", "spectrum", "variability"]
)
def test_an_empty_store_is_answered_with_the_command_that_fills_it(name):
    page = pages()[name]()
    words = " ".join(
        str(part.object) for part in page.select() if isinstance(getattr(part, "object", 0), str)
    )
    assert "tasoc " in words


def test_a_verdict_is_kept_with_the_product_and_the_next_star_comes_up(stored):
    view = LightCurves(stored)
    first = view.star
    view.verdict.comment.value = "clear dip"
    view.review("accept")
    said = database.reviews("s0001-1-2", id=stored.attrs["provenance_id"])
    assert said[["star", "verdict", "comment"]].values.tolist() == [[first, "accept", "clear dip"]]
    assert said["tic"][0] == data.FIRST_TIC + first
    assert view.star == first + 1
    assert LightCurves(stored).stars.at[first, "verdict"] == "accept"


def test_a_verdict_can_be_taken_back_and_a_ccd_judged_as_a_whole(stored):
    view = LightCurves(stored)
    view.go_on.value = False
    view.review("reject")
    view.review("")
    view.of_the_ccd.comment.value = "stray light"
    view.of_the_ccd.say("reject")
    said = database.reviews("s0001-1-2", history=True)
    assert said[["star", "verdict"]].values.tolist() == [[0, "reject"], [0, ""], [WHOLE_CCD, "reject"]]
    again = LightCurves(stored)
    assert again.stars.at[0, "verdict"] == "open"
    assert (again.of_the_ccd.verdict, again.of_the_ccd.comment.value) == ("reject", "stray light")


def test_another_star_replaces_the_numbers_of_a_figure_and_not_the_figure(sector):
    curves = sector["light_curves"]
    series = SeriesFigure(curves)
    series.show(3, "flux", relative=False)
    drawn = series.pane.object
    series.show(1, "flux", relative=False)
    assert series.pane.object is drawn
    good = series._sources[-1].data
    np.testing.assert_array_equal(good["flux"], curves["flux"].values[1][one_star(curves, 1)["good"]])
    assert series._range.start < good["flux"].min() < good["flux"].max() < series._range.end
    series.show(1, "background", relative=False)
    assert series.pane.object is not drawn
    stamp = StampFigure(sector["reference"], sector["apertures"])
    stamp.show(3)
    drawn = stamp.pane.object
    stamp.show(4)
    assert stamp.pane.object is drawn
    assert drawn.x_range.start < float(sector["apertures"]["star_column"][4]) < drawn.x_range.end


def test_a_tap_on_a_point_of_the_noise_figure_names_its_star(sector):
    tapped = []
    figure = NoiseFigure(sector["light_curves"], measure_noise(sector["light_curves"]), tapped.append)
    source = figure.pane.object.renderers[0].data_source.data
    figure._tapped(float(source["tmag"][4]) + 0.02, float(source["ptp"][4]) * 1.02, tapped.append)
    assert tapped == [int(source["star"][4])]
    figure._tapped(float(source["tmag"][4]), 1e6 * float(source["ptp"][4]), tapped.append)
    assert len(tapped) == 1


def test_the_noise_of_a_product_is_filled_in_behind_the_page(stored):
    import asyncio

    view = LightCurves(stored)
    assert view.stars["ptp"].isna().all()
    asyncio.run(view.measure())
    assert np.isfinite(view.stars["ptp"][:-1]).all()


def test_a_light_curve_is_downloaded_with_its_id_and_reads_back(stored):
    view = LightCurves(stored, tic=data.FIRST_TIC + 2)
    assert view.star == 2
    text = view._file("csv")
    assert stored.attrs["provenance_id"] in text.getvalue().decode()
    for table in (pd.read_csv(text, comment="#"), pd.read_parquet(view._file("parquet"))):
        np.testing.assert_allclose(table["flux"], stored["flux"][2].values, rtol=1e-6)
    assert table.attrs["provenance_id"] == stored.attrs["provenance_id"]


# A CCD as a whole


def test_stars_are_grouped_by_what_became_of_them_the_largest_group_in_the_quiet_colour(sector):
    stars = make_table(sector["light_curves"], sector["apertures"])
    grouped = group_stars(stars, "status")
    assert grouped["group"].value_counts().to_dict() == {"OK": len(stars) - 2, "SKIPPED": 1, "WARNING": 1}
    assert grouped.groupby("group")["colour"].nunique().max() == 1
    assert grouped.loc[grouped["group"] == "OK", "colour"].iloc[0] == STAR
    assert "OK 10" in legend_markup(grouped)
    assert set(group_stars(stars, "contamination")["group"]) == {
        "under 1 %", "1 to 10 %", "10 to 30 %", "over 30 %",
    }  # fmt: skip
    flagged = stars.assign(flags=int(ApertureFlag.EDGE | ApertureFlag.STRAP))
    assert set(group_stars(flagged, "how the aperture was made")["group"]) == {"edge"}
    assert count_flags(flagged) == {"edge": "12", "strap": "12"}


def test_a_tap_on_the_image_of_a_ccd_chooses_the_nearest_star_and_none_beside(stored):
    from tasoc_kit.dashboards.ccd import CcdView

    view = CcdView(stored, tic=data.FIRST_TIC + 2)
    assert view.star == 2
    view.picture(width=300, height=300)
    view._taps[-1].event(x=float(view.stars.at[4, "column"]) + 0.3, y=float(view.stars.at[4, "row"]))
    assert view.star == 4
    view._taps[-1].event(x=-500.0, y=-500.0)
    assert view.star == 4


def test_the_pages_say_why_a_star_was_skipped(stored):
    from tasoc_kit.dashboards.ccd import CcdView

    view = CcdView(stored, tic=data.FIRST_TIC + 11)
    assert view.chosen.object.endswith(" · 0 pixels · too faint for an aperture</p>")
    view.star = 1
    assert view.chosen.object.endswith(" · 9 pixels</p>")
    curves = LightCurves(stored, tic=data.FIRST_TIC + 11)
    assert curves.title()[1].endswith(" · too faint for an aperture")


def test_a_page_leads_to_the_products_it_was_made_from_and_to_the_star(stored):
    links = SameCcd("ccd", stored)
    links.show(data.FIRST_TIC)
    text = links.pane.object
    assert (
        f"light_curves?unit=s0001-1-2&amp;id={stored.attrs['provenance_id']}&amp;tic={data.FIRST_TIC}" in text
    )
    assert f"star?tic={data.FIRST_TIC}" in text
    assert "psf" not in text
    assert "./ccd" not in text


@pytest.mark.parametrize(
    ("frames", "shape", "wanted", "every", "binned"),
    [
        (128, (320, 364), 60, 2, 1),
        (1282, (2078, 2136), 60, 21, 4),
        (30, (64, 64), 60, 1, 1),
        (99, (9, 9), 0, 1, 1),
    ],
)
def test_a_movie_is_planned_to_take_seconds_and_fit_the_page(frames, shape, wanted, every, binned):
    assert plan_movie(frames, shape, wanted) == {"every": every, "bin": binned}


def test_a_movie_of_the_open_cube_is_made_in_memory(sector, tmp_path):
    film = MovieMaker(sector["cube"], "frames").write(tmp_path, 6, False)
    assert film[4:8] == b"ftyp"


def test_an_error_outside_of_a_browser_is_raised_as_it_is():
    def broken():
        raise ZeroDivisionError("by nought")

    with pytest.raises(ZeroDivisionError, match="by nought"):
        or_failed("ccd", broken)()


def test_the_noise_of_a_product_is_measured_once_for_visitors_who_come_together():
    curves = data.make_light_curves(data.make_apertures(data.make_reference(data.make_cube())))
    together = threading.Barrier(4)

    def visit(_number: int) -> xr.Dataset:
        together.wait()
        return products.measured_noise(curves)

    with ThreadPoolExecutor(4) as visitors:
        found = list(visitors.map(visit, range(4)))
    assert all(one is found[0] for one in found)


def test_a_taken_port_is_named_with_another_to_try():
    server = make_server(port=0)
    try:
        with pytest.raises(TasocKitError, match=rf"{server.port}.*--port {server.port + 1}"):
            make_server(port=server.port)
    finally:
        server.stop()


@pytest.mark.parametrize("given", [{"address": "::1"}, {"origins": ("https://hub.example.org",)}])
def test_what_no_browser_is_let_in_by_is_said(given):
    with pytest.raises(TasocKitError, match=r"::1|hub.example.org.*Correct --address or --origin"):
        make_server(port=0, **given)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_stops_when_it_is_told_to(number, tmp_path):
    code = (
        "from tasoc_kit.dashboards.app import serve; serve(port=0, ready=lambda url: print(url, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ | {"TASOC_STORE": str(tmp_path)}
    ) as server:
        assert server.stdout.readline().startswith(b"http://127.0.0.1:")
        server.send_signal(number)
        assert server.wait(timeout=60) == 0


# The methods of photometry


@pytest.fixture
def by_two_methods(sector: dict[str, xr.Dataset], stored: xr.Dataset) -> xr.Dataset:
    """Light curves beside which the store has those of PSF photometry."""
    store.write_product(data.make_psf_light_curves(sector["light_curves"], sector["apertures"]))
    return stored


def test_a_light_curve_is_shown_and_saved_by_the_method_that_is_asked_for(by_two_methods):
    tic = data.FIRST_TIC + 3
    page = LightCurves(by_two_methods, tic)
    assert page.shown_series()[0] == "aperture"
    page.method = "PSF"
    name, curves, place = page.shown_series()
    assert (name, int(curves["tic"][place])) == ("PSF", tic)
    saved = pd.read_csv(page._file("csv"), comment="#")
    expected = 2 * by_two_methods["flux"].values[3]
    np.testing.assert_allclose(saved["flux"], expected, rtol=1e-5)
    assert LightCurves(by_two_methods, tic, "PSF").method == "PSF"
    assert LightCurves(by_two_methods, tic, "halo").method == "best"


def test_what_a_method_does_not_have_is_shown_by_apertures_and_said(by_two_methods):
    page = LightCurves(by_two_methods, data.FIRST_TIC + 10, "PSF")
    assert page.shown_series()[0] == "aperture"
    assert "no light curve by PSF" in page.curve_title.object
    page.star = 3
    page.quantity = "centroid row (pix)"
    assert page.shown_series()[0] == "aperture"


def test_the_noise_of_every_method_is_told(by_two_methods):
    methods = StarMethods(family_of(by_two_methods))
    noise = methods.noise(3)
    assert list(noise) == ["aperture", "PSF"]
    assert noise["PSF"] == pytest.approx(noise["aperture"], rel=1e-5)  # twice of both flux and scatter


def test_light_curves_of_an_older_run_keep_the_other_methods_of_that_run(sector, by_two_methods):
    own = family_of(by_two_methods).beside[Method.PSF].attrs["provenance_id"]
    again = sector["apertures"].assign_attrs(mode="round")
    record = Record("make_apertures", 2, {}, [sector["reference"].attrs["provenance_id"]])
    again = stamp(again, record, [sector["reference"]])
    newer = data.make_light_curves(again)
    for product in (again, newer, data.make_psf_light_curves(newer, again)):
        store.write_product(product)
    assert store.find_product("psf_light_curves").id != own
    assert family_of(by_two_methods).beside[Method.PSF].attrs["provenance_id"] == own
    assert lineage(family_of(newer).beside[Method.PSF]).keys() >= {again.attrs["provenance_id"]}
