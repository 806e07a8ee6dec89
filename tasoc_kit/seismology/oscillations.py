"""Oscillations like the Sun's: νmax, Δν and what they say of a star, each with a 68 % interval.

Every star with a spectrum is looked at. A coarse pass over all trials of νmax takes a millisecond; where it
raises the likelihood by less than e², noise alone does as well, and a star is left with its probability. The
fine pass and Δν, some ten milliseconds, are for the others.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

from tasoc_kit.config import settings
from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.oscillation_model import ENVELOPE, PARTS, expected_separation, model_of
from tasoc_kit.seismology.envelope import Envelope, Trials, find_envelope, make_trials
from tasoc_kit.seismology.scaling import scale_stars
from tasoc_kit.seismology.separation import find_separation
from tasoc_kit.step import step
from tasoc_kit.vocabulary import OscillationFlag

__all__ = ["measure_oscillations"]

MEASURED = {
    "numax": "numax",
    "envelope_height": "height",
    "white_noise": "white",
    "granulation_amplitude": "granulation",
    "detection_probability": "probability",
}
"""Variables, and what the envelope calls them."""
DERIVED = ("dnu", "mass", "radius", "logg")
ENDS = ("", "_low", "_high")
STARS_AT_ONCE = 256
LIKELY = 0.5
FARTHEST = 0.2
"""Difference, in the logarithm, of Δν and what νmax lets expect, beyond which they disagree: two scatters of
real stars (Huber+ 2011, ApJ 743 143)."""


@step(
    version=1,
    product="oscillations",
    needs={"spectra": ("power", "frequency", "known_cadences")},
    gives=(
        *(name + end for name in (*MEASURED, *DERIVED) for end in ENDS),
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
        Power density (star, frequency) with the star table; ``teff`` (K) where there is one. Of an
        oversampled spectrum the frequencies that are independent are used.

    Returns
    -------
    (star), each with ``_low`` and ``_high``, the ends of its 68 % interval: ``numax`` and ``dnu``, µHz;
    ``envelope_height`` and ``white_noise``, ppm²/µHz; ``granulation_amplitude``, ppm;
    ``detection_probability``, whose interval is where it would lie for two of three stars that differ by
    their luck; ``mass`` and ``radius``, solar; ``logg``. ``part_height`` (star, part), the model at
    ``numax``; ``envelope_width``, µHz; ``oscillation_flags``; and the star table. NaN where nothing is known.

    Raises
    ------
    StepInputError
        If the spectra do not say how fine they are.
    """
    missing = [name for name in ("nyquist", "resolution") if name not in spectra.attrs]
    if missing:
        raise StepInputError(
            f"measure_oscillations: the spectra have no attributes {missing}; expected half the sampling and "
            "one over the time span, µHz. Make them with make_spectra."
        )
    frequency, nyquist = spectra["frequency"].values, float(spectra.attrs["nyquist"])
    every = max(1, round(spectra.attrs["resolution"] / frequency[0])) if frequency.size else 1
    frequency = frequency[every - 1 :: every]
    trials, stars = make_trials(frequency, nyquist), spectra.sizes["star"]

    share = spectra["known_cadences"].values / max(2 * frequency.size, 1)

    def measure(first: int) -> tuple[Envelope, np.ndarray]:
        some = slice(first, first + STARS_AT_ONCE)
        power = spectra["power"].isel(star=some).values[:, every - 1 :: every].astype(float)
        envelope = find_envelope(power, trials, share[some])
        return envelope, _separations(frequency, power, envelope, nyquist, first)

    with ThreadPoolExecutor(settings().threads) as pool:
        found = list(pool.map(measure, range(0, max(stars, 1), STARS_AT_ONCE)))
    envelope = Envelope(*(np.concatenate(parts) for parts in zip(*(one for one, _ in found), strict=True)))
    told = {
        name + end: getattr(envelope, of)[:, k] for name, of in MEASURED.items() for k, end in enumerate(ENDS)
    }
    dnu = np.concatenate([separations for _, separations in found])
    told |= {"dnu" + end: dnu[:, k] for k, end in enumerate(ENDS)}
    teff = spectra["teff"].values.astype(float) if "teff" in spectra.variables else np.full(stars, np.nan)
    told |= scale_stars(told, teff)
    return xr.Dataset(
        {name: ("star", values.astype(np.float32)) for name, values in told.items()}
        | {
            "envelope_width": ("star", envelope.width.astype(np.float32)),
            "part_height": (("star", "part"), envelope.heights.astype(np.float32)),
            "oscillation_flags": ("star", _flags(told, envelope, trials, teff)),
        },
        coords={"part_name": ("part", np.array(PARTS, object))}
        | {n: v.variable for n, v in spectra.coords.items() if v.dims == ("star",)},
        attrs={name: spectra.attrs[name] for name in ("nyquist", "resolution")},
    )


def _separations(
    frequency: np.ndarray, power: np.ndarray, envelope: Envelope, nyquist: float, first: int
) -> np.ndarray:
    """Return Δν and the ends of its interval (star, 3); the luck of a star follows from its number."""
    found = np.full((len(power), 3), np.nan)
    for star in np.flatnonzero(envelope.fine):
        numax, width = float(envelope.numax[star, 0]), float(envelope.width[star])
        model = model_of(frequency, numax, envelope.heights[star], nyquist, frequency[0])
        random = np.random.default_rng(first + star)
        found[star] = find_separation(
            frequency, power[star] / model[:ENVELOPE].sum(axis=0), numax, width, random
        )
    return found


def _flags(
    told: dict[str, np.ndarray], envelope: Envelope, trials: Trials | None, teff: np.ndarray
) -> np.ndarray:
    """Return the bits (star) of what limits the numbers."""
    known = np.isfinite(told["detection_probability"])
    low, high = (np.nan, np.nan) if trials is None else trials.numax[[0, -1]]
    bits = {
        OscillationFlag.UNLIKELY: told["detection_probability"] < LIKELY,
        OscillationFlag.FIRST_PASS: known & ~envelope.fine,
        OscillationFlag.AT_THE_END: (told["numax_low"] <= low) | (told["numax_high"] >= high),
        OscillationFlag.COHERENT: envelope.coherent,
        OscillationFlag.TOO_HIGH: envelope.too_high,
        OscillationFlag.NO_DNU: envelope.fine & np.isnan(told["dnu"]),
        OscillationFlag.DISAGREE: np.abs(np.log(told["dnu"] / expected_separation(told["numax"]))) > FARTHEST,
        OscillationFlag.NO_TEFF: ~(teff > 0),
    }
    return np.sum([np.where(where, int(bit), 0) for bit, where in bits.items()], axis=0).astype(np.int32)
