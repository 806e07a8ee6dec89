"""Light curves without anything slow: for transits and for oscillations faster than a day.

Steps are taken out first (:mod:`~tasoc_kit.corrections.jumps`), then what two moving medians follow
(:mod:`~tasoc_kit.corrections.kasoc_filter`). Rotation and slow pulsation go with it, so this is not what
those are measured on.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

import numpy as np
import xarray as xr

from tasoc_kit.corrections.jumps import correct_jumps, jump_places
from tasoc_kit.corrections.kasoc_filter import clip_outliers, kasoc_filter
from tasoc_kit.corrections.relative_flux import read_flux, relative_flux
from tasoc_kit.errors import StepParameterError
from tasoc_kit.star_series import good_cadences, star_blocks
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import KitQuality

__all__ = ["make_filtered_light_curves", "read_periods"]

SERIES = ("flux", "flux_err", "pixel_quality")
SLOW_CADENCE = 1000.0 / 86400
"""Days of an exposure from which on windows are the longer ones."""
LONG, SHORT = (3.0, 6.0), (1 / 24, 0.5)
"""Days of the two windows for short and for long exposures, as TASOC has them (Lund+ 2021)."""
TURNOVER, SOFTNESS = 5.0, 1.0
BESIDE = 0.5
"""Days to a place where a step may have come within which a transit is not told from one."""


@step(
    version=3,
    product="filtered_light_curves",
    needs={"light_curves": (*SERIES, "quality", "frame_quality", "time", "cadenceno", "tic")},
    gives=("flux_corr", "flux_corr_err", "pixel_quality"),
    libraries=("numpy", "scipy", "bottleneck"),
)
def make_filtered_light_curves(
    light_curves: xr.Dataset,
    *,
    long: Annotated[
        float,
        Parameter("window of the slow median; 0: 6 d for exposures over 1,000 s, else 3", unit="d", ge=0),
    ] = 0.0,
    short: Annotated[
        float,
        Parameter("window of the fast median; 0: 12 h for exposures over 1,000 s, else 1 h", unit="d", ge=0),
    ] = 0.0,
    clip: Annotated[float, Parameter("scatters above at which a cadence is an outlier", gt=0)] = 4.5,
    jumps: Annotated[bool, Parameter("take out steps where the spacecraft moved")] = True,
    transits: Annotated[str, Parameter("TIC numbers with periods of transits, 261136679:6.268 12.1; …")] = "",
) -> xr.Dataset:
    """
    Divide every light curve by its steps and by what two moving medians follow.

    Parameters
    ----------
    light_curves
        ``flux``, ``flux_err`` and ``pixel_quality`` (star, time).
    long, short
        Days of the windows of the slow and of the fast median.
    clip
        Outliers above what is left keep their flux and get the bit ``SIGMA_CLIP``. A dip never does: it may
        be a transit, of a period that nobody knows yet.
    jumps
        Take out steps after attitude tweaks, momentum dumps, drops of the sensitivity and gaps.
    transits
        ``TIC:days days; TIC:days``: the filter does not follow what these stars do with these periods.

    Returns
    -------
    ``flux_corr`` and ``flux_corr_err`` (star, time), electron/s, at the level of the star, NaN where no good
    cadence is within the window; ``pixel_quality`` with the bits of steps and outliers beside those that
    were there. The star table is that of the light curves.

    Raises
    ------
    StepParameterError
        If ``transits`` is no such list, or names a star that has no light curve.
    """
    cadence = float(light_curves.attrs.get("cadence", 0.0)) / 86400 or _cadence(light_curves)
    width = [
        max(1, round((given or usual[cadence > SLOW_CADENCE]) / cadence))
        for given, usual in ((long, LONG), (short, SHORT))
    ]
    periods = _of_stars(read_periods(transits), light_curves["tic"].values)
    good, time = good_cadences(light_curves), light_curves["time"].values
    number = light_curves["cadenceno"].values.astype(np.int64)
    follow = partial(_follow, time=time, place=number - number.min(), width=width)
    places = jump_places(time, good, light_curves["quality"].values) if jumps else np.empty(0, np.int64)
    beside = (np.abs(time[:, None] - time[places]) < BESIDE).any(axis=1)
    shape = light_curves.sizes["star"], light_curves.sizes["time"]
    corrected, error = np.full((2, *shape), np.nan, np.float32)
    bits = np.zeros(shape, np.int32)
    for stars in star_blocks(light_curves):
        series = read_flux(light_curves, stars)
        relative = relative_flux(series, good)[0] + 1
        mine = {int(k - stars[0]): v for k, v in periods.items() if stars[0] <= k <= stars[-1]}

        factor, kinds = correct_jumps(relative, time, places)
        slow, repeated = follow(relative / factor, periods={})
        for k, known in mine.items():
            # A transit beside a place where a step may have come looks like one, so the others tell of it.
            one = relative[k : k + 1]
            _, transits_alone = follow(np.where(beside, np.nan, one / factor[k]), periods={0: known})
            factor[k : k + 1], kinds[k : k + 1] = correct_jumps(one / transits_alone, time, places)
            slow[k : k + 1], repeated[k : k + 1] = follow(one / factor[k], periods={0: known})
        out = clip_outliers(relative / (factor * slow * repeated), clip)
        for target, name in ((corrected, "flux"), (error, "flux_err")):
            target[stars] = series[name] / (factor * slow)
        bits[stars] = series["pixel_quality"] | kinds | np.where(out, np.int32(KitQuality.SIGMA_CLIP), 0)
    return xr.Dataset(
        {
            "flux_corr": (("star", "time"), corrected),
            "flux_corr_err": (("star", "time"), error),
            "pixel_quality": (("star", "time"), bits),
        },
        coords={n: v.variable for n, v in light_curves.coords.items()},
    )


def _follow(
    flux: np.ndarray,
    *,
    time: np.ndarray,
    place: np.ndarray,
    width: list[int],
    periods: dict[int, list[float]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the filter finds on a grid of all cadences, those between the given ones too."""
    known = np.isfinite(time)
    grid_time = np.interp(np.arange(place.max() + 1), place[known], time[known])
    on_grid = np.full((len(flux), grid_time.size), np.nan)
    on_grid[:, place] = flux
    slow, repeated = kasoc_filter(
        on_grid,
        grid_time,
        long=width[0],
        short=width[1],
        turnover=TURNOVER,
        softness=SOFTNESS,
        periods=periods,
    )
    return slow[:, place], repeated[:, place]


def _cadence(light_curves: xr.Dataset) -> float:
    """Return the days from one cadence to the next."""
    time, number = light_curves["time"].values, light_curves["cadenceno"].values
    known = np.isfinite(time)
    steps = np.diff(time[known]) / np.maximum(np.diff(number[known]), 1)
    return float(np.median(steps)) if steps.size else 1.0


def read_periods(text: str) -> dict[int, list[float]]:
    """Return periods in days by TIC number, from ``TIC:days days; TIC:days``."""
    found: dict[int, list[float]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        said = re.fullmatch(r"(\d+)\s*:\s*([\d.eE+\s-]+)", part)
        try:
            days = [float(word) for word in said[2].split()] if said else []
        except ValueError:
            days = []
        if not said or not days or not all(0 < day < np.inf for day in days):
            raise StepParameterError(
                f"make_filtered_light_curves: transits has {part!r}; expected a TIC number, a colon and "
                "periods in days, as 261136679:6.268; stars are parted by a semicolon. Correct it."
            )
        found.setdefault(int(said[1]), []).extend(days)
    return found


def _of_stars(periods: dict[int, list[float]], tic: np.ndarray) -> dict[int, list[float]]:
    """Return periods by the number of the star."""
    places = {int(number): k for k, number in enumerate(tic) if number > 0}
    absent = [number for number in periods if number not in places]
    if absent:
        raise StepParameterError(
            f"make_filtered_light_curves: transits names TIC {absent[0]}, which has no light curve here; "
            f"expected some of these {len(places)} stars. Leave it out, or take the CCD that it is on."
        )
    return {places[number]: days for number, days in periods.items()}
