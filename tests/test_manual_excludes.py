"""Manual excludes: whole frames, and regions whose cells and stars are left out while pixels stay."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tasoc_kit.errors import SourceError
from tasoc_kit.photometry.conditions.manual_excludes import without_excluded_cells
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.quality import good_cadences, make_quality
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.sources.manual_excludes import read_manual_excludes
from tasoc_kit.vocabulary import KitQuality

HEAD = "sector,camera,ccd,first_cadenceno,last_cadenceno,first_row,last_row,first_column,last_column,reason\n"
MANUAL = int(KitQuality.MANUAL_EXCLUDE)


def unit(cadences: list[int], sector: int, camera: int, ccd: int) -> xr.Dataset:
    """Return the tables of a whole CCD without its pixels."""
    coords = {
        "time": np.arange(len(cadences)) / 48 + 1325.0,
        "cadenceno": ("time", np.asarray(cadences, np.int32)),
        "quality": ("time", np.zeros(len(cadences), np.int32)),
        "row": np.arange(2048),
        "column": np.arange(44, 2092),
    }
    return xr.Dataset(coords=coords, attrs={"sector": sector, "camera": camera, "ccd": ccd})


@pytest.mark.parametrize(
    ("sector", "camera", "excluded"),
    [(5, 1, [False, True, True, False]), (5, 2, [False] * 4), (6, 1, [False] * 4)],
)
def test_earth_light_spoils_whole_frames_of_one_camera_of_sector_5(sector, camera, excluded):
    quality = make_quality(unit([11353, 11354, 11366, 11367], sector, camera, 3))
    np.testing.assert_array_equal(quality["frame_quality"].values == MANUAL, excluded)
    assert "region_row" not in quality
    np.testing.assert_array_equal(good_cadences(quality), ~np.array(excluded))


def test_an_excluded_frame_keeps_the_bits_that_it_had():
    outlier = int(KitQuality.POINTING_OUTLIER)
    cube = unit([11353, 11354], 5, 1, 3).assign_coords(frame_quality=("time", np.full(2, outlier, np.int32)))
    assert make_quality(cube)["frame_quality"].values.tolist() == [outlier, outlier | MANUAL]


def test_mars_spoils_an_output_of_one_ccd_at_the_start_of_sector_1():
    quality = make_quality(unit([4697, 4724, 4725], 1, 1, 4))
    assert not quality["frame_quality"].any()
    assert quality["region_column"].values.tolist() == [[1580, 2135]]
    assert quality["region_cadenceno"].values.tolist() == [[0, 4724]]
    assert "Mars" in quality.attrs["excluded_regions"][0]
    for other in (unit([4725], 1, 1, 4), unit([4697], 1, 1, 3), unit([4697], 2, 1, 4)):
        assert "region_row" not in make_quality(other)


@pytest.fixture(scope="module")
def bright_corner(sector, tmp_path_factory):
    """The sector with a planet in a corner of its first frames, in the cells and in nothing else."""
    table = tmp_path_factory.mktemp("excludes") / "mine.csv"
    last = int(sector.cube["cadenceno"][9])
    table.write_text(f"# mine\n{HEAD}1,,,,{last},0,63,200,,a planet\n")
    quality = make_quality(sector.cube, excludes=read_manual_excludes(table))
    cells = sector.stream["cells"].copy()
    columns = sector.stream["column_cells"].copy()
    cells[:10, :4, 9:] += 500.0
    columns[:10, :1, 156:] += 500.0
    return sector.stream.assign(cells=cells, column_cells=columns), quality


def test_only_the_cells_of_the_region_are_left_out(bright_corner, sector):
    stream, quality = bright_corner
    left, share = without_excluded_cells(stream, quality)
    changed = (left["cell_used"] != stream["cell_used"]).values
    touched = np.zeros_like(changed)
    first = (200 - int(sector.cube["column"][0])) // 16
    touched[:10, :4, first:] = (stream["cell_used"].values > 0)[:10, :4, first:]
    np.testing.assert_array_equal(changed, touched)
    assert share[0] == pytest.approx(touched[0].size and 4 * (16 - first) / 256)
    assert share[10] == 0
    xr.testing.assert_identical(left["cells"], stream["cells"])


def test_the_sky_elsewhere_does_not_see_the_region(bright_corner, sector):
    stream, quality = bright_corner
    sky = fit_sky(stream, sector.reference, quality)
    np.testing.assert_allclose(sky["sky_median"][10:], sector.sky["sky_median"][10:], atol=1e-4)
    np.testing.assert_allclose(sky["sky_median"], sector.sky["sky_median"], atol=0.5)
    rough = int(KitQuality.SKY_RESIDUAL)
    spoiled = fit_sky(stream, sector.reference, sector.quality)
    flagged = [((made["frame_quality"].values & rough) != 0)[:10] for made in (sector.sky, sky, spoiled)]
    # Fewer cells may tip a frame that is near the limit; the planet itself tips all.
    assert (flagged[0] != flagged[1]).sum() <= 1
    assert flagged[2].all()


def test_the_stars_of_the_region_have_the_bit_and_keep_their_pixels(bright_corner, sector):
    stream, quality = bright_corner
    made = make_light_curves(stream, sector.sky, sector.apertures, sector.reference, quality).compute()
    bits = (made["pixel_quality"] & MANUAL) != 0
    row, column = np.rint(made["star_row"]), np.rint(made["star_column"])
    inside = ((row >= 0) & (row <= 63) & (column >= 200)).values
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(bits.values, inside[:, None] & (np.arange(48) < 10)[None, :])
    np.testing.assert_array_equal(made["pixel_quality"] & ~MANUAL, sector.light_curves["pixel_quality"])
    np.testing.assert_array_equal(made["flux"], sector.light_curves["flux"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sector,camera\n1,2\n", r"it has no \['ccd', 'first_cadenceno'"),
        (HEAD + "1,1,1,9,3,,,,,late\n", "row 1: cadenceno from 9 to 3"),
        (HEAD + "1,1,1,x,3,,,,,what\n", "Unable to parse string"),
        ("", "no table of manual excludes"),
    ],
)
def test_a_table_that_cannot_be_is_refused(tmp_path, text, problem):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=rf"mine\.csv: .*{problem}.*Correct the table"):
        read_manual_excludes(path)
