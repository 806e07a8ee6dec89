"""Series of some stars in one block of frames, from the tables of the stream and of the sky.

This is the arithmetic behind the light curves, compiled and star by star, so that all that a star
needs stays in the cache and no thread waits for another. See ``light_curves`` for the formulas.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from numba import njit

from tasoc_kit.chunks import whole
from tasoc_kit.config import settings
from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.runs import (
    ColumnSums,
    Runs,
    SurfaceSums,
    column_sums,
    image_moments,
    some_stars,
    surface_sums,
)
from tasoc_kit.photometry.curves.motion import Steadiness, flux_change
from tasoc_kit.photometry.skies.cell_noise import cell_excess_at
from tasoc_kit.photometry.skies.sky_images import sky_ladder
from tasoc_kit.vocabulary import KitQuality

__all__ = [
    "SERIES",
    "SKY_NEEDS",
    "SKY_TABLES",
    "STAR_SUMS",
    "SkySeries",
    "StarTables",
    "check_stars",
    "make_series",
    "sky_series",
    "some_frames",
    "star_tables",
]

STAR_SUMS = ("aperture_sum", "moment_row", "moment_column")
"""What the stream has of every star in every frame."""
SKY_NEEDS = (
    "coefficient", "sky_level", "strap_scale", "column_noise", "column_noise_err", "sky_err",
    "sky_cell_err", "sky_systematic", "frame_quality",
)  # fmt: skip
"""What the sky of a star needs of the sky of every frame."""
SKY_TABLES = ("strap_gain", "cell_excess")
"""What it needs of the sky of all frames."""

SERIES = {
    "flux": np.float32,
    "flux_err": np.float32,
    "background": np.float32,
    "centroid_row": np.float64,
    "centroid_column": np.float64,
    "centroid_row_err": np.float32,
    "centroid_column_err": np.float32,
    "pixel_quality": np.int32,
}
NONFINITE = int(KitQuality.NONFINITE_PIXELS)
STARS_AT_ONCE = 256
"""Stars whose sky is summed together: few enough for it to stay in the cache."""


class Moments(NamedTuple):
    """Moments over every aperture, float64 (5, star), as :func:`image_moments` gives them."""

    ones: np.ndarray
    sky: np.ndarray
    """Of the sky of the reference, electron/s."""
    light: np.ndarray
    """Of the star image, electron/s."""


class Place(NamedTuple):
    """Where every star is, and what the noise of its pixels is there."""

    centre_row: np.ndarray
    """(star) labels of the star's own pixel."""
    centre_column: np.ndarray
    noise_floor: np.ndarray
    """(star) a and b of ``var = a + b · flux``."""
    noise_slope: np.ndarray
    sky_excess: np.ndarray
    """(star) variance of the cells about it over that of usual ones, less 1."""


@dataclass(frozen=True)
class StarTables:
    """What the series of some stars need beside the tables of the frames."""

    place: Place
    moments: Moments
    columns: ColumnSums
    surfaces: dict[int, SurfaceSums]


class SkySeries(NamedTuple):
    """The sky of one block of frames, time last so that a star's loops run along memory."""

    coefficients: dict[int, tuple[np.ndarray, np.ndarray]]
    """By level: (coefficient, time), zero in frames of another level; then times the strap scale."""
    columns: np.ndarray
    """(column, time) offset of every column."""
    variance: np.ndarray
    """(3, time) of the sky, of the offset of a column, and of the sky from the noise of its own cell."""
    no_data: np.ndarray
    """(time) True for frames without data."""


def star_tables(
    sky: xr.Dataset,
    reference: xr.Dataset,
    runs: Runs,
    noise: tuple[np.ndarray, np.ndarray],
    stars: np.ndarray | None = None,
) -> StarTables:
    """
    Make the tables of all stars, or of some.

    Parameters
    ----------
    sky, reference
        The products; the levels that the sky uses decide which surfaces are summed.
    runs
        The apertures.
    noise
        (star) floor and slope of the noise of a pixel.
    stars
        Indices of the stars; all by default.
    """
    ladder, gain = sky_ladder(sky), sky["strap_gain"].values.astype(float)
    if stars is not None:
        runs, noise = some_stars(runs, stars), (noise[0][stars], noise[1][stars])
    background = reference["reference_sky"].values
    light = np.maximum(np.nan_to_num(reference["reference"].values), 0)
    centre = (
        runs.centre_row + float(reference["row"].values[0]),
        runs.centre_column + float(reference["column"].values[0]),
    )
    return StarTables(
        Place(
            *centre,
            *noise,
            cell_excess_at(sky, *centre),
        ),
        Moments(*(image_moments(image, runs) for image in (np.ones_like(light), background, light))),
        column_sums(runs),
        {
            int(level): surface_sums(ladder.surfaces[int(level)], runs, gain)
            for level in np.unique(sky["sky_level"].values)
        },
    )


def check_stars(who: str, apertures: xr.Dataset, **products: xr.Dataset | None) -> None:
    """Refuse products, given by name, whose stars are not, in their places, those of the apertures."""
    stars = apertures.sizes["star"]
    for name, other in products.items():
        if other is None:
            continue
        strange = int(other.sizes["star"])
        if strange == stars:
            same = "tic" not in other.variables or apertures["tic"].values == other["tic"].values
            strange = stars - int(np.broadcast_to(same, stars).sum())
        if strange:
            raise StepInputError(
                f"{who}: {stars} apertures, {name} of {other.sizes['star']} stars, {strange} of them others; "
                f"expected the apertures the {name} was made with. Open both by the ids in one lineage."
            )


def some_frames(variable: xr.DataArray, part: slice) -> Any:
    """Return some frames of a variable for a task, without a copy where they are a chunk."""
    data = variable.isel(time=part).data
    return whole(data) if isinstance(data, da.Array) else data


def sky_series(sky: dict[str, Any]) -> SkySeries:
    """
    Return the sky of some frames as the series need it.

    Parameters
    ----------
    sky
        Variables of the sky product for these frames, time first.
    """
    levels, all_coefficients = sky["sky_level"], sky["coefficient"].astype(float)
    scale = sky["strap_scale"].astype(float)
    coefficients = {}
    for level in np.unique(levels):
        here = np.where((levels == level)[:, None], all_coefficients, 0.0)
        coefficients[int(level)] = (
            np.ascontiguousarray(here.T),
            np.ascontiguousarray((here * scale[:, None]).T),
        )
    surface = sky["sky_err"].astype(float) ** 2 + sky["sky_systematic"].astype(float) ** 2
    return SkySeries(
        coefficients,
        np.ascontiguousarray(sky["column_noise"].astype(float).T),
        np.stack([surface, *(sky[name].astype(float) ** 2 for name in ("column_noise_err", "sky_cell_err"))]),
        (sky["frame_quality"] & KitQuality.NO_DATA) != 0,
    )


def make_series(
    tables: StarTables,
    sums: tuple[np.ndarray, ...],
    sky: SkySeries,
    systematic: float,
    steadiness: Steadiness | None = None,
    motion: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """
    Return all series of all stars, made in threads.

    Parameters
    ----------
    tables
        Tables of the stars.
    sums
        ``aperture_sum``, ``moment_row`` and ``moment_column`` (time, star).
    sky
        The sky of these frames.
    systematic
        Error added in quadrature, as a share of the flux.
    steadiness
        How the fluxes answer to motion; None leaves the motion in.
    motion
        (time, axis, 3) displacement; where it is NaN the motion is left in.

    Returns
    -------
    (star, time) arrays by the names of :data:`SERIES`.
    """
    frames, stars = sky.no_data.size, tables.place.centre_row.size
    out = {name: np.empty((stars, frames), dtype) for name, dtype in SERIES.items()}
    if steadiness is None or motion is None:
        steadiness, motion = Steadiness(np.zeros((stars, 5)), np.zeros((stars, 3))), np.zeros((frames, 2, 3))
    known = np.nan_to_num(motion)

    def make(start: int) -> None:
        stop = min(start + STARS_AT_ONCE, stars)
        over = np.zeros((stop - start, 3, frames))
        for level, (plain, scaled) in sky.coefficients.items():
            _add_surface(over, start, stop, tables.surfaces[level], plain, scaled)
        _add_columns(over, start, stop, tables.columns, sky.columns)
        _finish(
            start, sums, over, tables.place, tables.moments, tables.columns, steadiness, sky.variance,
            sky.no_data, systematic, known, tuple(series[start:stop] for series in out.values()),
        )  # fmt: skip

    with ThreadPoolExecutor(settings().threads) as threads:
        list(threads.map(make, range(0, stars, STARS_AT_ONCE)))
    return out


@njit(nogil=True, cache=True)
def _add_surface(over, start, stop, sums, plain, scaled):
    """Add the surface to sum and moments (star, 3, time) over the apertures start … stop."""
    for s in range(start, stop):
        line, row = sums.corner[s], 0
        for e in range(sums.start[s], sums.start[s + 1]):
            index = line + row
            for k in range(3):
                weight = sums.plain[e, k]
                for t in range(over.shape[2]):
                    over[s - start, k, t] += weight * plain[index, t]
            if sums.has_gain[s]:
                for k in range(3):
                    weight = sums.gained[e, k]
                    for t in range(over.shape[2]):
                        over[s - start, k, t] += weight * scaled[index, t]
            row += 1
            if row == sums.width[s]:
                line, row = line + sums.stride, 0


@njit(nogil=True, cache=True)
def _add_columns(over, start, stop, sums, columns):
    """Add the offsets of the columns to sum and moments (star, 3, time) of the apertures."""
    for s in range(start, stop):
        for e in range(sums.start[s], sums.start[s + 1]):
            c = sums.first[s] + e - sums.start[s]
            count, moment = sums.count[e], sums.row_moment[e]
            across = count * (c - sums.centre[s])
            for t in range(over.shape[2]):
                over[s - start, 0, t] += count * columns[c, t]
                over[s - start, 1, t] += moment * columns[c, t]
                over[s - start, 2, t] += across * columns[c, t]


@njit(nogil=True, cache=True, error_model="numpy")
def _finish(
    start, sums, over, place, moments, columns, steadiness, variances, no_data, systematic, motion, out
):
    """Turn sums and the sky under them into the series (star, time) of the stars from ``start`` on."""
    raw, raw_row, raw_column = sums
    flux, flux_err, background, row, column, row_err, column_err, bits = out
    for i in range(flux.shape[0]):
        s = start + i
        count = moments.ones[0, s]
        square = 0.0
        for e in range(columns.start[s], columns.start[s + 1]):
            square += columns.count[e] ** 2
        floor, slope, excess = place.noise_floor[s], place.noise_slope[s], place.sky_excess[s]
        for t in range(flux.shape[1]):
            below = moments.sky[0, s] + over[i, 0, t]
            net = raw[t, s] - below
            lost = not np.isfinite(net) or count == 0
            variance = floor * count + slope * max(raw[t, s], 0.0) + (systematic * net) ** 2
            variance += count * count * (variances[0, t] + excess * variances[2, t])
            variance += square * variances[1, t]
            change = flux_change(steadiness, s, motion[t])
            flux[i, t] = np.nan if lost else net - change
            flux_err[i, t] = np.nan if lost else np.sqrt(variance)
            background[i, t] = np.nan if lost else below
            bits[i, t] = NONFINITE if lost and count > 0 and not no_data[t] else 0
            for axis in range(2):
                moment = (raw_row if axis == 0 else raw_column)[t, s]
                light = moment - moments.sky[1 + axis, s] - over[i, 1 + axis, t]
                seen = not lost and net > 0
                mean = light / net if seen else np.nan
                # Σ (x − c)² over the pixels, and the same weighted by the light of star and sky.
                spread = moments.ones[3 + axis, s] - 2 * mean * moments.ones[1 + axis, s] + mean**2 * count
                weighted = moments.light[3 + axis, s] - mean**2 * net + below / count * spread
                variance = floor * spread + slope * max(weighted, 0.0)
                error = np.sqrt(max(variance, 0.0)) / net if seen else np.nan
                if axis == 0:
                    row[i, t], row_err[i, t] = place.centre_row[s] + mean, error
                else:
                    column[i, t], column_err[i, t] = place.centre_column[s] + mean, error
