"""Halo photometry of saturated stars: the light about the core, weighed until it is quiet.

A saturated star spills its charge along its columns, out of every stamp. Its faint surroundings
are measured well: the pixels within 20 of the star, less their sky, are gathered into a few parts,
and the parts get the weights, positive and with a sum of one, that give the least total variation (White
et al. 2017, MNRAS 471, 2882; Pope et al. 2019, ApJS 245, 8). Saturated pixels and the ends of
their trails are left out, for they answer to the flux out of proportion. Weights hold for one
segment of the sector, and each segment is scaled to the flux that the magnitude lets expect
(Handberg et al. 2021, AJ 162, 170).

``flux = Σ v·(D − sky)``,
``var = Σ v²·(a + b·D) + (Σ v)²·(σ_sky² + excess·σ_cell²) + Σ_column (Σ v)²·σ_κ²``
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import xarray as xr
from scipy import ndimage

from tasoc_kit import chunks
from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.runs import find_runs
from tasoc_kit.numerics.total_variation import equal_shares, quietest_weights
from tasoc_kit.photometry.conditions.manual_excludes import excluded_stars
from tasoc_kit.photometry.curves.series import (
    SKY_NEEDS,
    SKY_TABLES,
    make_series,
    sky_series,
    star_tables,
)
from tasoc_kit.photometry.light_curves import STAR_TABLE
from tasoc_kit.photometry.quality import CADENCE_TABLE, TOLD, good_cadences
from tasoc_kit.photometry.skies.anomalies import touched_stars
from tasoc_kit.photometry.stream import halo_stars, stream_blocks
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import DEFAULT_BAD_KIT_BITS, KitQuality, Status

__all__ = ["find_segments", "make_halo_light_curves"]

SPLITS = {1: (1339.0, 1347.366, 1349.315), 2: (1368.0,), 3: (1395.52,), 8: (1529.5,)}
"""BTJD, by sector, at which the pointing changed and weights begin anew (TASOC)."""
LONGEST_GAP, MIDDLE = 0.5, (0.3, 0.7)
"""A single gap of more days than this in this part of a sector splits it, where no time is known."""
TRAIL_ENDS = 3
"""Pixels beyond a saturated one, along its column, whose charge comes and goes with the flux."""
CADENCES_A_PART = 15
"""Cadences that each weight must be told by."""
FAINTEST = 3.0
"""Pixels with less light than this times their noise in one cadence tell nothing."""
NO_DATA = int(KitQuality.NO_DATA)


class _Pixels(NamedTuple):
    """The pixels about one star: their place in the table of stamps, and their series (time, pixel)."""

    place: np.ndarray
    column: np.ndarray
    raw: np.ndarray
    sky: np.ndarray
    usable: np.ndarray
    """(pixel) True for those that are neither saturated nor at the end of a trail."""
    floor: np.ndarray
    slope: np.ndarray
    sky_excess: np.ndarray
    """(pixel) variance of its cell over that of usual ones, less 1."""


class _Errors(NamedTuple):
    """(time) variance of the sky, of the sky from the noise of its own cell, of the offset of a column."""

    sky: np.ndarray
    cell: np.ndarray
    column: np.ndarray


@step(
    version=3,
    product="halo_light_curves",
    needs={
        "stream": ("stamp_flux", "stamp_star", "stamp_row", "stamp_column"),
        "sky": (*SKY_NEEDS, *SKY_TABLES, "sky_anomaly"),
        "apertures": ("tmag", "star_row", "star_column"),
        "reference": ("reference", "reference_sky", "saturated", "noise_floor", "noise_slope"),
        "quality": ("quality", "frame_quality"),
    },
    gives=("flux", "flux_err", "background", "pixel_quality", "halo_weight"),
    libraries=("numpy", "scipy", "numba"),
)
def make_halo_light_curves(
    stream: xr.Dataset,
    sky: xr.Dataset,
    apertures: xr.Dataset,
    reference: xr.Dataset,
    quality: xr.Dataset,
    *,
    parts: Annotated[int, Parameter("parts that the light of a star is gathered into", ge=1, le=400)] = 40,
) -> xr.Dataset:
    """
    Make the light curves of the stars that halo photometry serves.

    Parameters
    ----------
    stream
        The pixels about these stars in every frame.
    sky
        Sky model of every frame.
    apertures
        Star table.
    reference
        Saturated pixels, sky and noise model of the reference.
    quality
        Bits of the mission; weights are found on good cadences.
    parts
        Parts that the light of a star is gathered into, each with one weight; at most one for every
        fifteen good cadences. More follow the motion more closely and undo more of what varies within hours.

    Returns
    -------
    ``flux``, ``flux_err``, ``background`` and ``pixel_quality`` (star, time) of the halo stars alone,
    maybe none; ``halo_weight`` (segment, stamp_pixel) of the pixels' series over their means. A star
    or a segment without enough pixels or cadences is NaN; without any flux its status is ERROR.

    Raises
    ------
    StepInputError
        If the apertures are not those of the stream.
    """
    owner, stars = stream["stamp_star"].values, halo_stars(apertures)
    if not np.isin(owner, stars).all():
        raise StepInputError(
            f"make_halo_light_curves: {stars.size} halo stars, pixels about {np.unique(owner).size}; "
            "expected the apertures the stream was made with. Open both by the ids in one lineage."
        )
    good = good_cadences(quality) & ((sky["frame_quality"].values & DEFAULT_BAD_KIT_BITS) == 0)
    segments = find_segments(stream["time"].values, good, int(reference.attrs.get("sector", 0)))
    variance = _Errors(
        sky["sky_err"].values.astype(float) ** 2 + sky["sky_systematic"].values.astype(float) ** 2,
        *(sky[name].values.astype(float) ** 2 for name in ("sky_cell_err", "column_noise_err")),
    )
    series = {
        name: np.full((stars.size, stream.sizes["time"]), np.nan, np.float32)
        for name in ("flux", "flux_err", "background")
    }
    bits = np.zeros((stars.size, stream.sizes["time"]), np.int32)
    excluded = excluded_stars(quality, apertures.isel(star=stars))
    if excluded is not None:
        bits |= chunks.compute(xr.Dataset({"bits": (("star", "time"), excluded)}))["bits"].values
    bits |= touched_stars(sky, apertures)[stars].compute()
    weight = np.zeros((len(segments), owner.size), np.float32)
    has_data = (sky["frame_quality"].values & NO_DATA) == 0
    for k, star in enumerate(stars):
        pixels = _pixels(stream, sky, reference, np.flatnonzero(owner == star))
        expected = 10 ** (-0.4 * (float(apertures["tmag"].values[star]) - ZERO_POINT))
        for part, here in enumerate(segments):
            shares = _weigh(pixels, here & good, parts)
            weight[part, pixels.place] = shares
            made = _apply(pixels, here, here & good, shares, variance, expected)
            for name, values in zip(series, made, strict=True):
                series[name][k, here] = values
            lost = here & has_data & ~np.isfinite(pixels.raw[:, shares > 0]).all(axis=1)
            bits[k, lost] |= KitQuality.NONFINITE_PIXELS
    return _collect(stream, sky, apertures, quality, stars, segments, series, bits, weight)


def find_segments(time: np.ndarray, good: np.ndarray, sector: int) -> list[np.ndarray]:
    """
    Return the parts of a sector that weights hold for, each as True for its cadences.

    They end at known times, else at the middle of a gap longer than half a day, if just one lies
    in the central two fifths of the sector. Parts without a good cadence are joined to the one before.

    Parameters
    ----------
    time
        BTJD of all cadences.
    good
        True for good cadences.
    sector
        Number of the sector.
    """
    known = time[good]
    edges = list(SPLITS.get(sector, ()))
    if not edges and known.size > 1:
        gap = np.diff(known)
        middle = known[:-1] + gap / 2
        share = (middle - known[0]) / (known[-1] - known[0])
        found = middle[(gap > LONGEST_GAP) & (share > MIDDLE[0]) & (share < MIDDLE[1])]
        edges = list(found) if found.size == 1 else []
    edges = [edge for edge in edges if known.size and known[0] < edge <= known[-1]]
    number = np.searchsorted(edges, time, side="right")
    held = np.unique(number[good]) if good.any() else np.zeros(1, int)
    number = np.maximum(np.searchsorted(held, number, side="right") - 1, 0)
    return [number == part for part in range(held.size)]


def _pixels(stream: xr.Dataset, sky: xr.Dataset, reference: xr.Dataset, place: np.ndarray) -> _Pixels:
    """Return the pixels about one star with the sky under them, as the sky model gives it there."""
    rows, columns = (stream[f"stamp_{axis}"].values[place].astype(int) for axis in ("row", "column"))
    i, j = rows - int(reference["row"].values[0]), columns - int(reference["column"].values[0])
    noise = reference["noise_floor"].values[j], reference["noise_slope"].values[j]
    # Each pixel is an aperture of its own, so that its sky comes from where that of all others does.
    tables = star_tables(sky, reference, find_runs(np.ones(place.size, int), i, j, (i, j)), noise)
    raw, below, start = [], [], 0
    for block in stream_blocks(stream.isel(stamp_pixel=place), ("stamp_flux",)):
        flux = block["stamp_flux"]
        frames = slice(start, start + len(flux))
        model = sky_series({name: sky[name].values[frames] for name in SKY_NEEDS})
        nothing = np.zeros_like(flux)
        below.append(make_series(tables, (flux, nothing, nothing), model, 0.0)["background"].T)
        raw.append(flux)
        start = frames.stop
    spill = ndimage.binary_dilation(
        reference["saturated"].values, np.ones((2 * TRAIL_ENDS + 1, 1)), border_value=0
    )
    return _Pixels(
        place,
        columns,
        np.concatenate(raw),
        np.concatenate(below),
        ~spill[i, j],
        *noise,
        tables.place.sky_excess,
    )


def _weigh(pixels: _Pixels, fit: np.ndarray, parts: int) -> np.ndarray:
    """Return the weight of every pixel's series over its mean in some cadences; all zero if none can be."""
    weights = np.zeros(pixels.usable.size)
    light = pixels.raw[fit].astype(float) - pixels.sky[fit]
    parts = min(parts, len(light) // CADENCES_A_PART)
    if not parts:
        return weights
    finite = pixels.usable & np.isfinite(light).all(axis=0)
    with np.errstate(invalid="ignore"):
        mean = light.mean(axis=0)
        variance = pixels.floor + pixels.slope * np.maximum(pixels.raw[fit].mean(axis=0), 0.0)
        used = finite & (mean > FAINTEST * np.sqrt(variance))
    if not used.any():
        return weights
    part = equal_shares(mean[used], variance[used], parts)
    share = np.bincount(part, mean[used])
    gathered = np.stack([light[:, used][:, part == k].sum(axis=1) for k in range(share.size)], axis=1)
    found = quietest_weights(gathered / share, share)
    weights[used] = found[part] * mean[used] / share[part]
    return weights


def _apply(
    pixels: _Pixels,
    here: np.ndarray,
    fit: np.ndarray,
    shares: np.ndarray,
    variance: _Errors,
    expected: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return flux, error and background in the cadences of a segment, scaled to the expected flux."""
    used = shares > 0
    if not used.any():
        return (np.full(here.sum(), np.nan),) * 3
    raw, sky = pixels.raw[:, used].astype(float), pixels.sky[:, used].astype(float)
    weight = shares[used] / (raw[fit] - sky[fit]).mean(axis=0)
    weight *= expected / np.median((raw[fit] - sky[fit]) @ weight)
    raw, sky = raw[here], sky[here]
    square = weight**2
    total = raw.clip(min=0) @ (square * pixels.slope[used]) + square @ pixels.floor[used]
    under = variance.sky[here] + weight @ pixels.sky_excess[used] / weight.sum() * variance.cell[here]
    total += weight.sum() ** 2 * under
    total += (np.bincount(pixels.column[used], weight) ** 2).sum() * variance.column[here]
    return (raw - sky) @ weight, np.sqrt(total), sky @ weight


def _collect(
    stream: xr.Dataset,
    sky: xr.Dataset,
    apertures: xr.Dataset,
    quality: xr.Dataset,
    stars: np.ndarray,
    segments: list[np.ndarray],
    series: dict[str, np.ndarray],
    bits: np.ndarray,
    weight: np.ndarray,
) -> xr.Dataset:
    """Put the light curves into one Dataset with the star table."""
    variables = {name: (("star", "time"), values) for name, values in series.items()}
    variables["pixel_quality"] = (("star", "time"), bits)
    variables["halo_weight"] = (("segment", "stamp_pixel"), weight)
    coords = {
        name: apertures[name].variable.isel(star=stars) for name in STAR_TABLE if name in apertures.variables
    }
    coords |= {name: stream[name].variable for name in ("time", "cadenceno", "stamp_row", "stamp_column")}
    coords |= {name: quality[name].variable for name in CADENCE_TABLE if name in quality.variables}
    coords["frame_quality"] = sky["frame_quality"].variable
    seen = np.isfinite(series["flux"]).any(axis=1)
    coords["status"] = ("star", np.where(seen, Status.OK, Status.ERROR).astype(np.int8))
    coords["stamp_star"] = (
        "stamp_pixel",
        np.searchsorted(stars, stream["stamp_star"].values).astype(np.int32),
    )
    coords["segment_start"] = ("segment", [stream["time"].values[here].min() for here in segments])
    told = {name: quality.attrs[name] for name in TOLD if name in quality.attrs}
    return xr.Dataset(variables, coords=coords, attrs=told)
