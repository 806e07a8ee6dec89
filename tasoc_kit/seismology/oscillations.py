"""Oscillations like the Sun's: νmax, Δν and what they say of a star, each with a 68 % interval."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.numerics.oscillation_model import (
    ENVELOPE,
    PARTS,
    envelope_width,
    expected_separation,
    part_shapes,
)
from tasoc_kit.seismology.envelope import Envelope, find_envelope
from tasoc_kit.seismology.scaling import scale_stars
from tasoc_kit.seismology.separation import find_separation
from tasoc_kit.step import step
from tasoc_kit.vocabulary import OscillationFlag

__all__ = ["measure_oscillations"]

STARS_AT_ONCE = 512
LIKELY = 0.5
FARTHEST = 0.2
"""Difference, in the logarithm, of Δν and what νmax lets expect, beyond which they disagree."""
ENDS = ("", "_low", "_high")


@step(
    version=1,
    product="oscillations",
    needs={"spectra": ("power", "frequency", "noise_level")},
    gives=(
        *(name + end for name in ("numax", "dnu", "envelope_height", "white_noise", "granulation_amplitude",
                                  "detection_probability", "mass", "radius", "logg") for end in ENDS),
        "envelope_width", "part_name", "part_height", "oscillation_flags",
    ),
    libraries=("numpy", "scipy", "numba"),
)  # fmt: skip
def measure_oscillations(spectra: xr.Dataset) -> xr.Dataset:
    """
    Find the oscillations of every star, and what they say of it.

    Parameters
    ----------
    spectra
        Power density on one grid of frequencies, with the star table; ``teff`` (K) where there is one.

    Returns
    -------
    (star), each with ``_low`` and ``_high``, the ends of its 68 % interval: ``numax``, ``dnu``, µHz;
    ``envelope_height``, ``white_noise``, ppm²/µHz; ``granulation_amplitude``, ppm;
    ``detection_probability``; ``mass``, ``radius``, solar; ``logg``. ``part_height`` (star, part),
    ``envelope_width`` (star), µHz, ``oscillation_flags`` (star), and the star table.
    """
    step = max(
        1, round(spectra.attrs["resolution"] / max(float(spectra["frequency"].values[:1].sum()), 1e-9))
    )
    frequency = spectra["frequency"].values[step - 1 :: step]
    nyquist, stars = float(spectra.attrs["nyquist"]), spectra.sizes["star"]
    found: dict[str, np.ndarray] = {
        name + end: np.full(stars, np.nan)
        for name in ("numax", "dnu", "envelope_height", "white_noise", "granulation_amplitude",
                     "detection_probability")
        for end in ENDS
    }  # fmt: skip
    heights = np.full((stars, len(PARTS)), np.nan)
    for first in range(0, stars, STARS_AT_ONCE):
        some = slice(first, min(first + STARS_AT_ONCE, stars))
        power = spectra["power"].isel(star=some).values[:, step - 1 :: step].astype(float)
        envelope = find_envelope(frequency, power, nyquist)
        heights[some] = envelope.heights
        _enter(found, some, envelope, _separations(frequency, power, envelope, nyquist, first))
    teff = spectra["teff"].values.astype(float) if "teff" in spectra.variables else np.full(stars, np.nan)
    found |= scale_stars({k: v for k, v in found.items() if k.startswith(("numax", "dnu"))}, teff)
    flags = _flags(found, frequency, nyquist, teff)
    return xr.Dataset(
        {name: ("star", values.astype(np.float32)) for name, values in found.items()}
        | {
            "envelope_width": ("star", np.asarray(envelope_width(found["numax"]), np.float32)),
            "part_height": (("star", "part"), heights.astype(np.float32)),
            "part_name": ("part", np.array(PARTS, object)),
            "oscillation_flags": ("star", flags),
        },
        coords={n: v.variable for n, v in spectra.coords.items() if v.dims == ("star",)},
        attrs={name: spectra.attrs[name] for name in ("nyquist", "resolution")},
    )


def _enter(found: dict[str, np.ndarray], some: slice, envelope: Envelope, dnu: np.ndarray) -> None:
    for end, values in zip(ENDS, (envelope.numax, envelope.numax_low, envelope.numax_high), strict=True):
        found["numax" + end][some] = values
    for k, end in enumerate(ENDS):
        found["dnu" + end][some] = dnu[:, k]
    found["envelope_height"][some] = envelope.height
    found["white_noise"][some] = envelope.heights[:, 0]
    found["detection_probability"][some] = envelope.probability


def _separations(
    frequency: np.ndarray, power: np.ndarray, envelope: Envelope, nyquist: float, seed: int
) -> np.ndarray:
    """Return Δν and the ends of its interval (star, 3)."""
    found = np.full((len(power), 3), np.nan)
    for star in np.flatnonzero(np.isfinite(envelope.numax)):
        numax = float(envelope.numax[star])
        shapes = part_shapes(frequency, numax, nyquist)
        ratio = power[star] / (envelope.heights[star, :ENVELOPE] @ shapes[:ENVELOPE])
        random = np.random.default_rng(seed + star)
        found[star] = find_separation(frequency, ratio, numax, float(envelope_width(numax)), random)
    return found


def _flags(
    found: dict[str, np.ndarray], frequency: np.ndarray, nyquist: float, teff: np.ndarray
) -> np.ndarray:
    """Return the bits (star) of what limits the numbers."""
    off = np.abs(np.log(found["dnu"] / expected_separation(found["numax"])))
    bits = {
        OscillationFlag.UNLIKELY: found["detection_probability"] < LIKELY,
        OscillationFlag.NO_DNU: np.isfinite(found["numax"]) & np.isnan(found["dnu"]),
        OscillationFlag.DISAGREE: off > FARTHEST,
        OscillationFlag.NO_TEFF: ~np.isfinite(teff),
    }
    return np.sum([np.where(where, int(bit), 0) for bit, where in bits.items()], axis=0).astype(np.int32)
