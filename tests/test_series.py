"""The compiled series held against the same algebra on single pixels, in plain NumPy."""

import numpy as np
import pytest

from tasoc_kit.numerics.splines import Ladder
from tasoc_kit.photometry.light_curves import make_light_curves
from tasoc_kit.photometry.skies.cell_noise import cell_excess_at
from tasoc_kit.photometry.skies.sky_images import sky_image, sky_ladder

STARS = 12


def lit_stars(sector):
    """Return some stars with pixels, bright and faint."""
    lit = np.flatnonzero(sector.apertures["row_size"].values > 0)
    return lit[:: max(1, lit.size // STARS)]


def pixels_of(apertures, star):
    start = int(apertures["row_size"].values[:star].sum())
    mine = slice(start, start + int(apertures["row_size"].values[star]))
    return apertures["pixel_row"].values[mine].astype(int), apertures["pixel_column"].values[mine].astype(int)


def expected_series(sector, sky, star, frame):
    """Return the series of one star in one frame from the sky of every pixel."""
    apertures, reference, stream = sector.apertures, sector.reference, sector.stream.isel(time=frame)
    row, column = pixels_of(apertures, star)
    inside = row - int(reference["row"][0]), column - int(reference["column"][0])
    centre = [np.rint(float(apertures[f"star_{axis}"][star])) for axis in ("row", "column")]
    below = sky_image(sky, reference, frame)[inside]
    light = np.maximum(np.nan_to_num(reference["reference"].values[inside].astype(float)), 0)
    floor, slope = (float(reference[name].sel(column=centre[1])) for name in ("noise_floor", "noise_slope"))
    raw = float(stream["aperture_sum"][star])
    one, count = sky.isel(time=frame), row.size
    per_column = np.unique(column, return_counts=True)[1]
    flux = raw - below.sum()
    variance = floor * count + slope * max(raw, 0) + count**2 * float(one["sky_err"]) ** 2
    excess = float(cell_excess_at(sky, *(np.array([place]) for place in centre))[0])
    variance += count**2 * excess * float(one["sky_cell_err"]) ** 2
    variance += count**2 * float(one["sky_systematic"]) ** 2
    variance += (per_column**2).sum() * float(one["column_noise_err"]) ** 2
    made = {"flux": flux, "flux_err": np.sqrt(variance), "background": below.sum()}
    for axis, place, middle in zip(("row", "column"), (row, column), centre, strict=True):
        offset = place - middle
        mean = (float(stream[f"moment_{axis}"][star]) - (below * offset).sum()) / flux if flux > 0 else np.nan
        spread = ((offset - mean) ** 2).sum()
        weighted = (light * offset**2).sum() - mean**2 * flux + below.mean() * spread
        made[f"centroid_{axis}"] = middle + mean
        error = np.sqrt(max(floor * spread + slope * max(weighted, 0.0), 0.0)) / flux
        made[f"centroid_{axis}_err"] = error if flux > 0 else np.nan
    return made


def compare(sector, sky, frames):
    parts = (sector.stream, sky, sector.apertures, sector.reference, sector.quality)
    curves = make_light_curves(*parts, steady=False).compute()
    for star in lit_stars(sector):
        for frame in frames:
            for name, value in expected_series(sector, sky, star, frame).items():
                found = float(curves[name].values[star, frame])
                # Sums are kept in single precision; centroids of faint stars divide by a small flux.
                assert found == pytest.approx(value, rel=2e-3, abs=2e-3, nan_ok=True), (name, star, frame)


def test_series_are_those_of_the_pixels(sector):
    compare(sector, sector.sky, (3, 20, 40))


def test_frames_of_different_levels_do_not_mix(sector):
    ladder = sky_ladder(sector.sky)
    sky = sector.sky.copy(deep=True)
    levels, coefficients = sky["sky_level"].values.copy(), []
    levels[::2] = 3
    assert len(np.unique(levels)) > 1
    for frame, level in enumerate(levels):
        coefficients.append(_random_sky(ladder, int(level), frame))
    width = max(c.size for c in coefficients)
    table = np.zeros((levels.size, width), np.float32)
    for frame, values in enumerate(coefficients):
        table[frame, : values.size] = values
    sky = sky.drop_vars("coefficient").assign(
        coefficient=(("time", "coefficient"), table), sky_level=("time", levels)
    )
    compare(sector, sky, (2, 3, 40, 41))


def _random_sky(ladder: Ladder, level: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(50, 60, ladder.surfaces[level].size)


def test_the_gain_of_straps_reaches_the_stars_on_them(sector):
    gain = np.zeros(sector.sky.sizes["column"], np.float32)
    gain[::3] = 0.05
    sky = sector.sky.assign(strap_gain=("column", gain))
    compare(sector, sky, (5, 30))
