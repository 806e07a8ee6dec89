from __future__ import annotations

import holoviews as hv
import numpy as np
import pytest

from tasoc_kit.photometry.skies.sky_images import sky_image
from tasoc_kit.photometry.skies.sky_tiles import sky_tiles
from tasoc_kit.plots import sky_tiles as figures

FRAME = 20


@pytest.fixture(scope="module")
def tiles(sector):
    return sky_tiles(sector.sky, sector.stream, sector.reference, FRAME)


def test_tiles_of_the_sky_are_the_means_of_its_pixels(sector, tiles):
    # Without the columns' own offsets, which tiles leave out; a strap lifts its cell a little.
    image = sky_image(sector.sky, sector.reference, FRAME)
    image -= sector.sky["column_noise"].values[FRAME]
    means = image.reshape(tiles.sizes["cell_row"], 16, tiles.sizes["cell_column"], 16).mean(axis=(1, 3))
    plain = sector.sky["strap_gain"].values.reshape(-1, 16).max(axis=1) == 0
    assert plain.any()
    np.testing.assert_allclose(tiles["sky"].values[:, plain], means[:, plain], atol=2e-3)


def test_what_the_model_leaves_is_the_noise_of_the_cells(tiles):
    left = tiles["left"].values
    assert np.nanmedian(left) == pytest.approx(0.0, abs=0.2)
    assert 0.7 < 1.4826 * np.nanmedian(np.abs(left)) < 1.6


def test_an_asteroid_stands_out_in_its_tile(sector):
    stream = sector.stream.copy(deep=True)
    stream["cells"][FRAME, 5, 7] += 20.0
    found = sky_tiles(sector.sky, stream, sector.reference, FRAME)["left"].values
    assert np.unravel_index(np.nanargmax(found), found.shape) == (5, 7)
    assert found[5, 7] > 20


def test_tiles_know_where_they_are(sector, tiles):
    assert float(tiles["cell_row"][0]) == float(sector.sky["row"][:16].mean())
    assert float(tiles["cell_column"][-1]) == float(sector.sky["column"][-16:].mean())
    assert 0 < float(tiles["radius"].min()) < float(tiles["radius"].max()) < 3100


def test_every_figure_of_a_frame_is_drawn(sector, tiles):
    one = sector.sky.isel(time=FRAME)
    drawn = [figures.tile_image(tiles, name) for name in ("sky", "left", "used")]
    drawn += [
        figures.glow(tiles),
        figures.coefficient_grid(np.ones((4, 4))),
        figures.columns(
            one["column"].values,
            one["column_noise"].values,
            one["strap_gain"].values,
            float(one["strap_scale"]),
        ),
    ]
    for figure in drawn:
        assert hv.render(figure, backend="bokeh") is not None


def test_a_frame_without_any_sky_is_drawn_empty(tiles):
    nothing = tiles.assign({name: tiles[name] * np.nan for name in ("sky", "left", "used")})
    assert hv.render(figures.glow(nothing), backend="bokeh") is not None
    assert hv.render(figures.tile_image(nothing, "sky"), backend="bokeh") is not None
