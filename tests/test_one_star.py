"""Claims about the one call that measures one star."""

import importlib.util
import re

import numpy as np
import pytest

import tasoc_kit as tk
from tasoc_kit.errors import SourceError, install_line
from tasoc_kit.photometry.one_star import light_curve


def test_one_call_gives_what_the_pipeline_gives(sector):
    star = int(np.flatnonzero((sector.light_curves["status"] == 1) & (sector.light_curves["tmag"] < 11))[0])
    tic = int(sector.light_curves["tic"][star])
    curve = light_curve(f"TIC {tic}", cube=sector.cube, catalogue=str(sector.folder / "stars.parquet"))
    alone, together = curve.data["flux"].values, sector.light_curves["flux"].values[star]
    assert int(curve.data["tic"]) == tic
    # Only the pixels around the star are read, so sky and threshold differ a little, not the signal.
    change = alone / np.median(alone) - together / np.median(together)
    assert np.std(change) < 3 * float(np.median(curve.data["flux_err"]) / np.median(alone))


def test_pi_mensae_is_found_in_its_cutout(shared_data):
    path = shared_data("tess_ffi/tess-s0001-4-2_84.291190_-80.469170_6x6_astrocut.fits")
    with pytest.warns(UserWarning, match="middle of the cutout"):
        curve = tk.light_curve("TIC 261136679", cube=str(path))
    flux = curve.data["flux"].values
    # A star of T 5.1 sends 1.4 million electron/s, of which 36 pixels hold most.
    assert 0.9e6 < np.median(flux) < 1.5e6
    assert np.median(np.abs(np.diff(flux))) / np.median(flux) < 300e-6
    assert "TIC 261136679" in repr(curve)


def test_a_target_pixel_file_names_its_own_star(shared_data):
    curve = light_curve(cube=str(shared_data("tess_ffi/tess25155310-s01-first-cadences.fits.gz")))
    assert int(curve.data["tic"]) == 25155310
    assert abs(float(curve.data["tmag"]) - 10.555) < 0.01


def test_a_target_pixel_file_is_not_taken_for_that_of_another_star(shared_data):
    path = shared_data("tess_ffi/tess25155310-s01-first-cadences.fits.gz")
    with pytest.raises(SourceError, match="those of TIC 25155310"):
        light_curve("TIC 261136679", cube=str(path))


def test_kepler_pixels_are_measured_too(shared_data):
    curve = light_curve(cube=str(shared_data("kepler_pixels/tpf_test_00.fits")))
    assert (curve.data["flux"].values > 1000).all()


def test_every_sector_of_a_zip_gives_the_same_star(shared_data):
    path = shared_data("tess_ffi/tess-multisector_102.7_-70.5_3x3_astrocut.zip")
    levels = []
    for number in (2, 6, 13):
        cube = tk.open_cube(str(path), sector=number)
        levels.append(float(np.nanmedian(light_curve("102.7 -70.5", cube=cube).data["flux"])))
    assert np.isfinite(levels).all()


def test_the_figure_shows_curve_and_aperture(sector):
    place = f"{float(sector.stars['ra'][5])} {float(sector.stars['dec'][5])}"
    figure = light_curve(place, cube=sector.cube, catalogue=sector.stars).plot()
    assert len(figure) == 2


def test_a_star_off_the_pixels_is_told_plainly(sector):
    with pytest.raises(SourceError, match="Ask 'tasoc where'"):
        light_curve("10.0 10.0", cube=sector.cube, catalogue=sector.stars)


def test_a_full_frame_needs_a_target(sector):
    with pytest.raises(SourceError, match="no target was given for a full frame"):
        light_curve(cube=sector.cube.assign_attrs(field=""))


@pytest.mark.skipif(importlib.util.find_spec("lightkurve") is None, reason="lightkurve (extra oracle)")
def test_lightkurve_takes_the_curve(sector):
    curve = light_curve("TIC 9000000010", cube=sector.cube, catalogue=sector.stars).to_lightkurve()
    assert len(curve) == sector.cube.sizes["time"]


@pytest.mark.skipif(importlib.util.find_spec("lightkurve") is not None, reason="lightkurve is installed")
def test_without_lightkurve_the_extra_is_named(sector):
    curve = light_curve("TIC 9000000010", cube=sector.cube, catalogue=sector.stars)
    with pytest.raises(SourceError, match=re.escape(install_line("oracle"))):
        curve.to_lightkurve()
