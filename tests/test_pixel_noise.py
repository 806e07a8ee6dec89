"""Claims about the noise of a pixel."""

import numpy as np
import pytest

from tasoc_kit.numerics.detector import nominal_noise, output_of_columns
from tasoc_kit.photometry.plan.pixel_noise import fit_noise, noise_of_columns
from tasoc_kit.simulation.write import write_sector
from tasoc_kit.sources.ffi import open_ffi, science
from tasoc_kit.sources.frame_reader import open_frames


def noise_over_uncertainty(cube, floor, slope, frame=0):
    """Return the ratio of the model's noise and the stated one, of unsaturated pixels (row, column)."""
    flux, error = (cube[name][frame].values.astype(float) for name in ("flux", "flux_err"))
    usual = (flux > 0) & (flux < 5e4) & (error > 0)
    with np.errstate(invalid="ignore"):
        return np.where(usual, np.sqrt(floor + slope * flux) / error, np.nan)


@pytest.fixture(scope="module")
def strip(tmp_path_factory):
    """The lowest rows of a whole CCD, which all four outputs read."""
    folder = tmp_path_factory.mktemp("strip")
    write_sector(folder, rows=64, columns=2048, frames=3, seed=2)
    return science(open_ffi(str(folder)))


def test_outputs_read_512_columns_each():
    output = output_of_columns(np.arange(2136))
    assert np.bincount(output).tolist() == [534] * 4
    assert output[[44, 555, 556, 1067, 1068, 1579, 1580, 2091]].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert output[[0, 10, 11, 43, 2092, 2135]].tolist() == [0, 0, 1, 3, 0, 3]


def test_every_output_has_its_own_line(strip):
    floor, slope = noise_of_columns(strip, open_frames(strip), np.arange(3))
    output = output_of_columns(strip["column"].values)
    ratio = noise_over_uncertainty(strip, floor, slope)
    for one in range(4):
        part = ratio[:, output == one]
        assert abs(np.nanmedian(part) - 1) < 0.002
        assert np.nanstd(part) < 0.01
        assert np.ptp(floor[output == one]) == 0
    # Read noises of 10.1, 7.5, 7.3 and 9.2 electrons.
    assert floor[output == 0][0] > 1.5 * floor[output == 2][0]


def test_the_uncertainties_of_a_real_frame_are_met_to_a_percent(shared_data):
    path = shared_data("tess_ffi/tess2018206192942-s0001-1-4-0120-s_ffic.fits")
    cube = science(open_ffi(str(path)))
    ratio = noise_over_uncertainty(cube, *noise_of_columns(cube, open_frames(cube), np.arange(1)))
    assert abs(np.nanmedian(ratio) - 1) < 0.01
    assert np.nanstd(ratio) < 0.01


def test_the_few_pixels_of_a_cutout_decide_one_line_together(strip):
    cutout = strip.isel(row=slice(0, 12), column=slice(500, 515))
    floor, slope = noise_of_columns(cutout, open_frames(cutout), np.arange(3))
    assert np.ptp(floor) == 0
    assert np.ptp(slope) == 0


def test_without_uncertainties_the_detector_gives_the_noise(strip):
    bare = strip.drop_vars("flux_err")
    floor, slope = noise_of_columns(bare, open_frames(bare), np.arange(3))
    assert (floor[0], slope[0]) == nominal_noise(strip.attrs["exposure"])


def test_outliers_and_missing_pixels_do_not_move_the_line():
    flux = np.geomspace(100, 5e4, 2000)
    variance = 0.04 + 7e-4 * flux
    flux[::400] += 300
    flux[3], variance[4] = np.nan, 0.0
    np.testing.assert_allclose(fit_noise(flux, variance), (0.04, 7e-4), rtol=1e-6)


def test_pixels_that_tell_no_line_give_none():
    assert fit_noise(np.full(9, 100.0), np.full(9, 0.1)) is None
    assert fit_noise(np.linspace(100, 200, 50), np.linspace(0.2, 0.1, 50)) is None
