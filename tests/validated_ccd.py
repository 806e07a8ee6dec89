"""A CCD whose stars are what the noise model and the zero point expect, as the tables of its validation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import xarray as xr

from tasoc_kit.numerics.noise import aperture_pixels, expected_noise, field_latitude
from tasoc_kit.vocabulary import Correction, Method, Status

ATTRS = {"sector": 1, "camera": 1, "ccd": 2, "field": "", "exposure": 1425.6, "cadence": 1800.0}
PTP_OF_WHITE = 0.6745 * np.sqrt(2)


def make_stars(stars: int, *, seed: int = 1, first: int = 1001) -> xr.Dataset:
    """Return places and magnitudes of stars near the south ecliptic pole, as of light curves."""
    random = np.random.default_rng(seed)
    columns = {
        "tic": np.arange(first, first + stars),
        "ra": random.uniform(85, 95, stars),
        "dec": random.uniform(-70, -62, stars),
        "tmag": random.uniform(7, 13, stars).astype(np.float32),
        "star_row": random.uniform(0, 2047, stars),
        "star_column": random.uniform(44, 2091, stars),
    }
    coords = {name: ("star", values) for name, values in columns.items()}
    return xr.Dataset(coords=coords | {"time": 1325 + np.arange(48) / 48}, attrs=ATTRS)


def make_tables(
    light_curves: xr.Dataset, *, noise: float = 1.1, zero_point: float = 20.451, change: float = 0.98
) -> SimpleNamespace:
    """
    Return the tables of stars whose noise is so many times the model.

    Parameters
    ----------
    light_curves
        As of ``make_stars``.
    noise
        Of hour and cadence over that of the model.
    zero_point
        That their fluxes have.
    change
        What vectors make of the noise of every second star.
    """
    tmag, stars = light_curves["tmag"].values.astype(float), light_curves.sizes["star"]
    latitude = field_latitude(light_curves["ra"].values, light_curves["dec"].values)
    hour = 1e-6 * expected_noise(tmag, seconds=3600 * 0.792, ecliptic_latitude=latitude).total
    ptp = 1e-6 * PTP_OF_WHITE * expected_noise(tmag, seconds=1425.6, ecliptic_latitude=latitude).total
    columns = {
        "mean_flux": (10 ** (-0.4 * (tmag - zero_point))).astype(np.float32),
        "rms_hour": (noise * hour).astype(np.float32),
        "ptp": (noise * ptp).astype(np.float32),
        "contamination": np.zeros(stars, np.float32),
        "row_size": aperture_pixels(tmag).astype(np.int32),
        "aperture_flags": np.zeros(stars, np.int32),
        "method": np.full(stars, Method.APERTURE, np.int8),
        "status": np.full(stars, Status.OK, np.int8),
    }
    places = {name: light_curves[name].variable for name in ("tic", "tmag", "star_row", "star_column")}
    diagnostics = xr.Dataset(
        {name: ("star", values) for name, values in columns.items()}, coords=places, attrs=light_curves.attrs
    )
    kinds = [Correction.CBV, Correction.ENSEMBLE, Correction.FILTER]
    both = ("correction", "star")
    corrections = xr.Dataset(
        {
            "rms_hour_corr": (both, change * np.tile(columns["rms_hour"], (3, 1))),
            "ptp_corr": (both, change * np.tile(columns["ptp"], (3, 1))),
            "best_correction": ("star", np.where(np.arange(stars) % 2, Correction.CBV, 0).astype(np.int8)),
        },
        coords={"correction": np.array(kinds, np.int8)} | places,
        attrs=light_curves.attrs,
    )
    return SimpleNamespace(light_curves=light_curves, diagnostics=diagnostics, corrections=corrections)
