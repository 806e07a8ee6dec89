"""Validation: whether the light curves of a CCD are as they should be, star by star and as a whole.

The checks are those of TASOC's data validation, which has a figure and a few bits for each and leaves the
verdict to who looks at them; here each has limits, and the worst of them is the verdict on the CCD. The
limits stand in :mod:`~tasoc_kit.numerics.validation_limits`.

Three of TASOC's bits never arise: ``FLUX_FFI_OVER_TPF`` and ``FLUX_TPF_OVER_FFI``, for the light curves of
one product come from one kind of file, and ``SMALL_STAMP``, for apertures are grown on the whole frame.
``MAG_VS_FLUX_HIGH``, which TASOC has and does not set, is set here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics import validation_limits as limits
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.noise import expected_noise, field_latitude
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.step import step
from tasoc_kit.validation.checks import judge, run_checks
from tasoc_kit.validation.overlap import compare_overlap
from tasoc_kit.validation.star_flags import is_approved, measured_stars, star_flags
from tasoc_kit.vocabulary import Correction

__all__ = ["fit_zero_point", "make_validation"]

_HOUR = 3600.0
_EXPOSED = 0.792
"""Share of a cadence in which light is collected, where the frames do not say: 0.8 less the read-out."""
_PTP_OF_WHITE = np.sqrt(2) / MAD_TO_SIGMA
"""Median of abs(differences) of white noise of unit scatter."""
_MEDIAN_ERR = np.sqrt(np.pi / 2)
"""Error of the median of normal numbers over that of their mean."""
_OF_STARS = (
    "mean_flux",
    "rms_hour",
    "ptp",
    "contamination",
    "row_size",
    "aperture_flags",
    "method",
    "status",
)


class ZeroPoint(NamedTuple):
    """TESS magnitude of 1 electron/s, its error, and the stars it is the median of."""

    value: float
    error: float
    stars: int


@step(
    version=2,
    product="validation",
    needs={
        "light_curves": ("time", "tic", "tmag", "star_row", "star_column"),
        "diagnostics": _OF_STARS,
        "corrections": ("rms_hour_corr", "ptp_corr", "best_correction", "correction"),
        "neighbours": ("tic", "status", "mean_flux", "rms_hour", "star_camera", "star_ccd"),
    },
    gives=("dataval", "approved", "noise_hour", "noise_ptp", "rms_hour_best", "ptp_best", "zero_point",
           "verdict", "check_value", "check_verdict", "check_reason"),
    libraries=("numpy",),
)  # fmt: skip
def make_validation(
    light_curves: xr.Dataset,
    diagnostics: xr.Dataset,
    corrections: xr.Dataset | None = None,
    neighbours: xr.Dataset | None = None,
) -> xr.Dataset:
    """
    Judge the light curves of a CCD.

    Parameters
    ----------
    light_curves
        Places and magnitudes of the stars, ``exposure`` and ``cadence``; no flux is read.
    diagnostics, corrections
        Measures of the same stars before and after; without corrections, after is before.
    neighbours
        Diagnostics of the other CCDs of the sector in one table, as of ``read_neighbours``.

    Returns
    -------
    (star): ``dataval``, ``approved`` (TASOC's rule), ``rms_hour`` and ``ptp`` as measured and with the best
    correction (``…_best``), what the noise model expects (``noise_hour``, ``noise_ptp``: Handberg+ 2021, at
    the ecliptic latitude of the field, of the light that the cadences collect), and what was held against the
    limits. (check): value, limits, verdict and reason. ``zero_point`` with its error. ``verdict``, with
    attribute ``reason``. With neighbours (overlap): CCDs with stars in common, as of ``compare_overlap``.
    Attributes ``ecliptic_latitude``, ``cadence`` and ``exposure`` are what the noise model took.

    Raises
    ------
    StepInputError
        If the tables are not of the same stars.
    """
    _check_stars(light_curves, diagnostics=diagnostics, corrections=corrections)
    stars = diagnostics[list(_OF_STARS)].drop_vars([*diagnostics.coords], errors="ignore")
    places = ("tic", "tmag", "ra", "dec", "star_row", "star_column")
    stars = stars.assign_coords({n: light_curves[n].variable for n in places if n in light_curves.variables})
    latitude = field_latitude(*(light_curves[n].values for n in ("ra", "dec") if n in light_curves.variables))
    light = _collected(light_curves)
    expected = _expected(stars["tmag"].values, latitude, **light)
    stars = stars.assign(expected | _corrected(stars, corrections))
    named = stars["tic"].values > 0
    if "gaia" in light_curves.variables:
        named |= light_curves["gaia"].values > 0
    point = fit_zero_point(stars, named)
    bits = star_flags(stars, point.value if np.isfinite(point.value) else ZERO_POINT)
    stars = stars.assign(
        dataval=("star", bits), approved=("star", is_approved(stars, bits)),
        zero_point=point.value, zero_point_err=point.error, zero_point_stars=np.int32(point.stars),
    )  # fmt: skip
    overlap = None if neighbours is None else compare_overlap(diagnostics, neighbours)
    checks = run_checks(stars, overlap)
    verdict, reason = judge(checks, int(measured_stars(stars).sum()))
    made = stars.merge(checks).assign(verdict=np.int8(verdict))
    if overlap is not None:
        made = made.merge(overlap)
    return made.assign_attrs(light, reason=reason, ecliptic_latitude=latitude)


def fit_zero_point(stars: xr.Dataset, named: np.ndarray) -> ZeroPoint:
    """
    Return the zero point that stars have: the median of Tmag + 2.5 log10(own light).

    TASOC minimises squared differences of fluxes, which is the zero point of the few brightest stars.

    Parameters
    ----------
    stars
        (star) ``tmag``, ``mean_flux``, ``contamination`` and ``status``.
    named
        True for stars of a catalogue: the magnitudes of those found on the image were made with a zero point.
    """
    tmag, flux, others = (stars[name].values.astype(float) for name in ("tmag", "mean_flux", "contamination"))
    low, high = limits.ZERO_POINT_TMAG
    used = measured_stars(stars) & named & (tmag >= low) & (tmag <= high) & (flux > 0)
    used &= (others >= 0) & (others < limits.ZERO_POINT_CONTAMINATION)
    if used.sum() < limits.FEWEST:
        return ZeroPoint(np.nan, np.nan, int(used.sum()))
    points = tmag[used] + 2.5 * np.log10(flux[used] * (1 - others[used]))
    middle = float(np.median(points))
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(points - middle)))
    return ZeroPoint(middle, _MEDIAN_ERR * scatter / np.sqrt(points.size), points.size)


def _check_stars(light_curves: xr.Dataset, **tables: xr.Dataset | None) -> None:
    for name, table in tables.items():
        if table is not None and table.sizes["star"] != light_curves.sizes["star"]:
            raise StepInputError(
                f"make_validation: {name} has {table.sizes['star']} stars, the light curves "
                f"{light_curves.sizes['star']}; expected the same. Open both by the ids in one lineage."
            )


def _collected(light_curves: xr.Dataset) -> dict[str, float]:
    """Return ``cadence`` and ``exposure`` (s), from the times and as usual where no attribute says."""
    time = light_curves["time"].values
    steps = np.diff(time[np.isfinite(time)])
    cadence = float(light_curves.attrs.get("cadence") or 0) or (
        86_400 * float(np.median(steps)) if steps.size else 1800.0
    )
    exposure = float(light_curves.attrs.get("exposure") or 0) or _EXPOSED * cadence
    return {"cadence": cadence, "exposure": exposure}


def _expected(
    tmag: np.ndarray, latitude: float, cadence: float, exposure: float
) -> dict[str, tuple[str, np.ndarray]]:
    """Return what the noise model expects of each star, in one hour and from cadence to cadence."""
    seconds = {"noise_hour": _HOUR * exposure / cadence, "noise_ptp": exposure}
    scale = {"noise_hour": 1e-6, "noise_ptp": 1e-6 * _PTP_OF_WHITE}
    found = {n: expected_noise(tmag, seconds=s, ecliptic_latitude=latitude) for n, s in seconds.items()}
    return {name: ("star", (scale[name] * one.total).astype(np.float32)) for name, one in found.items()}


def _corrected(stars: xr.Dataset, corrections: xr.Dataset | None) -> dict[str, Any]:
    """Return both measures with the correction that serves each star best."""
    if corrections is None:
        none = np.full(stars.sizes["star"], Correction.NONE, np.int8)
        before = {f"{name}_best": stars[name].variable for name in ("rms_hour", "ptp")}
        return before | {"best_correction": ("star", none)}
    best = corrections["best_correction"].values
    found = {}
    for name in ("rms_hour", "ptp"):
        after = stars[name].values.copy()
        for kind in corrections["correction"].values:
            if kind != Correction.NONE:
                some = best == kind
                after[some] = corrections[f"{name}_corr"].sel(correction=kind).values[some]
        found[f"{name}_best"] = ("star", after.astype(np.float32))
    return found | {"best_correction": ("star", best)}
