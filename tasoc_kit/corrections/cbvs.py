"""Co-trending basis vectors: what the light curves of an area of the CCD have in common.

As TASOC makes them (Lund+ 2021, ApJS 257 53), with three differences. A light curve is divided by its
scatter, not by its variance, so that no few quiet stars make a component. Stars that make a component for
themselves are taken away together, not one at a time. And vectors know every cadence of the frames by its
number, whatever its length: bad cadences are bridged.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import xarray as xr

from tasoc_kit.corrections.cleaning import Components, clean_components
from tasoc_kit.corrections.common_vectors import common_basis, with_less_noise
from tasoc_kit.corrections.relative_flux import check_same_stars, read_flux, relative_flux
from tasoc_kit.corrections.spikes import bridge, split_spikes
from tasoc_kit.corrections.star_areas import NOWHERE, join_small, star_areas
from tasoc_kit.numerics.statistics import mad_sigma
from tasoc_kit.star_series import good_cadences
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import Method, Status

__all__ = ["make_cbvs"]

FEWEST_STARS = 100
"""Stars that an area needs to have vectors of its own."""
KNOWN_SHARE = 0.8
"""Cadences, of the good ones, in which a star must be known."""
FEWEST_OF_ALL = 5
TOLD = ("cbv_snr", "cbv_variance", "cbv_entropy")
CARRIED = ("time", "cadenceno", "quality", "frame_quality", "tic", "tmag", "star_row", "star_column")
DECIBEL = 10.0


@step(
    version=2,
    product="cbvs",
    needs={
        "light_curves": ("flux", "flux_err", "pixel_quality", "quality", "frame_quality", "time", "cadenceno",
                         "star_row", "star_column"),
        "diagnostics": ("mean_flux", "variability", "rms_hour", "status"),
    },
    gives=("cbv", "spike_cbv", "cbv_snr", "cbv_variance", "cbv_entropy", "star_area", "cbv_star"),
    libraries=("numpy", "scipy"),
)  # fmt: skip
def make_cbvs(
    light_curves: xr.Dataset,
    diagnostics: xr.Dataset,
    *,
    vectors: Annotated[int, Parameter("vectors of an area, at most", ge=1, le=32)] = 16,
    variability: Annotated[
        float, Parameter("variability, over the median of all stars, up to which a star is taken", gt=0)
    ] = 1.3,
    correlated: Annotated[
        float, Parameter("share of these stars, those most like the others, that is taken", gt=0, le=1)
    ] = 0.9,
    most_stars: Annotated[
        int, Parameter("stars of an area, at most; those with the least hourly scatter", ge=20)
    ] = 2000,
    entropy: Annotated[
        float, Parameter("entropy of the scores of a vector below which few stars make it", le=0)
    ] = -0.5,
    most_dropped: Annotated[int, Parameter("stars of an area that may be taken away for that", ge=0)] = 150,
    snr: Annotated[float, Parameter("signal over noise that a vector must have", unit="dB")] = 5.0,
) -> xr.Dataset:
    """
    Make the vectors of every area of a CCD.

    Parameters
    ----------
    light_curves
        ``flux`` and ``pixel_quality`` (star, time) of apertures.
    diagnostics
        Status, method, variability and scatter of the same stars.
    vectors, snr
        At most so many, the strongest first; those after the first need a variance over that of their
        differences, in decibel.
    variability, correlated, most_stars
        Which stars they are made of: good ones that vary little and have much in common with the others.
    entropy, most_dropped
        Stars that make a vector for themselves are left out.

    Returns
    -------
    ``cbv`` and ``spike_cbv`` (area, vector, time), which add up to a vector of zero mean and unit scatter,
    0 where an area has fewer, as one with fewer than five stars that can be used; ``cbv_snr`` dB,
    ``cbv_variance`` and ``cbv_entropy`` (area, vector), NaN there; ``star_area`` (star), whose vectors a
    star is corrected with; ``cbv_star`` (star), True for those that they are made of.

    Raises
    ------
    StepInputError
        If diagnostics are not of these stars.
    """
    check_same_stars("make_cbvs", light_curves, diagnostics)
    good, cadences = good_cadences(light_curves), light_curves["cadenceno"].values.astype(float)
    usable = _usable(diagnostics, variability)
    places = light_curves["star_row"].values, light_curves["star_column"].values
    area = star_areas(*places, int(light_curves.attrs["camera"]), int(light_curves.attrs["ccd"]))
    usable &= area != NOWHERE
    area = join_small(area, usable, FEWEST_STARS)
    names = np.unique(area[area != NOWHERE])
    used = np.zeros(area.size, bool)
    made: dict[int, Components] = {}
    for k, name in enumerate(names):
        stars = _quietest(np.flatnonzero(usable & (area == name)), diagnostics["rms_hour"].values, most_stars)
        stars, flux = _filled(light_curves, stars, good, cadences)
        if stars.size < FEWEST_OF_ALL:
            continue
        alike = _most_alike(flux, correlated)
        made[k] = clean_components(flux[alike], min(vectors, alike.size - 1), entropy, most_dropped)
        used[stars[alike[made[k].kept]]] = True
    basis = _common(list(made.values()), vectors, snr) if made else np.empty((0, int(good.sum())))
    slow, spikes = np.zeros((2, names.size, vectors, good.size), np.float32)
    told = {name: np.full((names.size, vectors), np.nan, np.float32) for name in TOLD}
    for k, found in made.items():
        noise = _signal_over_noise(found.series)
        strong = np.flatnonzero((noise >= snr) | (np.arange(noise.size) == 0))
        made_of_all = with_less_noise(found.series[strong], _power(found)[strong], basis)
        for place, series in enumerate(made_of_all):
            whole = np.full(good.size, np.nan)
            whole[good] = _unit(series)
            slow[k, place], spikes[k, place] = split_spikes(bridge(whole, cadences), cadences)
        for variable, values in zip(TOLD, (noise, found.variance, found.entropy), strict=True):
            told[variable][k, : strong.size] = values[strong]
    return xr.Dataset(
        {"cbv": (("area", "vector", "time"), slow), "spike_cbv": (("area", "vector", "time"), spikes)}
        | {name: (("area", "vector"), values) for name, values in told.items()}
        | {"star_area": ("star", area), "cbv_star": ("star", used)},
        coords={"area": names}
        | {n: light_curves[n].variable for n in CARRIED if n in light_curves.variables},
    )


def _usable(diagnostics: xr.Dataset, variability: float) -> np.ndarray:
    """Return bool (star): good stars of aperture photometry that vary as most do, or less."""
    good = (diagnostics["status"].values == Status.OK) & (diagnostics["mean_flux"].values > 0)
    if "method" in diagnostics.variables:
        good = good & (diagnostics["method"].values == Method.APERTURE)
    varies = diagnostics["variability"].values
    seen = varies[good & np.isfinite(varies)]
    return np.asarray(good & (varies <= variability * (np.median(seen) if seen.size else 0.0)))


def _quietest(stars: np.ndarray, scatter: np.ndarray, most: int) -> np.ndarray:
    return np.sort(stars[np.argsort(scatter[stars], kind="stable")[:most]])


def _filled(
    light_curves: xr.Dataset, stars: np.ndarray, good: np.ndarray, cadences: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stars that are known in most good cadences, and their flux there, over its scatter."""
    flux = relative_flux(read_flux(light_curves, stars), good)[0][:, good]
    known = np.isfinite(flux).sum(axis=1) >= max(1.0, KNOWN_SHARE * good.sum())
    if not known.any():
        return stars[known], flux[known]
    flux = np.stack([bridge(one, cadences[good]) for one in flux[known]])
    scatter = mad_sigma(flux, axis=1)
    varies = scatter > 0
    flux = flux[varies] / scatter[varies, None]
    return stars[known][varies], flux - flux.mean(axis=1, keepdims=True)


def _most_alike(flux: np.ndarray, share: float) -> np.ndarray:
    """Return the stars whose median correlation with the others is highest."""
    unit = flux / np.linalg.norm(flux, axis=1, keepdims=True)
    alike = np.median(np.abs(unit @ unit.T), axis=1)
    number = max(FEWEST_OF_ALL, round(share * len(flux)))
    return np.sort(np.argsort(-alike, kind="stable")[:number])


def _common(made: list[Components], vectors: int, snr: float) -> np.ndarray:
    """Return what the areas have in common (component, time), as far as it is more than noise."""
    basis = common_basis([found.series for found in made], [_power(found) for found in made], vectors)
    strong = _signal_over_noise(basis) >= snr
    strong[0] = True
    return basis[strong]


def _power(found: Components) -> np.ndarray:
    """Return the sum of squares of each component over stars of unit scatter, for a cadence."""
    return np.asarray(found.variance * found.kept.sum())


def _signal_over_noise(series: np.ndarray) -> np.ndarray:
    """Return the variance of each series over that of its differences, dB."""
    steps = np.diff(series, axis=1).var(axis=1)
    return np.asarray(DECIBEL * np.log10(np.maximum(series.var(axis=1), 1e-300) / np.maximum(steps, 1e-300)))


def _unit(series: np.ndarray) -> np.ndarray:
    """Return a series of zero mean and unit scatter whose farthest value is positive."""
    series = series - series.mean()
    return series / (series.std() * np.sign(series[np.argmax(np.abs(series))]))
