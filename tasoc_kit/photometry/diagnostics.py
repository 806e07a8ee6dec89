"""Diagnostics: one row for every star, how bright, how quiet, how variable, and what became of it.

The measures are those of :mod:`~tasoc_kit.numerics.curve_measures`, in good cadences.
"""

from __future__ import annotations

import dask
import numpy as np
import xarray as xr

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.curve_measures import MEASURES, measure_curves
from tasoc_kit.photometry.messages import star_messages
from tasoc_kit.star_series import star_blocks
from tasoc_kit.step import step
from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, DEFAULT_BAD_KIT_BITS, Status

__all__ = ["make_diagnostics"]

STAR_COLUMNS = (
    "contamination",
    "row_size",
    "edge_flux",
    "edge_sides",
    "stamp_height",
    "stamp_width",
    "stamp_resizes",
    "status",
    "method",
    "aperture_flags",
    "skipped_by",
    "priority",
)
PSF_COLUMNS = ("neighbour", "psf_correlation")
PLACES = ("tic", "tmag", "star_row", "star_column")
IDENTITY = ("tic", "star_row", "star_column")


def _good_cadences(light_curves: xr.Dataset, quality: xr.Dataset | None) -> np.ndarray:
    """Return True for the cadences that neither the mission nor we set apart."""
    bits = light_curves if quality is None else quality
    good = (bits["quality"].values & DEFAULT_BAD_BITS) == 0
    for table in (light_curves, quality):
        if table is not None and "frame_quality" in table.variables:
            good = good & ((table["frame_quality"].values & DEFAULT_BAD_KIT_BITS) == 0)
    return np.asarray(good & np.isfinite(light_curves["time"].values))


def _places_of(light_curves: xr.Dataset, apertures: xr.Dataset) -> np.ndarray:
    """
    Return where in the apertures each star of the light curves stands.

    Stars without a TIC number all have 0, so that only number and position together tell them apart.
    """
    tables = [
        np.stack([table[name].values.astype(np.float64) for name in IDENTITY], axis=1)
        for table in (apertures, light_curves)
    ]
    count = apertures.sizes["star"]
    # As bits, for a star off every frame has no position, and NaN equals nothing.
    _, same = np.unique(np.concatenate(tables).view(np.int64), axis=0, return_inverse=True)
    place = np.full(same.max(initial=-1) + 1, -1)
    place[same[:count][::-1]] = np.arange(count)[::-1]
    return np.asarray(place[same[count:]])


def _star_table(light_curves: xr.Dataset, apertures: xr.Dataset) -> dict[str, np.ndarray]:
    """Return what is known of the stars of the light curves, which may be some of those of the apertures."""
    place = _places_of(light_curves, apertures)
    strangers = int((place < 0).sum())
    if strangers:
        raise StepInputError(
            f"make_diagnostics: {strangers} of the {place.size} stars with light curves have no "
            "aperture; expected the apertures the light curves were made with. "
            "Open both by the ids in one lineage."
        )
    table = {}
    for name in (*PLACES, *STAR_COLUMNS):
        if name in light_curves.variables:
            table[name] = light_curves[name].values
        elif name in apertures.variables:
            table[name] = apertures[name].values[place]
    return table


@step(
    version=3,
    product="diagnostics",
    needs={
        "light_curves": ("flux", "flux_err", "pixel_quality", "quality", "time", *IDENTITY),
        "apertures": (*IDENTITY, "status", "aperture_flags", "contamination", "row_size", "edge_flux"),
        "quality": ("quality",),
    },
    gives=(*MEASURES, "status", "aperture_flags", "contamination", "row_size", "edge_flux", "message"),
    libraries=("numpy",),
)
def make_diagnostics(
    light_curves: xr.Dataset, apertures: xr.Dataset, quality: xr.Dataset | None = None
) -> xr.Dataset:
    """
    Measure every light curve, and set beside it what became of its star.

    Parameters
    ----------
    light_curves
        ``flux``, ``flux_err`` and ``pixel_quality`` (star, time) of any method, of any cadence.
    apertures
        Status, method, flags, contamination and pixels of the same stars or of more.
    quality
        Bits of the cadences, where they are newer than those that the light curves carry.

    Returns
    -------
    (star): ``mean_flux``, ``variance``, ``variability``, ``rms_hour`` and ``ptp``, on cadences with none
    of the default bits of either column, NaN where fewer than eight are left; place, contamination,
    pixels, flux on the edge, method, flags and status. A star whose flux is never finite has status ERROR.
    ``message`` says why a star was skipped, failed or is doubtful.

    Raises
    ------
    StepInputError
        If the light curves are of stars that have no aperture.
    """
    table = _star_table(light_curves, apertures)
    good = _good_cadences(light_curves, quality)
    time, stars = light_curves["time"].values[good], light_curves.sizes["star"]
    series = [light_curves[name].transpose("star", "time") for name in ("flux", "flux_err", "pixel_quality")]
    measures = np.full((len(MEASURES), stars), np.nan)
    for some in star_blocks(light_curves) if time.size else ():
        flux, flux_err, bits = (
            np.compress(good, values, axis=1)
            for values in dask.compute(*(one.isel(star=some).data for one in series))
        )
        set_apart = (bits & DEFAULT_BAD_KIT_BITS) != 0
        known = [np.where(set_apart, np.nan, values).astype(float) for values in (flux, flux_err)]
        measures[:, some] = measure_curves(*known, time)
    lost = np.isnan(measures[0]) & np.isin(table["status"], (Status.OK, Status.WARNING))
    table["status"] = np.where(lost, np.int8(Status.ERROR), table["status"]).astype(np.int8)
    columns = zip(MEASURES, measures.astype(np.float32), strict=True)
    made = xr.Dataset(
        {name: ("star", values) for name, values in columns}
        | {name: ("star", table[name]) for name in STAR_COLUMNS if name in table},
        coords={name: ("star", table[name]) for name in PLACES if name in table},
    )
    of_psf = {name: light_curves[name].variable for name in PSF_COLUMNS if name in light_curves}
    return made.assign(message=("star", star_messages(made.assign(of_psf), apertures)))
