"""Claims about the status of a star and the words for it, each from a field where it is so."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from star_field import add_star, as_reference, as_stars, bleed

from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.diagnostics import make_diagnostics
from tasoc_kit.photometry.messages import star_messages
from tasoc_kit.vocabulary import EdgeSide, KitQuality, Status, TessQuality

SIZE = 60


def field(*stars: tuple[float, float, float], lost: object = None, **settings: object) -> xr.Dataset:
    """Return the apertures of stars at (row, column, tmag) on a field of noise; some pixels may be lost."""
    image = np.random.default_rng(8).normal(0, 0.5, (SIZE, SIZE))
    for row, column, tmag in stars:
        if np.isfinite([row, column, tmag]).all():
            add_star(image, row, column, tmag)
    bleed(image)
    if lost is not None:
        image[lost] = np.nan
    row, column, tmag = np.array(stars, dtype=float).T
    return make_apertures(as_reference(image), as_stars(row, column + 44, tmag), **settings)


CONDITIONS = {
    "a lone star": ([(30, 30, 10)], {}, Status.OK, ""),
    "off the silicon": (
        [(-3, 30, 9), (30, 30, 9)], {}, Status.ERROR, "off the frame, at row -3.0, column 74.0",
    ),
    "without a position": ([(np.nan, np.nan, 9), (30, 30, 9)], {}, Status.ERROR, "without a position"),
    "where pixels are lost": (
        [(10, 10, 9), (30, 30, 9)], {"lost": np.s_[:20, :20]}, Status.ERROR,
        "no pixel with a value about row 10.0, column 54.0",
    ),
    "on the edge": (
        [(30, 0.2, 9)], {}, Status.WARNING, "its aperture ends at the first column of the data, with 17,2",
    ),
    "in the corner": ([(59, 59, 9)], {}, Status.WARNING, "the last row and the last column of the data"),
    "too faint to be seen": (
        [(30, 30, 19.5), (10, 10, 9)], {"threshold": 3.0}, Status.WARNING,
        "stands out too little for a mask: the 9 pixels within 1 pixel of it",
    ),
    "in one pixel with a brighter star": (
        [(30.3, 30.2, 12), (29.8, 29.9, 10)], {}, Status.SKIPPED,
        "in one aperture with TIC 2 (Tmag 10.00), 0.6 pixels away",
    ),
    "in the aperture of a brighter star": (
        [(30, 30, 14), (31.4, 30.8, 9)], {}, Status.SKIPPED,
        "in one aperture with TIC 2 (Tmag 9.00), 1.6 pixels away",
    ),
    "fainter than what is wanted": (
        [(30, 31, 10.5)], {"faintest": 10.2}, Status.SKIPPED, "too faint for an aperture",
    ),
    "saturated": ([(30, 30, 5)], {}, Status.OK, "saturated"),
    "with a companion": (
        [(30, 30, 10), (30.2, 30.2, 11)], {}, Status.OK, "28 % of the light is of other stars",
    ),
}  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_star_has_the_status_of_its_condition_and_a_word_for_it(condition):
    stars, settings, status, told = CONDITIONS[condition]
    made = field(*stars, **settings)
    assert Status(int(made["status"][0])) is status
    message = str(star_messages(made)[0])
    assert told in message
    assert bool(message) == bool(told)


def test_every_status_arises():
    assert {status for _, _, status, _ in CONDITIONS.values()} == set(Status)


def test_a_star_that_is_no_target_says_so():
    stars = as_stars([30.0], [74.0], [10.0]).assign(priority=("star", np.zeros(1, np.int32)))
    image = np.random.default_rng(1).normal(0, 0.5, (SIZE, SIZE))
    add_star(image, 30, 30, 10)
    made = make_apertures(as_reference(image), stars)
    assert made["status"].values.tolist() == [Status.SKIPPED]
    assert star_messages(made).tolist() == ["no target"]


def test_a_mask_that_outgrows_its_largest_stamp_says_how_large_that_was():
    image = np.random.default_rng(5).normal(0, 1, (600, 220))
    add_star(image, 300.2, 110.1, 1.0)
    bleed(image)
    made = make_apertures(as_reference(image), as_stars([300.2], [154.1], [5.0]))
    assert made["edge_sides"].values.tolist() == [0]
    told = str(star_messages(made)[0])
    assert "the border of its stamp of " in told
    assert "enlarged 10 times, with " in told
    assert told.endswith("; saturated")


def test_the_sides_are_those_on_which_the_pixels_are_the_last():
    made = field((0, 30, 9), (59, 30, 9), (30, 0, 9), (30, 59, 9), (30, 30, 9))
    one_by_one = [EdgeSide.FIRST_ROW, EdgeSide.LAST_ROW, EdgeSide.FIRST_COLUMN, EdgeSide.LAST_COLUMN, 0]
    assert made["edge_sides"].values.tolist() == one_by_one


def test_scattered_light_on_some_cadences_is_no_status_and_on_all_of_them_an_error(sector):
    curves = sector.light_curves.copy()
    before = make_diagnostics(curves, sector.apertures, sector.quality)
    star = int(np.flatnonzero(before["message"].values == "")[3])
    bits = curves["pixel_quality"].values.copy()
    bits[star, ::2] |= KitQuality.SKY_RESIDUAL
    some = make_diagnostics(
        curves.assign(pixel_quality=(("star", "time"), bits)), sector.apertures, sector.quality
    )
    assert (some["status"][star], some["message"][star]) == (Status.OK, "")
    bits[star] |= KitQuality.SKY_RESIDUAL
    lost = make_diagnostics(
        curves.assign(pixel_quality=(("star", "time"), bits)), sector.apertures, sector.quality
    )
    assert lost["status"][star] == Status.ERROR
    assert lost["message"][star] == "no finite flux in a good cadence"
    others = np.delete(np.arange(before.sizes["star"]), star)
    np.testing.assert_array_equal(lost["message"][others], before["message"][others])
    all_dark = sector.quality.assign(quality=sector.quality["quality"] | TessQuality.SCATTERED_LIGHT)
    assert set(make_diagnostics(curves, sector.apertures, all_dark)["status"].values) <= {
        Status.ERROR,
        Status.SKIPPED,
    }


def test_in_a_whole_sector_every_star_that_is_not_ok_has_a_message(sector):
    made = make_diagnostics(sector.light_curves, sector.apertures, sector.quality)
    doubtful = made["status"].values != Status.OK
    assert doubtful.any()
    assert (made["message"].values[doubtful] != "").all()
    skipped = np.flatnonzero(sector.apertures["skipped_by"].values >= 0)
    for star in skipped[:20]:
        other = int(sector.apertures["skipped_by"][star])
        assert f"TIC {int(sector.apertures['tic'][other])} " in str(made["message"][star].values)
    of_some = make_diagnostics(sector.light_curves.isel(star=skipped), sector.apertures, sector.quality)
    np.testing.assert_array_equal(of_some["message"], made["message"][skipped])


def test_psf_photometry_has_words_of_its_own(sector):
    curves = sector.light_curves.drop_vars("aperture_flags")
    stars = curves.sizes["star"]
    status = np.full(stars, Status.OK, np.int8)
    status[:4] = Status.WARNING, Status.WARNING, Status.ERROR, Status.SKIPPED
    neighbour, correlation = np.full((stars, 2), -1, np.int32), np.zeros((stars, 2), np.float32)
    neighbour[0], correlation[0] = (5, 7), (-0.83, 0.1)
    both = ("star", "neighbour")
    curves = curves.assign(neighbour=(both, neighbour), psf_correlation=(both, correlation))
    curves = curves.assign(status=("star", status))
    told = make_diagnostics(curves, sector.apertures, sector.quality)["message"].values
    assert told[0].startswith(f"hard to tell from TIC {int(sector.apertures['tic'][5])} (Tmag ")
    assert told[0].endswith("their errors correlate by -0.83")
    assert told[1] == "one source with a star too close to tell apart"
    assert told[2] == "no finite flux in a good cadence"
    assert told[3] == "no PSF flux: off the frame, or too faint"
    assert set(told[4:]) <= {"", told[2]}
