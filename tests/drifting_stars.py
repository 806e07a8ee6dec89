"""Light curves of stars that drift together, with the truth beside them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import xarray as xr

from tasoc_kit.numerics.curve_measures import MEASURES, measure_curves
from tasoc_kit.vocabulary import Method, Status

PLACE = {"sector": 1, "camera": 1, "ccd": 2, "field": ""}


def true_vectors(cadences: int, number: int, random: np.random.Generator) -> np.ndarray:
    """Return orthonormal series (number, time) of unit scatter: slow ones, and a ramp after a gap."""
    phase = np.linspace(0, 1, cadences)
    walks = np.cumsum(random.normal(size=(number, cadences)), axis=1)
    width = max(3, cadences // 40)
    smooth = np.stack(
        [np.convolve(np.pad(w, width, "edge"), np.ones(width) / width, "same")[width:-width] for w in walks]
    )
    smooth[0] += 40 * np.exp(-phase / 0.05) + 40 * np.where(phase > 0.5, np.exp(-(phase - 0.5) / 0.05), 0)
    smooth -= smooth.mean(axis=1, keepdims=True)
    basis = np.linalg.svd(smooth, full_matrices=False)[2]
    return basis * np.sqrt(cadences)


def drifting_stars(
    stars: int = 600,
    cadences: int = 1300,
    *,
    seed: int = 1,
    systematics: float = 1e-3,
    noise: float = 441e-6,
    number: int = 4,
    varying: float = 0.0,
) -> SimpleNamespace:
    """
    Make light curves whose systematics change slowly over the CCD.

    Returns
    -------
    ``light_curves`` and ``diagnostics``, and the truth: ``vectors`` (number, time), ``model`` (star, time)
    and ``signal`` (star, time), both relative.
    """
    random = np.random.default_rng(seed)
    time = 1325.3 + np.arange(cadences) * 1800 / 86400
    row, column = random.uniform(0, 2047, stars), random.uniform(44, 2091, stars)
    tmag = random.uniform(8, 12, stars)
    vectors = true_vectors(cadences, number, random)
    low = np.stack([np.ones(stars), row / 2048 - 0.5, column / 2048 - 0.5, (tmag - 10) / 4])
    field = random.normal(size=(number, 4)) * np.array([1, 0.7, 0.7, 0.3])
    own = 0.15 * random.normal(size=(stars, number))
    coefficient = (field @ low).T + own
    model = coefficient @ vectors / np.sqrt((coefficient**2).sum(axis=1, keepdims=True)) * systematics
    signal = np.zeros((stars, cadences))
    varies = np.flatnonzero(random.random(stars) < varying)
    period, size = np.exp(random.uniform(np.log(0.2), np.log(5), stars)), 10 ** random.uniform(-3, -2, stars)
    turn = 2 * np.pi * (time[None] / period[:, None] + random.random(stars)[:, None])
    signal[varies] = (size[:, None] * np.sin(turn))[varies]
    level = 10 ** (-0.4 * (tmag - 20.451))
    relative = (1 + model) * (1 + signal) + noise * random.normal(size=model.shape)
    flux = (level[:, None] * relative).astype(np.float32)
    error = np.broadcast_to((noise * level)[:, None], flux.shape).astype(np.float32)
    bits = np.zeros(flux.shape, np.int32)
    curves = xr.Dataset(
        {
            "flux": (("star", "time"), flux),
            "flux_err": (("star", "time"), error),
            "pixel_quality": (("star", "time"), bits),
        },
        coords={
            "time": ("time", time), "cadenceno": ("time", np.arange(4697, 4697 + cadences, dtype=np.int32)),
            "quality": ("time", bits[0]), "frame_quality": ("time", bits[0]),
            "tic": ("star", np.arange(1, stars + 1)), "tmag": ("star", tmag.astype(np.float32)),
            "star_row": ("star", row), "star_column": ("star", column),
        },
        attrs=PLACE | {"product": "light_curves"},
    )  # fmt: skip
    measures = measure_curves(flux.astype(float), error.astype(float), time)
    diagnostics = xr.Dataset(
        {name: ("star", values.astype(np.float32)) for name, values in zip(MEASURES, measures, strict=True)}
        | {
            "status": ("star", np.full(stars, Status.OK, np.int8)),
            "method": ("star", np.full(stars, Method.APERTURE, np.int8)),
        },
        attrs=PLACE | {"product": "diagnostics"},
    )
    return SimpleNamespace(
        light_curves=curves, diagnostics=diagnostics, vectors=vectors, model=model, signal=signal,
        period=period, size=size, varies=varies, noise=noise,
    )  # fmt: skip
