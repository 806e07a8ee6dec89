"""From flux to brightness on the screen: linear, asinh, log and equalised histogram.

A stretch maps flux between two limits to 0–1 and back, so that a colour bar can carry flux.
Forms: Lupton et al. 1999, AJ 118, 1406 (asinh); SAOImage DS9 (log).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tasoc_kit.errors import StepParameterError, suggest

__all__ = ["STRETCHES", "Stretch", "make_stretch", "percentile_limits"]

STRETCHES = ("asinh", "linear", "log", "eq_hist")

_SOFTENING = 0.02
_LOG_SCALE = 1000.0
_LEVELS = 512
_SAMPLE = 200_000


@dataclass(frozen=True)
class Stretch:
    """One mapping of flux to 0–1."""

    name: str
    low: float
    high: float
    levels: np.ndarray = field(default_factory=lambda: np.empty(0))
    """Flux at equally spaced shares of the pixels (eq_hist alone)."""

    def __call__(self, flux: np.ndarray) -> np.ndarray:
        """Return 0–1 (float32) for each value; NaN stays NaN."""
        if self.name == "eq_hist":
            shares = np.linspace(0.0, 1.0, self.levels.size)
            shade = np.interp(flux, self.levels, shares)
            return np.where(np.isfinite(flux), shade, np.nan).astype(np.float32)
        part = np.clip((np.asarray(flux, dtype=np.float32) - self.low) / (self.high - self.low), 0.0, 1.0)
        if self.name == "asinh":
            part = np.arcsinh(part / _SOFTENING) / np.arcsinh(1.0 / _SOFTENING)
        elif self.name == "log":
            part = np.log1p(_LOG_SCALE * part) / np.log1p(_LOG_SCALE)
        return part.astype(np.float32, copy=False)

    def inverse(self, shade: np.ndarray) -> np.ndarray:
        """Return the flux that is shown with this brightness."""
        shade = np.asarray(shade, dtype=float)
        if self.name == "eq_hist":
            return np.interp(shade, np.linspace(0.0, 1.0, self.levels.size), self.levels)
        if self.name == "asinh":
            shade = _SOFTENING * np.sinh(shade * np.arcsinh(1.0 / _SOFTENING))
        elif self.name == "log":
            shade = np.expm1(shade * np.log1p(_LOG_SCALE)) / _LOG_SCALE
        return self.low + shade * (self.high - self.low)


def percentile_limits(flux: np.ndarray, low: float = 1.0, high: float = 99.8) -> tuple[float, float]:
    """Return two percentiles of the finite values; (0, 1) where there is none."""
    finite = _sample(flux)
    if finite.size == 0:
        return 0.0, 1.0
    first, last = (float(value) for value in np.percentile(finite, [low, high]))
    return (first, last) if last > first else (first, first + 1.0)


def make_stretch(
    flux: np.ndarray, name: str = "asinh", *, limits: tuple[float, float] | None = None
) -> Stretch:
    """
    Return the stretch of an image.

    Parameters
    ----------
    flux
        The pixels, of any shape.
    name
        ``asinh``, ``linear``, ``log`` or ``eq_hist``.
    limits
        Flux shown darkest and brightest; by default percentiles 1 and 99.8.

    Raises
    ------
    StepParameterError
        For a stretch that does not exist.
    """
    if name not in STRETCHES:
        raise StepParameterError(
            f"stretch: {name!r} does not exist{suggest(name, STRETCHES)} "
            f"It is one of {list(STRETCHES)}. Choose one."
        )
    low, high = limits or percentile_limits(flux)
    if name != "eq_hist":
        return Stretch(name, low, high)
    finite = _sample(flux)
    levels = (
        np.percentile(finite, np.linspace(0, 100, _LEVELS)) if finite.size else np.linspace(0, 1, _LEVELS)
    )
    levels = np.clip(levels, *limits) if limits else levels
    # np.interp needs rising levels; equal ones (a flat image) are told apart by the smallest step
    levels = np.maximum.accumulate(levels + np.arange(_LEVELS) * np.finfo(np.float32).eps)
    return Stretch(name, float(levels[0]), float(levels[-1]), levels)


def _sample(flux: np.ndarray) -> np.ndarray:
    """Return finite values, thinned evenly: a million pixels have the percentiles of a few."""
    values = np.ravel(flux)
    values = values[:: max(1, values.size // _SAMPLE)]
    return values[np.isfinite(values)]
