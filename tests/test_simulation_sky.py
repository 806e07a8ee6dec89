"""The simulated sky: exact on its pixels, with the structure that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from tasoc_kit.numerics import detector
from tasoc_kit.simulation import Sector
from tasoc_kit.simulation.sky import NODE_STEP, interpolate

PLAIN = {"zodiacal_gradient": 0.0, "glow": 0.0, "scattered": 0.0, "straps": False, "column_noise": 0.0}


def test_a_cubic_field_is_interpolated_exactly_on_and_between_the_nodes():
    rows, columns = 40, 33
    nodes = [NODE_STEP * (np.arange((size - 1) // NODE_STEP + 4) - 1.0) for size in (rows, columns)]

    def plane(y, x):
        return 5 + 0.1 * y - 0.03 * x + 0.002 * y * x + 0.001 * y**2

    field = plane(nodes[0][:, None], nodes[1][None, :]).astype(np.float32)
    out = np.empty((rows, columns), np.float32)
    ones, none = np.ones(columns, np.float32), np.zeros(columns, np.float32)
    interpolate(field, np.zeros_like(field), ones, ones, none, NODE_STEP, out)
    np.testing.assert_allclose(out, plane(*np.indices((rows, columns))), rtol=2e-5)


def test_a_crop_shows_the_same_sky_as_the_whole_chip():
    small = Sector(rows=100, columns=90, frames=1, structure=5.0, seed=2).truth_sky(0)
    large = Sector(rows=2048, columns=2048, frames=1, structure=5.0, seed=2).truth_sky(0)
    np.testing.assert_allclose(small, large[:100, :90], rtol=1e-6)


def test_the_corner_glow_is_centred_off_the_nominal_axis():
    settings = {**PLAIN, "rows": 2048, "columns": 2048, "frames": 1, "glow": 60.0, "zodiacal": 0.0}
    row, column = detector.camera_centre(1, 2)
    labels = np.indices((2048, 2048))

    def mismatch(d_row, d_column):
        """Scatter of the glow around a function of the distance from a centre."""
        sky = Sector(**settings, glow_row=12.0, glow_column=16.0).truth_sky(0)
        distance = np.hypot(labels[0] - row - d_row, labels[1] + 44 - column - d_column)
        ring = (distance > 2750) & (distance < 2750.5)
        return sky[ring].std()

    assert mismatch(12.0, 16.0) < 0.3 * mismatch(0.0, 0.0)


def test_scattered_light_falls_after_perigee_and_rises_before_the_next():
    sector = Sector(rows=64, columns=64, frames=634, seed=1)
    level = [float(np.median(sector.truth_sky(k))) for k in (0, 100, 320, 600, 633)]
    assert level[0] > level[1] + 20
    assert level[4] > level[3] + 5 > level[2] + 5
    assert level[0] - level[2] > 40


@pytest.mark.parametrize("scale", [150.0, 300.0])
def test_the_random_structure_has_its_rms_and_its_correlation_length(scale):
    settings = {**PLAIN, "zodiacal": 100.0, "rows": 2048, "columns": 2048, "frames": 1282, "seed": 8}
    sector = Sector(**settings, structure=5.0, structure_scale=scale)
    rms, correlation = [], []
    for index in range(0, 1282, 128):
        sky = sector.truth_sky(index).astype(float)
        sky -= sky.mean()
        rms.append(sky.std())
        half = int(scale / 2)
        correlation.append((sky[:, half:] * sky[:, :-half]).mean() / sky.var())
    assert np.sqrt(np.mean(np.square(rms))) == pytest.approx(5.0, rel=0.2)
    assert np.mean(correlation) == pytest.approx(0.5, abs=0.12)


def test_straps_answer_more_to_stray_light_than_to_quiet_light():
    labels = 44 + np.arange(2048)
    strap, free = np.isin(labels, detector.STRAP_COLUMNS), ~detector.is_strap(labels)
    quiet = Sector(rows=64, columns=2048, frames=1, scattered=0.0, column_noise=0.0, glow=0.0).truth_sky(0)
    stray = Sector(rows=64, columns=2048, frames=1, zodiacal=0.0, column_noise=0.0, glow=0.0).truth_sky(0)

    def excess(sky):
        beside = np.interp(labels, labels[free], sky[0, free])
        return sky[0, strap] / beside[strap] - 1

    assert np.abs(excess(quiet)).mean() < 0.015
    assert excess(stray).min() > 0.02
    assert excess(stray).mean() == pytest.approx(0.053, abs=0.005)


def test_column_offsets_are_constant_along_a_column_and_new_in_every_frame():
    sector = Sector(**{**PLAIN, "column_noise": 0.05}, rows=64, columns=2048, frames=2, zodiacal=0.0)
    one, two = sector.truth_sky(0), sector.truth_sky(1)
    assert np.ptp(one, axis=0).max() < 1e-6
    assert one[0].std() == pytest.approx(0.05, rel=0.05)
    assert abs(np.corrcoef(one[0], two[0])[0, 1]) < 0.1


def test_an_edge_of_earth_light_is_a_step_that_moves():
    sector = Sector(**PLAIN, rows=256, columns=256, frames=48, earth_edge=100.0, zodiacal=100.0)
    steps = [np.ptp(sector.truth_sky(k)[:, 128]) for k in range(0, 48, 6)]
    assert max(steps) == pytest.approx(100.0, rel=0.05)
    assert not np.allclose(sector.truth_sky(0), sector.truth_sky(12), atol=20.0)
