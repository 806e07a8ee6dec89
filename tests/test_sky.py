"""Claims about the sky of every frame."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import binary_dilation
from sector import make_sector

from tasoc_kit.errors import StepInputError, StepParameterError
from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.photometry.skies.straps import fit_straps
from tasoc_kit.photometry.sky import fit_sky
from tasoc_kit.vocabulary import KitQuality


def temporal_errors(made):
    """Return the error of every good frame's sky without its mean over time, (time, row, column)."""
    good = np.flatnonzero(made.quality["quality"].values == 0)
    errors = [sky_image(made.sky, made.reference, int(i)) - made.truth.truth_sky(int(i)) for i in good]
    return np.stack(errors) - np.mean(errors, axis=0)


def test_the_sky_is_right_to_a_tenth_of_the_noise_of_a_pixel(sector):
    errors = temporal_errors(sector)
    # A pixel of this sky has a noise of 0.31 electron/s; 256 cells know 16 coefficients to a quarter of
    # their own 0.02, and each column, averaged over 256 rows only, is known to 0.02.
    assert errors.std() < 0.035


def test_structured_sky_is_followed_and_not_clipped(tmp_path):
    made = make_sector(tmp_path / "rough", structure=5.0, frames=24, seed=4)
    truth = np.stack([made.truth.truth_sky(i) for i in range(24)])
    truth -= truth.mean(axis=0)
    errors = temporal_errors(made)
    assert truth.std() > 3
    assert errors.std() < 0.1
    assert made.sky["sky_level"].values.max() > 2


def test_errors_are_honest_where_a_cell_knows_its_sky_badly(tmp_path):
    made = make_sector(tmp_path / "fine", structure=5.0, structure_scale=150.0, frames=24, seed=4)
    errors = temporal_errors(made)
    cells = errors.reshape(len(errors), 16, 16, 16, 16).mean(axis=(2, 4))
    sky = made.sky.isel(time=np.flatnonzero(made.quality["quality"].values == 0))
    everywhere = sky["sky_err"] ** 2 + sky["sky_systematic"] ** 2
    there = (everywhere + sky["cell_excess"] * sky["sky_cell_err"] ** 2).values

    def pull(chosen, variance):
        return np.sqrt((cells[:, chosen] ** 2 / variance[:, chosen]).mean())

    excess = sky["cell_excess"].values
    bad = excess > 3
    assert 5 < bad.sum() < 30
    assert 0.8 < pull(bad, there) < 1.5
    assert 0.7 < pull(excess < 1, there) < 1.2
    # One error for all cells, as their pixels have it on average, is half of what these err by.
    assert pull(bad, np.broadcast_to(everywhere.values[:, None, None], cells.shape)) > 2


def off_cells(made):
    """Return how far the sky of every cell of every good frame is off, and where an anomaly is near."""
    errors = temporal_errors(made)
    # An edge in many frames must not pass, by the mean in time, for an error of the others.
    errors -= np.median(errors, axis=0)
    rows, columns = (size // 16 for size in errors.shape[1:])
    cells = errors.reshape(len(errors), rows, 16, columns, 16).mean(axis=(2, 4))
    good = made.quality["quality"].values == 0
    near = binary_dilation(made.sky["sky_anomaly"].values[good] != 0, np.ones((1, 3, 3), bool))
    whole = made.sky["frame_quality"].values[good] & KitQuality.SKY_RESIDUAL != 0
    return np.abs(cells), near | whole[:, None, None]


def test_edges_of_earth_light_are_flagged_where_the_sky_is_wrong(tmp_path):
    made = make_sector(tmp_path / "edge", earth_edge=200.0, frames=24, seed=4, rows=768, columns=768)
    off, flagged = off_cells(made)
    assert (off > 5).any()
    assert flagged[off > 5].mean() > 0.99
    assert flagged[off > 1].mean() > 0.95
    # What the edge leaves alone is right, has no flag, and so have the columns that it crosses somewhere.
    assert flagged.mean() < 0.35
    assert np.median(off[~flagged]) < 0.1


def test_no_frame_that_an_edge_crosses_is_without_a_flag_of_its_own_or_of_its_cells(tmp_path):
    made = make_sector(tmp_path / "edge", earth_edge=200.0, frames=24, seed=4)
    slopes = [np.diff(made.truth.truth_sky(i)[32:-32, 100]) for i in range(24)]
    crossed = np.array([np.ptp(slope) > 1 for slope in slopes])
    flagged = made.sky["frame_quality"].values & (KitQuality.SKY_RESIDUAL | KitQuality.HIGH_SKY) != 0
    marked = made.sky["sky_anomaly"].values.astype(bool).mean(axis=(1, 2))
    assert crossed.any()
    assert (flagged | (marked > 0.05))[crossed].all()
    assert flagged[crossed].mean() > 0.75


def test_straps_answer_more_than_their_neighbours(sector):
    columns = sector.sky["column"].values
    gain = sector.sky["strap_gain"].values
    assert np.abs(gain[~is_strap(columns)]).max() == 0
    centre = is_strap(columns, reach=0)
    assert np.median(gain[centre]) > 0.02
    assert np.median(gain[centre]) > 3 * np.median(np.abs(gain[is_strap(columns) & ~centre]))


def test_straps_are_sky_and_no_stars_in_the_reference(sector):
    columns = sector.reference["column"].values
    dark = np.where(sector.reference["star_mask"].values, np.nan, sector.reference["reference"].values)
    level = np.nanmedian(dark, axis=0)
    strap = is_strap(columns, reach=0)
    # The straps of the quiet sky of 110 electron/s are 1.5 electron/s brighter than their neighbours.
    assert abs(np.median(level[strap]) - np.median(level[~is_strap(columns)])) < 0.4


def test_a_strap_gain_is_found_as_it_was_put_in(sector):
    stream = sector.stream.copy(deep=True)
    random = np.random.default_rng(1)
    used = np.full(stream["column_used"].shape, 128, np.uint16)
    sky = np.repeat(np.linspace(0, 60, used.shape[0])[:, None, None], used.shape[1], axis=1)
    columns = stream["column"].values
    gain = np.where(is_strap(columns, reach=0), 0.05, 0.0)
    cells = sky * (1 + gain) + random.normal(0, 0.03, used.shape)
    stream = stream.assign(
        column_cells=(stream["column_cells"].dims, cells.astype(np.float32)),
        column_used=(stream["column_used"].dims, used),
    )
    straps = fit_straps(stream, 0.1)
    np.testing.assert_allclose(straps.gain, gain, atol=1e-3)
    # A frame with the mean sky says nothing about its scale, and needs none.
    lever = 0.05 * (sky[:, 0, 0] - sky.mean())
    np.testing.assert_allclose((straps.scale - 1) * lever, 0.0, atol=0.03)


def test_column_offsets_are_those_of_the_detector(sector):
    frame = 10
    truth = sector.truth.sky_model.column_offsets(int(sector.cube["cadenceno"].values[frame]))
    found = sector.sky["column_noise"].values[frame]
    plain = ~is_strap(sector.sky["column"].values)
    # The offsets that the reference holds are the mean of its frames': a seventh of one frame's.
    assert np.corrcoef(truth[plain], found[plain])[0, 1] > 0.8


def test_the_model_evaluates_to_its_own_cells(sector):
    frame = 15
    model = sky_image(sector.sky, sector.reference, frame) - sector.reference["reference_sky"].values
    cells = sector.stream["cells"].values[frame]
    means = model.reshape(16, 16, 16, 16).mean(axis=(1, 3))
    assert np.nanmedian(np.abs(cells - means)) < 0.05


def test_scattered_light_is_flagged_as_high_sky(sector):
    high = sector.sky["frame_quality"].values & KitQuality.HIGH_SKY != 0
    median = sector.sky["sky_median"].values
    np.testing.assert_array_equal(high, median > np.median(median) + 10.0)


@pytest.mark.parametrize("block", [1, 7, 40])
def test_the_sky_does_not_depend_on_the_blocks_of_the_stream(sector, block):
    made = fit_sky(sector.stream.assign_attrs(block=block), sector.reference, sector.quality)
    assert made["sky_anomaly"].chunks[0][0] == block
    xr.testing.assert_equal(made.compute(), sector.sky.compute())


def test_a_coarser_ceiling_is_obeyed(sector):
    sky = fit_sky(sector.stream, sector.reference, sector.quality, finest=1)
    assert sky["sky_level"].values.max() <= 1
    assert sky.attrs["provenance_id"] != sector.sky.attrs["provenance_id"]


def test_bad_settings_and_inputs_are_told_plainly(sector):
    with pytest.raises(StepParameterError, match="did you mean 'finest'"):
        fit_sky(sector.stream, sector.reference, sector.quality, finnest=2)
    with pytest.raises(StepParameterError, match="finest=9"):
        fit_sky(sector.stream, sector.reference, sector.quality, finest=9)
    with pytest.raises(StepInputError, match=r"stream has no \['cells'\]"):
        fit_sky(sector.stream.drop_vars("cells"), sector.reference, sector.quality)
