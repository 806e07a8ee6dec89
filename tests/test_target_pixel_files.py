"""Claims about cutouts as target pixel files."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import tasoc_kit as tk
from tasoc_kit.errors import SourceError, StoreError
from tasoc_kit.exports.target_pixels import write_target_pixels
from tasoc_kit.photometry.skies.sky_images import sky_image


def products(sector) -> dict:
    names = ("apertures", "reference", "sky", "pointing")
    return {name: getattr(sector, name) for name in names}


def a_star(sector) -> int:
    """Index of a measured star well inside the frame."""
    curves, size = sector.light_curves, sector.cube.sizes["row"]
    row = curves["star_row"].values - int(sector.cube["row"][0])
    column = curves["star_column"].values - int(sector.cube["column"][0])
    inside = (row > 20) & (row < size - 20) & (column > 20) & (column < size - 20)
    return int(np.flatnonzero(inside & (curves["row_size"].values > 0) & (curves["tmag"].values > 9))[0])


def test_a_cutout_opens_again_as_the_pixels_it_was_cut_from(sector, tmp_path):
    star = a_star(sector)
    place = tuple(float(sector.light_curves[name][star]) for name in ("ra", "dec"))
    path = write_target_pixels(sector.cube, tmp_path / "cut.fits.gz", position=place, size=(9, 12))
    again = tk.open_cube(str(path))
    same = {name: again[name].values for name in ("row", "column")}
    assert (again.sizes["row"], again.sizes["column"]) == (9, 12)
    cut = sector.cube.sel(row=same["row"], column=same["column"])
    for name in ("flux", "flux_err", "quality", "cadenceno", "time", "timecorr"):
        np.testing.assert_allclose(again[name].values, cut[name].values, rtol=1e-6, err_msg=name)
    middle = [float(sector.light_curves[f"star_{axis}"][star]) for axis in ("row", "column")]
    assert abs(same["row"].mean() - middle[0]) <= 1
    assert abs(same["column"].mean() - middle[1]) <= 1
    assert again.attrs["background_subtracted"] == 0
    assert [again.attrs[name] for name in ("sector", "camera", "ccd")] == [
        sector.cube.attrs[name] for name in ("sector", "camera", "ccd")
    ]


def test_with_the_products_the_sky_is_taken_out_and_the_aperture_gives_the_light_curve(sector, tmp_path):
    from astropy.io import fits

    star = a_star(sector)
    tic = int(sector.light_curves["tic"][star])
    path = write_target_pixels(
        sector.cube, tmp_path / "cut.fits", tic=tic, size=21, products=products(sector)
    )
    with fits.open(path) as hdus:
        table, bits, head = hdus[1].data, hdus["APERTURE"].data, hdus["APERTURE"].header
        flux, sky = table["FLUX"].astype(float), table["FLUX_BKG"].astype(float)
        assert hdus[0].header["TICID"] == tic
        shift = table["POS_CORR1"], table["POS_CORR2"]
    row, column = head["CRVAL2P"] - 1, head["CRVAL1P"] - 1
    whole = sky_image(sector.sky, sector.reference, 7)
    corner = row - int(sector.reference["row"][0]), column - int(sector.reference["column"][0])
    np.testing.assert_allclose(
        sky[7], whole[corner[0] : corner[0] + 21, corner[1] : corner[1] + 21], rtol=1e-5
    )
    mask = bits & 2 > 0
    assert mask.sum() == int(sector.apertures["row_size"][star])
    summed, made = flux[:, mask].sum(axis=1), sector.light_curves["flux"].values[star]
    # The light curve is also cured of the pointing, which is a few electrons here.
    good = np.isfinite(made)
    assert np.abs(summed - made)[good].max() < 0.02 * np.nanmedian(made)
    assert tk.open_cube(str(path)).attrs["background_subtracted"] == 1
    assert np.isfinite(shift).all()


def test_a_cutout_at_the_edge_is_as_large_as_the_frame_allows(sector, tmp_path):
    from tasoc_kit.numerics.geometry import pixel_to_sky

    wcs = str(sector.reference.attrs["wcs"])
    corner = [int(sector.cube[name][0]) for name in ("row", "column")]
    ra, dec = pixel_to_sky(wcs, corner[0] + 1.0, corner[1] + 2.0)
    path = write_target_pixels(sector.cube, tmp_path / "edge.fits", position=(float(ra), float(dec)), size=9)
    again = tk.open_cube(str(path))
    assert (again.sizes["row"], again.sizes["column"]) == (6, 7)
    assert (int(again["row"][0]), int(again["column"][0])) == tuple(corner)


def test_what_cannot_be_cut_is_told_plainly(sector, tmp_path):
    path = tmp_path / "cut.fits"
    with pytest.raises(SourceError, match="falls far off these frames; .*Ask 'tasoc where'"):
        write_target_pixels(sector.cube, path, position=(10.0, 10.0))
    with pytest.raises(SourceError, match="TIC 17 is not among"):
        write_target_pixels(sector.cube, path, tic=17, products=products(sector))
    with pytest.raises(SourceError, match="expected one of the two"):
        write_target_pixels(sector.cube, path)
    path.write_text("mine")
    with pytest.raises(StoreError, match="--overwrite"):
        write_target_pixels(sector.cube, path, tic=17, products=products(sector))
    assert path.read_text() == "mine"


def test_only_the_pixels_of_the_cutout_are_read(sector, tmp_path, monkeypatch):
    from tasoc_kit.sources import frame_files

    sizes = []
    read = frame_files.FrameFiles.read

    def counted(self, i, row, column, out):
        sizes.append(out.shape)
        read(self, i, row, column, out)

    monkeypatch.setattr(frame_files.FrameFiles, "read", counted)
    tic = int(sector.light_curves["tic"][a_star(sector)])
    write_target_pixels(sector.cube, tmp_path / "cut.fits", tic=tic, size=7, products=products(sector))
    assert sizes
    assert max(rows for rows, _ in sizes) <= 7


@pytest.mark.skipif(importlib.util.find_spec("lightkurve") is None, reason="lightkurve (extra oracle)")
def test_lightkurve_takes_a_cutout_with_its_solution_and_mask(sector, tmp_path):
    import lightkurve

    star = a_star(sector)
    one = sector.light_curves.isel(star=star)
    path = write_target_pixels(
        sector.cube, tmp_path / "cut.fits", tic=int(one["tic"]), size=21, products=products(sector)
    )
    cutout = lightkurve.read(str(path), quality_bitmask="none")
    assert type(cutout).__name__ == "TessTargetPixelFile"
    assert (cutout.sector, cutout.camera, cutout.ccd) == tuple(
        one.attrs[n] for n in ("sector", "camera", "ccd")
    )
    assert cutout.pipeline_mask.sum() == int(one["row_size"])
    column, row = cutout.wcs.world_to_pixel_values(float(one["ra"]), float(one["dec"]))
    place = row + cutout.row - 1, column + cutout.column - 1
    assert np.hypot(place[0] - float(one["star_row"]), place[1] - float(one["star_column"])) < 0.01
    curve = cutout.to_lightcurve(aperture_mask="pipeline")
    np.testing.assert_array_equal(curve.time.btjd, one["time"].values)
    level = np.nanmedian(one["flux"].values)
    assert abs(np.nanmedian(curve.flux.value) - level) < 0.01 * level
    cutout.hdu.close()
