"""Stars on the pixels and a person's targets among them: nobody is lost without a word."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.geometry import pixel_to_sky
from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.stars import MARGIN, locate_stars
from tasoc_kit.plots import fates, tally
from tasoc_kit.sources.target_list import read_targets
from tasoc_kit.vocabulary import VARIABLES, ApertureFlag, Fate, Status

ROWS, COLUMNS = np.arange(100, 160), np.arange(300, 372)
SCALE = 21.0 / 3600
WCS = "\n".join(
    f"{name:<8}= {value}"
    for name, value in {
        "CRVAL1": 359.99, "CRVAL2": -60.0, "CRPIX1": 337.0, "CRPIX2": 131.0,
        "CD1_1": -SCALE, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE,
    }.items()
)  # fmt: skip
# row, column, magnitude, TIC
STARS = (
    (110.0, 310.0, 9.0, 1),
    (120.2, 330.1, 10.0, 2),
    (120.3, 330.3, 11.0, 3),
    (140.0, 350.0, 8.0, 4),
    (102.0, 350.0, 10.5, 5),
    (99.7, 340.0, 9.5, 6),
    (97.0, 320.0, 9.5, 7),
    (80.0, 320.0, 9.5, 8),
    (150.0, 310.0, 17.0, 9),
    (150.0, 360.0, 11.0, 10),
)
UNLISTED = (130.0, 312.0, 10.0)


def make_reference() -> xr.Dataset:
    image = np.random.default_rng(1).normal(0, 0.3, (ROWS.size, COLUMNS.size))
    for row, column, tmag, *_ in (*STARS, UNLISTED):
        away = (ROWS[:, None] - row) ** 2 + (COLUMNS - column) ** 2
        image += 10 ** (0.4 * (ZERO_POINT - tmag)) * np.exp(-away / 2) / (2 * np.pi)
    return xr.Dataset(
        {
            "reference": (("row", "column"), image.astype(np.float32)),
            "star_mask": (("row", "column"), image > 3),
            "saturated": (("row", "column"), np.zeros(image.shape, bool)),
        },
        coords={"row": ROWS.astype(np.int32), "column": COLUMNS.astype(np.int32)},
        attrs={"wcs": WCS},
    )


def make_catalogue() -> xr.Dataset:
    row, column, tmag, tic = map(np.array, zip(*STARS, strict=True))
    ra, dec = pixel_to_sky(WCS, row, column)
    return xr.Dataset(
        {
            "tic": ("star", tic.astype(np.int64)),
            "ra": ("star", ra),
            "dec": ("star", dec),
            "tmag": ("star", tmag.astype(np.float32)),
        }
    )


REFERENCE, CATALOGUE = make_reference(), make_catalogue()


def sky(row: float, column: float) -> str:
    ra, dec = pixel_to_sky(WCS, row, column)
    return f"{float(ra):.8f} {float(dec):.8f}"


def locate(targets: list | None = None, **settings: object) -> xr.Dataset:
    return locate_stars(REFERENCE, CATALOGUE, read_targets(targets) if targets else None, **settings)


def by_tic(stars: xr.Dataset, name: str = "priority") -> dict[int, object]:
    return dict(zip(stars["tic"].values.tolist(), stars[name].values.tolist(), strict=True))


def test_stars_lie_where_they_are_and_priority_is_the_order_of_magnitude():
    stars = locate()
    truth = {tic: (row, column) for row, column, _, tic in STARS}
    for tic, row, column in zip(*(stars[n].values for n in ("tic", "star_row", "star_column")), strict=True):
        assert (row, column) == pytest.approx(truth[int(tic)], abs=1e-6)
    assert (np.diff(stars["tmag"].values) >= 0).all()
    assert by_tic(stars) == {4: 1, 1: 2, 6: 3, 2: 4, 5: 5, 3: 6, 10: 7, 7: 0}
    for name, variable in stars.variables.items():
        assert variable.dtype == VARIABLES[name].dtype


def test_every_star_that_is_not_there_is_counted_with_its_reason():
    stars = locate()
    assert stars.attrs["left_out"] == {"beyond the frame": 1, "fainter than 16 mag": 1}
    assert stars.attrs["no_targets"] == {"beside the frame": 1}
    assert stars.sizes["star"] + sum(stars.attrs["left_out"].values()) == len(STARS)
    assert tally(stars)["number"].sum() == len(STARS)


def test_rows_without_a_place_or_magnitude_and_repeated_ones_are_left_out_and_counted():
    bad = xr.concat([CATALOGUE, CATALOGUE.isel(star=[0, 1, 2, 3])], "star")
    for name, index in (("ra", 10), ("dec", 11), ("tmag", 12)):
        bad[name].values[index] = np.nan
    stars = locate_stars(REFERENCE, bad.assign_attrs(left_out=5))
    assert stars.attrs["left_out"] == {
        "no position or magnitude": 3,
        "listed twice in the catalogue": 1,
        "unusable in the catalogue": 5,
        "beyond the frame": 1,
        "fainter than 16 mag": 1,
    }
    np.testing.assert_array_equal(stars["tic"].values, locate()["tic"].values)


def test_of_two_stars_in_one_pixel_both_stay_and_the_brighter_has_the_pixels():
    stars = locate()
    made = make_apertures(REFERENCE, stars)
    status, flags = by_tic(made, "status"), by_tic(made, "aperture_flags")
    assert status[2] in (Status.OK, Status.WARNING)
    assert status[3] == Status.SKIPPED
    assert flags[3] & ApertureFlag.INSIDE_BRIGHTER
    assert made["tic"].values[by_tic(made, "skipped_by")[3]] == 2


def test_a_star_on_the_edge_is_served_and_flagged_and_one_beside_the_frame_is_not():
    made = make_apertures(REFERENCE, locate())
    status, flags, size = (by_tic(made, name) for name in ("status", "aperture_flags", "row_size"))
    assert size[6] > 0
    assert flags[6] & ApertureFlag.EDGE
    assert status[6] == Status.WARNING
    assert (size[7], status[7]) == (0, Status.ERROR)
    assert flags[7] & ApertureFlag.OUTSIDE


def test_a_list_of_numbers_and_positions_finds_its_stars_and_adds_those_that_are_none():
    targets = [10, sky(*UNLISTED[:2]), sky(110.1, 310.05), 77, sky(99.0, 320.0), sky(50.0, 320.0), "?", 2, 9]
    stars = locate(targets)
    fates_of = [Fate(fate).name for fate in stars["target_fate"].values]
    assert fates_of == [
        "FOUND", "FOUND", "FOUND", "NOT_IN_CATALOGUE", "OFF_FRAME", "OFF_FRAME", "NO_PLACE", "FOUND", "FOUND",
    ]  # fmt: skip
    index = stars["target_star"].values
    assert stars["tic"].values[index[[0, 2, 7, 8]]].tolist() == [10, 1, 2, 9]
    added = stars.isel(star=index[1])
    assert int(added["tic"]) == 0
    assert (float(added["star_row"]), float(added["star_column"])) == pytest.approx(UNLISTED[:2], abs=1e-5)
    assert float(added["tmag"]) == pytest.approx(UNLISTED[2], abs=0.35)
    assert stars.attrs["estimated_tmag"] == 1
    assert (index[[3, 4, 5, 6]] == -1).all()
    order = stars["tic"].values[np.argsort(stars["priority"].values)][-8:]
    assert stars["priority"].values[index[[2, 7, 1, 0, 8]]].tolist() == [1, 2, 3, 4, 5]
    assert set(order[-3:]) <= {4, 5, 6, 3}
    told = fates(stars)
    assert told["fate"].str.upper().str.replace(" ", "_").tolist() == fates_of
    assert told["star"].fillna(-1).tolist() == index.tolist()
    assert told.loc[0, "tic"] == 10
    assert told.loc[[2, 7, 1, 0, 8], "priority"].tolist() == [1, 2, 3, 4, 5]
    assert told.loc[3, ["star", "tmag", "priority"]].isna().all()
    counted = tally(stars).set_index(["what", "why"])["number"]
    assert counted["on the list"].to_dict() == {
        "found": 5, "no place": 1, "not in catalogue": 1, "off frame": 2,
    }  # fmt: skip


def test_the_priorities_of_a_list_win_over_magnitudes(tmp_path):
    (tmp_path / "mine.csv").write_text("tic,priority\n1,\n10,2\n5,1\n10,7\n")
    stars = locate_stars(REFERENCE, CATALOGUE, read_targets(tmp_path / "mine.csv"))
    priority = by_tic(stars)
    assert [priority[tic] for tic in (5, 10, 1, 4)] == [1, 2, 3, 4]
    assert [Fate(fate).name for fate in stars["target_fate"].values] == ["FOUND"] * 3 + ["REPEATED"]


def test_limits_and_exclusions_take_the_target_away_but_not_the_star():
    stars = locate([4, 3], brightest=9.2, exclude=[3, 10])
    priority = by_tic(stars)
    assert [priority[tic] for tic in (1, 3, 10)] == [0, 0, 0]
    assert priority[4] == 1
    assert stars.attrs["no_targets"] == {"beside the frame": 1, "excluded": 2, "too bright": 1}
    assert [Fate(fate).name for fate in stars["target_fate"].values] == ["FOUND", "EXCLUDED"]


def test_an_aperture_is_the_same_whoever_else_is_a_target():
    everybody = make_apertures(REFERENCE, locate())
    few = make_apertures(REFERENCE, locate([10, 3, 5], only_targets=True))
    assert locate([10], only_targets=True).attrs["no_targets"]["not on the list"] == 6
    first = np.concatenate([[0], np.cumsum(everybody["row_size"].values)])
    again = np.concatenate([[0], np.cumsum(few["row_size"].values)])
    names = everybody["tic"].values.tolist()
    for k, tic in enumerate(few["tic"].values.tolist()):
        j = names.index(tic)
        if tic in (10, 5):
            assert few["row_size"].values[k] == everybody["row_size"].values[j] > 0
            for name in ("pixel_row", "pixel_column"):
                np.testing.assert_array_equal(
                    few[name].values[again[k] : again[k + 1]], everybody[name].values[first[j] : first[j + 1]]
                )
        else:
            assert few["row_size"].values[k] == 0
    status = by_tic(few, "status")
    assert status[3] == status[4] == Status.SKIPPED


def test_targets_give_their_number_to_detected_stars_or_stand_for_themselves(tmp_path):
    places = [sky(140.2, 349.9), sky(115.0, 365.0)]
    rows = [f"{tic},{','.join(place.split())}" for tic, place in zip((44, 55), places, strict=True)]
    (tmp_path / "mine.csv").write_text("\n".join(["tic,ra,dec", *rows]))
    stars = locate_stars(REFERENCE, None, read_targets(tmp_path / "mine.csv"), faintest=20.0)
    assert stars.attrs["method"] == "detected"
    found = stars.isel(star=stars["target_star"].values)
    assert found["tic"].values.tolist() == [44, 55]
    assert float(found["star_row"][0]) == pytest.approx(140.0, abs=0.1)
    assert float(found["star_row"][1]) == pytest.approx(115.0, abs=1e-5)


def test_positions_need_a_plate_solution_and_numbers_do_not():
    blind = REFERENCE.assign_attrs(wcs="")
    with pytest.raises(StepInputError, match="1 targets have positions, but reference has no plate solution"):
        locate_stars(blind, None, read_targets([5, "1.0 2.0"]))
    stars = locate_stars(blind, None, read_targets([5]))
    assert Fate(int(stars["target_fate"][0])) is Fate.NOT_IN_CATALOGUE


def test_a_star_beyond_the_margin_is_not_on_the_list_of_stars():
    beyond = CATALOGUE.isel(star=[0, 1]).copy(deep=True)
    ra, dec = pixel_to_sky(WCS, ROWS[0] - MARGIN - 0.1, 320.0)
    beyond["ra"].values[1], beyond["dec"].values[1] = ra, dec
    assert locate_stars(REFERENCE, beyond)["tic"].values.tolist() == [1]


def test_a_field_without_stars_is_empty_not_an_error():
    stars = locate_stars(REFERENCE, CATALOGUE.isel(star=[]))
    assert stars.sizes["star"] == 0
    assert locate_stars(REFERENCE, CATALOGUE.isel(star=[]), read_targets([3]))["target_fate"].values == [2]
