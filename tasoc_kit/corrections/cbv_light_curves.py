"""Light curves without what they share with the stars about them.

``flux_corr = flux ÷ (1 + Σ c_k · vector_k + Σ s_k · spike_k)``: the level of a star stays what it was.
Coefficients come with a prior of the neighbours by default (:mod:`~tasoc_kit.corrections.neighbour_prior`);
without one they are least squares with as many vectors as the Bayesian information criterion takes, as in
TASOC's releases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import dask.array as da
import numpy as np
import xarray as xr

from tasoc_kit.config import settings
from tasoc_kit.corrections.aligned_vectors import align_vectors, areas_of
from tasoc_kit.corrections.neighbour_prior import expected_coefficients
from tasoc_kit.corrections.relative_flux import check_same_stars, lazy_series, read_flux, relative_flux
from tasoc_kit.corrections.star_areas import NOWHERE
from tasoc_kit.corrections.vector_fit import VectorFit, design_of, fit_near, fit_vectors, no_fit, put
from tasoc_kit.star_series import good_cadences, star_blocks
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import KitQuality, Status

__all__ = ["make_cbv_light_curves"]

QUIET = 2.0
"""Variability, over the median, up to which the coefficients of a star tell those of its neighbours."""
PER_VECTOR = 2
"""Terms of a vector: what is slow, and its spikes."""
SERIES = ("flux", "flux_err", "pixel_quality")


@step(
    version=3,
    product="cbv_light_curves",
    needs={
        "light_curves": (*SERIES, "quality", "frame_quality", "time", "cadenceno", "tmag", "star_row",
                         "star_column"),
        "diagnostics": ("variability", "status"),
        "cbvs": ("cbv", "spike_cbv", "cbv_snr", "cadenceno", "star_area", "area"),
    },
    gives=("flux_corr", "flux_corr_err", "pixel_quality", "cbv_coefficient", "spike_coefficient",
           "cbv_number"),
    libraries=("numpy", "scipy", "numba"),
)  # fmt: skip
def make_cbv_light_curves(
    light_curves: xr.Dataset,
    diagnostics: xr.Dataset,
    cbvs: xr.Dataset,
    *,
    prior: Annotated[bool, Parameter("neighbours tell what coefficients to expect")] = True,
) -> xr.Dataset:
    """
    Correct every light curve with the vectors of its area.

    Parameters
    ----------
    light_curves
        ``flux``, ``flux_err`` and ``pixel_quality`` (star, time).
    diagnostics
        Status and variability of the same stars.
    cbvs
        Vectors of this CCD, of a product or of a file; cadences are those of the same number.
    prior
        Expect the coefficients of the neighbours.

    Returns
    -------
    ``flux_corr`` and ``flux_corr_err`` (star, time), electron/s; ``cbv_coefficient`` and
    ``spike_coefficient`` (star, vector); ``cbv_number`` (star), vectors that the criterion took. The
    star table and the bits are those of the light curves. A star without enough good cadences is NaN, and so
    is a cadence that the vectors do not have: it gets the bit ``NO_DATA``.

    Raises
    ------
    StepInputError
        If the vectors are of another CCD, of other cadences, or of other stars, or diagnostics are.
    """
    check_same_stars("make_cbv_light_curves", light_curves, diagnostics)
    aligned, area = align_vectors(cbvs, light_curves), areas_of(cbvs, light_curves)
    known = np.isfinite(aligned["cbv"].values).all(axis=(0, 1))
    designs, good = _designs(aligned), good_cadences(light_curves) & known
    terms = 1 + PER_VECTOR * cbvs.sizes["vector"]
    fit = no_fit(area.size, terms)
    without = [name for name, design in designs.items() if design.shape[1] == 1]
    fit.coefficient[np.isin(area, [NOWHERE, *without])] = np.nan
    designs = {name: design for name, design in designs.items() if name not in without}
    for name, stars, flux in _good_flux(light_curves, designs, area, good):
        put(fit, stars, fit_vectors(flux, designs[name][good], PER_VECTOR, settings().threads, every=prior))
    if prior:
        count = max(int(good.sum()), 1)
        sizes = {name: np.sqrt((design[good] ** 2).sum(axis=0) / count) for name, design in designs.items()}
        mean, scatter = _expected(light_curves, diagnostics, fit, area, sizes)
        for name, stars, flux in _good_flux(light_curves, designs, area, good):
            design = designs[name][good]
            near = slice(0, design.shape[1])
            found = fit_near(flux, design, mean[stars, near], scatter[stars, near], settings().threads)
            put(fit, stars, found._replace(number=fit.number[stars], criterion=fit.criterion[stars]))
    corrected = {
        f"{name}_corr": (("star", "time"), _divided(light_curves[name], fit.coefficient, aligned, area))
        for name in ("flux", "flux_err")
    }
    slow, spikes = fit.coefficient[:, 1::2], fit.coefficient[:, 2::2]
    lost = xr.DataArray(np.where(known, 0, int(KitQuality.NO_DATA)).astype(np.int32), dims="time")
    return xr.Dataset(
        {
            "flux_corr": corrected["flux_corr"],
            "flux_corr_err": corrected["flux_err_corr"],
            "pixel_quality": (light_curves["pixel_quality"].variable | lost.variable).transpose(
                "star", "time"
            ),
            "cbv_coefficient": (("star", "vector"), slow.astype(np.float32)),
            "spike_coefficient": (("star", "vector"), spikes.astype(np.float32)),
            "cbv_number": ("star", fit.number),
        },
        coords={n: v.variable for n, v in light_curves.coords.items()},
    )


def _designs(cbvs: xr.Dataset) -> dict[int, np.ndarray]:
    """Return the terms (time, term) of each area, without the vectors that it has not."""
    made = {}
    for k, name in enumerate(cbvs["area"].values):
        has = np.isfinite(cbvs["cbv_snr"].values[k])
        made[int(name)] = design_of(*(cbvs[v].values[k, has].astype(float) for v in ("cbv", "spike_cbv")))
    return made


def _good_flux(
    light_curves: xr.Dataset, areas: Iterable[int], area: np.ndarray, good: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield areas, some of their stars, and what these vary by in good cadences."""
    for block in star_blocks(light_curves):
        flux = relative_flux(read_flux(light_curves, block), good)[0][:, good]
        for name in areas:
            mine = area[block] == name
            if mine.any():
                yield name, block[mine], flux[mine]


def _expected(
    light_curves: xr.Dataset,
    diagnostics: xr.Dataset,
    fit: VectorFit,
    area: np.ndarray,
    sizes: dict[int, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the neighbours in the same area let expect of each coefficient, and its scatter."""
    varies, ok = diagnostics["variability"].values, diagnostics["status"].values == Status.OK
    quiet = ok & (varies <= QUIET * np.nanmedian(varies[ok])) if ok.any() else ok
    places = [light_curves[name].values for name in ("star_row", "star_column", "tmag")]
    mean, scatter = np.zeros_like(fit.coefficient), np.full(fit.coefficient.shape, np.inf)
    for name in np.unique(area):
        some = area == name
        mine = VectorFit(*(values[some] for values in fit))
        size = np.zeros(fit.coefficient.shape[1])
        size[: len(sizes.get(int(name), ()))] = sizes.get(int(name), ())
        mean[some], scatter[some] = expected_coefficients(mine, size, *(p[some] for p in places), quiet[some])
    return mean, scatter


def _divided(flux: xr.DataArray, coefficient: np.ndarray, cbvs: xr.Dataset, area: np.ndarray) -> da.Array:
    """Return lazy series (star, time) over what their vectors say of them."""
    terms = np.concatenate([coefficient[:, 1::2], coefficient[:, 2::2]], axis=1)
    vectors = np.concatenate([cbvs["cbv"].values, cbvs["spike_cbv"].values], axis=1)
    place = np.searchsorted(cbvs["area"].values, area)

    def divide(block: np.ndarray, block_info: dict) -> np.ndarray:
        (first, last), (start, stop) = block_info[0]["array-location"]
        model = np.ones(block.shape)
        for k in range(len(vectors)):
            mine = place[first:last] == k
            model[mine] += terms[first:last][mine] @ vectors[k, :, start:stop]
        return np.where(model > 0, block / model, np.nan).astype(np.float32)

    return da.map_blocks(divide, lazy_series(flux), dtype=np.float32, meta=np.empty((0, 0), np.float32))
